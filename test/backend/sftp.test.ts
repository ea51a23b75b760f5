import { getEventListeners } from 'node:events';
import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, utimesSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { systemClock, systemRandom } from '../../src/base/ambient.ts';
import { utf8 } from '../../src/base/bytes.ts';
import type { SnapError } from '../../src/base/errors.ts';
import { parseLocation, type SftpLocation } from '../../src/backend/location.ts';
import { RetryingBackend } from '../../src/backend/retrying.ts';
import { openSftpBackend, type SftpBackend } from '../../src/backend/sftp.ts';
import type { SshSettings } from '../../src/backend/ssh-connection.ts';
import { parseSessionId } from '../../src/format/ids.ts';
import { snapshotName } from '../../src/format/object-names.ts';
import { commitRecord } from '../../src/repository/commit.ts';
import { backendConformance, codeOf, listedNames } from '../conformance/backend.ts';
import { SshServer } from '../support/ssh-server.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { TestClock } from '../support/test-clock.ts';

const ambient = { clock: systemClock, random: systemRandom };

function open(server: SshServer, repository: string, options: { create?: boolean; settings?: SshSettings; port?: number } = {}): Promise<SftpBackend> {
  const { create = true, settings = {}, port } = options;
  const location = parseLocation(server.location(repository, port)) as SftpLocation;
  return openSftpBackend(location, { ...ambient, create, settings: { ...server.settings, ...settings } });
}

async function errorOf(call: Promise<unknown>): Promise<SnapError> {
  return call.then(() => { throw new Error('It did not fail'); }, (error: SnapError) => error);
}

let shared: SshServer;
beforeAll(async () => { shared = await SshServer.start(); });
afterAll(() => shared.stop());

let storages = 0;
backendConformance('SftpBackend', async () => {
  const repository = `conformance-${storages++}`;
  const opened: SftpBackend[] = [];
  return {
    open: async () => {
      const backend = await open(shared, repository);
      opened.push(backend);
      return backend;
    },
    dispose: async () => { for (const backend of opened) await backend.close(); },
    denyReading: async object => {
      const path = `${shared.path(repository)}/${object}`;
      if (process.getuid!() === 0) chownSync(path, 0, 0);
      chmodSync(path, 0o000);
    },
  };
}, { createIfAbsent: 'atomic', canRemove: true, clockToleranceMs: 10_000 });

describe('on a server with fewer abilities', () => {
  test.each([
    ['hard links', '-P hardlink'], ['hard links and renames that replace', '-P hardlink,posix-rename'], ['syncs', '-P hardlink,fsync,statvfs,limits'],
  ])('without %s SFTP is used without create-only writes', async (_what, sftpWords) => {
    const server = await SshServer.start({ sftpWords });
    onTestFinished(() => server.stop());
    const backend = await open(server, 'repository');
    expect(backend.capabilities.createIfAbsent).toBe('none');
    expect(await backend.createIfAbsent('gc/1', utf8('first'))).toBe('created');
    expect(await backend.createIfAbsent('gc/1', utf8('second'))).toBe('exists');
    expect(await codeOf(backend.create('gc/1', [utf8('third')]))).toBe('DENIED');
    expect(await Promise.all(['a', 'b', 'c'].map(each => backend.createIfAbsent('gc/2', utf8(each))))).toEqual(['created', 'exists', 'exists']);
    expect(await backend.read('gc/1')).toEqual(utf8('first'));
    await backend.remove('gc/1');
    expect(await listedNames(backend)).toEqual(['gc/2']);
    expect(readdirSync(`${server.path()}/tmp`)).toEqual([]);
    await backend.close();
  });
});

