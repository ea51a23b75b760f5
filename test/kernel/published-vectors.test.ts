import { describe, expect, it } from 'vitest';
import { fromHex, toHex, utf8 } from '../../src/base/bytes.ts';
import { createFastKernel } from '../../src/kernel/fast.ts';
import { createPortableKernel } from '../../src/kernel/portable.ts';
import {
  AEAD_VECTORS, BLAKE3_KEY, BLAKE3_VECTORS, ED25519_VECTORS, HKDF_VECTORS, HMAC_VECTORS, SCRYPT_VECTORS,
} from './published-vectors.ts';

describe.each([createFastKernel(), createPortableKernel()])('The $name kernel reproduces the published vectors', kernel => {
  it.each(BLAKE3_VECTORS)('of BLAKE3 for $length bytes', ({ length, hash, keyedHash }) => {
    const input = Uint8Array.from({ length }, (_, i) => i % 251);
    expect(toHex(kernel.blake3(input))).toBe(hash);
    expect(toHex(kernel.createHasher(utf8(BLAKE3_KEY)).hash(input))).toBe(keyedHash);
  });

  it.each(AEAD_VECTORS)('of $source', ({ suite, key, nonce, additional, plaintext, sealed }) => {
    const aead = kernel.createAead(suite, fromHex(key));
    expect(toHex(aead.seal(fromHex(nonce), fromHex(additional), fromHex(plaintext)))).toBe(sealed);
    expect(toHex(aead.open(fromHex(nonce), fromHex(additional), fromHex(sealed))!)).toBe(plaintext);
  });

  it.each(HKDF_VECTORS)('of RFC 5869 with salt $salt', ({ secret, salt, info, output }) => {
    expect(toHex(kernel.hkdf(fromHex(secret), fromHex(salt), fromHex(info), output.length / 2))).toBe(output);
  });

  it.each(HMAC_VECTORS)('of RFC 4231 with key $key', ({ key, message, output }) => {
    expect(toHex(kernel.hmacSha256(fromHex(key), fromHex(message)))).toBe(output);
  });

  it.each(SCRYPT_VECTORS)('of RFC 7914 with N = $N', async ({ password, salt, N, r, p, output }) => {
    expect(toHex(await kernel.scrypt(utf8(password), utf8(salt), { N, r, p }, 64))).toBe(output);
  });

  it.each(ED25519_VECTORS)('of RFC 8032 for message "$message"', ({ seed, publicKey, message, signature }) => {
    expect(toHex(kernel.ed25519PublicKey(fromHex(seed)))).toBe(publicKey);
    expect(toHex(kernel.ed25519Sign(fromHex(seed), fromHex(message)))).toBe(signature);
    expect(kernel.ed25519Verify(fromHex(publicKey), fromHex(message), fromHex(signature))).toBe(true);
  });
});
