import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { concatBytes } from '../../src/base/bytes.ts';
import { KiB, MiB } from '../../src/base/units.ts';
import { encodeHeader, HEADER_BYTES, OBJECT_TYPES } from '../../src/format/header.ts';
import { MAX_PACK_BYTES } from '../../src/format/limits.ts';
import {
  alignedBytes, assembleParity, cutBlocks, decodeParityHead, encodeParityHead, headFromTail, isIntactBlock, parityCheck, parityHeadBytes, parityObjectBytes, planParity,
  type ParityHead,
} from '../../src/format/parity.ts';
import { createFastKernel } from '../../src/kernel/fast.ts';

const kernel = createFastKernel();

const HEAD: ParityHead = {
  code: 'cauchy', packType: 'tree', packBytes: 20 * KiB + 1, blockBytes: 4 * KiB, dataChecks: new Uint8Array(6 * 16).fill(1), parityChecks: new Uint8Array(2 * 16).fill(2),
};

describe('the plan of a parity', () => {
  test('has blocks of whole sectors, at most 128 of them, and at least the share that was asked for', () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: MAX_PACK_BYTES }), fc.double({ min: 0.01, max: 0.5, noNaN: true }), (packBytes, share) => {
      const { blockBytes, dataBlocks, parityBlocks } = planParity(packBytes, share);
      expect(blockBytes % (4 * KiB)).toBe(0);
      expect(dataBlocks).toBeLessThanOrEqual(128);
      expect((dataBlocks - 1) * blockBytes).toBeLessThan(packBytes);
      expect(dataBlocks * blockBytes).toBeGreaterThanOrEqual(packBytes);
      expect(parityBlocks * blockBytes).toBeGreaterThanOrEqual(share * packBytes - 1e-6);
      expect(parityBlocks === 1 || (parityBlocks - 1) / dataBlocks < share).toBe(true);
      expect(dataBlocks + parityBlocks).toBeLessThanOrEqual(255);
    }));
  });

  test.each([
    [8 * KiB + 368, 0.05, [4 * KiB, 3, 1]], [64 * KiB, 0.05, [4 * KiB, 16, 1]], [512 * KiB, 0.05, [4 * KiB, 128, 7]], [512 * KiB + 1, 0.05, [8 * KiB, 65, 4]],
    [16 * MiB, 0.05, [128 * KiB, 128, 7]], [MAX_PACK_BYTES, 0.5, [2 * MiB, 128, 64]],
  ] as const)('of %i bytes with a share of %d is %j', (packBytes, share, expected) => {
    const { blockBytes, dataBlocks, parityBlocks } = planParity(packBytes, share);
    expect([blockBytes, dataBlocks, parityBlocks]).toEqual(expected);
  });

  test.each([0, 0.009, 0.51, Number.NaN])('refuses a share of %d', share => { expect(() => planParity(1000, share)).toThrow(RangeError); });
});

describe('the head of a parity', () => {
  test('gives back what was encoded', () => { expect(decodeParityHead(encodeParityHead(HEAD))).toEqual(HEAD); });

  test.each<readonly [string, Partial<ParityHead>]>([
    ['blocks that are no whole sectors', { blockBytes: 4 * KiB + 1 }],
    ['blocks of no bytes', { blockBytes: 0 }],
    ['an empty pack', { packBytes: 0, dataChecks: new Uint8Array(0) }],
    ['too few checksums of data blocks', { dataChecks: new Uint8Array(5 * 16) }],
    ['too many checksums of data blocks', { dataChecks: new Uint8Array(7 * 16) }],
    ['no parity block', { parityChecks: new Uint8Array(0) }],
    ['half a checksum', { parityChecks: new Uint8Array(24) }],
    ['more than 255 blocks in all', { parityChecks: new Uint8Array(250 * 16) }],
    ['a pack above the limit', { packBytes: MAX_PACK_BYTES + 1 }],
    ['blocks above the limit', { blockBytes: 8 * MiB + 4 * KiB }],
  ])('with %s is not written and not read', (_what, change) => {
    expect(() => encodeParityHead({ ...HEAD, ...change })).toThrow(RangeError);
    expect(() => decodeParityHead(handWritten({ ...HEAD, ...change }))).toThrow(expect.objectContaining({ code: 'OBJECT_CORRUPT' }));
  });

  test('of another erasure code or type of pack is unsupported', () => {
    for (const at of [2, 4]) {
      const bytes = encodeParityHead(HEAD);
      bytes[at] = 9;
      expect(() => decodeParityHead(bytes)).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_FORMAT' }));
    }
  });

  /** What the encoder refuses: a CBOR map of six fields, byte by byte. */
  function handWritten({ packBytes, blockBytes, dataChecks, parityChecks }: ParityHead): Uint8Array {
    return concatBytes([Uint8Array.of(0xa6, 1, 1, 2, 2, 3), uint(0, packBytes), Uint8Array.of(4), uint(0, blockBytes), Uint8Array.of(5),
      uint(0x40, dataChecks.length), dataChecks, Uint8Array.of(6), uint(0x40, parityChecks.length), parityChecks]);
  }

  function uint(major: number, value: number): Uint8Array {
    if (value < 24) return Uint8Array.of(major | value);
    if (value < 256) return Uint8Array.of(major | 24, value);
    if (value < 65_536) return Uint8Array.of(major | 25, value >> 8, value & 255);
    return Uint8Array.of(major | 26, value >>> 24, value >> 16 & 255, value >> 8 & 255, value & 255);
  }
});

