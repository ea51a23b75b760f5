/** S3 as Ceph has it. Fails where Ceph is not installed, and says what is missing. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/ambient.ts';
import { utf8 } from '../../src/base/bytes.ts';
import { parseLocation, type S3Location } from '../../src/backend/location.ts';
import { S3Backend } from '../../src/backend/s3.ts';
import { backendConformance, codeOf, listedNames } from '../conformance/backend.ts';
import { dailyRound } from '../remote/daily-round.ts';
import { CephServer } from '../support/ceph-server.ts';

process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] = 'true';

let ceph: CephServer;
beforeAll(async () => { ceph = await CephServer.start(); }, 300_000);
afterAll(() => ceph?.stop());

const open = (prefix: string, idleTimeoutMs?: number): S3Backend => new S3Backend(parseLocation(ceph.location('bucket', prefix)) as S3Location, systemClock, { idleTimeoutMs });

let count = 0;
backendConformance('S3Backend on Ceph', async () => {
  const prefix = `conformance-${count++}`;
  await open(prefix).checkBucket({ create: true });
  return { open: async () => open(prefix), dispose: async () => undefined, secrets: [ceph.secretAccessKey] };
}, { createIfAbsent: 'atomic', canRemove: true, clockToleranceMs: 10_000 });

describe('Ceph', () => {
  test('decides hundreds of races with one winner each', async () => {
    const connections = Array.from({ length: 4 }, () => open('races'));
    for (let race = 0; race < 50; race++) {
      const answers = await Promise.all(connections.flatMap((connection, i) => [0, 1].map(n => connection.createIfAbsent(`gc/${race}`, utf8(`${i}.${n}`)))));
      expect(answers.filter(answer => answer === 'created')).toHaveLength(1);
    }
  });
  test('lists thousands of objects over its pages', async () => {
    const backend = open('many');
    const names = Array.from({ length: 2500 }, (_, i) => `index/${String(i).padStart(5, '0')}`);
    await Promise.all(names.map(name => backend.create(name, [utf8(name)])));
    expect((await listedNames(backend, 'index/')).sort()).toEqual(names);
  });
  test('refuses a wrong secret', async () => {
    const wrong = parseLocation(ceph.location('bucket', 'x').replace(ceph.secretAccessKey, 'wrong')) as S3Location;
    expect(await codeOf(new S3Backend(wrong, systemClock).checkBucket())).toBe('DENIED');
  });
  test('that hangs is UNAVAILABLE, and is used again when it lives', async () => {
    const backend = open('hang', 1_000);
    await backend.create('index/1', [utf8('x')]);
    ceph.pause();
    try {
      expect(await codeOf(backend.read('index/1'))).toBe('UNAVAILABLE');
    } finally {
      ceph.resume();
    }
    expect(await backend.read('index/1')).toEqual(utf8('x'));
  });
  test('serves a day with a repository', async () => {
    await dailyRound(ceph.location('another-bucket', 'repository'));
  });
});
