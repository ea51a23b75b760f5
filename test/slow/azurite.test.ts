/** Azure as its emulator has it. Fails where the emulator cannot be installed, and says so. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/ambient.ts';
import { utf8 } from '../../src/base/bytes.ts';
import { Secret } from '../../src/base/secret.ts';
import { AzureBackend } from '../../src/backend/azure.ts';
import type { AzureSettings } from '../../src/backend/azure-client.ts';
import { type AzureLocation, parseLocation } from '../../src/backend/location.ts';
import { backendConformance, codeOf, listedNames } from '../conformance/backend.ts';
import { dailyRound } from '../remote/daily-round.ts';
import { AZURITE_ACCOUNT, AZURITE_KEY, AzuriteServer } from '../support/azurite-server.ts';

let azurite: AzuriteServer;
beforeAll(async () => { azurite = await AzuriteServer.start(); }, 900_000);
afterAll(() => azurite?.stop(), 60_000);

const open = (prefix: string, settings: AzureSettings = {}): AzureBackend => new AzureBackend(
  parseLocation(`azure:${AZURITE_ACCOUNT}/container/${prefix}`) as AzureLocation, systemClock, { endpoint: azurite.endpoint, accountKey: new Secret(AZURITE_KEY), ...settings });

let count = 0;
backendConformance('AzureBackend on Azurite', async () => {
  const prefix = `conformance-${count++}`;
  await open(prefix).checkContainer({ create: true });
  return { open: async () => open(prefix), dispose: async () => undefined, secrets: [AZURITE_KEY] };
}, { createIfAbsent: 'atomic', canRemove: true, clockToleranceMs: 10_000 });

describe('Azurite', () => {
  test('decides hundreds of races with one winner each', async () => {
    const connections = Array.from({ length: 4 }, () => open('races'));
    for (let race = 0; race < 50; race++) {
      const answers = await Promise.all(connections.flatMap((connection, i) => [0, 1].map(n => connection.createIfAbsent(`gc/${race}`, utf8(`${i}.${n}`)))));
      expect(answers.filter(answer => answer === 'created')).toHaveLength(1);
    }
  });
  test('lists over its pages', async () => {
    const backend = open('many');
    const names = Array.from({ length: 5100 }, (_, i) => `index/${String(i).padStart(5, '0')}`);
    await Promise.all(names.map(name => backend.create(name, [utf8(name)])));
    expect((await listedNames(backend, 'index/')).sort()).toEqual(names);
    expect(backend.requests.list).toBe(2);
  });
  test('refuses a wrong key and a signature that has expired', async () => {
    expect(await codeOf(open('x', { accountKey: new Secret(Buffer.from('wrong').toString('base64')) }).checkContainer())).toBe('DENIED');
    const sasToken = new Secret('sv=2022-11-02&sr=c&sp=rl&se=2020-01-01T00%3A00%3A00Z&sig=c2lnbmF0dXJl');
    expect(await codeOf(open('x', { accountKey: undefined, sasToken }).checkContainer())).toBe('DENIED');
  });
  test('keeps the access tier of each kind', async () => {
    await open('tiers', { accessTier: 'Cool', metadataAccessTier: 'Hot' }).create('packs/d/00/1', [utf8('x')]);
    expect(await open('tiers').read('packs/d/00/1')).toEqual(utf8('x'));
  });
  test('serves a day with a repository', async () => {
    await dailyRound(`azure:${AZURITE_ACCOUNT}/another/repository`, { SNAP_AZURE_ENDPOINT: azurite.endpoint, AZURE_STORAGE_KEY: AZURITE_KEY });
  });
});
