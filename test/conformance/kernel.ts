/** The contract of the port `Kernel`, sentence by sentence; every adapter calls it. */
import { describe, expect, it } from 'vitest';
import { utf8 } from '../../src/base/bytes.ts';
import { KiB } from '../../src/base/units.ts';
import type { AeadSuite, CutParameters, Kernel } from '../../src/kernel/kernel.ts';
import { gearTable, randomBytes, textBytes } from '../kernel/kernel-data.ts';

const KEY = randomBytes(32, 100);
const NONCE = randomBytes(12, 101);
const PARAMETERS: CutParameters = { minBytes: 64, averageBytes: 256, maxBytes: 1024 };

export function describeKernel(name: string, create: () => Kernel): void {
  describe(`The contract of a kernel, kept by ${name}`, () => {
    describeHashing(create);
    describeCutter(create);
    describe.each([1, 2] as const)('AEAD suite %i', suite => describeAead(create, suite));
    describeCompression(create);
    describeErasureCode(create);
    describeDerivation(create);
    describeSignatures(create);
  });
}

function describeHashing(create: () => Kernel): void {
  it('hashes to 32 newly allocated bytes', () => {
    const kernel = create();
    const hasher = kernel.createHasher(KEY);
    for (const hash of [(bytes: Uint8Array) => kernel.blake3(bytes), (bytes: Uint8Array) => hasher.hash(bytes)]) {
      const first = hash(utf8('a'));
      const copy = new Uint8Array(first);
      const second = hash(utf8('b'));
      expectOwnMemory(first);
      expectOwnMemory(second);
      expect(first.length).toBe(32);
      expect(first).toEqual(copy);
      expect(second).not.toEqual(first);
      expect(hash(utf8('a'))).toEqual(first);
    }
  });

  it('gives another hash under another key and without one', () => {
    const kernel = create();
    const hashes = [kernel.createHasher(KEY).hash(KEY), kernel.createHasher(new Uint8Array(32)).hash(KEY), kernel.blake3(KEY)];
    expect(new Set(hashes.map(String)).size).toBe(3);
  });

  it('keeps its own copy of a key', () => {
    const kernel = create();
    const key = new Uint8Array(KEY);
    const hasher = kernel.createHasher(key);
    const aead = kernel.createAead(1, key);
    const [hash, sealed] = [hasher.hash(NONCE), aead.seal(NONCE, KEY, NONCE)];
    key.fill(0);
    expect(hasher.hash(NONCE)).toEqual(hash);
    expect(aead.seal(NONCE, KEY, NONCE)).toEqual(sealed);
  });

  it('hashes a view of the cutter window', () => {
    const kernel = create();
    const { memory } = kernel.createCutter(gearTable(1), 8 * KiB);
    const data = randomBytes(5000, 5);
    memory.set(data, 77);
    expect(kernel.createHasher(KEY).hash(memory.subarray(77, 5077))).toEqual(kernel.createHasher(KEY).hash(data));
  });

  it('refuses a key that is not 32 bytes long', () => {
    expect(() => create().createHasher(new Uint8Array(31))).toThrow(RangeError);
  });
}

