import { writeFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { systemClock, systemRandom } from '../../src/base/ambient.ts';
import { utf8 } from '../../src/base/bytes.ts';
import type { SnapError } from '../../src/base/errors.ts';
import { parseLocation, type S3Location } from '../../src/backend/location.ts';
import { RetryingBackend } from '../../src/backend/retrying.ts';
import { S3Backend } from '../../src/backend/s3.ts';
import type { S3Settings } from '../../src/backend/s3-client.ts';
import { parseSessionId } from '../../src/format/ids.ts';
import { snapshotName } from '../../src/format/object-names.ts';
import { commitRecord } from '../../src/repository/commit.ts';
import { probeBackend } from '../../src/repository/probe.ts';
import { codeOf, listedNames } from '../conformance/backend.ts';
import { FakeS3, type FakeOperation, type S3Fault } from '../support/fake-s3.ts';
import { temporaryDirectory } from '../support/memory-repository.ts';
import { TestClock } from '../support/test-clock.ts';

let fake: FakeS3;
let backend: S3Backend;
/** The same with repetitions, whose pauses take no time. */
let retrying: RetryingBackend;
const HANG_MS = 250;

beforeEach(async () => {
  fake = await FakeS3.start();
  backend = open();
  retrying = new RetryingBackend(backend, { clock: new TestClock({ runsByItself: true }), random: systemRandom });
  await backend.create('index/old', [utf8('old content')]);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await backend.close();
  await fake.close();
});

const open = (settings: S3Settings = {}): S3Backend =>
  new S3Backend(parseLocation(fake.location()) as S3Location, systemClock, { idleTimeoutMs: HANG_MS, ...settings });

async function errorOf(call: Promise<unknown>): Promise<SnapError> {
  return call.then(() => { throw new Error('It did not fail'); }, (error: SnapError) => error);
}

type WithoutOperation<F> = F extends unknown ? Omit<F, 'on'> : never;
type Effect = WithoutOperation<S3Fault>;

/** Code and whether the effect is unknown. */
async function outcomeOf(call: Promise<unknown>): Promise<unknown[]> {
  const error = await errorOf(call);
  return [error.code, error.context['effectUnknown']];
}

const calls: Record<string, [FakeOperation, (on: S3Backend | RetryingBackend) => Promise<unknown>]> = {
  read: ['GET', on => on.read('index/old')],
  stat: ['HEAD', on => on.stat('index/old')],
  list: ['LIST', on => listedNames(on)],
  create: ['PUT', on => on.create('index/new', [utf8('new')])],
  createIfAbsent: ['PUT', on => on.createIfAbsent('index/new', utf8('new'))],
  remove: ['DELETE', on => on.remove('index/old')],
};

describe.each(Object.entries(calls))('%s', (_verb, [on, call]) => {
  const passing: Effect[] = [
    { effect: 'cut-before' }, { effect: 'hang-before' }, { effect: 'answer', status: 500, code: 'InternalError' },
    { effect: 'answer', status: 503, code: 'SlowDown' }, { effect: 'answer', status: 502, code: 'BadGateway' }, { effect: 'answer', status: 429, code: 'TooManyRequests' },
  ];
  test.each(passing)('is UNAVAILABLE after $effect $status, and goes well when repeated', async fault => {
    fake.plan({ on, ...fault } as S3Fault);
    expect(await codeOf(call(backend))).toBe('UNAVAILABLE');
    fake.plan({ on, ...fault } as S3Fault);
    await call(retrying);
    fake.assertAllHit();
  });
  test('is DENIED where the server refuses, with what it says', async () => {
    fake.denies = () => true;
    const error = await errorOf(call(backend));
    expect(error).toMatchObject({ code: 'DENIED', hint: expect.stringContaining('policy') as string });
    expect(error.message).toContain('Access Denied');
  });
});

describe('lost answers', () => {
  const lost: Effect[] = [
    { effect: 'cut-after' }, { effect: 'hang-after' }, { effect: 'answer-after', status: 500, code: 'InternalError' },
    { effect: 'answer-after', status: 504, code: 'GatewayTimeout' },
  ];
  test.each(lost)('createIfAbsent says that its effect is unknown after $effect $status', async fault => {
    fake.plan({ on: 'PUT', ...fault } as S3Fault);
    expect(await outcomeOf(backend.createIfAbsent('gc/1', utf8('plan')))).toEqual(['UNAVAILABLE', 1]);
    expect(await backend.read('gc/1')).toEqual(utf8('plan'));
  });
  test.each(lost)('create that is repeated after $effect $status meets its own object and succeeds', async fault => {
    fake.plan({ on: 'PUT', ...fault } as S3Fault);
    await retrying.create('packs/d/00/1', [utf8('pack')]);
    fake.assertAllHit();
    expect(await backend.read('packs/d/00/1')).toEqual(utf8('pack'));
  });
  test.each(lost)('a commit after $effect $status is recognised as done', async fault => {
    const id = parseSessionId('5e'.repeat(16));
    fake.plan({ on: 'PUT', ...fault } as S3Fault);
    expect(await commitRecord(retrying, 'create-only', id, utf8('record'))).toBe('committed');
    expect(await backend.read(snapshotName(id))).toEqual(utf8('record'));
  });
  test('a commit that never came through is sent again', async () => {
    fake.plan({ on: 'PUT', effect: 'cut-before', times: 2 }, { on: 'PUT', effect: 'answer', status: 409, code: 'ConditionalRequestConflict' });
    expect(await commitRecord(retrying, 'create-only', parseSessionId('5e'.repeat(16)), utf8('record'))).toBe('committed');
    fake.assertAllHit();
  });
  test('an object of somebody else is never taken for an own one', async () => {
    const id = parseSessionId('5e'.repeat(16));
    fake.plan({ on: 'PUT', effect: 'cut-before' });
    fake.plant(`prefix/${snapshotName(id)}`, 'tombstone');
    expect(await commitRecord(retrying, 'create-only', id, utf8('record'))).toBe('occupied');
    expect(await backend.read(snapshotName(id))).toEqual(utf8('tombstone'));
  });
  test.each([[503, 'SlowDown'], [409, 'ConditionalRequestConflict'], [409, 'OperationAborted'], [400, 'RequestTimeout'], [400, 'BadDigest']])(
    'createIfAbsent knows that nothing was done after %d %s', async (status, code) => {
      fake.plan({ on: 'PUT', effect: 'answer', status, code });
      expect(await outcomeOf(backend.createIfAbsent('gc/1', utf8('plan')))).toEqual(['UNAVAILABLE', undefined]);
    });
  test('createIfAbsent knows that nothing was done when there is no server', async () => {
    const endpoint = fake.endpoint;
    backend = open();
    await fake.close();
    expect(await outcomeOf(backend.createIfAbsent('gc/1', utf8('plan')))).toEqual(['UNAVAILABLE', undefined]);
    expect((await errorOf(backend.read('gc/1'))).message).toContain(endpoint.slice('http://'.length));
  });
  test('the probe takes what it finds for the truth, and neither fails nor mistakes the store', async () => {
    for (const after of [0, 1]) {
      fake.plan({ on: 'PUT', key: /probe/, effect: 'cut-after', after });
      expect((await probeBackend(retrying, systemRandom)).createIfAbsent).toBe('atomic');
      fake.assertAllHit();
    }
  });
  test('a remove whose answer is lost is repeated', async () => {
    fake.plan({ on: 'DELETE', effect: 'cut-after' });
    await retrying.remove('index/old');
    expect(fake.keys()).toEqual([]);
  });
});

describe('answers that are wrong', () => {
  test.each(['cut-within', 'hang-within'] as const)('half an object is never handed out: %s', async effect => {
    fake.plan({ on: 'GET', effect, times: 2 });
    expect(await codeOf(backend.read('index/old'))).toBe('UNAVAILABLE');
    expect(await retrying.read('index/old', { offset: 0, length: 7 })).toEqual(utf8('old con'));
    fake.assertAllHit();
  });
  test.each(['cut-within', 'hang-within'] as const)('half a listing never passes for the whole: %s', async effect => {
    for (const name of ['index/a', 'index/b', 'index/c']) await backend.create(name, [utf8('x')]);
    fake.plan({ on: 'LIST', effect, times: 2 });
    expect(await codeOf(listedNames(backend))).toBe('UNAVAILABLE');
    expect(await listedNames(retrying)).toEqual(['index/a', 'index/b', 'index/c', 'index/old']);
  });
  test('a listing whose second page fails is completed, each name once', async () => {
    await fake.close();
    fake = await FakeS3.start({ pageSize: 2 });
    backend = open();
    retrying = new RetryingBackend(backend, { clock: new TestClock({ runsByItself: true }), random: systemRandom });
    const names = ['index/a', 'index/b', 'index/c', 'index/d', 'index/e'];
    for (const name of names) await backend.create(name, [utf8('x')]);
    fake.plan({ on: 'LIST', effect: 'answer', status: 503, code: 'SlowDown', after: 1 });
    expect(await listedNames(retrying)).toEqual(names);
    fake.assertAllHit();
  });
  test('a server that tells another checksum has stored other bytes', async () => {
    fake.plan({ on: 'PUT', effect: 'wrong-checksum' });
    expect(await outcomeOf(backend.create('index/new', [utf8('new')]))).toEqual(['UNAVAILABLE', 1]);
  });
  test.each(['read', 'stat', 'list', 'create', 'createIfAbsent'])('the page of a portal is no answer to %s', async verb => {
    const [on, call] = calls[verb]!;
    fake.plan({ on, effect: 'portal' });
    expect(await codeOf(call(backend))).toBe('UNAVAILABLE');
  });
  test('a server that ignores ranges is refused', async () => {
    await fake.close();
    fake = await FakeS3.start({ ranges: 'ignored' });
    backend = open();
    await backend.create('index/old', [utf8('old content')]);
    expect(await codeOf(backend.read('index/old', { offset: 4, length: 3 }))).toBe('DENIED');
  });
});

describe('refusals have a code and a hint of their own', () => {
  test.each([
    [403, 'QuotaExceeded', 'NO_SPACE', 'quota'], [507, 'XMinioStorageFull', 'NO_SPACE', 'space'], [400, 'XMinioAdminBucketQuotaExceeded', 'NO_SPACE', 'quota'],
    [403, 'InvalidAccessKeyId', 'DENIED', 'AWS_ACCESS_KEY_ID'], [403, 'SignatureDoesNotMatch', 'DENIED', 'AWS_SECRET_ACCESS_KEY'],
    [403, 'RequestTimeTooSkewed', 'DENIED', 'clock'], [400, 'AuthorizationHeaderMalformed', 'DENIED', '--s3-region'], [301, 'PermanentRedirect', 'DENIED', '--s3-region'],
    [400, 'InvalidStorageClass', 'DENIED', '--s3-'], [400, 'KMS.NotFoundException', 'DENIED', '--s3-'],
  ] as const)('%d %s', async (status, code, expected, hint) => {
    fake.plan({ on: 'PUT', effect: 'answer', status, code });
    expect(await errorOf(backend.create('index/new', [utf8('new')]))).toMatchObject({ code: expected, hint: expect.stringContaining(hint) as string });
  });
  test('an object in an archive class', async () => {
    fake.plan({ on: 'GET', effect: 'answer', status: 403, code: 'InvalidObjectState' });
    expect(await errorOf(backend.read('index/old'))).toMatchObject({ code: 'DENIED', hint: expect.stringContaining('archive') as string });
  });
  test('a refused delete', async () => {
    fake.denies = operation => operation === 'DELETE';
    expect(await codeOf(backend.remove('index/old'))).toBe('DENIED');
    expect(fake.keys()).toEqual(['prefix/index/old']);
  });
});

test('no error holds the connection, with tokens and signatures in its headers', async () => {
  fake.plan({ on: 'GET', effect: 'answer', status: 403, code: 'AccessDenied' }, { on: 'GET', effect: 'cut-before' });
  for (let i = 0; i < 2; i++) {
    const shown = inspect(await errorOf(backend.read('index/old')), { depth: 20, showHidden: true });
    expect(shown).not.toMatch(/signature|fake-key|authorization|_headers/i);
    expect(shown.length).toBeLessThan(5000);
  }
});

describe('an interruption', () => {
  test('gives a small write that is on its way a moment for its answer', async () => {
    const controller = new AbortController();
    const removal = backend.remove('index/old', { signal: controller.signal });
    await new Promise(resolve => { setImmediate(resolve); });
    controller.abort();
    await removal;
    expect(fake.keys()).toEqual([]);
  });
  test('does not wait for a server that hangs, whatever the call', async () => {
    const patient = open({ idleTimeoutMs: 60_000 });
    for (const [on, call] of [['GET', signal => patient.read('index/old', undefined, { signal })], ['DELETE', signal => patient.remove('index/old', { signal })],
      ['PUT', signal => patient.create('packs/d/00/1', [new Uint8Array(100_000)], { signal })]] as [FakeOperation, (signal: AbortSignal) => Promise<unknown>][]) {
      fake.plan({ on, effect: 'hang-before' });
      const controller = new AbortController();
      const outcome = codeOf(call(controller.signal));
      setTimeout(() => controller.abort(), 50);
      expect([on, await outcome]).toEqual([on, 'CANCELLED']);
    }
    await patient.close();
  });
});

describe('credentials', () => {
  const openWithProfile = (): RetryingBackend => new RetryingBackend(new S3Backend(
    parseLocation(fake.location().replace(/\/\/.*@/, '//')) as S3Location, systemClock), { clock: new TestClock({ runsByItself: true }), random: systemRandom });
  const useProfile = (token: string): void => {
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', profile);
    vi.stubEnv('AWS_CONFIG_FILE', '/nonexistent');
    vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
    writeFileSync(profile, `[default]\naws_access_key_id = fake-key\naws_secret_access_key = fake-secret\naws_session_token = ${token}\n`);
  };
  let profile: string;
  beforeEach(() => { profile = `${temporaryDirectory()}/credentials`; });

  test('that expire in mid-run are read anew from the profile', async () => {
    useProfile('token-1');
    const fromProfile = openWithProfile();
    await fromProfile.create('index/1', [utf8('1')]);
    fake.expiredToken = 'token-1';
    useProfile('token-2');
    await Promise.all(['2', '3', '4'].map(each => fromProfile.create(`index/${each}`, [utf8(each)])));
    expect(await listedNames(fromProfile)).toEqual(['index/1', 'index/2', 'index/3', 'index/4', 'index/old']);
    expect(fake.requests.at(-1)!.headers['x-amz-security-token']).toBe('token-2');
  });
  test('that have expired and stay so end the run at once', async () => {
    useProfile('token-1');
    fake.expiredToken = 'token-1';
    expect(await errorOf(openWithProfile().create('index/1', [utf8('1')]))).toMatchObject({ code: 'DENIED', hint: expect.stringContaining('Renew') as string });
    expect(fake.requests.filter(request => request.operation === 'PUT')).toHaveLength(2);
  });
  test('that are nowhere to be found are missed with a hint', async () => {
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/nonexistent');
    vi.stubEnv('AWS_CONFIG_FILE', '/nonexistent');
    vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
    expect(await errorOf(openWithProfile().read('config'))).toMatchObject({ code: 'DENIED', hint: expect.stringContaining('AWS_PROFILE') as string });
  });
});
