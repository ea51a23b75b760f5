import { chmodSync, linkSync, mkdirSync, readdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { utf8 } from '../../../src/base/bytes.ts';
import { SnapError } from '../../../src/base/errors.ts';
import type { MemoryBackend } from '../../../src/backend/memory.ts';
import { openLiveFile } from '../../../src/cli/compose-files.ts';
import { openFileTree } from '../../../src/sources/files.ts';
import { FilesTarget } from '../../../src/targets/files.ts';
import type { TreeTarget } from '../../../src/targets/target.ts';
import type { JobContext, SnapEvent } from '../../../src/usecases/events.ts';
import type { TestRestoreReport } from '../../../src/usecases/reports.ts';
import { resolveSnapshot } from '../../../src/usecases/reading/select-snapshots.ts';
import { testRestore, type TestRestoreOptions } from '../../../src/usecases/restore/test-restore.ts';
import { backupPath, engines, makeRepository, memoryBackend, OWNER, reopen, temporaryDirectory } from '../../support/memory-repository.ts';
import { flipBit, frameOfDirectory, frameOfFile, memoryDirectory } from '../../support/read-jobs.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

const random = new SeededRandom(8);

async function saved(): Promise<{ backend: MemoryBackend; root: string }> {
  const backend = memoryBackend();
  const root = temporaryDirectory();
  mkdirSync(join(root, 'closed/below'), { recursive: true });
  writeFileSync(join(root, 'large'), random.bytes(700_000));
  writeFileSync(join(root, 'zeros'), new Uint8Array(300_000));
  writeFileSync(join(root, 'closed/below/small'), 'small');
  writeFileSync(join(root, 'read-only'), 'x', { mode: 0o400 });
  symlinkSync('large', join(root, 'link'));
  linkSync(join(root, 'large'), join(root, 'second name'));
  chmodSync(join(root, 'closed'), 0o500);
  await backupPath(await makeRepository(backend), root);
  chmodSync(join(root, 'closed'), 0o700); // so that it can be removed after the test
  return { backend, root };
}

interface Tried {
  readonly report: TestRestoreReport;
  readonly events: SnapEvent[];
  readonly place: string;
}

async function tried(backend: MemoryBackend, changes: Partial<TestRestoreOptions> & { readonly wrap?: (target: TreeTarget) => TreeTarget; readonly place?: string } = {}, context: JobContext = {}): Promise<Tried> {
  const repository = await reopen(backend);
  const { wrap = target => target, place = memoryDirectory(), ...options } = changes;
  const events: SnapEvent[] = [];
  const report = await testRestore(repository, {
    engines, owner: OWNER, snapshot: await resolveSnapshot(repository, 'latest'), target: () => wrap(new FilesTarget({ path: utf8(place) })),
    restored: () => openFileTree([utf8(place)], { cwd: utf8('/') }), restoredPath: utf8(place), openFile: openLiveFile, setsOwner: process.getuid!() === 0, ...options,
  }, { ...context, onEvent: event => { events.push(event); } });
  return { report, events, place };
}

/** A target with one call changed. */
function altered(change: (target: TreeTarget, real: TreeTarget) => void): (target: TreeTarget) => TreeTarget {
  return real => {
    const target: Record<string, unknown> = {};
    for (const key of Object.getOwnPropertyNames(FilesTarget.prototype)) target[key] = (real as unknown as Record<string, (...call: unknown[]) => unknown>)[key]!.bind(real);
    change(target as unknown as TreeTarget, real);
    return target as unknown as TreeTarget;
  };
}

describe('a test restore', () => {
  test('of a whole snapshot finds that all of it comes back, and leaves nothing behind', async () => {
    const { backend } = await saved();
    const before = [...backend.snapshotState().keys()];
    const { report, place, events } = await tried(backend);
    expect(report).toMatchObject({ status: 'complete', problems: [], findings: [], live: undefined });
    expect(report.entries).toBeGreaterThanOrEqual(9);
    expect(report.bytes).toBeGreaterThan(1_700_000);
    expect(readdirSync(place)).toEqual([]);
    expect(events.filter(({ type }) => type === 'problem-found')).toEqual([]);
    expect([...backend.snapshotState().keys()]).toEqual(before);
  });

  test.each([
    ['content', '/large', frameOfFile, '/large'], ['a folder', '/closed', frameOfDirectory, ''], // the nodes of both folders lie in one frame
  ] as const)('names %s that is damaged in the repository', async (_, path, frameOf, hit) => {
    const { backend, root } = await saved();
    await flipBit(backend, await frameOf(await reopen(backend), `${root}${path}`));
    const { report, place } = await tried(backend);
    expect(report.status).toBe('failed');
    const named = report.findings.filter(({ severity }) => severity === 'damage').flatMap(({ files }) => files.map(each => Buffer.from(each.path).toString()));
    expect(named).toContain(`${root}${hit}`);
    expect(readdirSync(place)).toEqual([]);
  });

  test('finds by itself what the restore did not notice: wrong content, a missing entry, another link', async () => {
    const { backend, root } = await saved();
    const place = memoryDirectory();
    const { report } = await tried(backend, { place, wrap: altered((target, real) => {
      target.finish = async () => {
        const problems = await real.finish();
        const restored = join(place, root);
        writeFileSync(join(restored, 'large'), Buffer.alloc(700_000, 7));
        rmSync(join(restored, 'zeros'));
        rmSync(join(restored, 'link'));
        symlinkSync('elsewhere', join(restored, 'link'));
        return problems;
      };
    }) });
    const found = report.findings.map(({ message, files }) => [Buffer.from(files[0]!.path).toString().slice(root.length), message]).sort();
    expect(found).toEqual([
      ['/large', 'The entry came back with other content'], ['/link', 'The entry came back with other content'],
      ['/second name', 'The entry came back with other content'], ['/zeros', 'The entry did not come back'],
    ]);
    expect(report.status).toBe('failed');
  });

  test('takes what the place refuses for a problem of the place', async () => {
    const { backend, root } = await saved();
    const { report } = await tried(backend, { wrap: altered((target, real) => {
      target.special = (parent, entry) => entry.type === 'symlink'
        ? { path: utf8(`${root.slice(1)}/link`), error: new SnapError('TARGET_FAILED', 'No links here') } : real.special(parent, entry);
    }) });
    expect(report).toMatchObject({ status: 'partial', findings: [], problemsTotal: 1 });
  });

  test('looks below a folder whose metadata could not be set', async () => {
    const { backend, root } = await saved();
    const place = memoryDirectory();
    const { report } = await tried(backend, { place, wrap: altered((target, real) => {
      target.finish = async () => {
        rmSync(join(place, root, 'zeros'));
        return [...await real.finish(), { path: utf8(root.slice(1)), error: new SnapError('TARGET_FAILED', 'Cannot set the time') }];
      };
    }) });
    expect(report.findings.map(({ message, files }) => [message, Buffer.from(files[0]!.path).toString()])).toEqual([['The entry did not come back', `${root}/zeros`]]);
    expect(report.problemsTotal).toBe(1);
  });

  test('does not take for compared what cannot be read back', async () => {
    const { backend, root } = await saved();
    const { report } = await tried(backend, { openFile: path => Buffer.from(path).toString().endsWith('/zeros') ? undefined : openLiveFile(path) });
    expect(report).toMatchObject({ status: 'partial', findings: [], problemsTotal: 1 });
    expect(report.problems[0]).toMatchObject({ path: utf8(`${root}/zeros`), message: expect.stringContaining('could not be read back') });
  });

  test('refuses a place that is too small before it writes anything', async () => {
    const { backend } = await saved();
    const wrap = altered(target => { target.freeBytes = () => 1000; });
    await expect(tried(backend, { wrap })).rejects.toMatchObject({ code: 'NO_SPACE' });
  });

  test('empties its place when it is interrupted', async () => {
    const { backend } = await saved();
    const stop = new AbortController();
    const place = memoryDirectory();
    let wasFull = false;
    const wrap = altered((target, real) => {
      target.openFile = (...call) => {
        wasFull = readdirSync(place).length > 0;
        stop.abort();
        return real.openFile(...call);
      };
    });
    await expect(tried(backend, { wrap, place }, { signal: stop.signal })).rejects.toMatchObject({ code: 'CANCELLED' });
    expect([wasFull, readdirSync(place)]).toEqual([true, []]);
  });

  test('says what is different in the live files, and that this is no damage', async () => {
    const { backend, root } = await saved();
    const unchanged = await tried(backend, { live: openFileTree([utf8(root)], { cwd: utf8('/') }) });
    expect(unchanged.report.live).toMatchObject({ added: 0, removed: 0, content: 0, type: 0 });
    writeFileSync(join(root, 'added'), 'x');
    rmSync(join(root, 'zeros'));
    rmSync(join(root, 'link'));
    mkdirSync(join(root, 'link'));
    const { mtime } = (await resolveSnapshot(await reopen(backend), 'latest')).snapshot.components[0]!.root;
    writeFileSync(join(root, 'read-only'), 'y');
    utimesSync(join(root, 'read-only'), mtime[0], mtime[0]);
    const { report, events } = await tried(backend, { live: openFileTree([utf8(root)], { cwd: utf8('/') }) });
    expect(report).toMatchObject({ status: 'complete', findings: [], live: { added: 1, removed: 1, content: 1, type: 1, sameStat: 0 } });
    expect(events.flatMap(event => event.type === 'difference-found' ? [`${event.change} ${Buffer.from(event.path).toString().slice(root.length)}`] : []).sort())
      .toEqual(['added /added', 'content /read-only', 'removed /zeros', 'type /link']);
  });
});
