/**
 * Two hosts back up into one repository while a third prunes it and a fourth replicates it, which is killed now and then; a fifth thins out and
 * prunes the replica. Each is a process with a cache of its own. In the end every snapshot of both repositories is there to the byte.
 * In a folder and on an S3 server in this process. SNAP_SLOW_ROUNDS multiplies the time; SNAP_SLOW_SEED changes the choices.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { FakeS3 } from '../support/fake-s3.ts';
import { temporaryDirectory } from '../support/memory-repository.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { jsonLines, reportedSnapshot, snap, type CliOptions, type CliResult } from '../support/snap-cli.ts';

const ROUNDS = Number(process.env['SNAP_SLOW_ROUNDS'] ?? 1);
const RUN_MS = ROUNDS > 1 ? 15_000 * ROUNDS : 6_000;
const SEED = Number(process.env['SNAP_SLOW_SEED'] ?? 1);

type Manifest = ReadonlyMap<string, string>;

function manifestOf(root: string): Manifest {
  const manifest = new Map<string, string>();
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    manifest.set(path.slice(root.length), createHash('sha256').update(readFileSync(path)).digest('hex'));
  }
  return manifest;
}

function change(root: string, random: SeededRandom): void {
  for (let count = 0; count < 10; count++) {
    mkdirSync(join(root, `d${random.below(4)}`), { recursive: true });
    const folder = readdirSync(root)[0]!;
    const content = random.below(50);
    writeFileSync(join(root, folder, `f${random.below(15)}`), new SeededRandom(content).bytes(1000 * (1 + content ** 2)));
  }
}

class Round {
  readonly saved = new Map<string, { readonly root: string; readonly manifest: Manifest }>();
  readonly counts: Record<string, number> = {};
  readonly #place: string;
  readonly #near: string;
  readonly #random = new SeededRandom(SEED);
  readonly #until = Date.now() + RUN_MS;

  constructor(place: string, near: string) {
    this.#place = place;
    this.#near = near;
  }

  options(host: string, repository = this.#near): CliOptions {
    return { repository, cache: join(this.#place, `cache-${host}`), password: '', env: { SNAP_KEY_FILE: join(this.#place, 'key') } };
  }

  get far(): string {
    return join(this.#place, 'far');
  }

  async all(): Promise<void> {
    await Promise.all([this.#write('one'), this.#write('two'), this.#prune('keeper', this.#near, 3), this.#replicate(), this.#prune('far-keeper', this.far, 2)]);
  }

  async run(args: readonly string[], options: CliOptions): Promise<CliResult> {
    const result = await snap(args, options);
    this.counts[`${args[0]} ${result.signal ?? result.code}`] = (this.counts[`${args[0]} ${result.signal ?? result.code}`] ?? 0) + 1;
    if (result.signal === undefined) expect(result, `${args.join(' ')}\n${result.stdout}\n${result.stderr}`).toMatchObject({ code: 0 });
    return result;
  }

  async #write(host: string): Promise<void> {
    const root = join(this.#place, `source-${host}`);
    while (Date.now() < this.#until) {
      change(root, this.#random);
      const manifest = manifestOf(root);
      const id = reportedSnapshot(await this.run(['backup', root, '--json', '--no-progress', '--series', host], this.options(host)));
      if (id !== undefined) this.saved.set(id, { root, manifest });
    }
  }

  async #prune(host: string, repository: string, kept: number): Promise<void> {
    while (Date.now() < this.#until) {
      await this.run(['forget', '--keep-last', String(kept), '--force'], this.options(host, repository));
      await this.run(['prune', '--grace', '0', '--max-unused', this.#random.oneIn(2) ? '0' : '5%'], this.options(host, repository));
      await pause(300);
    }
  }

  async #replicate(): Promise<void> {
    while (Date.now() < this.#until) {
      await this.run(['replicate', '--to', this.far], {
        ...this.options('fourth'), onStart: child => {
          if (this.#random.oneIn(3)) void pause(200 + this.#random.below(1500)).then(() => { child.kill('SIGKILL'); });
        },
      });
    }
  }
}

async function expectWhole(round: Round, repository: string, least: number): Promise<void> {
  const options = round.options('after', repository);
  for (const args of [['prune', '--grace', '0', '--max-unused', '0'], ['verify', '--read-data']]) await round.run(args, options);
  const listed = jsonLines(await round.run(['snapshots', '--json'], options));
  expect(listed.length, JSON.stringify(round.counts)).toBeGreaterThanOrEqual(least);
  for (const line of listed) {
    const [id, first] = [line['id'] as string, (line['original'] ?? line['id']) as string];
    const saved = round.saved.get(first);
    if (saved === undefined) continue; // committed by a run that was killed before it reported
    const target = temporaryDirectory();
    await round.run(['restore', `${id}:${saved.root}`, '--target', target], options);
    expect(manifestOf(target)).toEqual(saved.manifest);
    rmSync(target, { recursive: true });
  }
}

test.each(['folder', 's3'])('backups, prunes on both sides and a replication at once keep every snapshot whole: %s', async kind => {
  const place = temporaryDirectory();
  const server = kind === 's3' ? await FakeS3.start() : undefined;
  try {
    const near = server?.location() ?? join(place, 'near');
    const round = new Round(place, near);
    await round.run(['init', '--chunker', '64K'], round.options('one'));
    await round.run(['init', '--from', near], round.options('one', round.far));
    await round.all();
    await round.run(['replicate', '--to', round.far, '--verify'], round.options('fourth'));
    expect(round.counts['replicate 0'], JSON.stringify(round.counts)).toBeGreaterThan(1);
    await expectWhole(round, near, 2);
    await expectWhole(round, round.far, 2);
  } finally {
    await server?.close();
  }
});
