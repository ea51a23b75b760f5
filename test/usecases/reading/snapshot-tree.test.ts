import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { utf8 } from '../../../src/base/bytes.ts';
import type { Component, Snapshot } from '../../../src/format/snapshot.ts';
import type { Entry } from '../../../src/format/tree-node.ts';
import type { TreeReader } from '../../../src/repository/tree-reader.ts';
import { joinPath, pathNames, pathOfNames } from '../../../src/usecases/path-bytes.ts';
import { SnapshotTree, type Place } from '../../../src/usecases/reading/snapshot-tree.ts';
import { TreeWalk } from '../../../src/usecases/reading/tree-walk.ts';
import { backupPath, makeRepository, temporaryDirectory } from '../../support/memory-repository.ts';
import { withLatest } from '../../support/read-jobs.ts';

const text = (path: Uint8Array): string => Buffer.from(path).toString();

/** Trees that exist only in the test: path of a directory to the names in it, directories with a slash. */
function fakeTrees(directories: Record<string, readonly string[]>): TreeReader {
  const entriesOf = (id: Uint8Array): Entry[] => directories[text(id)]!.map(name => makeEntry(name, `${text(id)}/${name.replace('/', '')}`));
  const makeEntry = (name: string, id: string): Entry => name.endsWith('/')
    ? { name: utf8(name.slice(0, -1)), type: 'directory', mode: 0o755, mtime: [1, 0], flags: 0, directoryNode: utf8(id) as never }
    : { name: utf8(name), type: 'file', mode: 0o644, mtime: [1, 0], flags: 0, sizeBytes: 0 };
  return {
    async *leaves(id: Uint8Array) {
      const entries = entriesOf(id);
      yield entries.slice(0, 1);
      yield entries.slice(1);
    },
    find: async (id: Uint8Array, name: Uint8Array) => entriesOf(id).find(entry => text(entry.name) === text(name)),
  } as unknown as TreeReader;
}

function component(sourcePath: string, root: Partial<Entry>): Component {
  return { name: sourcePath, isConfiguration: false, sourcePath: utf8(sourcePath), root: { name: utf8(''), type: 'directory', mode: 0o700, mtime: [5, 0], flags: 0, ...root } };
}

function treeOf(directories: Record<string, readonly string[]>, ...components: Component[]): SnapshotTree {
  return new SnapshotTree(fakeTrees(directories), { startedAt: [9, 0], components } as unknown as Snapshot);
}

const node = (id: string): Partial<Entry> => ({ directoryNode: utf8(id) as never });

async function allPaths(tree: SnapshotTree, from: Place = tree.root): Promise<string[]> {
  const paths: string[] = [];
  for await (const step of new TreeWalk(tree).steps(from)) {
    if (step.kind === 'enter') paths.push(`${text(step.place.path)}/`);
    if (step.kind === 'entry') paths.push(text(joinPath(step.directory.path, step.entry.name)));
  }
  return paths;
}