function describeCutter(create: () => Kernel): void {
  const WINDOW = 100_000;
  const cutter = create().createCutter(gearTable(1), WINDOW);
  cutter.memory.set(randomBytes(WINDOW, 2));

  it('has a window of exactly the asked size, which never moves', () => {
    const { memory } = cutter;
    cutter.cut(0, WINDOW, true, PARAMETERS);
    expect(memory.length).toBe(WINDOW);
    expect(cutter.memory).toBe(memory);
    expect(memory.length).toBe(WINDOW);
  });

  it('answers 0 when more bytes are needed to decide, and never for a non-empty end of the data', () => {
    const length = cutter.cut(0, WINDOW, true, PARAMETERS);
    expect(length).toBeGreaterThan(PARAMETERS.minBytes);
    for (const end of [1, 63, 64, length - 1]) {
      expect(cutter.cut(0, end, false, PARAMETERS)).toBe(0);
      expect(cutter.cut(0, end, true, PARAMETERS)).toBe(end);
    }
    expect(cutter.cut(0, length, false, PARAMETERS)).toBe(length);
    expect(cutter.cut(500, 500, true, PARAMETERS)).toBe(0);
  });

  it('cuts by the bytes since the start alone', () => {
    const length = cutter.cut(3000, WINDOW, true, PARAMETERS);
    cutter.memory.copyWithin(50_001, 3000, 3000 + length);
    expect(cutter.cut(50_001, WINDOW, false, PARAMETERS)).toBe(length);
  });

  it('copies the table', () => {
    const kernel = create();
    const gear = gearTable(4);
    const before = kernel.createCutter(gear, WINDOW);
    gear.fill(0n);
    const expected = kernel.createCutter(gearTable(4), WINDOW);
    for (const each of [before, expected]) each.memory.set(randomBytes(WINDOW, 6));
    expect(before.cut(0, WINDOW, true, PARAMETERS)).toBe(expected.cut(0, WINDOW, true, PARAMETERS));
  });

  it('keeps the cutters of one kernel apart', () => {
    const kernel = create();
    const [one, other] = [kernel.createCutter(gearTable(1), 4096), kernel.createCutter(gearTable(2), 4096)];
    one.memory.fill(1);
    expect(other.memory.every(byte => byte === 0)).toBe(true);
  });

  it.each([[-1, 10], [0, WINDOW + 1], [20, 10], [0.5, 10], [0, Number.NaN]])('refuses the range %d to %d with a RangeError', (start, end) => {
    expect(() => cutter.cut(start, end, true, PARAMETERS)).toThrow(RangeError);
  });

  it.each([[63, 64, 64], [64, 96, 128], [128, 64, 256], [64, 256, 128], [64, 256, WINDOW + 1], [64.5, 128, 256], [64, Number.NaN, 128]])(
    'refuses the parameters %d/%d/%d with a RangeError', (minBytes, averageBytes, maxBytes) => {
      expect(() => cutter.cut(0, 10, true, { minBytes, averageBytes, maxBytes })).toThrow(RangeError);
    });

  it('refuses a table or a window of another size with a RangeError', () => {
    expect(() => create().createCutter(new BigUint64Array(255), 4096)).toThrow(RangeError);
    for (const windowBytes of [0, 63, 4096.5, 2 ** 31, Number.NaN]) {
      expect(() => create().createCutter(gearTable(1), windowBytes)).toThrow(RangeError);
    }
  });
}

