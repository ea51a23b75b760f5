import { chmodSync, existsSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Workplace } from './cli.ts';

let place: Workplace;
beforeAll(() => {
  place = new Workplace();
  place.write('source/a.txt', 'hello\n');
  place.write('source/folder/b.bin', Buffer.alloc(300_000, 'abc'));
  chmodSync(place.path('source'), 0o751);
  symlinkSync('a.txt', place.path('source/link'));
  symlinkSync('source', place.path('pointer'));
});
afterAll(() => place.remove());

test('a trial backs up, verifies, restores and compares, says what to do next, and leaves only its own folder', async () => {
  const tried = await place.run(['try', 'source', '--at', 'trial']);
  expect(tried).toMatchObject({ code: 0, err: '' });
  for (const part of [
    '1. Made an encrypted repository', '2. Backing up', 'saved (full)', '3. Reading everything back', 'No damage found', '4. Restoring to',
    '5. Comparing every byte', 'Compared 2 files, 2 folders and 1 other entries', ': no difference', 'The trial went well', `rm -r ${place.path('trial')}`,
  ]) expect(tried.out).toContain(part);
  expect(existsSync(place.path('trial/restored'))).toBe(false);
  expect(statSync(place.path('trial/password')).mode & 0o777).toBe(0o600);
  const exported = /export SNAP_REPOSITORY=(\S+) SNAP_PASSWORD_FILE=(\S+) SNAP_CACHE_DIR=(\S+)/.exec(tried.out)!;
  const listed = await place.run(['snapshots', '--json'], {
    env: { SNAP_KEY_FILE: '', SNAP_REPOSITORY: exported[1]!, SNAP_PASSWORD_FILE: exported[2]!, SNAP_CACHE_DIR: exported[3]! },
  });
  expect(listed.messages()).toEqual([expect.objectContaining({ message_type: 'snapshot', tags: ['try'] })]);
});

test('a folder that contains the trials can be tried, and one that a symlink points to; --keep keeps the copy', async () => {
  const tried = await place.run(['try', '.', '--json', '--no-progress']);
  expect(tried.code).toBe(0);
  expect(tried.messages().at(-2)).toMatchObject({ message_type: 'comparison', differences: 0 });
  const linked = await place.run(['try', 'pointer', '--at', 'linked', '--keep']);
  expect(linked.code).toBe(0);
  expect(readFileSync(place.path('linked/restored/a.txt'), 'utf8')).toBe('hello\n');
});

test('a folder in use and a path that is missing are wrong usage', async () => {
  place.write('used/file', 'x');
  expect((await place.run(['try', 'source', '--at', 'used'])).code).toBe(2);
  expect((await place.run(['try', 'missing', '--at', 'unused'])).code).toBe(2);
  expect(existsSync(place.path('unused'))).toBe(false);
});
