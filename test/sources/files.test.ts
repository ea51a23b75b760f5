import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compareBytes, concatBytes, toHex, utf8, type Bytes } from '../../src/base/bytes.ts';
import { nativeFileSystem, STAT_RECORD_BYTES, type NativeFileSystem } from '../../src/base/native-filesystem.ts';
import { StatRecords, TYPE_DIRECTORY, TYPE_FILE, TYPE_SYMLINK, unpackNames } from '../../src/base/stat-record.ts';
import { CACHE_DIRECTORY_MARKER, compileExcludes, parseMarker, type ExcludeRules } from '../../src/sources/exclude.ts';
import { openFileTree, type FileTreeOptions } from '../../src/sources/files.ts';
import { childPath } from '../../src/sources/raw-path.ts';
import type { DirectorySlice, EntryDetails, SourceProblem, SourceRoot, TreeSource } from '../../src/sources/source.ts';
import { describeTree, type TreeEntry } from '../support/describe-tree.ts';
import { makeOddities, removeTree } from '../support/oddities.ts';

const native = nativeFileSystem();
const isRoot = process.getuid?.() === 0;
const TYPES = new Map([
  [0o010000, 'fifo'], [0o020000, 'character device'], [0o040000, 'directory'], [0o060000, 'block device'], [0o100000, 'file'], [0o120000, 'symlink'],
  [0o140000, 'socket'],
]);

let base: string;
let odd: string;

beforeAll(async () => {
  base = fs.mkdtempSync(join(tmpdir(), 'snap-files-'));
  odd = join(base, 'odd');
  await makeOddities(odd, { largeDirectoryEntries: 5000 });
}, 120_000);

afterAll(() => removeTree(base));

const latin1 = (bytes: Bytes): string => Buffer.from(bytes).toString('latin1');

function open(paths: readonly (string | Bytes)[], options: Partial<FileTreeOptions> = {}, rules?: ExcludeRules): TreeSource {
  const raw = paths.map(path => (typeof path === 'string' ? utf8(path) : path));
  return openFileTree(raw, { cwd: utf8(base), excludes: rules === undefined ? undefined : compileExcludes(rules), ...options });
}

const patterns = (...texts: string[]): ExcludeRules => ({ patterns: texts.map(text => ({ text })) });

interface Walked {
  readonly roots: readonly SourceRoot[];
  readonly slices: readonly DirectorySlice[];
  /** Every entry below the roots: path as latin-1 text, in the order of delivery. */
  readonly entries: readonly { readonly path: string; readonly stat: StatRecords; readonly details: EntryDetails }[];
  readonly problems: readonly SourceProblem[];
}

