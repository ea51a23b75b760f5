/**
 * A check beside others who work in the repository finds no damage where there is none. What a backup or a prune changes is recorded
 * once, and then happens before each single operation of a check in turn, at once or in two parts.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/base/ambient.ts';
import type { Backend } from '../../../src/backend/backend.ts';
import { MemoryBackend, type MemoryState } from '../../../src/backend/memory.ts';
import { encodeFramePrefix, FRAME_PADDING, FrameCipher } from '../../../src/format/frame.ts';
import { OBJECT_TYPES } from '../../../src/format/header.ts';
import { decodeIndexSegment, encodeIndexSegment, unpackSegment, type PackContent } from '../../../src/format/index-segment.ts';
import { parseRunId, parseSegmentId, type PackId } from '../../../src/format/ids.ts';
import { packName, segmentName, type PackType } from '../../../src/format/object-names.ts';
import { firstChunks, tableFrameAt, TABLE_CHUNK_BYTES } from '../../../src/format/pack-table.ts';
import { forgetSnapshot } from '../../../src/repository/forget.ts';
import { publishDone, publishPlan, publishSweep } from '../../../src/repository/gc-writer.ts';
import type { OpenRepository } from '../../../src/repository/opened-repository.ts';
import { readPackTable } from '../../../src/repository/pack-tables.ts';
import { loadSnapshots } from '../../../src/repository/snapshots.ts';
import { WritingSession } from '../../../src/repository/writing-session.ts';
import { newCounters } from '../../../src/usecases/events.ts';
import { FindingList } from '../../../src/usecases/findings.ts';
import type { VerifyOptions } from '../../../src/usecases/verify/verify.ts';
import { beginRun } from '../../../src/usecases/verify/verify-run.ts';
import { checkTrees } from '../../../src/usecases/verify/verify-walk.ts';
import { backupPath, engines, makeRepository, memoryBackend, OWNER, reopen, SMALL_CHUNKS } from '../../support/memory-repository.ts';
import { RecordingBackend, type RecordedOperation } from '../../support/recording-backend.ts';
import { ScriptedBackend } from '../../support/scripted-backend.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { damage, runVerify } from '../../support/verify-jobs.ts';

type Changes = readonly RecordedOperation[];

interface StoredPack {
  readonly type: PackType;
  readonly id: PackId;
  readonly sizeBytes: number;
}

const root = mkdtempSync(join(tmpdir(), 'snap-test-'));
let state: MemoryState;
const changes: Record<string, Changes> = {};

beforeAll(async () => {
  const random = new SeededRandom(5);
  mkdirSync(join(root, 'sub'));
  for (let i = 0; i < 6; i++) writeFileSync(join(root, `sub/file-${i}`), random.bytes(20_000));
  const backend = memoryBackend();
  await backupPath(await makeRepository(backend, { chunker: SMALL_CHUNKS }), root);
  writeFileSync(join(root, 'sub/file-0'), random.bytes(20_000));
  await backupPath(await reopen(backend), root);
  state = backend.snapshotState();
  changes['backup'] = await record(async other => {
    writeFileSync(join(root, 'new'), random.bytes(30_000));
    await backupPath(await reopen(other), root);
  });
  changes['prune'] = await record(prune);
  changes['forget'] = await record(async other => {
    const repository = await reopen(other);
    await forgetSnapshot(repository, (await loadSnapshots(repository)).snapshots[0]!.id, 'test');
  });
});
afterAll(() => { rmSync(root, { recursive: true }); });

async function record(work: (backend: Backend) => Promise<void>): Promise<Changes> {
  const recording = new RecordingBackend(MemoryBackend.fromState(state, { clock: systemClock }), { clock: systemClock, initial: state });
  await work(recording);
  return recording.changes;
}

/** Everything moves into new packs, the old ones are condemned, swept and deleted, and the index is merged (repository design, section 7). */
async function prune(backend: Backend): Promise<void> {
  const admin = await reopen(backend);
  const old: StoredPack[] = [];
  for await (const { name, sizeBytes } of backend.list('packs/')) old.push({ type: name.startsWith('packs/d/') ? 'data' : 'tree', id: name.slice(-32) as PackId, sizeBytes });
  const segments: string[] = [];
  for await (const { name } of backend.list('index/')) segments.push(name);
  await copyPacks(admin, old);
  const ids = old.map(({ id }) => id);
  const plan = await publishPlan(admin, 1, ids, parseRunId('ab'.repeat(16)));
  await publishSweep(admin, plan!, ids);
  for (const { type, id } of old) await backend.remove(packName(type, id));
  await publishDone(admin, plan!);
  await mergeIndex(admin, backend, new Set(ids));
  for (const name of segments) await backend.remove(name);
}

