import { inspect } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { systemClock, systemRandom } from '../../src/base/ambient.ts';
import { utf8 } from '../../src/base/bytes.ts';
import type { SnapError } from '../../src/base/errors.ts';
import { Secret } from '../../src/base/secret.ts';
import { AzureBackend } from '../../src/backend/azure.ts';
import type { AzureSettings } from '../../src/backend/azure-client.ts';
import { type AzureLocation, parseLocation } from '../../src/backend/location.ts';
import { RetryingBackend } from '../../src/backend/retrying.ts';
import { probeBackend } from '../../src/repository/probe.ts';
import { backendConformance, codeOf, listed, listedNames } from '../conformance/backend.ts';
import { FAKE_ACCOUNT, FAKE_KEY, FakeAzure } from '../support/fake-azure.ts';
import type { FakeOperation, S3Fault } from '../support/fake-s3.ts';
import { TestClock } from '../support/test-clock.ts';

const HANG_MS = 250;
const placeOf = (text: string): AzureLocation => parseLocation(text) as AzureLocation;
const open = (fake: FakeAzure, settings: AzureSettings = {}, prefix = 'prefix'): AzureBackend =>
  new AzureBackend(placeOf(fake.location(prefix)), systemClock, { endpoint: fake.endpoint, accountKey: new Secret(FAKE_KEY), ...settings });
const repeating = (backend: AzureBackend): RetryingBackend => new RetryingBackend(backend, { clock: new TestClock({ runsByItself: true }), random: systemRandom });

backendConformance('AzureBackend', async () => {
  const fake = await FakeAzure.start({ pageSize: 150 });
  const denied = new Set<string>();
  fake.denies = (_operation, name) => denied.has(name);
  return {
    open: async () => open(fake), dispose: () => fake.close(), secrets: [FAKE_KEY],
    denyReading: async object => { denied.add(`prefix/${object}`); },
  };
}, { createIfAbsent: 'atomic', canRemove: true, clockToleranceMs: 10_000 });

async function startFake(): Promise<FakeAzure> {
  const fake = await FakeAzure.start();
  onTestFinished(() => fake.close());
  return fake;
}

async function errorOf(call: Promise<unknown>): Promise<SnapError> {
  return call.then(() => { throw new Error('It did not fail'); }, (error: SnapError) => error);
}

describe('the container', () => {
  test('that is there is known by the first read, which is not repeated', async () => {
    const fake = await startFake();
    fake.plant('prefix/config', 'the configuration');
    const backend = open(fake);
    await backend.checkContainer();
    expect(await backend.read('config')).toEqual(utf8('the configuration'));
    expect(fake.requests.map(({ operation, key }) => [operation, key])).toEqual([['GET', 'prefix/config']]);
  });
  test('that is not there is no repository, and is made for a new one', async () => {
    const fake = await startFake();
    const backend = new AzureBackend(placeOf(fake.location('p', 'another')), systemClock, { connectionString: new Secret(fake.connectionString) });
    expect(await codeOf(backend.checkContainer())).toBe('REPOSITORY_NOT_FOUND');
    await backend.checkContainer({ create: true });
    await backend.create('config', [utf8('x')]);
    expect(fake.names('another')).toEqual(['p/config']);
  });
  test('that vanishes in mid-run is refused, and no blob passes for missing', async () => {
    const backend = new AzureBackend(placeOf((await startFake()).location('p', 'another')), systemClock, { connectionString: new Secret((await startFake()).connectionString) });
    expect(await codeOf(backend.read('config'))).toBe('DENIED');
    expect(await codeOf(backend.stat('config'))).toBe('DENIED');
    expect(await codeOf(listed(backend))).toBe('DENIED');
  });
  test('passes the probe', async () => expect((await probeBackend(open(await startFake()), systemRandom)).createIfAbsent).toBe('atomic'));
});

describe('names', () => {
  test('lie below the prefix, and nothing beside it is seen', async () => {
    const fake = await startFake();
    await open(fake, {}, 'a b/ü').create('config', [utf8('x')]);
    fake.plant('a b/üc/config', 'z');
    expect(fake.names()).toEqual(['a b/ü/config', 'a b/üc/config']);
    expect(await listedNames(open(fake, {}, 'a b/ü'))).toEqual(['config']);
    expect(await open(fake, {}, 'a b/ü').read('config')).toEqual(utf8('x'));
  });
  test('of stray blobs are listed, folders of other tools not', async () => {
    const fake = await startFake();
    for (const name of ['index/a b.txt', '', 'index/', 'tmp/x']) fake.plant(`prefix/${name}`, name.endsWith('/') ? '' : name);
    expect(await listedNames(open(fake))).toEqual(['index/a b.txt']);
  });
});

