import {
  linkSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, statSync, symlinkSync, utimesSync, writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { utf8 } from '../../src/base/bytes.ts';
import { nativeFileSystem } from '../../src/base/native-filesystem.ts';
import { type OverwriteMode, ROOT_DIRECTORY, type TreeTarget } from '../../src/targets/target.ts';
import { compareTrees, describeTree } from '../support/describe-tree.ts';
import { failingFileSystem, nativeError } from './altered-filesystems.ts';
import { begin, codeOf, directoryEntry, fileEntry, finish, freshPath, handleOf, isRoot, MTIME, OLDER, put, symlinkEntry } from './fixture.ts';

let path: string;

beforeEach(() => {
  path = freshPath();
  mkdirSync(path);
});

/** A file of the user that was there before the restore. */
function existing(name: string, content: string, [seconds, nanoseconds]: readonly [number, number]): void {
  writeFileSync(join(path, name), content);
  const fs = nativeFileSystem();
  const directory = fs.openDirectory(Buffer.from(path), true);
  fs.setTimesAt(directory, utf8(name), seconds, nanoseconds);
  fs.close(directory);
}

/** Writes in ranges, as a large file is. */
function putRanges(target: TreeTarget, name: string, content: string, reuse = false): void {
  const file = handleOf(target.openFile(ROOT_DIRECTORY, fileEntry(name, content.length), { reuse, hasZeros: false }));
  expect(target.write(file, utf8(content), 0)).toBeUndefined();
  expect(target.closeFile(file, true)).toBeUndefined();
}

const NEWER = [MTIME[0], MTIME[1] + 1] as const;
const FILE = fileEntry('file', 4);

describe.each<[OverwriteMode, string, readonly [number, number], string]>([
  ['always', 'the same size and time', MTIME, 'file'],
  ['always', 'a newer time', NEWER, 'file'],
  ['if-changed', 'the same size and time', MTIME, 'file, trusted'],
  ['if-changed', 'another time', NEWER, 'file'],
  ['if-newer', 'an older time', OLDER, 'file'],
  ['if-newer', 'the same size and time', MTIME, 'keep'],
  ['if-newer', 'a newer time by a nanosecond', NEWER, 'keep'],
  ['never', 'an older time', OLDER, 'keep'],
])('In mode %s', (overwrite, what, mtime, expected) => {
  test(`a file of ${what} is ${expected}`, async () => {
    existing('file', '1234', mtime);
    const { target } = await begin(path, { overwrite });
    const found = target.inspect(ROOT_DIRECTORY, FILE);
    expect(found.kind === 'file' && found.matchesStat ? 'file, trusted' : found.kind).toBe(expected);
    if (found.kind === 'file') expect(found.sizeBytes).toBe(4);
  });

  test(`it is ${expected === 'keep' ? 'kept' : 'replaced'} even if the caller did not ask`, async () => {
    existing('file', 'old!', mtime);
    existing('link', 'old!', mtime);
    const { target } = await begin(path, { overwrite });
    expect(put(target, 'file', 'new!')).toBeUndefined();
    expect(target.special(ROOT_DIRECTORY, symlinkEntry('link', 'elsewhere'))).toBeUndefined();
    await finish(target);
    expect(readFileSync(join(path, 'file'), 'utf8')).toBe(expected === 'keep' ? 'old!' : 'new!');
    expect(lstatSync(join(path, 'link')).isSymbolicLink()).toBe(expected !== 'keep');
    expect(readdirSync(path).sort()).toEqual(['file', 'link']);
  });
});

test('in mode if-changed a file of another size is not trusted', async () => {
  existing('file', '12345', MTIME);
  const { target } = await begin(path, { overwrite: 'if-changed' });
  expect(target.inspect(ROOT_DIRECTORY, FILE)).toEqual({ kind: 'file', sizeBytes: 5, matchesStat: false });
});

test('in mode never existing directories are entered, and keep their metadata', async () => {
  mkdirSync(join(path, 'directory'), { mode: 0o750 });
  utimesSync(join(path, 'directory'), 1, 1);
  const { target } = await begin(path, { overwrite: 'never' });
  const directory = handleOf(target.directory(ROOT_DIRECTORY, directoryEntry('directory', { mode: 0o777 })));
  expect(target.writeFile(directory, FILE, [utf8('1234')])).toBeUndefined();
  expect(await finish(target)).toEqual([]);
  expect(statSync(join(path, 'directory')).mode & 0o7777).toBe(0o750);
  expect(readFileSync(join(path, 'directory/file'), 'utf8')).toBe('1234');
});

test.each([['always'], ['if-newer']] as const)('in mode %s the metadata of existing directories is restored', async overwrite => {
  mkdirSync(join(path, 'directory'), { mode: 0o750 });
  const { target } = await begin(path, { overwrite });
  handleOf(target.directory(ROOT_DIRECTORY, directoryEntry('directory', { mode: 0o711 })));
  expect(await finish(target)).toEqual([]);
  const stat = statSync(join(path, 'directory'), { bigint: true });
  expect([Number(stat.mode & 0o7777n), stat.mtimeNs]).toEqual([0o711, 1_600_000_000_123_456_789n]);
});

test('an existing file keeps its old content under its name until the new one is complete', async () => {
  existing('file', 'old content', OLDER);
  const { target } = await begin(path);
  const file = handleOf(target.openFile(ROOT_DIRECTORY, fileEntry('file', 7), { reuse: false, hasZeros: false }));
  target.write(file, utf8('new'), 0);
  expect(readFileSync(join(path, 'file'), 'utf8')).toBe('old content');
  target.write(file, utf8('text'), 3);
  expect(target.closeFile(file, true)).toBeUndefined();
  expect(readFileSync(join(path, 'file'), 'utf8')).toBe('newtext');
  expect(readdirSync(path)).toEqual(['file']);
});

test('an existing file stays what it was when the new one does not become complete', async () => {
  existing('file', 'old content', OLDER);
  existing('open', 'old content', OLDER);
  const { target } = await begin(path);
  const file = handleOf(target.openFile(ROOT_DIRECTORY, fileEntry('file', 7), { reuse: false, hasZeros: false }));
  handleOf(target.openFile(ROOT_DIRECTORY, fileEntry('open', 7), { reuse: false, hasZeros: false }));
  expect(target.closeFile(file, false)).toBeUndefined();
  await target.close();
  expect(readFileSync(join(path, 'file'), 'utf8')).toBe('old content');
  expect(readFileSync(join(path, 'open'), 'utf8')).toBe('old content');
  expect(readdirSync(path).sort()).toEqual(['file', 'open']);
});

test('a whole file that fails half-way leaves the old one, or nothing', async () => {
  existing('file', 'old content', OLDER);
  const fileSystem = failingFileSystem(call => { if (call === 'write') throw nativeError('ENOSPC', 28); });
  const { target } = await begin(path, {}, { fileSystem });
  expect([codeOf(put(target, 'file', 'new')), codeOf(put(target, 'fresh', 'new'))]).toEqual(['NO_SPACE', 'NO_SPACE']);
  expect(readFileSync(join(path, 'file'), 'utf8')).toBe('old content');
  expect(readdirSync(path)).toEqual(['file']);
});

test('a file that is incomplete carries the marker time 0', async () => {
  existing('reused', 'old content', MTIME);
  const { target } = await begin(path);
  for (const [name, reuse] of [['fresh', false], ['reused', true]] as const) {
    const file = handleOf(target.openFile(ROOT_DIRECTORY, fileEntry(name, 11, { mode: 0o640 }), { reuse, hasZeros: false }));
    expect(target.write(file, utf8('new'), 0)).toBeUndefined();
    expect(target.closeFile(file, false)).toBeUndefined();
    const stat = statSync(join(path, name));
    expect([stat.mtimeMs, stat.mode & 0o7777, stat.size]).toEqual([0, 0o640, 11]);
  }
  expect(readFileSync(join(path, 'reused'), 'utf8')).toBe('new content');
});

test('an interrupted file is recognised by its time, and what is right in it is used again', async () => {
  const content = 'a'.repeat(1000) + 'b'.repeat(1000);
  const entry = fileEntry('file', 2000);
  const first = await begin(path, { overwrite: 'if-changed' });
  const half = handleOf(first.target.openFile(ROOT_DIRECTORY, entry, { reuse: false, hasZeros: false }));
  first.target.write(half, utf8(content.slice(0, 1000)), 0);
  await first.target.close();

  const { target } = await begin(path, { overwrite: 'if-changed' });
  expect(target.inspect(ROOT_DIRECTORY, entry)).toEqual({ kind: 'file', sizeBytes: 2000, matchesStat: false });
  expect(Buffer.from(target.readExisting(ROOT_DIRECTORY, entry, 0, 1000)!).toString()).toBe('a'.repeat(1000));
  expect(Buffer.from(target.readExisting(ROOT_DIRECTORY, entry, 1000, 1000)!).toString()).toBe('\0'.repeat(1000));
  expect(target.readExisting(ROOT_DIRECTORY, entry, 1001, 1000)).toBeUndefined();
  expect(target.readExisting(ROOT_DIRECTORY, fileEntry('absent', 5), 0, 5)).toBeUndefined();
  const inode = statSync(join(path, 'file')).ino;
  const file = handleOf(target.openFile(ROOT_DIRECTORY, entry, { reuse: true, hasZeros: false }));
  target.write(file, utf8(content.slice(1000)), 1000);
  expect(target.closeFile(file, true)).toBeUndefined();
  expect(readFileSync(join(path, 'file'), 'utf8')).toBe(content);
  expect(statSync(join(path, 'file')).ino).toBe(inode);
  expect(target.inspect(ROOT_DIRECTORY, entry)).toEqual({ kind: 'file', sizeBytes: 2000, matchesStat: true });
});

test('a reused file gets its new size, longer and shorter', async () => {
  existing('longer', '123456789', OLDER);
  existing('shorter', '123', OLDER);
  const { target } = await begin(path);
  putRanges(target, 'longer', 'abc', true);
  const file = handleOf(target.openFile(ROOT_DIRECTORY, fileEntry('shorter', 6), { reuse: true, hasZeros: true }));
  target.write(file, utf8('x'), 5);
  target.closeFile(file, true);
  expect(readFileSync(join(path, 'longer'), 'utf8')).toBe('abc');
  expect(readFileSync(join(path, 'shorter'), 'utf8')).toBe('123\0\0x');
});

test('zeros replace what a reused file held there, and holes of it stay', async () => {
  const fs = nativeFileSystem();
  writeFileSync(join(path, 'file'), '');
  const directory = fs.openDirectory(Buffer.from(path), true);
  const descriptor = fs.openFileAt(directory, utf8('file'), { write: true });
  fs.truncate(descriptor, 4 << 20);
  fs.write(descriptor, Buffer.alloc(1 << 20, 1), 0, 1 << 20, 1 << 20);
  const entry = fileEntry('file', 4 << 20);
  const { target } = await begin(path);
  const file = handleOf(target.openFile(ROOT_DIRECTORY, entry, { reuse: true, hasZeros: true }));
  expect(target.writeZeros(file, 1000, (4 << 20) - 2000)).toBeUndefined();
  expect(target.closeFile(file, true)).toBeUndefined();
  expect(readFileSync(join(path, 'file')).every(byte => byte === 0)).toBe(true);
  expect(statSync(join(path, 'file')).blocks * 512).toBeLessThan(1.2 * (1 << 20));
});

test('a file that may not be written is replaced by a copy with what is to be used again', async () => {
  existing('file', 'old content', OLDER);
  const fileSystem = failingFileSystem((call, args) => {
    const isInPlace = call === 'openFileAt' && (args[2] as { write?: boolean; create?: boolean }).write === true;
    if (isInPlace && (args[2] as { create?: boolean }).create !== true) throw nativeError('EACCES', 13);
  });
  const { target } = await begin(path, {}, { fileSystem });
  const file = handleOf(target.openFile(ROOT_DIRECTORY, fileEntry('file', 7), { reuse: true, hasZeros: false }));
  target.write(file, utf8('new'), 0);
  expect(target.closeFile(file, true)).toBeUndefined();
  expect(readFileSync(join(path, 'file'), 'utf8')).toBe('new con');
  expect(readdirSync(path)).toEqual(['file']);
});

test('hard links are made anew where other files are, and left where they are right', async () => {
  existing('original', 'content', OLDER);
  linkSync(join(path, 'original'), join(path, 'right'));
  existing('wrong', 'content', OLDER);
  const { target } = await begin(path);
  const entry = (name: string) => fileEntry(name, 7, { hardLinkGroup: new Uint8Array(8) });
  expect(target.inspect(ROOT_DIRECTORY, entry('original')).kind).toBe('file');
  for (const name of ['right', 'wrong', 'new']) {
    expect(target.hardLink(ROOT_DIRECTORY, entry(name), ROOT_DIRECTORY, utf8('original'))).toBeUndefined();
  }
  expect(codeOf(target.hardLink(ROOT_DIRECTORY, entry('lost'), ROOT_DIRECTORY, utf8('absent')))).toBe('TARGET_FAILED');
  const inodes = ['original', 'right', 'wrong', 'new'].map(name => statSync(join(path, name)).ino);
  expect(new Set(inodes).size).toBe(1);
  expect(readdirSync(path).sort()).toEqual(['new', 'original', 'right', 'wrong']);
});

test('a symlink is replaced by a symlink in one step', async () => {
  symlinkSync('old', join(path, 'link'));
  const calls: string[] = [];
  const fileSystem = failingFileSystem(call => { calls.push(call); });
  const { target } = await begin(path, {}, { fileSystem });
  expect(target.special(ROOT_DIRECTORY, symlinkEntry('link', 'new'))).toBeUndefined();
  expect(readlinkSync(join(path, 'link'))).toBe('new');
  expect(calls).not.toContain('unlinkAt');
});

describe('A dry run', () => {
  test('answers as a real one would, and touches nothing', async () => {
    mkdirSync(join(path, 'directory'));
    writeFileSync(join(path, 'directory/file'), 'old');
    existing('other', 'x', OLDER);
    symlinkSync('directory', join(path, 'link'));
    const before = await describeTree(path);
    const { target, problems } = await begin(path, { dryRun: true });
    target.root(directoryEntry('', { mode: 0o700 }));
    const directory = handleOf(target.directory(ROOT_DIRECTORY, directoryEntry('directory')));
    const replaced = handleOf(target.directory(ROOT_DIRECTORY, directoryEntry('link')));
    const absent = handleOf(target.directory(replaced, directoryEntry('absent')));
    expect(target.inspect(directory, fileEntry('file', 3))).toMatchObject({ kind: 'file', sizeBytes: 3 });
    expect([target.inspect(replaced, FILE).kind, target.inspect(absent, FILE).kind]).toEqual(['absent', 'absent']);
    expect(target.readExisting(absent, FILE, 0, 1)).toBeUndefined();
    for (const parent of [ROOT_DIRECTORY, directory, absent]) {
      const file = handleOf(target.openFile(parent, FILE, { reuse: false, hasZeros: false }));
      expect([
        target.write(file, utf8('1234'), 0), target.writeZeros(file, 0, 4), target.closeFile(file, true), target.writeFile(parent, FILE, [utf8('1234')]),
        target.special(parent, symlinkEntry('symlink', 'x')), target.hardLink(parent, FILE, ROOT_DIRECTORY, utf8('other')), target.touch(parent, FILE),
      ].every(problem => problem === undefined)).toBe(true);
    }
    expect(target.removeOthers(ROOT_DIRECTORY, () => false).removed.map(name => Buffer.from(name).toString())).toEqual(['directory', 'link', 'other']);
    expect(target.removeOthers(absent, () => false)).toEqual({ removed: [], problems: [] });
    expect(target.freeBytes()).toBeGreaterThan(0);
    expect([...await finish(target), ...problems]).toEqual([]);
    expect(compareTrees(before, await describeTree(path))).toEqual([]);
  });

  test('does not make its target directory', async () => {
    const absent = join(path, 'not/there');
    const { target } = await begin(absent, { dryRun: true });
    expect(target.inspect(ROOT_DIRECTORY, FILE).kind).toBe('absent');
    expect(target.freeBytes()).toBeGreaterThan(0);
    expect(await finish(target)).toEqual([]);
    expect(readdirSync(path)).toEqual([]);
  });

  test('finds the same things in the way of a directory', async () => {
    existing('file', 'x', NEWER);
    const { target } = await begin(path, { dryRun: true, overwrite: 'if-newer' });
    expect(codeOf(target.directory(ROOT_DIRECTORY, directoryEntry('file')))).toBe('TARGET_OCCUPIED');
  });
});

test.runIf(isRoot)('what the target is told about owners does not matter to what is kept', async () => {
  existing('file', 'kept', NEWER);
  const { target } = await begin(path, { overwrite: 'if-newer' });
  put(target, 'file', 'new!', { uid: 12345 });
  expect(statSync(join(path, 'file')).uid).toBe(0);
});
