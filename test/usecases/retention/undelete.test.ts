import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { toHex } from '../../../src/base/bytes.ts';
import type { MemoryBackend } from '../../../src/backend/memory.ts';
import { encodePlan, encodeSweep, packPackIds } from '../../../src/format/gc-documents.ts';
import { OBJECT_TYPES } from '../../../src/format/header.ts';
import { parseRunId, type PackId, type SnapshotId } from '../../../src/format/ids.ts';
import { forgottenName, gcPlanName, gcSweepName, packName, snapshotName } from '../../../src/format/object-names.ts';
import { encodeTombstone } from '../../../src/format/tombstone.ts';
import { loadForgotten } from '../../../src/repository/forgotten.ts';
import type { OpenRepository } from '../../../src/repository/opened-repository.ts';
import { listPacks } from '../../../src/repository/session-view.ts';
import { loadSnapshots } from '../../../src/repository/snapshots.ts';
import { TreeReader } from '../../../src/repository/tree-reader.ts';
import type { SnapEvent } from '../../../src/usecases/events.ts';
import { forgetNamed } from '../../../src/usecases/retention/forget.ts';
import { changeTags } from '../../../src/usecases/labels.ts';
import type { PruneReport } from '../../../src/usecases/reports.ts';
import { listForgotten, undelete } from '../../../src/usecases/retention/undelete.ts';
import { FaultyBackend } from '../../support/faulty-backend.ts';
import { backupPath, makeRepository, memoryBackend, OWNER, reopen, SMALL_CHUNKS, temporaryDirectory } from '../../support/memory-repository.ts';
import { runPrune } from '../../support/prune-jobs.ts';
import { readAllSnapshots, readSnapshot, type SnapshotContent } from '../../support/read-snapshot.ts';
import { RecordingBackend } from '../../support/recording-backend.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { systemClock } from '../../../src/base/ambient.ts';

const random = new SeededRandom(31);

interface Store {
  readonly memory: MemoryBackend;
  readonly repository: OpenRepository;
  /** Oldest first; each holds a file that the others do not, and one with content nodes that all share. */
  readonly ids: readonly SnapshotId[];
  readonly contents: ReadonlyMap<string, SnapshotContent>;
  /** Packs that were written for each snapshot. */
  readonly packs: readonly (readonly PackId[])[];
}

async function store(count = 2): Promise<Store> {
  const memory = memoryBackend();
  const repository = await makeRepository(memory, { chunker: SMALL_CHUNKS });
  const root = temporaryDirectory();
  mkdirSync(join(root, 'folder'));
  writeFileSync(join(root, 'long'), random.bytes(1_200_000));
  const packs: PackId[][] = [];
  for (let i = 0; i < count; i++) {
    const before = new Set((await listPacks(memory)).map(({ id }) => id));
    writeFileSync(join(root, `folder/own-${i}`), random.bytes(30_000));
    await backupPath(repository, root, { tags: [`t${i}`] });
    rmSync(join(root, `folder/own-${i}`));
    packs.push((await listPacks(memory)).map(({ id }) => id).filter(id => !before.has(id)));
  }
  return { memory, repository, packs, contents: await readAllSnapshots(repository), ids: (await loadSnapshots(repository)).snapshots.map(({ id }) => id) };
}

async function forget(repository: OpenRepository, ...names: string[]): Promise<void> {
  await forgetNamed(repository, names, { force: true, dryRun: false });
}

async function condemn(repository: OpenRepository, packs: readonly PackId[], number = 1): Promise<void> {
  await repository.objects.save(repository.backend, gcPlanName(number), OBJECT_TYPES.plan, encodePlan({ packs: packPackIds([...packs].sort()), createdAt: 1, runId: parseRunId('22'.repeat(16)) }));
}

