/** kill -9 at random moments, with two writers on one repository: what was reported as done is there, to the byte. */
import { createHash, randomInt } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../support/memory-repository.ts';
import { reportedSnapshot, snap, type CliOptions } from '../support/snap-cli.ts';

const ROUNDS = 15 * Number(process.env['SNAP_SLOW_ROUNDS'] ?? 1);

/** Relative path to content hash. */
type Manifest = Map<string, string>;

function manifestOf(root: string): Manifest {
  const manifest: Manifest = new Map();
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    manifest.set(path.slice(root.length), createHash('sha256').update(readFileSync(path)).digest('hex'));
  }
  return manifest;
}

function change(root: string, round: number): void {
  for (let i = 0; i < 40; i++) {
    const folder = join(root, `d${randomInt(12)}`);
    mkdirSync(folder, { recursive: true });
    const size = randomInt(10) === 0 ? randomInt(4_000_000) : randomInt(30_000);
    writeFileSync(join(folder, `f${randomInt(60)}`), Buffer.alloc(size, createHash('sha256').update(`${round}.${i}.${randomInt(1 << 30)}`).digest()));
  }
  if (round % 5 === 4) rmSync(join(root, `d${randomInt(12)}`), { recursive: true, force: true });
}

async function writer(root: string, cli: CliOptions, done: Map<string, { root: string; manifest: Manifest }>, kills: { count: number }): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    change(root, round);
    const manifest = manifestOf(root);
    let timer: NodeJS.Timeout | undefined;
    const result = await snap(['backup', root, '--json', '--no-progress'], {
      ...cli, onStart: child => { timer = setTimeout(() => child.kill('SIGKILL'), 250 + randomInt(1_200)); },
    });
    clearTimeout(timer);
    const id = reportedSnapshot(result);
    if (result.signal === 'SIGKILL') kills.count++;
    else expect(result, result.stderr).toMatchObject({ code: 0 });
    if (id !== undefined) done.set(id, { root, manifest });
  }
  const last = await snap(['backup', root, '--json'], cli);
  expect(last, last.stderr).toMatchObject({ code: 0 });
  done.set(reportedSnapshot(last)!, { root, manifest: manifestOf(root) });
}

test('a repository survives kill -9 at any moment, with two writers', async () => {
  const place = temporaryDirectory();
  const repository = join(place, 'repository');
  const cli = (n: number): CliOptions => ({ repository, cache: join(place, `cache-${n}`) });
  expect(await snap(['init'], cli(1))).toMatchObject({ code: 0 });
  const done = new Map<string, { root: string; manifest: Manifest }>();
  const kills = { count: 0 };
  await Promise.all([1, 2].map(n => writer(join(place, `source-${n}`), cli(n), done, kills)));
  expect(kills.count).toBeGreaterThan(0);
  const verified = await snap(['verify', '--read-data'], cli(3));
  expect(verified, verified.stdout + verified.stderr).toMatchObject({ code: 0 });
  for (const [id, { root, manifest }] of done) {
    const target = join(place, 'target');
    const restored = await snap(['restore', `${id}:${root}`, '--target', target], cli(1));
    expect(restored, restored.stderr).toMatchObject({ code: 0 });
    expect(manifestOf(target)).toEqual(manifest);
    rmSync(target, { recursive: true });
  }
});
