/**
 * Parity of one pack, `parity/<pack ID>`: gives back blocks that a failing disk lost (docs/format.md, section 7.4; decision 0008).
 *
 * A sealed object is one message: one wrong bit loses it. So only the head is sealed, and stands at both ends; the parity blocks
 * lie between in clear, each with a checksum in the head, so that a damaged one is just one block less. They are sums of
 * ciphertext and tell nothing.
 *
 *     0          head: a whole sealed object, H bytes, then zeros up to a multiple of 4,096
 *     A          parity blocks
 *     end - H    ciphertext and tag of the head, then its header: the same bytes again
 */
import { type Bytes, concatBytes, equalBytes } from '../base/bytes.ts';
import { KiB } from '../base/units.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { bodyCodec, type BodyCodec, byteString, choice, mapOf, required, uint } from './body-codec.ts';
import { corrupt, unsupported } from './decode-error.ts';
import { decodeHeader, HEADER_BYTES, OBJECT_TYPES, TAG_BYTES } from './header.ts';
import { MAX_PACK_BYTES, MAX_PARITY_BLOCK_BYTES, MAX_PARITY_BLOCKS } from './limits.ts';
import type { PackType } from './object-names.ts';
import { padmeSize } from './padding.ts';
import { checkSealedLength } from './sealed-object.ts';

/** Sizes of blocks are multiples of it: disks lose whole sectors. */
export const PARITY_SECTOR_BYTES: number = 4 * KiB;
/** First bytes of BLAKE3 of a block. */
export const PARITY_CHECK_BYTES = 16;
/** A pack is cut into at most so many blocks: more would bear more scattered damage, but each costs time for every parity block. */
const MOST_DATA_BLOCKS = 128;
/** Data and parity blocks, as shares: what is smaller protects nothing, what is larger costs more than a second copy. */
export const MIN_PARITY_SHARE = 0.01;
export const MAX_PARITY_SHARE = 0.5;

/** What is known of the blocks of a pack and of its parity. */
export interface ParityHead {
  /** Cauchy-Reed-Solomon, the only one so far. */
  readonly code: 'cauchy';
  readonly packType: PackType;
  readonly packBytes: number;
  readonly blockBytes: number;
  /** `PARITY_CHECK_BYTES` of each data block as it is in the pack, so of the last one without the zeros that stand behind it. */
  readonly dataChecks: Bytes;
  /** The same of each parity block. */
  readonly parityChecks: Bytes;
}

const body: BodyCodec<ParityHead> = bodyCodec('parity', mapOf<ParityHead>({
  code: required(1, choice(['cauchy'], number => unsupported('parity', `erasure code ${number}`, { code: number }))),
  packType: required(2, choice(['data', 'tree'], number => unsupported('parity', `pack type ${number}`, { type: number }))),
  packBytes: required(3, uint(MAX_PACK_BYTES)),
  blockBytes: required(4, uint(MAX_PARITY_BLOCK_BYTES)),
  dataChecks: required(5, byteString),
  parityChecks: required(6, byteString),
}, headFault));

function headFault({ packBytes, blockBytes, dataChecks, parityChecks }: ParityHead): string | undefined {
  if (blockBytes === 0 || blockBytes % PARITY_SECTOR_BYTES !== 0) return `blocks of ${blockBytes} bytes`;
  const dataBlocks = Math.ceil(packBytes / blockBytes);
  if (dataBlocks === 0 || dataChecks.length !== dataBlocks * PARITY_CHECK_BYTES) return 'the checksums do not fit the size of the pack';
  const parityBlocks = parityChecks.length / PARITY_CHECK_BYTES;
  if (!Number.isInteger(parityBlocks) || parityBlocks === 0) return 'the checksums of the parity blocks are not whole';
  if (dataBlocks + parityBlocks > MAX_PARITY_BLOCKS) return `${dataBlocks} data and ${parityBlocks} parity blocks`;
  return undefined;
}

