import { describe, expect, test } from 'vitest';
import { EntropyProbe, largestWorthwhile } from '../../src/engine/entropy-probe.ts';
import { FRAME_CHUNK_BYTES, writeFrameChunk } from '../../src/engine/frame-chunks.ts';
import { FrameSealer } from '../../src/engine/frame-sealer.ts';
import { createInlineEngine } from '../../src/engine/inline-engine.ts';
import { nativeFileSystem } from '../../src/base/native-filesystem.ts';
import { openKnownChunks } from '../../src/cache/known-chunks.ts';
import { MemoryChunkIndex } from '../../src/cache/memory-cache.ts';
import { FRAME_PREFIX_BYTES, FrameCipher } from '../../src/format/frame.ts';
import { createFastKernel } from '../../src/kernel/fast.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { randomBytes, textBytes } from '../kernel/kernel-data.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { filesBatch, groupOf, ID_KEY, IngestHarness, TestFolder } from './ingest-harness.ts';
import { writeFileSync } from 'node:fs';

const KiB = 1024;

function flip(bytes: Uint8Array<ArrayBuffer>, at: number): Uint8Array<ArrayBuffer> {
  const flipped = bytes.slice();
  flipped[at]! ^= 4;
  return flipped;
}

/** Kernels with one fault each, as a bad compressor, processor or memory would show it. */
const FAULTS: readonly (readonly [name: string, codec: number, fault: (kernel: Kernel) => Partial<Kernel>])[] = [
  ['a cipher that seals something else', 1, kernel => ({
    createAead: (suite, key) => {
      const aead = kernel.createAead(suite, key);
      return { open: (...a) => aead.open(...a), seal: (nonce, additional, plaintext) => aead.seal(nonce, additional, flip(plaintext.slice(), 20)) };
    },
  })],
  ['sealed bytes that change in memory', 0, kernel => ({
    createAead: (suite, key) => {
      const aead = kernel.createAead(suite, key);
      return { open: (...a) => aead.open(...a), seal: (...a) => flip(aead.seal(...a), 100) };
    },
  })],
  ['a compressor that writes damage', 1, kernel => ({
    createCompressor: level => {
      const compressor = kernel.createCompressor(level);
      return { compress: (input, maxBytes) => compressor.compress(input, maxBytes)?.slice(0, -1) };
    },
  })],
  ['a compressor that compresses something else', 1, kernel => ({
    createCompressor: level => {
      const compressor = kernel.createCompressor(level);
      return { compress: (input, maxBytes) => compressor.compress(flip(input.slice(), 5), maxBytes) };
    },
  })],
  ['a byte that changes between the ID and the cipher', 0, kernel => ({
    createAead: (suite, key) => {
      const aead = kernel.createAead(suite, key);
      return { open: (...a) => aead.open(...a), seal: (nonce, additional, plaintext) => aead.seal(nonce, additional, flip(plaintext.slice(), plaintext.length - 1)) };
    },
  })],
];

const samples = [textBytes(60 * KiB, 1), randomBytes(200 * KiB, 2)];

function seal(kernel: Kernel, plaintext: Uint8Array): ReturnType<FrameSealer['seal']> {
  const hasher = kernel.createHasher(ID_KEY);
  const chunks = new Uint8Array(FRAME_CHUNK_BYTES);
  writeFrameChunk(chunks, 0, hasher.hash(plaintext), plaintext.length);
  const cipher = new FrameCipher(kernel.createAead(1, randomBytes(32, 3)), randomBytes(FRAME_PREFIX_BYTES, 4));
  return new FrameSealer(kernel, hasher, 1).seal({ number: 5, cipher }, 7, plaintext, chunks);
}

describe('Reading back', () => {
  test('lets whole frames pass, compressed or raw', () => {
    expect(samples.map(sample => seal(createFastKernel(), sample).codec)).toEqual([1, 0]);
  });

  test.each(FAULTS)('finds %s', (_, codec, fault) => {
    const kernel = createFastKernel();
    const faulty = { ...kernel, ...fault(kernel) };
    const sample = samples[codec === 1 ? 0 : 1]!;
    expect(() => seal(faulty, sample)).toThrow(expect.objectContaining({ code: 'INTERNAL', context: expect.objectContaining({ pack: 5, frame: 7, codec }) }));
  });

  test.each(FAULTS)('ends the run for %s: the frame does not leave the engine', async (_, codec, fault) => {
    const folder = new TestFolder();
    const kernel = createFastKernel();
    const engine = createInlineEngine({
      kernel: { ...kernel, ...fault(kernel) }, native: nativeFileSystem(), openKnownChunks, random: new SeededRandom(1),
    });
    const harness = new IngestHarness(engine, new MemoryChunkIndex());
    writeFileSync(folder.at('a'), samples[codec === 1 ? 0 : 1]!);
    await harness.begin({ grouping: false });
    const batch = filesBatch(groupOf(folder.path));
    await expect(engine.ingest(batch)).rejects.toMatchObject({ code: 'INTERNAL' });
    await expect(engine.ingest(batch)).rejects.toMatchObject({ code: 'INTERNAL' });
    await expect(engine.endIngest()).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(harness.frames).toEqual([]);
    await engine.close();
    folder.remove();
  });
});

describe('The entropy probe', () => {
  const compressor = createFastKernel().createCompressor(1);
  const probe = new EntropyProbe(compressor);

  test('finds random data of any size from 32 KiB on', () => {
    for (const length of [32 * KiB, 100_000, 256 * KiB, 2048 * KiB]) expect(probe.isIncompressible(randomBytes(length, length))).toBe(true);
  });

  test('leaves text and short data to the compressor', () => {
    expect(probe.isIncompressible(textBytes(300 * KiB, 1))).toBe(false);
    expect(probe.isIncompressible(randomBytes(32 * KiB - 1, 1))).toBe(false);
  });

  test('believes a trial rather than the histogram: all byte values, but repeated', () => {
    const repeated = new Uint8Array(256 * KiB);
    const period = randomBytes(1000, 1);
    for (let i = 0; i < repeated.length; i++) repeated[i] = period[i % 1000]!;
    expect(probe.isIncompressible(repeated)).toBe(false);
  });

  test('believes a trial for the next three frames that look random too, and no longer', () => {
    const repeated = new Uint8Array(256 * KiB);
    for (let at = 0; at < repeated.length; at += 4096) repeated.set(randomBytes(4096, 9), at);
    const fresh = new EntropyProbe(compressor);
    expect([randomBytes(256 * KiB, 1), repeated, repeated, repeated, repeated].map(bytes => fresh.isIncompressible(bytes))).toEqual([true, true, true, true, false]);
    fresh.isIncompressible(randomBytes(256 * KiB, 1));
    fresh.isIncompressible(textBytes(256 * KiB, 1));
    expect(fresh.isIncompressible(repeated)).toBe(false);
  });

  test('does not give up a frame of which a quarter is text', () => {
    const mixed = randomBytes(256 * KiB, 1);
    mixed.set(textBytes(70 * KiB, 2), 0);
    expect(probe.isIncompressible(mixed)).toBe(false);
  });

  test('counts a saving of 1/32', () => expect([32, 3200, 31].map(largestWorthwhile)).toEqual([31, 3100, 31]));
});
