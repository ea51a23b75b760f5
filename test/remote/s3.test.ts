/** The built program on an S3 server. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { FakeS3, type FakeS3Options } from '../support/fake-s3.ts';
import { temporaryDirectory } from '../support/memory-repository.ts';
import { jsonLines, snap } from '../support/snap-cli.ts';
import { dailyRound, writeFiles } from './daily-round.ts';

async function startFake(options: FakeS3Options = {}): Promise<FakeS3> {
  const fake = await FakeS3.start(options);
  onTestFinished(() => fake.close());
  return fake;
}

const credentials = { AWS_ACCESS_KEY_ID: 'fake-key', AWS_SECRET_ACCESS_KEY: 'fake-secret', AWS_CONFIG_FILE: '/nonexistent' };

test('a day with a repository in a bucket', { timeout: 240_000 }, async () => {
  const fake = await startFake();
  await dailyRound('s3://bucket/deep/prefix', { ...credentials, AWS_ENDPOINT_URL: fake.endpoint });
});
test('a day on a server without create-only writes, in a bucket that is made', { timeout: 240_000 }, async () => {
  const fake = await startFake({ conditions: '501' });
  await dailyRound(fake.location('repository', 'another'));
});

describe('roles', () => {
  test('a writer needs no right to delete, a reader none to write', { timeout: 240_000 }, async () => {
    const fake = await startFake();
    const place = temporaryDirectory();
    const source = join(place, 'source');
    writeFiles(source, 2);
    const cli = { repository: fake.location(), cache: join(place, 'cache'), password: '', env: { SNAP_KEY_FILE: join(place, 'key') } };
    const well = async (...words: string[]): Promise<void> => {
      const result = await snap(words, cli);
      expect(result, `${words.join(' ')}\n${result.stdout}${result.stderr}`).toMatchObject({ code: 0 });
    };
    await well('init');
    fake.denies = operation => operation === 'DELETE';
    await well('backup', source);
    await well('backup', source);
    fake.denies = operation => operation === 'DELETE' || operation === 'PUT';
    await well('snapshots');
    await well('ls', 'latest', source);
    await well('verify', '--read-data');
    await well('restore', `latest:${source}`, '--target', join(place, 'target'));
    expect(await snap(['backup', source], cli)).toMatchObject({ code: 1, stderr: expect.stringContaining('Access Denied') as string });
  });
});

test('a backup over a bad line is whole, and there is one snapshot of it', { timeout: 240_000 }, async () => {
  const fake = await startFake();
  const place = temporaryDirectory();
  const source = join(place, 'source');
  const files = writeFiles(source, 3);
  const cli = { repository: fake.location(), cache: join(place, 'cache'), password: '', env: { SNAP_KEY_FILE: join(place, 'key') } };
  const well = async (...words: string[]): ReturnType<typeof snap> => {
    const result = await snap(words, cli);
    expect(result, `${words.join(' ')}\n${result.stdout}${result.stderr}`).toMatchObject({ code: 0 });
    return result;
  };
  await well('init');
  fake.plan(
    { on: 'LIST', effect: 'answer', status: 503, code: 'SlowDown' }, { on: 'PUT', key: /sessions\//, effect: 'cut-after' },
    { on: 'PUT', key: /packs\/d/, effect: 'cut-before' }, { on: 'PUT', key: /packs\/t/, effect: 'cut-after' }, { on: 'PUT', key: /index\//, effect: 'answer', status: 500, code: 'InternalError' },
    { on: 'PUT', key: /snapshots\//, effect: 'cut-after' },
  );
  await well('backup', source);
  fake.assertAllHit();
  expect(jsonLines(await well('snapshots', '--json')).filter(line => line['message_type'] === 'snapshot')).toHaveLength(1);
  fake.plan({ on: 'GET', key: /packs\/d/, effect: 'cut-within' }, { on: 'GET', key: /packs\/d/, effect: 'answer', status: 503, code: 'ServiceUnavailable', after: 1 });
  await well('restore', `latest:${source}`, '--target', join(place, 'target'));
  for (const [path, bytes] of files) expect(Buffer.compare(readFileSync(join(place, 'target', path)), bytes), path).toBe(0);
});
