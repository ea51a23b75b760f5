// Faults 5, 36 and 37 of the repository design: names that lead elsewhere, links that were planted, names that fall together.
import {
  chmodSync, existsSync, linkSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync,
} from 'node:fs';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { utf8 } from '../../src/base/bytes.ts';
import { isTargetProblem, ROOT_DIRECTORY, type TargetProblem } from '../../src/targets/target.ts';
import { compareTrees, describeTree } from '../support/describe-tree.ts';
import { foldingFileSystem } from './altered-filesystems.ts';
import { begin, codeOf, directoryEntry, fileEntry, finish, freshPath, handleOf, put, symlinkEntry } from './fixture.ts';

let path: string;
let outside: string;

beforeEach(() => {
  path = freshPath();
  outside = join(path, '..', 'outside');
  mkdirSync(path);
  mkdirSync(join(outside, 'inner'), { recursive: true });
  writeFileSync(join(outside, 'precious'), 'precious');
});

async function expectOutsideUntouched(work: () => Promise<void>): Promise<void> {
  const before = await describeTree(outside);
  await work();
  expect(compareTrees(before, await describeTree(outside))).toEqual([]);
}

describe.each(['', '.', '..', '/', 'a/b', '../outside/x', '/etc/x', 'a\0b', 'x'.repeat(4096)])('The name %j', name => {
  test('is refused by every call', async () => {
    const { target } = await begin(path);
    const file = fileEntry(name, 1);
    put(target, 'original', 'x');
    const refused: (TargetProblem | number | undefined)[] = [
      target.directory(ROOT_DIRECTORY, directoryEntry(name)),
      target.openFile(ROOT_DIRECTORY, file, { reuse: false, hasZeros: false }),
      target.openFile(ROOT_DIRECTORY, file, { reuse: true, hasZeros: false }),
      target.writeFile(ROOT_DIRECTORY, file, [utf8('x')]),
      target.special(ROOT_DIRECTORY, symlinkEntry(name, 'x')),
      target.hardLink(ROOT_DIRECTORY, file, ROOT_DIRECTORY, utf8('original')),
      target.hardLink(ROOT_DIRECTORY, fileEntry('link', 1), ROOT_DIRECTORY, utf8(name)),
      target.touch(ROOT_DIRECTORY, file),
    ];
    expect(refused.map(codeOf)).toEqual(refused.map(() => 'OBJECT_CORRUPT'));
    expect(target.inspect(ROOT_DIRECTORY, file).kind).toBe('problem');
    expect(target.readExisting(ROOT_DIRECTORY, file, 0, 1)).toBeUndefined();
    expect(readdirSync(path)).toEqual(['original']);
  });
});

test('a name that the file system cannot hold is a problem of that entry', async () => {
  const { target } = await begin(path);
  expect(codeOf(put(target, 'x'.repeat(256), 'content'))).toBe('TARGET_FAILED');
  expect(codeOf(target.directory(ROOT_DIRECTORY, directoryEntry('x'.repeat(300))))).toBe('TARGET_FAILED');
  expect(put(target, 'x'.repeat(255), 'content')).toBeUndefined();
});

test('a symlink at the place of a directory is replaced by a real one', () => expectOutsideUntouched(async () => {
  symlinkSync(outside, join(path, 'directory'));
  const { target } = await begin(path);
  const handle = handleOf(target.directory(ROOT_DIRECTORY, directoryEntry('directory')));
  expect(target.writeFile(handle, fileEntry('precious', 4), [utf8('mine')])).toBeUndefined();
  expect(await finish(target)).toEqual([]);
  expect(lstatSync(join(path, 'directory')).isDirectory()).toBe(true);
  expect(readFileSync(join(path, 'directory', 'precious'), 'utf8')).toBe('mine');
}));

test('a symlink at the place of a directory is a problem where the overwrite mode keeps it', () => expectOutsideUntouched(async () => {
  symlinkSync(outside, join(path, 'directory'));
  const { target } = await begin(path, { overwrite: 'never' });
  expect(codeOf(target.directory(ROOT_DIRECTORY, directoryEntry('directory')))).toBe('TARGET_OCCUPIED');
  expect(readlinkSync(join(path, 'directory'))).toBe(outside);
}));

