import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { utf8 } from '../../src/base/bytes.ts';
import { nativeFileSystem } from '../../src/base/native-filesystem.ts';
import { FilesTarget } from '../../src/targets/files.ts';
import { ROOT_DIRECTORY, type TargetHandle, type WholeFile } from '../../src/targets/target.ts';
import { describeTarget } from '../conformance/target.ts';
import { failingFileSystem, nativeError } from './altered-filesystems.ts';
import { begin, begun, codeOf, directoryEntry, fileEntry, finish, freshPath, handleOf, put, unsyncedFileSystem } from './fixture.ts';

describeTarget('a directory', () => {
  const path = freshPath();
  return { target: new FilesTarget({ path: Buffer.from(path), fileSystem: unsyncedFileSystem }), path };
});

describeTarget('a directory, with the fewest descriptors', () => {
  const path = freshPath();
  return { target: new FilesTarget({ path: Buffer.from(path), fileSystem: unsyncedFileSystem, maxOpenDirectories: 1, maxOpenFiles: 1 }), path };
});

describe('The target directory', () => {
  test('is made, with its parents, for its owner only', async () => {
    const path = freshPath();
    await begin(join(path, 'one/two//three/'));
    expect(['', 'one', 'one/two', 'one/two/three'].map(name => statSync(join(path, name)).mode & 0o7777)).toEqual([0o700, 0o700, 0o700, 0o700]);
  });

  test('may be named through a symlink, and relative to the working directory', async () => {
    const path = freshPath();
    mkdirSync(`${path}-real`);
    symlinkSync(`${path}-real`, path);
    const { target } = await begin(path);
    put(target, 'file', 'x');
    expect(readdirSync(`${path}-real`)).toEqual(['file']);
    const relative = await begin('.');
    expect(relative.target.inspect(ROOT_DIRECTORY, fileEntry('package.json', 1)).kind).toBe('file');
  });

  test.each([
    ['is a file', (path: string) => writeFileSync(path, '')],
    ['is below a file', (path: string) => writeFileSync(join(path, '..'), '')],
    ['is a dangling symlink', (path: string) => symlinkSync('nowhere', path)],
    ['is a symlink to itself', (path: string) => symlinkSync('target', path)],
  ])('that %s cannot be used', async (what, make) => {
    const path = what === 'is below a file' ? join(freshPath(), 'below') : freshPath();
    make(path);
    await expect(begin(path)).rejects.toMatchObject({ code: 'TARGET_NOT_USABLE' });
  });

  test.each(['', 'a\0b'])('cannot have the path %j', async path => {
    await expect(begin(path)).rejects.toMatchObject({ code: 'TARGET_NOT_USABLE' });
  });

  test('that may not be made is refused before anything is restored', async () => {
    const fileSystem = failingFileSystem(call => { if (call === 'makeDirectoryAt') throw nativeError('EACCES', 13); });
    await expect(begin(freshPath(), {}, { fileSystem })).rejects.toMatchObject({ code: 'DENIED' });
  });

  test('that may not be written is a problem of each entry', async () => {
    const path = freshPath();
    mkdirSync(path);
    const fileSystem = failingFileSystem((call, args) => {
      const isWrite = call === 'openFileAt' && (args[2] as { write?: boolean }).write === true;
      if (isWrite || call.startsWith('make')) throw nativeError('EROFS', 30);
    });
    const { target } = await begin(path, {}, { fileSystem });
    expect([
      put(target, 'file', 'x'), target.directory(ROOT_DIRECTORY, directoryEntry('directory')),
      target.openFile(ROOT_DIRECTORY, fileEntry('ranges', 1), { reuse: false, hasZeros: false }),
    ].map(codeOf)).toEqual(['DENIED', 'DENIED', 'DENIED']);
  });

  test('cannot be begun twice at once, but again after it was closed', async () => {
    const path = freshPath();
    const { target } = await begin(path);
    await expect(begun(target)).rejects.toMatchObject({ code: 'INTERNAL' });
    await target.close();
    await target.close();
    await begun(target);
    expect(put(target, 'file', 'x')).toBeUndefined();
  });
});

test('everything is flushed once for each file system, after the last change', async () => {
  const path = freshPath();
  mkdirSync(join(path, 'a/b'), { recursive: true });
  const calls: string[] = [];
  const { target } = await begun(new FilesTarget({ path: Buffer.from(path), fileSystem: failingFileSystem(call => { calls.push(call); }) }));
  const a = handleOf(target.directory(ROOT_DIRECTORY, directoryEntry('a')));
  handleOf(target.directory(a, directoryEntry('b')));
  put(target, 'file', 'x');
  await finish(target);
  expect(calls.filter(call => call.startsWith('sync'))).toEqual(['syncFileSystem']);
  expect(calls.slice(calls.indexOf('syncFileSystem') + 1).every(call => call === 'close')).toBe(true);
});