function describeAead(create: () => Kernel, suite: AeadSuite): void {
  const aead = create().createAead(suite, KEY);
  const additional = utf8('header');

  it.each([0, 1, 15, 16, 17, 4096, 65_536, 65_537, 200_001])('opens what it sealed, %i bytes, in memory of its own', size => {
    const plaintext = randomBytes(size, size);
    const sealed = aead.seal(NONCE, additional, plaintext);
    const opened = aead.open(NONCE, additional, sealed);
    expect(sealed.length).toBe(size + 16);
    expectOwnMemory(sealed);
    expect(Buffer.compare(opened!, plaintext)).toBe(0);
    expectOwnMemory(opened!);
  });

  it('gives results whose memory can be moved to another thread without a copy', () => {
    const sealed = aead.seal(NONCE, additional, KEY);
    const opened = aead.open(NONCE, additional, sealed)!;
    for (const result of [sealed, opened]) {
      const copy = new Uint8Array(result);
      expect(structuredClone(result, { transfer: [result.buffer] })).toEqual(copy);
      expect(result.length).toBe(0);
    }
  });

  it('leaves its arguments as they are, also when they are views at odd offsets', () => {
    const memory = randomBytes(300, 7);
    const before = new Uint8Array(memory);
    const [nonce, header, plaintext] = [memory.subarray(1, 13), memory.subarray(13, 20), memory.subarray(21, 121)];
    const sealed = aead.seal(nonce, header, plaintext);
    memory.set(sealed, 131);
    before.set(sealed, 131);
    expect(aead.open(nonce, header, memory.subarray(131, 131 + sealed.length))).toEqual(new Uint8Array(plaintext));
    expect(memory).toEqual(before);
  });

  it('answers undefined when a bit of the sealed bytes, the nonce, the additional data or the key is wrong', () => {
    const sealed = aead.seal(NONCE, additional, randomBytes(40, 8));
    for (let bit = 0; bit < 8 * sealed.length; bit++) expect(aead.open(NONCE, additional, flipped(sealed, bit))).toBeUndefined();
    for (let bit = 0; bit < 8 * NONCE.length; bit++) expect(aead.open(flipped(NONCE, bit), additional, sealed)).toBeUndefined();
    for (let bit = 0; bit < 8 * additional.length; bit++) expect(aead.open(NONCE, flipped(additional, bit), sealed)).toBeUndefined();
    expect(create().createAead(suite, flipped(KEY, 0)).open(NONCE, additional, sealed)).toBeUndefined();
  });

  it('answers undefined for sealed bytes that are too short or too long', () => {
    const sealed = aead.seal(NONCE, additional, KEY);
    for (const length of [0, 1, 15, 16, sealed.length - 1]) expect(aead.open(NONCE, additional, sealed.subarray(0, length))).toBeUndefined();
    expect(aead.open(NONCE, additional, new Uint8Array([...sealed, 0]))).toBeUndefined();
  });

  it('refuses keys and nonces of another length with a RangeError', () => {
    expect(() => create().createAead(suite, new Uint8Array(16))).toThrow(RangeError);
    expect(() => aead.seal(new Uint8Array(11), additional, KEY)).toThrow(RangeError);
    expect(() => aead.open(new Uint8Array(24), additional, KEY)).toThrow(RangeError);
  });
}

function describeCompression(create: () => Kernel): void {
  const kernel = create();
  const text = textBytes(100_000, 1);

  it.each([-5, -1, 1, 3, 19])('decompresses what it compressed at level %i', level => {
    const frame = kernel.createCompressor(level).compress(text, text.length)!;
    expect(frame.length).toBeLessThan(text.length / 2);
    expect(Buffer.compare(kernel.decompress(frame, text.length)!, text)).toBe(0);
  });

  it('compresses to undefined what would not be smaller than the limit', () => {
    const compressor = kernel.createCompressor(1);
    const { length } = compressor.compress(text, text.length)!;
    expect(compressor.compress(text, length)).toBeUndefined();
    expect(compressor.compress(text, length + 1)?.length).toBe(length);
    expect(compressor.compress(randomBytes(1000, 1), 1000)).toBeUndefined();
    expect(compressor.compress(new Uint8Array(0), 1)).toBeUndefined();
  });

  it('keeps the levels of two compressors apart', () => {
    const [one, other] = [kernel.createCompressor(-5), kernel.createCompressor(19)];
    const fast = one.compress(text, text.length)!.length;
    expect(other.compress(text, text.length)!.length).toBeLessThan(fast);
    expect(one.compress(text, text.length)!.length).toBe(fast);
  });

  it('refuses a level outside the scale with a RangeError', () => {
    for (const level of [23, -131_073, 1.5]) expect(() => kernel.createCompressor(level)).toThrow(RangeError);
  });
}

