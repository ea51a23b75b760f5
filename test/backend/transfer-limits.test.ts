import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { systemClock, systemRandom } from '../../src/base/ambient.ts';
import { SnapError } from '../../src/base/errors.ts';
import { MemoryBackend } from '../../src/backend/memory.ts';
import { openBackend } from '../../src/backend/open.ts';
import { RetryingBackend } from '../../src/backend/retrying.ts';
import { ThrottledBackend } from '../../src/backend/throttled.ts';
import { EXPRESS_UPLOAD_BYTES, type PacedCallOptions, TransferLimits, type TransferRates } from '../../src/backend/transfer-limits.ts';
import { codeOf } from '../conformance/backend.ts';
import { FakeS3 } from '../support/fake-s3.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { SshServer } from '../support/ssh-server.ts';
import { TestClock } from '../support/test-clock.ts';

const KiB = 1024;

interface Crossing {
  readonly at: number;
  readonly bytes: number;
}

/** Stores in memory and notes when each piece crosses the line, as the adapters of networks cut them. */
class LineBackend extends MemoryBackend {
  readonly isPaced = true;
  readonly uploads: Crossing[] = [];
  readonly downloads: Crossing[] = [];
  failures = 0;
  readonly #clock: TestClock;

  constructor(clock: TestClock) {
    super({ clock });
    this.#clock = clock;
  }

  override async create(name: string, parts: readonly Uint8Array<ArrayBuffer>[], options: PacedCallOptions = {}): Promise<void> {
    const sizeBytes = parts.reduce((sum, part) => sum + part.length, 0);
    await this.#cross(this.uploads, sizeBytes, options);
    if (this.failures-- > 0) throw new SnapError('UNAVAILABLE', 'The line was cut at the end');
    return super.create(name, parts);
  }

  override async read(name: string, range?: { offset: number; length: number }, options: PacedCallOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = await super.read(name, range);
    await this.#cross(this.downloads, bytes.length, options);
    return bytes;
  }