/** Walks to the end and checks the order that the port promises. */
async function walk(source: TreeSource, onSlice: (slice: DirectorySlice) => void = () => undefined): Promise<Walked> {
  const roots = await source.open();
  const slices: DirectorySlice[] = [];
  const entries: Walked['entries'][number][] = [];
  const problems: SourceProblem[] = [];
  // What may come next: children that were announced, then the next slice of the directory that announced them.
  const stack: { directory: number; component: number; path: string; pending: { number: number; path: string }[]; last: Bytes | undefined; isDone: boolean }[] = [];
  const pendingRoots = roots.map((root, component) => ({ number: root.directory, path: latin1(root.path), component })).filter(root => root.number !== 0);
  const seen = new Set<number>();
  for (const slice of source.slices()) {
    let top = stack.at(-1);
    while (top !== undefined && top.isDone && top.pending.length === 0) {
      stack.pop();
      top = stack.at(-1);
    }
    const expected = top?.pending.shift() ?? (top === undefined ? pendingRoots.shift() : undefined);
    if (expected !== undefined) {
      expect([slice.directory, latin1(slice.path), slice.isFirst]).toEqual([expected.number, expected.path, true]);
      expect(seen.has(slice.directory)).toBe(false);
      seen.add(slice.directory);
      const component = 'component' in expected ? (expected.component as number) : top!.component;
      top = { directory: slice.directory, component, path: expected.path, pending: [], last: undefined, isDone: false };
      stack.push(top);
    }
    expect([slice.directory, slice.component, latin1(slice.path), slice.isFirst]).toEqual([top!.directory, top!.component, top!.path, expected !== undefined]);
    const names = unpackNames(slice.names, slice.count);
    expect([slice.stats.length, slice.children.length, concatBytes(names).length + slice.count])
      .toEqual([slice.count * STAT_RECORD_BYTES, slice.count, slice.names.length]);
    const indices = names.map((_, i) => i);
    const details = source.details(slice, indices, problem => problems.push(problem));
    const records = new StatRecords(slice.stats);
    for (const [i, name] of names.entries()) {
      if (top!.last !== undefined) expect(compareBytes(top!.last, name)).toBeLessThan(0);
      top!.last = name;
      const path = latin1(childPath(slice.path, name));
      expect(slice.children[i] !== 0).toBe(records.type(i) === TYPE_DIRECTORY);
      if (slice.children[i] !== 0) top!.pending.push({ number: slice.children[i]!, path });
      entries.push({ path, stat: new StatRecords(records.at(i)), details: details[i]! });
    }
    top!.isDone = slice.isLast;
    slices.push(slice);
    problems.push(...slice.problems);
    onSlice(slice);
  }
  expect(pendingRoots).toEqual([]);
  expect(stack.every(each => each.isDone && each.pending.length === 0)).toBe(true);
  await source.finish();
  return { roots, slices, entries, problems };
}

const pathsOf = ({ entries }: Walked, root: string): string[] => entries.map(entry => entry.path.slice(root.length + 1)).toSorted();
const sliceOf = ({ slices }: Walked, path: string): DirectorySlice => slices.find(slice => latin1(slice.path) === path)!;

/** A directory of its own for one test; `files` end with a slash when they are directories. */
function makeTree(name: string, ...files: string[]): string {
  const root = join(base, name);
  fs.mkdirSync(root);
  for (const file of files) {
    fs.mkdirSync(join(root, file.endsWith('/') ? file : join(file, '..')), { recursive: true });
    if (!file.endsWith('/')) fs.writeFileSync(join(root, file), file);
  }
  return root;
}

function openDescriptors(): number {
  return fs.readdirSync('/proc/self/fd').length;
}

/** A failing call, as the addon throws it. */
function failure(code: string, errno: number, syscall: string): Error {
  return Object.assign(new Error(`${code}: injected, ${syscall}`), { code, errno, syscall });
}

