import { chmodSync, closeSync, mkdirSync, openSync, readSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { utf8 } from '../../../src/base/bytes.ts';
import type { MemoryBackend } from '../../../src/backend/memory.ts';
import type { OpenRepository } from '../../../src/repository/opened-repository.ts';
import { openFileTree } from '../../../src/sources/files.ts';
import { diffSnapshots, type Difference } from '../../../src/usecases/browse/diff.ts';
import { diffLive, type LiveFile } from '../../../src/usecases/browse/diff-live.ts';
import type { SnapEvent } from '../../../src/usecases/events.ts';
import { findEntries, type FindOptions } from '../../../src/usecases/browse/find-entries.ts';
import { history } from '../../../src/usecases/browse/history.ts';
import { listTree } from '../../../src/usecases/browse/list-tree.ts';
import { listSnapshots, resolveSnapshot } from '../../../src/usecases/reading/select-snapshots.ts';
import { stats } from '../../../src/usecases/browse/stats.ts';
import { backupPath, makeRepository, memoryBackend, OWNER, reopen, SMALL_CHUNKS, temporaryDirectory } from '../../support/memory-repository.ts';
import { flipBit, frameOfDirectory } from '../../support/read-jobs.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

const owner = OWNER;
const random = new SeededRandom(3);
const text = (path: Uint8Array): string => Buffer.from(path).toString();
const OLD = new Date('2020-02-02T02:02:02Z');

interface Sample {
  readonly backend: MemoryBackend;
  readonly repository: OpenRepository;
  readonly root: string;
}

/** Two snapshots: the second one has a file changed, added, removed, a directory replaced by a file, a mode changed. */
async function sample(): Promise<Sample> {
  const backend = memoryBackend();
  const repository = await makeRepository(backend, { chunker: SMALL_CHUNKS });
  const root = temporaryDirectory();
  for (const directory of ['same/deep', 'gone/below', 'turns', 'edit']) mkdirSync(join(root, directory), { recursive: true });
  for (const [path, size] of [['same/deep/a.txt', 5000], ['same/b.TXT', 10], ['gone/below/c', 3], ['gone/d', 4], ['turns/e', 5], ['edit/f.txt', 90_000], ['edit/g', 1]] as const) {
    writeFileSync(join(root, path), random.bytes(size));
  }
  symlinkSync('old', join(root, 'edit/link'));
  utimesSync(join(root, 'same/deep/a.txt'), OLD, OLD);
  await backupPath(repository, root);
  rmSync(join(root, 'gone'), { recursive: true });
  rmSync(join(root, 'turns'), { recursive: true });
  rmSync(join(root, 'edit/link'));
  writeFileSync(join(root, 'turns'), 'a file now');
  writeFileSync(join(root, 'edit/f.txt'), random.bytes(91_000));
  chmodSync(join(root, 'edit/g'), 0o600);
  mkdirSync(join(root, 'new/sub'), { recursive: true });
  writeFileSync(join(root, 'new/sub/h'), 'h');
  symlinkSync('new', join(root, 'edit/link'));
  await backupPath(repository, root);
  return { backend, repository: await reopen(backend), root };
}

async function collect<T>(results: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const each of results) all.push(each);
  return all;
}

const latest = (repository: OpenRepository, name = 'latest') => resolveSnapshot(repository, name);

describe('listing a tree', () => {
  test('shows entries in name order, each before what is below it', async () => {
    const { repository, root } = await sample();
    const list = async (path: string, recursive: boolean): Promise<string[]> =>
      (await collect(listTree(repository, { snapshot: await latest(repository), path: utf8(path) }, { owner, recursive }))).map(each => text(each.path).slice(root.length));
    expect(await list(root, false)).toEqual(['/edit', '/new', '/same', '/turns']);
    expect(await list(root, true)).toEqual([
      '/edit', '/edit/f.txt', '/edit/g', '/edit/link', '/new', '/new/sub', '/new/sub/h', '/same', '/same/b.TXT', '/same/deep', '/same/deep/a.txt', '/turns',
    ]);
    expect(await list(`${root}/turns`, true)).toEqual(['/turns']);
  });

  test('shows what can be read before it reports damage', async () => {
    const { backend, repository, root } = await sample();
    await flipBit(backend, await frameOfDirectory(repository, `${root}/same/deep`));
    const events: SnapEvent[] = [];
    const seen: string[] = [];
    const again = await reopen(backend);
    const run = (async () => {
      for await (const { path } of listTree(again, { snapshot: await latest(again) }, { owner, recursive: true }, { onEvent: event => events.push(event) })) seen.push(text(path));
    })();
    await expect(run).rejects.toMatchObject({ code: 'DAMAGE_FOUND', kind: 'corrupt' });
    expect(seen.length).toBeGreaterThan(0);
    expect(events).toContainEqual(expect.objectContaining({ type: 'problem-found' }));
  });
});