describe('credentials', () => {
  const stat = (fake: FakeAzure, settings: AzureSettings): Promise<string> => codeOf(new AzureBackend(placeOf(fake.location()), systemClock, settings).stat('config'));
  test('are those of a connection string, a key or a shared access signature, in this order', async () => {
    const fake = await startFake();
    const wrongKey = new Secret(Buffer.from('wrong').toString('base64'));
    const { endpoint } = fake;
    expect(await stat(fake, { connectionString: new Secret(fake.connectionString), accountKey: wrongKey })).toBe('OBJECT_NOT_FOUND');
    expect(await stat(fake, { endpoint, accountKey: new Secret(FAKE_KEY), sasToken: new Secret('sig=wrong') })).toBe('OBJECT_NOT_FOUND');
    expect(await stat(fake, { endpoint, sasToken: new Secret('?sv=2024-01-01&sig=fake-signature') })).toBe('OBJECT_NOT_FOUND');
    expect(await stat(fake, { endpoint, accountKey: wrongKey })).toBe('DENIED');
    expect(await stat(fake, { endpoint, sasToken: new Secret('sv=2024-01-01&sig=expired') })).toBe('DENIED');
    expect(await stat(fake, { connectionString: new Secret(`AccountName=${FAKE_ACCOUNT};BlobEndpoint=${endpoint};SharedAccessSignature=sig=fake-signature`) })).toBe('OBJECT_NOT_FOUND');
  });
  test.each<[string, AzureSettings, string]>([
    ['none at all', {}, 'DENIED'], ['a key that is not base64', { accountKey: new Secret('no key!') }, 'USAGE'], ['a signature that is none', { sasToken: new Secret('sv=1') }, 'USAGE'],
    ['the connection string of another account', { connectionString: new Secret('AccountName=another;AccountKey=c2VjcmV0') }, 'USAGE'],
    ['a connection string without a secret', { connectionString: new Secret(`AccountName=${FAKE_ACCOUNT}`) }, 'USAGE'],
  ])('%s is refused before anything is sent, and no secret is shown', (_name, settings, code) => {
    const make = (): AzureBackend => new AzureBackend(placeOf(`azure:${FAKE_ACCOUNT}/container`), systemClock, settings);
    expect(make).toThrow(expect.objectContaining({ code }));
    expect(make).not.toThrow(/no key!|c2VjcmV0/);
  });
  test('never stand in an error, nor does the signature made of them', async () => {
    const fake = await startFake();
    fake.denies = () => true;
    for (const settings of [{}, { accountKey: undefined, sasToken: new Secret('sig=fake-signature') }]) {
      const shown = inspect(await errorOf(open(fake, settings).read('config')), { depth: 20, showHidden: true });
      expect(shown).not.toMatch(/sharedkey|fake-signature|authorization:/i);
      expect(shown).not.toContain(FAKE_KEY);
    }
  });
});

describe('what is sent', () => {
  test('has the access tier of its kind', async () => {
    const fake = await startFake();
    const backend = open(fake, { accessTier: 'Cold', metadataAccessTier: 'Hot' });
    const names = ['packs/d/3f/3f00', 'parity/3f00', 'packs/t/3f/3f00', 'index/a1', 'snapshots/5e', 'config', 'sessions/5e', 'probe/1'];
    for (const name of names) await backend.create(name, [utf8('x')]);
    expect(names.map(name => fake.tierOf(`prefix/${name}`))).toEqual(['Cold', 'Cold', 'Hot', 'Hot', 'Hot', 'Hot', undefined, undefined]);
  });
  test('is counted by kind, repeated requests too', async () => {
    const fake = await startFake();
    const backend = open(fake);
    fake.plan({ on: 'PUT', effect: 'answer', status: 503, code: 'ServerBusy' });
    const retrying = repeating(backend);
    await retrying.create('index/1', [utf8('x')]);
    await retrying.read('index/1');
    await retrying.stat('index/1');
    await listed(retrying);
    await retrying.remove('index/1');
    expect(retrying.requests).toEqual({ put: 2, get: 1, head: 1, list: 1, remove: 1 });
  });
});

type Effect = S3Fault extends infer F ? F extends unknown ? Omit<F, 'on'> : never : never;
const calls: Record<string, [FakeOperation, (on: AzureBackend | RetryingBackend) => Promise<unknown>]> = {
  read: ['GET', on => on.read('index/old')],
  stat: ['HEAD', on => on.stat('index/old')],
  list: ['LIST', on => listedNames(on)],
  create: ['PUT', on => on.create('index/new', [utf8('new')])],
  createIfAbsent: ['PUT', on => on.createIfAbsent('index/new', utf8('new'))],
  remove: ['DELETE', on => on.remove('index/old')],
};