describe('a forgotten snapshot comes back', () => {
  test('under a new ID, with everything that it held', async () => {
    const { repository, memory, ids, contents } = await store();
    const [before] = (await loadSnapshots(repository)).snapshots;
    await forget(repository, ids[0]!);
    const events: SnapEvent[] = [];
    const [back] = await undelete(repository, OWNER, [ids[0]!.slice(0, 8)], { onEvent: event => events.push(event) });
    expect(back).toEqual({ from: ids[0], to: expect.any(String), wasThere: false });
    expect(back!.to).not.toBe(ids[0]);
    expect(events).toContainEqual({ type: 'snapshot-created', snapshotId: back!.to });
    const again = await reopen(memory);
    const record = (await loadSnapshots(again)).snapshots.find(({ id }) => id === back!.to)!;
    expect(record.snapshot).toEqual({ ...before!.snapshot, id: back!.to, originalId: ids[0], gcNumber: record.snapshot.gcNumber });
    expect((await readAllSnapshots(again)).get(back!.to)).toEqual(contents.get(ids[0]!));
    expect([...memory.snapshotState().keys()].filter(name => name.startsWith('sessions/'))).toEqual([]);
  });

  test('also when it was the only one', async () => {
    const { repository, ids, contents } = await store(1);
    await forget(repository, ids[0]!);
    const [back] = await undelete(repository, OWNER, [ids[0]!]);
    expect((await readAllSnapshots(repository)).get(back!.to)).toEqual(contents.get(ids[0]!));
  });

  test('again and again, always with its first ID', async () => {
    const { repository, ids } = await store(1);
    let id: string = ids[0]!;
    for (let i = 0; i < 3; i++) {
      await forget(repository, id);
      id = (await undelete(repository, OWNER, [id]))[0]!.to;
    }
    expect((await loadSnapshots(repository)).snapshots).toMatchObject([{ id, snapshot: { originalId: ids[0] } }]);
    expect(await listForgotten(repository, {})).toEqual([]);
  });

  test('also when its record is larger than other markers may be', async () => {
    const { repository } = await store(1);
    const tags = Array.from({ length: 5000 }, () => toHex(random.bytes(16)));
    const { to } = (await changeTags(repository, OWNER, (await loadSnapshots(repository)).snapshots, { add: tags }))[0]!;
    await forget(repository, to);
    expect((await repository.backend.stat(forgottenName(to))).sizeBytes).toBeGreaterThan(70_000);
    await undelete(repository, OWNER, [to]);
    expect((await loadSnapshots(repository)).snapshots[0]!.snapshot.tags).toEqual(['t0', ...tags]);
  });

  test('once: a second wish is told that it is there', async () => {
    const { repository, ids } = await store();
    await forget(repository, ids[0]!);
    const [first] = await undelete(repository, OWNER, [ids[0]!]);
    expect(await undelete(repository, OWNER, [ids[0]!])).toEqual([{ ...first, wasThere: true }]);
    expect((await loadSnapshots(repository)).snapshots).toHaveLength(2);
  });

  test('with a gc number of this moment, so that a prune may be sure of it', async () => {
    const { repository, ids, packs } = await store(3);
    await forget(repository, ids[0]!, ids[1]!);
    await condemn(repository, packs[1]!, 7);
    const [back] = await undelete(repository, OWNER, [ids[0]!]);
    expect((await loadSnapshots(repository)).snapshots.find(({ id }) => id === back!.to)!.snapshot.gcNumber).toBe(7);
  });

  test('registered before it looks, and committed last', async () => {
    const { memory, repository, ids } = await store();
    await forget(repository, ids[0]!);
    const recording = new RecordingBackend(memory, { clock: systemClock, initial: memory.snapshotState() });
    await undelete(await reopen(recording), OWNER, [ids[0]!]);
    const seen = recording.operations.map(({ verb, name }) => `${verb} ${name.split('/')[0]}`);
    const at = (what: string): number => seen.indexOf(what);
    expect(at('createIfAbsent sessions')).toBeLessThan(at('list gc'));
    expect(at('list gc')).toBeLessThan(at('list packs'));
    expect(at('list packs')).toBeLessThan(at('createIfAbsent snapshots'));
    expect(recording.changes.map(({ verb, name }) => `${verb} ${name.split('/')[0]}`)).toEqual(['createIfAbsent sessions', 'createIfAbsent snapshots', 'remove sessions']);
  });

  test('in spite of a prune that takes the session for dead', async () => {
    const { memory, repository, ids, contents } = await store();
    await forget(repository, ids[0]!);
    let revoked = 0;
    const revoking = new FaultyBackend(memory);
    const createIfAbsent = revoking.createIfAbsent.bind(revoking);
    revoking.createIfAbsent = async (name, bytes, options) => {
      if (name.startsWith('snapshots/') && revoked++ === 0) {
        await memory.create(name, [repository.objects.seal(name, OBJECT_TYPES.tombstone, encodeTombstone({ planNumber: 1, createdAt: 1 }))]);
      }
      return createIfAbsent(name, bytes, options);
    };
    const events: SnapEvent[] = [];
    const [back] = await undelete(await reopen(revoking), OWNER, [ids[0]!], { onEvent: event => events.push(event) });
    expect(events.filter(({ type }) => type === 'session-revoked')).toHaveLength(1);
    expect(await readSnapshot(repository, back!.to)).toEqual(contents.get(ids[0]!));
  });
});

