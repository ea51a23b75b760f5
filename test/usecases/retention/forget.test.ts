import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { MemoryBackend } from '../../../src/backend/memory.ts';
import { OBJECT_TYPES } from '../../../src/format/header.ts';
import { parseSnapshotId, type SnapshotId } from '../../../src/format/ids.ts';
import { forgottenName, snapshotName } from '../../../src/format/object-names.ts';
import { decodeSnapshot } from '../../../src/format/snapshot.ts';
import { decodeForgotten, encodeForgotten } from '../../../src/format/tombstone.ts';
import { forgetSnapshot, removeLeftOverRecords } from '../../../src/repository/forget.ts';
import type { OpenRepository } from '../../../src/repository/opened-repository.ts';
import { loadSnapshots } from '../../../src/repository/snapshots.ts';
import type { SnapEvent } from '../../../src/usecases/events.ts';
import { forgetByPolicy, forgetNamed, type PolicyOptions } from '../../../src/usecases/retention/forget.ts';
import { NO_RULES, type KeepRules } from '../../../src/usecases/retention/keep-rules.ts';
import { setPinned } from '../../../src/usecases/labels.ts';
import type { ForgetReport } from '../../../src/usecases/reports.ts';
import { stats } from '../../../src/usecases/browse/stats.ts';
import { FaultyBackend } from '../../support/faulty-backend.ts';
import { backupPath, makeRepository, OWNER, reopen, SMALL_CHUNKS, temporaryDirectory } from '../../support/memory-repository.ts';
import { readAllSnapshots } from '../../support/read-snapshot.ts';
import { RecordingBackend } from '../../support/recording-backend.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { TestClock } from '../../support/test-clock.ts';

const DAY = 86_400_000;
const random = new SeededRandom(23);

interface Store {
  readonly clock: TestClock;
  readonly memory: MemoryBackend;
  readonly repository: OpenRepository;
  readonly root: string;
  /** Each a day after the one before, with a new file of this size; the ID. */
  backUp(bytes?: number, changes?: Parameters<typeof backupPath>[2]): Promise<SnapshotId>;
}

async function store(): Promise<Store> {
  const clock = new TestClock();
  const memory = new MemoryBackend({ clock });
  const repository = await makeRepository(memory, { clock, chunker: SMALL_CHUNKS });
  const root = temporaryDirectory();
  let count = 0;
  return {
    clock, memory, repository, root,
    async backUp(bytes = 100, changes = {}) {
      clock.advance(DAY);
      writeFileSync(join(root, `file-${count++}`), random.bytes(bytes));
      return parseSnapshotId((await backupPath(repository, root, { kind: 'incremental', ...changes })).snapshotId!);
    },
  };
}

const counts = (given: KeepRules['counts']): KeepRules => ({ ...NO_RULES, counts: given });
function policyOptions(rules: KeepRules, changes: Partial<PolicyOptions> = {}): PolicyOptions {
  return {
    owner: OWNER, policy: { rules, kinds: {}, groupBy: ['series'] }, isDefaultLimit: false, zone: () => 0, force: false, dryRun: false, ...changes,
  };
}
async function valid(repository: OpenRepository): Promise<string[]> {
  return (await loadSnapshots(repository)).snapshots.map(({ id }) => id);
}
const going = (report: ForgetReport): string[] => report.decisions.filter(({ keeps }) => !keeps).map(({ snapshotId }) => snapshotId);

async function damage(memory: MemoryBackend, name: string): Promise<void> {
  const bytes = await memory.read(name);
  bytes[bytes.length - 1]! ^= 1;
  await memory.remove(name);
  await memory.create(name, [bytes]);
}