describe('SftpBackend', () => {
  let server: SshServer;
  let proxy: TcpProxy;
  let repository: string;
  let count = 0;
  beforeAll(async () => {
    server = shared;
    proxy = await TcpProxy.start(server.port);
    server.writeKnownHosts(`[127.0.0.1]:* ${server.hostKey()}\n`);
  });
  afterAll(() => proxy.close());
  beforeEach(() => { repository = `r${count++}`; });

  async function opened(options: Parameters<typeof open>[2] = {}): Promise<SftpBackend> {
    const backend = await open(server, repository, options);
    onTestFinished(() => backend.close());
    return backend;
  }
  const throughProxy = (settings: SshSettings = {}): Promise<SftpBackend> => opened({ port: proxy.port, settings });
  const patiently = (backend: SftpBackend): RetryingBackend => new RetryingBackend(backend, { ...ambient, firstDelayMs: 10 });

  describe('the directory on the server', () => {
    test('is made with its parents when asked to, for its owner alone', async () => {
      repository = 'a/b/c';
      await (await opened()).create('packs/d/3f/3f00', [utf8('x')]);
      const modes = ['', '/tmp', '/packs', '/packs/d/3f', '/packs/d/3f/3f00'].map(name => (lstatSync(server.path(repository) + name).mode & 0o7777).toString(8));
      expect(modes).toEqual(['700', '700', '700', '700', '600']);
    });
    test('that is not there is REPOSITORY_NOT_FOUND, and nothing is made', async () => {
      expect(await codeOf(opened({ create: false }))).toBe('REPOSITORY_NOT_FOUND');
      expect(existsSync(server.path(repository))).toBe(false);
    });
    test('that is only looked at stays as it was', async () => {
      mkdirSync(server.path(repository), { mode: 0o777 });
      await opened({ create: false });
      expect(readdirSync(server.path(repository))).toEqual([]);
    });
    test('can lie in the home directory', async () => {
      const location = parseLocation(`sftp://${server.user}@127.0.0.1:${server.port}/~/surely-not-there-${process.pid}`) as SftpLocation;
      const error = await errorOf(openSftpBackend(location, { ...ambient, settings: server.settings }));
      expect(error).toMatchObject({ code: 'REPOSITORY_NOT_FOUND' });
      expect(error.message).toContain('/~/surely-not-there');
    });
    test('that vanishes never makes an object pass for missing', async () => {
      const backend = await opened();
      await backend.create('config', [utf8('x')]);
      renameSync(server.path(repository), `${server.path(repository)}-away`);
      expect(await codeOf(backend.read('config'))).toBe('UNAVAILABLE');
      expect(await codeOf(listedNames(backend))).toBe('UNAVAILABLE');
      expect(await codeOf(backend.create('index/1', [utf8('x')]))).toBe('UNAVAILABLE');
    });
    test.runIf(process.getuid!() === 0)('that belongs to another is DENIED', async () => {
      mkdirSync(server.path(repository), { mode: 0o755 });
      const backend = await opened({ create: false });
      expect(await codeOf(backend.create('index/1', [utf8('x')]))).toBe('DENIED');
      expect(await listedNames(backend)).toEqual([]);
    });
    test('has only plain files as objects, and no temporary ones', async () => {
      const backend = await opened();
      await backend.create('index/1', [utf8('x')]);
      writeFileSync(`${server.path(repository)}/tmp/half`, 'x');
      mkdirSync(`${server.path(repository)}/index/5`, { mode: 0o777 });
      expect(await listedNames(backend)).toEqual(['index/1']);
      expect(await codeOf(backend.read('index/5'))).toBe('OBJECT_NOT_FOUND');
    });
    test('loses the temporary files of dead writers after a day', async () => {
      const backend = await opened();
      for (const [name, hours] of [['young', 23], ['old', 25]] as const) {
        writeFileSync(`${server.path(repository)}/tmp/${name}`, 'x');
        const time = new Date(Date.now() - hours * 3_600_000);
        utimesSync(`${server.path(repository)}/tmp/${name}`, time, time);
      }
      expect(await backend.sweepTemporaryFiles()).toBe(1);
      expect(readdirSync(`${server.path(repository)}/tmp`)).toEqual(['young']);
    });
    test('tells how much is free', async () => expect((await (await opened()).space()).freeBytes).toBeGreaterThan(1_000_000));
    test('with thousands of objects in one folder is listed whole', async () => {
      const backend = await opened();
      await backend.create('index/0', [utf8('x')]);
      for (let i = 1; i < 3000; i++) writeFileSync(`${server.path(repository)}/index/${i}`, 'x');
      expect(new Set(await listedNames(backend)).size).toBe(3000);
    });
  });

  describe('a connection that is lost', () => {
    test('between two calls is made anew', async () => {
      const backend = await throughProxy();
      await backend.create('index/1', [utf8('x')]);
      const before = proxy.connections;
      proxy.cut();
      await patiently(backend).create('index/2', [utf8('y')]);
      expect(await listedNames(backend)).toEqual(['index/1', 'index/2']);
      expect(proxy.connections).toBe(before + 1);
    });
    test('in the middle of an upload leaves no object, and the next try succeeds', async () => {
      const backend = await throughProxy();
      const pack = systemRandom.bytes(5_000_000);
      proxy.cutAfter(2_000_000);
      expect(await codeOf(backend.create('packs/d/00/1', [pack]))).toBe('UNAVAILABLE');
      expect(await listedNames(backend)).toEqual([]);
      proxy.cutAfter(2_000_000);
      await patiently(backend).create('packs/d/00/1', [pack]);
      expect(Buffer.compare(await backend.read('packs/d/00/1'), pack)).toBe(0);
    });
    test('in the middle of many reads fails none of them when they are repeated', async () => {
      const backend = await throughProxy();
      const pack = systemRandom.bytes(3_000_000);
      await backend.create('packs/d/00/1', [pack]);
      const before = proxy.connections;
      const reads = Array.from({ length: 30 }, (_, i) => patiently(backend).read('packs/d/00/1', { offset: i * 100_000, length: 100_000 }));
      proxy.cutAfter(3_000);
      for (const [i, bytes] of (await Promise.all(reads)).entries()) expect(Buffer.compare(bytes, pack.subarray(i * 100_000, (i + 1) * 100_000))).toBe(0);
      expect(proxy.connections).toBeGreaterThan(before);
    });
    describe('after the link, before its answer', () => {
      const id = parseSessionId('5e'.repeat(16));
      /** Runs `write`, which makes the object, and cuts the connection when the object is there. */
      const withLostAnswer = async <T>(write: (backend: SftpBackend) => Promise<T>): Promise<T> => {
        const backend = await throughProxy();
        await backend.create('snapshots/other', [utf8('makes the directory')]);
        const path = `${server.path(repository)}/${snapshotName(id)}`;
        proxy.delayAnswers(100);
        onTestFinished(() => proxy.delayAnswers(0));
        const outcome = write(backend);
        outcome.catch(() => undefined);
        while (!existsSync(path)) await new Promise(resolve => { setTimeout(resolve, 5); });
        proxy.delayAnswers(0);
        proxy.cut();
        return outcome;
      };
      test('createIfAbsent says that its effect is unknown', async () => {
        const error = await errorOf(withLostAnswer(backend => backend.createIfAbsent(snapshotName(id), utf8('record'))));
        expect([error.code, error.context['effectUnknown']]).toEqual(['UNAVAILABLE', 1]);
      });
      test('a commit is recognised as done', async () => {
        const outcome = await withLostAnswer(backend => commitRecord(patiently(backend), 'create-only', id, utf8('record')));
        expect(outcome).toBe('committed');
        expect(readFileSync(`${server.path(repository)}/${snapshotName(id)}`, 'utf8')).toBe('record');
      });
      test('create succeeds when it is repeated', async () => {
        await withLostAnswer(backend => patiently(backend).create(snapshotName(id), [utf8('record')]));
        expect(readFileSync(`${server.path(repository)}/${snapshotName(id)}`, 'utf8')).toBe('record');
      });
    });
    test('for good is UNAVAILABLE', async () => {
      const own = await TcpProxy.start(server.port);
      const backend = await opened({ port: own.port });
      await own.close();
      const error = await errorOf(backend.stat('config'));
      expect(error).toMatchObject({ code: 'UNAVAILABLE', hint: expect.any(String) as string });
      expect(error.message).toContain('127.0.0.1');
    });
  });

  describe('a server that hangs', () => {
    test('is UNAVAILABLE after the idle time, and is used again when it lives', async () => {
      const backend = await throughProxy({ idleTimeoutMs: 300 });
      await backend.create('index/1', [utf8('x')]);
      proxy.stall();
      expect(await codeOf(backend.read('index/1'))).toBe('UNAVAILABLE');
      proxy.resume();
      expect(await patiently(backend).read('index/1')).toEqual(utf8('x'));
    });
    test('before the handshake is UNAVAILABLE', async () => {
      proxy.stall();
      onTestFinished(() => proxy.resume());
      expect(await codeOf(throughProxy({ connectTimeoutMs: 300 }))).toBe('UNAVAILABLE');
    });
    test('does not keep a run from ending', async () => {
      const backend = await throughProxy();
      await backend.create('index/1', [utf8('x')]);
      proxy.stall();
      onTestFinished(() => proxy.resume());
      const controller = new AbortController();
      const call = codeOf(backend.read('index/1', undefined, { signal: controller.signal }));
      controller.abort();
      expect(await call).toBe('CANCELLED');
    });
  });

  test('nothing is left behind at the signal of a long job', async () => {
    const backend = await opened();
    const { signal } = new AbortController();
    await Promise.all(Array.from({ length: 30 }, (_, i) => backend.create(`index/${i}`, [utf8('x')], { signal })));
    await Promise.all(Array.from({ length: 30 }, (_, i) => backend.read(`index/${i}`, undefined, { signal })));
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
  test('the pauses of a repetition are those of the clock that was given', async () => {
    const backend = await throughProxy();
    proxy.cut();
    const retrying = new RetryingBackend(backend, { clock: new TestClock({ runsByItself: true }), random: systemRandom });
    await retrying.create('index/1', [utf8('x')]);
  });
});
