/** Bodies of gc plan, sweep and done (repository design, sections 4.4 and 7). All are signed. Times in ms since 1970. */
import { type Bytes, concatBytes } from '../base/bytes.ts';
import { bodyCodec, type BodyCodec, fixedBytes, id, mapOf, packedIds, required, uint, unpackIds } from './body-codec.ts';
import { idBytes, type PackId, type RunId } from './ids.ts';

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
export function unpackPackIds(packs: Bytes): Generator<PackId> {
  return unpackIds(packs);
}

const planBody: BodyCodec<GcPlan> = bodyCodec('gc plan', mapOf<GcPlan>({
  packs: required(1, packedIds),
  createdAt: required(2, uint()),
  runId: required(3, id<RunId>()),
}));

const sweepBody: BodyCodec<GcSweep> = bodyCodec('gc sweep', mapOf<GcSweep>({
  packs: required(1, packedIds),
  planDigest: required(2, fixedBytes(32)),
  createdAt: required(3, uint()),
}));

const doneBody: BodyCodec<GcDone> = bodyCodec('gc done', mapOf<GcDone>({ createdAt: required(1, uint()) }));

/** Encoders throw a RangeError for values that the decoder would refuse, decoders OBJECT_CORRUPT and UNSUPPORTED_FORMAT. */
export const encodePlan: (plan: GcPlan) => Uint8Array<ArrayBuffer> = planBody.encode;
export const decodePlan: (body: Bytes) => GcPlan = planBody.decode;
export const encodeSweep: (sweep: GcSweep) => Uint8Array<ArrayBuffer> = sweepBody.encode;
export const decodeSweep: (body: Bytes) => GcSweep = sweepBody.decode;
export const encodeDone: (done: GcDone) => Uint8Array<ArrayBuffer> = doneBody.encode;
export const decodeDone: (body: Bytes) => GcDone = doneBody.decode;