describe('forgetting by policy', () => {
  test('keeps what the rules say and forgets the rest, and says why', async () => {
    const { repository, memory, clock, backUp } = await store();
    const ids = [await backUp(), await backUp(), await backUp(), await backUp()];
    const before = await readAllSnapshots(await reopen(memory, { clock }));
    const report = await forgetByPolicy(repository, policyOptions(counts({ last: 2 })));
    expect(report).toMatchObject({ job: 'forget', status: 'complete', kept: 2, forgotten: 2, leftOversRemoved: 0, objections: [], unreadable: [] });
    expect(report.decisions.map(({ snapshotId, keeps, reasons }) => [snapshotId, keeps, reasons[0]])).toEqual([
      [ids[3], true, 'last 1 of 2'], [ids[2], true, 'last 2 of 2'], [ids[1], false, 'not kept by any rule'], [ids[0], false, 'not kept by any rule'],
    ]);
    const again = await reopen(memory, { clock });
    expect(await valid(again)).toEqual(ids.slice(2));
    const after = await readAllSnapshots(again);
    for (const id of ids.slice(2)) expect(after.get(id)).toEqual(before.get(id));
  });

  test('changes nothing in a dry run, which decides the same', async () => {
    const { repository, memory, backUp } = await store();
    for (let i = 0; i < 4; i++) await backUp();
    const before = memory.snapshotState();
    const planned = await forgetByPolicy(repository, policyOptions(counts({ last: 2 }), { dryRun: true }));
    expect(planned).toMatchObject({ dryRun: true, kept: 2, forgotten: 2 });
    expect(memory.snapshotState()).toEqual(before);
    expect(going(await forgetByPolicy(repository, policyOptions(counts({ last: 2 }))))).toEqual(going(planned));
  });

  test('looks only at what the filter lets through', async () => {
    const { repository, backUp } = await store();
    const tagged = [await backUp(100, { tags: ['x'] }), await backUp(100, { tags: ['x'] })];
    const others = [await backUp(), await backUp()];
    await forgetByPolicy(repository, policyOptions(counts({ last: 1 }), { filter: { tags: [['x']] } }));
    expect(await valid(repository)).toEqual([tagged[1], ...others]);
  });

  test('never forgets a pinned snapshot', async () => {
    const { repository, backUp } = await store();
    await backUp();
    await setPinned(repository, OWNER, (await loadSnapshots(repository)).snapshots, true);
    const [pinned] = await valid(repository);
    await backUp();
    const last = await backUp();
    await forgetByPolicy(repository, policyOptions(counts({ last: 1 })));
    expect(await valid(repository)).toEqual([pinned, last]);
  });

  test('leaves records that cannot be read alone, and tells of them', async () => {
    const { memory, clock, backUp } = await store();
    const [damaged] = [await backUp(), await backUp(), await backUp()];
    await damage(memory, snapshotName(damaged!));
    const events: SnapEvent[] = [];
    const again = await reopen(memory, { clock });
    const report = await forgetByPolicy(again, policyOptions(counts({ last: 1 })), { onEvent: event => events.push(event) });
    expect(report).toMatchObject({ kept: 1, forgotten: 1, unreadable: [damaged] });
    expect(events.filter(({ type }) => type === 'damage-found')).toHaveLength(1);
    expect(await memory.stat(snapshotName(damaged!))).toBeDefined();
  });
});

