import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compareBytes, concatBytes, fromHex, utf8, viewOf, type Bytes } from '../../src/base/bytes.ts';
import { nativeFileSystem, READ_CHANGED, READ_TOO_LARGE, STAT_RECORD_BYTES, type NativeError } from '../../src/base/native-filesystem.ts';
import { releaseMemory, returnFreeMemory } from '../../src/base/release-memory.ts';
import { StatRecords, TYPE_DIRECTORY, TYPE_FIFO, TYPE_FILE, TYPE_SOCKET, TYPE_SYMLINK, unpackNames } from '../../src/base/stat-record.ts';
import { removeTree } from '../support/oddities.ts';

const native = nativeFileSystem();
const isRoot = process.getuid?.() === 0;
const ADDON = fileURLToPath(new URL('../../native/build/filesystem.node', import.meta.url));
const { EEXIST } = constants.errno;
/** No process has so many files open. */
const NO_DESCRIPTOR = 1_000_000;

let root: string;
let rootFd: number;

beforeAll(() => {
  root = fs.mkdtempSync(join(tmpdir(), 'snap-native-'));
  rootFd = native.openDirectory(utf8(root), false);
});

afterAll(async () => {
  native.close(rootFd);
  await removeTree(root);
});

function pack(...names: (string | Bytes)[]): Bytes {
  return concatBytes(names.flatMap(name => [typeof name === 'string' ? utf8(name) : name, Uint8Array.of(0)]));
}

function isGlibc(): boolean {
  const { header } = process.report.getReport() as { readonly header: { readonly glibcVersionRuntime?: string } };
  return header.glibcVersionRuntime !== undefined;
}

function latin1(bytes: Bytes): string {
  return Buffer.from(bytes).toString('latin1');
}

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return (error as NativeError).code;
  }
  return 'nothing was thrown';
}

/** A directory of its own for one test, open. */
async function withDirectory(name: string, use: (fd: number, path: string) => void | Promise<void>): Promise<void> {
  const path = join(root, name);
  fs.mkdirSync(path);
  const fd = native.openDirectory(utf8(path), false);
  try {
    await use(fd, path);
  } finally {
    native.close(fd);
  }
}

function decodeXattrs(packed: Bytes): { errno: number; attributes: Record<string, string> }[] {
  const view = viewOf(packed);
  const answers: { errno: number; attributes: Record<string, string> }[] = [];
  let at = 0;
  const u32 = (): number => view.getUint32((at += 4) - 4, true);
  const text = (): string => {
    const length = u32();
    return latin1(packed.subarray(at, (at += length)));
  };
  while (at < packed.length) {
    const errno = u32();
    const attributes: Record<string, string> = {};
    for (let count = u32(); count > 0; count--) attributes[text()] = text();
    answers.push({ errno, attributes });
  }
  return answers;
}

describe('arguments', () => {
  const functions = Object.entries(native) as [string, (...values: unknown[]) => unknown][];

  test('any values for any function end in an exception or a result, never in a crash', () => {
    const descriptor = fc.constantFrom<unknown>(NO_DESCRIPTOR, -1, 1.5, Number.NaN, Infinity, 2 ** 31, '3', null, undefined);
    const value = fc.oneof(
      descriptor, fc.anything({ withBigInt: true, withTypedArray: true, withDate: true }), fc.uint8Array({ maxLength: 40 }), fc.float64Array({ maxLength: 8 }),
      fc.constantFrom<unknown>({}, { write: 1 }, new Uint8Array(0), utf8('..'), utf8('a/b'), utf8('.'), new Uint8Array(5000), new DataView(new ArrayBuffer(8))),
    );
    fc.assert(fc.property(fc.constantFrom(...functions), fc.array(value, { maxLength: 8 }), ([name, call], values) => {
      // Numbers that are valid descriptors would reach files of this very process.
      const harmless = values.map(each => (typeof each === 'number' && each >= 0 && each < NO_DESCRIPTOR ? NO_DESCRIPTOR : each));
      try {
        call(...harmless);
      } catch (error) {
        expect(error, name).toBeInstanceOf(Error);
        const { code } = error as NativeError;
        expect(code, name).toMatch(/^E[A-Z0-9_]+$/);
      }
    }), { numRuns: 3000 });
  });

  test('a wrong type is a TypeError and a value out of bounds a RangeError', () => {
    const loose = native as unknown as Record<string, (...values: unknown[]) => unknown>;
    expect(() => loose.names!('3')).toThrow(TypeError);
    expect(() => loose.names!()).toThrow(TypeError);
    expect(() => loose.names!(1.5)).toThrow(RangeError);
    expect(() => loose.openDirectory!('text', true)).toThrow(TypeError);
    expect(() => loose.openDirectory!(new Uint16Array(3), true)).toThrow(TypeError);
    expect(() => loose.openDirectory!(utf8('/'), 1)).toThrow(TypeError);
    expect(() => native.openDirectory(new Uint8Array(0), true)).toThrow(RangeError);
    expect(() => native.openDirectory(utf8('/\0tmp'), true)).toThrow(RangeError);
    expect(() => native.stats(rootFd, utf8('no NUL at the end'))).toThrow(RangeError);
    expect(() => native.read(rootFd, new Uint8Array(4), 2, 3, 0)).toThrow(RangeError);
    expect(() => native.read(rootFd, new Uint8Array(4), 0, 4, 2 ** 53)).toThrow(RangeError);
    expect(() => native.write(rootFd, new Uint8Array(4), 5, 0, 0)).toThrow(RangeError);
    expect(() => native.setTimesAt(rootFd, utf8('a'), 0, 1_000_000_000)).toThrow(RangeError);
    expect(() => native.makeNodeAt(rootFd, utf8('a'), TYPE_FILE | 0o600, 0, 0)).toThrow(RangeError);
    expect(() => native.openFileAt(rootFd, utf8('a'), { create: true })).toThrow(RangeError);
  });

  test.each(['.', '..', '', 'a/b', '/', 'a\0', 'x'.repeat(4096)])('%j is not a name', name => {
    expect(() => native.openDirectoryAt(rootFd, utf8(name))).toThrow(RangeError);
    expect(() => native.unlinkAt(rootFd, utf8(name), false)).toThrow(RangeError);
  });

  test('an exception of a getter among the flags passes through', () => {
    const flags = { get write(): boolean { throw new Error('from the getter'); } };
    expect(() => native.openFileAt(rootFd, utf8('a'), flags)).toThrow('from the getter');
  });
});

