/** The built program on storages that fail as a seed says. The long form is test/slow/faults.test.ts. */
import { expect, onTestFinished, test } from 'vitest';
import { FakeS3 } from '../support/fake-s3.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import { faultDrill } from './fault-drill.ts';

const env = { AWS_ACCESS_KEY_ID: 'fake-key', AWS_SECRET_ACCESS_KEY: 'fake-secret', AWS_CONFIG_FILE: '/nonexistent' };

test('faults of all kinds on an S3 server are survived, and nothing that was reported is missing', { timeout: 120_000 }, async () => {
  const fake = await FakeS3.start();
  onTestFinished(() => fake.close());
  const proxy = await FaultProxy.start(fake.endpoint, { seed: 1, percent: 12 });
  onTestFinished(() => proxy.close());
  const harm = { set: (isOn: boolean) => { proxy.isOn = isOn; } };
  await faultDrill('s3://bucket/drill', harm, { seed: 1, rounds: 1, env: { ...env, AWS_ENDPOINT_URL: proxy.endpoint }, mustSucceed: true });
  expect(proxy.total).toBeGreaterThan(5);
});

test('a store whose every write is refused in mid-run ends each run with one sentence, and the repository is sound', { timeout: 120_000 }, async () => {
  const fake = await FakeS3.start();
  onTestFinished(() => fake.close());
  let writes = 0;
  let isOn = false;
  // The bucket becomes read-only after some writes of each run.
  fake.denies = operation => isOn && (operation === 'PUT' || operation === 'DELETE') && ++writes > 2;
  const harm = { set: (on: boolean) => { [isOn, writes] = [on, 0]; } };
  await faultDrill('s3://bucket/drill', harm, { seed: 2, rounds: 1, env: { ...env, AWS_ENDPOINT_URL: fake.endpoint }, mustSucceed: false });
});
