/** What each level of a check must find (repository design, section 16.2), and what it reads for that. */
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/base/ambient.ts';
import { equalBytes, utf8, type Bytes } from '../../../src/base/bytes.ts';
import type { Backend } from '../../../src/backend/backend.ts';
import { MemoryBackend } from '../../../src/backend/memory.ts';
import { OBJECT_TYPES } from '../../../src/format/header.ts';
import { decodeIndexSegment, encodeIndexSegment, unpackSegment, type PackContent } from '../../../src/format/index-segment.ts';
import { encodeDone, encodePlan, encodeSweep, packPackIds } from '../../../src/format/gc-documents.ts';
import { chunkIdFromBytes, parseRunId, parseSegmentId, parseSessionId, type ChunkId, type PackId } from '../../../src/format/ids.ts';
import { gcDoneName, gcPlanName, gcSweepName, heartbeatName, probeName, segmentName, snapshotName } from '../../../src/format/object-names.ts';
import { encodeContentLeaf, encodeLeaf, type Entry } from '../../../src/format/tree-node.ts';
import { openMemoryCache } from '../../../src/cache/memory-cache.ts';
import { openRepository } from '../../../src/repository/open-repository.ts';
import type { OpenRepository } from '../../../src/repository/opened-repository.ts';
import { loadSnapshots } from '../../../src/repository/snapshots.ts';
import { WritingSession } from '../../../src/repository/writing-session.ts';
import type { Finding } from '../../../src/usecases/events.ts';
import { KEY, makeRepository, memoryBackend, OWNER, reopen } from '../../support/memory-repository.ts';
import { commitComponent, flipBit, frameOfDirectory, frameOfFile } from '../../support/read-jobs.ts';
import { RecordingBackend } from '../../support/recording-backend.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { damage, ledgerOf, namesOf, paths, replaceObject, runVerify, verifySample, warnings } from '../../support/verify-jobs.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const random = new SeededRandom(3);

function brief(findings: readonly Finding[]): string[] {
  return findings.map(({ object, message }) => `${object}: ${message}`);
}