describe('errors', () => {
  test('a failing call throws code, errno, syscall and a readable message', () => {
    const error = (() => {
      try {
        return native.openDirectory(utf8(join(root, 'nowhere')), true);
      } catch (thrown) {
        return thrown as NativeError;
      }
    })();
    expect(error).toMatchObject({ code: 'ENOENT', errno: 2, syscall: 'openat', message: 'ENOENT: no such file or directory, openat' });
    expect(codeOf(() => native.names(NO_DESCRIPTOR))).toBe('EBADF');
    expect(codeOf(() => native.close(NO_DESCRIPTOR))).toBe('EBADF');
  });
});

describe('listing', () => {
  test('names come sorted by bytes, packed, without . and ..', () => withDirectory('names', (fd, path) => {
    const names = ['b', 'a', 'aa', 'a\n', '\u{1f600}', 'abcdefgh', 'abcdefghi', 'abcdefgha', '...'].map(name => Buffer.from(name));
    names.push(Buffer.from([0xff, 0x80]), Buffer.alloc(255, 0xfe), Buffer.from([1]));
    for (const name of names) fs.writeFileSync(Buffer.concat([Buffer.from(`${path}/`), name]), '');
    const packed = native.names(fd);
    expect(latin1(packed)).toBe(latin1(pack(...names.toSorted(compareBytes))));
    expect(native.names(fd), 'a second time').toEqual(packed);
  }));

  test('an empty directory has no names', () => withDirectory('no names', fd => {
    expect(native.names(fd)).toEqual(new Uint8Array(0));
    expect(native.stats(fd, new Uint8Array(0))).toEqual(new Uint8Array(0));
  }));

  test('thousands of names come complete', () => withDirectory('many names', (fd, path) => {
    const names = Array.from({ length: 2500 }, (_, i) => `a rather long entry ${(i * 7919) % 2500}`);
    for (const name of names) fs.writeFileSync(join(path, name), '');
    expect(latin1(native.names(fd))).toBe(latin1(pack(...names.toSorted())));
  }));

  test('stats holds what lstat says, and an errno for an entry that is not there', () => withDirectory('stats', (fd, path) => {
    fs.writeFileSync(join(path, 'file'), 'twelve bytes', { mode: 0o640 });
    fs.linkSync(join(path, 'file'), join(path, 'link'));
    fs.mkdirSync(join(path, 'directory'));
    fs.symlinkSync('nowhere', join(path, 'symlink'));
    const names = ['file', 'gone', 'link', 'directory', 'symlink'];
    const records = new StatRecords(native.stats(fd, pack(...names)));
    expect(records.count).toBe(5);
    for (const [i, name] of names.entries()) {
      if (name === 'gone') {
        expect(records.errno(i)).toBe(2);
        expect(records.at(i).subarray(4).every(byte => byte === 0)).toBe(true);
        continue;
      }
      const about = fs.lstatSync(join(path, name), { bigint: true });
      const [mtime, ctime] = [records.mtime(i), records.ctime(i)];
      expect([0n, records.mode(i), records.uid(i), records.gid(i), records.size(i), records.linkCount(i), records.inode(i)].map(BigInt))
        .toEqual([0n, about.mode, about.uid, about.gid, about.size, about.nlink, about.ino]);
      expect(BigInt(mtime[0]) * 1_000_000_000n + BigInt(mtime[1])).toBe(about.mtimeNs);
      expect(BigInt(ctime[0]) * 1_000_000_000n + BigInt(ctime[1])).toBe(about.ctimeNs);
      expect(BigInt(records.allocatedBytes(i))).toBe(about.blocks * 512n);
      expect(viewOf(records.deviceBytes(i)).getBigUint64(0, true)).toBe(about.dev);
    }
  }));

  test('a descriptor and a path have the same record; only `follow` follows', () => withDirectory('stat forms', (fd, path) => {
    fs.writeFileSync(join(path, 'file'), 'content');
    fs.symlinkSync('file', join(path, 'link'));
    const [record] = [native.stats(fd, pack('file'))];
    expect(native.statPath(utf8(join(path, 'file')), false)).toEqual(record);
    expect(native.statPath(utf8(join(path, 'link')), true)).toEqual(record);
    expect(new StatRecords(native.statPath(utf8(join(path, 'link')), false)).type(0)).toBe(TYPE_SYMLINK);
    const file = native.openFileAt(fd, utf8('file'), {});
    expect(native.statDescriptor(file)).toEqual(record);
    native.close(file);
  }));

  test('a symlink is read with any target', () => withDirectory('readlink', (fd, path) => {
    for (const [i, target] of [Buffer.from('x'), Buffer.from([0xff, 0x0a]), Buffer.alloc(4095, 'y')].entries()) {
      fs.symlinkSync(target, join(path, String(i)));
      expect(latin1(native.readLinkAt(fd, utf8(String(i))))).toBe(latin1(target));
    }
    fs.writeFileSync(join(path, 'file'), '');
    expect(codeOf(() => native.readLinkAt(fd, utf8('file')))).toBe('EINVAL');
  }));
});

