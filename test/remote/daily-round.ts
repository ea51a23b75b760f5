/** What everybody does with a repository, on any location: init, backups, snapshots, verify, restore, forget, prune. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { temporaryDirectory } from '../support/memory-repository.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { jsonLines, reportedSnapshot, snap, type CliOptions } from '../support/snap-cli.ts';

/** Files of all sizes below `root`: many small ones, some of a few MiB. */
export function writeFiles(root: string, seed: number): Map<string, Uint8Array> {
  const random = new SeededRandom(seed);
  const files = new Map<string, Uint8Array>();
  for (let i = 0; i < 60; i++) {
    const path = `d${i % 7}/f${i}`;
    files.set(path, random.bytes(i % 20 === 0 ? 3_000_000 : random.below(30_000)));
  }
  for (const [path, bytes] of files) {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), bytes);
  }
  return files;
}

export async function dailyRound(location: string, env: Readonly<Record<string, string>> = {}): Promise<void> {
  const place = temporaryDirectory();
  const source = join(place, 'source');
  // A key file needs no stretching, which would take most of the time.
  const cli: CliOptions = { repository: location, cache: join(place, 'cache'), password: '', env: { SNAP_KEY_FILE: join(place, 'key'), ...env } };
  const well = async (...words: string[]): ReturnType<typeof snap> => {
    const result = await snap(words, cli);
    expect(result, `${words.join(' ')}\n${result.stdout}${result.stderr}`).toMatchObject({ code: 0, stderr: '' });
    return result;
  };
  await well('init');
  const elsewhere = await snap(['snapshots'], { ...cli, repository: `${location}-not-there` });
  expect(elsewhere, elsewhere.stderr).toMatchObject({ code: 10 });
  const again = await snap(['init'], cli);
  expect(again, again.stderr).toMatchObject({ code: 2 });
  const files = writeFiles(source, 1);
  const first = reportedSnapshot(await well('backup', source, '--json', '--no-progress'));
  writeFileSync(join(source, 'd0/new'), 'a new file');
  files.set('d0/new', new Uint8Array(Buffer.from('a new file')));
  const second = reportedSnapshot(await well('backup', source, '--json', '--no-progress'));
  const listed = jsonLines(await well('snapshots', '--json')).filter(line => line['message_type'] === 'snapshot').map(line => line['id']);
  expect(listed.sort()).toEqual([first, second].sort());
  await well('verify', '--read-data');
  // Without the cache everything comes from the store.
  rmSync(join(place, 'cache'), { recursive: true });
  await well('restore', `latest:${source}`, '--target', join(place, 'target'), '--verify');
  for (const [path, bytes] of files) expect(Buffer.compare(readFileSync(join(place, 'target', path)), bytes), path).toBe(0);
  await well('forget', '--keep-last', '1');
  await well('prune', '--grace', '0');
  await well('verify', '--read-data');
}
