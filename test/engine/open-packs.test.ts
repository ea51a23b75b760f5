import { describe, expect, test } from 'vitest';
import { toHex } from '../../src/base/bytes.ts';
import type { SealedFrame } from '../../src/engine/engine.ts';
import { FrameSealer } from '../../src/engine/frame-sealer.ts';
import { OpenPacks, type OpenPacksOptions } from '../../src/engine/open-packs.ts';
import { FRAME_PREFIX_BYTES } from '../../src/format/frame.ts';
import { MAX_PACK_CHUNKS, MAX_PACK_FRAMES } from '../../src/format/limits.ts';
import { createFastKernel } from '../../src/kernel/fast.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { ID_KEY } from './ingest-harness.ts';

const KiB = 1024;
const kernel = createFastKernel();
const hasher = kernel.createHasher(ID_KEY);
const random = (seed: number, length: number): Uint8Array<ArrayBuffer> => new SeededRandom(seed).bytes(length);

type Event = { readonly frame: SealedFrame } | { readonly full: number };

function setup(changes: Partial<OpenPacksOptions> = {}) {
  const events: Event[] = [];
  const keys: Uint8Array[] = [];
  const packs = new OpenPacks({
    kernel, sealer: new FrameSealer(kernel, hasher, 1), random: new SeededRandom(3), openPacks: 2, packTargetBytes: 1000 * KiB, grouping: true,
    takeGrant: () => {
      keys.push(random(keys.length, 32));
      return { pack: keys.length, suite: 1, frameKey: keys.at(-1)!, framePrefix: new Uint8Array(FRAME_PREFIX_BYTES) };
    },
    sink: { frames: frames => events.push(...frames.map(frame => ({ frame }))), packFull: full => events.push({ full }) },
    ...changes,
  });
  const add = (bytes: Uint8Array): number => packs.store(hasher.hash(bytes), bytes);
  const framesOf = (pack: number): SealedFrame[] => events.flatMap(event => 'frame' in event && event.frame.pack === pack ? [event.frame] : []);
  return { packs, events, keys, add, framesOf };
}

describe('Open packs', () => {
  test('take single-chunk frames at random and keep small chunks together in one pack', () => {
    const { packs, add, framesOf } = setup({ packTargetBytes: 2 ** 30 });
    const small = new Set<number>();
    for (let i = 0; i < 60; i++) {
      add(random(i, 130 * KiB));
      small.add(add(random(1000 + i, 20 * KiB)));
    }
    packs.end();
    expect(small.size).toBe(1);
    for (const pack of [1, 2]) expect(framesOf(pack).filter(({ chunks }) => chunks.length === 36).length).toBeGreaterThan(15);
  });

  test('name the pack of a chunk until it is full', () => {
    const { packs, add } = setup({ packTargetBytes: 100 * KiB });
    const chunk = random(1, 3000);
    const pack = add(chunk);
    expect(packs.find(hasher.hash(chunk))).toBe(pack);
    expect(packs.find(hasher.hash(random(2, 3000)))).toBe(0);
    packs.end();
    expect(packs.find(hasher.hash(chunk))).toBe(0);
  });

  test('are full at the target, with the open frame sealed into its pack before', () => {
    const { packs, add, events, framesOf, keys } = setup({ openPacks: 1, packTargetBytes: 500 * KiB });
    const chunk = random(99, 5000);
    add(chunk);
    for (let i = 0; i < 4; i++) add(random(i, 130 * KiB));
    expect(events.at(-1)).toEqual({ full: 1 });
    const ids = framesOf(1).map(({ chunks }) => toHex(chunks.subarray(0, 32)));
    expect(ids).toHaveLength(5);
    expect(ids.at(-1)).toBe(toHex(hasher.hash(chunk)));
    expect(keys[0], 'its key is wiped').toEqual(new Uint8Array(32));
    packs.end();
    expect(events.filter(event => 'full' in event)).toEqual([{ full: 1 }]);
  });

  test('close a frame at the end of a directory when it is at least half full', () => {
    const { packs, add, events } = setup();
    add(random(1, 100 * KiB));
    packs.endDirectory();
    packs.handOver();
    expect(events).toHaveLength(0);
    add(random(2, 30 * KiB));
    packs.endDirectory();
    packs.handOver();
    expect(events).toHaveLength(1);
  });

  test('never hold more frames or chunks than a pack may have', () => {
    for (const grouping of [false, true]) {
      const { packs, add, events, framesOf } = setup({ openPacks: 1, packTargetBytes: 2 ** 40, grouping });
      const bytes = new Uint8Array(4);
      const count = grouping ? MAX_PACK_CHUNKS + 5000 : MAX_PACK_FRAMES + 10;
      for (let i = 0; i < count; i++) {
        new DataView(bytes.buffer).setUint32(0, i);
        add(bytes);
      }
      packs.end();
      const frames = framesOf(1);
      const chunks = frames.reduce((sum, frame) => sum + frame.chunks.length / 36, 0);
      expect(frames.length).toBeLessThan(MAX_PACK_FRAMES);
      expect(chunks).toBeLessThanOrEqual(MAX_PACK_CHUNKS);
      expect(grouping ? chunks : frames.length).toBeGreaterThan((grouping ? MAX_PACK_CHUNKS : MAX_PACK_FRAMES) * 0.9);
      expect(events.filter(event => 'full' in event)).toEqual([{ full: 1 }, { full: 2 }]);
    }
  }, 60_000);

  test('open only as many packs as they need', () => {
    const { add, keys } = setup();
    expect(keys).toHaveLength(0);
    add(random(1, 100));
    expect(keys).toHaveLength(1);
  });

  test('hand over frames every few megabytes, and wipe keys of packs that stay open', () => {
    const { packs, add, events, keys } = setup({ packTargetBytes: 2 ** 30 });
    for (let i = 0; i < 17; i++) add(random(i, 128 * KiB));
    expect(events.length).toBe(16);
    packs.wipe();
    for (const key of keys) expect(key).toEqual(new Uint8Array(32));
  });
});