describe('opening', () => {
  test('nothing in the last component is followed unless asked', () => withDirectory('follow', (fd, path) => {
    fs.mkdirSync(join(path, 'directory'));
    fs.writeFileSync(join(path, 'file'), '');
    fs.symlinkSync('directory', join(path, 'to directory'));
    fs.symlinkSync('file', join(path, 'to file'));
    expect(codeOf(() => native.openDirectory(utf8(join(path, 'to directory')), false))).toMatch(/ELOOP|ENOTDIR/);
    expect(codeOf(() => native.openDirectoryAt(fd, utf8('to directory')))).toMatch(/ELOOP|ENOTDIR/);
    expect(codeOf(() => native.openFileAt(fd, utf8('to file'), {}))).toBe('ELOOP');
    expect(codeOf(() => native.openFileAt(fd, utf8('to file'), { write: true }))).toBe('ELOOP');
    native.close(native.openDirectory(utf8(join(path, 'to directory')), true));
    expect(codeOf(() => native.openDirectoryAt(fd, utf8('file')))).toBe('ENOTDIR');
  }));

  test('a fifo does not block', () => withDirectory('fifo', fd => {
    native.makeNodeAt(fd, utf8('fifo'), TYPE_FIFO | 0o600, 0, 0);
    native.close(native.openFileAt(fd, utf8('fifo'), {}));
    expect(codeOf(() => native.openFileAt(fd, utf8('fifo'), { write: true }))).toBe('ENXIO');
  }));

  test('flags create, refuse what exists, and truncate', () => withDirectory('flags', (fd, path) => {
    const create = { write: true, create: true, exclusive: true, mode: 0o600 };
    const file = native.openFileAt(fd, utf8('new'), create);
    expect(native.write(file, utf8('..content..'), 2, 7, 3)).toBe(7);
    native.close(file);
    expect(fs.readFileSync(join(path, 'new'), 'latin1')).toBe('\0\0\0content');
    expect(fs.statSync(join(path, 'new')).mode & 0o7777).toBe(0o600);
    expect(codeOf(() => native.openFileAt(fd, utf8('new'), create))).toBe('EEXIST');
    native.close(native.openFileAt(fd, utf8('new'), { write: true, truncate: true }));
    expect(fs.statSync(join(path, 'new')).size).toBe(0);
  }));

  test('paths longer than PATH_MAX are opened and examined', () => withDirectory('long', (fd, path) => {
    const name = utf8('n'.repeat(250));
    let directory = fd;
    for (let i = 0; i < 40; i++) {
      native.makeDirectoryAt(directory, name, 0o755);
      const inner = native.openDirectoryAt(directory, name);
      if (directory !== fd) native.close(directory);
      directory = inner;
    }
    const file = native.openFileAt(directory, utf8('file'), { write: true, create: true });
    native.write(file, utf8('deep'), 0, 4, 0);
    native.close(file);
    native.makeSymlinkAt(utf8('.'), directory, utf8('link'));
    const deepest = utf8(path + `/${'n'.repeat(250)}`.repeat(40));
    expect(deepest.length).toBeGreaterThan(10_000);
    const again = native.openDirectory(deepest, false);
    expect(native.statDescriptor(again)).toEqual(native.statDescriptor(directory));
    expect(latin1(native.names(again))).toBe('file\0link\0');
    const below = (text: string): Bytes => concatBytes([deepest, utf8(text)]);
    expect(new StatRecords(native.statPath(below('/file'), false)).size(0)).toBe(4);
    expect(new StatRecords(native.statPath(below('/////file'), false)).size(0)).toBe(4);
    expect(new StatRecords(native.statPath(below('/'), false)).type(0)).toBe(TYPE_DIRECTORY);
    expect(new StatRecords(native.statPath(below('/'.repeat(9000)), false)).type(0)).toBe(TYPE_DIRECTORY);
    expect(codeOf(() => native.openDirectory(below('/link'), false))).toMatch(/ELOOP|ENOTDIR/);
    native.close(native.openDirectory(below('/link'), true));
    expect(codeOf(() => native.statPath(below('/nowhere'), false))).toBe('ENOENT');
    expect(codeOf(() => native.statPath(utf8('/' + 'x'.repeat(5000)), false))).toBe('ENAMETOOLONG');
    native.close(again);
    native.close(directory);
  }));

  test.runIf(isRoot)('without the right to list it, a directory still serves for calls relative to it', () => {
    // As another user, in a process of its own.
    const place = fs.mkdtempSync('/tmp/snap-search-');
    try {
      fs.copyFileSync(ADDON, join(place, 'addon.node'));
      fs.mkdirSync(join(place, 'closed'));
      fs.writeFileSync(join(place, 'closed', 'file'), 'content');
      fs.chmodSync(join(place, 'closed'), 0o711);
      fs.chmodSync(place, 0o755);
      fs.chmodSync(join(place, 'addon.node'), 0o755);
      const script = `
        const native = require(process.argv[1] + '/addon.node');
        const fd = native.openDirectory(Buffer.from(process.argv[1] + '/closed'), false);
        let code = 'listed';
        try { native.names(fd) } catch (error) { code = error.code }
        const packed = Buffer.from('file\\0');
        // Not the owner: O_NOATIME is refused and has to be given up.
        native.close(native.openFileAt(native.openDirectory(Buffer.from(process.argv[1]), false), Buffer.from('addon.node'), {}));
        console.log(JSON.stringify([process.getuid(), code, native.stats(fd, packed)[16], native.xattrs(fd, packed).length]));`;
      const output = execFileSync(process.execPath, ['-e', `process.setgid(65534); process.setuid(65534); ${script}`, place], { encoding: 'utf8' });
      expect(JSON.parse(output)).toEqual([65534, 'EACCES', 7, 8]);
    } finally {
      fs.rmSync(place, { recursive: true });
    }
  });
});