describe('finding entries', () => {
  const find = async ({ repository, root }: Sample, changes: Partial<FindOptions>): Promise<string[]> => {
    const records = await listSnapshots(repository);
    const found = await collect(findEntries(repository, records, { owner, matches: () => true, ...changes }));
    return found.filter(({ path }) => text(path).startsWith(`${root}/`))
      .map(({ snapshotId, path }) => `${records.findIndex(({ id }) => id === snapshotId)}${text(path).slice(root.length)}`);
  };

  test('by name in all snapshots, also below directories that did not change', async () => {
    const matches: FindOptions['matches'] = path => text(path).endsWith('.txt');
    expect(await find(await sample(), { matches })).toEqual(['0/edit/f.txt', '0/same/deep/a.txt', '1/edit/f.txt', '1/same/deep/a.txt']);
  });

  test('leaves out unchanged directories without a match and still finds the directory itself', async () => {
    const asked: string[] = [];
    const matches: FindOptions['matches'] = path => {
      asked.push(text(path));
      return text(path).endsWith('/same');
    };
    const it = await sample();
    expect(await find(it, { matches })).toEqual(['0/same', '1/same']);
    expect(asked.filter(path => path === `${it.root}/same/deep/a.txt`)).toHaveLength(1);
  });

  test('by type, size and time', async () => {
    const it = await sample();
    expect(await find(it, { types: ['symlink'] })).toEqual(['0/edit/link', '1/edit/link']);
    expect(await find(it, { minBytes: 90_000 })).toEqual(['0/edit/f.txt', '1/edit/f.txt']);
    expect(await find(it, { minBytes: 4, belowBytes: 6 })).toEqual(['0/gone/d', '0/turns/e']);
    expect(await find(it, { modifiedBefore: OLD.getTime() + 1 })).toEqual(['0/same/deep/a.txt', '1/same/deep/a.txt']);
    expect(await find(it, { modifiedBefore: OLD.getTime() })).toEqual([]);
    expect(await find(it, { modifiedSince: OLD.getTime(), types: ['file'], belowBytes: 3 })).toEqual(['0/edit/g', '1/edit/g', '1/new/sub/h']);
  });
});

describe('the history of a path', () => {
  test('says what changed from snapshot to snapshot', async () => {
    const it = await sample();
    const { repository, root } = it;
    writeFileSync(join(root, 'edit/g'), 'gg');
    rmSync(join(root, 'same'), { recursive: true });
    await backupPath(repository, root);
    const changes = async (path: string): Promise<string[]> =>
      (await collect(history(repository, await listSnapshots(repository), utf8(`${root}/${path}`), { owner }))).map(({ change, entry }) => `${change}${entry === undefined ? '' : ` ${entry.type}`}`);
    expect(await changes('edit/g')).toEqual(['first file', 'metadata file', 'content file']);
    expect(await changes('same/deep/a.txt')).toEqual(['first file', 'same file', 'removed']);
    expect(await changes('turns')).toEqual(['first directory', 'type file', 'same file']);
    expect(await changes('new/sub/h')).toEqual(['first file', 'same file']);
    expect(await changes('nowhere')).toEqual([]);
  });
});

const EXPECTED = [
  'content /edit/f.txt', 'metadata /edit', 'metadata /edit/g', 'content /edit/link', 'removed /gone', 'removed /gone/below', 'removed /gone/below/c', 'removed /gone/d',
  'added /new', 'added /new/sub', 'added /new/sub/h', 'type /turns', 'removed /turns/e',
].sort();

function shown(differences: readonly Difference[], root: string): string[] {
  return differences.filter(({ path }) => text(path).startsWith(`${root}/`)).map(({ change, path }) => `${change} ${text(path).slice(root.length)}`).sort();
}

describe('the difference of two snapshots', () => {
  test('names what was added, removed and changed', async () => {
    const { repository, root } = await sample();
    const [a, b] = [await latest(repository, 'latest~1'), await latest(repository)];
    expect(shown(await collect(diffSnapshots(repository, { snapshot: a }, { snapshot: b }, { owner })), root)).toEqual(EXPECTED);
    const back = shown(await collect(diffSnapshots(repository, { snapshot: b }, { snapshot: a }, { owner })), root);
    const mirrored = EXPECTED.map(line => line.replace(/^(added|removed)/, word => (word === 'added' ? 'removed' : 'added')));
    expect(back).toEqual(mirrored.sort());
  });

  test('of the same snapshot is nothing, and reads no more than the roots', async () => {
    const { repository } = await sample();
    const snapshot = await latest(repository);
    expect(await collect(diffSnapshots(repository, { snapshot }, { snapshot }, { owner }))).toEqual([]);
  });

  test('of two parts uses the paths of the second', async () => {
    const { repository, root } = await sample();
    const [a, b] = [await latest(repository, 'latest~1'), await latest(repository)];
    const differences = await collect(diffSnapshots(repository, { snapshot: a, path: utf8(`${root}/gone`) }, { snapshot: b, path: utf8(`${root}/new`) }, { owner }));
    expect(shown(differences, root)).toEqual(['added /new/sub', 'added /new/sub/h', 'metadata /new', 'removed /new/below', 'removed /new/below/c', 'removed /new/d']);
  });
});

