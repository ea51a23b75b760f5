import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { nativeFileSystem } from '../../src/base/native-filesystem.ts';
import { ROOT_DIRECTORY } from '../../src/targets/target.ts';
import { compareTrees, describeTree } from '../support/describe-tree.ts';
import { makeOddities, removeTree } from '../support/oddities.ts';
import { failingFileSystem, nativeError } from './altered-filesystems.ts';
import { begin, directoryEntry, fileEntry, freshPath, handleOf, isRoot, put } from './fixture.ts';

let path: string;

beforeEach(() => {
  path = freshPath();
  mkdirSync(path);
});

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
const keepOnly = (...names: string[]) => (name: Uint8Array): boolean => names.includes(text(name));

test('what is not to be kept goes with all below it, links without what they point to', async () => {
  const outside = join(path, '../outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'precious'), 'x');
  for (const name of ['kept/inner', 'gone/inner/deeper']) mkdirSync(join(path, name), { recursive: true });
  for (const name of ['kept/file', 'gone/inner/deeper/file', 'file']) writeFileSync(join(path, name), 'x');
  for (const name of ['kept/link', 'gone/inner/link', 'link']) symlinkSync(outside, join(path, name));
  chmodSync(join(path, 'gone/inner/deeper'), 0);
  chmodSync(join(path, 'gone/inner'), 0o500);
  const before = await describeTree(outside);
  const { target } = await begin(path);
  const kept = handleOf(target.directory(ROOT_DIRECTORY, directoryEntry('kept')));
  const top = target.removeOthers(ROOT_DIRECTORY, keepOnly('kept'));
  const below = target.removeOthers(kept, keepOnly('file'));
  expect([top.removed.map(text), below.removed.map(text)]).toEqual([['file', 'gone', 'link'], ['kept/inner', 'kept/link']]);
  expect([...top.problems, ...below.problems]).toEqual([]);
  expect([readdirSync(path), readdirSync(join(path, 'kept'))]).toEqual([['kept'], ['file']]);
  expect(compareTrees(before, await describeTree(outside))).toEqual([]);
});

test('a tree of all oddities is removed', async () => {
  const odd = join(path, 'odd');
  await makeOddities(odd, { largeDirectoryEntries: 100 });
  const { target } = await begin(path);
  expect(target.removeOthers(ROOT_DIRECTORY, () => false)).toEqual({ removed: [Buffer.from('odd')], problems: [] });
  expect(readdirSync(path)).toEqual([]);
}, 30_000);

test('what was restored in the same run and is kept stays', async () => {
  const { target } = await begin(path);
  put(target, 'restored', 'x');
  writeFileSync(join(path, '.snap-restore-0123456789abcdef'), 'left over from an interrupted run');
  expect(target.removeOthers(ROOT_DIRECTORY, keepOnly('restored')).removed.map(text)).toEqual(['.snap-restore-0123456789abcdef']);
  expect(readdirSync(path)).toEqual(['restored']);
});

test('one entry that cannot be removed is one problem; its directories stay, the rest goes', async () => {
  for (const name of ['a/b/c', 'a/d']) mkdirSync(join(path, name), { recursive: true });
  for (const name of ['a/b/c/stuck', 'a/b/file', 'a/d/file']) writeFileSync(join(path, name), 'x');
  const fileSystem = failingFileSystem((call, args) => {
    if (call === 'unlinkAt' && text(args[1] as Uint8Array) === 'stuck') throw nativeError('EPERM', 1);
  });
  const { target } = await begin(path, {}, { fileSystem });
  const { removed, problems } = target.removeOthers(ROOT_DIRECTORY, () => false);
  expect(removed).toEqual([]);
  expect(problems.map(problem => `${text(problem.path)}: ${problem.error.code}`)).toEqual(['a/b/c/stuck: DENIED']);
  expect(readdirSync(path, { recursive: true }).map(String).sort()).toEqual(['a', 'a/b', 'a/b/c', 'a/b/c/stuck']);
});

/** A chain of directories named 'd', each with a file; paths beyond PATH_MAX. */
function makeChain(levels: number): void {
  const fs = nativeFileSystem();
  let descriptor = fs.openDirectory(Buffer.from(path), true);
  for (let i = 0; i < levels; i++) {
    fs.makeDirectoryAt(descriptor, Buffer.from('d'), 0o755);
    fs.close(fs.openFileAt(descriptor, Buffer.from('e'), { write: true, create: true, exclusive: true }));
    const inner = fs.openDirectoryAt(descriptor, Buffer.from('d'));
    fs.close(descriptor);
    descriptor = inner;
  }
  fs.close(descriptor);
}

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

test('a chain of 600 directories is removed with a bounded number of descriptors', async () => {
  makeChain(600);
  const before = openDescriptors();
  let most = 0;
  let calls = 0;
  const fileSystem = failingFileSystem(call => {
    if ((call === 'names' || call === 'unlinkAt') && calls++ % 20 === 0) most = Math.max(most, openDescriptors());
  });
  const { target } = await begin(path, {}, { fileSystem });
  expect(target.removeOthers(ROOT_DIRECTORY, () => false).problems).toEqual([]);
  expect(readdirSync(path)).toEqual([]);
  await target.close();
  expect(openDescriptors()).toBe(before);
  expect(most - before).toBeLessThan(300);
});

test('a chain of 600 directories is restored with a bounded number of descriptors', async () => {
  const before = openDescriptors();
  const { target, problems } = await begin(path, {}, { maxOpenDirectories: 16 });
  let parent = ROOT_DIRECTORY;
  for (let i = 0; i < 600; i++) {
    parent = handleOf(target.directory(parent, directoryEntry('d')));
    expect(target.writeFile(parent, fileEntry('e', 0), [])).toBeUndefined();
  }
  expect(openDescriptors() - before).toBeLessThan(24);
  expect([...problems, ...await target.finish()]).toEqual([]);
  await target.close();
  expect(openDescriptors()).toBe(before);
  const tree = await describeTree(path);
  expect(tree.size).toBe(1201);
  expect([...tree.values()].every(entry => entry.path === '' || entry.mtime === '1600000000123456789')).toBe(true);
});

test.runIf(isRoot)('another file system that is mounted in the target is not emptied', async () => {
  const mounted = join(path, 'gone/mounted');
  mkdirSync(mounted, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', mounted]);
  onTestFinished(() => { execFileSync('umount', [mounted]); });
  writeFileSync(join(mounted, 'precious'), 'x');
  writeFileSync(join(path, 'gone/file'), 'x');
  const { target } = await begin(path);
  const { removed, problems } = target.removeOthers(ROOT_DIRECTORY, () => false);
  expect(removed).toEqual([]);
  expect(problems.map(problem => `${text(problem.path)}: ${problem.error.code}`)).toEqual(['gone/mounted: TARGET_OCCUPIED']);
  expect(existsSync(join(mounted, 'precious'))).toBe(true);
  expect(existsSync(join(path, 'gone/file'))).toBe(false);
});

test.runIf(isRoot)('a full file system is a problem of each entry that did not fit, and nothing half written stays', async () => {
  const mounted = mkdtempSync(join(tmpdir(), 'snap-full-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', mounted]);
  onTestFinished(() => {
    execFileSync('umount', [mounted]);
    rmSync(mounted, { recursive: true });
  });
  const MiB = 1024 * 1024;
  const { target } = await begin(mounted);
  expect(target.freeBytes()).toBeLessThanOrEqual(2 * MiB);
  expect(put(target, 'first', 'x'.repeat(MiB))).toBeUndefined();
  expect(put(target, 'whole', 'x'.repeat(2 * MiB))).toMatchObject({ error: { code: 'NO_SPACE' } });
  const large = fileEntry('large', 5 * MiB);
  expect(target.openFile(ROOT_DIRECTORY, large, { reuse: false, hasZeros: false })).toMatchObject({ error: { code: 'NO_SPACE' } });
  const sparse = handleOf(target.openFile(ROOT_DIRECTORY, large, { reuse: false, hasZeros: true }));
  expect(target.write(sparse, Buffer.alloc(3 * MiB, 1), 0)).toMatchObject({ error: { code: 'NO_SPACE' } });
  expect(target.closeFile(sparse, false)).toBeUndefined();
  expect(readdirSync(mounted).sort()).toEqual(['first', 'large']);
  expect(await target.finish()).toEqual([]);
  await target.close();
  expect(await removeTree(join(mounted, 'large'))).toBeUndefined();
});