describe('the tree of a snapshot', () => {
  const tree = treeOf(
    { a: ['b/', 'c'], 'a/b': ['inner'], n: ['deep'], e: ['etc-file'] },
    component('/home/a', node('a')), component('/home/a/b/nested', node('n')), component('/home/a/aaa/zzz', node('e')), component('/etc', node('e')),
    component('/srv/dump.sql', { type: 'file', sizeBytes: 0 }),
  );

  test('hangs the components at their source paths and makes up what leads to them', async () => {
    expect(await allPaths(tree)).toEqual([
      '/etc/', '/etc/etc-file', '/home/', '/home/a/', '/home/a/aaa/', '/home/a/aaa/zzz/', '/home/a/aaa/zzz/etc-file', '/home/a/b/', '/home/a/b/inner',
      '/home/a/b/nested/', '/home/a/b/nested/deep', '/home/a/c', '/srv/', '/srv/dump.sql',
    ]);
  });

  test('finds everything that a walk shows, and nothing else', async () => {
    for (const path of await allPaths(tree)) expect(text((await tree.find(utf8(path)))!.path), path).toBe(path.replace(/\/$/, ''));
    for (const path of ['/nowhere', '/home/b', '/home/a/c/d', '/etc/etc-file/x', '/home/a/b/nested/deep/er', '/srv/dump.sql/x']) {
      expect(await tree.find(utf8(path)), path).toBeUndefined();
    }
    await expect(tree.get(utf8('/nowhere'))).rejects.toMatchObject({ code: 'PATH_NOT_IN_SNAPSHOT' });
  });

  test('tells what is stored from what is made up', async () => {
    const isStored = async (path: string): Promise<boolean> => (await tree.find(utf8(path)))!.isStored;
    expect([await isStored('/'), await isStored('/home'), await isStored('/home/a'), await isStored('/home/a/aaa'), await isStored('/srv/dump.sql')])
      .toEqual([false, false, true, false, true]);
  });

  test('may begin at the root, and a component takes the place of what another one holds there', async () => {
    const whole = treeOf({ r: ['etc/', 'home'], 'r/etc': ['old'], e: ['new'] }, component('/', node('r')), component('/etc', node('e')), component('/home/x', node('e')));
    expect(await allPaths(whole)).toEqual(['/etc/', '/etc/new', '/home/', '/home/x/', '/home/x/new']);
    expect(whole.root.isStored).toBe(true);
  });

  test('takes slashes together, and refuses source paths that lead elsewhere', async () => {
    expect(text((await treeOf({ e: ['x'] }, component('//etc//', node('e'))).find(utf8('etc///x')))!.path)).toBe('/etc/x');
    expect(() => treeOf({}, component('/a/../b', node('e')))).toThrow(expect.objectContaining({ code: 'OBJECT_CORRUPT' }));
  });

  test('has paths of any depth', async () => {
    const depth = 600;
    const deep: Record<string, string[]> = {};
    for (let i = 0, id = 'd'; i < depth; i++, id += '/x') deep[id] = i === depth - 1 ? ['file'] : ['x/'];
    const paths = await allPaths(treeOf(deep, component('/d', node('d'))));
    expect(paths.at(-1)).toBe(`/d${'/x'.repeat(depth - 1)}/file`);
  });

  test('of a real snapshot is what was backed up', async () => {
    const repository = await makeRepository();
    const root = temporaryDirectory();
    mkdirSync(join(root, 'a/b'), { recursive: true });
    writeFileSync(join(root, 'a/b/c'), 'x');
    await backupPath(repository, root);
    const paths = await withLatest(repository, (_, snapshot) => allPaths(snapshot));
    expect(paths.slice(-3)).toEqual([`${root}/a/`, `${root}/a/b/`, `${root}/a/b/c`]);
  });
});

describe('a walk', () => {
  test('leaves out what is skipped, with its end', async () => {
    const tree = treeOf({ a: ['b/', 'c'], 'a/b': ['inner'] }, component('/a', node('a')));
    const walk = new TreeWalk(tree);
    const steps: string[] = [];
    for await (const step of walk.steps((await tree.find(utf8('/a')))!)) {
      steps.push(step.kind === 'entry' ? text(step.entry.name) : `${step.kind} ${text(step.place.entry.name)}`);
      if (step.kind === 'enter') walk.skip();
    }
    expect(steps).toEqual(['enter b', 'c']);
  });
});

describe('paths', () => {
  test('are put together from the names that they are split into', () => {
    const name = fc.uint8Array({ minLength: 1, maxLength: 6 }).map(bytes => bytes.map(byte => (byte === 0x2f ? 0x61 : byte)));
    fc.assert(fc.property(fc.array(name, { maxLength: 6 }), names => {
      expect(pathNames(pathOfNames(names)).map(each => [...each])).toEqual(names.map(each => [...each]));
      expect(text(names.reduce(joinPath, utf8('/')))).toBe(text(pathOfNames(names)));
    }));
  });
});