describe('a forgotten snapshot that is not complete any more', () => {
  async function refusal(repository: OpenRepository, id: string): Promise<{ code: string; message: string }> {
    const before = (await loadSnapshots(repository)).snapshots.length;
    const error = await undelete(repository, OWNER, [id]).then(() => undefined, (thrown: unknown) => thrown as { code: string; message: string });
    expect((await loadSnapshots(repository)).snapshots).toHaveLength(before);
    return error!;
  }

  test('stays away when its packs are gone, and the error names what is lost', async () => {
    const { repository, memory, ids, packs } = await store();
    await forget(repository, ids[0]!);
    const data = (await listPacks(memory)).filter(({ id, type }) => packs[0]!.includes(id) && type === 'data');
    for (const { id, type } of data) await memory.remove(packName(type, id));
    expect(await refusal(await reopen(memory), ids[0]!)).toMatchObject({ code: 'SNAPSHOT_GONE', message: expect.stringMatching(/has deleted.* what it needs for '.*folder\/own-0', '.*long'/) });
    expect(await listForgotten(await reopen(memory), {})).toMatchObject([{ id: ids[0], isComplete: false }]);
  });

  test('stays away when its folders are gone', async () => {
    const { repository, memory, ids, packs } = await store();
    await forget(repository, ids[0]!);
    const trees = (await listPacks(memory)).filter(({ id, type }) => packs[0]!.includes(id) && type === 'tree');
    for (const { id, type } of trees) await memory.remove(packName(type, id));
    expect(await refusal(await reopen(memory), ids[0]!)).toMatchObject({ code: 'SNAPSHOT_GONE', message: expect.stringContaining('what it needs for everything below ') });
  });

  test('stays away when a prune has condemned what only it needs: the prune was faster', async () => {
    const { repository, memory, ids, packs } = await store();
    await forget(repository, ids[1]!);
    await condemn(repository, (await listPacks(memory)).filter(({ id, type }) => packs[1]!.includes(id) && type === 'data').map(({ id }) => id));
    expect(await refusal(await reopen(memory), ids[1]!)).toMatchObject({ code: 'SNAPSHOT_GONE', message: expect.stringMatching(/a prune was faster and is about to delete what it needs for '.*folder\/own-1'$/) });
    expect(await listForgotten(await reopen(memory), {})).toMatchObject([{ id: ids[1], isComplete: false }]);
  });

  test('comes back when the prune rescued what it needs', async () => {
    const { repository, memory, ids, packs, contents } = await store();
    await forget(repository, ids[1]!);
    await condemn(repository, packs[1]!);
    const planDigest = repository.kernel.blake3(await memory.read(gcPlanName(1)));
    await repository.objects.save(memory, gcSweepName(1), OBJECT_TYPES.sweep, encodeSweep({ packs: packPackIds([]), planDigest, createdAt: 1 }));
    const [back] = await undelete(await reopen(memory), OWNER, [ids[1]!]);
    expect(await readSnapshot(repository, back!.to)).toEqual(contents.get(ids[1]!));
  });

  test('nor is another one that shares what is lost', async () => {
    const { repository, memory, ids, packs } = await store(3);
    await forget(repository, ...ids);
    for (const { id, type } of await listPacks(memory)) if (packs[0]!.includes(id) && type === 'data') await memory.remove(packName(type, id));
    expect((await listForgotten(await reopen(memory), {})).map(({ isComplete }) => isComplete)).toEqual([false, false, false]);
  });

  test('does not hide those that are', async () => {
    const { repository, memory, ids, packs } = await store(4);
    await forget(repository, ...ids.slice(1));
    for (const { id, type } of await listPacks(memory)) if (packs[2]!.includes(id)) await memory.remove(packName(type, id));
    const listed = await listForgotten(await reopen(memory), {});
    expect(Object.fromEntries(listed.map(({ id, isComplete }) => [id, isComplete]))).toEqual({ [ids[1]!]: true, [ids[2]!]: false, [ids[3]!]: true });
    expect(await undelete(await reopen(memory), OWNER, [ids[1]!, ids[3]!])).toHaveLength(2);
  });
});

