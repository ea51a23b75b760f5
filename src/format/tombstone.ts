/**
 * Bodies of the permanent marks: tombstone, revoked and rejected (one shape), and forgotten (repository design, section 4.4).
 * All are signed. Times in ms since 1970.
 */
import type { Bytes } from '../base/bytes.ts';
import { CborReader, CborWriter } from './cbor.ts';
import { corrupt } from './decode-error.ts';

/** A prune took the session for dead; at `snapshots/<id>`, `revoked/<id>` or `rejected/<id>`. */
export interface Tombstone {
  /** Number of the gc plan that was being resolved. */
  readonly planNumber: number;
  readonly createdAt: number;
}

/** The snapshot is no longer valid, for ever; at `forgotten/<id>`. */
export interface Forgotten {
  /** The policy or the reason of the operator, for people. */
  readonly reason: string;
  readonly createdAt: number;
  /** BLAKE3 of the forgotten record as stored, 32 bytes; absent when there was no record to read. */
  readonly recordDigest?: Bytes | undefined;
}

export function encodeTombstone(tombstone: Tombstone): Uint8Array<ArrayBuffer> {
  const writer = new CborWriter(32);
  writer.map(2);
  writer.uint(1);
  writer.uint(tombstone.planNumber);
  writer.uint(2);
  writer.uint(tombstone.createdAt);
  return writer.finish();
}

/** @throws OBJECT_CORRUPT, UNSUPPORTED_FORMAT */
export function decodeTombstone(body: Bytes): Tombstone {
  const reader = new CborReader(body, 'tombstone');
  let planNumber: number | undefined, createdAt: number | undefined;
  let key = -1;
  for (let left = reader.map(); left > 0; left--) {
    key = reader.key(key);
    switch (key) {
      case 1: planNumber = reader.uint(); break;
      case 2: createdAt = reader.uint(); break;
      default: reader.unknown(key);
    }
  }
  reader.close();
  reader.end();
  if (planNumber === undefined || createdAt === undefined) throw corrupt('tombstone', 'a field is missing');
  return { planNumber, createdAt };
}

export function encodeForgotten(forgotten: Forgotten): Uint8Array<ArrayBuffer> {
  const { recordDigest } = forgotten;
  if (recordDigest !== undefined && recordDigest.length !== 32) throw new RangeError('A digest has 32 bytes');
  const writer = new CborWriter(128);
  writer.map(recordDigest === undefined ? 2 : 3);
  writer.uint(1);
  writer.text(forgotten.reason);
  writer.uint(2);
  writer.uint(forgotten.createdAt);
  if (recordDigest !== undefined) {
    writer.uint(3);
    writer.bytes(recordDigest);
  }
  return writer.finish();
}

/** @throws OBJECT_CORRUPT, UNSUPPORTED_FORMAT */
export function decodeForgotten(body: Bytes): Forgotten {
  const reader = new CborReader(body, 'forgotten marker');
  let reason: string | undefined, createdAt: number | undefined, recordDigest: Bytes | undefined;
  let key = -1;
  for (let left = reader.map(); left > 0; left--) {
    key = reader.key(key);
    switch (key) {
      case 1: reason = reader.text(); break;
      case 2: createdAt = reader.uint(); break;
      case 3: recordDigest = reader.fixedBytes(32); break;
      default: reader.unknown(key);
    }
  }
  reader.close();
  reader.end();
  if (reason === undefined || createdAt === undefined) throw corrupt('forgotten marker', 'a field is missing');
  return { reason, createdAt, recordDigest };
}
