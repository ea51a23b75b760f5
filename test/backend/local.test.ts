import { execFileSync } from 'node:child_process';
import { chmod, lstat, mkdir, mkdtemp, readdir, rename, rm, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock, systemRandom } from '../../src/base/ambient.ts';
import { utf8 } from '../../src/base/bytes.ts';
import type { SnapError } from '../../src/base/errors.ts';
import { type LocalBackend, type LocalBackendOptions, openLocalBackend } from '../../src/backend/local.ts';
import { errnoError, type FileSystem, nodeFileSystem } from '../../src/backend/local-filesystem.ts';
import { MAX_READ_BYTES } from '../../src/backend/object-arguments.ts';
import { backendConformance, codeOf, listedNames } from '../conformance/backend.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { SimulatedFileSystem } from '../support/simulated-filesystem.ts';

const isRoot = process.getuid?.() === 0;
const ambient = { clock: systemClock, random: systemRandom };
const makePlace = (): Promise<string> => mkdtemp(`${tmpdir()}/snap-local-`);

async function errorOf(call: Promise<unknown>): Promise<SnapError> {
  return call.then(() => { throw new Error('It did not fail'); }, (error: SnapError) => error);
}

/** The real file system with some calls replaced. */
function withFaults(changes: Partial<FileSystem>): FileSystem {
  return { ...nodeFileSystem, ...changes };
}

const withoutHardLinks = withFaults({ link: async path => { throw errnoError('EPERM', `operation not permitted, link '${path}'`); } });

function conformanceOn(name: string, fileSystem: FileSystem, createIfAbsent: 'atomic' | 'none'): void {
  backendConformance(name, async () => {
    const path = await makePlace();
    const denied = new Set<string>();
    const seen: FileSystem = {
      ...fileSystem,
      openFile: async file => {
        if (denied.has(file)) throw errnoError('EACCES', `permission denied, open '${file}'`);
        return fileSystem.openFile(file);
      },
    };
    return {
      open: () => openLocalBackend(path, { ...ambient, fileSystem: seen }),
      dispose: () => rm(path, { recursive: true }),
      denyReading: async object => { denied.add(`${path}/${object}`); },
    };
  }, { createIfAbsent, canRemove: true, clockToleranceMs: 10_000 });
}

conformanceOn('LocalBackend', nodeFileSystem, 'atomic');
conformanceOn('LocalBackend without hard links', withoutHardLinks, 'none');
backendConformance('LocalBackend on the simulated file system', async () => {
  const fileSystem = new SimulatedFileSystem({ now: () => Date.now() });
  return {
    open: () => openLocalBackend('/mnt/repository', { ...ambient, fileSystem, create: true }),
    dispose: async () => undefined,
  };
}, { createIfAbsent: 'atomic', canRemove: true, clockToleranceMs: 10_000 });