test('a symlink at the place of a file is replaced, not followed, by every way of writing', () => expectOutsideUntouched(async () => {
  for (const name of ['whole', 'ranges', 'reused', 'symlink', 'fifo', 'link']) symlinkSync(join(outside, 'precious'), join(path, name));
  const { target } = await begin(path);
  put(target, 'original', 'x');
  expect(target.inspect(ROOT_DIRECTORY, fileEntry('whole', 8)).kind).toBe('replace');
  expect(put(target, 'whole', 'mine')).toBeUndefined();
  const file = handleOf(target.openFile(ROOT_DIRECTORY, fileEntry('ranges', 4), { reuse: false, hasZeros: false }));
  expect(target.write(file, utf8('mine'), 0)).toBeUndefined();
  expect(target.closeFile(file, true)).toBeUndefined();
  expect(codeOf(target.openFile(ROOT_DIRECTORY, fileEntry('reused', 8), { reuse: true, hasZeros: false }))).toBe('TARGET_FAILED');
  expect(target.special(ROOT_DIRECTORY, symlinkEntry('symlink', 'elsewhere'))).toBeUndefined();
  expect(target.special(ROOT_DIRECTORY, { ...symlinkEntry('fifo', 'x'), type: 'fifo', linkTarget: undefined })).toBeUndefined();
  expect(target.hardLink(ROOT_DIRECTORY, fileEntry('link', 1), ROOT_DIRECTORY, utf8('original'))).toBeUndefined();
  expect(await finish(target)).toEqual([]);
  expect(['whole', 'ranges', 'link'].map(name => lstatSync(join(path, name)).isFile())).toEqual([true, true, true]);
  expect(readlinkSync(join(path, 'symlink'))).toBe('elsewhere');
  expect(lstatSync(join(path, 'fifo')).isFIFO()).toBe(true);
}));

test('an existing file is not read through a symlink, and a fifo does not block it', () => expectOutsideUntouched(async () => {
  symlinkSync(join(outside, 'precious'), join(path, 'link'));
  execFileSync('mkfifo', [join(path, 'fifo')]);
  const { target } = await begin(path);
  expect(target.readExisting(ROOT_DIRECTORY, fileEntry('link', 8), 0, 8)).toBeUndefined();
  expect(target.readExisting(ROOT_DIRECTORY, fileEntry('fifo', 8), 0, 8)).toBeUndefined();
  expect(put(target, 'fifo', 'now a file')).toBeUndefined();
  expect(readFileSync(join(path, 'fifo'), 'utf8')).toBe('now a file');
}));

test('metadata is set on a symlink itself, not on its target', () => expectOutsideUntouched(async () => {
  symlinkSync(join(outside, 'precious'), join(path, 'link'));
  const { target } = await begin(path);
  expect(target.touch(ROOT_DIRECTORY, fileEntry('link', 8, { mode: 0o777, uid: 12345, gid: 12345 }))).toBeUndefined();
  await target.finish();
}));

test('a file that shares its inode with one outside is replaced, never changed in place', () => expectOutsideUntouched(async () => {
  for (const name of ['whole', 'ranges', 'reused']) linkSync(join(outside, 'precious'), join(path, name));
  const { target } = await begin(path);
  expect(target.inspect(ROOT_DIRECTORY, fileEntry('whole', 8)).kind).toBe('replace');
  expect(put(target, 'whole', 'mine')).toBeUndefined();
  for (const [name, reuse] of [['ranges', false], ['reused', true]] as const) {
    const file = handleOf(target.openFile(ROOT_DIRECTORY, fileEntry(name, 4), { reuse, hasZeros: false }));
    expect(target.write(file, utf8('mi'), 0)).toBeUndefined();
    expect(target.closeFile(file, true)).toBeUndefined();
  }
  expect(['whole', 'ranges', 'reused'].map(name => readFileSync(join(path, name), 'utf8'))).toEqual(['mine', 'mi\0\0', 'miec']);
  for (const name of ['whole', 'ranges', 'reused']) rmSync(join(path, name));
}));

