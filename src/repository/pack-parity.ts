/** Parity of single packs: makes it from a pack that was found right, and restores a damaged pack from it (decision 0008). */
import { concatBytes, equalBytes, type Bytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import { hasCode, SnapError } from '../base/errors.ts';
import { MiB } from '../base/units.ts';
import { HEADER_BYTES, OBJECT_TYPES } from '../format/header.ts';
import type { PackId } from '../format/ids.ts';
import { MAX_PACK_BYTES } from '../format/limits.ts';
import { packName, parityName, type PackType } from '../format/object-names.ts';
import {
  alignedBytes, assembleParity, cutBlocks, decodeParityHead, encodeParityHead, headFromTail, isIntactBlock, parityCheck, PARITY_CHECK_BYTES,
  parityHeadBytes, planParity, type ParityHead,
} from '../format/parity.ts';
import { isUnreadable } from './damage.ts';
import type { OpenRepository } from './opened-repository.ts';
import { findPackFault } from './pack-verification.ts';

/** One read of several blocks, as long as nothing fails. */
const RANGE_BYTES = 4 * MiB;
/** The head of a parity is hardly ever longer. */
const USUAL_HEAD_BYTES = 4096;

export interface PackName {
  readonly type: PackType;
  readonly id: PackId;
}

/** The bytes of a new parity object. The caller has found the pack right. `share` of the size of the pack is spent on parity blocks. */
export function makeParity({ kernel, objects }: OpenRepository, pack: PackName, bytes: Bytes, share: number): Uint8Array<ArrayBuffer> {
  const { blockBytes, dataBlocks, parityBlocks } = planParity(bytes.length, share);
  const data = cutBlocks(bytes, blockBytes);
  const parity = kernel.createErasureCode(dataBlocks, parityBlocks).encode(data, blockBytes);
  const checksOf = (blocks: readonly Bytes[]): Bytes => concatBytes(blocks.map(block => parityCheck(kernel, block)));
  const head = encodeParityHead({
    code: 'cauchy', packType: pack.type, packBytes: bytes.length, blockBytes, dataChecks: checksOf(data), parityChecks: checksOf(parity),
  });
  return concatBytes(assembleParity(objects.seal(parityName(pack.id), OBJECT_TYPES.parity, head), parity));
}

export type Restored =
  | { readonly bytes: Uint8Array<ArrayBuffer>; readonly blocksRestored: number }
  /** Why parity cannot help, as a sentence without a final period. */
  | { readonly bytes: undefined; readonly reason: string };

/**
 * The whole bytes of a damaged pack, verified to the last frame. Reads what can be read of the pack, block by block where a read
 * fails; what cannot be read, does not match its checksum, or is not there is made from the parity. Memory: the pack, and as many
 * blocks again as are damaged. Changes nothing in the storage.
 * @throws UNAVAILABLE when too many blocks cannot be read: whether they are damaged is not known then; every other repository error
 */
export async function restorePack(repository: OpenRepository, pack: PackName, options: CallOptions = {}): Promise<Restored> {
  const { kernel } = repository;
  const opened = await openParity(repository, pack.id, options);
  if (typeof opened === 'string') return { bytes: undefined, reason: opened };
  const { head } = opened;
  if (head.packType !== pack.type) return { bytes: undefined, reason: `The parity is that of a ${head.packType} pack` };
  const source = await readPack(repository, packName(pack.type, pack.id), head, options);
  if (source === undefined) return { bytes: undefined, reason: 'The pack is gone, and parity cannot replace a whole pack' };
  const { bytes, missing } = source;
  const parity = await readParityBlocks(repository, pack.id, opened, missing.length, options);
  if (parity === undefined) return { bytes: undefined, reason: tooMany(head, missing) };
  fillIn(repository, head, bytes, missing, parity);
  if (!missing.every(index => isIntactBlock(kernel, head.dataChecks, index, blockOf(bytes, head, index)))) {
    return { bytes: undefined, reason: 'What the parity gives does not match its checksums' };
  }
  const fault = findPackFault(repository, pack, bytes);
  if (fault !== undefined) return { bytes: undefined, reason: `The parity was made of a damaged pack: ${fault.message}` };
  return { bytes, blocksRestored: missing.length };
}

/** What is wrong with a stored parity; undefined when both heads and all its blocks are right. @throws every error that is no damage */
export async function findParityFault(repository: OpenRepository, pack: PackName, packBytes: number, options: CallOptions = {}): Promise<string | undefined> {
  const { backend, kernel, objects } = repository;
  const name = parityName(pack.id);
  try {
    const { sizeBytes } = await backend.stat(name, options);
    if (sizeBytes < HEADER_BYTES || sizeBytes > MAX_PACK_BYTES) return `It has ${sizeBytes} bytes`;
    const bytes = await backend.read(name, undefined, options);
    const headBytes = parityHeadBytes(bytes);
    const sealed = bytes.subarray(0, headBytes);
    const head = decodeParityHead((await objects.openFresh(name, sealed, options)).payload);
    if (head.packType !== pack.type || head.packBytes !== packBytes) return 'It does not fit the pack';
    const blocks = cutBlocks(bytes.subarray(alignedBytes(headBytes), bytes.length - headBytes), head.blockBytes);
    const isWhole = blocks.length === parityBlocksOf(head) && blocks.every((block, i) => isIntactBlock(kernel, head.parityChecks, i, block));
    if (!isWhole) return 'Its blocks are damaged';
    return equalBytes(headFromTail(bytes.subarray(bytes.length - headBytes)), sealed) ? undefined : 'Its second head is damaged';
  } catch (error) {
    if (!isUnreadable(error) && !hasCode(error, 'OBJECT_NOT_FOUND')) throw error;
    return error.message;
  }
}

interface OpenedParity {
  readonly head: ParityHead;
  readonly blocksAt: number;
}

/** The head from either end, or why there is none. */
async function openParity(repository: OpenRepository, id: PackId, options: CallOptions): Promise<OpenedParity | string> {
  const { backend, objects } = repository;
  const name = parityName(id);
  let sizeBytes: number;
  try {
    ({ sizeBytes } = await backend.stat(name, options));
  } catch (error) {
    if (hasCode(error, 'OBJECT_NOT_FOUND')) return 'There is no parity for the pack';
    throw error;
  }
  if (sizeBytes < HEADER_BYTES) return 'The parity is too short';
  const open = async (sealed: Bytes): Promise<OpenedParity> => ({
    head: decodeParityHead((await objects.openFresh(name, sealed, options)).payload), blocksAt: alignedBytes(sealed.length),
  });
  const read = (offset: number, length: number): Promise<Bytes> => backend.read(name, { offset, length }, options);
  const usual = Math.min(USUAL_HEAD_BYTES, sizeBytes);
  const front = async (): Promise<OpenedParity> => {
    const first = await read(0, usual);
    const wanted = Math.min(parityHeadBytes(first), sizeBytes);
    return open(wanted <= first.length ? first.subarray(0, wanted) : await read(0, wanted));
  };
  const back = async (): Promise<OpenedParity> => {
    const wanted = Math.min(parityHeadBytes(await read(sizeBytes - HEADER_BYTES, HEADER_BYTES)), sizeBytes);
    return open(headFromTail(await read(sizeBytes - wanted, wanted)));
  };
  try {
    return await front().catch((error: unknown) => {
      if (!isLost(error)) throw error;
      return back();
    });
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return `Neither head of the parity can be used: ${error.message}`;
  }
}

/** Damage, or a sector that cannot be read. */
function isLost(error: unknown): error is SnapError {
  return isUnreadable(error) || hasCode(error, 'UNAVAILABLE');
}

interface DamagedPack {
  /** Of the size that the pack should have; missing blocks hold anything. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Ascending. */
  readonly missing: readonly number[];
}

/** Undefined when there is no such pack. */
async function readPack({ backend, kernel }: OpenRepository, name: string, head: ParityHead, options: CallOptions): Promise<DamagedPack | undefined> {
  const { packBytes, blockBytes, dataChecks } = head;
  const bytes = new Uint8Array(packBytes);
  const dataBlocks = Math.ceil(packBytes / blockBytes);
  const perRange = Math.max(1, Math.floor(RANGE_BYTES / blockBytes));
  const missing: number[] = [];
  let unread: SnapError | undefined;
  const read = async (first: number, end: number): Promise<SnapError | undefined> => {
    const offset = first * blockBytes;
    const length = Math.min(end * blockBytes, packBytes) - offset;
    try {
      bytes.set(await backend.read(name, { offset, length }, options), offset);
      return undefined;
    } catch (error) {
      if (!hasCode(error, 'UNAVAILABLE', 'INVALID_RANGE')) throw error;
      return error;
    }
  };
  const check = (index: number): void => {
    if (!isIntactBlock(kernel, dataChecks, index, blockOf(bytes, head, index))) missing.push(index);
  };
  try {
    for (let first = 0; first < dataBlocks; first += perRange) {
      const end = Math.min(first + perRange, dataBlocks);
      const isWhole = await read(first, end) === undefined;
      for (let index = first; index < end; index++) {
        const error = isWhole ? undefined : await read(index, index + 1);
        if (error === undefined) check(index);
        else missing.push(index);
        if (error?.code === 'UNAVAILABLE') unread ??= error;
        if (unread !== undefined && missing.length > parityBlocksOf(head)) throw unread;
      }
    }
  } catch (error) {
    if (hasCode(error, 'OBJECT_NOT_FOUND')) return undefined;
    throw error;
  }
  return { bytes, missing };
}

/** As many intact blocks as are wanted, the others undefined; undefined when there are fewer. */
async function readParityBlocks(
  { backend, kernel }: OpenRepository, id: PackId, { head, blocksAt }: OpenedParity, wanted: number, options: CallOptions,
): Promise<(Bytes | undefined)[] | undefined> {
  const blocks: (Bytes | undefined)[] = Array.from({ length: parityBlocksOf(head) }, () => undefined);
  let unread: SnapError | undefined;
  let found = 0;
  for (let index = 0; index < blocks.length && found < wanted; index++) {
    try {
      const block = await backend.read(parityName(id), { offset: blocksAt + index * head.blockBytes, length: head.blockBytes }, options);
      if (!isIntactBlock(kernel, head.parityChecks, index, block)) continue;
      blocks[index] = block;
      found++;
    } catch (error) {
      if (!hasCode(error, 'UNAVAILABLE', 'INVALID_RANGE')) throw error;
      if (error.code === 'UNAVAILABLE') unread ??= error;
    }
  }
  if (found >= wanted) return blocks;
  if (unread !== undefined && wanted <= blocks.length) throw unread;
  return undefined;
}

function fillIn({ kernel }: OpenRepository, head: ParityHead, bytes: Uint8Array, missing: readonly number[], parity: readonly (Bytes | undefined)[]): void {
  if (missing.length === 0) return;
  const lost = new Set(missing);
  const data = cutBlocks(bytes, head.blockBytes).map((block, i) => (lost.has(i) ? undefined : block));
  const restored = kernel.createErasureCode(data.length, parity.length).reconstruct(data, parity, head.blockBytes);
  missing.forEach((index, i) => {
    const target = blockOf(bytes, head, index);
    target.set(restored[i]!.subarray(0, target.length));
  });
}

function blockOf(bytes: Uint8Array, { blockBytes }: ParityHead, index: number): Uint8Array {
  return bytes.subarray(index * blockBytes, (index + 1) * blockBytes);
}

function parityBlocksOf({ parityChecks }: ParityHead): number {
  return parityChecks.length / PARITY_CHECK_BYTES;
}

function tooMany(head: ParityHead, missing: readonly number[]): string {
  const blocks = Math.ceil(head.packBytes / head.blockBytes);
  return `${missing.length} of the ${blocks} blocks of the pack are damaged; the parity has ${parityBlocksOf(head)} blocks, of which not enough are intact`;
}
