/**
 * Many seeds of harm between the built program and a storage: a strict S3 server and Ceph through a proxy that understands HTTP, an SSH
 * server through one that cuts connections.
 */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { faultDrill } from '../remote/fault-drill.ts';
import { CephServer } from '../support/ceph-server.ts';
import { FakeS3 } from '../support/fake-s3.ts';
import { FAULTS, FaultProxy } from '../support/fault-proxy.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { SshServer } from '../support/ssh-server.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';

const ROUNDS = Number(process.env['SNAP_SLOW_ROUNDS'] ?? 1);
/** The short form has one seed and few rounds of commands in each drill. */
const IS_LONG = ROUNDS > 1;
const DEPTH = IS_LONG ? 3 : 1;
const seeds = Array.from({ length: IS_LONG ? 2 * ROUNDS : 1 }, (_, i) => 100 + i);
const credentials = (accessKeyId: string, secretAccessKey: string): Record<string, string> => ({ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_CONFIG_FILE: '/nonexistent' });

describe('a strict S3 server', () => {
  test.each(seeds)('that fails as seed %d says', { timeout: 900_000 }, async seed => {
    const fake = await FakeS3.start();
    onTestFinished(() => fake.close());
    const proxy = await FaultProxy.start(fake.endpoint, { seed, percent: 25 });
    onTestFinished(() => proxy.close());
    const harm = { set: (isOn: boolean) => { proxy.isOn = isOn; } };
    await faultDrill('s3://bucket/drill', harm, { seed, rounds: 2 * DEPTH, env: { ...credentials('fake-key', 'fake-secret'), AWS_ENDPOINT_URL: proxy.endpoint }, mustSucceed: true });
    for (const fault of FAULTS) expect([fault, proxy.struck[fault] > 0]).toEqual([fault, true]);
  });
  test.each(seeds)('that refuses all writes after some of them, as seed %d says', { timeout: 900_000 }, async seed => {
    const fake = await FakeS3.start();
    onTestFinished(() => fake.close());
    const random = new SeededRandom(seed);
    let left = Number.POSITIVE_INFINITY;
    fake.denies = operation => (operation === 'PUT' || operation === 'DELETE') && --left < 0;
    const harm = { set: (isOn: boolean) => { left = isOn ? random.below(8) : Number.POSITIVE_INFINITY; } };
    await faultDrill('s3://bucket/drill', harm, { seed, rounds: 2 * DEPTH, env: { ...credentials('fake-key', 'fake-secret'), AWS_ENDPOINT_URL: fake.endpoint }, mustSucceed: false });
  });
});

describe('Ceph', () => {
  let ceph: CephServer;
  beforeAll(async () => { ceph = await CephServer.start(7580); }, 300_000);
  afterAll(() => ceph?.stop());

  test.each(seeds)('behind a line that fails as seed %d says', { timeout: 900_000 }, async seed => {
    // Ceph answers no checksum of a body, so that one cannot be wrong.
    const proxy = await FaultProxy.start(ceph.endpoint, { seed, percent: 20, faults: FAULTS.filter(fault => fault !== 'wrong-checksum') });
    onTestFinished(() => proxy.close());
    const harm = { set: (isOn: boolean) => { proxy.isOn = isOn; } };
    const env = { ...credentials(ceph.accessKeyId, ceph.secretAccessKey), AWS_ENDPOINT_URL: proxy.endpoint };
    proxy.isOn = false;
    await faultDrill(`s3://drill-${seed}/drill`, harm, { seed, rounds: DEPTH, env, mustSucceed: true });
    expect(proxy.total).toBeGreaterThan(10);
  });
});

describe('an SSH server', () => {
  let server: SshServer;
  beforeAll(async () => { server = await SshServer.start(); });
  afterAll(() => server.stop());

  test.each(seeds)('whose connections are cut as seed %d says', { timeout: 900_000 }, async seed => {
    const proxy = await TcpProxy.start(server.port);
    onTestFinished(() => proxy.close());
    server.writeKnownHosts(`[127.0.0.1]:* ${server.hostKey()}\n`);
    const random = new SeededRandom(seed);
    // The greeting and the keys of SSH take about 5 kB.
    const harm = { set: (isOn: boolean) => { proxy.cutAfter(isOn ? 5_000 + random.below(random.below(2) === 0 ? 40_000 : 3_000_000) : Number.POSITIVE_INFINITY); } };
    await faultDrill(server.location(`drill-${seed}`, proxy.port), harm, { seed, rounds: DEPTH, env: { HOME: server.home }, mustSucceed: true });
  });
});