describe('the size limit', () => {
  /** Stored bytes that these snapshots reach together, by another walk. */
  async function together(repository: OpenRepository, ids: readonly string[]): Promise<number> {
    const { snapshots } = await loadSnapshots(repository);
    return (await stats(repository, snapshots.filter(({ id }) => ids.includes(id)), { owner: OWNER })).storedBytes;
  }

  test('forgets the oldest until the stored bytes of the rest fit, to the byte', async () => {
    const { repository, memory, clock, root, backUp } = await store();
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) {
      // Old content leaves as well, so that older snapshots hold something of their own.
      writeFileSync(join(root, 'changing'), random.bytes(60_000));
      ids.push(await backUp(20_000));
    }
    const exact = await together(repository, ids.slice(2));
    const again = await reopen(memory, { clock });
    const fits = await forgetByPolicy(again, policyOptions(counts({ last: 100 }), { maxBytes: exact, dryRun: true }));
    expect(fits).toMatchObject({ forgotten: 2, keptBytes: exact, maxBytes: exact });
    const tight = await forgetByPolicy(again, policyOptions(counts({ last: 100 }), { maxBytes: exact - 1 }));
    expect(tight.decisions.filter(({ keeps }) => !keeps).map(({ snapshotId, reasons }) => [snapshotId, reasons])).toEqual([2, 1, 0].map(i => [ids[i], ['over the size limit']]));
    expect(tight.keptBytes).toBe(await together(repository, ids.slice(3)));
    expect(await valid(repository)).toEqual(ids.slice(3));
  });

  test('counts what the rules keep only, and nothing when all packs fit', async () => {
    const { repository, memory, backUp } = await store();
    const ids = [await backUp(50_000), await backUp(50_000), await backUp(50_000)];
    const packs = [...memory.snapshotState()].filter(([name]) => name.startsWith('packs/')).reduce((sum, [, { bytes }]) => sum + bytes.length, 0);
    expect(await forgetByPolicy(repository, policyOptions(counts({ last: 2 }), { maxBytes: packs, dryRun: true }))).toMatchObject({ keptBytes: undefined, forgotten: 1 });
    expect(await forgetByPolicy(repository, policyOptions(counts({ last: 2 }), { maxBytes: packs - 1, dryRun: true }))).toMatchObject({ keptBytes: await together(repository, ids.slice(1)), forgotten: 1 });
  });

  test('leaves pinned, tagged and last snapshots, whatever they take', async () => {
    const { repository, backUp } = await store();
    await backUp(20_000);
    await setPinned(repository, OWNER, (await loadSnapshots(repository)).snapshots, true);
    const [pinned] = await valid(repository);
    const tagged = await backUp(20_000, { tags: ['x'] });
    await backUp(20_000);
    const last = await backUp(20_000);
    await forgetByPolicy(repository, policyOptions({ ...counts({ last: 100 }), tags: [['x']] }, { maxBytes: 1 }));
    expect(await valid(repository)).toEqual([pinned, tagged, last]);
  });

  test('that nobody set is an objection, not a reason', async () => {
    const { repository, backUp } = await store();
    const ids = [await backUp(50_000), await backUp(50_000)];
    const options = policyOptions(counts({ last: 100 }), { maxBytes: 60_000, isDefaultLimit: true });
    await expect(forgetByPolicy(repository, options)).rejects.toMatchObject({ code: 'FORGET_REFUSED', message: expect.stringContaining('--max-size') });
    expect(await valid(repository)).toEqual(ids);
    expect(await forgetByPolicy(repository, { ...options, isDefaultLimit: false })).toMatchObject({ forgotten: 1 });
  });

  test('needs a repository whose sizes can be found out', async () => {
    const { memory, clock, backUp } = await store();
    for (let i = 0; i < 3; i++) await backUp(50_000);
    for (const [name] of memory.snapshotState()) if (name.startsWith('packs/t/')) await memory.remove(name);
    const before = memory.snapshotState();
    const again = await reopen(memory, { clock });
    await expect(forgetByPolicy(again, policyOptions(counts({ last: 100 }), { maxBytes: 1 }))).rejects.toMatchObject({ code: 'CHUNK_MISSING' });
    expect([...memory.snapshotState().keys()]).toEqual([...before.keys()]);
  });
});

describe('guards stop a run before it changes anything, and give way to force', () => {
  test.each<[string, (made: Store) => Promise<void>, Partial<PolicyOptions>, string]>([
    ['nearly everything', async ({ backUp }) => { for (let i = 0; i < 5; i++) await backUp(); }, { maxForgetShare: 0.5 }, 'more than 50 %'],
    ['future', async ({ backUp, clock }) => {
      for (let i = 0; i < 3; i++) await backUp();
      await backUp(100, { time: [Math.floor(clock.now() / 1000) + 10 * 86_400, 0] });
    }, {}, 'in the future'],
    ['shrinkage', async ({ backUp, root }) => {
      writeFileSync(join(root, 'large'), random.bytes(11 * 2 ** 20));
      for (let i = 0; i < 3; i++) await backUp();
      writeFileSync(join(root, 'large'), '');
      await backUp();
    }, {}, 'are usual'],
  ])('%s', async (_, prepare, changes, words) => {
    const made = await store();
    await prepare(made);
    const { repository, memory } = made;
    const before = [...memory.snapshotState().keys()];
    const options = policyOptions(counts({ last: 1 }), changes);
    await expect(forgetByPolicy(repository, options)).rejects.toMatchObject({ code: 'FORGET_REFUSED', kind: 'guard', message: expect.stringContaining(words), hint: expect.stringContaining('--force') });
    expect([...memory.snapshotState().keys()]).toEqual(before);
    expect(await forgetByPolicy(repository, { ...options, dryRun: true })).toMatchObject({ status: 'failed', objections: [expect.stringContaining(words)] });
    const forced = await forgetByPolicy(repository, { ...options, force: true });
    expect(forced).toMatchObject({ status: 'complete', objections: [expect.stringContaining(words)] });
    expect(forced.forgotten).toBeGreaterThan(0);
    expect(await valid(repository)).toHaveLength(forced.kept);
  });
});

