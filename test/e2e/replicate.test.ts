import { cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Workplace } from './cli.ts';

let place: Workplace;
beforeAll(async () => {
  place = new Workplace();
  place.write('source/large', randomBytes(900_000));
  place.write('source/small', 'a small file\n');
  expect((await place.run(['init', '--chunker', '16K'])).code).toBe(0);
  expect((await place.run(['backup', 'source'])).code).toBe(0);
  expect(await place.run(['-r', 'same', 'init', '--from', 'repo'])).toMatchObject({ code: 0, out: expect.stringContaining('Replica of repository') as string });
  expect((await place.run(['-r', 'shared', 'init', '--from', 'repo', '--new-keys'])).code).toBe(0);
  expect((await place.run(['-r', 'foreign', 'init'])).code).toBe(0);
});
afterAll(() => place.remove());

/** Several processes each, beside whatever else runs on this machine. */
const LONG = { timeout: 120_000 };
const ALL = ['--to', 'same', '--to', 'cloud=shared', '--to', 'foreign'];

async function expectRestored(repository: string): Promise<void> {
  rmSync(place.path('restored'), { recursive: true, force: true });
  expect(await place.run(['-r', repository, 'restore', `latest:${place.path('source')}`, '--target', 'restored'])).toMatchObject({ code: 0, err: '' });
  for (const name of ['large', 'small']) expect(readFileSync(place.path('restored', name))).toEqual(readFileSync(place.path('source', name)));
}

test('a dry run says what a real one does, which serves replicas of every kind; all of them restore', LONG, async () => {
  const dry = (await place.run(['replicate', ...ALL, '--dry-run', '--json'])).messages();
  const real = await place.run(['replicate', ...ALL, '--verify', '--json']);
  expect(real.code).toBe(0);
  const figures = (messages: Record<string, unknown>[]): unknown[] => messages.filter(each => each['message_type'] === 'replica').map(each => [each['location'], each['relation'], each['bytes_written']]);
  expect(figures(real.messages())).toEqual(figures(dry));
  expect(figures(dry).map(each => (each as unknown[])[1])).toEqual(['same', 'shared', 'foreign']);
  expect(real.messages().at(-1)).toMatchObject({ message_type: 'summary', job: 'replicate', status: 'complete', exit_code: 0, replicas: 3, replicas_failed: 0 });
  for (const replica of ['same', 'shared', 'foreign']) await expectRestored(replica);
});

test('a replica that is not there, or is full of something else, does not stop the others: exit code 3', LONG, async () => {
  place.write('source/more', randomBytes(50_000));
  expect((await place.run(['backup', 'source'])).code).toBe(0);
  const outcome = await place.run(['replicate', '--to', 'nowhere', ...ALL]);
  expect(outcome).toMatchObject({ code: 3, out: expect.stringContaining("nowhere:\n  Failed: ") as string });
  expect(outcome.out).toContain('1 of 4 replicas could not be brought up to date');
  expect((await place.run(['replicate', '--to', 'nowhere'])).code).toBe(10);
});

test('the status says when each was brought up to date and how far it is behind, and a replica that is given up is dropped', LONG, async () => {
  place.write('source/new', randomBytes(60_000));
  expect((await place.run(['backup', 'source'])).code).toBe(0);
  const status = await place.run(['replicate', '--status', '--json']);
  const [foreign, nowhere, same, shared] = status.messages();
  expect([foreign, same, shared].map(each => each!['behind_snapshots'])).toEqual([1, 1, 1]);
  expect(shared).toMatchObject({ label: 'cloud', snapshots: 2, host: expect.any(String) as string, succeeded: expect.any(String) as string });
  expect(shared!['behind_bytes']).toBeGreaterThan(50_000);
  expect(nowhere).toMatchObject({ error_code: 'REPOSITORY_NOT_FOUND', snapshots: 0 });
  expect((await place.run(['replicate', '--status'])).out).toMatch(/cloud \(.*shared\):\n {2}Up to date: .*\n {2}Behind: +1 snapshots, about/);
  expect(nowhere!['location']).toBe(place.path('nowhere'));
  expect(await place.run(['replicate', '--drop', 'nowhere'])).toMatchObject({ code: 0 });
  expect((await place.run(['replicate', '--status', '--json'])).messages()).toHaveLength(3);
  expect((await place.run(['replicate', '--drop', 'nobody'])).code).toBe(2);
});

