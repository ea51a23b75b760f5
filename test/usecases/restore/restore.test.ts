import { execFileSync } from 'node:child_process';
import { existsSync, linkSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { utf8 } from '../../../src/base/bytes.ts';
import { SnapError } from '../../../src/base/errors.ts';
import { MemoryBackend } from '../../../src/backend/memory.ts';
import { FilesTarget } from '../../../src/targets/files.ts';
import { compilePatterns } from '../../../src/sources/path-patterns.ts';
import type { TargetHandle, TargetProblem, TreeTarget } from '../../../src/targets/target.ts';
import type { JobContext, SnapEvent } from '../../../src/usecases/events.ts';
import type { RestoreReport } from '../../../src/usecases/reports.ts';
import { restore } from '../../../src/usecases/restore/restore.ts';
import { resolveSnapshot } from '../../../src/usecases/reading/select-snapshots.ts';
import type { Entry } from '../../../src/format/tree-node.ts';
import type { OpenRepository } from '../../../src/repository/opened-repository.ts';
import { PREFIXES } from '../../../src/format/object-names.ts';
import { compareTrees, describeTree } from '../../support/describe-tree.ts';
import { backupPath, engines, makeRepository, memoryBackend, OWNER, reopen, SMALL_CHUNKS } from '../../support/memory-repository.ts';
import { commitComponent, flipBit, frameOfDirectory, frameOfFile, memoryDirectory, restoreTo } from '../../support/read-jobs.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

const random = new SeededRandom(5);
const OLD = new Date('2020-02-02T02:02:02.123Z');

/** The long value is stored as chunks; not every file system takes it. */
const SET_XATTRS = `
import os, sys
for path in sys.argv[1:]:
    os.setxattr(path, 'user.short', b'v')
    try:
        os.setxattr(path, 'user.long', os.urandom(20000))
    except OSError:
        pass
`;

/** Directories, small and large files, zeros, links of both kinds, an extended attribute. */
function sampleTree(): string {
  const root = memoryDirectory();
  mkdirSync(join(root, 'a/b/c'), { recursive: true });
  mkdirSync(join(root, 'void'));
  writeFileSync(join(root, 'a/one.txt'), 'one');
  writeFileSync(join(root, 'a/empty'), '');
  for (let i = 0; i < 40; i++) writeFileSync(join(root, `a/b/small-${i}`), random.bytes(i * 50));
  writeFileSync(join(root, 'a/b/large'), random.bytes(300_000));
  writeFileSync(join(root, 'a/b/twice'), Buffer.concat([Buffer.alloc(100_000, 'x'), Buffer.alloc(200_000), Buffer.alloc(100_000, 'x')]));
  writeFileSync(join(root, 'a/b/c/holes'), 'start');
  truncateSync(join(root, 'a/b/c/holes'), 3_000_000);
  linkSync(join(root, 'a/one.txt'), join(root, 'a/zz-one'));
  linkSync(join(root, 'a/b/large'), join(root, 'a/b/large-too'));
  symlinkSync('../nowhere', join(root, 'a/link'));
  linkSync(join(root, 'a/link'), join(root, 'a/link-too'));
  execFileSync('python3', ['-c', SET_XATTRS, join(root, 'a/one.txt'), join(root, 'a')]);
  for (const path of ['a/one.txt', 'a/empty', 'a/b/large', 'a/b/twice', 'a/b/c/holes', 'a/b', 'void']) utimesSync(join(root, path), OLD, OLD);
  return root;
}

async function sample(backend: MemoryBackend = memoryBackend()): Promise<{ repository: OpenRepository; root: string; target: string; backend: MemoryBackend }> {
  const repository = await makeRepository(backend, { chunker: SMALL_CHUNKS });
  const root = sampleTree();
  await backupPath(repository, root);
  return { repository, root, target: memoryDirectory(), backend };
}

async function differences(root: string, target: string): Promise<string[]> {
  return compareTrees(await describeTree(root), await describeTree(target), { holes: true });
}

describe('a restore', () => {
  test('of a directory puts its content directly into the target, with all metadata', async () => {
    const { repository, root, target } = await sample();
    const report = await restoreTo(repository, target, { path: root });
    expect(await differences(root, target)).toEqual([]);
    expect(report).toMatchObject({ status: 'complete', problemsTotal: 0, findings: [], filesKept: 0, filesRestored: 49, entriesTotal: 54 });
  });

  test('of a whole snapshot uses the full source paths', async () => {
    const { repository, root, target } = await sample();
    await restoreTo(repository, target);
    expect(await differences(root, join(target, root))).toEqual([]);
  });

  test('leaves directories that only lead to what was backed up as they are', async () => {
    const { repository, root, target } = await sample();
    const first = join(target, root.split('/')[1]!);
    mkdirSync(first, { mode: 0o710 });
    utimesSync(first, OLD, OLD);
    await restoreTo(repository, target);
    expect(statSync(first).mode & 0o7777).toBe(0o710);
  });

  test('never replaces a symlink by a directory that only leads to what was backed up', async () => {
    const { repository, root, target } = await sample();
    symlinkSync(memoryDirectory(), join(target, root.split('/')[1]!));
    expect(await restoreTo(repository, target)).toMatchObject({ status: 'partial', filesRestored: 0, problems: [{ code: 'TARGET_OCCUPIED' }] });
  });

  test('of a single file puts it under its name', async () => {
    const { repository, root, target } = await sample();
    await restoreTo(repository, target, { path: `${root}/a/b/large` });
    expect(readdirSync(target)).toEqual(['large']);
    expect(readFileSync(join(target, 'large'))).toEqual(readFileSync(join(root, 'a/b/large')));
  });

  test('of a path that is not there says so', async () => {
    const { repository, target } = await sample();
    await expect(restoreTo(repository, target, { path: '/nowhere' })).rejects.toMatchObject({ code: 'PATH_NOT_IN_SNAPSHOT' });
  });

  test('run again keeps everything that is right', async () => {
    const { repository, root, target } = await sample();
    await restoreTo(repository, target, { path: root });
    const report = await restoreTo(repository, target, { path: root });
    expect(report).toMatchObject({ status: 'complete', bytesWritten: 0 });
    expect(await differences(root, target)).toEqual([]);
  });

  test('uses again what is right in a file that differs', async () => {
    const { repository, root, target } = await sample();
    await restoreTo(repository, target, { path: root });
    const large = readFileSync(join(target, 'a/b/large'));
    large[150_000]! ^= 1;
    writeFileSync(join(target, 'a/b/twice'), Buffer.concat([readFileSync(join(target, 'a/b/twice')), Buffer.alloc(7777)]));
    writeFileSync(join(target, 'a/b/c/holes'), 'wrong start');
    // One name of two: the file is not changed in place under its other name.
    writeFileSync(join(target, 'a/b/large'), large);
    const report = await restoreTo(repository, target, { path: root });
    expect(await differences(root, target)).toEqual([]);
    expect(report.bytesWritten).toBeLessThan(100_000 + 3_000_000);
    expect(report.bytesReused).toBeGreaterThan(600_000);
  });

  test('repairs a file in place where only its size is wrong', async () => {
    const { repository, root, target } = await sample();
    await restoreTo(repository, target, { path: root });
    writeFileSync(join(target, 'a/b/small-7'), Buffer.concat([readFileSync(join(target, 'a/b/small-7')), Buffer.from('tail')]));
    truncateSync(join(target, 'a/b/twice'), 123_456);
    await restoreTo(repository, target, { path: root });
    expect(await differences(root, target)).toEqual([]);
  });

  test('as a dry run changes nothing and foretells what would be written', async () => {
    const { repository, root, target } = await sample();
    const report = await restoreTo(repository, join(target, 'new'), { path: root, dryRun: true });
    expect(existsSync(join(target, 'new'))).toBe(false);
    const real = await restoreTo(repository, join(target, 'new'), { path: root });
    expect(report).toMatchObject({ dryRun: true, filesRestored: real.filesRestored, bytesTotal: real.bytesTotal, bytesWritten: real.bytesWritten });
  });

  test('verifies what it restored when asked to', async () => {
    const { repository, root, target } = await sample();
    expect(await restoreTo(repository, target, { path: root, verify: true })).toMatchObject({ status: 'complete', filesVerified: 43 });
    // The same size and time, other content: found because nothing is taken on trust.
    const path = join(target, 'a/b/small-20');
    const { atime, mtime } = statSync(path);
    writeFileSync(path, Buffer.alloc(1000, '!'));
    utimesSync(path, atime, mtime);
    expect(await restoreTo(repository, target, { path: root, verify: true })).toMatchObject({ status: 'complete', filesVerified: 43 });
    expect(readFileSync(path)).toEqual(readFileSync(join(root, 'a/b/small-20')));
  });

  test('that verifies reports a file that does not hold what was written', async () => {
    const { repository, root, target } = await sample();
    class ForgetfulTarget extends FilesTarget {
      override writeFiles(...[files, content]: Parameters<FilesTarget['writeFiles']>): ReturnType<FilesTarget['writeFiles']> {
        for (const { entry, start, length } of files) if (Buffer.from(entry.name).toString() === 'small-20') content.fill(0, start, start + length);
        return super.writeFiles(files, content);
      }
    }
    const report = await restore(repository, new ForgetfulTarget({ path: utf8(target) }), {
      engines, owner: OWNER, snapshot: await resolveSnapshot(repository, 'latest'), path: utf8(root), overwrite: 'always', delete: false, dryRun: false,
      verify: true, sparse: false, setsOwner: true,
    });
    expect(report).toMatchObject({ status: 'partial', filesVerified: 42, problems: [{ path: utf8(`${root}/a/b/small-20`), during: 'verify', code: 'TARGET_FAILED' }] });
  });

  test('selects by patterns and makes only the directories that it needs', async () => {
    const { repository, root, target } = await sample();
    await restoreTo(repository, target, { path: root, include: compilePatterns([{ text: '*.txt' }]) });
    expect((await describeTree(target)).size).toBe(3); // the target, a, a/one.txt
    const rest = memoryDirectory();
    await restoreTo(repository, rest, { path: root, exclude: compilePatterns([{ text: 'b' }, { text: '*.txt' }]) });
    expect([...(await describeTree(rest)).keys()].sort()).toEqual(['', 'a', 'a/empty', 'a/link', 'a/link-too', 'a/zz-one', 'void']);
  });

  test('removes what is not in the snapshot only when asked to, and never what the patterns leave out', async () => {
    const { repository, root, target } = await sample();
    await restoreTo(repository, target, { path: root });
    writeFileSync(join(target, 'a/b/extra'), 'x');
    mkdirSync(join(target, 'void/more/deep'), { recursive: true });
    writeFileSync(join(target, 'a/b/extra.keep'), 'x');
    await restoreTo(repository, target, { path: root });
    expect(existsSync(join(target, 'a/b/extra'))).toBe(true);
    const removed: string[] = [];
    const onEvent = (event: SnapEvent): void => { if (event.type === 'entry-restored' && event.action === 'removed') removed.push(Buffer.from(event.path).toString()); };
    const exclude = compilePatterns([{ text: '*.keep' }]);
    expect(await restoreTo(repository, target, { path: root, delete: true, dryRun: true, exclude }, { onEvent })).toMatchObject({ filesRemoved: 2 });
    expect(existsSync(join(target, 'a/b/extra'))).toBe(true);
    expect(await restoreTo(repository, target, { path: root, delete: true, exclude })).toMatchObject({ filesRemoved: 2 });
    expect(removed.sort()).toEqual(['a/b/extra', 'void/more']);
    expect(readdirSync(join(target, 'a/b')).filter(name => name.startsWith('extra'))).toEqual(['extra.keep']);
    expect(readdirSync(join(target, 'void'))).toEqual([]);
  });

  test('keeps newer files when told to, and links nothing to them', async () => {
    const { repository, root, target } = await sample();
    mkdirSync(join(target, 'a'));
    writeFileSync(join(target, 'a/one.txt'), 'newer');
    const report = await restoreTo(repository, target, { path: root, overwrite: 'if-newer' });
    expect(readFileSync(join(target, 'a/one.txt'), 'utf8')).toBe('newer');
    expect(readFileSync(join(target, 'a/zz-one'), 'utf8')).toBe('one');
    expect(report).toMatchObject({ status: 'complete', filesKept: 1 });
  });

  test('refuses to begin when the target has too little space, with the figures', async () => {
    const { repository, root, target } = await sample();
    class SmallTarget extends FilesTarget {
      override freeBytes(): number {
        return 1000;
      }
    }
    await expect(restoreInto(repository, new SmallTarget({ path: utf8(target) }), root)).rejects.toMatchObject({ code: 'NO_SPACE', context: { freeBytes: 1000 } });
    expect(readdirSync(target)).toEqual([]);
    // What is there already needs no space.
    await restoreTo(repository, target, { path: root });
    expect(await restoreInto(repository, new SmallTarget({ path: utf8(target) }), root)).toMatchObject({ status: 'complete' });
  });
});

/** A target on which something does not work. */
async function restoreInto(repository: OpenRepository, target: TreeTarget, root: string, context: JobContext = {}): Promise<RestoreReport> {
  return restore(repository, target, {
    engines, owner: OWNER, snapshot: await resolveSnapshot(repository, 'latest'), path: utf8(root), overwrite: 'if-changed', delete: false, dryRun: false,
    verify: false, sparse: false, setsOwner: true,
  }, context);
}

describe('a restore in several windows', () => {
  test('writes and repairs a file with more chunks than one window holds', async () => {
    const repository = await makeRepository(memoryBackend(), { chunker: SMALL_CHUNKS });
    const root = memoryDirectory();
    const target = memoryDirectory();
    const content = random.bytes(50_000_000);
    content.fill(0, 20_000_000, 21_000_000);
    writeFileSync(join(root, 'large'), content);
    linkSync(join(root, 'large'), join(root, 'second-name'));
    await backupPath(repository, root);
    expect(await restoreTo(repository, target, { path: root, verify: true })).toMatchObject({ status: 'complete', filesVerified: 1, bytesTotal: 100_000_000 });
    expect(Buffer.compare(readFileSync(join(target, 'large')), content)).toBe(0);
    expect(statSync(join(target, 'second-name')).ino).toBe(statSync(join(target, 'large')).ino);
    // Both ends are wrong, and the first window finds nothing that it could use again before it writes.
    rmSync(join(target, 'second-name'));
    const damaged = Buffer.from(content);
    damaged[5] = damaged[5]! ^ 1;
    damaged[49_999_990] = damaged[49_999_990]! ^ 1;
    writeFileSync(join(target, 'large'), damaged);
    const again = await restoreTo(repository, target, { path: root });
    expect(Buffer.compare(readFileSync(join(target, 'large')), content)).toBe(0);
    expect(again.bytesWritten).toBeLessThan(100_000);
  });
});

describe('a restore into a difficult target', () => {
  test('makes separate files where hard links do not work', async () => {
    const { repository, root, target } = await sample();
    class Unlinkable extends FilesTarget {
      override hardLink(_: TargetHandle, entry: Entry): TargetProblem {
        return { path: entry.name, error: new SnapError('TARGET_FAILED', 'Cannot make the hard link (EPERM)') };
      }
    }
    expect(await restoreInto(repository, new Unlinkable({ path: utf8(target) }), root)).toMatchObject({ status: 'complete', filesRestored: 49 });
    const different = compareTrees(await describeTree(root), await describeTree(target), { ignore: ['linkedTo'] });
    expect(different).toEqual([]);
    expect(statSync(join(target, 'a/zz-one')).nlink).toBe(1);
  });

  test('ends at once when the target is full, instead of failing with every file', async () => {
    const { repository, root, target } = await sample();
    class FullTarget extends FilesTarget {
      override writeFile(_: TargetHandle, entry: Entry): TargetProblem {
        return { path: entry.name, error: new SnapError('NO_SPACE', 'Cannot write the file (ENOSPC)') };
      }
    }
    await expect(restoreInto(repository, new FullTarget({ path: utf8(target) }), root)).rejects.toMatchObject({ code: 'NO_SPACE' });
  });

  test('reports a file that cannot be written and restores the others', async () => {
    const { repository, root, target } = await sample();
    class Picky extends FilesTarget {
      override openFile(...[parent, entry, options]: Parameters<FilesTarget['openFile']>): TargetHandle | TargetProblem {
        if (Buffer.from(entry.name).toString() === 'large') return { path: entry.name, error: new SnapError('DENIED', 'Cannot open the file (EACCES)') };
        return super.openFile(parent, entry, options);
      }
    }
    const report = await restoreInto(repository, new Picky({ path: utf8(target) }), root);
    // Its other name would show a file that is not there.
    expect(report).toMatchObject({ status: 'partial', filesRestored: 47, findings: [], problems: [{ code: 'DENIED' }, { path: utf8(`${root}/a/b/large-too`), code: 'TARGET_FAILED' }] });
    expect(existsSync(join(target, 'a/b/large-too'))).toBe(false);
    expect(existsSync(join(target, 'a/b/twice'))).toBe(true);
  });

  test('that is interrupted goes on where it was', async () => {
    const { repository, root, target } = await sample();
    const controller = new AbortController();
    let seen = 0;
    const onEvent = ({ type }: SnapEvent): void => {
      if (type === 'entry-restored' && ++seen === 20) controller.abort();
    };
    await expect(restoreInto(repository, new FilesTarget({ path: utf8(target) }), root, { onEvent, signal: controller.signal })).rejects.toMatchObject({ code: 'CANCELLED' });
    const again = await restoreTo(repository, target, { path: root });
    expect(again.filesKept).toBeGreaterThan(0);
    expect(await differences(root, target)).toEqual([]);
    expect([...(repository.backend as MemoryBackend).snapshotState().keys()].filter(name => name.startsWith(PREFIXES.sessions))).toEqual([]);
  });
});

describe('a restore from a damaged repository', () => {
  test('names the file and the bytes of a damaged frame, and restores the rest', async () => {
    const { repository, root, target, backend } = await sample();
    await flipBit(backend, await frameOfFile(repository, `${root}/a/b/large`, 20));
    const report = await restoreTo(repository, target, { path: root });
    // A value of an attribute may share the frame; then its file is there, without it.
    expect(report).toMatchObject({ status: 'partial', problems: report.problems.filter(({ message }) => message.includes('extended attribute')) });
    const hit = report.findings.map(({ files }) => Buffer.from(files[0]!.path).toString());
    expect(hit).toContain(`${root}/a/b/large`);
    expect(report.findings.find(({ files }) => Buffer.from(files[0]!.path).toString().endsWith('/large'))).toMatchObject({ severity: 'damage', message: expect.stringMatching(/^Bytes \d+ to \d+.* of the file cannot be restored: /) });
    const names = new Set(hit.map(path => path.slice(root.length + 1)));
    for (const line of await differences(root, target)) {
      const path = JSON.parse(line.slice(0, line.indexOf('": ') + 1)) as string;
      expect(names.has(path) || ['a', 'a/b'].includes(path), line).toBe(true);
    }
    expect(statSync(join(target, 'a/b/large')).mtimeMs).toBe(0);
    expect(existsSync(join(target, 'a/b/large-too'))).toBe(false);
  });

  test('reports every file of a missing pack and makes nothing up', async () => {
    const { repository, root, target, backend } = await sample();
    const { object } = await frameOfFile(repository, `${root}/a/b/small-5`);
    await backend.remove(object);
    const report = await restoreTo(repository, target, { path: root });
    expect(report.status).toBe('partial');
    expect(report.findings.map(({ files }) => Buffer.from(files[0]!.path).toString())).toContain(`${root}/a/b/small-5`);
    expect(existsSync(join(target, 'a/b/small-5'))).toBe(false);
    expect(readFileSync(join(target, 'a/empty'))).toHaveLength(0);
  });

  test('goes on after a damaged directory', async () => {
    const { repository, root, target, backend } = await sample();
    const node = await frameOfDirectory(repository, `${root}/a/b/c`);
    const other = await frameOfDirectory(repository, `${root}/void`);
    await flipBit(backend, node);
    const report = await restoreTo(repository, target, { path: root, delete: true });
    expect(report.findings[0]).toMatchObject({ object: 'tree', severity: 'damage' });
    expect(report.status).toBe('partial');
    if (other.offset !== node.offset) expect(existsSync(join(target, 'void'))).toBe(true);
  });

  test('reads a pack whose front table is damaged', async () => {
    const { repository, root, target, backend } = await sample();
    const { object } = await frameOfFile(repository, `${root}/a/b/large`);
    await flipBit(backend, { object, offset: 64, length: 200 });
    expect(await restoreTo(repository, target, { path: root })).toMatchObject({ status: 'complete' });
    expect(await differences(root, target)).toEqual([]);
  });

  test('reads packs whose header is damaged, by the copy at their end', async () => {
    const { repository, root, target, backend } = await sample();
    const packs = [(await frameOfFile(repository, `${root}/a/b/large`)).object, (await frameOfDirectory(repository, root)).object];
    for (const [field, offset] of [['suite', 5], ['ID', 15], ['salt', 40]] as const) {
      const whole = await Promise.all(packs.map(object => backend.read(object)));
      for (const object of packs) await flipBit(backend, { object, offset, length: 1 });
      expect(await restoreTo(await reopen(backend), target, { path: root, overwrite: 'always' }), field).toMatchObject({ status: 'complete' });
      expect(await differences(root, target)).toEqual([]);
      for (const [i, object] of packs.entries()) {
        await backend.remove(object);
        await backend.create(object, [whole[i]!]);
      }
    }
  });

  test('reads a pack of which both tables are damaged, by the index', async () => {
    const { repository, root, target, backend } = await sample();
    const { object } = await frameOfFile(repository, `${root}/a/b/large`);
    const { length } = await backend.read(object);
    await flipBit(backend, { object, offset: 64, length: 200 });
    await flipBit(backend, { object, offset: length - 300, length: 200 });
    expect(await restoreTo(repository, target, { path: root })).toMatchObject({ status: 'complete' });
    expect(await differences(root, target)).toEqual([]);
  });

  test('finds chunks that a prune moved while it ran', async () => {
    const { root, target, backend } = await sample();
    // The same content once more, in packs of a second repository session that does not know the first ones.
    const hidden = new Map<string, Uint8Array<ArrayBuffer>>();
    for await (const { name } of backend.list('')) if (name.startsWith('packs/') || name.startsWith('index/')) hidden.set(name, await backend.read(name));
    for (const name of hidden.keys()) await backend.remove(name);
    const fresh = await reopen(backend);
    await backupPath(fresh, root, { kind: 'full' });
    const moved = new Map<string, Uint8Array<ArrayBuffer>>();
    for await (const { name } of backend.list('')) if (name.startsWith('packs/') || name.startsWith('index/')) moved.set(name, await backend.read(name));
    for (const name of moved.keys()) await backend.remove(name);
    for (const [name, bytes] of hidden) await backend.create(name, [bytes]);
    const repository = await reopen(backend);
    let isMoved = false;
    class PruningBackend extends MemoryBackend {
      override async read(...parameters: Parameters<MemoryBackend['read']>): ReturnType<MemoryBackend['read']> {
        if (parameters[0].startsWith(PREFIXES.dataPacks) && !isMoved) {
          isMoved = true;
          for (const [name, bytes] of moved) await backend.create(name, [bytes]);
          for (const name of hidden.keys()) await backend.remove(name);
        }
        return backend.read(...parameters);
      }
      override list(...parameters: Parameters<MemoryBackend['list']>): ReturnType<MemoryBackend['list']> {
        return backend.list(...parameters);
      }
    }
    const pruning = new PruningBackend({ clock: repository.clock });
    pruning.createIfAbsent = (...parameters) => backend.createIfAbsent(...parameters);
    pruning.stat = (...parameters) => backend.stat(...parameters);
    pruning.remove = (...parameters) => backend.remove(...parameters);
    const report = await restoreTo(await reopen(pruning), target, { path: root });
    expect(isMoved).toBe(true);
    expect(report).toMatchObject({ status: 'complete', findings: [] });
    expect(await differences(root, target)).toEqual([]);
    expect([...hidden.keys()].some(name => moved.has(name))).toBe(false);
  });

  test('says in the report when parts were unreadable at backup time', async () => {
    const repository = await makeRepository();
    const target = memoryDirectory();
    await commitComponent(repository, '/disk/image', {
      name: new Uint8Array(0), type: 'file', mode: 0o600, mtime: [77, 0], flags: 4, sizeBytes: 10_000, content: [{ id: undefined, lengthBytes: 10_000 }],
      damagedSpans: [{ offset: 512, length: 512 }],
    });
    const report = await restoreTo(repository, target, { path: '/disk/image' });
    expect(report).toMatchObject({ status: 'partial', filesRestored: 1, findings: [], problems: [{ code: 'ENTRY_UNREADABLE', message: expect.stringMatching(/^Bytes 512 to 1023 /) }] });
    expect(readFileSync(join(target, 'image'))).toEqual(Buffer.alloc(10_000));
  });

  test('goes on without an index segment that is damaged', async () => {
    const { root, target, backend } = await sample();
    const [segment] = [...backend.snapshotState().keys()].filter(name => name.startsWith(PREFIXES.segments));
    await flipBit(backend, { object: segment!, offset: 0, length: (await backend.read(segment!)).length });
    const report = await restoreTo(await reopen(backend), target, { path: root });
    expect(report.status).toBe('partial');
    expect(report.findings.map(({ object, name }) => [object, name === segment])).toEqual([['index segment', true], ['tree', false]]);
  });
});