test('a directory that was swapped for a symlink while the restore runs is not followed', () => expectOutsideUntouched(async () => {
  const { target } = await begin(path, {}, { maxOpenDirectories: 2 });
  const swapped = handleOf(target.directory(ROOT_DIRECTORY, directoryEntry('swapped')));
  const inner = handleOf(target.directory(swapped, directoryEntry('inner')));
  for (let i = 0; i < 4; i++) handleOf(target.directory(ROOT_DIRECTORY, directoryEntry(`other ${i}`)));
  renameSync(join(path, 'swapped'), join(path, 'away'));
  symlinkSync(outside, join(path, 'swapped'));
  expect(codeOf(target.writeFile(inner, fileEntry('precious', 4), [utf8('mine')]))).toBe('TARGET_FAILED');
  const problems = await finish(target);
  expect(problems.map(({ path: at }) => Buffer.from(at).toString()).sort()).toEqual(['swapped', 'swapped/inner']);
}));

test('a file that was swapped while its descriptor was given up is not written', () => expectOutsideUntouched(async () => {
  const { target } = await begin(path, {}, { maxOpenFiles: 1 });
  const files = ['one', 'other'].map(name => handleOf(target.openFile(ROOT_DIRECTORY, fileEntry(name, 8), { reuse: false, hasZeros: false })));
  rmSync(join(path, 'one'));
  linkSync(join(outside, 'precious'), join(path, 'one'));
  expect(codeOf(target.write(files[0]!, utf8('mine'), 0))).toBe('TARGET_FAILED');
  expect(codeOf(target.closeFile(files[0]!, true))).toBe('TARGET_FAILED');
  expect(target.closeFile(files[1]!, true)).toBeUndefined();
  rmSync(join(path, 'one'));
}));

test('two entries of one name are a problem, and the first one stays', async () => {
  const { target } = await begin(path);
  const directory = handleOf(target.directory(ROOT_DIRECTORY, directoryEntry('directory')));
  expect(target.writeFile(directory, fileEntry('name', 5), [utf8('first')])).toBeUndefined();
  const again = [
    target.writeFile(directory, fileEntry('name', 6), [utf8('second')]),
    target.openFile(directory, fileEntry('name', 6), { reuse: false, hasZeros: false }),
    target.directory(directory, directoryEntry('name')),
    target.special(directory, symlinkEntry('name', outside)),
    target.hardLink(directory, fileEntry('name', 6), directory, utf8('name')),
  ];
  expect(again.map(codeOf)).toEqual(again.map(() => 'TARGET_OCCUPIED'));
  await finish(target);
  expect(readFileSync(join(path, 'directory/name'), 'utf8')).toBe('first');
  expect(readdirSync(join(path, 'directory'))).toEqual(['name']);
});

describe.each([['case', 'Name', 'nAME'], ['Unicode form', 'n\u00e4me', 'na\u0308me'], ['case beyond ASCII', '\u00c4', '\u00e4']])(
  'On a file system that folds names, two that differ by %s', (_what, one, other) => {
    test.each([['a new', true], ['an existing', false]])('do not overwrite each other in %s directory', async (_which, isNew) => {
      if (!isNew) mkdirSync(join(path, 'directory'));
      const { target } = await begin(path, {}, { fileSystem: foldingFileSystem() });
      const directory = handleOf(target.directory(ROOT_DIRECTORY, directoryEntry('directory')));
      expect(target.writeFile(directory, fileEntry(one, 5), [utf8('first')])).toBeUndefined();
      const inspected = target.inspect(directory, fileEntry(other, 6));
      if (!isNew) expect(inspected).toMatchObject({ kind: 'problem', problem: { error: { code: 'TARGET_OCCUPIED' } } });
      const second = [
        target.writeFile(directory, fileEntry(other, 6), [utf8('second')]),
        target.openFile(directory, fileEntry(other, 6), { reuse: false, hasZeros: false }),
        target.openFile(directory, fileEntry(other, 6), { reuse: true, hasZeros: false }),
        target.directory(directory, directoryEntry(other)),
        target.special(directory, symlinkEntry(other, 'x')),
        target.hardLink(directory, fileEntry(other, 6), directory, utf8(one)),
      ];
      const reuseInNew = isNew ? 'TARGET_FAILED' : 'TARGET_OCCUPIED';
      expect(second.map(codeOf)).toEqual(['TARGET_OCCUPIED', 'TARGET_OCCUPIED', reuseInNew, 'TARGET_OCCUPIED', 'TARGET_OCCUPIED', 'TARGET_OCCUPIED']);
      expect(await finish(target)).toEqual([]);
      expect(readdirSync(join(path, 'directory'))).toEqual([one]);
      expect(readFileSync(join(path, 'directory', one), 'utf8')).toBe('first');
    });

    test('are two directories only if they keep apart', async () => {
      const { target } = await begin(path, {}, { fileSystem: foldingFileSystem() });
      handleOf(target.directory(ROOT_DIRECTORY, directoryEntry(one)));
      expect(codeOf(target.directory(ROOT_DIRECTORY, directoryEntry(other)))).toBe('TARGET_OCCUPIED');
      handleOf(target.directory(ROOT_DIRECTORY, directoryEntry(one)));
    });
  });

