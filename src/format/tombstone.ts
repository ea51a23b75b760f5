/**
 * Bodies of the permanent marks: tombstone, revoked and rejected (one shape), and forgotten (repository design, section 4.4).
 * All are signed. Times in ms since 1970.
 */
import type { Bytes } from '../base/bytes.ts';
import { bodyCodec, type BodyCodec, byteString, fixedBytes, mapOf, optional, required, text, uint } from './body-codec.ts';

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
  /** Body of the forgotten snapshot, by which it can be brought back; absent when another record took its place, or it could not be read. */
  readonly snapshot?: Bytes | undefined;
}

const tombstoneBody: BodyCodec<Tombstone> = bodyCodec('tombstone', mapOf<Tombstone>({
  planNumber: required(1, uint()),
  createdAt: required(2, uint()),
}));

const forgottenBody: BodyCodec<Forgotten> = bodyCodec('forgotten marker', mapOf<Forgotten>({
  reason: required(1, text),
  createdAt: required(2, uint()),
  recordDigest: optional(3, fixedBytes(32)),
  // Programs that came before it skip the field: it makes nothing valid.
  snapshot: optional(64, byteString),
}));

/** Encoders throw a RangeError for values that the decoder would refuse, decoders OBJECT_CORRUPT and UNSUPPORTED_FORMAT. */
export const encodeTombstone: (tombstone: Tombstone) => Uint8Array<ArrayBuffer> = tombstoneBody.encode;
export const decodeTombstone: (body: Bytes) => Tombstone = tombstoneBody.decode;
export const encodeForgotten: (forgotten: Forgotten) => Uint8Array<ArrayBuffer> = forgottenBody.encode;
export const decodeForgotten: (body: Bytes) => Forgotten = forgottenBody.decode;