describe('reading', () => {
  test('read fills the range and is short at the end of the file only', () => withDirectory('read', (fd, path) => {
    fs.writeFileSync(join(path, 'file'), 'abcdefgh');
    const file = native.openFileAt(fd, utf8('file'), {});
    const target = utf8('----------');
    expect(native.read(file, target, 1, 4, 2)).toBe(4);
    expect(latin1(target)).toBe('-cdef-----');
    expect(native.read(file, target, 6, 4, 6)).toBe(2);
    expect(native.read(file, target, 0, 10, 8)).toBe(0);
    expect(latin1(target)).toBe('-cdef-gh--');
    native.close(file);
  }));

  test('nextData finds data and holes', () => withDirectory('holes', (fd, path) => {
    const size = 4 * 1024 * 1024;
    fs.writeFileSync(join(path, 'sparse'), '');
    fs.truncateSync(join(path, 'sparse'), size);
    const writer = fs.openSync(join(path, 'sparse'), 'r+');
    fs.writeSync(writer, Buffer.alloc(65536, 1), 0, 65536, 1024 * 1024);
    fs.closeSync(writer);
    fs.writeFileSync(join(path, 'full'), 'data');
    const sparse = native.openFileAt(fd, utf8('sparse'), {});
    const [data, hole] = native.nextData(sparse, 0);
    expect(data).toBeLessThanOrEqual(1024 * 1024);
    expect(hole).toBeGreaterThanOrEqual(1024 * 1024 + 65536);
    expect(hole - data, 'most of the file is a hole').toBeLessThan(1024 * 1024);
    expect(native.nextData(sparse, hole)).toEqual([size, size]);
    expect(native.nextData(sparse, size)).toEqual([size, size]);
    expect(native.nextData(sparse, size + 5)).toEqual([size, size]);
    native.close(sparse);
    const full = native.openFileAt(fd, utf8('full'), {});
    expect(native.nextData(full, 0)).toEqual([0, 4]);
    expect(native.nextData(full, 3)).toEqual([3, 4]);
    native.close(full);
  }));

  describe('readFiles', () => {
    function readAll(fd: number, names: Bytes, expected: Bytes, target: Bytes, start = 0, first = 0): { handled: number; results: Float64Array } {
      const results = new Float64Array((expected.length / STAT_RECORD_BYTES) * 4).fill(-1);
      return { handled: native.readFiles(fd, names, expected, first, target, start, results), results };
    }

    test('puts whole files one after the other', () => withDirectory('read all', (fd, path) => {
      fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 12 }), fc.nat(9), (contents, start) => {
        contents.forEach((content, i) => fs.writeFileSync(join(path, `f${i}`), content));
        const names = pack(...contents.map((_, i) => `f${i}`));
        const target = new Uint8Array(5000).fill(7);
        const { handled, results } = readAll(fd, names, native.stats(fd, names), target, start);
        const all = concatBytes(contents);
        expect(handled).toBe(contents.length);
        expect(target.subarray(start, start + all.length)).toEqual(all);
        expect(target.subarray(start + all.length).every(byte => byte === 7), 'nothing behind is touched').toBe(true);
        let position = start;
        for (const [i, content] of contents.entries()) {
          expect([...results.subarray(4 * i, 4 * i + 4)]).toEqual([0, content.length, 0, position]);
          position += content.length;
        }
      }), { numRuns: 40 });
    }));

    test('stops when the next file does not fit any more and goes on from there', () => withDirectory('read full', (fd, path) => {
      for (const name of ['a', 'b', 'c']) fs.writeFileSync(join(path, name), name.repeat(6));
      const names = pack('a', 'b', 'c');
      const stats = native.stats(fd, names);
      const target = new Uint8Array(12);
      const one = readAll(fd, names, stats, target.subarray(0, 11));
      expect(one.handled).toBe(1);
      expect([...one.results.subarray(4)].every(value => value === -1)).toBe(true);
      expect(readAll(fd, names, stats, target).handled, 'two fit exactly').toBe(2);
      expect(latin1(target)).toBe('aaaaaabbbbbb');
      const rest = readAll(fd, names, stats, target, 0, 2);
      expect(rest.handled).toBe(1);
      expect([...rest.results.subarray(8)]).toEqual([0, 6, 0, 0]);
      expect(latin1(target)).toBe('ccccccbbbbbb');
      expect(readAll(fd, names, stats, target, 0, 3).handled).toBe(0);
    }));

    test('marks a file that fits into no target of this size and goes on', () => withDirectory('read large', (fd, path) => {
      for (const [name, size] of [['a', 3], ['b', 50], ['c', 3]] as const) fs.writeFileSync(join(path, name), name.repeat(size));
      const names = pack('a', 'b', 'c');
      const target = new Uint8Array(20);
      const { handled, results } = readAll(fd, names, native.stats(fd, names), target, 10);
      expect(handled).toBe(3);
      expect([...results]).toEqual([0, 3, 0, 10, 0, 0, READ_TOO_LARGE, 13, 0, 3, 0, 13]);
      expect(latin1(target.subarray(10, 16))).toBe('aaaccc');
    }));

    test('says that a file has changed since it was examined, and reads what is there now', () => withDirectory('read changed', (fd, path) => {
      for (const name of ['grown', 'shrunk', 'rewritten', 'replaced', 'same']) fs.writeFileSync(join(path, name), 'content');
      const names = pack('grown', 'replaced', 'rewritten', 'same', 'shrunk');
      const stats = native.stats(fd, names);
      fs.appendFileSync(join(path, 'grown'), ' and more');
      fs.truncateSync(join(path, 'shrunk'), 3);
      fs.writeFileSync(join(path, 'new'), 'CONTENT');
      fs.renameSync(join(path, 'new'), join(path, 'replaced'));
      fs.utimesSync(join(path, 'rewritten'), 1, 1);
      const target = new Uint8Array(100);
      const { results } = readAll(fd, names, stats, target);
      expect(latin1(target).replace(/\0+$/, '')).toBe('content and moreCONTENTcontentcontentcon');
      expect([2, 6, 10, 14, 18].map(i => results[i])).toEqual([READ_CHANGED, READ_CHANGED, READ_CHANGED, 0, READ_CHANGED]);
    }));

    test('gives an errno for what vanished and ESTALE for what is no regular file', () => withDirectory('read others', (fd, path) => {
      fs.writeFileSync(join(path, 'file'), 'content');
      fs.mkdirSync(join(path, 'directory'));
      fs.symlinkSync('file', join(path, 'link'));
      native.makeNodeAt(fd, utf8('fifo'), TYPE_FIFO | 0o600, 0, 0);
      native.makeNodeAt(fd, utf8('socket'), TYPE_SOCKET | 0o600, 0, 0);
      const names = pack('directory', 'fifo', 'gone', 'link', 'socket', 'file');
      const { handled, results } = readAll(fd, names, new Uint8Array(6 * STAT_RECORD_BYTES), new Uint8Array(100));
      expect(handled).toBe(6);
      expect([0, 4, 8, 12, 16, 20].map(i => results[i])).toEqual([116, 116, 2, 116, 116, 0]);
      expect([...results.subarray(20)]).toEqual([0, 7, READ_CHANGED, 0]);
    }));

    test('reads files whose size is not known beforehand to their end', () => {
      const proc = native.openDirectory(utf8('/proc/self'), true);
      const names = pack('limits');
      const target = new Uint8Array(100_000);
      const { results } = readAll(proc, names, native.stats(proc, names), target);
      expect(results[0]).toBe(0);
      expect(latin1(target.subarray(0, results[1]))).toMatch(/^Limit .*Max realtime timeout[^\n]*\n$/s);
      expect(results[2]).toBe(READ_CHANGED);
      native.close(proc);
    });

    test('refuses records and results that do not fit the names', () => {
      const names = pack('a', 'b');
      expect(() => native.readFiles(rootFd, names, new Uint8Array(STAT_RECORD_BYTES), 0, new Uint8Array(9), 0, new Float64Array(8))).toThrow(RangeError);
      expect(() => native.readFiles(rootFd, names, new Uint8Array(2 * STAT_RECORD_BYTES), 0, new Uint8Array(9), 0, new Float64Array(7))).toThrow(RangeError);
      expect(() => native.readFiles(rootFd, names, new Uint8Array(2 * STAT_RECORD_BYTES), 3, new Uint8Array(9), 0, new Float64Array(8))).toThrow(RangeError);
      expect(() => native.readFiles(rootFd, names, new Uint8Array(2 * STAT_RECORD_BYTES), 0, new Uint8Array(9), 10, new Float64Array(8))).toThrow(RangeError);
    });
  });
});

