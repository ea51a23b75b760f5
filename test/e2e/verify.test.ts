import { randomBytes } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Workplace } from './cli.ts';

let place: Workplace;
beforeAll(async () => {
  place = new Workplace();
  place.write('source/large', randomBytes(200_000));
  expect((await place.run(['init'])).code).toBe(0);
  const backed = await place.run(['backup', 'source', '--validate', '--json', '--no-progress']);
  expect(backed.messages()).toEqual([
    expect.objectContaining({ message_type: 'summary', job: 'backup', exit_code: 0 }),
    expect.objectContaining({ message_type: 'summary', job: 'verify', exit_code: 0, num_errors: 0, snapshots: 1 }),
  ]);
});
afterAll(() => place.remove());

test('a whole repository has no damage; check is the same verb', async () => {
  const verified = await place.run(['verify']);
  expect(verified).toMatchObject({ code: 0, err: '' });
  expect(verified.out).toMatch(/no content \(--read-data reads all\)[^]*No damage found\n$/);
  const [summary] = (await place.run(['check', '--read-data', '--snapshot', 'latest', '--json', '--no-progress'])).messages();
  expect(summary).toMatchObject({ exit_code: 0, packs_read: expect.any(Number) });
  expect(summary!['bytes_read']).toBeGreaterThan(200_000);
});

test('damage is found by --read-data: exit code 13, with the files that are hit', async () => {
  const packs = readdirSync(place.path('repo/packs'), { recursive: true, encoding: 'utf8' }).map(name => place.path('repo/packs', name)).filter(path => lstatSync(path).isFile());
  const largest = packs.sort((a, b) => lstatSync(b).size - lstatSync(a).size)[0]!;
  const bytes = readFileSync(largest);
  for (let i = 0; i < 40; i++) bytes[(bytes.length >> 1) + i]! ^= 0xff;
  rmSync(largest);
  writeFileSync(largest, bytes);
  const found = await place.run(['verify', '--read-data', '--json', '--no-progress']);
  expect(found.code).toBe(13);
  const messages = found.messages();
  expect(messages.at(-1)).toMatchObject({ message_type: 'summary', status: 'failed', exit_code: 13 });
  const files = messages.filter(message => message['message_type'] === 'damage').flatMap(message => message['files'] as { path: string }[]);
  expect(files.map(file => file.path)).toContain(place.path('source/large'));
});
