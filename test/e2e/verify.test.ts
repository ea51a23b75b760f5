import { randomBytes } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Workplace } from './cli.ts';

let place: Workplace;
beforeAll(async () => {
  place = new Workplace();
  place.write('source/large', randomBytes(200_000));
  expect((await place.run(['init'])).code).toBe(0);
  const backed = await place.run(['backup', 'source', '--validate', '--json', '--no-progress']);
  const [saved] = backed.messages();
  expect(backed.messages()).toEqual([
    expect.objectContaining({ message_type: 'summary', job: 'backup', exit_code: 0 }),
    expect.objectContaining({ message_type: 'verify_summary', exit_code: 0, levels: ['metadata', 'data'], snapshot_id: saved!['snapshot_id'] }),
    expect.objectContaining({ message_type: 'summary', job: 'verify', exit_code: 0, num_errors: 0, snapshots: 1, packs_read: 2 }),
  ]);
});
afterAll(() => place.remove());

test('a whole repository has no damage; check is the same verb', async () => {
  const verified = await place.run(['verify']);
  expect(verified).toMatchObject({ code: 0, err: '' });
  expect(verified.out).toMatch(/no content \(--read-data reads all\)[^]*100 % of the data was verified within the last 35 days\nNo damage found\n$/);
  const [detail, summary] = (await place.run(['check', '--read-data', '--snapshot', 'latest', '--json', '--no-progress'])).messages();
  expect(detail).toMatchObject({ message_type: 'verify_summary', levels: ['structure', 'metadata', 'tables', 'data'], coverage: { days: 35, share: 1, packs_never: 0 } });
  expect(summary).toMatchObject({ exit_code: 0, packs_read: expect.any(Number) });
  expect(summary!['bytes_read']).toBeGreaterThan(200_000);
});

test('levels and parts of the data are chosen by flags', async () => {
  const levels = async (...words: string[]): Promise<unknown> => {
    const run = await place.run(['verify', ...words, '--json', '--no-progress']);
    expect(run.code, run.out).toBe(0);
    return run.messages()[0]!['levels'];
  };
  expect(await levels('--level', '0')).toEqual(['structure']);
  expect(await levels('--level', 'tables')).toEqual(['structure', 'metadata', 'tables']);
  expect(await levels('--level', '3')).toEqual(['structure', 'metadata', 'sample']);
  expect(await levels('--level', '2', '--read-data-subset', '1/2')).toEqual(['structure', 'metadata', 'tables', 'sample']);
  expect(await levels('--level', '4')).toEqual(['structure', 'metadata', 'tables', 'data']);
  const sampled = await place.run(['verify', '--read-data-subset', '50%']);
  expect(sampled.out).toMatch(/The sample was \d of \d packs, .* with 95 % confidence/);
});

test.each([
  ['--read-data-subset', '0%'], ['--level', '7'], ['--read-data', '--read-data-subset', '5%'], ['--level', '0', '--read-data'], ['--target-dir', '/tmp'], ['--compare-live'],
  ['--level', 'data', '--read-data-subset', '5%'],
])('contradictions are refused: verify %s %s %s', async (...words) => {
  const refused = await place.run(['verify', ...words]);
  expect(refused.code).toBe(2);
  expect(refused.err).toMatch(/^Error: /);
});

test('a test restore proves that the snapshot comes back, and compares it with what is there', async () => {
  mkdirSync(place.path('try'));
  const tried = await place.run(['verify', '--test-restore', '--target-dir', 'try', '--compare-live']);
  expect(tried, tried.err).toMatchObject({ code: 0 });
  expect(tried.out).toMatch(/Live files: +as in the snapshot[^]*comes back: everything was restored, read back and compared\n$/);
  expect(readdirSync(place.path('try'))).toEqual([]);
  place.write('source/later', 'x');
  const compared = await place.run(['verify', '--test-restore', '--compare-live', '--json', '--no-progress']);
  rmSync(place.path('source/later'));
  expect(compared.code).toBe(0);
  expect(compared.messages().slice(2)).toEqual([
    { message_type: 'difference', path: place.path('source/later'), what: 'is new since the snapshot' },
    expect.objectContaining({ message_type: 'test_restore_summary', exit_code: 0, live: expect.objectContaining({ added: 1, removed: 0 }) }),
  ]);
});

function largestPack(): string {
  const packs = readdirSync(place.path('repo/packs'), { recursive: true, encoding: 'utf8' }).map(name => place.path('repo/packs', name)).filter(path => lstatSync(path).isFile());
  return packs.sort((a, b) => lstatSync(b).size - lstatSync(a).size)[0]!;
}

test('damage is found by --read-data and by a test restore: exit code 13, with the files that are hit and what to do', async () => {
  const pack = largestPack();
  const bytes = readFileSync(pack);
  const whole = Buffer.from(bytes);
  for (let i = 0; i < 40; i++) bytes[(bytes.length >> 1) + i]! ^= 0xff;
  rmSync(pack);
  writeFileSync(pack, bytes);
  const found = await place.run(['verify', '--read-data', '--json', '--no-progress']);
  expect(found.code).toBe(13);
  const messages = found.messages();
  expect(messages.at(-1)).toMatchObject({ message_type: 'summary', status: 'failed', exit_code: 13 });
  const damages = messages.filter(message => message['message_type'] === 'damage');
  expect(damages.every(message => String(message['hint']).includes('snap repair packs'))).toBe(true);
  const files = damages.flatMap(message => message['files'] as { path: string; ranges: number[][] }[]);
  expect(files).toContainEqual(expect.objectContaining({ path: place.path('source/large'), ranges: [[expect.any(Number), expect.any(Number)]] }));
  const text = await place.run(['verify', '--read-data']);
  expect(text.err).toMatch(/hits .*source\/large \(bytes [\d,]+ to [\d,]+\) in snapshot[^]*\nNext: /);
  expect((await place.run(['verify', '--test-restore'])).code).toBe(13);
  // The ledger remembers it, until the pack is found whole again.
  expect((await place.run(['verify'])).out).toMatch(/1 with damage/);
  rmSync(pack);
  writeFileSync(pack, whole);
  expect((await place.run(['verify', '--read-data'])).code).toBe(0);
});
