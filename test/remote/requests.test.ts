/** How many requests runs send: storages charge for each, and each takes a round trip. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { FakeS3 } from '../support/fake-s3.ts';
import { temporaryDirectory } from '../support/memory-repository.ts';
import { jsonLines, snap, type CliResult } from '../support/snap-cli.ts';
import { writeFiles } from './daily-round.ts';

interface Place {
  readonly fake: FakeS3;
  readonly source: string;
  /** Runs snap, and returns the requests of the run in their order. */
  run(...words: string[]): Promise<{ result: CliResult; requests: string[] }>;
}

async function preparePlace(): Promise<Place> {
  const fake = await FakeS3.start();
  onTestFinished(() => fake.close());
  const place = temporaryDirectory();
  const source = join(place, 'source');
  writeFiles(source, 1);
  // What changed a moment before a backup may change again unnoticed, and is looked at once more by the next one.
  await new Promise(resolve => { setTimeout(resolve, 2_500); });
  const cli = { repository: fake.location(), cache: join(place, 'cache'), password: '', env: { SNAP_KEY_FILE: join(place, 'key') } };
  const run: Place['run'] = async (...words) => {
    const before = fake.requests.length;
    const result = await snap(words, cli);
    expect(result, `${words.join(' ')}\n${result.stdout}${result.stderr}`).toMatchObject({ code: 0 });
    return { result, requests: fake.requests.slice(before).map(({ operation, key }) => `${operation} ${key.replace(/[0-9a-f]{32}/g, 'ID').slice('prefix/'.length)}`) };
  };
  await run('init');
  await run('backup', source);
  return { fake, source, run };
}

test('an hourly run without a change sends ten', { timeout: 120_000 }, async () => {
  const { source, run } = await preparePlace();
  const hourly = [
    'GET config', 'LIST key', // who may open it, and with which keyring
    'PUT sessions/ID', 'LIST gc/', 'LIST index/', 'LIST packs/', // register, then look
    'LIST snapshots/', 'PUT snapshots/ID', 'HEAD forgotten/ID', 'DELETE sessions/ID',
  ];
  for (let hour = 0; hour < 2; hour++) expect((await run('backup', source)).requests).toEqual(hourly);
  expect((await run('backup', source, '--skip-if-unchanged')).requests).toEqual([...hourly.slice(0, 7), 'GET forgotten/ID', 'DELETE sessions/ID']);
});

test('a run with a small change sends five more: it reads the old folder, and stores a pack of data, one of trees and their index', { timeout: 120_000 }, async () => {
  const { source, run } = await preparePlace();
  writeFileSync(join(source, 'new'), 'a new file');
  const { requests } = await run('backup', source);
  expect(requests.filter(each => /^PUT (packs|index)/.test(each)).sort()).toEqual(['PUT index/ID', expect.stringContaining('PUT packs/d'), expect.stringContaining('PUT packs/t')]);
  expect(requests.length).toBeLessThanOrEqual(15);
});

test('-v says how many were sent', { timeout: 120_000 }, async () => {
  const { fake, source, run } = await preparePlace();
  const { result } = await run('backup', source, '--json', '-v');
  expect(jsonLines(result).at(-1)).toEqual({
    message_type: 'storage_requests', repository: fake.location().replace(/\/\/.*@/, '//'), put: 2, get: 1, head: 1, list: 5, remove: 1, total: 10,
  });
  expect((await run('backup', source, '-v')).result.stdout).toContain('2 PUT, 1 GET, 1 HEAD, 5 LIST, 1 DELETE');
  expect((await run('backup', source, '--json')).result.stdout).not.toContain('storage_requests');
});

test('a key slot that was removed opens nothing, although this host has a copy of it', { timeout: 120_000 }, async () => {
  const { fake, run } = await preparePlace();
  const slot = fake.keys().find(key => key.startsWith('prefix/keys/'))!;
  fake.unplant(slot);
  await expect(run('snapshots')).rejects.toThrow('no key slot');
});