describe('walking', () => {
  test('delivers every entry of a tree of oddities with all its metadata', async () => {
    const expected = await describeTree(odd);
    const walked = await walk(open([odd]));
    const actual = new Map<string, Partial<TreeEntry>>(walked.entries.map(({ path, stat, details }) => {
      const type = TYPES.get(stat.type(0))!;
      const [seconds, nanoseconds] = stat.mtime(0);
      return [path.slice(odd.length + 1), {
        type: type as TreeEntry['type'], mode: stat.mode(0) & 0o7777, uid: stat.uid(0), gid: stat.gid(0), mtime: String(BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds)),
        xattrs: Object.fromEntries(details.xattrs.map(({ name, value }) => [latin1(name), toHex(value)])),
        ...(type === 'directory' ? {} : { size: stat.size(0), linkCount: stat.linkCount(0) }),
        ...(details.linkTarget === undefined ? {} : { target: latin1(details.linkTarget) }),
        ...(type.endsWith('device') ? { device: [stat.deviceMajor(0), stat.deviceMinor(0)] as const } : {}),
      }];
    }));
    expect(actual.size).toBe(expected.size - 1);
    for (const [path, entry] of expected) {
      if (path === '') continue;
      const { path: _, linkedTo: __, content: ___, allocated: ____, unlisted: _____, ...comparable } = entry;
      expect(actual.get(path), path.slice(-100)).toEqual(comparable);
    }
    if (isRoot) {
      expect(walked.problems).toEqual([]);
      expect(walked.slices.every(slice => slice.isWhole)).toBe(true);
    }
  });

  test('cuts a large directory into slices of at most 4,096 entries, and its subdirectories follow their slice', async () => {
    const large = (await walk(open([join(odd, 'large directory')]))).slices.filter(slice => latin1(slice.path).endsWith('large directory'));
    expect(large.map(slice => [slice.count, slice.isFirst, slice.isLast])).toEqual([[4096, true, false], [904, false, true]]);
  });

  test('delivers the same entries whatever the size of a slice', async () => {
    const place = join(odd, 'names');
    const whole = await walk(open([place]));
    for (const sliceEntries of [1, 2, 7, whole.entries.length]) {
      const cut = await walk(open([place], { sliceEntries }));
      expect(cut.entries.map(entry => entry.path).toSorted()).toEqual(whole.entries.map(entry => entry.path).toSorted());
      expect(cut.slices.every(slice => slice.count <= sliceEntries)).toBe(true);
    }
  });

  test('an empty directory has one slice without entries', async () => {
    const { slices } = await walk(open([makeTree('empty')]));
    expect(slices.map(slice => [slice.count, slice.isFirst, slice.isLast, slice.isWhole])).toEqual([[0, true, true, true]]);
  });

  test('keeps few descriptors open in a deep tree and closes them all', async () => {
    const before = openDescriptors();
    const root = makeTree('deep');
    let fd = native.openDirectory(utf8(root), false);
    for (let level = 0; level < 400; level++) {
      // Entries behind the way down make the walk come back to each level.
      native.makeDirectoryAt(fd, utf8('m'), 0o755);
      native.makeDirectoryAt(fd, utf8('z'), 0o755);
      const inner = native.openDirectoryAt(fd, utf8('m'));
      native.close(fd);
      fd = inner;
    }
    native.close(fd);
    let most = 0;
    const { entries, problems } = await walk(open([root]), () => (most = Math.max(most, openDescriptors())));
    expect([entries.length, problems.length]).toEqual([800, 0]);
    expect(most - before).toBeLessThan(140);
    expect(openDescriptors()).toBe(before);
  });

  test('finds its way back only to the very same directories', async () => {
    const root = makeTree('moved', 'a/here/', 'a/z/', 'decoy/z/wrong');
    let below = join(root, 'a');
    for (let level = 0; level < 200; level++) {
      below = join(below, 'm');
      fs.mkdirSync(below);
    }
    const { entries, problems } = await walk(open([join(root, 'a')]), slice => {
      if (latin1(slice.path) !== below) return;
      fs.renameSync(join(root, 'a'), join(root, 'b'));
      fs.renameSync(join(root, 'decoy'), join(root, 'a'));
    });
    expect(entries.some(entry => entry.path.endsWith('wrong'))).toBe(false);
    expect(problems.map(problem => [latin1(problem.path), problem.during, problem.error.code])).toEqual([[join(root, 'a', 'z'), 'open', 'ENTRY_UNREADABLE']]);
  });

  test('can be walked again after it was opened', async () => {
    const source = open([makeTree('twice', 'a/b', 'c')]);
    const first = await walk(source);
    const second = await walk(source);
    expect(second.entries.map(entry => entry.path)).toEqual(first.entries.map(entry => entry.path));
  });
});

