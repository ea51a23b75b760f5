/** The built program on a Blob service of Azure. */
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { FAKE_ACCOUNT, FakeAzure } from '../support/fake-azure.ts';
import { temporaryDirectory } from '../support/memory-repository.ts';
import { jsonLines, snap } from '../support/snap-cli.ts';
import { dailyRound, writeFiles } from './daily-round.ts';

async function startFake(): Promise<FakeAzure> {
  const fake = await FakeAzure.start();
  onTestFinished(() => fake.close());
  return fake;
}

test('a day with a repository in a container that is made', { timeout: 240_000 }, async () => {
  const fake = await startFake();
  await dailyRound(fake.location('deep/prefix', 'another'), { AZURE_STORAGE_CONNECTION_STRING: fake.connectionString });
});

test('a writer needs no right to delete', { timeout: 240_000 }, async () => {
  const fake = await startFake();
  const place = temporaryDirectory();
  writeFiles(join(place, 'source'), 2);
  const cli = {
    repository: fake.location(), cache: join(place, 'cache'), password: '',
    env: { SNAP_KEY_FILE: join(place, 'key'), SNAP_AZURE_ENDPOINT: fake.endpoint, AZURE_STORAGE_SAS_TOKEN: `sv=2022-11-02&sp=racwl&sig=${fake.sasSignature}` },
  };
  expect(await snap(['init'], cli)).toMatchObject({ code: 0 });
  fake.denies = operation => operation === 'DELETE';
  expect(await snap(['backup', join(place, 'source')], cli)).toMatchObject({ code: 0 });
  expect(await snap(['verify', '--read-data'], cli)).toMatchObject({ code: 0 });
});

test('without credentials the run ends at once and says which variables are read', async () => {
  const result = await snap(['snapshots', '--json'], { repository: `azure:${FAKE_ACCOUNT}/container` });
  expect(result.code).toBe(1);
  expect(jsonLines(result).at(-1)).toMatchObject({ error_code: 'DENIED', hint: expect.stringContaining('AZURE_STORAGE_CONNECTION_STRING') as string });
});