function describeErasureCode(create: () => Kernel): void {
  const BLOCK = 5000;
  const data = Array.from({ length: 9 }, (_, i) => randomBytes(i === 8 ? 700 : BLOCK, i));
  const whole = data.map(block => {
    const padded = new Uint8Array(BLOCK);
    padded.set(block);
    return padded;
  });

  it('gives missing data blocks back, whichever parity blocks are there, in memory of their own', () => {
    const code = create().createErasureCode(9, 4);
    const parity = code.encode(data, BLOCK);
    parity.forEach(expectOwnMemory);
    for (const [missing, lost] of [[[0], [1, 2]], [[8], [0, 1, 2]], [[3, 8], [1]], [[0, 1, 7], [3]], [[2, 4, 6, 8], []], [[], [0, 1, 2, 3]]] as const) {
      const restored = code.reconstruct(without(data, missing), without(parity, lost), BLOCK);
      restored.forEach(expectOwnMemory);
      expect(restored).toEqual(missing.map(i => whole[i]));
    }
  });

  it('takes shorter data blocks as if zeros followed', () => {
    const code = create().createErasureCode(9, 4);
    expect(code.encode(data, BLOCK)).toEqual(code.encode(whole, BLOCK));
    expect(code.encode([...data.slice(1), new Uint8Array(0)], BLOCK)).toEqual(code.encode([...whole.slice(1), new Uint8Array(BLOCK)], BLOCK));
  });

  it('leaves its arguments as they are, and takes views at odd offsets', () => {
    const code = create().createErasureCode(3, 2);
    const memory = randomBytes(3001, 20);
    const before = new Uint8Array(memory);
    const views = [memory.subarray(1, 1001), memory.subarray(1001, 2001), memory.subarray(2001)];
    const parity = code.encode(views, 1000);
    expect(code.reconstruct(without(views, [0, 1]), parity, 1000)).toEqual([new Uint8Array(views[0]!), new Uint8Array(views[1]!)]);
    expect(memory).toEqual(before);
  });

  it('keeps the codes of one kernel apart', () => {
    const kernel = create();
    const [one, other] = [kernel.createErasureCode(9, 4), kernel.createErasureCode(2, 200)];
    const parity = one.encode(data, BLOCK);
    other.encode(whole.slice(0, 2), BLOCK);
    expect(one.encode(data, BLOCK)).toEqual(parity);
  });

  it.each([[0, 1], [1, 0], [200, 56], [255, 1], [1.5, 1], [1, Number.NaN]])('refuses a code of %d and %d blocks with a RangeError', (dataBlocks, parityBlocks) => {
    expect(() => create().createErasureCode(dataBlocks, parityBlocks)).toThrow(RangeError);
  });

  it('refuses another number of blocks, longer ones, and more missing ones than parity makes up for with a RangeError', () => {
    const code = create().createErasureCode(3, 2);
    const blocks = whole.slice(0, 3);
    const parity = code.encode(blocks, BLOCK);
    expect(() => code.encode(blocks.slice(1), BLOCK)).toThrow(RangeError);
    expect(() => code.encode(blocks, BLOCK - 1)).toThrow(RangeError);
    for (const blockBytes of [0, -1, 1.5, Number.NaN]) expect(() => code.encode([0, 1, 2].map(() => new Uint8Array(0)), blockBytes)).toThrow(RangeError);
    expect(() => code.reconstruct(blocks.slice(1), parity, BLOCK)).toThrow(RangeError);
    expect(() => code.reconstruct(blocks, parity.slice(1), BLOCK)).toThrow(RangeError);
    expect(() => code.reconstruct(without(blocks, [0]), [new Uint8Array(BLOCK + 1), undefined], BLOCK)).toThrow(RangeError);
    expect(() => code.reconstruct(without(blocks, [0, 2]), without(parity, [1]), BLOCK)).toThrow(RangeError);
    expect(() => code.reconstruct(without(blocks, [0, 1, 2]), parity, BLOCK)).toThrow(RangeError);
  });
}

function without(blocks: readonly Uint8Array[], missing: readonly number[]): (Uint8Array | undefined)[] {
  return blocks.map((block, i) => (missing.includes(i) ? undefined : block));
}