test('a flush that fails is a problem', async () => {
  const fileSystem = failingFileSystem(call => { if (call === 'syncFileSystem') throw nativeError('EIO', 5); });
  const { target } = await begin(freshPath(), {}, { fileSystem });
  expect((await finish(target)).map(codeOf)).toEqual(['TARGET_FAILED']);
});

test('a small new file costs no call more than needed', async () => {
  const calls: string[] = [];
  const { target } = await begin(freshPath(), {}, { fileSystem: failingFileSystem(call => { calls.push(call); }) });
  const owner = { uid: process.getuid!(), gid: process.getgid!() };
  const directory = handleOf(target.directory(ROOT_DIRECTORY, directoryEntry('directory')));
  target.writeFile(directory, fileEntry('first', 1, owner), [utf8('x')]);
  calls.length = 0;
  target.writeFile(directory, fileEntry('second', 2, owner), [utf8('x'), utf8('y')]);
  expect(calls).toEqual(['openFileAt', 'write', 'setMode', 'setTimes', 'close']);
});

test('a signal that aborts ends the completion of directories', async () => {
  const controller = new AbortController();
  const { target } = await begin(freshPath(), { signal: controller.signal });
  handleOf(target.directory(ROOT_DIRECTORY, directoryEntry('directory')));
  controller.abort();
  await expect(target.finish()).rejects.toMatchObject({ code: 'CANCELLED' });
  await expect(begun(new FilesTarget({ path: Buffer.from(freshPath()) }), { signal: controller.signal })).rejects.toMatchObject({ code: 'CANCELLED' });
});

test('an error that is not of the file system is thrown, not reported', async () => {
  const fileSystem = failingFileSystem(call => { if (call === 'write') throw new TypeError('a fault of snap'); });
  const { target } = await begin(freshPath(), {}, { fileSystem });
  expect(() => put(target, 'file', 'x')).toThrow('a fault of snap');
});

describe('Whole files of a directory', () => {
  const content = Buffer.from('some content');
  const filesOf = (parent: TargetHandle, count: number): WholeFile[] =>
    Array.from({ length: count }, (_, i) => ({ parent, entry: fileEntry(`file ${i}`, 4), start: i % 8, length: 4 }));

  async function writeWith(fail: Parameters<typeof failingFileSystem>[0], count = 40): Promise<{ path: string; codes: (string | undefined)[] }> {
    const path = freshPath();
    const { target } = await begin(path, {}, { fileSystem: { ...failingFileSystem(fail), syncFileSystem: () => undefined } });
    const parent = handleOf(target.directory(ROOT_DIRECTORY, directoryEntry('directory')));
    target.writeFile(parent, fileEntry('first', 1), [utf8('x')]);
    const codes = (await target.writeFiles(filesOf(parent, count), content)).map(codeOf);
    expect(await finish(target)).toEqual([]);
    return { path: join(path, 'directory'), codes };
  }

  const expectWritten = (path: string, count: number): void => {
    for (let i = 0; i < count; i++) expect(readFileSync(join(path, `file ${i}`), 'utf8')).toBe(content.toString().slice(i % 8, i % 8 + 4));
  };

  test('are written beside in one call when there are some, else here', async () => {
    for (const [count, expected] of [[40, ['openFileAt', 'writeNewFiles']], [3, ['openFileAt', 'openFileAt', 'openFileAt', 'openFileAt']]] as const) {
      const calls: string[] = [];
      const { path, codes } = await writeWith(call => { calls.push(call); }, count);
      expect(codes).toEqual(new Array(count).fill(undefined));
      expectWritten(path, count);
      expect(calls.filter(call => ['writeNewFiles', 'openFileAt'].includes(call))).toEqual(expected);
    }
  });

  test('are written here when they cannot be written beside', async () => {
    const { path, codes } = await writeWith(call => { if (call === 'writeNewFiles') throw nativeError('EMFILE', 24); });
    expect(codes.every(code => code === undefined)).toBe(true);
    expectWritten(path, 40);
  });

  test('are each told what is wrong with them', async () => {
    const taken: string[] = [];
    const { path, codes } = await writeWith((call, args) => {
      if (call !== 'writeNewFiles' || taken.length > 0) return;
      for (const i of [3, 17]) taken.push(`file ${i}`);
      const made = nativeFileSystem();
      for (const name of taken) made.close(made.openFileAt(args[0] as number, utf8(name), { write: true, create: true, exclusive: true }));
    });
    expect(codes.flatMap((code, i) => (code === undefined ? [] : [`${i} ${code}`]))).toEqual(['3 TARGET_OCCUPIED', '17 TARGET_OCCUPIED']);
    expect(readFileSync(join(path, 'file 3'), 'utf8')).toBe('');
    expect(readFileSync(join(path, 'file 39'), 'utf8')).toHaveLength(4);
  });
});
