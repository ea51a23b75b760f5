import { cpSync, lstatSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Workplace } from './cli.ts';

let place: Workplace;
beforeAll(async () => {
  place = new Workplace();
  place.write('source/large', randomBytes(900_000));
  place.write('source/small', 'a small file\n');
  expect((await place.run(['init', '--chunker', '16K'])).code).toBe(0);
  expect((await place.run(['backup', 'source'])).code).toBe(0);
  cpSync(place.path('repo'), place.path('sound'), { recursive: true });
});
afterAll(() => place.remove());

function filesBelow(folder: string): string[] {
  return readdirSync(place.path(folder), { recursive: true, encoding: 'utf8' }).filter(name => lstatSync(place.path(folder, name)).isFile()).sort();
}

/** The repository as it was, with some bytes in the middle of its largest pack changed. */
function damage(): string {
  rmSync(place.path('repo'), { recursive: true });
  cpSync(place.path('sound'), place.path('repo'), { recursive: true });
  const largest = filesBelow('repo').sort((a, b) => lstatSync(place.path('repo', b)).size - lstatSync(place.path('repo', a)).size)[0]!;
  const bytes = readFileSync(place.path('repo', largest));
  for (let i = 0; i < 40; i++) bytes[(bytes.length >> 1) + i]! ^= 0xff;
  rmSync(place.path('repo', largest));
  writeFileSync(place.path('repo', largest), bytes);
  return largest;
}

describe('a damaged pack', () => {
  test('is healed from a copy of the repository, after a dry run that changed nothing', async () => {
    const pack = damage();
    expect((await place.run(['verify', '--read-data'])).code).toBe(13);
    const before = filesBelow('repo');
    const planned = await place.run(['repair', 'packs', '--from', place.path('sound'), '--dry-run', '--read-data']);
    expect(planned, planned.err).toMatchObject({ code: 0, out: expect.stringContaining(`Would remove pack ${pack}`) as string });
    expect(filesBelow('repo')).toEqual(before);
    const repaired = await place.run(['repair', 'packs', '--from', place.path('sound')]); // the check has left word of it
    expect(repaired, repaired.err).toMatchObject({ code: 0, out: expect.stringMatching(/chunks? healed from elsewhere/) as string });
    expect(await place.run(['verify', '--read-data'])).toMatchObject({ code: 0 });
    expect(filesBelow('repo')).toContain(`quarantine/${pack.split('/').at(-1)!}`);
    expect(await place.run(['repair', 'packs', '--empty-quarantine'])).toMatchObject({ code: 0, out: expect.stringContaining('1 pack removed from quarantine') as string });
    expect(filesBelow('repo').filter(name => name.startsWith('quarantine/'))).toEqual([]);
  });

  test('without a copy loses a range of bytes, which a repaired snapshot and its restore name', async () => {
    damage();
    const repaired = await place.run(['repair', 'packs', '--read-data', '--json', '--no-progress']);
    expect(repaired.code).toBe(13);
    const lost = repaired.messages().filter(({ message_type, severity }) => message_type === 'damage' && severity === 'damage');
    expect(lost.flatMap(({ files }) => files as { path: string }[]).map(({ path }) => path)).toContain(place.path('source/large'));
    expect(repaired.messages().at(-1)).toMatchObject({ message_type: 'repair_summary', part: 'packs', exit_code: 13, packs_quarantined: 1, dry_run: false });
    const snapshots = await place.run(['repair', 'snapshots', '--forget']);
    expect(snapshots, snapshots.err).toMatchObject({ code: 13, out: expect.stringContaining('1 snapshot repaired, 1 snapshot forgotten') as string });
    expect(await place.run(['verify', '--read-data'])).toMatchObject({ code: 0 });
    expect((await place.run(['snapshots', '--json'])).messages()).toEqual([expect.objectContaining({ tags: ['repaired'] })]);
    const restored = await place.run(['restore', 'latest', '--target', place.path('back')]);
    expect(restored).toMatchObject({ code: 3, err: expect.stringContaining('source/large: Bytes') as string });
    expect(readFileSync(place.path('back', place.path('source/small')), 'utf8')).toBe('a small file\n');
    expect((await place.run(['ls', '-l', `latest:${place.path('source')}`])).out).toMatch(/source\/large {2}\(.* of it are missing\)/);
    // The source has it all: the next backup is whole.
    expect(await place.run(['backup', 'source'])).toMatchObject({ code: 0 });
    expect(await place.run(['restore', 'latest', '--target', place.path('again')])).toMatchObject({ code: 0 });
  });
});

test('an index that is gone is made anew, and a damaged one says how', async () => {
  damage();
  const [segment] = filesBelow('repo').filter(name => name.startsWith('index/'));
  writeFileSync(place.path('repo', segment!), 'nonsense');
  const refused = await place.run(['backup', 'source']);
  expect(refused).toMatchObject({ code: 13, err: expect.stringContaining('snap repair index') as string });
  expect(await place.run(['repair', 'index'])).toMatchObject({ code: 0, out: expect.stringContaining(`Remove index segment ${segment!}`) as string });
  rmSync(place.path('repo/index'), { recursive: true });
  expect(await place.run(['repair', 'index', '-q'])).toMatchObject({ code: 0, out: '' });
  expect(await place.run(['verify'])).toMatchObject({ code: 0 });
});

describe('wrong usage', () => {
  test.each([
    [['repair', 'packs', '--read-data', '--read-data-subset', '5%'], 'exclude each other'],
    [['repair', 'packs', '--empty-quarantine', '--read-data'], 'goes alone'],
    [['repair', 'packs', 'abcdef123456'], 'No pack matches'],
    [['repair', 'packs', '--from', 'repo'], 'is the repository itself'],
  ])('%j', async (words, message) => {
    expect(await place.run(words)).toMatchObject({ code: 2, err: expect.stringContaining(message) as string });
  });

  test('another repository that is no copy is refused, and its password can be told apart', async () => {
    const env = { SNAP_REPOSITORY: place.path('other'), SNAP_KEY_FILE: place.path('other-key') };
    expect((await place.run(['init'], { env })).code).toBe(0);
    const wrong = await place.run(['repair', 'packs', '--from', place.path('other')]);
    expect(wrong).toMatchObject({ code: 12, err: expect.stringContaining('--from-password-file') as string });
    const unrelated = await place.run(['repair', 'packs', '--from', place.path('other'), '--from-key-file', place.path('other-key')]);
    expect(unrelated).toMatchObject({ code: 2, err: expect.stringContaining('deduplication secret') as string });
  });
});
