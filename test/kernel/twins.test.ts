import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareBytes } from '../../src/base/bytes.ts';
import { createFastKernel } from '../../src/kernel/fast.ts';
import { createPortableKernel } from '../../src/kernel/portable.ts';
import { randomBytes } from './kernel-data.ts';

const fast = createFastKernel();
const portable = createPortableKernel();
const bytes = (maxLength: number, minLength = 0): fc.Arbitrary<Uint8Array<ArrayBuffer>> =>
  fc.uint8Array({ minLength, maxLength }).map(array => new Uint8Array(array));

const erasures = fc.record({ dataBlocks: fc.integer({ min: 1, max: 254 }), parityShare: fc.double({ min: 0, max: 1, noNaN: true }), blockBytes: fc.integer({ min: 1, max: 9000 }), seed: fc.nat(1e6) })
  .chain(({ dataBlocks, parityShare, blockBytes, seed }) => {
    const parityBlocks = 1 + Math.floor(parityShare * Math.min(20, 254 - dataBlocks));
    const all = Array.from({ length: dataBlocks + parityBlocks }, (_, i) => i);
    return fc.record({
      dataBlocks: fc.constant(dataBlocks), parityBlocks: fc.constant(parityBlocks), blockBytes: fc.constant(blockBytes), seed: fc.constant(seed),
      lastBytes: fc.integer({ min: 0, max: blockBytes }), order: fc.shuffledSubarray(all, { minLength: all.length, maxLength: all.length }),
    });
  });

function padded(block: Uint8Array, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set(block);
  return bytes;
}

function expectSameBlocks(one: readonly Uint8Array[], other: readonly Uint8Array[]): void {
  expect(one.length).toBe(other.length);
  one.forEach((block, i) => { if (compareBytes(block, other[i]!) !== 0) expect.fail(`block ${i} differs`); });
}

describe('The fast and the portable kernel agree', () => {
  const key = randomBytes(32, 1);
  const data = randomBytes(300_000, 2);
  const hashers = [fast.createHasher(key), portable.createHasher(key)] as const;
  const expectSameHashes = (input: Uint8Array): void => {
    if (compareBytes(hashers[0].hash(input), hashers[1].hash(input)) !== 0) expect.fail(`keyed BLAKE3 of ${input.length} bytes`);
    if (compareBytes(fast.blake3(input), portable.blake3(input)) !== 0) expect.fail(`BLAKE3 of ${input.length} bytes`);
  };

  it('on BLAKE3 for every length from 0 to 4,097', () => {
    for (let length = 0; length <= 4097; length++) expectSameHashes(data.subarray(length, 2 * length));
  });

  it('on BLAKE3 around multiples of 1,024 and for long inputs', () => {
    for (const blocks of [5, 6, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257]) {
      for (const extra of [-1, 0, 1]) expectSameHashes(data.subarray(0, 1024 * blocks + extra));
    }
    expectSameHashes(data);
  });

  it.each([1, 2] as const)('on suite %i: the same sealed bytes, and each opens what the other sealed', suite => {
    fc.assert(fc.property(bytes(32, 32), bytes(12, 12), bytes(100), bytes(2000), (aeadKey, nonce, additional, plaintext) => {
      const [one, other] = [fast.createAead(suite, aeadKey), portable.createAead(suite, aeadKey)];
      const sealed = one.seal(nonce, additional, plaintext);
      expect(compareBytes(sealed, other.seal(nonce, additional, plaintext))).toBe(0);
      expect(compareBytes(one.open(nonce, additional, sealed)!, plaintext)).toBe(0);
      expect(compareBytes(other.open(nonce, additional, sealed)!, plaintext)).toBe(0);
    }));
  });

  it.each([1, 2] as const)('on suite %i for a whole frame', suite => {
    const sealed = fast.createAead(suite, key).seal(key.subarray(0, 12), key, data);
    expect(compareBytes(portable.createAead(suite, key).open(key.subarray(0, 12), key, sealed)!, data)).toBe(0);
  });

  it('on parity and reconstructed blocks, for any counts, sizes and missing blocks', () => {
    fc.assert(fc.property(erasures, ({ dataBlocks, parityBlocks, blockBytes, lastBytes, seed, order }) => {
      const source = randomBytes(dataBlocks * blockBytes, seed);
      const blocks = Array.from({ length: dataBlocks }, (_, i) => source.subarray(i * blockBytes, (i + 1) * blockBytes - (i === dataBlocks - 1 ? blockBytes - lastBytes : 0)));
      const codes = [fast, portable].map(kernel => kernel.createErasureCode(dataBlocks, parityBlocks));
      const [parity, same] = codes.map(code => code.encode(blocks, blockBytes));
      expectSameBlocks(parity!, same!);
      // Any `parityBlocks` of all blocks, of data and parity alike, are lost.
      const lost = new Set(order.slice(0, parityBlocks));
      const data = blocks.map((block, i) => (lost.has(i) ? undefined : block));
      const left = parity!.map((block, i) => (lost.has(dataBlocks + i) ? undefined : block));
      const restored = codes.map(code => code.reconstruct(data, left, blockBytes));
      const wanted = blocks.flatMap((block, i) => (lost.has(i) ? [padded(block, blockBytes)] : []));
      for (const each of restored) expectSameBlocks(each, wanted);
    }), { numRuns: 25 });
  });

  it('on HKDF and HMAC', () => {
    fc.assert(fc.property(bytes(200), bytes(200), bytes(200), fc.integer({ min: 1, max: 300 }), (secret, salt, info, length) => {
      expect(fast.hkdf(secret, salt, info, length)).toEqual(portable.hkdf(secret, salt, info, length));
      expect(fast.hmacSha256(secret, info)).toEqual(portable.hmacSha256(secret, info));
    }));
  });

  it('on scrypt', async () => {
    for (const [N, r, p, length] of [[2, 1, 1, 1], [64, 8, 1, 32], [256, 3, 4, 65]] as const) {
      const keys = [fast, portable].map(kernel => kernel.scrypt(data.subarray(0, 20), data.subarray(20, 36), { N, r, p }, length));
      expect(await keys[0]).toEqual(await keys[1]);
    }
  });

  it('on Ed25519: the same keys and signatures, and each verifies the other', () => {
    fc.assert(fc.property(bytes(32, 32), bytes(300), bytes(64, 64), (seed, message, forged) => {
      const publicKey = fast.ed25519PublicKey(seed);
      const signature = fast.ed25519Sign(seed, message);
      expect(portable.ed25519PublicKey(seed)).toEqual(publicKey);
      expect(portable.ed25519Sign(seed, message)).toEqual(signature);
      for (const kernel of [fast, portable]) {
        expect(kernel.ed25519Verify(publicKey, message, signature)).toBe(true);
        expect(kernel.ed25519Verify(publicKey, message, forged)).toBe(false);
        expect(kernel.ed25519Verify(seed, message, signature)).toBe(false);
      }
    }), { numRuns: 20 });
  });
});