/** The same frames under new keys, and a segment for the new packs. */
async function copyPacks(repository: OpenRepository, packs: readonly StoredPack[]): Promise<void> {
  const { kernel, keys, backend } = repository;
  const session = await WritingSession.begin(repository, { owner: OWNER, compressionLevel: 1, discard: false });
  for (const pack of packs) {
    const table = await readPackTable(repository, pack);
    const first = firstChunks(table);
    const from = new FrameCipher(kernel.createAead(table.suite, keys.packKeys(table).frameKey), encodeFramePrefix(table, keys.repositoryId));
    const grant = session.assembler.grant(pack.type);
    const to = new FrameCipher(kernel.createAead(grant.suite, grant.frameKey), grant.framePrefix);
    for (let frame = 0; frame < table.frameCount; frame++) {
      const { offset, storedLength, rawLength, codec, flags } = tableFrameAt(table, frame);
      if (flags === FRAME_PADDING) continue;
      const identity = { number: frame, rawLength, codec, flags };
      const payload = from.open(identity, await backend.read(packName(pack.type, pack.id), { offset, length: storedLength }))!;
      const chunks = table.chunks.slice(first[frame]! * TABLE_CHUNK_BYTES, first[frame + 1]! * TABLE_CHUNK_BYTES) as Uint8Array<ArrayBuffer>;
      session.assembler.addFrames([{ pack: grant.pack, frame, stored: to.seal(identity, payload), rawLength, codec, chunks }]);
    }
    session.assembler.close(grant.pack);
  }
  await session.flush();
  await session.end();
}

async function mergeIndex({ objects }: OpenRepository, backend: Backend, swept: ReadonlySet<PackId>): Promise<void> {
  const packs: PackContent[] = [];
  for await (const { name } of backend.list('index/')) packs.push(...unpackSegment(decodeIndexSegment((await objects.load(name)).payload)));
  const merged = segmentName(parseSegmentId('cd'.repeat(16)));
  await objects.save(backend, merged, OBJECT_TYPES.indexSegment, encodeIndexSegment([], packs.filter(({ id }) => !swept.has(id))));
}

async function apply(backend: Backend, list: Changes): Promise<void> {
  for (const { verb, name, bytes } of list) {
    if (verb === 'remove') await backend.remove(name);
    else await backend.createIfAbsent(name, bytes);
  }
}

interface Interruption {
  /** Number of the operation of the check before which it happens, from 0. */
  readonly before: number;
  readonly changes: Changes;
}

/** How many operations the check made, and what it said. */
async function verifyBeside(options: Partial<VerifyOptions>, interruptions: readonly Interruption[]): Promise<{ operations: number; report: Awaited<ReturnType<typeof runVerify>> }> {
  const backend = MemoryBackend.fromState(state, { clock: systemClock });
  let operations = 0;
  let isOn = false;
  const repository = await reopen(new ScriptedBackend(backend, async verb => {
    if (!isOn) return;
    // A listing takes long, so that all that can go on beside it does.
    if (verb === 'list') for (let i = 0; i < 30; i++) await new Promise(resolve => { setImmediate(resolve); });
    const at = operations++;
    for (const each of interruptions) if (each.before === at) await apply(backend, each.changes);
  }));
  const snapshots = options.snapshot === undefined ? undefined : (await loadSnapshots(repository)).snapshots;
  isOn = true;
  const report = await runVerify(repository, snapshots === undefined ? options : { ...options, snapshot: snapshots[1]! });
  return { operations, report };
}

