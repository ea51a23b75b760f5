/** Backups that have to store something once more: what they had taken over was condemned, has vanished or turned out to be damaged. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { MemoryBackend } from '../../../src/backend/memory.ts';
import { systemClock } from '../../../src/base/ambient.ts';
import { MiB } from '../../../src/base/units.ts';
import { encodePlan, packPackIds } from '../../../src/format/gc-documents.ts';
import { OBJECT_TYPES } from '../../../src/format/header.ts';
import { parseRunId } from '../../../src/format/ids.ts';
import { gcPlanName, packName } from '../../../src/format/object-names.ts';
import { encodeTombstone } from '../../../src/format/tombstone.ts';
import type { OpenRepository } from '../../../src/repository/opened-repository.ts';
import { establishView, listPacks } from '../../../src/repository/session-view.ts';
import { loadSnapshots } from '../../../src/repository/snapshots.ts';
import type { SnapEvent } from '../../../src/usecases/events.ts';
import { backupPath, makeRepository, memoryBackend, reopen, SMALL_CHUNKS } from '../../support/memory-repository.ts';
import { entryOf, flipBit, frameOfChunk, frameOfDirectory, memoryDirectory } from '../../support/read-jobs.ts';
import { readSnapshot } from '../../support/read-snapshot.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

function sampleTree(): string {
  const root = memoryDirectory();
  for (const name of ['kept', 'changing']) {
    mkdirSync(join(root, name));
    for (let i = 0; i < 5; i++) writeFileSync(join(root, name, `file-${i}`), `${name} ${i}\n`.repeat(500));
  }
  return root;
}

/** A prune takes the session for dead just before it commits, and condemns everything that was stored before. */
class PruningBackend extends MemoryBackend {
  repository: OpenRepository | undefined;
  #isArmed = false;

  arm(): void {
    this.#isArmed = true;
  }

  override async createIfAbsent(name: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    if (this.#isArmed && name.startsWith('snapshots/')) {
      this.#isArmed = false;
      const { objects } = this.repository!;
      const old = (await listPacks(this)).slice(0, 2).map(pack => pack.id).sort();
      const plan = encodePlan({ packs: packPackIds(old), createdAt: 1, runId: parseRunId('ab'.repeat(16)) });
      await super.createIfAbsent(gcPlanName(1), objects.seal(gcPlanName(1), OBJECT_TYPES.plan, plan));
      await super.createIfAbsent(name, objects.seal(name, OBJECT_TYPES.tombstone, encodeTombstone({ planNumber: 1, createdAt: 1 })));
    }
    return super.createIfAbsent(name, bytes);
  }
}

async function revokedBackup(skipIfUnchanged: boolean): Promise<{ backend: PruningBackend; snapshotId: string | undefined }> {
  const backend = new PruningBackend({ clock: systemClock });
  const repository = backend.repository = await makeRepository(backend);
  const root = sampleTree();
  await backupPath(repository, root);
  const old = await listPacks(backend);
  writeFileSync(join(root, 'changing/file-0'), 'changed');
  backend.arm();
  const { snapshotId } = await backupPath(repository, root, { skipIfUnchanged });
  for (const { type, id } of old) await backend.remove(packName(type, id));
  return { backend, snapshotId };
}

describe('a backup that was revoked', () => {
  test.each([false, true])('stores again what the prune condemned meanwhile (skipIfUnchanged: %s)', async skipIfUnchanged => {
    const { backend, snapshotId } = await revokedBackup(skipIfUnchanged);
    expect((await readSnapshot(await withView(backend), snapshotId!)).size).toBe(13);
  });
});

describe('a backup that comes upon a damaged tree', () => {
  /** One long file among short ones, and a snapshot of it. */
  async function sample(): Promise<{ backend: MemoryBackend; repository: OpenRepository; root: string }> {
    const backend = memoryBackend();
    const repository = await makeRepository(backend, { chunker: SMALL_CHUNKS });
    const root = sampleTree();
    writeFileSync(join(root, 'kept/long'), new SeededRandom(5).bytes(900_000));
    await backupPath(repository, root);
    return { backend, repository, root };
  }

  const warnings: SnapEvent[] = [];
  const context = { onEvent: (event: SnapEvent) => { if (event.type === 'damage-found') warnings.push(event); } };

  test.each([true, false])('of an unchanged directory above a changed one stores it anew (new cache: %s)', async isNew => {
    const { backend, repository, root } = await sample();
    await flipBit(backend, await frameOfDirectory(repository, root));
    writeFileSync(join(root, 'changing/file-0'), 'changed');
    const { snapshotId } = await backupPath(isNew ? await reopen(backend) : repository, root, {}, context);
    expect((await readSnapshot(await withView(backend), snapshotId!)).size).toBe(14);
    expect(warnings.splice(0)).toMatchObject([{ finding: { object: 'pack', severity: 'warning', message: expect.stringContaining('stored again') } }]);
  });

  test('in which nothing changed stores it anew, and does not skip when it should', async () => {
    const { backend, repository, root } = await sample();
    await flipBit(backend, await frameOfDirectory(repository, root));
    const again = await reopen(backend);
    expect(await backupPath(again, root, { skipIfUnchanged: true })).toMatchObject({ snapshotId: undefined, unchanged: true });
    const { snapshots } = await loadSnapshots(again);
    expect((await readSnapshot(await withView(backend), snapshots[0]!.id)).size).toBe(14);
  });

  test('stores the list of the chunks of a long file anew', async () => {
    const { backend, repository, root } = await sample();
    const { contentNode } = await entryOf(repository, join(root, 'kept/long'));
    await flipBit(backend, frameOfChunk(repository, contentNode!));
    writeFileSync(join(root, 'kept/file-0'), 'changed');
    const { snapshotId } = await backupPath(await reopen(backend), root);
    expect((await readSnapshot(await withView(backend), snapshotId!)).size).toBe(14);
  });
});

describe('a backup that is interrupted', () => {
  test('leaves what it stored where the next one finds it', async () => {
    const backend = memoryBackend();
    const repository = await makeRepository(backend);
    const root = memoryDirectory();
    for (let i = 0; i < 12; i++) writeFileSync(join(root, `file-${i}`), new SeededRandom(i).bytes(3 * MiB));
    const controller = new AbortController();
    const onEvent = ({ type }: SnapEvent): void => { if (type === 'pack-written') controller.abort(); };
    await expect(backupPath(repository, root, {}, { onEvent, signal: controller.signal })).rejects.toMatchObject({ code: 'CANCELLED' });
    const left = [...backend.snapshotState().keys()].map(name => name.split('/')[0]);
    expect(left).toContain('index');
    expect(left).not.toContain('sessions');
    const report = await backupPath(await reopen(backend), root);
    expect(report.bytesAddedRaw).toBeLessThan(25 * MiB);
    expect((await readSnapshot(await withView(backend), report.snapshotId!)).size).toBe(13);
  });
});

/** As another process sees it. */
async function withView(backend: MemoryBackend): Promise<OpenRepository> {
  const repository = await reopen(backend);
  await establishView(repository);
  return repository;
}
