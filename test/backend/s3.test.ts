import { getEventListeners } from 'node:events';
import { describe, expect, onTestFinished, test } from 'vitest';
import { systemClock, systemRandom } from '../../src/base/ambient.ts';
import { utf8 } from '../../src/base/bytes.ts';
import { parseLocation, type S3Location } from '../../src/backend/location.ts';
import { S3Backend } from '../../src/backend/s3.ts';
import type { S3Settings } from '../../src/backend/s3-client.ts';
import { probeBackend } from '../../src/repository/probe.ts';
import { backendConformance, codeOf, listed, listedNames } from '../conformance/backend.ts';
import { FakeS3, type FakeS3Options } from '../support/fake-s3.ts';

const open = (fake: FakeS3, settings: S3Settings = {}, prefix = 'prefix'): S3Backend =>
  new S3Backend(parseLocation(fake.location(prefix)) as S3Location, systemClock, settings);

function conformanceOn(name: string, options: FakeS3Options, createIfAbsent: 'atomic' | 'none'): void {
  backendConformance(name, async () => {
    const fake = await FakeS3.start(options);
    const denied = new Set<string>();
    fake.denies = (_operation, key) => denied.has(key);
    return {
      open: async () => {
        const backend = open(fake);
        // A server without create-only writes is known for one after the first write.
        if (createIfAbsent === 'none') {
          await backend.create('probe/0', [utf8('x')]);
          await backend.remove('probe/0');
        }
        return backend;
      },
      dispose: () => fake.close(),
      secrets: ['fake-secret'],
      denyReading: async object => { denied.add(`prefix/${object}`); },
    };
  }, { createIfAbsent, canRemove: true, clockToleranceMs: 10_000 });
}

conformanceOn('S3Backend', { pageSize: 150 }, 'atomic');
conformanceOn('S3Backend on a server without create-only writes', { conditions: '501' }, 'none');

async function startFake(options: FakeS3Options = {}): Promise<FakeS3> {
  const fake = await FakeS3.start(options);
  onTestFinished(() => fake.close());
  return fake;
}

describe('create-only writes', () => {
  test.each(['501', '400'] as const)('a server that refuses them with %s is used without', async conditions => {
    const fake = await startFake({ conditions });
    const backend = open(fake);
    expect(backend.capabilities.createIfAbsent).toBe('atomic');
    expect(await backend.createIfAbsent('gc/1', utf8('first'))).toBe('created');
    expect(backend.capabilities.createIfAbsent).toBe('none');
    expect(await backend.createIfAbsent('gc/1', utf8('second'))).toBe('exists');
    expect(await codeOf(backend.create('gc/1', [utf8('third')]))).toBe('DENIED');
    expect(await backend.read('gc/1')).toEqual(utf8('first'));
    expect((await probeBackend(backend, systemRandom)).createIfAbsent).toBe('none');
    expect(fake.requests.filter(request => request.headers['if-none-match'] !== undefined)).toHaveLength(1);
  });
  test('a server that has kept one is never taken for one that does not know them', async () => {
    const fake = await startFake();
    const backend = open(fake);
    await backend.create('config', [utf8('x')]);
    fake.plan({ on: 'PUT', effect: 'answer', status: 501, code: 'NotImplemented' });
    expect(await codeOf(backend.create('index/1', [utf8('x')]))).toBe('DENIED');
    expect(backend.capabilities.createIfAbsent).toBe('atomic');
  });
  test('a server that ignores the condition in silence is found out by the probe', async () => {
    expect((await probeBackend(open(await startFake({ conditions: 'ignored' })), systemRandom)).createIfAbsent).toBe('none');
  });
  test('a server that keeps them passes the probe', async () =>
    expect((await probeBackend(open(await startFake()), systemRandom)).createIfAbsent).toBe('atomic'));
});

describe('the bucket', () => {
  test('that is there is known by the first read, which is not repeated', async () => {
    const fake = await startFake();
    fake.plant('prefix/config', 'the configuration');
    const backend = open(fake);
    await backend.checkBucket();
    expect(await backend.read('config')).toEqual(utf8('the configuration'));
    expect(fake.requests.map(({ operation, key }) => [operation, key])).toEqual([['GET', 'prefix/config']]);
  });
  test('that is not there is no repository, and is made for a new one', async () => {
    const fake = await startFake();
    const backend = new S3Backend(parseLocation(fake.location('p', 'another')) as S3Location, systemClock);
    expect(await codeOf(backend.checkBucket())).toBe('REPOSITORY_NOT_FOUND');
    expect(fake.hasBucket('another')).toBe(false);
    await backend.checkBucket({ create: true });
    await backend.create('config', [utf8('x')]);
    expect(fake.keys('another')).toEqual(['p/config']);
  });
  test('that vanishes in mid-run is refused, and no object passes for missing', async () => {
    const fake = await startFake();
    const backend = new S3Backend(parseLocation(fake.location('p', 'another')) as S3Location, systemClock);
    expect(await codeOf(backend.read('config'))).toBe('DENIED');
    expect(await codeOf(listed(backend))).toBe('DENIED');
  });
});

