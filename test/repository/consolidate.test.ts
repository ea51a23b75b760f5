import { describe, expect, test } from 'vitest';
import type { MemoryBackend } from '../../src/backend/memory.ts';
import { OBJECT_TYPES } from '../../src/format/header.ts';
import { decodeIndexSegment, encodeIndexSegment, unpackSegment, type PackContent } from '../../src/format/index-segment.ts';
import { parseSegmentId, type PackId } from '../../src/format/ids.ts';
import { segmentName } from '../../src/format/object-names.ts';
import { consolidateIndex } from '../../src/repository/consolidate.ts';
import type { OpenRepository } from '../../src/repository/opened-repository.ts';
import { reopen } from '../support/memory-repository.ts';
import { HookedBackend } from '../support/hooked-backend.ts';
import { namesBelow, storedGenerations } from '../support/prune-jobs.ts';
import { readAllSnapshots } from '../support/read-snapshot.ts';
import { RecordingBackend } from '../support/recording-backend.ts';
import { TestClock } from '../support/test-clock.ts';

const NONE: ReadonlySet<PackId> = new Set();

/** Packs by ID, as all segments together list them. */
async function listed({ objects, backend }: OpenRepository): Promise<Map<PackId, PackContent[]>> {
  const packs = new Map<PackId, PackContent[]>();
  for (const name of await namesBelow(backend, 'index/')) {
    for (const pack of unpackSegment(decodeIndexSegment((await objects.load(name)).payload))) packs.set(pack.id, [...packs.get(pack.id) ?? [], pack]);
  }
  return packs;
}

async function addSegment({ backend, objects }: OpenRepository, packs: readonly PackContent[], digits: string): Promise<void> {
  const name = segmentName(parseSegmentId(digits.repeat(16)));
  await backend.create(name, [objects.seal(name, OBJECT_TYPES.indexSegment, encodeIndexSegment([], packs), { suite: 1 })]);
}

describe('the index', () => {
  test('of many small segments becomes one that says the same, for this host and for others', async () => {
    const { repository, backend, contents } = await storedGenerations(5);
    const before = await listed(repository);
    expect(await consolidateIndex(repository, { swept: NONE })).toBe(5);
    expect(await namesBelow(backend, 'index/')).toHaveLength(1);
    expect(await listed(repository)).toEqual(before);
    expect(repository.cache.chunks.segments().size).toBe(1);
    for (const each of [repository, await reopen(backend)]) expect(await readAllSnapshots(each)).toEqual(contents);
    expect(await consolidateIndex(repository, { swept: NONE })).toBe(0);
  });

  test('is left as it is when there are few small segments', async () => {
    const { repository, backend } = await storedGenerations(3);
    const names = await namesBelow(backend, 'index/');
    expect(await consolidateIndex(repository, { swept: NONE })).toBe(0);
    expect(await namesBelow(backend, 'index/')).toEqual(names);
  });

  test('loses swept packs and nothing else, not even packs that are missing', async () => {
    const { repository, backend } = await storedGenerations(3);
    const before = await listed(repository);
    const [swept, missing] = [...before.keys()];
    for (const name of await namesBelow(backend, 'packs/')) if (name.endsWith(swept!) || name.endsWith(missing!)) await backend.remove(name);
    await consolidateIndex(repository, { swept: new Set([swept!]) });
    expect([...(await listed(repository)).keys()].sort()).toEqual([...before.keys()].filter(id => id !== swept).sort());
    expect(repository.cache.chunks.packNumber(swept!)).toBeUndefined();
  });

  test('vanishes when everything was swept', async () => {
    const { repository, backend } = await storedGenerations(1);
    await consolidateIndex(repository, { swept: new Set((await listed(repository)).keys()) });
    expect(await namesBelow(backend, 'index/')).toEqual([]);
  });

  test('lists packs once again after a run that was interrupted', async () => {
    const { repository, backend } = await storedGenerations(5);
    const before = await listed(repository);
    const recording = new RecordingBackend(backend, { clock: new TestClock(), initial: backend.snapshotState() });
    await consolidateIndex(await reopen(recording), { swept: NONE });
    for (let count = 0; count <= recording.changes.length; count++) {
      const store = await recording.replayPrefix(count);
      const survivor = await reopen(store);
      expect([...(await listed(survivor)).keys()].sort()).toEqual([...before.keys()].sort());
      await consolidateIndex(survivor, { swept: NONE });
      expect(await listed(survivor)).toEqual(before);
    }
  });

  test('is written by one run only when another one was faster', async () => {
    const { backend } = await storedGenerations(5);
    const hooked = new HookedBackend(backend);
    const slow = await reopen(hooked);
    hooked.before('read', /^index\//, async () => { await consolidateIndex(await reopen(backend), { swept: NONE }); }, 6);
    expect(await consolidateIndex(slow, { swept: NONE })).toBe(0);
    hooked.assertAllStruck();
    expect((await listed(await reopen(backend))).size).toBe(10);
  });

  test('keeps a segment that contradicts another one, and tells', async () => {
    const { repository, backend } = await storedGenerations(5);
    const [pack] = [...(await listed(repository)).values()][0]!;
    await addSegment(repository, [{ ...pack!, sessionId: 'ab'.repeat(16) as never }], 'ff');
    const left: string[] = [];
    await consolidateIndex(await reopen(backend), { swept: NONE, onLeft: name => left.push(name) });
    expect(left).toHaveLength(1);
    const after = await listed(repository);
    expect(after.get(pack!.id)!.map(({ sessionId }) => sessionId).sort()).toEqual([pack!.sessionId, 'ab'.repeat(16)].sort());
  });

  test('is not changed when what was written cannot be read back', async () => {
    const { backend } = await storedGenerations(5);
    const names = await namesBelow(backend, 'index/');
    class LyingBackend extends HookedBackend {
      override async create(name: string, parts: readonly Uint8Array[]): Promise<void> {
        return super.create(name, parts.map(part => part.map((byte, i) => (i === part.length - 1 ? byte ^ 1 : byte))));
      }
    }
    await expect(consolidateIndex(await reopen(new LyingBackend(backend)), { swept: NONE })).rejects.toMatchObject({ code: 'OBJECT_CORRUPT' });
    expect(await namesBelow(backend as MemoryBackend, 'index/')).toEqual(expect.arrayContaining(names));
  });
});
