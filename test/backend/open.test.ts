import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { inspect } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { systemClock, systemRandom } from '../../src/base/ambient.ts';
import { utf8 } from '../../src/base/bytes.ts';
import { SnapError } from '../../src/base/errors.ts';
import { type Location, openBackend, parseLocation } from '../../src/backend/open.ts';
import { TransferLimits } from '../../src/backend/transfer-limits.ts';
import { backendConformance, codeOf, listedNames } from '../conformance/backend.ts';
import { FakeS3 } from '../support/fake-s3.ts';
import { TestClock } from '../support/test-clock.ts';

const ambient = { clock: systemClock, random: systemRandom };

backendConformance('openBackend of a path with limits', async () => {
  const path = await mkdtemp(`${tmpdir()}/snap-open-`);
  const limits = new TransferLimits(systemClock, () => ({ upload: 2 ** 33, download: 2 ** 33 }));
  return {
    open: async () => (await openBackend(path, { ...ambient, create: true, limits })).backend,
    dispose: () => rm(path, { recursive: true }),
  };
}, { createIfAbsent: 'atomic', canRemove: true, clockToleranceMs: 10_000 });

describe('parseLocation', () => {
  test('a path becomes absolute', () => {
    expect(parseLocation('/srv/backup')).toEqual({ kind: 'local', path: '/srv/backup', printable: '/srv/backup' });
    expect(parseLocation('backup/../x').kind).toBe('local');
    expect(parseLocation('./s3:odd')).toMatchObject({ kind: 'local', path: `${process.cwd()}/s3:odd` });
    expect(parseLocation('/with:colon')).toMatchObject({ path: '/with:colon' });
    expect(parseLocation('C:\\backup').kind).toBe('local');
  });
  test.each([
    ['s3://bucket', undefined, 'bucket', '', 's3://bucket'],
    ['s3://bucket/', undefined, 'bucket', '', 's3://bucket'],
    ['s3://bucket/a/b/', undefined, 'bucket', 'a/b', 's3://bucket/a/b'],
    ['s3://My_Bucket.1/me@home', undefined, 'My_Bucket.1', 'me@home', 's3://My_Bucket.1/me@home'],
    ['s3:https://s3.example.org/bucket/a', 'https://s3.example.org', 'bucket', 'a', 's3:https://s3.example.org/bucket/a'],
    ['s3:http://127.0.0.1:9000/bucket', 'http://127.0.0.1:9000', 'bucket', '', 's3:http://127.0.0.1:9000/bucket'],
    ['s3:https://[::1]:9000/bucket/a%20b', 'https://[::1]:9000', 'bucket', 'a b', 's3:https://[::1]:9000/bucket/a b'],
  ])('%s is an S3 location', (text, endpoint, bucket, prefix, printable) =>
    expect(parseLocation(text)).toEqual({ kind: 's3', endpoint, bucket, prefix, credentials: undefined, printable }));
  test.each([
    ['sftp://host/srv/x', undefined, 'host', 22, '/srv/x', 'sftp://host/srv/x'],
    ['sftp://me@host:2222/srv/x/', 'me', 'host', 2222, '/srv/x', 'sftp://me@host:2222/srv/x'],
    ['sftp://me@host//srv/x', 'me', 'host', 22, '/srv/x', 'sftp://me@host/srv/x'],
    ['sftp://me@host/~/x', 'me', 'host', 22, '~/x', 'sftp://me@host/~/x'],
    ['sftp://me%40corp@[::1]:22/x', 'me@corp', '[::1]', 22, '/x', 'sftp://me@corp@[::1]:22/x'],
  ])('%s is an SFTP location', (text, user, host, port, path, printable) =>
    expect(parseLocation(text)).toEqual({ kind: 'sftp', user, password: undefined, host, port, path, printable }));

  test.each([
    ['azure:myaccount/my-container', 'myaccount', 'my-container', '', 'azure:myaccount/my-container'],
    ['azure://myaccount/backups/a/b/', 'myaccount', 'backups', 'a/b', 'azure:myaccount/backups/a/b'],
  ])('%s is a location in Azure', (text, account, container, prefix, printable) =>
    expect(parseLocation(text)).toEqual({ kind: 'azure', account, container, prefix, printable }));
  test('credentials are kept apart from everything that is printed', () => {
    const s3 = parseLocation('s3:https://AKIAKEY:p%2Fhunter3@host:9000/bucket/a') as Extract<Location, { kind: 's3' }>;
    const sftp = parseLocation('sftp://me:hunter2@host/x') as Extract<Location, { kind: 'sftp' }>;
    expect(s3.credentials?.reveal()).toEqual({ accessKeyId: 'AKIAKEY', secretAccessKey: 'p/hunter3' });
    expect(sftp.password?.reveal()).toBe('hunter2');
    const shown = [s3, sftp].map(location => `${location.printable} ${JSON.stringify(location)} ${inspect(location)}`).join();
    for (const secret of ['AKIAKEY', 'hunter3', 'hunter2']) expect(shown).not.toContain(secret);
  });

  test.each([
    '', 's3://', 's3:///x', 's3://-bad/x', 's3://b ucket', 's3://bucket/../x', 's3://bucket/a//b', 's3://bucket/./x', 's3:bucket/x', 's3:https://host',
    's3:https://host/', 's3:https:///bucket', 's3:ftp://host/bucket', 's3:https://host/bucket?x=1', 's3:https://key@host/bucket', 's3:https://host/%zz',
    'sftp://', 'sftp://host', 'sftp://host/', 'sftp://host/~', 'sftp:host:/x', 'sftp://-oProxyCommand=x/y', 'sftp://-x@host/y', 'sftp://host:0/x',
    'sftp://host:70000/x', 'rest:https://host/', 'b2:bucket', 'gs://bucket', 'file:///x', 'https://host/x', 'me@host.org:x', 'host:/x', 'me@host:', ':x', 'a\0b',
    'azure:', 'azure:myaccount', 'azure:My/container', 'azure:myaccount/a', 'azure:myaccount/a--b', 'azure:myaccount/container/../x', 'azure:myaccount/container/x.', 'azure:myaccount/container/a\\b',
  ])('%j is refused as wrong usage', text => {
    let thrown: unknown;
    try {
      parseLocation(text);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(SnapError);
    expect(thrown).toMatchObject({ code: 'USAGE', hint: expect.any(String) as string });
  });

  test.each([
    's3:https://KEY:hunter2@host', 's3:https://KEY:hunter2/x@host/bucket/a', 's3:https://KEY:12/hunter2@host/bucket/a', 's3://KEY:hunter2@bucket/x',
    'sftp://me:hunter2@', 'sftp://me:hunter2@host', 'sftp://me:1?hunter2@host/x', 'sftp://me:1/hunter2@host/x', 'sftp://me:1#hunter2@host/x',
    'rest:https://me:hunter2@host/', 'me:hunter2:x@host', 'https://host/?password=hunter2', 's3:https://host/bucket?secret=hunter2', 'sftp:me:hunter2@host:/x',
    'azure:me:hunter2@myaccount/container', 'azure:myaccount/container?sig=hunter2',
  ])('%s is refused without showing the secret', text => {
    expect(() => parseLocation(text)).toThrow(SnapError);
    expect(() => parseLocation(text)).not.toThrow(/hunter2/);
  });
  test('control characters are not printed', () => expect(parseLocation('/a\u001b[31m').printable).toBe('/a?[31m'));
});

describe('openBackend', () => {
  const passingSleep = { ...ambient, clock: new TestClock({ runsByItself: true }) };
  test('a bucket is opened with all wrappers, and made when asked to', async () => {
    const fake = await FakeS3.start();
    onTestFinished(() => fake.close());
    expect(await codeOf(openBackend(fake.location('p', 'new'), ambient))).toBe('REPOSITORY_NOT_FOUND');
    fake.plan({ on: 'LIST', effect: 'answer', status: 503, code: 'SlowDown', after: 1 });
    const { backend, local, location } = await openBackend(fake.location('p', 'new'), { ...ambient, create: true, appendOnly: true, s3: { concurrency: 3 } });
    expect([location.kind, local, backend.writesAtOnce]).toEqual(['s3', undefined, 3]);
    await backend.create('index/1', [utf8('x')]);
    expect(await codeOf(backend.remove('index/1'))).toBe('DENIED');
    expect(await listedNames(backend)).toEqual(['index/1']);
    await backend.close();
    fake.assertAllHit();
  });
  test.each(['s3:http://KEY:hunter2@127.0.0.1:1/bucket', 'sftp://me:hunter2@127.0.0.1:1/x'])('%s is tried again for a minute, and never shows the secret', async text => {
    const operations: string[] = [];
    const error = await openBackend(text, { ...passingSleep, onRetry: ({ operation }) => operations.push(operation), ssh: { home: '/nonexistent' } })
      .catch((thrown: unknown) => thrown as SnapError);
    expect(error).toMatchObject({ code: 'UNAVAILABLE', hint: expect.any(String) as string });
    expect(inspect(error, { depth: 20 })).not.toContain('hunter2');
    expect(new Set(operations)).toEqual(new Set(['open']));
    expect(operations.length).toBeGreaterThan(3);
  });
  test('a refusal is final at once', async () => {
    const fake = await FakeS3.start();
    onTestFinished(() => fake.close());
    fake.denies = () => true;
    expect(await codeOf(openBackend(fake.location(), ambient))).toBe('DENIED');
    expect(fake.requests).toHaveLength(1);
  });
  test('append-only sees what an adapter learns later of the store', async () => {
    const fake = await FakeS3.start({ conditions: '501' });
    onTestFinished(() => fake.close());
    const { backend } = await openBackend(fake.location(), { ...ambient, appendOnly: true });
    await backend.createIfAbsent('gc/1', utf8('x'));
    expect(backend.capabilities).toEqual({ createIfAbsent: 'none', canRemove: false });
    await backend.close();
  });
  test('a path that is not there is REPOSITORY_NOT_FOUND', async () =>
    expect(await codeOf(openBackend('/nonexistent/repository', ambient))).toBe('REPOSITORY_NOT_FOUND'));
  test('append-only refuses to remove', async () => {
    const path = await mkdtemp(`${tmpdir()}/snap-open-`);
    try {
      const { backend, local, location } = await openBackend(path, { ...ambient, create: true, appendOnly: true });
      expect([location.kind, local?.location]).toEqual(['local', path]);
      await backend.create('index/1', [utf8('x')]);
      expect(backend.capabilities.canRemove).toBe(false);
      expect(await codeOf(backend.remove('index/1'))).toBe('DENIED');
    } finally {
      await rm(path, { recursive: true });
    }
  });
});