test('names that differ by case are two files where the file system keeps them apart', async () => {
  const names = ['Name', 'nAME', 'n\u00e4me', 'na\u0308me', '12', 'NAME', 'name'];
  for (let run = 0; run < 2; run++) {
    const { target } = await begin(path);
    for (const name of names) {
      expect(target.inspect(ROOT_DIRECTORY, fileEntry(name, 4)).kind).toBe(run === 0 ? 'absent' : 'file');
      expect(put(target, name, name)).toBeUndefined();
    }
    await finish(target);
  }
  expect(names.map(name => readFileSync(join(path, name), 'utf8'))).toEqual(names);
});

test('a directory with content at the place of a file is kept and reported, an empty one replaced', async () => {
  mkdirSync(join(path, 'full/inner'), { recursive: true });
  mkdirSync(join(path, 'empty'));
  const { target } = await begin(path);
  expect(codeOf(put(target, 'full', 'x'))).toBe('TARGET_OCCUPIED');
  expect(codeOf(target.special(ROOT_DIRECTORY, symlinkEntry('full', 'x')))).toBe('TARGET_OCCUPIED');
  expect(put(target, 'empty', 'x')).toBeUndefined();
  expect(existsSync(join(path, 'full/inner'))).toBe(true);
  expect(readFileSync(join(path, 'empty'), 'utf8')).toBe('x');
});

test('what is restored is for nobody else to read until it is complete', async () => {
  const { target } = await begin(path);
  const directory = handleOf(target.directory(ROOT_DIRECTORY, directoryEntry('directory', { mode: 0o777 })));
  const file = handleOf(target.openFile(directory, fileEntry('file', 4, { mode: 0o4666 }), { reuse: false, hasZeros: false }));
  const mode = (name: string): number => statSync(join(path, name)).mode & 0o7777;
  expect([mode('directory'), mode('directory/file')]).toEqual([0o700, 0o600]);
  writeFileSync(join(path, 'old'), 'old content');
  chmodSync(join(path, 'old'), 0o6755);
  const old = handleOf(target.openFile(ROOT_DIRECTORY, fileEntry('old', 3), { reuse: true, hasZeros: false }));
  expect(mode('old')).toBe(0o600);
  target.closeFile(old, true);
  target.closeFile(file, true);
  expect(await finish(target)).toEqual([]);
  expect([mode('directory'), mode('directory/file'), mode('old')]).toEqual([0o777, 0o4666, 0o644]);
});

test('a call with a handle of nothing is a fault of the caller', async () => {
  const { target } = await begin(path);
  expect(() => target.directory(17, directoryEntry('x'))).toThrow(RangeError);
  expect(() => target.write(17, utf8('x'), 0)).toThrow(RangeError);
  const file = handleOf(target.openFile(ROOT_DIRECTORY, fileEntry('file', 4), { reuse: false, hasZeros: false }));
  expect(() => target.write(file, utf8('12345'), 0)).toThrow(RangeError);
  expect(() => target.write(file, utf8('1'), -1)).toThrow(RangeError);
  expect(isTargetProblem(file)).toBe(false);
});