test('passwords of replicas are given by file, one for all or one for each', LONG, async () => {
  writeFileSync(place.path('one.txt'), 'first\n');
  writeFileSync(place.path('two.txt'), 'second\n');
  const env = { SNAP_KEY_FILE: undefined };
  for (const [repository, file] of [['p1', 'one.txt'], ['p2', 'two.txt']] as const) {
    expect(await place.run(['-r', repository, '--password-file', file, 'init', '--from', 'repo', '--from-key-file', 'key'], { env: { SNAP_KEY_FILE: undefined } })).toMatchObject({ code: 0, err: '' });
  }
  const both = ['replicate', '--to', 'p1', '--to', 'p2'];
  expect((await place.run([...both, '--to-password-file', 'one.txt', '--to-password-file', 'two.txt'])).code).toBe(0);
  expect((await place.run([...both, '--to-password-file', 'one.txt'])).code).toBe(3);
  expect((await place.run(['replicate', '--to', 'p2', '--to-password-file', 'one.txt'])).code).toBe(12);
  expect((await place.run(['-r', 'p2', '--password-file', 'two.txt', 'verify', '--read-data'], { env })).code).toBe(0);
});

test('wrong use is refused', LONG, async () => {
  expect((await place.run(['replicate'])).code).toBe(2);
  expect(await place.run(['replicate', '--to', 'repo'])).toMatchObject({ code: 2, err: expect.stringContaining('is the repository itself') as string });
  expect((await place.run(['replicate', '--to', 'same', '--to', 'same'])).code).toBe(2);
  expect((await place.run(['replicate', '--drop', 'same', '--status'])).code).toBe(2);
  expect((await place.run(['-r', 'x', 'init', '--new-keys'])).code).toBe(2);
  expect((await place.run(['-r', 'x', 'init', '--from', 'repo', '--chunker', '1M'])).code).toBe(2);
  expect(existsSync(place.path('x'))).toBe(false);
});

test('own retention at a replica, from the same machine: it is pruned there, and nothing comes back', LONG, async () => {
  expect((await place.run(['replicate', ...ALL])).code).toBe(0);
  expect(await place.run(['-r', 'same', 'forget', '--keep-last', '1', '--prune'])).toMatchObject({ code: 0, err: '' });
  expect((await place.run(['replicate', ...ALL])).out).toMatch(/same:\n {2}Snapshots: +0 copied, 2 there before, 1 left out/);
  expect((await place.run(['-r', 'same', 'verify', '--read-data'])).code).toBe(0);
  expect((await place.run(['verify'])).code).toBe(0);
  await expectRestored('same');
});

test('the near repository is gone, and the cache with it: a replica gives everything back, and a new near one is made from it', LONG, async () => {
  renameSync(place.path('repo'), place.path('gone'));
  rmSync(place.path('.cache'), { recursive: true, force: true });
  await expectRestored('same');
  expect((await place.run(['init', '--from', 'foreign'])).code).toBe(0);
  expect((await place.run(['-r', 'foreign', 'replicate', '--to', 'repo'])).code).toBe(0);
  await expectRestored('repo');
  rmSync(place.path('repo'), { recursive: true });
  renameSync(place.path('gone'), place.path('repo'));
});

test('damage in the near repository is exit code 13, and a replica heals it', LONG, async () => {
  const whole = place.path('whole');
  cpSync(place.path('repo'), whole, { recursive: true });
  place.write('source/last', randomBytes(300_000));
  expect((await place.run(['backup', 'source'])).code).toBe(0);
  expect((await place.run(['replicate', '--to', 'shared'])).code).toBe(0);
  const added = readdirSync(place.path('repo/packs/d'), { recursive: true, encoding: 'utf8' }).filter(name => name.length > 30 && !existsSync(`${whole}/packs/d/${name}`));
  for (const name of added) {
    const path = place.path('repo/packs/d', name);
    const bytes = readFileSync(path);
    for (let i = 0; i < 40; i++) bytes[(bytes.length >> 1) + i]! ^= 0xff;
    rmSync(path);
    writeFileSync(path, bytes);
  }
  const outcome = await place.run(['replicate', '--to', 'same', '--to', 'shared']);
  expect(outcome.code).toBe(13);
  expect(outcome.err).toContain('cannot be copied, since something that it needs is damaged');
  expect((await place.run(['repair', 'packs', '--read-data', '--from', 'shared'])).code).toBe(0);
  expect((await place.run(['replicate', '--to', 'same', '--to', 'shared'])).code).toBe(0);
  await expectRestored('same');
});
