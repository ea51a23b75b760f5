import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { systemClock, systemRandom } from '../../src/base/ambient.ts';
import { utf8 } from '../../src/base/bytes.ts';
import { SnapError } from '../../src/base/errors.ts';
import { type Location, openBackend, parseLocation } from '../../src/backend/open.ts';
import { backendConformance, codeOf } from '../conformance/backend.ts';

const ambient = { clock: systemClock, random: systemRandom };

backendConformance('openBackend of a path with limits', async () => {
  const path = await mkdtemp(`${tmpdir()}/snap-open-`);
  const limit = 2 ** 33;
  return {
    open: async () => (await openBackend(path, { ...ambient, create: true, uploadBytesPerSecond: limit, downloadBytesPerSecond: limit })).backend,
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
  ])('%s is refused without showing the secret', text => {
    expect(() => parseLocation(text)).toThrow(SnapError);
    expect(() => parseLocation(text)).not.toThrow(/hunter2/);
  });
  test('control characters are not printed', () => expect(parseLocation('/a\u001b[31m').printable).toBe('/a?[31m'));
});

describe('openBackend', () => {
  test.each(['s3://bucket/x', 's3:https://KEY:hunter2@host/bucket', 'sftp://me:hunter2@host/x'])('%s is not supported yet and says so', async text => {
    const error = await openBackend(text, ambient).catch((thrown: unknown) => thrown as SnapError);
    expect(error).toMatchObject({ code: 'UNSUPPORTED_STORE', hint: expect.any(String) as string });
    expect(String(error)).not.toContain('hunter2');
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