describe('names', () => {
  test('lie below the prefix, and nothing beside it is seen', async () => {
    const fake = await startFake();
    await open(fake, {}, 'a/b').create('config', [utf8('x')]);
    await open(fake, {}, '').create('config', [utf8('y')]);
    fake.plant('a/bc/config', 'z');
    expect(fake.keys()).toEqual(['a/b/config', 'a/bc/config', 'config']);
    expect(await listedNames(open(fake, {}, 'a/b'))).toEqual(['config']);
  });
  test('of stray objects are listed whatever characters they have, folders of other tools not', async () => {
    const fake = await startFake();
    const strays = ['index/a b+c%20.txt', 'index/ü\u0001<&>', 'Index/x'];
    for (const name of [...strays, '', 'index/', 'tmp/x']) fake.plant(`prefix/${name}`, name.endsWith('/') ? '' : name);
    expect(await listedNames(open(fake))).toEqual([...strays].sort());
  });
});

describe('what is sent', () => {
  const bytes = utf8('content');
  const headersOf = async (settings: S3Settings, name: string): Promise<Readonly<Record<string, string>>> => {
    const fake = await startFake();
    await open(fake, settings).create(name, [bytes]);
    return fake.requests[0]!.headers;
  };
  test('carries its SHA-256 as signed header and as checksum', async () => {
    const headers = await headersOf({}, 'config');
    expect(Buffer.from(headers['x-amz-checksum-sha256']!, 'base64').toString('hex')).toBe(headers['x-amz-content-sha256']);
    expect(headers['content-length']).toBe('7');
    expect(headers['expect']).toBeUndefined();
  });
  test('has no checksum header for a server that refuses it', async () => {
    const fake = await startFake({ checksums: 'refused' });
    expect(await codeOf(open(fake).create('config', [bytes]))).toBe('DENIED');
    const backend = open(fake, { checksums: false });
    await backend.create('config', [bytes]);
    expect(await backend.read('config')).toEqual(bytes);
  });
  test('has the storage class of its kind', async () => {
    const settings = { storageClass: 'GLACIER_IR', metadataStorageClass: 'STANDARD_IA' };
    const classes: Record<string, string | undefined> = {};
    for (const name of ['packs/d/3f/3f00', 'parity/3f00', 'packs/t/3f/3f00', 'index/a1', 'snapshots/5e', 'config', 'sessions/5e', 'sessions/5e.hb1', 'probe/1']) {
      classes[name] = (await headersOf(settings, name))['x-amz-storage-class'];
    }
    expect(classes).toEqual({
      'packs/d/3f/3f00': 'GLACIER_IR', 'parity/3f00': 'GLACIER_IR', 'packs/t/3f/3f00': 'STANDARD_IA', 'index/a1': 'STANDARD_IA',
      'snapshots/5e': 'STANDARD_IA', 'config': 'STANDARD_IA', 'sessions/5e': undefined, 'sessions/5e.hb1': undefined, 'probe/1': undefined,
    });
    expect((await headersOf({}, 'config'))['x-amz-storage-class']).toBeUndefined();
  });
  test('asks for the encryption that was chosen', async () => {
    const headers = await headersOf({ encryption: 'aws:kms', kmsKey: 'alias/backup' }, 'config');
    expect([headers['x-amz-server-side-encryption'], headers['x-amz-server-side-encryption-aws-kms-key-id']]).toEqual(['aws:kms', 'alias/backup']);
    expect((await headersOf({ encryption: 'AES256' }, 'config'))['x-amz-server-side-encryption']).toBe('AES256');
  });
  test('is signed for the region that was chosen', async () =>
    expect((await headersOf({ region: 'eu-central-1' }, 'config'))['authorization']).toContain('/eu-central-1/s3/'));
  test('names the bucket in the host where that is asked for', async () => {
    const place = parseLocation('s3:http://key:secret@server.invalid/bucket') as S3Location;
    const hostOf = async (settings: S3Settings): Promise<string> =>
      new S3Backend(place, systemClock, settings).stat('config').then(() => '', (error: Error) => /getaddrinfo \w+ (\S+)/.exec(error.message)?.[1] ?? error.message);
    expect(await hostOf({ pathStyle: false })).toBe('bucket.server.invalid');
    expect(await hostOf({})).toBe('server.invalid');
  });
});

describe('concurrency', () => {
  test('bounds the requests at once', async () => {
    const fake = await startFake({ delayMs: 10 });
    const backend = open(fake, { concurrency: 3 });
    await Promise.all(Array.from({ length: 20 }, (_, i) => backend.create(`packs/d/00/${i}`, [new Uint8Array(100_000)])));
    await Promise.all(Array.from({ length: 20 }, (_, i) => backend.read(`packs/d/00/${i}`)));
    expect(Math.max(...fake.requests.map(request => request.underWay))).toBe(3);
  });
  test('leaves nothing behind at the signal of a long job', async () => {
    const backend = open(await startFake());
    const { signal } = new AbortController();
    await Promise.all(Array.from({ length: 30 }, (_, i) => backend.create(`index/${i}`, [utf8('x')], { signal })));
    await Promise.all(Array.from({ length: 30 }, (_, i) => backend.read(`index/${i}`, undefined, { signal })));
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
  test('never makes a heartbeat wait behind packs', async () => {
    const fake = await startFake();
    const backend = open(fake, { concurrency: 2, idleTimeoutMs: 400 });
    fake.plan({ on: 'PUT', key: /packs/, effect: 'hang-before', times: 4 });
    const stuck = ['1', '2', '3', '4'].map(each => codeOf(backend.create(`packs/d/00/${each}`, [new Uint8Array(100_000)])));
    expect(await backend.createIfAbsent('sessions/5e.hb1', utf8('alive'))).toBe('created');
    expect(await Promise.all(stuck)).toEqual(Array(4).fill('UNAVAILABLE'));
  });
});
