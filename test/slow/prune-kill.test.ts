/**
 * Backups, forgets, prunes and checks of one local repository at the same time, as real processes that are killed with kill -9
 * and suspended at random moments: what was reported as saved and not forgotten is there, to the byte.
 * SNAP_SLOW_ROUNDS multiplies the time; SNAP_SLOW_SEED changes the choices.
 */
import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../support/memory-repository.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { reportedSnapshot, snap, type CliOptions, type CliResult } from '../support/snap-cli.ts';

const RUN_MS = 30_000 * Number(process.env['SNAP_SLOW_ROUNDS'] ?? 1);
const SEED = Number(process.env['SNAP_SLOW_SEED'] ?? 1);
/** The newest snapshots of each writer are never forgotten. */
const KEPT = 1;

/** Relative path to content hash. */
type Manifest = ReadonlyMap<string, string>;

interface Saved {
  readonly id: string;
  readonly root: string;
  readonly manifest: Manifest;
}

function manifestOf(root: string): Manifest {
  const manifest = new Map<string, string>();
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    manifest.set(path.slice(root.length), createHash('sha256').update(readFileSync(path)).digest('hex'));
  }
  return manifest;
}

/** Both writers draw on the same contents, so that each finds what the other one stored. */
function change(root: string, random: SeededRandom): void {
  for (let count = 0; count < 12; count++) {
    const folder = join(root, `d${random.below(5)}`);
    mkdirSync(folder, { recursive: true });
    const content = random.below(60);
    writeFileSync(join(folder, `f${random.below(20)}`), new SeededRandom(content).bytes(1000 * (1 + content ** 2)));
  }
  if (random.oneIn(4)) rmSync(join(root, `d${random.below(5)}`), { recursive: true, force: true });
}

class Storm {
  readonly saved: Saved[] = [];
  readonly givenUp = new Set<string>();
  readonly counts: Record<string, number> = {};
  readonly #place: string;
  readonly #random = new SeededRandom(SEED);
  readonly #until = Date.now() + RUN_MS;

  constructor(place: string) {
    this.#place = place;
  }

  options(host: string): CliOptions {
    return { repository: join(this.#place, 'repository'), cache: join(this.#place, `cache-${host}`) };
  }

  async all(): Promise<void> {
    await Promise.all([this.#write('one'), this.#write('two'), this.#forget(), this.#prune('first'), this.#prune('second'), this.#verify()]);
  }

  async #write(host: string): Promise<void> {
    const root = join(this.#place, `source-${host}`);
    while (this.#isOn()) {
      change(root, this.#random);
      const manifest = manifestOf(root);
      const id = reportedSnapshot(await this.#run(host, ['backup', root, '--json', '--no-progress', '--series', host]));
      if (id !== undefined) this.saved.push({ id, root, manifest });
    }
  }

  async #forget(): Promise<void> {
    while (this.#isOn()) {
      await pause(200);
      const kept = ['one', 'two'].flatMap(host => this.saved.filter(({ root }) => root.endsWith(host)).slice(-KEPT));
      const old = this.saved.filter(each => !kept.includes(each) && !this.givenUp.has(each.id));
      if (old.length === 0) continue;
      const { id } = old[this.#random.below(old.length)]!;
      this.givenUp.add(id);
      await this.#run('keeper', ['forget', id, '--force']);
    }
  }

  async #prune(host: string): Promise<void> {
    while (this.#isOn()) await this.#run(host, ['prune', '--grace', '0', '--max-unused', this.#random.oneIn(2) ? '0' : '5%', '--wait', this.#random.oneIn(2) ? '20s' : '0']);
  }

  async #verify(): Promise<void> {
    while (this.#isOn()) await this.#run('reader', this.#random.oneIn(2) ? ['verify', '--read-data'] : ['verify']);
  }

  #isOn(): boolean {
    return Date.now() < this.#until;
  }

  /** What is left alone must succeed, whatever the others do. */
  async #run(host: string, args: readonly string[]): Promise<CliResult> {
    let fate: Promise<void> = Promise.resolve();
    const result = await snap(args, { ...this.options(host), onStart: child => { fate = this.#strike(child); } });
    await fate;
    const outcome = result.signal ?? String(result.code);
    this.counts[`${args[0]} ${outcome}`] = (this.counts[`${args[0]} ${outcome}`] ?? 0) + 1;
    if (result.signal === undefined) expect(result, `${args.join(' ')}\n${result.stdout}\n${result.stderr}`).toMatchObject({ code: 0 });
    return result;
  }

  async #strike(child: ChildProcess): Promise<void> {
    const isAlive = (): boolean => child.exitCode === null && child.signalCode === null;
    const kind = this.#random.below(10);
    if (kind < 3) return;
    await pause(300 + this.#random.below(1500));
    if (!isAlive()) return;
    if (kind < 7) return void child.kill('SIGKILL');
    child.kill('SIGSTOP');
    await pause(100 + this.#random.below(2500));
    child.kill('SIGCONT');
    if (kind === 9 && isAlive()) child.kill('SIGKILL');
  }
}

test('a repository survives kill -9 and suspended processes while backups, prunes and checks run at the same time', async () => {
  const place = temporaryDirectory();
  const storm = new Storm(place);
  expect(await snap(['init'], storm.options('one'))).toMatchObject({ code: 0 });
  await storm.all();
  const kept = storm.saved.filter(({ id }) => !storm.givenUp.has(id));
  expect(kept.length, JSON.stringify(storm.counts)).toBeGreaterThan(0);
  expect(Object.keys(storm.counts).filter(outcome => outcome.endsWith('SIGKILL')).length, JSON.stringify(storm.counts)).toBeGreaterThan(1);
  for (const args of [['prune', '--grace', '0', '--max-unused', '0'], ['verify', '--read-data']]) {
    const result = await snap(args, storm.options('after'));
    expect(result, `${args.join(' ')}\n${result.stdout}\n${result.stderr}`).toMatchObject({ code: 0 });
  }
  for (const { id, root, manifest } of kept) {
    const target = join(place, 'target');
    const restored = await snap(['restore', `${id}:${root}`, '--target', target], storm.options('after'));
    expect(restored, restored.stderr).toMatchObject({ code: 0 });
    expect(manifestOf(target)).toEqual(manifest);
    rmSync(target, { recursive: true });
  }
});