function describeDerivation(create: () => Kernel): void {
  const kernel = create();

  it('derives keys of any asked length in memory of their own', async () => {
    for (const length of [1, 31, 32, 33, 8160]) {
      const key = kernel.hkdf(KEY, NONCE, utf8('label'), length);
      expect(key.length).toBe(length);
      expectOwnMemory(key);
    }
    expectOwnMemory(kernel.hmacSha256(KEY, NONCE));
    expectOwnMemory(await kernel.scrypt(KEY, NONCE, { N: 2, r: 1, p: 1 }, 32));
  });

  it('refuses HKDF lengths and contexts beyond the limits with a RangeError', () => {
    for (const length of [0, 8161, 1.5]) expect(() => kernel.hkdf(KEY, NONCE, NONCE, length)).toThrow(RangeError);
    expect(() => kernel.hkdf(KEY, NONCE, new Uint8Array(1025), 32)).toThrow(RangeError);
  });

  it.each([[0, 8, 1], [1, 8, 1], [3, 8, 1], [16, 0, 1], [16, 8, 0], [16, 2 ** 20, 2 ** 20], [16.5, 8, 1]])(
    'refuses the scrypt parameters N = %d, r = %d, p = %d with a RangeError', async (N, r, p) => {
      await expect(async () => kernel.scrypt(KEY, NONCE, { N, r, p }, 32)).rejects.toThrow(RangeError);
    });
}

function describeSignatures(create: () => Kernel): void {
  const kernel = create();
  const message = utf8('message');
  const publicKey = kernel.ed25519PublicKey(KEY);
  const signature = kernel.ed25519Sign(KEY, message);

  it('signs in memory of its own', () => {
    expect([publicKey.length, signature.length]).toEqual([32, 64]);
    expectOwnMemory(publicKey);
    expectOwnMemory(signature);
  });

  it('verifies its signatures, and not those with a wrong bit in message, key or signature', () => {
    expect(kernel.ed25519Verify(publicKey, message, signature)).toBe(true);
    for (const bit of [0, 100, 255, 256, 400, 511]) expect(kernel.ed25519Verify(publicKey, message, flipped(signature, bit))).toBe(false);
    for (const bit of [0, 100, 255]) expect(kernel.ed25519Verify(flipped(publicKey, bit), message, signature)).toBe(false);
    expect(kernel.ed25519Verify(publicKey, flipped(message, 3), signature)).toBe(false);
    expect(kernel.ed25519Verify(publicKey, message.subarray(1), signature)).toBe(false);
  });

  it('answers false for hostile keys and signatures of any form', () => {
    const hostile = [new Uint8Array(32).fill(255), randomBytes(32, 1), randomBytes(32, 2), new Uint8Array(0), new Uint8Array(31), new Uint8Array(33)];
    for (const key of hostile) expect(kernel.ed25519Verify(key, message, signature)).toBe(false);
    for (const bytes of [new Uint8Array(64), new Uint8Array(64).fill(255), new Uint8Array(0), new Uint8Array(63), new Uint8Array(65)]) {
      expect(kernel.ed25519Verify(publicKey, message, bytes)).toBe(false);
    }
  });

  it('refuses a seed that is not 32 bytes long with a RangeError', () => {
    expect(() => kernel.ed25519PublicKey(new Uint8Array(31))).toThrow(RangeError);
    expect(() => kernel.ed25519Sign(new Uint8Array(33), message)).toThrow(RangeError);
  });
}

/** Plain bytes that fill an ArrayBuffer alone, so that it can be transferred. */
function expectOwnMemory(bytes: Uint8Array): void {
  expect(Object.getPrototypeOf(bytes)).toBe(Uint8Array.prototype);
  expect(bytes.buffer).toBeInstanceOf(ArrayBuffer);
  expect([bytes.byteOffset, bytes.buffer.byteLength]).toEqual([0, bytes.length]);
}

function flipped(bytes: Uint8Array, bit: number): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(bytes);
  copy[bit >> 3]! ^= 1 << (bit & 7);
  return copy;
}