describe('LocalBackend', () => {
  let path: string;
  let backend: LocalBackend;
  const open = (options: Partial<LocalBackendOptions> = {}): Promise<LocalBackend> => openLocalBackend(path, { ...ambient, ...options });

  beforeEach(async () => {
    path = await makePlace();
    backend = await open({ create: true });
  });
  afterEach(() => rm(path, { recursive: true, force: true }));

  describe('opening', () => {
    test('makes the directory and its parents when asked to', async () => {
      const made = await openLocalBackend(`${path}/a/b/c`, { ...ambient, create: true });
      await made.create('config', [utf8('x')]);
      expect((await lstat(`${path}/a/b/c/config`)).size).toBe(1);
      expect((await lstat(`${path}/a`)).mode & 0o777).toBe(0o700);
    });
    test('a directory that is not there fails with REPOSITORY_NOT_FOUND and makes nothing', async () => {
      expect((await errorOf(openLocalBackend(`${path}/none`, ambient))).code).toBe('REPOSITORY_NOT_FOUND');
      expect(await readdir(path)).toEqual(['tmp']);
    });
    test('a file in the place of the directory is no repository', async () => {
      await writeFile(`${path}/file`, 'x');
      expect((await errorOf(openLocalBackend(`${path}/file`, ambient))).code).toBe('REPOSITORY_NOT_FOUND');
      expect((await errorOf(openLocalBackend(`${path}/file`, { ...ambient, create: true }))).code).toBe('DENIED');
    });
    test('only to look leaves a directory as it was', async () => {
      await mkdir(`${path}/photos`);
      await openLocalBackend(`${path}/photos`, ambient);
      expect(await readdir(`${path}/photos`)).toEqual([]);
    });
    test('leaves no trial file behind', async () => expect(await readdir(`${path}/tmp`)).toEqual([]));
    test('follows a symbolic link to the directory', async () => {
      await symlink(path, `${path}.link`);
      try {
        const linked = await openLocalBackend(`${path}.link`, ambient);
        await linked.create('config', [utf8('x')]);
        expect(await listedNames(backend)).toEqual(['config']);
        expect(await codeOf(linked.read('index/0'))).toBe('OBJECT_NOT_FOUND');
      } finally {
        await rm(`${path}.link`);
      }
    });
    test.each(['EROFS', 'EACCES', 'ENOSPC', 'EDQUOT'])('works on a store where nothing can be written: %s', async errno => {
      await backend.create('config', [utf8('x')]);
      const refuse = async (): Promise<never> => { throw errnoError(errno, 'refused, open'); };
      const opened = await open({ fileSystem: withFaults({ createFile: refuse, makeDirectory: refuse }) });
      expect(await opened.read('config')).toEqual(utf8('x'));
      expect(await codeOf(opened.create('index/0', [utf8('x')]))).toBe(errno === 'ENOSPC' || errno === 'EDQUOT' ? 'NO_SPACE' : 'DENIED');
    });
    test.each(['EPERM', 'ENOTSUP', 'EMLINK'])('declares that races are not decided where link fails with %s', async errno => {
      const opened = await open({ fileSystem: withFaults({ link: async () => { throw errnoError(errno, 'refused, link'); } }) });
      expect(opened.capabilities.createIfAbsent).toBe('none');
    });
    test('shows no control characters in the location', async () => {
      const strange = await openLocalBackend(`${path}/a\u001b[2Jb\n`, { ...ambient, create: true });
      expect(strange.location).toBe(`${path}/a?[2Jb?`);
    });
  });

  describe('modes', () => {
    const modesUnder = async (umask: number): Promise<Record<string, string>> => {
      const before = process.umask(umask);
      try {
        const made = await openLocalBackend(`${path}/made`, { ...ambient, create: true });
        await made.create('packs/d/3f/3f00', [utf8('x')]);
        await made.createIfAbsent('snapshots/5e', utf8('x'));
      } finally {
        process.umask(before);
      }
      const names = ['made', 'made/tmp', 'made/packs', 'made/packs/d', 'made/packs/d/3f', 'made/packs/d/3f/3f00', 'made/snapshots/5e'];
      const modes = await Promise.all(names.map(async name => [name, ((await lstat(`${path}/${name}`)).mode & 0o7777).toString(8)]));
      return Object.fromEntries(modes) as Record<string, string>;
    };
    test.each([0o000, 0o022, 0o077, 0o277, 0o177])('directories have 700 and files 600 with the umask %s', async umask => {
      expect(await modesUnder(umask)).toEqual({
        'made': '700', 'made/tmp': '700', 'made/packs': '700', 'made/packs/d': '700', 'made/packs/d/3f': '700',
        'made/packs/d/3f/3f00': '600', 'made/snapshots/5e': '600',
      });
    });
  });

  describe('what lies about in the directory', () => {
    test('only plain files are objects', async () => {
      await backend.create('index/1', [utf8('x')]);
      await symlink(`${path}/index/1`, `${path}/index/2`);
      await symlink('nowhere', `${path}/index/3`);
      execFileSync('mkfifo', [`${path}/index/4`]);
      await mkdir(`${path}/index/5`);
      expect(await listedNames(backend)).toEqual(['index/1']);
      for (const name of ['index/2', 'index/3', 'index/4', 'index/5']) {
        expect([name, await codeOf(backend.stat(name))]).toEqual([name, 'OBJECT_NOT_FOUND']);
        expect([name, await codeOf(backend.read(name))]).toEqual([name, 'OBJECT_NOT_FOUND']);
        expect([name, await codeOf(backend.read(name, { offset: 0, length: 1 }))]).toEqual([name, 'OBJECT_NOT_FOUND']);
      }
    });
    test('a stray file is listed under its own name', async () => {
      await mkdir(`${path}/index`);
      for (const name of ['.DS_Store', 'index/Thumbs.db', 'index/a b']) await writeFile(`${path}/${name}`, 'stray');
      expect(await listedNames(backend)).toEqual(['.DS_Store', 'index/Thumbs.db', 'index/a b']);
    });
    test('a link to a directory is followed, so that a part can lie elsewhere', async () => {
      await mkdir(`${path}/elsewhere`);
      await symlink(`${path}/elsewhere`, `${path}/index`);
      await backend.create('index/1', [utf8('x')]);
      expect(await listedNames(backend, 'index/')).toEqual(['index/1']);
      expect(await readdir(`${path}/elsewhere`)).toEqual(['1']);
    });
    test('a link that leads in a circle does not make a list endless', async () => {
      await symlink('.', `${path}/again`);
      await backend.create('index/1', [utf8('x')]);
      const names = await listedNames(backend);
      expect(names).toContain('index/1');
      expect(names.length).toBeLessThan(10);
    });
    test.skipIf(isRoot)('a closed directory that can hold no object is passed over, another is not', async () => {
      await mkdir(`${path}/lost+found`, 0o000);
      expect(await listedNames(backend)).toEqual([]);
      await mkdir(`${path}/index`, 0o000);
      expect(await codeOf(listedNames(backend))).toBe('DENIED');
      await chmod(`${path}/index`, 0o700);
    });
    test('a closed directory that can hold no object is passed over, another is not (simulated)', async () => {
      const closed = async (directory: string): Promise<LocalBackend> => {
        await mkdir(`${path}/${directory}`);
        return open({ fileSystem: withFaults({ readDirectory: async place => {
          if (place === `${path}/${directory}`) throw errnoError('EACCES', 'permission denied, scandir');
          return nodeFileSystem.readDirectory(place);
        } }) });
      };
      expect(await listedNames(await closed('lost+found'))).toEqual([]);
      expect(await codeOf(listedNames(await closed('index')))).toBe('DENIED');
    });
    test('a planted giant does not exhaust memory', async () => {
      await backend.create('config', [utf8('x')]);
      await truncate(`${path}/config`, MAX_READ_BYTES + 1);
      expect(await codeOf(backend.read('config'))).toBe('INVALID_RANGE');
      expect(await backend.read('config', { offset: 0, length: 1 })).toEqual(utf8('x'));
    });
  });

  describe('temporary files', () => {
    const age = async (name: string, hours: number): Promise<void> => {
      const seconds = systemClock.now() / 1000 - hours * 3600;
      await writeFile(`${path}/tmp/${name}`, 'half');
      await utimes(`${path}/tmp/${name}`, seconds, seconds);
    };
    test('that are older than 24 h are removed, younger ones and directories stay', async () => {
      await age('old', 25);
      await age('older', 1000);
      await age('young', 23);
      await mkdir(`${path}/tmp/directory`);
      expect(await backend.sweepTemporaryFiles()).toBe(2);
      expect((await readdir(`${path}/tmp`)).sort()).toEqual(['directory', 'young']);
      expect(await backend.sweepTemporaryFiles()).toBe(0);
    });
    test('are none when their directory is missing', async () => {
      await rm(`${path}/tmp`, { recursive: true });
      expect(await backend.sweepTemporaryFiles()).toBe(0);
    });
    test('get their directory again when somebody removed it', async () => {
      await rm(`${path}/tmp`, { recursive: true });
      await backend.create('config', [utf8('x')]);
      expect(await readdir(`${path}/tmp`)).toEqual([]);
    });
    test('do not stay after success, a taken name, a failure or an abort', async () => {
      await backend.create('index/1', [utf8('x')]);
      await backend.createIfAbsent('index/1', utf8('y'));
      await errorOf(backend.create('index/1', [utf8('z')]));
      const full = await open({ fileSystem: failingWrites('ENOSPC') });
      await errorOf(full.create('index/2', [utf8('x')]));
      const controller = new AbortController();
      const aborted = errorOf(backend.create('index/3', [new Uint8Array(8_000_000)], { signal: controller.signal }));
      setImmediate(() => controller.abort());
      expect((await aborted).code).toBe('CANCELLED');
      expect(await readdir(`${path}/tmp`)).toEqual([]);
    });
  });

  const failingWrites = (errno: string): FileSystem => withFaults({
    createFile: async file => ({
      ...await bound(nodeFileSystem.createFile(file)),
      write: async () => { throw errnoError(errno, 'some reason, write'); },
    }),
  });

  describe('errors', () => {
    test.each([
      ['ENOSPC', 'NO_SPACE'], ['EDQUOT', 'NO_SPACE'], ['EACCES', 'DENIED'], ['EPERM', 'DENIED'], ['EROFS', 'DENIED'],
      ['EFBIG', 'DENIED'], ['EIO', 'UNAVAILABLE'], ['ESTALE', 'UNAVAILABLE'], ['EMFILE', 'UNAVAILABLE'], ['ETIMEDOUT', 'UNAVAILABLE'],
    ])('%s on writing becomes %s', async (errno, code) => {
      const failing = await open({ fileSystem: failingWrites(errno) });
      const error = await errorOf(failing.create('index/1', [utf8('x')]));
      expect(error).toMatchObject({ code, context: { name: 'index/1', errno } });
      expect(error.context['effectUnknown']).toBeUndefined();
      expect(error.cause).toMatchObject({ code: errno });
      expect(error.hint).toBeDefined();
      expect(error.message).toBe(`Cannot create 'index/1' in '${path}': some reason (${errno})`);
      expect(await listedNames(backend)).toEqual([]);
    });
    test.each([['EACCES', 'DENIED'], ['EIO', 'UNAVAILABLE'], ['EMFILE', 'UNAVAILABLE'], ['ENOENT', 'OBJECT_NOT_FOUND']])(
      '%s on reading becomes %s', async (errno, code) => {
        const fail = async (): Promise<never> => { throw errnoError(errno, 'some reason, open'); };
        const failing = await open({ fileSystem: withFaults({ openFile: fail }) });
        expect((await errorOf(failing.read('index/1'))).code).toBe(code);
      });
    test('a failed sync of the directory after createIfAbsent leaves the effect unknown', async () => {
      await backend.create('gc/0', [utf8('x')]);
      const failing = await open({ fileSystem: withFaults({ syncDirectory: async directory => {
        if (directory === `${path}/gc`) throw errnoError('EIO', 'i/o error, fsync');
      } }) });
      const error = await errorOf(failing.createIfAbsent('gc/1', utf8('plan')));
      expect(error).toMatchObject({ code: 'UNAVAILABLE', context: { effectUnknown: 1 } });
      expect(await backend.read('gc/1')).toEqual(utf8('plan'));
    });
    test.each([['EIO', 1], ['ESTALE', 1], ['ENOSPC', undefined], ['EACCES', undefined], ['EMLINK', undefined]])(
      'a link that failed with %s has effectUnknown %s', async (errno, effectUnknown) => {
        let isProbed = false;
        const failing = await open({ fileSystem: withFaults({ link: async () => {
          if (isProbed) throw errnoError(errno, 'some reason, link');
          isProbed = true;
        }, unlink: async file => file.endsWith('.link') ? undefined : nodeFileSystem.unlink(file) }) });
        expect((await errorOf(failing.createIfAbsent('gc/1', utf8('plan')))).context['effectUnknown']).toBe(effectUnknown);
      });
    test('a link that was made although its answer said EEXIST counts as made, as on NFS', async () => {
      const opened = await open({ fileSystem: withFaults({ link: async (existing, target) => {
        await nodeFileSystem.link(existing, target);
        if (!target.endsWith('.link')) throw errnoError('EEXIST', 'file already exists, link');
      } }) });
      expect(await opened.createIfAbsent('snapshots/5e', utf8('mine'))).toBe('created');
      expect(await opened.createIfAbsent('snapshots/5e', utf8('mine'))).toBe('exists');
    });
    test('create of the same bytes once more succeeds, since an earlier try made them', async () => {
      await backend.create('index/1', [utf8('same '), utf8('bytes')]);
      await backend.create('index/1', [utf8('same'), utf8(' bytes')]);
      expect(await backend.read('index/1')).toEqual(utf8('same bytes'));
    });
    test('directories that somebody removed are made again by the next try', async () => {
      await backend.create('packs/d/3f/1', [utf8('x')]);
      await rm(`${path}/packs`, { recursive: true });
      expect(await codeOf(backend.create('packs/d/3f/2', [utf8('x')]))).toBe('UNAVAILABLE');
      await backend.create('packs/d/3f/2', [utf8('x')]);
      expect(await listedNames(backend)).toEqual(['packs/d/3f/2']);
    });
    test('a file in the place of a directory refuses objects below it', async () => {
      await backend.create('index', [utf8('x')]);
      expect(await codeOf(backend.create('index/1', [utf8('x')]))).toBe('DENIED');
      expect(await codeOf(backend.read('index/1'))).toBe('OBJECT_NOT_FOUND');
    });
  });

  describe('a repository directory that has vanished', () => {
    const everyCall = (): [string, Promise<unknown>][] => [
      ['read', backend.read('config')], ['stat', backend.stat('config')], ['list', listedNames(backend)], ['list part', listedNames(backend, 'packs/d/')],
      ['create', backend.create('packs/d/3f/1', [utf8('x')])], ['createIfAbsent', backend.createIfAbsent('gc/1', utf8('x'))],
      ['remove', backend.remove('config')], ['sweep', backend.sweepTemporaryFiles()], ['space', backend.space()],
    ];
    const codes = async (): Promise<Record<string, string>> =>
      Object.fromEntries(await Promise.all(everyCall().map(async ([name, call]) => [name, await codeOf(call)] as const)));

    test('makes every call UNAVAILABLE, and nothing is made in its place', async () => {
      await backend.create('config', [utf8('x')]);
      await rename(path, `${path}.away`);
      const found = await codes();
      expect(Object.entries(found).filter(([, code]) => code !== 'UNAVAILABLE')).toEqual([]);
      await expect(lstat(path)).rejects.toThrow('ENOENT');
      await rename(`${path}.away`, path);
      expect(await backend.read('config')).toEqual(utf8('x'));
    });
    test.skipIf(!canMount())('behind an unmounted disk is UNAVAILABLE too, and the mount point stays empty', async () => {
      await rm(path, { recursive: true });
      await mkdir(path);
      mount(path, '4m');
      try {
        backend = await open({ create: true });
        await backend.create('config', [utf8('x')]);
      } finally {
        unmount(path);
      }
      const found = await codes();
      expect(Object.entries(found).filter(([, code]) => code !== 'UNAVAILABLE')).toEqual([]);
      expect(await readdir(path)).toEqual([]);
    });
  });

  test('space tells what the file system has left', async () => {
    const { freeBytes, totalBytes } = await backend.space();
    expect(freeBytes).toBeGreaterThan(0);
    expect(totalBytes).toBeGreaterThan(freeBytes);
  });
});

