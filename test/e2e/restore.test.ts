import { randomBytes } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, utimesSync, writeFileSync, rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compareTrees } from '../../src/cli/compare-trees.ts';
import { Workplace } from './cli.ts';

let place: Workplace;
beforeAll(async () => {
  place = new Workplace();
  place.write('source/a.txt', 'hello\n');
  place.write('source/empty', '');
  place.write('source/folder/b.bin', Buffer.alloc(3_000_000, 'abcdefg'));
  place.write('source/folder/c.tmp', 'temporary');
  mkdirSync(place.path('source/nothing'));
  symlinkSync('../a.txt', place.path('source/folder/link'));
  writeFileSync(Buffer.concat([Buffer.from(place.path('source/odd')), Buffer.of(0xff)]), 'odd');
  utimesSync(place.path('source/a.txt'), 1_000_000_000, 1_000_000_000.5);
  expect((await place.run(['init'])).code).toBe(0);
  expect((await place.run(['backup', 'source'])).code).toBe(0);
});
afterAll(() => place.remove());

async function differences(restored: string): Promise<string[]> {
  const compared = await compareTrees(Buffer.from(place.path('source')), Buffer.from(place.path(restored)), {
    signal: new AbortController().signal, isIgnored: () => false, onEntry: () => undefined,
  });
  return compared.differences.map(({ path, what }) => `${Buffer.from(path).toString('latin1')} ${what}`);
}

test('a whole snapshot lands under its source paths, equal in every byte', async () => {
  const restored = await place.run(['restore', 'latest', '--target', 'whole']);
  expect(restored).toMatchObject({ code: 0, err: '' });
  expect(restored.out).toMatch(/Snapshot [0-9a-f]{8} restored\n$/);
  expect(await differences(`whole${place.path('source')}`)).toEqual([]);
});

test('SNAPSHOT:PATH restores what lies there directly into the target; a second run keeps what is right', async () => {
  const words = ['restore', `latest:${place.path('source')}`, '--target', 'part', '--json', '--no-progress'];
  const [first] = (await place.run(words)).messages();
  expect(first).toMatchObject({ message_type: 'summary', job: 'restore', status: 'complete', exit_code: 0, bytes_restored: 3_000_018 });
  expect(await differences('part')).toEqual([]);
  const again = await place.run([...words, '--verify']);
  expect(again.messages()).toEqual([expect.objectContaining({ exit_code: 0, bytes_restored: 0, files_skipped: 5 })]);
});

test('a single file comes under its name', async () => {
  expect((await place.run(['restore', `latest:${place.path('source/a.txt')}`, '--target', 'single'])).code).toBe(0);
  expect(readFileSync(place.path('single/a.txt'), 'utf8')).toBe('hello\n');
});

test('--include and --exclude select', async () => {
  expect((await place.run(['restore', 'latest', '-t', 'selected', '--include', '*.t*', '--exclude', '*.tmp'])).code).toBe(0);
  const at = `selected${place.path('source')}`;
  expect(existsSync(place.path(at, 'a.txt'))).toBe(true);
  expect(existsSync(place.path(at, 'folder/c.tmp'))).toBe(false);
  expect(existsSync(place.path(at, 'empty'))).toBe(false);
});

test('--dry-run -v lists and writes nothing', async () => {
  const dry = await place.run(['restore', 'latest', '--target', 'dry', '-n', '-v']);
  expect(dry).toMatchObject({ code: 0, err: '' });
  expect(dry.out).toContain(`+ ${place.path('source/folder/b.bin')} (2.86 MiB)`);
  expect(dry.out).toMatch(/Dry run: nothing was written\n$/);
  expect(existsSync(place.path('dry'))).toBe(false);
});

test('--overwrite never leaves files alone, --delete removes what is too much', async () => {
  const words = ['restore', `latest:${place.path('source')}`, '--target', 'modes'];
  place.write('modes/a.txt', 'mine');
  place.write('modes/extra', 'too much');
  expect((await place.run([...words, '--overwrite', 'never'])).code).toBe(0);
  expect(readFileSync(place.path('modes/a.txt'), 'utf8')).toBe('mine');
  const deleted = await place.run([...words, '--delete', '--json', '--no-progress']);
  expect(deleted.messages().at(-1)).toMatchObject({ exit_code: 0, files_deleted: 1 });
  expect(await differences('modes')).toEqual([]);
});

