/** The past and the locks of a bucket as Ceph keeps them. Fails where Ceph is not installed, and says what is missing. */
import { CreateBucketCommand, DeleteObjectCommand, ListObjectVersionsCommand, PutBucketVersioningCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { systemClock, systemRandom } from '../../src/base/ambient.ts';
import { utf8 } from '../../src/base/bytes.ts';
import { openBackend, type OpenBackendOptions, type OpenedBackend } from '../../src/backend/open.ts';
import { codeOf, listedNames } from '../conformance/backend.ts';
import { CephServer } from '../support/ceph-server.ts';

process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] = 'true';

let ceph: CephServer;
let client: S3Client;
beforeAll(async () => {
  ceph = await CephServer.start(7580);
  client = new S3Client({
    endpoint: ceph.endpoint, region: 'us-east-1', forcePathStyle: true, credentials: { accessKeyId: ceph.accessKeyId, secretAccessKey: ceph.secretAccessKey },
  });
  await client.send(new CreateBucketCommand({ Bucket: 'versions' }));
  await client.send(new PutBucketVersioningCommand({ Bucket: 'versions', VersioningConfiguration: { Status: 'Enabled' } }));
  await client.send(new CreateBucketCommand({ Bucket: 'locks', ObjectLockEnabledForBucket: true }));
  await client.send(new CreateBucketCommand({ Bucket: 'plain' }));
}, 300_000);
afterAll(async () => {
  client?.destroy();
  await ceph?.stop();
});

async function open(bucket: string, options: Partial<OpenBackendOptions> = {}): Promise<OpenedBackend> {
  const opened = await openBackend(ceph.location(bucket, 'repository'), { clock: systemClock, random: systemRandom, ...options });
  onTestFinished(() => opened.backend.close());
  return opened;
}

test('a bucket with versions shows its past, tells what changed, and gets it back', { timeout: 120_000 }, async () => {
  const { backend, history } = await open('versions');
  const names = Array.from({ length: 1200 }, (_, i) => `index/${String(i).padStart(4, '0')}`);
  await Promise.all(names.map(name => backend.create(name, [utf8(name)])));
  await systemClock.sleep(1500);
  const before = Date.now();
  await systemClock.sleep(1500);
  await Promise.all(names.slice(0, 600).map(name => backend.remove(name)));
  await backend.remove(names[600]!);
  await backend.create(names[600]!, [utf8('other')]);
  await backend.create('index/new', [utf8('new')]);
  const { backend: past } = await open('versions', { asOf: before });
  expect((await listedNames(past, 'index/')).sort()).toEqual(names);
  for (const name of [names[0]!, names[600]!, names[1199]!]) expect(await past.read(name)).toEqual(utf8(name));
  expect(await past.read(names[5]!, { offset: 3, length: 2 })).toEqual(utf8('ex'));
  expect(await codeOf(past.read('index/new'))).toBe('OBJECT_NOT_FOUND');
  const kinds = new Map<string, number>();
  for await (const { name, kind } of history!.changesSince(before)) {
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    if (kind !== 'new') await history!.putBack(name, before);
  }
  expect(Object.fromEntries(kinds)).toEqual({ missing: 600, other: 1, new: 1 });
  expect(await backend.read(names[600]!)).toEqual(utf8(names[600]!));
  expect((await listedNames(backend, 'index/')).length).toBe(1201);
  const left: string[] = [];
  for await (const { kind } of history!.changesSince(before)) left.push(kind);
  expect(left).toEqual(['new']);
});

test('a bucket without versions has no past, and one without Object Lock refuses locks', async () => {
  expect(await codeOf(open('plain', { asOf: Date.now() }))).toBe('UNSUPPORTED_STORE');
  const { backend } = await open('plain', { s3: { objectLock: { mode: 'governance', days: 1 } } });
  expect(await codeOf(backend.create('index/1', [utf8('x')]))).toBe('DENIED');
});

test('what is locked cannot be destroyed by anybody until the lock ends, and locks are extended', async () => {
  const { backend, locks } = await open('locks', { s3: { objectLock: { mode: 'compliance', days: 1 } } });
  await backend.create('packs/d/00/1', [utf8('pack')]);
  await backend.create('sessions/1', [utf8('session')]);
  await locks!.extend('packs/d/00/1', Date.now() + 3 * 24 * 60 * 60 * 1000);
  // For the repository it can be removed; the bytes stay.
  await backend.remove('packs/d/00/1');
  expect(await codeOf(backend.read('packs/d/00/1'))).toBe('OBJECT_NOT_FOUND');
  const { Versions = [] } = await client.send(new ListObjectVersionsCommand({ Bucket: 'locks' }));
  const destroy = (key: string): Promise<unknown> => {
    const { Key, VersionId } = Versions.find(({ Key: each }) => each!.endsWith(key))!;
    return client.send(new DeleteObjectCommand({ Bucket: 'locks', Key: Key!, VersionId: VersionId! }));
  };
  await expect(destroy('packs/d/00/1')).rejects.toMatchObject({ name: 'AccessDenied' });
  await destroy('sessions/1');
});