describe('the difference to a live tree', () => {
  const openFile = (path: Uint8Array): LiveFile => {
    const descriptor = openSync(Buffer.from(path), 'r');
    return {
      read: (offset, length) => {
        const bytes = new Uint8Array(length);
        return readSync(descriptor, bytes, 0, length, offset) === length ? bytes : undefined;
      },
      close: () => closeSync(descriptor),
    };
  };
  const diff = async ({ repository, root }: Sample, name: string, withContent: boolean, path?: string): Promise<string[]> => {
    const source = openFileTree([utf8(root)], { cwd: utf8('/'), sliceEntries: 2 });
    const part = { snapshot: await latest(repository, name), path: path === undefined ? undefined : utf8(path) };
    return shown(await collect(diffLive(repository, part, source, { owner, withXattrs: true, openFile: withContent ? openFile : undefined })), root);
  };

  test('is nothing directly after a backup', async () => {
    const it = await sample();
    expect(await diff(it, 'latest', false)).toEqual([]);
    expect(await diff(it, 'latest', true)).toEqual([]);
    expect(await diff(it, 'latest', false, it.root)).toEqual([]);
  });

  test('names what was added, removed and changed since', async () => {
    expect(await diff(await sample(), 'latest~1', false)).toEqual(EXPECTED);
  });

  test('finds changed content behind the same size and time only by reading', async () => {
    const it = await sample();
    const path = join(it.root, 'edit/f.txt');
    const { atime, mtime } = statSync(path);
    writeFileSync(path, random.bytes(91_000));
    utimesSync(path, atime, mtime);
    const { mtime: now } = statSync(path);
    await backupPath(it.repository, it.root, { kind: 'full' });
    writeFileSync(path, random.bytes(91_000));
    utimesSync(path, atime, now);
    expect(await diff(it, 'latest', false)).toEqual([]);
    expect(await diff(it, 'latest', true)).toEqual(['content /edit/f.txt']);
  });

  test('does not take a new time for new content when it reads', async () => {
    const it = await sample();
    utimesSync(join(it.root, 'edit/f.txt'), OLD, OLD);
    expect(await diff(it, 'latest', false)).toEqual(['content /edit/f.txt']);
    expect(await diff(it, 'latest', true)).toEqual(['metadata /edit/f.txt']);
  });
});

describe('statistics', () => {
  test('count what is shared once and what is unique for its snapshot', async () => {
    const { backend, repository } = await sample();
    const records = await listSnapshots(repository);
    const report = await stats(repository, records, { owner });
    const stored = [...backend.snapshotState()].filter(([name]) => name.startsWith('packs/')).reduce((sum, [, { bytes }]) => sum + bytes.length, 0);
    expect(report).toMatchObject({ snapshots: 2, repositoryBytes: stored, files: records.reduce((sum, { snapshot }) => sum + snapshot.statistics.files, 0) });
    expect(report.rawBytes).toBeGreaterThan(5000 + 90_000 + 91_000);
    expect(report.rawBytes).toBeLessThan(5000 + 90_000 + 91_000 + 10_000);
    expect(report.storedBytes).toBe(stored); // the snapshots reach everything, so they share all overhead too
    const [first, second] = report.perSnapshot;
    expect(first!.uniqueBytes).toBeGreaterThan(80_000);
    expect(second!.uniqueBytes).toBeGreaterThan(80_000);
    expect(first!.uniqueBytes + second!.uniqueBytes).toBeLessThan(report.storedBytes);
  });

  test('of one snapshot: all of it is its own', async () => {
    const { repository } = await sample();
    const report = await stats(repository, [await latest(repository)], { owner });
    expect(report.perSnapshot[0]!.uniqueBytes).toBe(report.storedBytes);
  });

  test('of a damaged repository are refused', async () => {
    const { backend, repository, root } = await sample();
    const { object } = await frameOfDirectory(repository, root);
    await backend.remove(object);
    const again = await reopen(backend);
    await expect(stats(again, [await latest(again)], { owner })).rejects.toMatchObject({ kind: 'corrupt' });
  });
});