describe('the list of what was forgotten', () => {
  test('has each snapshot once, the last forgotten first, and none that is back', async () => {
    const { repository, ids } = await store(3);
    await forget(repository, ids[0]!);
    await forget(repository, ids[2]!);
    await forget(repository, (await undelete(repository, OWNER, [ids[0]!]))[0]!.to);
    const listed = await listForgotten(repository, {});
    expect(listed.map(({ snapshot }) => snapshot.originalId ?? snapshot.id)).toEqual([ids[0], ids[2]]);
    expect(listed[0]).toMatchObject({ reason: 'named', isComplete: true, forgottenAt: expect.any(Number) });
  });

  test('leaves out what another record replaced', async () => {
    const { repository, ids } = await store();
    const [changed] = await changeTags(repository, OWNER, (await loadSnapshots(repository)).snapshots.slice(0, 1), { add: ['new'] });
    expect(await listForgotten(repository, {})).toEqual([]);
    await forget(repository, changed!.to);
    expect((await listForgotten(repository, {})).map(({ id, snapshot }) => [id, snapshot.tags])).toEqual([[changed!.to, ['t0', 'new']]]);
    await expect(undelete(repository, OWNER, [ids[0]!])).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' });
  });

  test('reads every distinct node once, whatever number of snapshots reaches it', async () => {
    const { repository, memory, ids } = await store(3);
    await forget(repository, ...ids);
    const reads = vi.spyOn(TreeReader.prototype, 'nodesAt');
    onTestFinished(() => { reads.mockRestore(); });
    expect(await listForgotten(await reopen(memory), {})).toHaveLength(3);
    const read = reads.mock.calls.flatMap(([places]) => places.map(({ id }) => toHex(id)));
    expect(read.length).toBeGreaterThan(6);
    expect(new Set(read).size).toBe(read.length);
  });

  test('takes filters', async () => {
    const { repository, ids } = await store(3);
    await forget(repository, ids[0]!, ids[1]!);
    expect((await listForgotten(repository, { tags: [['t1']] })).map(({ id }) => id)).toEqual([ids[1]]);
  });

  test('tells of markers that cannot be read', async () => {
    const { repository, memory, ids } = await store();
    await forget(repository, ids[0]!);
    const bytes = await memory.read(forgottenName(ids[0]!));
    bytes[100]! ^= 1;
    await memory.remove(forgottenName(ids[0]!));
    await memory.create(forgottenName(ids[0]!), [bytes]);
    const events: SnapEvent[] = [];
    expect(await listForgotten(repository, {}, { onEvent: event => events.push(event) })).toEqual([]);
    expect(events).toMatchObject([{ type: 'damage-found', finding: { object: 'forgotten marker', name: ids[0], severity: 'warning' } }]);
    expect((await loadForgotten(repository)).unreadable).toHaveLength(1);
  });
});