describe('a parity object', () => {
  const header = encodeHeader({ type: OBJECT_TYPES.parity, suite: 3, isCompressed: false, epoch: 1, objectId: new Uint8Array(16), random: new Uint8Array(24), sealedBytes: 300 });
  const sealed = concatBytes([header, new Uint8Array(300).fill(7)]);
  const blocks = [new Uint8Array(4 * KiB).fill(1), new Uint8Array(4 * KiB).fill(2)];

  test('has its head at both ends and its blocks on whole sectors', () => {
    const object = concatBytes(assembleParity(sealed, blocks));
    expect(parityHeadBytes(object)).toBe(sealed.length);
    expect(object.subarray(0, sealed.length)).toEqual(sealed);
    expect(headFromTail(object.subarray(object.length - sealed.length))).toEqual(sealed);
    expect(parityHeadBytes(object.subarray(object.length - HEADER_BYTES))).toBe(sealed.length);
    expect(object.subarray(alignedBytes(sealed.length), alignedBytes(sealed.length) + 8 * KiB)).toEqual(concatBytes(blocks));
    expect(alignedBytes(sealed.length)).toBe(4 * KiB);
  });

  test('is refused when its header is that of another type, or promises an absurd length', () => {
    const options = { suite: 3, isCompressed: false, epoch: 1, objectId: new Uint8Array(16), random: new Uint8Array(24) } as const;
    expect(() => parityHeadBytes(encodeHeader({ ...options, type: OBJECT_TYPES.snapshot, sealedBytes: 300 }))).toThrow(expect.objectContaining({ code: 'OBJECT_CORRUPT' }));
    expect(() => parityHeadBytes(encodeHeader({ ...options, type: OBJECT_TYPES.parity, sealedBytes: 2 ** 31 }))).toThrow(expect.objectContaining({ code: 'OBJECT_CORRUPT' }));
  });

  test('has the size that is expected of it', () => {
    const plan = planParity(20 * KiB + 1, 0.3);
    const body = encodeParityHead({ ...HEAD, packType: 'data' });
    expect(plan).toEqual({ blockBytes: 4 * KiB, dataBlocks: 6, parityBlocks: 2 });
    // u32 and body, padded to a multiple of 16, seal and header: twice; the first one on a sector of its own.
    const headBytes = 64 + Math.ceil((4 + body.length) / 16) * 16 + 16;
    expect(parityObjectBytes(plan, 20 * KiB + 1)).toBe(4 * KiB + 8 * KiB + headBytes);
  });
});

test('a block is intact only as it was', () => {
  const [block, short] = cutBlocks(new Uint8Array(4 * KiB + 10).fill(3), 4 * KiB);
  const checks = concatBytes([parityCheck(kernel, block!), parityCheck(kernel, short!)]);
  expect(short).toHaveLength(10);
  expect([isIntactBlock(kernel, checks, 0, block!), isIntactBlock(kernel, checks, 1, short!), isIntactBlock(kernel, checks, 0, short!)]).toEqual([true, true, false]);
});