describe('forgetting by name', () => {
  const plain = { force: false, dryRun: false };

  test('forgets exactly these', async () => {
    const { repository, backUp } = await store();
    const ids = [await backUp(), await backUp(), await backUp()];
    const report = await forgetNamed(repository, [ids[0]!.slice(0, 8), 'latest', 'latest'], plain);
    expect(report).toMatchObject({ forgotten: 2, kept: 1, objections: [] });
    expect(await valid(repository)).toEqual([ids[1]]);
    await expect(forgetNamed(repository, [ids[0]!], plain)).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' });
  });

  test('is all or nothing when a name is wrong', async () => {
    const { repository, backUp } = await store();
    const ids = [await backUp(), await backUp()];
    await expect(forgetNamed(repository, [ids[0]!, 'ffffffff'], plain)).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' });
    expect(await valid(repository)).toEqual(ids);
  });

  test('keeps the last snapshot of a series and pinned ones unless forced', async () => {
    const { repository, backUp } = await store();
    const other = await backUp(100, { series: 'other' });
    await backUp();
    await setPinned(repository, OWNER, (await loadSnapshots(repository)).snapshots.slice(1), true);
    const pinned = (await valid(repository))[1]!;
    const last = await backUp();
    await expect(forgetNamed(repository, [other], plain)).rejects.toMatchObject({ code: 'FORGET_REFUSED', message: "Nothing was forgotten. Series 'other' would have no snapshot left" });
    await expect(forgetNamed(repository, [pinned, last], plain)).rejects.toMatchObject({ message: expect.stringMatching(/is pinned\. Series 'test' would have no snapshot left$/) });
    expect(await forgetNamed(repository, [pinned, last], { force: false, dryRun: true })).toMatchObject({ status: 'failed', objections: [expect.any(String), expect.any(String)] });
    expect(await valid(repository)).toHaveLength(3);
    expect(await forgetNamed(repository, [other, pinned, last], { force: true, dryRun: false })).toMatchObject({ forgotten: 3, kept: 0 });
    expect(await valid(repository)).toEqual([]);
  });

  test('takes the full ID of a record that cannot be read', async () => {
    const { memory, clock, backUp } = await store();
    const [damaged, good] = [await backUp(), await backUp()];
    await damage(memory, snapshotName(damaged));
    const again = await reopen(memory, { clock });
    await expect(forgetNamed(again, [damaged.slice(0, 8)], plain)).rejects.toMatchObject({ code: 'OBJECT_CORRUPT' });
    expect(await forgetNamed(again, [damaged], plain)).toMatchObject({ forgotten: 1, kept: 1, decisions: [{ snapshotId: damaged, createdAt: undefined, reasons: ['named, cannot be read'] }] });
    const { snapshots, unreadable } = await loadSnapshots(again);
    expect([snapshots.map(({ id }) => id), unreadable]).toEqual([[good], []]);
    const marker = decodeForgotten((await again.objects.loadSigned(forgottenName(damaged))).body);
    expect([marker.snapshot, marker.recordDigest?.length]).toEqual([undefined, 32]);
  });
});