describe('beside a prune', () => {
  const HOUR = 3_600_000;

  test('what is back before it begins is kept by it', async () => {
    const { repository, memory, ids, contents } = await store(3);
    await forget(repository, ids[0]!, ids[1]!);
    const [back] = await undelete(repository, OWNER, [ids[0]!]);
    expect(await runPrune(await reopen(memory))).toMatchObject({ isPending: false, packsDropped: expect.toSatisfy((count: number) => count > 0) });
    const left = await readAllSnapshots(await reopen(memory));
    expect([left.get(back!.to), left.get(ids[2]!)]).toEqual([contents.get(ids[0]!), contents.get(ids[2]!)]);
    await expect(undelete(await reopen(memory), OWNER, [ids[1]!])).rejects.toMatchObject({ code: 'SNAPSHOT_GONE' });
  });

  test('what it has condemned and not yet deleted stays away, since it would be deleted', async () => {
    const { repository, memory, ids } = await store(2);
    await forget(repository, ids[0]!);
    expect(await runPrune(await reopen(memory), { graceMs: HOUR })).toMatchObject({ isPending: true });
    await expect(undelete(await reopen(memory), OWNER, [ids[0]!])).rejects.toMatchObject({ code: 'SNAPSHOT_GONE', message: expect.stringContaining('is about to delete') });
    await runPrune(await reopen(memory), { graceMs: 0 });
    await expect(undelete(await reopen(memory), OWNER, [ids[0]!])).rejects.toMatchObject({ code: 'SNAPSHOT_GONE', message: expect.stringContaining('has deleted') });
  });

  test('a prune that takes its session for dead and condemns what it found is not overlooked', async () => {
    const { memory, repository, ids, packs } = await store(2);
    await forget(repository, ids[0]!, ids[1]!);
    const hooked = new FaultyBackend(memory);
    const createIfAbsent = hooked.createIfAbsent.bind(hooked);
    let revoked = 0;
    hooked.createIfAbsent = async (name, bytes, options) => {
      if (name.startsWith('snapshots/') && revoked++ === 0) {
        await condemn(repository, packs[1]!);
        await memory.create(name, [repository.objects.seal(name, OBJECT_TYPES.tombstone, encodeTombstone({ planNumber: 1, createdAt: 1 }))]);
      }
      return createIfAbsent(name, bytes, options);
    };
    await expect(undelete(await reopen(hooked), OWNER, [ids[1]!])).rejects.toMatchObject({ code: 'SNAPSHOT_GONE' });
    expect((await loadSnapshots(repository)).snapshots).toEqual([]);
  });

  test('a prune that runs between its look and its commit cannot take what it needs', async () => {
    const { memory, repository, ids, contents } = await store(2);
    await forget(repository, ids[0]!);
    const hooked = new FaultyBackend(memory);
    const createIfAbsent = hooked.createIfAbsent.bind(hooked);
    let pruned: PruneReport | undefined;
    hooked.createIfAbsent = async (name, bytes, options) => {
      if (name.startsWith('snapshots/') && pruned === undefined) pruned = await runPrune(await reopen(memory));
      return createIfAbsent(name, bytes, options);
    };
    const [back] = await undelete(await reopen(hooked), OWNER, [ids[0]!]);
    expect(pruned).toBeDefined();
    await runPrune(await reopen(memory));
    expect((await readAllSnapshots(await reopen(memory))).get(back!.to)).toEqual(contents.get(ids[0]!));
  });
});

test('names that mean nothing bring nothing back', async () => {
  const { repository, ids } = await store();
  await forget(repository, ids[0]!);
  for (const name of ['latest', 'abc', '', 'x'.repeat(8), ids[1]!]) await expect(undelete(repository, OWNER, [ids[0]!, name])).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' });
  expect((await loadSnapshots(repository)).snapshots.map(({ id }) => snapshotName(id))).toEqual([snapshotName(ids[1]!)]);
});