describe('ending', () => {
  test('finish fails until everything was delivered', async () => {
    const source = open([makeTree('unfinished', 'a/b', 'c')]);
    await expect(source.finish()).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
    await source.open();
    const before = openDescriptors();
    for (const _ of source.slices()) break;
    expect(openDescriptors(), 'stopping early closes all').toBe(before);
    await expect(source.finish()).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
    for (const _ of source.slices());
    await source.finish();
  });

  test('an aborted signal ends the walk', async () => {
    const abort = new AbortController();
    const source = open([makeTree('aborted', 'a/b', 'c')]);
    await source.open();
    const slices = source.slices({ signal: abort.signal })[Symbol.iterator]();
    slices.next();
    const before = openDescriptors();
    abort.abort();
    expect(() => slices.next()).toThrow(expect.objectContaining({ code: 'CANCELLED' }));
    expect(openDescriptors()).toBeLessThan(before);
    await expect(source.finish()).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
    await expect(source.open({ signal: abort.signal })).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});

describe('problems', () => {
  test('a directory that cannot be opened is a problem, and its slice is empty and not whole', async () => {
    const root = makeTree('closed', 'a/inside', 'b/inside', 'c');
    const closed: NativeFileSystem = { ...native, openDirectoryAt: (fd, name) => {
      if (latin1(name) === 'a') throw failure('EACCES', 13, 'openat');
      return native.openDirectoryAt(fd, name);
    } };
    const walked = await walk(open([root], { native: closed }));
    expect(pathsOf(walked, root)).toEqual(['a', 'b', 'b/inside', 'c']);
    const slice = sliceOf(walked, join(root, 'a'));
    expect([slice.count, slice.isFirst, slice.isLast, slice.isWhole]).toEqual([0, true, true, false]);
    expect(slice.problems).toHaveLength(1);
    expect(slice.problems[0]).toMatchObject({ during: 'open', error: { code: 'ENTRY_UNREADABLE', context: { errno: 'EACCES' } } });
    expect(slice.problems[0]!.error.message).toBe(`Cannot open '${join(root, 'a')}' (EACCES: injected, openat)`);
  });

  test.each([['openDirectory', 'open'], ['names', 'list']] as const)('a root whose %s fails is a problem', async (call, during) => {
    const root = makeTree(`failing ${call}`, 'a');
    const failing: NativeFileSystem = { ...native, [call]: () => { throw failure('EIO', 5, call); } };
    const { slices, problems } = await walk(open([root], { native: failing }));
    expect(slices.map(slice => [slice.count, slice.isWhole])).toEqual([[0, false]]);
    expect(problems.map(problem => [latin1(problem.path), problem.during])).toEqual([[root, during]]);
  });

  test('an entry that vanishes after it was listed is left out quietly, but the directory is not whole', async () => {
    const root = makeTree('vanishing', 'a', 'b', 'c/d', 'e/');
    const vanishing: NativeFileSystem = { ...native, stats: (fd, names) => {
      fs.rmSync(join(root, 'b'), { force: true });
      return native.stats(fd, names);
    } };
    const walked = await walk(open([root], { native: vanishing }), slice => {
      if (latin1(slice.path) === root) fs.rmdirSync(join(root, 'e'));
    });
    expect(pathsOf(walked, root)).toEqual(['a', 'c', 'c/d', 'e']);
    expect(walked.problems).toEqual([]);
    expect(walked.slices.map(slice => [latin1(slice.path).slice(root.length), slice.isWhole])).toEqual([['', false], ['/c', true], ['/e', false]]);
  });

  test('an entry that cannot be examined is a problem and left out', async () => {
    const root = makeTree('unexamined', 'a', 'b', 'c');
    const failing: NativeFileSystem = { ...native, stats: (fd, names) => {
      const stats = native.stats(fd, names);
      stats.fill(0, STAT_RECORD_BYTES, 2 * STAT_RECORD_BYTES);
      stats[STAT_RECORD_BYTES] = 5;
      return stats;
    } };
    const walked = await walk(open([root], { native: failing }));
    expect(pathsOf(walked, root)).toEqual(['a', 'c']);
    expect(walked.slices[0]!.isWhole).toBe(false);
    expect(walked.problems.map(problem => [latin1(problem.path), problem.during, problem.error.context.errno])).toEqual([[join(root, 'b'), 'stat', 'EIO']]);
  });

  test('attributes and link targets that cannot be read are problems; the rest of the details is there', async () => {
    const root = makeTree('no details', 'a');
    fs.symlinkSync('a', join(root, 'link'));
    fs.writeFileSync(join(root, 'z'), '');
    const fd = native.openDirectory(utf8(root), false);
    native.setXattrAt(fd, utf8('z'), utf8('user.kept'), utf8('value'));
    native.close(fd);
    const failing: NativeFileSystem = { ...native,
      readLinkAt: () => { throw failure('EIO', 5, 'readlinkat'); },
      xattrs: (fd, names) => {
        const packed = native.xattrs(fd, names);
        packed[0] = 13;
        return packed;
      } };
    const { entries, problems } = await walk(open([root], { native: failing }));
    expect(problems.map(problem => [latin1(problem.path).slice(root.length), problem.during, problem.error.context.errno]))
      .toEqual([['/a', 'metadata', 'EACCES'], ['/link', 'metadata', 'EIO']]);
    expect(entries.map(entry => entry.details)).toEqual([{ xattrs: [] }, { xattrs: [] }, { xattrs: [{ name: utf8('user.kept'), value: utf8('value') }] }]);
  });

  test('a walk that ran ahead delivers the same slices and details', async () => {
    const root = makeTree('ahead', 'a/b/file', 'z');
    fs.symlinkSync('file', join(root, 'a/b/link'));
    const collect = async (entriesAhead: number): Promise<unknown[]> => {
      const source = open([root]);
      await source.open();
      if (entriesAhead > 0) await source.walkAhead(entriesAhead);
      const found: unknown[] = [];
      for (const slice of source.slices()) {
        const indices = Array.from({ length: slice.count }, (_, i) => i);
        found.push([slice.path, slice.names, slice.stats, slice.children, source.details(slice, indices, problem => { found.push(problem); })]);
      }
      await source.finish();
      return found;
    };
    const expected = await collect(0);
    for (const entriesAhead of [1, 2, 1_000]) expect(await collect(entriesAhead)).toEqual(expected);
  });
});

describe('roots', () => {
  const rootPaths = async (paths: readonly string[], options: Partial<FileTreeOptions> = {}, rules?: ExcludeRules): Promise<string[]> =>
    (await open(paths, options, rules).open()).map(root => latin1(root.path));

  test('may be of any type, and a symlink is stored as a symlink', async () => {
    const root = makeTree('types', 'directory/a', 'file');
    fs.symlinkSync('directory', join(root, 'link'));
    fs.mkdirSync(join(root, 'fifos'));
    const source = open(['directory', 'file', 'link', 'link/', '../odd/special/fifo'].map(path => join(root, path)));
    const roots = await source.open();
    expect(roots.map(each => [latin1(each.path).slice(base.length), new StatRecords(each.stat).type(0), each.directory])).toEqual([
      ['/types/directory', TYPE_DIRECTORY, 1], ['/types/file', TYPE_FILE, 0], ['/types/link', TYPE_SYMLINK, 0], ['/odd/special/fifo', 0o010000, 0],
    ]);
    expect([...source.slices()].map(slice => latin1(slice.path))).toEqual([join(root, 'directory')]);
    expect(source.rootDetails(roots[2]!, () => expect.unreachable())).toEqual({ linkTarget: utf8('directory'), xattrs: [] });
    expect(source.rootDetails(roots[0]!, () => expect.unreachable())).toEqual({ xattrs: [] });
    await source.finish();
  });

  test('have details, the root of the file system too', async () => {
    const root = makeTree('root details');
    const fd = native.openDirectory(utf8(root), false);
    native.setXattr(fd, utf8('user.root'), utf8('value'));
    native.close(fd);
    const source = open([root]);
    const [own] = await source.open();
    expect(source.rootDetails(own!, () => expect.unreachable())).toEqual({ xattrs: [{ name: utf8('user.root'), value: utf8('value') }] });
    const [slash] = await open(['/']).open();
    expect(source.rootDetails(slash!, () => expect.unreachable()).linkTarget).toBeUndefined();
    const problems: SourceProblem[] = [];
    fs.rmdirSync(root);
    expect(source.rootDetails({ ...own!, path: utf8(join(root, 'a')) }, problem => problems.push(problem))).toEqual({ xattrs: [] });
    expect(problems.map(problem => problem.during)).toEqual(['metadata']);
  });

  test('relative paths start at the current folder; dots and double slashes are resolved by their text', async () => {
    const root = makeTree('relative', 'a/b/c');
    const cwd = utf8(join(root, 'a'));
    expect(await rootPaths(['b'], { cwd })).toEqual([join(root, 'a/b')]);
    expect(await rootPaths(['.'], { cwd })).toEqual([join(root, 'a')]);
    expect(await rootPaths(['../a//b/./c'], { cwd })).toEqual([join(root, 'a/b/c')]);
    expect(await rootPaths(['/../..'])).toEqual(['/']);
  });

  test('a path that is missing fails before anything is delivered', async () => {
    await expect(open([base, join(base, 'nowhere')]).open()).rejects.toMatchObject({ code: 'SOURCE_MISSING', message: `The path '${join(base, 'nowhere')}' does not exist` });
    await expect(open([join(makeTree('no directory', 'file'), 'file', 'below')]).open()).rejects.toMatchObject({ code: 'SOURCE_MISSING' });
    await expect(open(['']).open()).rejects.toMatchObject({ code: 'USAGE' });
  });

  test('a path given twice or inside another one is stored once', async () => {
    const root = makeTree('nested', 'a/b/c', 'ab/d');
    const paths = [join(root, 'a/b'), `${root}/a/`, join(root, 'a'), join(root, 'ab'), join(root, 'a/b/c'), join(root, 'ab')];
    expect(await rootPaths(paths)).toEqual([join(root, 'a'), join(root, 'ab')]);
    const walked = await walk(open(paths));
    expect(pathsOf(walked, root)).toEqual(['a/b', 'a/b/c', 'ab/d']);
    expect(walked.slices.map(slice => slice.component)).toEqual([0, 0, 1]);
    expect(await rootPaths(['/', join(root, 'a')])).toEqual(['/']);
  });

  test('a path inside another one that the walk does not reach stays a root', async () => {
    const root = makeTree('unreached', 'excluded/deep/a', 'cache/CACHEDIR.TAG', 'cache/a', 'large', 'directory/a');
    fs.writeFileSync(join(root, 'cache/CACHEDIR.TAG'), CACHE_DIRECTORY_MARKER.header);
    fs.symlinkSync('directory', join(root, 'link'));
    const inside = (...paths: string[]): string[] => paths.map(path => join(root, path));
    const rules: ExcludeRules = { ...patterns('excluded'), markers: [CACHE_DIRECTORY_MARKER], largerThanBytes: 4 };
    const kept = inside('excluded/deep', 'cache/a', 'link/a', 'large');
    const dropped = inside('cache', 'cache/CACHEDIR.TAG', 'directory');
    expect(await rootPaths([root, ...kept, ...dropped], {}, { ...rules, largerThanBytes: 43 })).toEqual([root, ...kept.slice(0, 3)]);
    expect(await rootPaths([root, ...inside('large')], {}, rules)).toEqual([root, join(root, 'large')]);
    const walked = await walk(open([root, join(root, 'excluded/deep')], {}, patterns('excluded')));
    expect(walked.entries.filter(entry => entry.path.endsWith('deep/a'))).toHaveLength(1);
  });

  test('a path asked for by name is never excluded itself', async () => {
    const root = makeTree('named', 'a.o', 'b');
    const walked = await walk(open([root, join(root, 'a.o')], {}, patterns('named', '*.o')));
    expect(walked.roots.map(each => latin1(each.path))).toEqual([root, join(root, 'a.o')]);
    expect(pathsOf(walked, root)).toEqual(['b']);
  });
});

describe('leaving out', () => {
  test('patterns exclude before anything is examined', async () => {
    const root = makeTree('patterns', 'a.o', 'b.c', 'build/a', 'src/build/x', 'src/keep.o', 'src/x.o', 'build.c');
    const examined: string[] = [];
    const spying: NativeFileSystem = { ...native, stats: (fd, names) => {
      examined.push(...latin1(names).split('\0'));
      return native.stats(fd, names);
    } };
    const walked = await walk(open([root], { native: spying }, patterns('*.o', '!keep.o', 'build')));
    expect(pathsOf(walked, root)).toEqual(['b.c', 'build.c', 'src', 'src/keep.o']);
    expect(examined.filter(name => name !== '').toSorted()).toEqual(['b.c', 'build.c', 'keep.o', 'src']);
    expect(walked.slices.every(slice => slice.isWhole), 'patterns do not make a directory less than whole').toBe(true);
  });

  test('a pattern for directories leaves files of that name', async () => {
    const root = makeTree('directories only', 'a/build/x', 'b/build', 'c/d/x');
    expect(pathsOf(await walk(open([root], {}, patterns('build/', '/**/c/d/'))), root)).toEqual(['a', 'b', 'b/build', 'c']);
  });

  test('anchored patterns are about absolute paths', async () => {
    const root = makeTree('anchored', 'a/b', 'b/b');
    expect(pathsOf(await walk(open([root], {}, patterns(`${root}/a/b`, '/b'))), root)).toEqual(['a', 'b', 'b/b']);
    expect(pathsOf(await walk(open([root], {}, patterns('anchored/b'))), root)).toEqual(['a', 'a/b']);
  });

  test('patterns see names that are not UTF-8', async () => {
    const root = makeTree('raw names');
    for (const byte of [0xfe, 0xff]) fs.writeFileSync(Buffer.concat([Buffer.from(`${root}/x`), Buffer.from([byte])]), '');
    fs.writeFileSync(join(root, 'ü'), '');
    const rules: ExcludeRules = { patterns: [{ text: Uint8Array.of(0x78, 0xff) }, { text: '[ü]' }] };
    expect(pathsOf(await walk(open([root], {}, rules)), root)).toEqual(['x\xfe']);
  });

  test('a directory with a marker keeps only the marker, whose header is compared', async () => {
    const root = makeTree('markers', 'cache/CACHEDIR.TAG', 'cache/x', 'cache/sub/y', 'fake/CACHEDIR.TAG', 'fake/x', 'link/x', 'named/.nobackup', 'named/x', 'other/.nobackup2', 'directory/CACHEDIR.TAG/x');
    fs.writeFileSync(join(root, 'cache/CACHEDIR.TAG'), Buffer.concat([CACHE_DIRECTORY_MARKER.header, Buffer.from('\n# more')]));
    fs.writeFileSync(join(root, 'fake/CACHEDIR.TAG'), Buffer.from(CACHE_DIRECTORY_MARKER.header).subarray(0, 42));
    fs.symlinkSync('../cache/CACHEDIR.TAG', join(root, 'link/CACHEDIR.TAG'));
    const markers = [CACHE_DIRECTORY_MARKER, parseMarker('.nobackup'), parseMarker('.nobackup2:other header')];
    const walked = await walk(open([root], {}, { markers }));
    expect(pathsOf(walked, root)).toEqual([
      'cache', 'cache/CACHEDIR.TAG', 'directory', 'directory/CACHEDIR.TAG', 'directory/CACHEDIR.TAG/x', 'fake', 'fake/CACHEDIR.TAG', 'fake/x', 'link',
      'link/CACHEDIR.TAG', 'link/x', 'named', 'named/.nobackup', 'other', 'other/.nobackup2',
    ]);
    expect(walked.problems).toEqual([]);
    expect(sliceOf(walked, join(root, 'cache')).isWhole).toBe(false);
    expect(sliceOf(walked, join(root, 'fake')).isWhole).toBe(true);
    const inside = join(root, 'cache');
    expect(pathsOf(await walk(open([inside], {}, { markers })), inside), 'a root may carry it too').toEqual(['CACHEDIR.TAG']);
  });

  test('a marker that cannot be read excludes nothing and is a problem', async () => {
    const root = makeTree('unreadable marker', 'CACHEDIR.TAG', 'x');
    const failing: NativeFileSystem = { ...native, openFileAt: () => { throw failure('EACCES', 13, 'openat'); } };
    const walked = await walk(open([root], { native: failing }, { markers: [CACHE_DIRECTORY_MARKER] }));
    expect(pathsOf(walked, root)).toEqual(['CACHEDIR.TAG', 'x']);
    expect(walked.problems.map(problem => [latin1(problem.path), problem.during])).toEqual([[join(root, 'CACHEDIR.TAG'), 'open']]);
    expect(walked.slices[0]!.isWhole).toBe(false);
  });

  test('files above the size limit are left out and the directory is not whole', async () => {
    const root = makeTree('sizes', 'directory/');
    fs.writeFileSync(join(root, 'exactly'), Buffer.alloc(1000));
    fs.writeFileSync(join(root, 'more'), Buffer.alloc(1001));
    const walked = await walk(open([root], {}, { largerThanBytes: 1000 }));
    expect(pathsOf(walked, root)).toEqual(['directory', 'exactly']);
    expect(walked.slices.map(slice => slice.isWhole)).toEqual([false, true]);
    expect(walked.problems).toEqual([]);
  });

  describe('with one file system only', () => {
    /** Makes entries called 'mount' and all below them look as if they lay on another device. */
    const mounted: NativeFileSystem = { ...native,
      stats: (fd, names) => {
        const stats = native.stats(fd, names);
        const inMount = fs.readlinkSync(`/proc/self/fd/${fd}`).split('/').includes('mount');
        unpackNames(names, stats.length / STAT_RECORD_BYTES).forEach((name, i) => {
          if (inMount || latin1(name) === 'mount') stats.fill(99, i * STAT_RECORD_BYTES + 88, (i + 1) * STAT_RECORD_BYTES);
        });
        return stats;
      },
      statPath: (path, follow) => {
        const stat = native.statPath(path, follow);
        if (latin1(path).split('/').includes('mount')) stat.fill(99, 88);
        return stat;
      } };

    test('a mount point is stored as an empty directory', async () => {
      const root = makeTree('mounts', 'a/mount/x', 'a/y');
      const walked = await walk(open([root], { native: mounted, oneFileSystem: true }));
      expect(pathsOf(walked, root)).toEqual(['a', 'a/mount', 'a/y']);
      expect(walked.problems).toEqual([]);
      expect(pathsOf(await walk(open([root], { native: mounted })), root)).toEqual(['a', 'a/mount', 'a/mount/x', 'a/y']);
    });

    test('a mount point that is asked for is a root with its own device', async () => {
      const root = makeTree('mount roots', 'a/mount/x', 'a/mount/directory/y', 'a/y');
      const walked = await walk(open([root, join(root, 'a/mount'), join(root, 'a/y')], { native: mounted, oneFileSystem: true }));
      expect(walked.roots.map(each => latin1(each.path))).toEqual([root, join(root, 'a/mount')]);
      expect(pathsOf(walked, root)).toEqual(['a', 'a/mount', 'a/mount/directory', 'a/mount/directory/y', 'a/mount/x', 'a/y']);
    });
  });
});

test('users and groups have names, asked for once each', () => {
  let asked = 0;
  const counting: NativeFileSystem = { ...native,
    userName: uid => {
      asked++;
      return native.userName(uid);
    },
    groupName: () => { throw failure('EIO', 5, 'getgrgid_r'); } };
  const source = open([base], { native: counting });
  expect([source.userName(0), source.userName(0), source.userName(3_999_999_999), asked]).toEqual(['root', 'root', undefined, 2]);
  expect(source.groupName(0), 'a directory service that is out of order costs the name only').toBeUndefined();
});