  async #cross(into: Crossing[], sizeBytes: number, { pace }: PacedCallOptions): Promise<void> {
    const pieceBytes = pace?.pieceBytes ?? sizeBytes;
    for (let left = sizeBytes; left > 0; left -= pieceBytes) {
      const bytes = Math.min(left, pieceBytes);
      await pace?.take(bytes);
      into.push({ at: this.#clock.monotonic(), bytes });
    }
  }
}

/** The most bytes above what `rate` allows in any window of time. */
function worstBurst(crossings: readonly Crossing[], rate: number): number {
  let worst = 0;
  // The largest sum over all windows, as of the steepest stretch of a line (Kadane).
  let here = 0;
  let last = 0;
  for (const { at, bytes } of crossings) {
    here = Math.max(0, here - rate * (at - last) / 1000) + bytes;
    last = at;
    worst = Math.max(worst, here);
  }
  return worst;
}

function line(rates: () => TransferRates): { clock: TestClock; adapter: LineBackend; backend: RetryingBackend } {
  const clock = new TestClock({ runsByItself: true });
  const adapter = new LineBackend(clock);
  const limited = new ThrottledBackend(adapter, new TransferLimits(clock, rates));
  return { clock, adapter, backend: new RetryingBackend(limited, { clock, random: new SeededRandom(1) }) };
}

describe('in any time t no more than rate * t and a bounded burst crosses the line', () => {
  const jobs = fc.array(fc.record({ at: fc.integer({ min: 0, max: 60_000 }), size: fc.oneof(fc.integer({ min: 0, max: 20 * KiB }), fc.integer({ min: 0, max: 2000 * KiB })) }), { minLength: 1, maxLength: 30 });

  test('for uploads at once, of all sizes', async () => {
    await fc.assert(fc.asyncProperty(jobs, fc.integer({ min: 20 * KiB, max: 2000 * KiB }), async (given, rate) => {
      const { clock, adapter, backend } = line(() => ({ upload: rate }));
      await Promise.all(given.map(async ({ at, size }, i) => {
        await clock.sleep(at);
        await backend.create(`a/${i}`, [new Uint8Array(size)]);
      }));
      // A second of the rate after a pause, one piece, and what may overtake: 64 KiB and a tenth.
      expect(worstBurst(adapter.uploads, rate)).toBeLessThanOrEqual(rate + rate * 0.1 + 64 * KiB + rate * 0.1 * 60);
      const total = adapter.uploads.reduce((sum, { bytes }) => sum + bytes, 0);
      expect(total).toBe(given.reduce((sum, { size }) => sum + size, 0));
    }), { numRuns: 30 });
  });

  test('for whole objects and ranges that are read at once', async () => {
    await fc.assert(fc.asyncProperty(jobs, fc.integer({ min: 20 * KiB, max: 2000 * KiB }), async (given, rate) => {
      const { clock, adapter, backend } = line(() => ({ download: rate }));
      for (const [i, { size }] of given.entries()) await adapter.create(`a/${i}`, [new Uint8Array(size)]);
      await Promise.all(given.map(async ({ at, size }, i) => {
        await clock.sleep(at);
        await backend.read(`a/${i}`, i % 2 === 0 ? undefined : { offset: size >> 1, length: size - (size >> 1) });
      }));
      expect(worstBurst(adapter.downloads, rate)).toBeLessThanOrEqual(rate + rate * 0.1 + 1);
    }), { numRuns: 30 });
  });

  test('thousands of small objects, which may overtake large ones, do not exceed it', async () => {
    const rate = 100 * KiB;
    const { adapter, backend } = line(() => ({ upload: rate }));
    await Promise.all([
      ...Array.from({ length: 10 }, (_, i) => backend.create(`packs/${i}`, [new Uint8Array(500 * KiB)])),
      ...Array.from({ length: 1000 }, (_, i) => backend.create(`small/${i}`, [new Uint8Array(EXPRESS_UPLOAD_BYTES)])),
    ]);
    const seconds = adapter.uploads.at(-1)!.at / 1000;
    expect(seconds).toBeGreaterThan((5000 + 16_000 - 100 - 64 - 16) / 100);
    expect(worstBurst(adapter.uploads.filter(({ at }) => at < 1000), rate)).toBeLessThanOrEqual(rate * 1.2 + 64 * KiB + EXPRESS_UPLOAD_BYTES);
  });

  test('tries that fail count as well', async () => {
    const rate = 100 * KiB;
    const { clock, adapter, backend } = line(() => ({ upload: rate }));
    adapter.failures = 3;
    await backend.create('a', [new Uint8Array(1000 * KiB)]);
    expect(adapter.uploads.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(4000 * KiB);
    expect(clock.monotonic()).toBeGreaterThanOrEqual(38_000);
    expect(worstBurst(adapter.uploads, rate)).toBeLessThanOrEqual(rate * 1.1);
  });
});

test('all backends of a process share one line', async () => {
  const clock = new TestClock({ runsByItself: true });
  const limits = new TransferLimits(clock, () => ({ upload: 100 * KiB }));
  const backends = [1, 2, 3].map(() => new ThrottledBackend(new LineBackend(clock), limits));
  await Promise.all(backends.map(backend => backend.create('a', [new Uint8Array(1000 * KiB)])));
  expect(clock.monotonic()).toBeGreaterThanOrEqual(28_000);
});

test('all of many objects move all the time, so that no connection looks dead', async () => {
  const { adapter, backend, clock } = line(() => ({ upload: 10 * KiB }));
  const starts = clock.monotonic();
  await Promise.all(Array.from({ length: 20 }, (_, i) => backend.create(`a/${i}`, [new Uint8Array(50 * KiB)])));
  const gaps = adapter.uploads.map(({ at }, i) => at - (adapter.uploads[i - 1]?.at ?? starts));
  expect(Math.max(...gaps) * 20).toBeLessThan(10_000);
});

test('a slow line reads one object after the other', async () => {
  const { adapter, backend, clock } = line(() => ({ download: 10 * KiB }));
  for (const name of ['a', 'b', 'c']) await adapter.create(name, [new Uint8Array(200 * KiB)]);
  let underWay = 0;
  let most = 0;
  const read = adapter.read.bind(adapter);
  adapter.read = async (...call) => {
    most = Math.max(most, ++underWay);
    return read(...call).finally(() => { underWay--; });
  };
  const controller = new AbortController();
  const calls = ['a', 'b', 'c'].map(name => codeOf(backend.read(name, undefined, { signal: name === 'b' ? controller.signal : undefined })));
  controller.abort();
  expect(await Promise.all(calls)).toEqual(['no error', 'CANCELLED', 'no error']);
  expect(most).toBe(1);
  expect(clock.monotonic()).toBeGreaterThan(38_000);
});

test('a change of the rate takes effect within an object', async () => {
  let rate: number | undefined = 10 * KiB;
  const { clock, backend } = line(() => ({ upload: rate }));
  const done = backend.create('a', [new Uint8Array(1000 * KiB)]);
  await clock.sleep(10_000);
  rate = 1000 * KiB;
  await done;
  expect(clock.monotonic()).toBeLessThan(12_000);
});

describe('on a real line', () => {
  /** Seconds of wall time. */
  async function timed(work: () => Promise<unknown>): Promise<number> {
    const before = performance.now();
    await work();
    return (performance.now() - before) / 1000;
  }

  test('an S3 server gets and gives no more than the limits, in even pieces, over all connections', async () => {
    const server = await FakeS3.start();
    onTestFinished(() => server.close());
    const limits = new TransferLimits(systemClock, () => ({ upload: 1024 * KiB, download: 1024 * KiB }));
    const { backend } = await openBackend(server.location(), { clock: systemClock, random: systemRandom, limits });
    onTestFinished(() => backend.close());
    const packs = Array.from({ length: 5 }, (_, i) => ({ name: `packs/d/0${i}/${i}`, bytes: systemRandom.bytes(600 * KiB) }));
    // 3 MB, of which one second goes as a burst.
    expect(await timed(() => Promise.all(packs.map(({ name, bytes }) => backend.create(name, [bytes.subarray(0, 1000), bytes.subarray(1000)]))))).toBeGreaterThan(1.7);
    const read: Uint8Array[] = [];
    expect(await timed(async () => read.push(...await Promise.all(packs.map(({ name }) => backend.read(name)))))).toBeGreaterThan(1.7);
    expect(read.every((bytes, i) => Buffer.compare(bytes, packs[i]!.bytes) === 0)).toBe(true);
    expect(await timed(() => Promise.all(packs.map(({ name }) => backend.read(name, { offset: 1000, length: 400 * KiB }))))).toBeGreaterThan(1.7);
  });

  test('so does an SSH server', async () => {
    const server = await SshServer.start();
    onTestFinished(() => server.stop());
    const limits = new TransferLimits(systemClock, () => ({ upload: 1024 * KiB, download: 1024 * KiB }));
    const { backend } = await openBackend(server.location('limits'), { clock: systemClock, random: systemRandom, create: true, limits, ssh: server.settings });
    onTestFinished(() => backend.close());
    const packs = Array.from({ length: 4 }, (_, i) => ({ name: `packs/d/0${i}/${i}`, bytes: systemRandom.bytes(600 * KiB) }));
    expect(await timed(() => Promise.all(packs.map(({ name, bytes }) => backend.create(name, [bytes]))))).toBeGreaterThan(1.1);
    const read: Uint8Array[] = [];
    expect(await timed(async () => read.push(...await Promise.all(packs.map(({ name }) => backend.read(name)))))).toBeGreaterThan(1.1);
    expect(read.every((bytes, i) => Buffer.compare(bytes, packs[i]!.bytes) === 0)).toBe(true);
  });

  test('a folder is written and read in pieces', async () => {
    const path = await mkdtemp(`${tmpdir()}/snap-limits-`);
    onTestFinished(() => rm(path, { recursive: true }));
    const limits = new TransferLimits(systemClock, () => ({ upload: 1024 * KiB, download: 1024 * KiB }));
    const { backend } = await openBackend(path, { clock: systemClock, random: systemRandom, create: true, limits });
    const bytes = systemRandom.bytes(2000 * KiB);
    expect(await timed(() => backend.create('packs/d/00/1', [bytes.subarray(0, 5), bytes.subarray(5)]))).toBeGreaterThan(0.8);
    let copy: Uint8Array = new Uint8Array();
    expect(await timed(async () => { copy = await backend.read('packs/d/00/1'); })).toBeGreaterThan(0.8);
    expect(Buffer.compare(copy, bytes)).toBe(0);
    expect(await codeOf(backend.read('packs/d/00/1', { offset: 1900 * KiB, length: 200 * KiB }))).toBe('INVALID_RANGE');
  });
});

test('requests at once are as many as --concurrency says, and a few small ones', async () => {
  const server = await FakeS3.start({ delayMs: 20 });
  onTestFinished(() => server.close());
  const { backend } = await openBackend(server.location(), { clock: systemClock, random: systemRandom, s3: { concurrency: 3 } });
  onTestFinished(() => backend.close());
  await Promise.all(Array.from({ length: 20 }, (_, i) => backend.create(`packs/d/00/${i}`, [new Uint8Array(100 * KiB)])));
  await Promise.all(Array.from({ length: 20 }, (_, i) => backend.read(`packs/d/00/${i}`)));
  expect(Math.max(...server.requests.map(({ underWay }) => underWay))).toBe(3);
});