describe('level 0, structure', () => {
  const level = 'structure';

  test('finds nothing in a whole repository, reads no index, tree or pack, and writes nothing', async () => {
    const { backend } = await verifySample();
    const recording = new RecordingBackend(backend, { clock: systemClock });
    const report = await runVerify(await reopen(recording), { level });
    expect(report).toMatchObject({ status: 'complete', findings: [], levels: ['structure'], snapshots: 2, packs: 4, treeNodes: 0, packsRead: 0 });
    const touched = recording.operations.filter(({ verb, name }) => verb !== 'list' && /^(packs|index)\//.test(name));
    expect([touched, recording.changes]).toEqual([[], []]);
  });

  test.each([
    ['a pack that is cut off', 'packs/d/', (bytes: Bytes) => bytes.subarray(0, bytes.length - 1), /^pack: The pack has \d+ bytes, as no whole pack has$/],
    ['an empty pack', 'packs/t/', () => new Uint8Array(0), /^pack: The pack is empty$/],
    ['an index segment that is cut off', 'index/', (bytes: Bytes) => bytes.subarray(0, bytes.length - 1), /^index segment: The object has \d+ bytes, as no whole one has$/],
    ['an empty index segment', 'index/', () => new Uint8Array(0), /^index segment: The object is empty$/],
    ['an empty snapshot record', 'snapshots/', () => new Uint8Array(0), /^snapshot: .*0 bytes are too few/],
    ['a snapshot record that is cut off', 'snapshots/', (bytes: Bytes) => bytes.subarray(0, 100), /^snapshot: .*100 bytes where/],
  ])('finds %s by its size', async (_, prefix, change, message) => {
    const { backend } = await verifySample();
    const name = namesOf(backend, prefix)[0]!;
    await replaceObject(backend, name, change);
    const found = damage(await runVerify(await reopen(backend), { level }));
    expect(brief(found)).toEqual([expect.stringMatching(message)]);
    expect(found[0]!.name).toBe(name);
  });

  test('finds what is there in excess, and what lacks its other half', async () => {
    const { backend, repository } = await verifySample();
    const pack = namesOf(backend, 'packs/d/')[0]!.slice(-32) as PackId;
    const [plan, sweep, done] = [encodePlan({ packs: packPackIds([pack]), createdAt: 1, runId: parseRunId('ab'.repeat(16)) }),
      encodeSweep({ packs: packPackIds([pack]), planDigest: new Uint8Array(32), createdAt: 2 }), encodeDone({ createdAt: 3 })];
    await repository.objects.save(backend, gcPlanName(1), OBJECT_TYPES.plan, plan);
    await repository.objects.save(backend, gcSweepName(1), OBJECT_TYPES.sweep, sweep);
    await repository.objects.save(backend, gcDoneName(1), OBJECT_TYPES.done, done);
    await repository.objects.save(backend, gcSweepName(2), OBJECT_TYPES.sweep, sweep);
    await repository.objects.save(backend, gcPlanName(3), OBJECT_TYPES.plan, plan);
    await repository.objects.save(backend, gcPlanName(3, 'aabbccddeeff0011'), OBJECT_TYPES.plan, plan);
    await backend.create(probeName('ee'.repeat(16)), [utf8('x')]);
    await backend.create(heartbeatName(parseSessionId('dd'.repeat(16)), 1), [utf8('x')]);
    await backend.create('packs/stray', [utf8('x')]);
    const later = { ...repository.clock, now: () => repository.clock.now() + 2 * DAY_MS };
    const report = await runVerify({ ...repository, clock: later }, { level });
    expect(report.status).toBe('complete');
    expect(warnings(report).map(({ name, message }) => `${name.slice(0, 16)} ${message}`).sort()).toEqual([
      'gc/0000000001.sw Packs that the finished sweep names are there (1), though nothing needs them',
      'gc/0000000002.sw The sweep is there without its plan',
      'gc/0000000003 A prune is under way or was interrupted; the next one goes on where it stopped',
      'gc/0000000003-aa A prune is under way or was interrupted; the next one goes on where it stopped',
      'gc/0000000003-aa There is more than one plan with the number 3',
      'packs/stray The file does not belong to the repository; it was left alone',
      'probe/eeeeeeeeee A trial of the storage was interrupted and left the object behind; it may be removed',
      'sessions/ddddddd The heartbeat belongs to a session that is not there; it may be removed',
    ]);
  });

  test('finds one ID that two packs have, and a name that the storage lists twice', async () => {
    const { backend } = await verifySample();
    const name = namesOf(backend, 'packs/d/')[0]!;
    await backend.create(name.replace('packs/d/', 'packs/t/'), [await backend.read(name)]);
    const twice: Backend = Object.assign(Object.create(backend) as Backend, {
      async *list(prefix: string) { for await (const object of MemoryBackend.prototype.list.call(backend, prefix)) { yield object; if (object.name.startsWith('snapshots/')) yield object; } },
      read: backend.read.bind(backend), stat: backend.stat.bind(backend), close: async () => undefined,
    });
    const report = await runVerify(await reopen(twice), { level });
    expect(brief(damage(report))).toEqual(['pack: The ID is used by a data pack and by a tree pack']);
    expect(warnings(report).map(({ object, name: listed }) => `${object} ${listed.slice(0, 10)}`)).toEqual(['listing snapshots/', 'listing snapshots/']);
  });

  test('finds clocks that cannot be right', async () => {
    const { backend, repository } = await verifySample();
    const state = new Map([...backend.snapshotState()].map(([name, object]) => [name, name === 'config' ? { ...object, storedAt: systemClock.now() + 3 * DAY_MS } : object]));
    const ahead = await runVerify(await reopen(MemoryBackend.fromState(state, { clock: systemClock })), { level });
    expect(warnings(ahead)).toMatchObject([{ object: 'clock', name: 'config', message: expect.stringContaining('3 d 0 h from now') }]);
    const { snapshots: [first] } = await loadSnapshots(repository);
    const early = new Map([...backend.snapshotState()].map(([name, object]) => [name, name === snapshotName(first!.id) ? { ...object, storedAt: object.storedAt - 3 * DAY_MS } : object]));
    const dated = await runVerify(await reopen(MemoryBackend.fromState(early, { clock: systemClock })), { level });
    expect(brief(warnings(dated))).toEqual(['snapshot: The snapshot is dated later than it was stored']);
  });

  test('takes a newer format for what cannot be checked, not for damage', async () => {
    const { backend } = await verifySample();
    const name = namesOf(backend, 'snapshots/')[0]!;
    await replaceObject(backend, name, bytes => bytes.map((byte, i) => i === 4 ? 2 : byte));
    const report = await runVerify(await reopen(backend), { level });
    expect([report.status, damage(report), warnings(report).map(each => each.name)]).toEqual(['failed', [], [name]]);
  });

  test('notices that this host has seen more of the repository than is there', async () => {
    const { repository } = await verifySample();
    await repository.cache.remember({ highestGc: 7, lastSnapshot: 'ab'.repeat(16) });
    const report = await runVerify(repository, { level });
    expect(report.status).toBe('complete');
    expect(warnings(report)).toMatchObject([{ object: 'repository', hint: expect.stringContaining('replica') }, { object: 'repository' }]);
  });
});

/** Stores nodes as they are given, in a tree pack of their own. */
async function storeNodes(repository: OpenRepository, nodes: readonly Bytes[]): Promise<ChunkId[]> {
  const session = await WritingSession.begin(repository, { owner: OWNER, compressionLevel: 1, discard: false });
  try {
    const ids = nodes.map(node => session.trees.put(node).id);
    await session.flush();
    return ids;
  } finally {
    await session.end();
  }
}

const DIRECTORY: Omit<Entry, 'name' | 'directoryNode'> = { type: 'directory', mode: 0o755, mtime: [1, 0], flags: 0 };
const FILE: Omit<Entry, 'name'> = { type: 'file', mode: 0o644, mtime: [1, 0], flags: 0 };
const NO_NAME = new Uint8Array(0);

/** A repository with one snapshot whose root is made up; `root` gets the IDs of the nodes. */
async function madeUp(nodes: readonly Bytes[], root: (ids: readonly ChunkId[]) => Entry): Promise<{ backend: MemoryBackend; repository: OpenRepository }> {
  const backend = memoryBackend();
  const repository = await makeRepository(backend);
  await commitComponent(repository, '/made/up', root(await storeNodes(repository, nodes)));
  return { backend, repository: await reopen(backend) };
}

describe('level 1, metadata', () => {
  test('finds references that lead nowhere', async () => {
    const nowhere = chunkIdFromBytes(random.bytes(32));
    const leaf = encodeLeaf([{ ...FILE, name: utf8('file'), sizeBytes: 10, content: [{ id: nowhere, lengthBytes: 10 }] }, { ...DIRECTORY, name: utf8('sub'), directoryNode: nowhere }]);
    const { repository } = await madeUp([leaf], ([id]) => ({ ...DIRECTORY, name: NO_NAME, directoryNode: id! }));
    const found = damage(await runVerify(repository));
    // One name, wherever it is needed.
    expect(found).toMatchObject([{ name: Buffer.from(nowhere).toString('hex'), message: expect.stringContaining('No index segment says where the chunk is') }]);
    expect(paths(found[0])).toEqual(['/made/up/file', '/made/up/sub']);
    expect(found[0]!.files[0]!.ranges).toEqual([[0, 10]]);
    expect(found[0]!.hint).toContain('snap repair index');
  });

  test.each<[string, (ids: readonly ChunkId[]) => Entry, RegExp]>([
    ['a tree node where content belongs', ([id]) => ({ ...FILE, name: NO_NAME, sizeBytes: 10, content: [{ id: id!, lengthBytes: 10 }] }), /another length or type/],
    ['a content node where a directory belongs', ([, id]) => ({ ...DIRECTORY, name: NO_NAME, directoryNode: id! }), /wrong kind/],
    ['a directory where content belongs', ([id]) => ({ ...FILE, name: NO_NAME, sizeBytes: 7, contentNode: id! }), /wrong kind/],
    ['content of another size', ([, id]) => ({ ...FILE, name: NO_NAME, sizeBytes: 8, contentNode: id! }), /covers 7 bytes instead of 8/],
  ])('finds %s', async (_, root, message) => {
    const { repository } = await madeUp([encodeLeaf([]), encodeContentLeaf([{ id: undefined, lengthBytes: 7 }])], root);
    expect(damage(await runVerify(repository))).toEqual([expect.objectContaining({ message: expect.stringMatching(message) })]);
  });

  test.each<[string, Uint8Array]>([
    ['illegal', encodeUnchecked([utf8('..')])], ['unsorted', encodeUnchecked([utf8('b'), utf8('a')])], ['double', encodeUnchecked([utf8('a'), utf8('a')])],
  ])('finds %s names', async (_, node) => {
    const { repository } = await madeUp([node], ([id]) => ({ ...DIRECTORY, name: NO_NAME, directoryNode: id! }));
    expect(damage(await runVerify(repository))).toMatchObject([{ object: 'tree', files: [{ path: utf8('/made/up') }] }]);
  });

  test('finds a tree that contains itself, which only forged IDs can make', async () => {
    const backend = memoryBackend();
    const plain = await makeRepository(backend);
    const forgedId = new Uint8Array(32).fill(0x77);
    const mark = utf8('the node of which everything is below itself');
    // A kernel that gives every node with the mark the same ID, in writing and in reading.
    const forge = (kernel: OpenRepository['kernel']): OpenRepository['kernel'] => ({
      ...kernel, createHasher: key => { const hasher = kernel.createHasher(key); return { hash: bytes => Buffer.from(bytes).includes(Buffer.from(mark)) ? forgedId.slice() : hasher.hash(bytes) }; },
    });
    const forged = (): Promise<OpenRepository> =>
      openRepository(backend, KEY, { kernel: forge(plain.kernel), clock: plain.clock, random: plain.random }, async () => openMemoryCache());
    const writer = await forged();
    const [id] = await storeNodes(writer, [encodeLeaf([{ ...DIRECTORY, name: mark, directoryNode: chunkIdFromBytes(forgedId) }])]);
    expect(equalBytes(id!, forgedId)).toBe(true);
    await commitComponent(writer, '/made/up', { ...DIRECTORY, name: NO_NAME, directoryNode: id! });
    expect(brief(damage(await runVerify(await forged())))).toEqual([expect.stringMatching(/^tree: .*lies below itself/)]);
  });

  async function changedIndex(change: (packs: PackContent[]) => PackContent[], keep: boolean): Promise<{ backend: MemoryBackend; segment: string }> {
    const { backend, repository } = await verifySample();
    const old = namesOf(backend, 'index/')[0]!;
    const packs = unpackSegment(decodeIndexSegment((await repository.objects.load(old)).payload));
    const segment = segmentName(parseSegmentId('ab'.repeat(16)));
    await repository.objects.save(backend, segment, OBJECT_TYPES.indexSegment, encodeIndexSegment([], change(packs)));
    if (!keep) await backend.remove(old);
    return { backend, segment };
  }

  test('finds an index that lies about packs', async () => {
    const gone = '99'.repeat(16) as PackId;
    const missing = await changedIndex(packs => [...packs, { ...packs[0]!, id: gone }], false);
    expect(damage(await runVerify(await reopen(missing.backend)))).toMatchObject([{ object: 'pack', name: expect.stringContaining(gone), message: expect.stringContaining('missing') }]);
    const renamed = await changedIndex(packs => packs.map((pack, i) => ({ ...pack, type: i === 0 ? (pack.type === 'data' ? 'tree' : 'data') : pack.type })), false);
    expect(brief(damage(await runVerify(await reopen(renamed.backend)))).join()).toMatch(/The index takes the pack for a/);
  });

  test('finds two segments that say different things of one pack', async () => {
    const { backend, segment } = await changedIndex(packs => packs.map(pack => ({ ...pack, sessionId: parseSessionId('cd'.repeat(16)) })), true);
    const found = damage(await runVerify(await reopen(backend)));
    expect(found.length).toBeGreaterThan(0);
    expect(found.every(({ object, message }) => object === 'index segment' && message.includes('something else of pack'))).toBe(true);
    expect(namesOf(backend, 'index/')).toContain(segment);
  });

  test('reads snapshots and trees from the storage, whatever the cache has', async () => {
    const { backend, repository, root } = await verifySample();
    const { snapshots } = await loadSnapshots(repository); // now in the cache
    await runVerify(repository);
    await flipBit(backend, await frameOfDirectory(repository, `${root}/own`));
    expect(damage(await runVerify(repository, { snapshot: snapshots[1]! }))).toHaveLength(1);
    const record = snapshotName(snapshots[1]!.id);
    await flipBit(backend, { object: record, offset: 80, length: 40 });
    const report = await runVerify(repository, { snapshot: snapshots[1]! });
    expect(damage(report)).toMatchObject([{ object: 'snapshot', name: record }]);
    expect(report).toMatchObject({ snapshotId: snapshots[1]!.id, snapshots: 0, status: 'failed' });
  });
});

/** A leaf as an attacker could write it: the encoder refuses such names. */
function encodeUnchecked(names: readonly Bytes[]): Uint8Array {
  const legal = names.map((name, i) => ({ ...FILE, name: new Uint8Array(name.length).fill(0x30 + i), sizeBytes: 0 }));
  const bytes = Buffer.from(encodeLeaf(legal));
  names.forEach((name, i) => {
    const from = Buffer.concat([Buffer.from([0x40 + name.length]), Buffer.alloc(name.length, 0x30 + i)]);
    Buffer.from(name).copy(bytes, bytes.indexOf(from) + 1);
  });
  return new Uint8Array(bytes);
}

describe('level 2, pack tables', () => {
  const level = 'tables';

  test('reads both ends of every pack, in two small ranges, and finds nothing in whole ones', async () => {
    const { backend } = await verifySample();
    const repository = await reopen(backend);
    await runVerify(repository); // the trees of the next one come from the same packs
    const recording = new RecordingBackend(backend, { clock: systemClock });
    const report = await runVerify({ ...repository, backend: recording }, { level });
    expect(report).toMatchObject({ status: 'complete', findings: [], levels: ['structure', 'metadata', 'tables'], tablesRead: 4, packsRead: 0, bytesRead: 0 });
    const ofData = recording.operations.filter(({ verb, name }) => verb === 'read' && name.startsWith('packs/d/'));
    expect(ofData).toHaveLength(4);
    for (const { sizeBytes } of ofData) expect(sizeBytes).toBeLessThanOrEqual(64 * 1024);
    expect(ledgerOf(backend)).toEqual([]);
  });

  test('finds packs of one size that were swapped, and names the files in them', async () => {
    const { backend, root } = await verifySample();
    const [one, two] = namesOf(backend, 'packs/d/') as [string, string];
    const large = (await backend.read(one)).length > (await backend.read(two)).length ? one : two;
    const other = `packs/d/ab/${'ab'.repeat(16)}`;
    // Another one of that size in its place: only its tables tell.
    const bytes = await backend.read(large);
    await replaceObject(backend, large, () => random.bytes(bytes.length));
    await backend.create(other, [bytes]);
    expect(damage(await runVerify(await reopen(backend)))).toEqual([]);
    const found = damage(await runVerify(await reopen(backend), { level }));
    expect(found.map(({ name, message }) => [name, message.split(' (')[0]])).toEqual(expect.arrayContaining([[large, 'Both tables of the pack are damaged'], [other, expect.anything()]]));
    expect(found.flatMap(paths)).toContain(`${root}/shared/large`);
  });

  test('finds an index that is not what the pack says', async () => {
    const { backend, repository } = await verifySample();
    const old = namesOf(backend, 'index/')[0]!;
    const packs = unpackSegment(decodeIndexSegment((await repository.objects.load(old)).payload));
    const changed = packs.map(pack => {
      if (pack.type !== 'data') return pack;
      const chunks = Uint8Array.from(pack.chunks);
      chunks[5]! ^= 1; // another ID for a chunk
      return { ...pack, chunks };
    });
    await repository.objects.save(backend, segmentName(parseSegmentId('ab'.repeat(16))), OBJECT_TYPES.indexSegment, encodeIndexSegment([], changed));
    await backend.remove(old);
    const found = damage(await runVerify(await reopen(backend), { level }));
    expect(brief(found).join()).toContain('The index does not say of the pack what its own table says');
  });

  test.each([['front', 64, false], ['back', -400, false], ['both', 64, true]] as const)('finds a damaged table: %s', async (which, offset, both) => {
    const { backend, repository, root } = await verifySample();
    const { object } = await frameOfFile(repository, `${root}/shared/large`);
    const { length } = await backend.read(object);
    await flipBit(backend, { object, offset: offset < 0 ? length + offset : offset, length: 200 });
    if (both) await flipBit(backend, { object, offset: length - 400, length: 200 });
    const report = await runVerify(await reopen(backend), { level });
    const found = damage(report);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatchObject({ name: object, message: expect.stringContaining(both ? 'Both tables' : `The ${which} table`), hint: expect.stringContaining('snap repair packs') });
    expect(paths(found[0]).includes(`${root}/shared/large`)).toBe(both);
    expect(report.coverage.packsDamaged).toBe(1);
    expect(ledgerOf(backend)).toHaveLength(1);
  });

  test('does not find what only the data shows', async () => {
    const { backend, repository, root } = await verifySample();
    await flipBit(backend, await frameOfFile(repository, `${root}/shared/large`));
    expect(await runVerify(await reopen(backend), { level })).toMatchObject({ status: 'complete' });
  });

  test('looks only at the packs that one snapshot needs', async () => {
    const { repository } = await verifySample();
    const { snapshots } = await loadSnapshots(repository);
    expect(await runVerify(repository, { level, snapshot: snapshots[0]! })).toMatchObject({ status: 'complete', tablesRead: 2 });
  });
});

describe('level 3, a sample of the data', () => {
  test('reads some packs, finds bit rot in them, and all parts together find all of it', async () => {
    const { backend, repository, root } = await verifySample();
    const frame = await frameOfFile(repository, `${root}/shared/large`, 30);
    await flipBit(backend, frame);
    const found: string[] = [];
    let packsRead = 0;
    for (let part = 1; part <= 3; part++) {
      const report = await runVerify(await reopen(backend), { readData: { kind: 'part', part, parts: 3 } });
      expect(report.levels).toEqual(['structure', 'metadata', 'sample']);
      packsRead += report.packsRead;
      found.push(...damage(report).map(({ name }) => name));
    }
    expect([packsRead, found]).toEqual([4, [frame.object]]);
  });

  test('says with what confidence the rest is whole', async () => {
    const { repository } = await verifySample();
    const report = await runVerify(repository, { readData: { kind: 'bytes', bytes: 1, order: 'random' } });
    expect(report).toMatchObject({ packsRead: 1, sample: { packs: 1, packsTotal: 4, mostDamagedPacks: 3 } });
    expect(report.sample!.bytesTotal).toBe(report.coverage.bytesTotal);
    const oldest = await runVerify(repository, { readData: { kind: 'bytes', bytes: 1, order: 'oldest' } });
    expect(oldest.sample).toMatchObject({ packs: 1, mostDamagedPacks: undefined });
  });

  test('reads the tables of all packs as well when told to', async () => {
    const { repository } = await verifySample();
    const report = await runVerify(repository, { level: 'tables', readData: { kind: 'bytes', bytes: 1, order: 'random' } });
    expect(report).toMatchObject({ levels: ['structure', 'metadata', 'tables', 'sample'], packsRead: 1, tablesRead: 3 });
  });
});
