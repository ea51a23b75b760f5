import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { utf8 } from '../../src/base/bytes.ts';
import { type NativeFileSystem, nativeFileSystem } from '../../src/base/native-filesystem.ts';
import { ROOT_DIRECTORY, type TargetProblem } from '../../src/targets/target.ts';
import { describeTree } from '../support/describe-tree.ts';
import { failingFileSystem, nativeError } from './altered-filesystems.ts';
import { begin, directoryEntry, fileEntry, finish, freshPath, handleOf, isRoot, put, symlinkEntry } from './fixture.ts';

const told = (problems: readonly TargetProblem[]): string[] =>
  problems.map(({ path, error }) => `${Buffer.from(path).toString()}: ${error.code}: ${error.message}`);

/** As if an ordinary user restored: owners cannot be changed. */
function unprivileged(): NativeFileSystem {
  const fs = failingFileSystem((call, args) => {
    const isOwner = call === 'setOwner' || call === 'setOwnerAt';
    if (isOwner && args.at(-2) !== -1) throw nativeError('EPERM', 1);
    if (isOwner && args.at(-1) === 7777) throw nativeError('EPERM', 1);
  });
  const real = nativeFileSystem();
  return { ...fs, statPath: (path, follow) => {
    const record = Buffer.from(real.statPath(path, follow));
    record.writeUInt32LE(1000, 8);
    return record;
  } };
}

const modeOf = (path: string): number => statSync(path).mode & 0o7777;

test.runIf(isRoot)('the mode is set after the owner, so set-id bits and capabilities survive', async () => {
  const path = freshPath();
  const { target, problems } = await begin(path);
  const capability = Buffer.from('0000000200040000000000000000000000000000', 'hex');
  const fields = { mode: 0o6755, uid: 1, gid: 1, xattrs: [{ name: utf8('security.capability'), value: capability }] };
  expect(put(target, 'whole', 'x', fields)).toBeUndefined();
  const file = handleOf(target.openFile(ROOT_DIRECTORY, fileEntry('ranges', 1, fields), { reuse: false, hasZeros: false }));
  target.write(file, utf8('x'), 0);
  target.closeFile(file, true);
  expect(await finish(target)).toEqual([]);
  const tree = await describeTree(path);
  for (const name of ['whole', 'ranges']) {
    expect(tree.get(name)).toMatchObject({ mode: 0o6755, uid: 1, gid: 1, xattrs: { 'security.capability': capability.toString('hex') } });
  }
  expect(problems).toEqual([]);
});

test.runIf(isRoot)('an owner is found by name where the name exists here, else by number', async () => {
  const path = freshPath();
  const { target } = await begin(path);
  const nobody = nativeFileSystem().userId('nobody')!;
  put(target, 'by name', 'x', { uid: 4711, gid: 4711, userName: 'nobody', groupName: 'root' });
  put(target, 'by number', 'x', { uid: 4711, gid: 4712, userName: 'no such user here', groupName: 'no\0such' });
  put(target, 'unknown', 'x', {});
  await finish(target);
  const owner = (name: string): number[] => [statSync(join(path, name)).uid, statSync(join(path, name)).gid];
  expect([owner('by name'), owner('by number'), owner('unknown')]).toEqual([[nobody, 0], [4711, 4712], [0, 0]]);
});

test('without owners entries belong to whoever restores, and lose set-id bits that were of somebody else', async () => {
  const path = freshPath();
  const { target, problems } = await begin(path, { owner: false });
  const { uid, gid } = process.getuid === undefined ? { uid: 0, gid: 0 } : { uid: process.getuid(), gid: process.getgid!() };
  put(target, 'other', 'x', { mode: 0o6755, uid: uid + 1, gid });
  put(target, 'own', 'x', { mode: 0o6755, uid, gid });
  expect([...problems, ...await finish(target)]).toEqual([]);
  expect([modeOf(join(path, 'other')), modeOf(join(path, 'own')), statSync(join(path, 'other')).uid]).toEqual([0o755, 0o6755, uid]);
});

test('an ordinary user gets no problem for owners that only root may set, but the group where it is allowed', async () => {
  const path = freshPath();
  const { target, problems } = await begin(path, {}, { fileSystem: unprivileged() });
  put(target, 'file', 'x', { mode: 0o4755, uid: 4711, gid: 4711 });
  put(target, 'refused', 'x', { mode: 0o2755, uid: 4711, gid: 7777 });
  target.special(ROOT_DIRECTORY, symlinkEntry('link', 'x', { uid: 4711, gid: 4711 }));
  handleOf(target.directory(ROOT_DIRECTORY, directoryEntry('directory', { uid: 4711, gid: 4711 })));
  expect([...problems, ...await finish(target)]).toEqual([]);
  expect([modeOf(join(path, 'file')), modeOf(join(path, 'refused'))]).toEqual([0o755, 0o755]);
  if (isRoot) expect(statSync(join(path, 'file')).gid).toBe(4711);
});