describe('extended attributes', () => {
  test('are written, read sorted by name, and removed', () => withDirectory('xattrs', (fd, path) => {
    fs.writeFileSync(join(path, 'file'), '');
    fs.writeFileSync(join(path, 'plain'), '');
    fs.mkdirSync(join(path, 'directory'));
    const binary = Uint8Array.from({ length: 256 }, (_, i) => i);
    native.setXattrAt(fd, utf8('file'), utf8('user.b'), binary);
    native.setXattrAt(fd, utf8('file'), utf8('user.a'), new Uint8Array(0));
    native.setXattrAt(fd, utf8('directory'), utf8('user.directory'), utf8('value'));
    const answers = decodeXattrs(native.xattrs(fd, pack('directory', 'file', 'gone', 'plain')));
    expect(answers).toEqual([
      { errno: 0, attributes: { 'user.directory': 'value' } },
      { errno: 0, attributes: { 'user.a': '', 'user.b': latin1(binary) } },
      { errno: 2, attributes: {} },
      { errno: 0, attributes: {} },
    ]);
    expect(Object.keys(answers[1]!.attributes)).toEqual(['user.a', 'user.b']);
    const file = native.openFileAt(fd, utf8('file'), { write: true });
    native.setXattr(file, utf8('user.c'), utf8('through the descriptor'));
    expect(decodeXattrs(native.xattrsOfDescriptor(file))[0]!.attributes).toMatchObject({ 'user.c': 'through the descriptor' });
    native.close(file);
    native.removeXattrAt(fd, utf8('file'), utf8('user.b'));
    expect(codeOf(() => native.removeXattrAt(fd, utf8('file'), utf8('user.b')))).toBe('ENODATA');
    expect(Object.keys(decodeXattrs(native.xattrs(fd, pack('file')))[0]!.attributes)).toEqual(['user.a', 'user.c']);
    expect(codeOf(() => native.setXattrAt(fd, utf8('file'), utf8('nonsense'), utf8('x')))).toBe('ENOTSUP');
  }));

  test('lists and values larger than the first buffer come complete', () => {
    // Only tmpfs takes this much; its attributes of users exist since Linux 6.6.
    const place = fs.mkdtempSync('/dev/shm/snap-xattrs-');
    const fd = native.openDirectory(utf8(place), false);
    try {
      fs.writeFileSync(join(place, 'file'), '');
      const kind = isRoot ? 'trusted' : 'user';
      const expected: Record<string, string> = {};
      for (let i = 0; i < 100; i++) expected[`${kind}.${'n'.repeat(100)}${String(i).padStart(3, '0')}`] = `value ${i}`;
      expected[`${kind}.z`] = 'v'.repeat(65_536);
      try {
        for (const [name, value] of Object.entries(expected)) native.setXattrAt(fd, utf8('file'), utf8(name), utf8(value));
      } catch (error) {
        expect(['ENOTSUP', 'ENOSPC']).toContain((error as NativeError).code);
        return;
      }
      expect(decodeXattrs(native.xattrs(fd, pack('file')))).toEqual([{ errno: 0, attributes: expected }]);
    } finally {
      native.close(fd);
      fs.rmSync(place, { recursive: true });
    }
  });

  test.runIf(isRoot)('of a symlink are its own, not those of its target', () => withDirectory('link xattrs', (fd, path) => {
    fs.writeFileSync(join(path, 'file'), '');
    fs.symlinkSync('file', join(path, 'link'));
    native.setXattrAt(fd, utf8('link'), utf8('trusted.link'), utf8('link'));
    native.setXattrAt(fd, utf8('file'), utf8('trusted.file'), utf8('file'));
    const answers = decodeXattrs(native.xattrs(fd, pack('file', 'link'))).map(answer => answer.attributes);
    expect(answers).toEqual([{ 'trusted.file': 'file' }, { 'trusted.link': 'link' }]);
  }));

  test('include POSIX ACLs', () => withDirectory('acl', (fd, path) => {
    fs.writeFileSync(join(path, 'file'), '');
    const acl = fromHex('02000000' + '01000600ffffffff' + '0200070001000000' + '04000400ffffffff' + '10000700ffffffff' + '20000400ffffffff');
    native.setXattrAt(fd, utf8('file'), utf8('system.posix_acl_access'), acl);
    const [answer] = decodeXattrs(native.xattrs(fd, pack('file')));
    expect(answer!.attributes).toEqual({ 'system.posix_acl_access': latin1(acl) });
  }));
});

