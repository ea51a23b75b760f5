/** Repairs beside backups, prunes and other repairs: whoever comes first, nothing that can be read is lost. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/base/ambient.ts';
import type { Backend } from '../../../src/backend/backend.ts';
import { MemoryBackend, type MemoryState } from '../../../src/backend/memory.ts';
import { forgetSnapshot } from '../../../src/repository/forget.ts';
import { establishView } from '../../../src/repository/session-view.ts';
import { loadSnapshots } from '../../../src/repository/snapshots.ts';
import { closePlans, prune } from '../../../src/usecases/prune/prune.ts';
import { backupPath, makeRepository, memoryBackend, OWNER, reopen, SMALL_CHUNKS } from '../../support/memory-repository.ts';
import { HookedBackend } from '../../support/hooked-backend.ts';
import { flipBit, frameOfFile } from '../../support/read-jobs.ts';
import { readableFiles, type ReadableFiles } from '../../support/read-snapshot.ts';
import { damages, namesBelow, runRepairIndex, runRepairPacks, verifyData } from '../../support/repair-jobs.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

const random = new SeededRandom(17);
const root = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'snap-test-'));
afterAll(() => { rmSync(root, { recursive: true }); });
let made: MemoryState | undefined;

/** One snapshot whose large file has a damaged frame, and one that was forgotten, so that there is something to prune. */
async function damaged(): Promise<MemoryBackend> {
  if (made === undefined) {
    const backend = memoryBackend();
    const repository = await makeRepository(backend, { chunker: SMALL_CHUNKS });
    mkdirSync(join(root, 'folder'));
    writeFileSync(join(root, 'gone'), random.bytes(120_000));
    const { snapshotId } = await backupPath(repository, root);
    rmSync(join(root, 'gone'));
    for (let i = 0; i < 5; i++) writeFileSync(join(root, `folder/small-${i}`), random.bytes(800 + 90 * i));
    writeFileSync(join(root, 'folder/large'), random.bytes(500_000));
    await backupPath(repository, root);
    await flipBit(backend, await frameOfFile(repository, join(root, 'folder/large'), 90));
    await forgetSnapshot(repository, snapshotId as Parameters<typeof forgetSnapshot>[1], 'test');
    made = backend.snapshotState();
  }
  return MemoryBackend.fromState(made, { clock: systemClock });
}

/** Something else happens once, just before the first write of an object whose name begins so. */
function interrupted(backend: MemoryBackend, prefix: string, verb: 'create' | 'createIfAbsent', interrupt: () => Promise<unknown>): Backend {
  const hooked = new HookedBackend(backend);
  hooked.before(verb, new RegExp(`^${prefix}`), async () => { await interrupt(); });
  return hooked;
}

async function readable(backend: MemoryBackend): Promise<Map<string, ReadableFiles>> {
  const repository = await reopen(backend);
  await establishView(repository);
  const { snapshots } = await loadSnapshots(repository);
  const files = new Map<string, ReadableFiles>();
  for (const { id, snapshot } of snapshots) files.set(id, await readableFiles(repository, snapshot));
  return files;
}

function prunes(backend: Backend): Promise<unknown> {
  return reopen(backend).then(repository => prune(repository, { owner: { ...OWNER, processId: 4712 }, limits: { repackSmall: true, maxUnusedShare: 0 }, dryRun: false, graceMs: 0 }));
}