describe('in place', () => {
  test('asks, saves the present state as a snapshot and names it, restores, and can be undone', async () => {
    writeFileSync(place.path('source/a.txt'), 'damaged');
    rmSync(place.path('source/folder/link'));
    const refused = await place.run(['restore', 'latest', '--in-place'], { input: 'no\n' });
    expect(refused.code).toBe(130);
    expect(refused.err).toContain('Type "yes" to go on');
    expect(readFileSync(place.path('source/a.txt'), 'utf8')).toBe('damaged');

    const restored = await place.run(['restore', 'latest', '--in-place'], { input: 'yes\n' });
    expect(restored.code).toBe(0);
    expect(readFileSync(place.path('source/a.txt'), 'utf8')).toBe('hello\n');
    expect(readlinkSync(place.path('source/folder/link'))).toBe('../a.txt');
    const undo = /undo the restore with: snap restore ([0-9a-f]{8}) --in-place/.exec(restored.out)![1]!;
    const [saved] = (await place.run(['snapshots', undo, '--json'])).messages();
    expect(saved).toMatchObject({ tags: ['before-restore'] });

    expect((await place.run(['restore', `${undo}:${place.path('source/a.txt')}`, '--in-place', '--yes'])).code).toBe(0);
    expect(readFileSync(place.path('source/a.txt'), 'utf8')).toBe('damaged');
    expect((await place.run(['restore', `latest~2:${place.path('source')}`, '--in-place', '--yes', '--delete'])).code).toBe(0);
    expect(readFileSync(place.path('source/a.txt'), 'utf8')).toBe('hello\n');
  });

  test('without an answer nothing happens', async () => {
    const silent = await place.run(['restore', 'latest', '--in-place', '--json']);
    expect(silent.code).toBe(2);
    expect(silent.messages().at(-1)).toMatchObject({ message_type: 'exit_error', hint: 'Give --yes in a script' });
  });
});

describe('what stops a restore', () => {
  test.each([
    ['no target', ['restore', 'latest'], 2],
    ['two targets', ['restore', 'latest', '--target', 'x', '--in-place'], 2],
    ['no such snapshot', ['restore', 'ffffffff', '--target', 'x'], 1],
    ['no such path', ['restore', 'latest:/nowhere', '--target', 'x'], 1],
    ['a target that is a file', ['restore', 'latest', '--target', 'repo/config'], 2],
  ])('%s', async (_name, words, code) => {
    const stopped = await place.run(words);
    expect(stopped.code).toBe(code);
    expect(stopped.err).toMatch(/^Error: /);
  });
});

test('a damaged pack costs the files in it, the rest is restored: exit code 13', async () => {
  const env = { SNAP_REPOSITORY: place.path('damaged'), SNAP_CACHE_DIR: place.path('damaged-cache') };
  place.write('two/large', randomBytes(100_000)); // does not compress: the middle of the pack is content, not padding
  expect((await place.run(['init'], { env })).code).toBe(0);
  expect((await place.run(['backup', 'two'], { env })).code).toBe(0);
  const packs = readdirSync(place.path('damaged/packs'), { recursive: true, encoding: 'utf8' }).map(name => place.path('damaged/packs', name)).filter(path => lstatSync(path).isFile());
  place.write('two/second', 'second');
  expect((await place.run(['backup', 'two'], { env })).code).toBe(0);
  const bytes = packs.map(path => readFileSync(path)).sort((a, b) => b.length - a.length)[0]!;
  const damaged = packs.find(path => readFileSync(path).equals(bytes))!;
  const middle = Math.floor(bytes.length / 2);
  for (let i = middle - 40; i < middle + 40; i++) bytes[i] = bytes[i]! ^ 0xff;
  rmSync(damaged);
  writeFileSync(damaged, bytes);
  const restored = await place.run(['restore', `latest:${place.path('two')}`, '--target', 'rescued'], { env });
  expect(restored.err).toContain(`  hits ${place.path('two/large')} in snapshot`);
  expect(restored.code).toBe(13);
  expect(readFileSync(place.path('rescued/second'), 'utf8')).toBe('second');
});