describe('users and groups', () => {
  test('have names and numbers, or are absent', () => {
    expect(native.userName(0)).toBe('root');
    expect(native.userId('root')).toBe(0);
    expect(native.groupId(native.groupName(0)!)).toBe(0);
    expect(native.userName(3_999_999_999)).toBeUndefined();
    expect(native.groupName(3_999_999_999)).toBeUndefined();
    expect(native.userId('nobody of this name')).toBeUndefined();
    expect(native.groupId('')).toBeUndefined();
  });
});

describe('writing', () => {
  test('makes, renames, links and removes entries', () => withDirectory('entries', (fd, path) => {
    native.makeDirectoryAt(fd, utf8('directory'), 0o700);
    native.makeSymlinkAt(utf8('nowhere'), fd, utf8('symlink'));
    native.makeLinkAt(fd, utf8('symlink'), fd, utf8('same symlink'));
    native.makeNodeAt(fd, utf8('fifo'), TYPE_FIFO | 0o600, 0, 0);
    native.makeNodeAt(fd, utf8('socket'), TYPE_SOCKET | 0o600, 0, 0);
    native.renameAt(fd, utf8('fifo'), fd, utf8('renamed'));
    expect(fs.readdirSync(path)).toEqual(['directory', 'renamed', 'same symlink', 'socket', 'symlink']);
    expect(fs.lstatSync(join(path, 'same symlink')).ino).toBe(fs.lstatSync(join(path, 'symlink')).ino);
    expect(codeOf(() => native.unlinkAt(fd, utf8('directory'), false))).toMatch(/EISDIR|EPERM/);
    expect(codeOf(() => native.unlinkAt(fd, utf8('symlink'), true))).toBe('ENOTDIR');
    native.unlinkAt(fd, utf8('directory'), true);
    for (const name of unpackNames(native.names(fd), 4)) native.unlinkAt(fd, name, false);
    expect(fs.readdirSync(path)).toEqual([]);
  }));

  test.runIf(isRoot)('makes device nodes with large numbers', () => withDirectory('devices', fd => {
    native.makeNodeAt(fd, utf8('character'), 0o020644, 511, 1_048_575);
    native.makeNodeAt(fd, utf8('block'), 0o060600, 7, 99);
    const records = new StatRecords(native.stats(fd, pack('block', 'character')));
    expect([records.mode(0), records.deviceMajor(0), records.deviceMinor(0)]).toEqual([0o060600, 7, 99]);
    expect([records.mode(1), records.deviceMajor(1), records.deviceMinor(1)]).toEqual([0o020644, 511, 1_048_575]);
  }));

  test('writes new files on another thread, with mode and time, and says what became of each', () => withDirectory('new files', async (fd, path) => {
    fs.writeFileSync(join(path, 'taken'), 'mine');
    fs.symlinkSync('nowhere', join(path, 'link'));
    const content = Buffer.from('0123456789');
    const files = [['first', 0, 3, 0o640, 1_600_000_000, 5], ['taken', 0, 1, 0o644, 0, 0], ['empty', 10, 0, 0o4755, -1, 999_999_999], ['link', 0, 1, 0o644, 0, 0], ['last', 9, 1, 0o400, 2 ** 33, 0]] as const;
    const errnos = await native.writeNewFiles(fd, pack(...files.map(([name]) => name)), content, Float64Array.from(files.flatMap(([, ...fields]) => fields)));
    expect([...errnos]).toEqual([0, EEXIST, 0, EEXIST, 0]);
    expect(fs.readdirSync(path).sort()).toEqual(['empty', 'first', 'last', 'link', 'taken']);
    expect(['first', 'taken', 'empty', 'last'].map(name => fs.readFileSync(join(path, name), 'utf8'))).toEqual(['012', 'mine', '', '9']);
    for (const [name, , , mode, seconds, nanoseconds] of files.filter((_, i) => errnos[i] === 0)) {
      const stat = fs.statSync(join(path, name), { bigint: true });
      expect([Number(stat.mode) & 0o7777, stat.mtimeNs]).toEqual([mode, BigInt(seconds) * 10n ** 9n + BigInt(nanoseconds)]);
    }
  }));

  test('goes on with new files when their directory is closed meanwhile', () => withDirectory('closed', async (_, path) => {
    const fd = native.openDirectory(utf8(path), false);
    const names = Array.from({ length: 200 }, (_unused, i) => `file ${i}`);
    const writing = native.writeNewFiles(fd, pack(...names), Buffer.alloc(1000, 'x'), Float64Array.from(names.flatMap(() => [0, 1000, 0o644, 0, 0])));
    native.close(fd);
    expect((await writing).every(errno => errno === 0)).toBe(true);
    expect(fs.readdirSync(path)).toHaveLength(200);
  }));

  test('refuses new files whose fields are wrong, and makes none of them', () => withDirectory('wrong', (fd, path) => {
    const write = (fields: number[], names = pack('good', 'file')): unknown => native.writeNewFiles(fd, names, Buffer.alloc(10), Float64Array.from([0, 1, 0o644, 0, 0, ...fields]));
    for (const fields of [[11, 0, 0o644, 0, 0], [5, 6, 0o644, 0, 0], [-1, 1, 0o644, 0, 0], [0, 1, 0o10000, 0, 0], [0, 1, 0o644, 0.5, 0], [0, 1, 0o644, 0, 10 ** 9], [0, Number.NaN, 0, 0, 0]]) {
      expect(() => write(fields)).toThrow(RangeError);
    }
    expect(() => write([0, 1])).toThrow(RangeError);
    for (const name of ['a/b', '..', '']) expect(() => write([0, 1, 0o644, 0, 0], pack('good', name))).toThrow(RangeError);
    expect(fs.readdirSync(path)).toEqual([]);
  }));

  test('times reach back before 1970 and beyond 2106, to the nanosecond, also of symlinks', () => withDirectory('times', (fd, path) => {
    fs.writeFileSync(join(path, 'file'), '');
    fs.symlinkSync('file', join(path, 'link'));
    for (const [seconds, nanoseconds] of [[-1, 999_999_999], [-2_147_483_648, 0], [4_294_967_296, 1], [10_000_000_000, 123_456_789]] as const) {
      native.setTimesAt(fd, utf8('link'), seconds, nanoseconds);
      const file = native.openFileAt(fd, utf8('file'), { write: true });
      native.setTimes(file, seconds + 1, nanoseconds);
      native.close(file);
      const records = new StatRecords(native.stats(fd, pack('file', 'link')));
      expect([records.mtime(0), records.mtime(1)]).toEqual([[seconds + 1, nanoseconds], [seconds, nanoseconds]]);
    }
  }));

  test('modes are set with all bits, never through a symlink', () => withDirectory('modes', (fd, path) => {
    fs.writeFileSync(join(path, 'file'), '', { mode: 0o644 });
    fs.symlinkSync('file', join(path, 'link'));
    fs.mkdirSync(join(path, 'directory'));
    expect(codeOf(() => native.setModeAt(fd, utf8('link'), 0o777))).toBe('ENOTSUP');
    expect(fs.statSync(join(path, 'file')).mode & 0o7777).toBe(0o644);
    native.setModeAt(fd, utf8('file'), 0o4750);
    native.setModeAt(fd, utf8('directory'), 0o1777);
    expect([fs.statSync(join(path, 'file')).mode & 0o7777, fs.statSync(join(path, 'directory')).mode & 0o7777]).toEqual([0o4750, 0o1777]);
    const file = native.openFileAt(fd, utf8('file'), {});
    native.setMode(file, 0o600);
    native.close(file);
    expect(fs.statSync(join(path, 'file')).mode & 0o7777).toBe(0o600);
  }));

  test.runIf(isRoot)('owners are set, of symlinks too, and -1 leaves one alone', () => withDirectory('owners', (fd, path) => {
    fs.writeFileSync(join(path, 'file'), '');
    fs.symlinkSync('file', join(path, 'link'));
    native.setOwnerAt(fd, utf8('link'), 12, 34);
    native.setOwnerAt(fd, utf8('link'), -1, 35);
    const [link, file] = [fs.lstatSync(join(path, 'link')), fs.lstatSync(join(path, 'file'))];
    expect([link.uid, link.gid, file.uid, file.gid]).toEqual([12, 35, 0, 0]);
  }));

  test('truncate and allocate: only truncate changes the size', () => withDirectory('sizes', (fd, path) => {
    const file = native.openFileAt(fd, utf8('file'), { write: true, create: true });
    native.allocate(file, 1_000_000);
    native.allocate(file, 0);
    expect(fs.statSync(join(path, 'file')).size).toBe(0);
    native.truncate(file, 2 ** 40);
    expect(fs.statSync(join(path, 'file')).size).toBe(2 ** 40);
    native.sync(file);
    native.close(file);
    const [free, total] = native.freeSpace(fd);
    expect(free).toBeGreaterThan(0);
    expect(total).toBeGreaterThanOrEqual(free);
  }));
});

test.runIf(isGlibc())('free memory between blocks that are in use goes back to the system', () => {
  const blocks = Array.from({ length: 2000 }, () => new Uint8Array(Buffer.allocUnsafeSlow(64 * 1024).fill(1).buffer));
  releaseMemory(blocks.filter((_, i) => i % 8 !== 0));
  const before = process.memoryUsage.rss();
  returnFreeMemory();
  expect(process.memoryUsage.rss()).toBeLessThan(before - 50_000_000);
  expect(blocks[8]!.every(byte => byte === 1)).toBe(true);
});

test('the addon can be used in a worker thread', async () => {
  const worker = new Worker(`
    const { parentPort, workerData } = require('node:worker_threads');
    const native = require(workerData);
    const fd = native.openDirectory(Buffer.from('/'), false);
    parentPort.postMessage(native.names(fd).length);
    native.close(fd);`, { eval: true, workerData: ADDON });
  const length = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  await worker.terminate();
  expect(length).toBe(fs.readdirSync('/', 'buffer').reduce((sum, name) => sum + name.length + 1, 0));
});