/** The body that is sealed. @throws RangeError for values that the decoder would refuse */
export const encodeParityHead: (head: ParityHead) => Uint8Array<ArrayBuffer> = body.encode;
/** @throws OBJECT_CORRUPT, UNSUPPORTED_FORMAT */
export const decodeParityHead: (bytes: Bytes) => ParityHead = body.decode;

export interface ParityPlan {
  readonly blockBytes: number;
  readonly dataBlocks: number;
  readonly parityBlocks: number;
}

/** Block sizes and counts for a pack of this size; `share` is that of the parity blocks in the size of the pack. */
export function planParity(packBytes: number, share: number): ParityPlan {
  if (!(share >= MIN_PARITY_SHARE && share <= MAX_PARITY_SHARE)) throw new RangeError(`A share of ${share}`);
  const blockBytes = PARITY_SECTOR_BYTES * Math.ceil(packBytes / (MOST_DATA_BLOCKS * PARITY_SECTOR_BYTES));
  const dataBlocks = Math.ceil(packBytes / blockBytes);
  return { blockBytes, dataBlocks, parityBlocks: Math.max(1, Math.ceil(dataBlocks * share)) };
}

/** The size of the object that holds this parity. */
export function parityObjectBytes({ blockBytes, dataBlocks, parityBlocks }: ParityPlan, packBytes: number): number {
  const zeros = (blocks: number): Bytes => new Uint8Array(blocks * PARITY_CHECK_BYTES);
  const head = encodeParityHead({
    code: 'cauchy', packType: 'data', packBytes, blockBytes, dataChecks: zeros(dataBlocks), parityChecks: zeros(parityBlocks),
  });
  const headBytes = HEADER_BYTES + padmeSize(4 + head.length) + TAG_BYTES;
  return alignedBytes(headBytes) + parityBlocks * blockBytes + headBytes;
}

/** The parts of a parity object, to be written one after the other; `head` is the sealed object. */
export function assembleParity(head: Bytes, parity: readonly Bytes[]): Bytes[] {
  const gap = new Uint8Array(alignedBytes(head.length) - head.length);
  return [head, gap, ...parity, head.subarray(HEADER_BYTES), head.subarray(0, HEADER_BYTES)];
}

/** Bytes from either end that hold the whole head; `header` has its 64 bytes. @throws OBJECT_CORRUPT, UNSUPPORTED_FORMAT */
export function parityHeadBytes(header: Bytes): number {
  const { type, sealedBytes } = decodeHeader(header);
  if (type !== OBJECT_TYPES.parity) throw corrupt('parity', 'an object of another type');
  checkSealedLength('parity', sealedBytes, type);
  return HEADER_BYTES + sealedBytes;
}

/** The sealed object from the last `parityHeadBytes` of a parity object, as it stands at the front. */
export function headFromTail(tail: Bytes): Uint8Array<ArrayBuffer> {
  const at = tail.length - HEADER_BYTES;
  return concatBytes([tail.subarray(at), tail.subarray(0, at)]);
}

/** Where the parity blocks begin; `headBytes` is the length of the sealed head. */
export function alignedBytes(headBytes: number): number {
  return Math.ceil(headBytes / PARITY_SECTOR_BYTES) * PARITY_SECTOR_BYTES;
}

/** `PARITY_CHECK_BYTES` of a block. */
export function parityCheck(kernel: Kernel, block: Bytes): Uint8Array<ArrayBuffer> {
  return kernel.blake3(block).slice(0, PARITY_CHECK_BYTES);
}

/** Whether the block is the one that check `index` was made of. */
export function isIntactBlock(kernel: Kernel, checks: Bytes, index: number, block: Bytes): boolean {
  return equalBytes(parityCheck(kernel, block), checks.subarray(index * PARITY_CHECK_BYTES, (index + 1) * PARITY_CHECK_BYTES));
}

/** The blocks of a pack, as views; the last one may be shorter. */
export function cutBlocks(pack: Bytes, blockBytes: number): Bytes[] {
  return Array.from({ length: Math.ceil(pack.length / blockBytes) }, (_, i) => pack.subarray(i * blockBytes, (i + 1) * blockBytes));
}
