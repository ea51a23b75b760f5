/** Bodies of gc plan, sweep and done (repository design, sections 4.4 and 7). All are signed. Times in ms since 1970. */
import { type Bytes, compareBytes, concatBytes, toHex } from '../base/bytes.ts';
import { CborReader, CborWriter } from './cbor.ts';
import { corrupt } from './decode-error.ts';
import { ID_BYTES, idBytes, type PackId, type RunId, runIdFromBytes } from './ids.ts';

/** Condemns packs: no session that starts later uses them. */
export interface GcPlan {
  /** 16 bytes each, strictly ascending; see `packPackIds`. */
  readonly packs: Bytes;
  readonly createdAt: number;
  readonly runId: RunId;
}

/** Says which of the condemned packs are deleted; the others are rescued. */
export interface GcSweep {
  readonly packs: Bytes;
  /** BLAKE3 of the plan object as stored, 32 bytes. */
  readonly planDigest: Bytes;
  readonly createdAt: number;
}

/** All packs of the sweep are deleted. */
export interface GcDone {
  readonly createdAt: number;
}

/** Pack IDs sorted and without duplicates, 16 bytes each. */
export function packPackIds(ids: Iterable<PackId>): Uint8Array<ArrayBuffer> {
  // Hexadecimal digits sort like the bytes that they stand for.
  return concatBytes([...new Set(ids)].sort().map(idBytes));
}

/** The reverse of `packPackIds`. */
export function* unpackPackIds(packs: Bytes): Generator<PackId> {
  for (let at = 0; at + ID_BYTES <= packs.length; at += ID_BYTES) yield toHex(packs.subarray(at, at + ID_BYTES)) as PackId;
}

export function encodePlan(plan: GcPlan): Uint8Array<ArrayBuffer> {
  const writer = new CborWriter(plan.packs.length + 64);
  writer.map(3);
  writer.uint(1);
  writePacks(writer, plan.packs);
  writer.uint(2);
  writer.uint(plan.createdAt);
  writer.uint(3);
  writer.bytes(idBytes(plan.runId));
  return writer.finish();
}

/** @throws OBJECT_CORRUPT, UNSUPPORTED_FORMAT, as all decoders of bodies */
export function decodePlan(body: Bytes): GcPlan {
  const reader = new CborReader(body, 'gc plan');
  let packs: Bytes | undefined, createdAt: number | undefined, runId: RunId | undefined;
  let key = -1;
  for (let left = reader.map(); left > 0; left--) {
    key = reader.key(key);
    switch (key) {
      case 1: packs = readPacks(reader); break;
      case 2: createdAt = reader.uint(); break;
      case 3: runId = runIdFromBytes(reader.fixedBytes(ID_BYTES)); break;
      default: reader.unknown(key);
    }
  }
  reader.close();
  reader.end();
  if (packs === undefined || createdAt === undefined || runId === undefined) throw corrupt('gc plan', 'a field is missing');
  return { packs, createdAt, runId };
}

export function encodeSweep(sweep: GcSweep): Uint8Array<ArrayBuffer> {
  if (sweep.planDigest.length !== 32) throw new RangeError('A digest has 32 bytes');
  const writer = new CborWriter(sweep.packs.length + 64);
  writer.map(3);
  writer.uint(1);
  writePacks(writer, sweep.packs);
  writer.uint(2);
  writer.bytes(sweep.planDigest);
  writer.uint(3);
  writer.uint(sweep.createdAt);
  return writer.finish();
}

export function decodeSweep(body: Bytes): GcSweep {
  const reader = new CborReader(body, 'gc sweep');
  let packs: Bytes | undefined, planDigest: Bytes | undefined, createdAt: number | undefined;
  let key = -1;
  for (let left = reader.map(); left > 0; left--) {
    key = reader.key(key);
    switch (key) {
      case 1: packs = readPacks(reader); break;
      case 2: planDigest = reader.fixedBytes(32); break;
      case 3: createdAt = reader.uint(); break;
      default: reader.unknown(key);
    }
  }
  reader.close();
  reader.end();
  if (packs === undefined || planDigest === undefined || createdAt === undefined) throw corrupt('gc sweep', 'a field is missing');
  return { packs, planDigest, createdAt };
}

export function encodeDone(done: GcDone): Uint8Array<ArrayBuffer> {
  const writer = new CborWriter(16);
  writer.map(1);
  writer.uint(1);
  writer.uint(done.createdAt);
  return writer.finish();
}

export function decodeDone(body: Bytes): GcDone {
  const reader = new CborReader(body, 'gc done');
  let createdAt: number | undefined;
  let key = -1;
  for (let left = reader.map(); left > 0; left--) {
    key = reader.key(key);
    if (key === 1) createdAt = reader.uint();
    else reader.unknown(key);
  }
  reader.close();
  reader.end();
  if (createdAt === undefined) throw corrupt('gc done', 'a field is missing');
  return { createdAt };
}

function writePacks(writer: CborWriter, packs: Bytes): void {
  const fault = packsFault(packs);
  if (fault !== undefined) throw new RangeError(`A list of pack IDs cannot be encoded: ${fault}`);
  writer.bytes(packs);
}

function readPacks(reader: CborReader): Bytes {
  const packs = reader.bytes();
  const fault = packsFault(packs);
  if (fault !== undefined) throw reader.fail(fault);
  return packs;
}

function packsFault(packs: Bytes): string | undefined {
  if (packs.length % ID_BYTES !== 0) return 'the pack IDs are not whole';
  for (let at = ID_BYTES; at < packs.length; at += ID_BYTES) {
    if (compareBytes(packs.subarray(at - ID_BYTES, at), packs.subarray(at, at + ID_BYTES)) >= 0) return 'the pack IDs are not in order';
  }
  return undefined;
}