describe('repair packs', () => {
  test('beside a backup that began before and ends after: everything that was intact can be read in the new snapshot', async () => {
    const backend = await damaged();
    const [[, before]] = [...await readable(backend)] as [[string, ReadableFiles]];
    const wrapped = interrupted(backend, 'snapshots/', 'createIfAbsent', async () => runRepairPacks(await reopen(backend)));
    // Its listing of packs still has the damaged one when it commits.
    const { snapshotId } = await backupPath(await reopen(wrapped), root);
    expect(namesBelow(backend, 'quarantine/')).toHaveLength(1);
    const after = (await readable(backend)).get(snapshotId!)!;
    for (const [path, content] of before) if (content !== 'directory') expect(after.get(path)).toBe(content);
    expect([...new Set(damages(await verifyData(await reopen(backend))).map(({ object }) => object))]).toEqual(['chunk']);
  });

  test.each([['packs/', 'create'], ['index/', 'create'], ['quarantine/', 'createIfAbsent'], ['gc/', 'createIfAbsent']] as const)('stops before it removes anything when a prune begins just before it writes to %s', async (prefix, verb) => {
    const backend = await damaged();
    const before = await readable(backend);
    const wrapped = interrupted(backend, prefix, verb, () => prunes(backend));
    await expect(runRepairPacks(await reopen(wrapped))).rejects.toMatchObject({ code: 'OBJECT_CONFLICT' });
    expect(await readable(backend)).toEqual(before);
    // The prune waited for the repair; it ends, and then the repair can.
    await prunes(backend);
    expect(await readable(backend)).toEqual(before);
    await runRepairPacks(await reopen(backend));
    expect(namesBelow(backend, 'quarantine/')).toHaveLength(1);
    expect(await readable(backend)).toEqual(before);
    expect([...new Set(damages(await verifyData(await reopen(backend))).map(({ object }) => object))]).toEqual(['chunk']);
  });

  test('two at once: one removes, the other says that somebody was first, and nothing is lost', async () => {
    const backend = await damaged();
    const before = await readable(backend);
    const wrapped = interrupted(backend, 'gc/', 'createIfAbsent', async () => runRepairPacks(await reopen(backend)));
    await expect(runRepairPacks(await reopen(wrapped))).rejects.toMatchObject({ code: 'OBJECT_CONFLICT' });
    expect(await readable(backend)).toEqual(before);
    expect(await runRepairPacks(await reopen(backend))).toMatchObject({ counts: { packsQuarantined: 0 } });
  });

  test('a prune after it refuses while something is missing, and after a backup keeps everything that is needed', async () => {
    const backend = await damaged();
    const before = await readable(backend);
    await runRepairPacks(await reopen(backend));
    await expect(prunes(backend)).rejects.toMatchObject({ code: 'CHUNK_MISSING' });
    await backupPath(await reopen(backend), root);
    await prunes(backend);
    await prunes(backend);
    const after = await readable(backend);
    for (const [id, files] of before) for (const [path, content] of files) expect(after.get(id)!.get(path)).toBe(content);
    expect(damages(await verifyData(await reopen(backend)))).toEqual([]);
  });

  test('an unfinished prune that cannot go on for want of a chunk is closed first, as the message says', async () => {
    const backend = await damaged();
    const [large] = namesBelow(backend, 'packs/d/').sort((a, b) => backend.snapshotState().get(b)!.bytes.length - backend.snapshotState().get(a)!.bytes.length);
    const wrapped = interrupted(backend, 'gc/', 'createIfAbsent', () => backend.remove(large!));
    await expect(prunes(wrapped)).rejects.toMatchObject({ kind: 'corrupt' });
    await expect(runRepairPacks(await reopen(backend))).rejects.toMatchObject({ code: 'PRUNE_UNFINISHED', hint: expect.stringContaining('--close-plan') as string });
    await closePlans(await reopen(backend));
    expect(damages(await runRepairPacks(await reopen(backend)))).not.toEqual([]);
  });
});

test('repair index beside a prune: the prune waits, and both leave everything that is needed', async () => {
  const backend = await damaged();
  const before = await readable(backend);
  for (const name of namesBelow(backend, 'index/')) await backend.remove(name);
  const wrapped = interrupted(backend, 'index/', 'create', () => prunes(backend).catch(() => undefined));
  await runRepairIndex(await reopen(wrapped));
  await prunes(backend);
  expect(await readable(backend)).toEqual(before);
});
