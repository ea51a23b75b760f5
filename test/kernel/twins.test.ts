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
