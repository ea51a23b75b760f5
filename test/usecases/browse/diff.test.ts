import { chmodSync, closeSync, mkdirSync, openSync, readSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { utf8 } from '../../../src/base/bytes.ts';
import type { MemoryBackend } from '../../../src/backend/memory.ts';
import type { OpenRepository } from '../../../src/repository/opened-repository.ts';
import { openFileTree } from '../../../src/sources/files.ts';
import type { TreeSource } from '../../../src/sources/source.ts';
import { backup } from '../../../src/usecases/backup/backup.ts';
import { diffSnapshots, type Difference } from '../../../src/usecases/browse/diff.ts';
import { diffLive, type LiveFile } from '../../../src/usecases/browse/diff-live.ts';
import { newCounters, type SnapEvent } from '../../../src/usecases/events.ts';
import { listSnapshots } from '../../../src/usecases/reading/select-snapshots.ts';
import { backupOptions, backupPath, makeRepository, memoryBackend, OWNER, reopen, temporaryDirectory } from '../../support/memory-repository.ts';
import { flipBit, frameOfDirectory } from '../../support/read-jobs.ts';

const owner = OWNER;
const OLD = new Date('2020-02-02T02:02:02Z');
const text = (path: Uint8Array): string => Buffer.from(path).toString();

async function shown(differences: AsyncIterable<Difference>, root: string): Promise<string[]> {
  const lines: string[] = [];
  for await (const { change, path } of differences) lines.push(`${change} ${text(path).replace(root, '')}`);
  return lines;
}

async function diff(repository: OpenRepository, root: string, from = 0, to = 1, context = {}): Promise<string[]> {
  const records = await listSnapshots(repository);
  return shown(diffSnapshots(repository, { snapshot: records[from]! }, { snapshot: records[to]! }, { owner }, context), root);
}

describe('a difference of snapshots', () => {
  test('comes in name order, each directory before what is below it', async () => {
    const repository = await makeRepository();
    const root = temporaryDirectory();
    for (const name of ['b', 'c/sub', 'e']) mkdirSync(join(root, name), { recursive: true });
    for (const name of ['b/gone', 'c/sub/same', 'd', 'e/kept']) writeFileSync(join(root, name), name);
    await backupPath(repository, root);
    rmSync(join(root, 'b'), { recursive: true });
    writeFileSync(join(root, 'c/sub/more'), 'new');
    rmSync(join(root, 'd'));
    mkdirSync(join(root, 'd'));
    writeFileSync(join(root, 'd/inside'), 'below what was a file');
    writeFileSync(join(root, 'a'), 'first');
    await backupPath(repository, root);
    expect(await diff(repository, root)).toEqual([
      'metadata ', 'added /a', 'removed /b', 'removed /b/gone', 'metadata /c/sub', 'added /c/sub/more', 'type /d', 'added /d/inside',
    ]);
  });

  test('does not call directories that only lead to components added or removed', async () => {
    const repository = await makeRepository();
    const root = temporaryDirectory();
    for (const name of ['one', 'two/deep']) mkdirSync(join(root, name), { recursive: true });
    writeFileSync(join(root, 'two/deep/x'), 'x');
    const take = (...names: string[]): Promise<unknown> =>
      backup(repository, openFileTree(names.map(name => utf8(join(root, name))), { cwd: utf8('/') }), backupOptions(), {});
    await take('one');
    await take('one', 'two/deep');
    expect(await diff(repository, root)).toEqual(['added /two/deep', 'added /two/deep/x']);
    expect(await diff(repository, root, 1, 0)).toEqual(['removed /two/deep', 'removed /two/deep/x']);
  });

  test('claims nothing about what damage hides on one side', async () => {
    const backend = memoryBackend();
    const repository = await makeRepository(backend);
    const root = temporaryDirectory();
    mkdirSync(join(root, 'hit'));
    writeFileSync(join(root, 'hit/kept'), 'kept');
    writeFileSync(join(root, 'z'), 'z');
    await backupPath(repository, root);
    writeFileSync(join(root, 'hit/added'), 'added');
    rmSync(join(root, 'z'));
    await backupPath(repository, root);
    await flipBit(backend, await frameOfDirectory(repository, join(root, 'hit')));
    const again = await reopen(backend);
    const records = await listSnapshots(again);
    for (const [before, after] of [records, records.toReversed()]) {
      const events: SnapEvent[] = [];
      const lines: string[] = [];
      const run = (async () => {
        for await (const { change, path } of diffSnapshots(again, { snapshot: before! }, { snapshot: after! }, { owner }, { onEvent: event => events.push(event) })) {
          lines.push(`${change} ${text(path).replace(root, '')}`);
        }
      })();
      await expect(run).rejects.toMatchObject({ code: 'DAMAGE_FOUND' });
      expect(lines.filter(line => /^(added|removed)/.test(line))).toEqual([]); // the root lies in the frame that was hit, too
      expect(events.some(event => event.type === 'problem-found')).toBe(true);
    }
  });
});

describe('a difference to a live tree', () => {
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

  async function sample(): Promise<{ repository: OpenRepository; backend: MemoryBackend; root: string }> {
    const backend = memoryBackend();
    const repository = await makeRepository(backend);
    const root = temporaryDirectory();
    for (const name of ['a', 'm/deep']) mkdirSync(join(root, name), { recursive: true });
    for (const name of ['a/one', 'm/deep/two', 'n']) writeFileSync(join(root, name), name);
    symlinkSync('n', join(root, 'link'));
    await backupPath(repository, root);
    return { repository, backend, root };
  }

  async function live(repository: OpenRepository, path: string, root: string, source: TreeSource, onEvent?: (event: SnapEvent) => void, withContent = false): Promise<string[]> {
    const [snapshot] = await listSnapshots(repository);
    const options = { owner, withXattrs: true, openFile: withContent ? openFile : undefined };
    return shown(diffLive(repository, { snapshot: snapshot!, path: utf8(path) }, source, options, { onEvent }), root);
  }

  test('takes a live folder elsewhere for the place in the snapshot', async () => {
    const { repository, root } = await sample();
    const copy = join(temporaryDirectory(), 'copy');
    renameSync(root, copy);
    mkdirSync(root);
    chmodSync(join(copy, 'n'), 0o600);
    rmSync(join(copy, 'link'));
    symlinkSync('elsewhere', join(copy, 'link'));
    rmSync(join(copy, 'm'), { recursive: true });
    mkdirSync(join(copy, 'm'));
    writeFileSync(join(copy, 'm/deep'), 'a file now');
    const lines = await live(repository, root, copy, openFileTree([utf8(copy)], { cwd: utf8('/'), sliceEntries: 2 }));
    expect(lines.filter(line => !/^metadata (\/m)?$/.test(line))).toEqual(['content /link', 'metadata /n', 'type /m/deep', 'removed /m/deep/two']);
  });

  test('says what it cannot read and calls nothing there removed', async () => {
    const { repository, root } = await sample();
    const source = openFileTree([utf8(root)], { cwd: utf8('/') });
    const events: SnapEvent[] = [];
    const hidden: TreeSource = {
      ...bind(source),
      *slices(options) {
        for (const slice of source.slices(options)) {
          const isHit = text(slice.path) === join(root, 'm');
          yield isHit ? { ...slice, count: 0, names: new Uint8Array(0), stats: new Uint8Array(0), children: new Uint32Array(0), isWhole: false } : slice;
        }
      },
    };
    expect(await live(repository, root, root, hidden, event => events.push(event))).toEqual([]);
  });

  test('a file that cannot be read is a problem of the source, not a difference and not damage', async () => {
    const { repository, root } = await sample();
    const events: SnapEvent[] = [];
    const [snapshot] = await listSnapshots(repository);
    utimesSync(join(root, 'n'), OLD, OLD);
    const counters = newCounters();
    const differences = diffLive(repository, { snapshot: snapshot!, path: utf8(root) }, openFileTree([utf8(root)], { cwd: utf8('/') }), {
      owner, withXattrs: false, openFile: path => (text(path).endsWith('/n') ? undefined : openFile(path)),
    }, { onEvent: event => events.push(event), counters });
    expect(await shown(differences, root)).toEqual(['metadata /n']);
    expect(events).toEqual([expect.objectContaining({ type: 'problem-found', during: 'read', code: 'ENTRY_UNREADABLE' })]);
    expect(counters.problems).toBe(1);
  });

  test('leaves alone what lies beside the components', async () => {
    const repository = await makeRepository();
    const root = temporaryDirectory();
    for (const name of ['in', 'beside/below']) mkdirSync(join(root, name), { recursive: true });
    writeFileSync(join(root, 'in/x'), 'x');
    await backupPath(repository, join(root, 'in'));
    writeFileSync(join(root, 'in/y'), 'y');
    writeFileSync(join(root, 'beside/below/z'), 'z');
    expect(await live(repository, root, root, openFileTree([utf8(root)], { cwd: utf8('/') }))).toEqual(['metadata /in', 'added /in/y']);
  });

  test('names everything below a new folder, and below one that is gone', async () => {
    const { repository, root } = await sample();
    mkdirSync(join(root, 'b/c'), { recursive: true });
    writeFileSync(join(root, 'b/c/d'), 'd');
    rmSync(join(root, 'm'), { recursive: true });
    const lines = await live(repository, root, root, openFileTree([utf8(root)], { cwd: utf8('/'), sliceEntries: 1 }), undefined, true);
    expect(lines.sort()).toEqual(['added /b', 'added /b/c', 'added /b/c/d', 'metadata ', 'removed /m', 'removed /m/deep', 'removed /m/deep/two']);
  });
});

/** The methods of a source as properties of a plain object. */
function bind(source: TreeSource): TreeSource {
  return {
    kind: 'tree', open: options => source.open(options), slices: options => source.slices(options), rootDetails: (root, onProblem) => source.rootDetails(root, onProblem),
    details: (slice, indices, onProblem) => source.details(slice, indices, onProblem), userName: id => source.userName(id), groupName: id => source.groupName(id),
    finish: () => source.finish(), walkAhead: (...given) => source.walkAhead(...given),
  };
}