describe.each(Object.entries(calls))('%s', (_verb, [on, call]) => {
  const passing: Effect[] = [
    { effect: 'cut-before' }, { effect: 'hang-before' }, { effect: 'answer', status: 500, code: 'InternalError' }, { effect: 'answer', status: 503, code: 'ServerBusy' },
    { effect: 'answer', status: 500, code: 'OperationTimedOut' }, { effect: 'answer', status: 429, code: 'TooManyRequests' },
  ];
  test.each(passing)('is UNAVAILABLE after $effect $status, and goes well when repeated', async fault => {
    const fake = await startFake();
    const backend = open(fake, { idleTimeoutMs: HANG_MS });
    await backend.create('index/old', [utf8('old content')]);
    fake.plan({ on, ...fault } as S3Fault, { on, ...fault } as S3Fault);
    expect(await codeOf(call(backend))).toBe('UNAVAILABLE');
    await call(repeating(backend));
    fake.assertAllHit();
  });
});

describe('answers that are lost or wrong', () => {
  const lost: Effect[] = [{ effect: 'cut-after' }, { effect: 'hang-after' }, { effect: 'answer-after', status: 500, code: 'InternalError' }, { effect: 'wrong-checksum' }];
  test.each(lost)('createIfAbsent says that its effect is unknown after $effect', async fault => {
    const fake = await startFake();
    const backend = open(fake, { idleTimeoutMs: HANG_MS });
    fake.plan({ on: 'PUT', ...fault } as S3Fault);
    expect(await errorOf(backend.createIfAbsent('gc/1', utf8('plan')))).toMatchObject({ code: 'UNAVAILABLE', context: { effectUnknown: 1 } });
    expect(await backend.read('gc/1')).toEqual(utf8('plan'));
  });
  test.each(['cut-within', 'hang-within'] as const)('half an object or a listing is never handed out: %s', async effect => {
    const fake = await startFake();
    const backend = open(fake, { idleTimeoutMs: HANG_MS });
    await backend.create('index/old', [utf8('old content')]);
    fake.plan({ on: 'GET', effect, times: 2 }, { on: 'LIST', effect, times: 2 });
    expect(await codeOf(backend.read('index/old'))).toBe('UNAVAILABLE');
    expect(await repeating(backend).read('index/old', { offset: 0, length: 7 })).toEqual(utf8('old con'));
    expect(await codeOf(listed(backend))).toBe('UNAVAILABLE');
    expect(await listedNames(repeating(backend))).toEqual(['index/old']);
    fake.assertAllHit();
  });
  test.each(['read', 'stat', 'list', 'create', 'createIfAbsent'])('the page of a portal is no answer to %s', async verb => {
    const fake = await startFake();
    const [on, call] = calls[verb]!;
    fake.plan({ on, effect: 'portal' });
    expect(await codeOf(call(open(fake)))).toBe('UNAVAILABLE');
  });
  test('a body that was damaged on the way is refused by the service and sent again', async () => {
    const fake = await startFake();
    fake.plan({ on: 'PUT', effect: 'answer', status: 400, code: 'Md5Mismatch' });
    await repeating(open(fake)).create('index/1', [utf8('x')]);
    fake.assertAllHit();
  });
  test.each([[409, 'BlobArchived', 'tier'], [403, 'AuthorizationFailure', 'permissions'], [409, 'BlobImmutableDueToPolicy', 'policy'], [400, 'InvalidHeaderValue', '--azure-']])(
    '%d %s is DENIED with a hint of its own', async (status, code, hint) => {
      const fake = await startFake();
      fake.plan({ on: 'GET', effect: 'answer', status, code });
      expect(await errorOf(open(fake).read('index/old'))).toMatchObject({ code: 'DENIED', hint: expect.stringContaining(hint) as string });
    });
});

test('requests at once are bounded, and a heartbeat never waits behind packs', async () => {
  const fake = await startFake();
  const backend = open(fake, { concurrency: 2, idleTimeoutMs: 400 });
  fake.plan({ on: 'PUT', key: /packs/, effect: 'hang-before', times: 4 });
  const stuck = ['1', '2', '3', '4'].map(each => codeOf(backend.create(`packs/d/00/${each}`, [new Uint8Array(100_000)])));
  expect(await backend.createIfAbsent('sessions/5e.hb1', utf8('alive'))).toBe('created');
  expect(await Promise.all(stuck)).toEqual(Array(4).fill('UNAVAILABLE'));
  expect(Math.max(...fake.requests.map(request => request.underWay))).toBeLessThanOrEqual(3);
});