test('what an ordinary user was refused once is not tried again for every file', async () => {
  let tries = 0;
  const fs = unprivileged();
  const fileSystem: NativeFileSystem = { ...fs, setOwner: (...args) => {
    tries++;
    fs.setOwner(...args);
  } };
  const { target } = await begin(freshPath(), {}, { fileSystem });
  for (let i = 0; i < 10; i++) put(target, `file ${i}`, 'x', { uid: 4711, gid: 7777 });
  expect(tries).toBe(2);
});

test.runIf(isRoot)('for root a refused owner is a problem, and the entry stays', async () => {
  const path = freshPath();
  const fileSystem = failingFileSystem(call => { if (call.startsWith('setOwner')) throw nativeError('EPERM', 1); });
  const { target, problems } = await begin(path, {}, { fileSystem });
  expect(put(target, 'file', 'content', { uid: 4711 })).toBeUndefined();
  handleOf(target.directory(ROOT_DIRECTORY, directoryEntry('directory', { uid: 4711 })));
  expect(told([...problems, ...await finish(target)])).toEqual(['file: DENIED: Cannot set the owner (EPERM)', 'directory: DENIED: Cannot set the owner (EPERM)']);
  expect(readFileSync(join(path, 'file'), 'utf8')).toBe('content');
});

test('each attribute that cannot be set is a problem, and the rest is restored', async () => {
  const path = freshPath();
  const fileSystem = failingFileSystem((call, args) => {
    if (call === 'setXattr' && Buffer.from(args[1] as Uint8Array).toString().includes('bad')) throw nativeError('ENOTSUP', 95);
  });
  const { target, problems } = await begin(path, {}, { fileSystem });
  const xattrs = ['user.a', 'user.bad', 'user.bad\n\x1b2', 'user.z'].map(name => ({ name: utf8(name), value: utf8('v') }));
  const stored = { name: utf8('user.zz'), value: [{ id: undefined, lengthBytes: 5000 }] };
  expect(put(target, 'file', 'content', { xattrs: [...xattrs, stored] })).toBeUndefined();
  expect(await finish(target)).toEqual([]);
  expect(told(problems)).toEqual([
    "file: TARGET_FAILED: Cannot set the extended attribute 'user.bad' (ENOTSUP)",
    "file: TARGET_FAILED: Cannot set the extended attribute 'user.bad??2' (ENOTSUP)",
    "file: TARGET_FAILED: Cannot set the extended attribute 'user.zz': its value could not be read",
  ]);
  expect((await describeTree(path)).get('file')).toMatchObject({ xattrs: { 'user.a': '76', 'user.z': '76' }, mtime: '1600000000123456789' });
});

test('attributes that the snapshot does not have are removed from what was there', async () => {
  const path = freshPath();
  mkdirSync(join(path, 'directory'), { recursive: true });
  writeFileSync(join(path, 'file'), 'content');
  for (const name of ['file', 'directory']) {
    execFileSync('setfattr', ['-n', 'user.old', '-v', 'x', join(path, name)]);
    execFileSync('setfattr', ['-n', 'user.same', '-v', 'x', join(path, name)]);
  }
  const { target, problems } = await begin(path);
  const xattrs = [{ name: utf8('user.new'), value: utf8('v') }, { name: utf8('user.same'), value: utf8('x') }];
  expect(target.touch(ROOT_DIRECTORY, fileEntry('file', 7, { xattrs }))).toBeUndefined();
  handleOf(target.directory(ROOT_DIRECTORY, directoryEntry('directory', { xattrs })));
  expect([...problems, ...await finish(target)]).toEqual([]);
  const tree = await describeTree(path);
  for (const name of ['file', 'directory']) expect(tree.get(name)!.xattrs).toEqual({ 'user.new': '76', 'user.same': '78' });
});

test('access control lists of the target directory are not inherited', async () => {
  const path = freshPath();
  mkdirSync(path);
  execFileSync('setfacl', ['-d', '-m', 'u:1:rwx,g:1:rwx', path]);
  const { target, problems } = await begin(path);
  const directory = handleOf(target.directory(ROOT_DIRECTORY, directoryEntry('directory')));
  put(target, 'first', 'x');
  put(target, 'second', 'x', { mode: 0o664 });
  target.writeFile(directory, fileEntry('inside', 1), [utf8('x')]);
  target.special(ROOT_DIRECTORY, { ...symlinkEntry('fifo', 'x'), type: 'fifo', linkTarget: undefined, mode: 0o640 });
  expect([...problems, ...await finish(target)]).toEqual([]);
  const tree = await describeTree(path);
  expect(['first', 'second', 'directory', 'directory/inside', 'fifo'].map(name => [tree.get(name)!.mode, tree.get(name)!.xattrs])).toEqual([
    [0o644, {}], [0o664, {}], [0o755, {}], [0o644, {}], [0o640, {}],
  ]);
});