/** The methods of a file object as own properties, so that some can be replaced. */
async function bound(file: ReturnType<FileSystem['createFile']>): ReturnType<FileSystem['createFile']> {
  const inner = await file;
  return { write: parts => inner.write(parts), sync: () => inner.sync(), close: () => inner.close() };
}

function mount(place: string, size: string): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},nr_inodes=200`, 'snap-test', place], { stdio: 'pipe' });
}

function unmount(place: string): void {
  execFileSync('umount', [place], { stdio: 'pipe' });
}

function canMount(): boolean {
  if (!isRoot) return false;
  const place = execFileSync('mktemp', ['-d'], { encoding: 'utf8' }).trim();
  try {
    mount(place, '1m');
    unmount(place);
    return true;
  } catch {
    return false;
  } finally {
    execFileSync('rmdir', [place]);
  }
}

describe.skipIf(!canMount())('LocalBackend on a full disk (needs root and mount)', () => {
  let path: string;
  beforeEach(async () => {
    path = await makePlace();
    mount(path, '2m');
  });
  afterEach(async () => {
    unmount(path);
    await rm(path, { recursive: true });
  });

  test('create fails with NO_SPACE, leaves no trace and takes nothing from what is there', async () => {
    const backend = await openLocalBackend(path, { ...ambient, create: true });
    const pack = new SeededRandom(1).bytes(300_000);
    let stored = 0;
    let code = 'no error';
    while (code === 'no error') {
      code = await codeOf(backend.create(`packs/d/3f/${stored}`, [pack.subarray(0, 100_000), pack.subarray(100_000)]));
      if (code === 'no error') stored++;
    }
    expect(code).toBe('NO_SPACE');
    expect(stored).toBeGreaterThan(3);
    expect(await codeOf(backend.createIfAbsent('gc/1', pack))).toBe('NO_SPACE');
    const names = await listedNames(backend);
    expect(names).toHaveLength(stored);
    for (const name of names) expect(Buffer.compare(await backend.read(name), pack)).toBe(0);
    expect(await readdir(`${path}/tmp`)).toEqual([]);
  });

  test('a full store opens, gives space back and takes objects again', async () => {
    const backend = await openLocalBackend(path, { ...ambient, create: true });
    const pack = new SeededRandom(2).bytes(100_000);
    let stored = 0;
    while (await codeOf(backend.create(`packs/d/3f/${stored}`, [pack])) === 'no error') stored++;
    const { freeBytes: rest } = await backend.space();
    await writeFile(`${path}/filler`, new Uint8Array(rest)).catch(() => undefined);
    const again = await openLocalBackend(path, ambient);
    expect(again.capabilities.createIfAbsent).toBe('atomic');
    await again.remove('packs/d/3f/0');
    await again.create('packs/d/3f/again', [pack]);
    expect(await again.read('packs/d/3f/again')).toEqual(pack);
  });

  test('no inode is left: NO_SPACE as well', async () => {
    const backend = await openLocalBackend(path, { ...ambient, create: true });
    let count = 0;
    let code = 'no error';
    for (; code === 'no error' && count < 300; count++) code = await codeOf(backend.create(`index/${count}`, []));
    expect([code, count < 300]).toEqual(['NO_SPACE', true]);
  });
});