describe('a marker', () => {
  test('carries the record, unless another one took its place', async () => {
    const { repository, backUp } = await store();
    const [id] = [await backUp(), await backUp()];
    const { snapshot } = (await loadSnapshots(repository)).snapshots[0]!;
    await forgetNamed(repository, [id], { force: false, dryRun: false });
    const { body, isTrusted } = await repository.objects.loadSigned(forgottenName(id));
    expect(isTrusted).toBe(true);
    expect(decodeSnapshot(decodeForgotten(body).snapshot!)).toEqual(snapshot);
    const [last] = await valid(repository);
    await setPinned(repository, OWNER, (await loadSnapshots(repository)).snapshots, true);
    expect(decodeForgotten((await repository.objects.loadSigned(forgottenName(parseSnapshotId(last!)))).body).snapshot).toBeUndefined();
  });

  test('of a snapshot that was marked before stays as it is', async () => {
    const { repository, memory, backUp } = await store();
    const [id] = [await backUp(), await backUp()];
    await forgetSnapshot(repository, id, 'first', { keepsRecord: true });
    const before = await memory.read(forgottenName(id));
    await forgetSnapshot(repository, id, 'second');
    expect(await memory.read(forgottenName(id))).toEqual(before);
  });

  test('is there when the answer to its write was lost', async () => {
    const { repository, memory, backUp } = await store();
    const [id] = [await backUp(), await backUp()];
    const faulty = new FaultyBackend(memory);
    faulty.plan({ verb: 'createIfAbsent', effect: 'fail-after' });
    await forgetSnapshot({ ...repository, backend: faulty }, id, 'lost');
    expect(await valid(repository)).toHaveLength(1);
  });

  test('takes the place of something that only looks like one', async () => {
    const { repository, memory, backUp } = await store();
    const [unsigned, cut] = [await backUp(), await backUp(), await backUp()];
    await memory.create(forgottenName(unsigned!), [foreignMarker(repository, unsigned!)]);
    await memory.create(forgottenName(cut!), [new Uint8Array(10)]);
    expect(await valid(repository)).toHaveLength(3);
    await forgetNamed(repository, [unsigned!, cut!], { force: false, dryRun: false });
    expect(await valid(repository)).toHaveLength(1);
    for (const id of [unsigned!, cut!]) expect(await repository.objects.loadSigned(forgottenName(id))).toMatchObject({ isTrusted: true });
  });

  /** Well made, but signed by nobody who may. */
  function foreignMarker(repository: OpenRepository, id: SnapshotId): Uint8Array {
    const other = new Proxy(repository.keys, {
      get: (keys, name) => {
        const value: unknown = name === 'adminSeed' ? () => new Uint8Array(32).fill(5) : Reflect.get(keys, name, keys);
        return typeof value === 'function' ? value.bind(keys) as unknown : value;
      },
    });
    const objects = new (repository.objects.constructor as new (...parts: unknown[]) => OpenRepository['objects'])(repository.kernel, repository.random, other, repository.backend);
    return objects.seal(forgottenName(id), OBJECT_TYPES.forgotten, encodeForgotten({ reason: 'junk', createdAt: 1 }));
  }
});

describe('a run that is interrupted', () => {
  test('has at every moment written the marker before it removed the record, and the next one ends it', async () => {
    const { memory, clock, backUp } = await store();
    for (let i = 0; i < 6; i++) await backUp();
    const recording = new RecordingBackend(memory, { clock, initial: memory.snapshotState() });
    await forgetByPolicy(await reopen(recording, { clock }), policyOptions(counts({ last: 2 })));
    const { changes } = recording;
    expect(changes.map(({ verb }) => verb).sort()).toEqual([...Array.from({ length: 4 }, () => 'createIfAbsent'), ...Array.from({ length: 4 }, () => 'remove')]);
    for (let count = 0; count <= changes.length; count++) {
      const repository = await reopen(await recording.replayPrefix(count), { clock });
      const state = (repository.backend as MemoryBackend).snapshotState();
      const marked = [...state.keys()].filter(name => name.startsWith('forgotten/')).map(name => name.slice('forgotten/'.length));
      const records = [...state.keys()].filter(name => name.startsWith('snapshots/')).map(name => name.slice('snapshots/'.length));
      expect(new Set([...marked, ...records]).size).toBe(6);
      expect((await valid(repository)).sort()).toEqual(records.filter(id => !marked.includes(id)).sort());
      const report = await forgetByPolicy(repository, policyOptions(counts({ last: 2 })));
      expect(report.leftOversRemoved).toBe(records.filter(id => marked.includes(id)).length);
      expect(report.forgotten + marked.length).toBe(4);
      expect([...(repository.backend as MemoryBackend).snapshotState().keys()].filter(name => name.startsWith('snapshots/'))).toHaveLength(2);
    }
  });

  test('leaves records alone whose marker nobody signed', async () => {
    const { repository, memory, backUp } = await store();
    const id = await backUp();
    await memory.create(forgottenName(id), [new Uint8Array(100)]);
    expect(await removeLeftOverRecords(repository)).toBe(0);
    expect(await valid(repository)).toEqual([id]);
  });
});

test('days are those of the zone that is given', async () => {
  const { repository, clock, backUp } = await store();
  const ids: string[] = [];
  for (const hours of [20.5, 1, 2]) { // 20:30, 21:30 and 23:30 UTC
    clock.advance(hours * 3_600_000 - DAY);
    ids.push(await backUp());
  }
  const kept = async (zoneHours: number): Promise<string[]> => {
    const report = await forgetByPolicy(repository, policyOptions(counts({ daily: 2 }), { dryRun: true, zone: () => zoneHours * 3_600_000 }));
    return report.decisions.filter(({ keeps }) => keeps).map(({ snapshotId }) => snapshotId);
  };
  expect(await kept(0)).toEqual([ids[2], ids[0]]); // one day, and the oldest
  expect(await kept(2)).toEqual([ids[2], ids[1]]); // two days
});