test.runIf(isRoot)('a set-group-ID target directory does not decide the group of what is restored', async () => {
  const path = freshPath();
  execFileSync('install', ['-d', '-m', '2755', '-g', '4711', path]);
  const { target } = await begin(path);
  const directory = handleOf(target.directory(ROOT_DIRECTORY, directoryEntry('directory', { uid: 0, gid: 0 })));
  put(target, 'file', 'x', { uid: 0, gid: 0 });
  put(target, 'same', 'x', { uid: 0, gid: 4711 });
  target.writeFile(directory, fileEntry('inside', 1, { uid: 0, gid: 0 }), [utf8('x')]);
  await finish(target);
  expect(['directory', 'file', 'same', 'directory/inside'].map(name => statSync(join(path, name)).gid)).toEqual([0, 0, 4711, 0]);
  expect(modeOf(join(path, 'directory'))).toBe(0o755);
});

test('the root gets its metadata only when it is described', async () => {
  const path = freshPath();
  const first = await begin(path);
  await finish(first.target);
  expect(modeOf(path)).toBe(0o700);
  execFileSync('setfattr', ['-n', 'user.old', '-v', 'x', path]);
  const { target } = await begin(path);
  target.root(directoryEntry('', { mode: 0o751, xattrs: [{ name: utf8('user.new'), value: utf8('v') }] }));
  put(target, 'file', 'x');
  expect(await finish(target)).toEqual([]);
  expect((await describeTree(path)).get('')).toMatchObject({ mode: 0o751, mtime: '1600000000123456789', xattrs: { 'user.new': '76', 'user.old': '78' } });
});

test('nothing is written again for metadata that is right already', async () => {
  const path = freshPath();
  const first = await begin(path);
  const entries = [fileEntry('file', 1, { xattrs: [{ name: utf8('user.a'), value: utf8('v') }] }), fileEntry('other', 1, { mode: 0o600 })];
  for (const entry of entries) first.target.writeFile(ROOT_DIRECTORY, entry, [utf8('x')]);
  handleOf(first.target.directory(ROOT_DIRECTORY, directoryEntry('directory')));
  await finish(first.target);
  const calls: string[] = [];
  const { target } = await begin(path, {}, { fileSystem: failingFileSystem(call => { calls.push(call); }) });
  for (const entry of entries) expect(target.touch(ROOT_DIRECTORY, entry)).toBeUndefined();
  handleOf(target.directory(ROOT_DIRECTORY, directoryEntry('directory')));
  await finish(target);
  expect(calls.filter(call => call.startsWith('set') || call.startsWith('remove'))).toEqual([]);
});

test('a target that only lets its owner in again is entered, as after an interrupted restore', async () => {
  const path = freshPath();
  mkdirSync(join(path, 'directory/inner'), { recursive: true });
  chmodSync(join(path, 'directory'), 0o300);
  const fileSystem: NativeFileSystem = { ...unprivileged(), openDirectoryAt: (directory, name) => {
    const real = nativeFileSystem();
    const isListable = (Buffer.from(real.stats(directory, Buffer.concat([name, Buffer.of(0)]))).readUInt32LE(4) & 0o400) !== 0;
    if (!isListable) throw nativeError('EACCES', 13);
    return real.openDirectoryAt(directory, name);
  } };
  const { target } = await begin(path, {}, { fileSystem });
  const directory = handleOf(target.directory(ROOT_DIRECTORY, directoryEntry('directory', { mode: 0o555 })));
  expect(target.writeFile(directory, fileEntry('file', 1), [utf8('x')])).toBeUndefined();
  expect(await finish(target)).toEqual([]);
  expect(modeOf(join(path, 'directory'))).toBe(0o555);
});

test('in mode never a directory that had to be opened for its owner gets its mode back, and nothing else', async () => {
  const path = freshPath();
  mkdirSync(join(path, 'directory'), { recursive: true });
  utimesSync(join(path, 'directory'), 1, 1);
  chmodSync(join(path, 'directory'), 0o555);
  const { target } = await begin(path, { overwrite: 'never' }, { fileSystem: unprivileged() });
  const directory = handleOf(target.directory(ROOT_DIRECTORY, directoryEntry('directory', { mode: 0o711 })));
  expect(modeOf(join(path, 'directory'))).toBe(0o755);
  expect(target.writeFile(directory, fileEntry('file', 1), [utf8('x')])).toBeUndefined();
  expect(await finish(target)).toEqual([]);
  expect(modeOf(join(path, 'directory'))).toBe(0o555);
  expect(statSync(join(path, 'directory')).mtimeMs).toBeGreaterThan(1_600_000_001_000);
});