const NEWEST = {} as NonNullable<VerifyOptions['snapshot']>;
const KINDS: readonly (readonly [string, Partial<VerifyOptions>])[] = [
  ['metadata', {}], ['tables', { level: 'tables' }], ['all data', { readData: true }], ['all data of one snapshot', { readData: true, snapshot: NEWEST }],
  ['a sample', { readData: { kind: 'part', part: 1, parts: 2 } }], ['structure', { level: 'structure' }],
];

describe.each(KINDS)('a check of %s', (_, options) => {
  test.each(['backup', 'prune', 'forget'])('finds no damage when a %s happens before any of its operations', async what => {
    const { operations } = await verifyBeside(options, []);
    expect(operations).toBeGreaterThan(options.level === 'structure' ? 4 : 10);
    for (let before = 0; before < operations; before++) {
      const { report } = await verifyBeside(options, [{ before, changes: changes[what]! }]);
      expect(damage(report), `before operation ${before}`).toEqual([]);
      expect(report.status).toBe('complete');
    }
  });

  test('finds no damage when a prune condemns at one moment and deletes at another', async () => {
    const { operations } = await verifyBeside(options, []);
    const all = changes['prune']!;
    const plan = all.findIndex(({ name }) => name === 'gc/0000000001');
    expect(plan).toBeGreaterThan(0);
    for (const cut of [plan, plan + 1, plan + 2, all.length - 3]) {
      for (let before = 0; before < operations; before += 3) {
        const { report } = await verifyBeside(options, [{ before, changes: all.slice(0, cut) }, { before: before + 4, changes: all.slice(cut) }]);
        expect(damage(report), `cut at ${cut}, before operation ${before}`).toEqual([]);
      }
    }
  });
});

test('a walk that misses something looks at the repository again before it says so', async () => {
  const repository = await reopen(MemoryBackend.fromState(state, { clock: systemClock }));
  const findings = new FindingList();
  const run = await beginRun(repository, { engines, owner: OWNER, readData: false }, { findings, counters: newCounters(), call: {} });
  repository.cache.chunks.setUsable([]); // as while another part of the check takes a new look
  expect(await checkTrees(run, {})).toMatchObject({ isHit: false, treeNodes: expect.any(Number) });
  expect([run.damage.isEmpty, findings.total]).toEqual([true, 0]);
  await run.session.end();
});

describe('after a prune beside it', () => {
  test('a check of one snapshot has read its data where it lies now', async () => {
    const options = { readData: true, snapshot: NEWEST } as const;
    const { operations, report: { packsRead: needed } } = await verifyBeside(options, []);
    expect(needed).toBeGreaterThan(2);
    for (let before = 0; before < operations; before++) {
      const { report } = await verifyBeside(options, [{ before, changes: changes['prune']! }]);
      expect(report.packsRead, `before operation ${before}`).toBeGreaterThanOrEqual(needed);
    }
  });

  test('a pack that is gone for another reason is damage all the same', async () => {
    const { operations } = await verifyBeside({ readData: true }, []);
    const name = [...state.keys()].find(each => each.startsWith('packs/d/'))!;
    const loss: Changes = [{ verb: 'remove', name, bytes: new Uint8Array(0), sizeBytes: 0, startedAt: 0, finishedAt: 0, outcome: 'done' }];
    for (let before = 0; before < operations; before++) {
      const { report } = await verifyBeside({ readData: true }, [{ before, changes: loss }]);
      if (report.packsRead === 4) continue; // it was read before
      expect(damage(report).map(finding => finding.name), `before operation ${before}`).toContain(name);
    }
  });
});
