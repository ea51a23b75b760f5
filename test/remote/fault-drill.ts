/**
 * What everybody does with a repository, on a storage that fails again and again: whatever a run says is true. A run that ends with 0
 * has done it; one that fails says so in one sentence, and leaves a repository that is sound and keeps all that was reported before.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { temporaryDirectory } from '../support/memory-repository.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { jsonLines, reportedSnapshot, snap, type CliOptions, type CliResult } from '../support/snap-cli.ts';
import { writeFiles } from './daily-round.ts';

export interface Harm {
  /** Begins and ends the harm; a repository is made, and in the end checked, in quiet. */
  set(isOn: boolean): void;
}

export interface DrillOptions {
  readonly seed: number;
  readonly rounds: number;
  readonly env?: Readonly<Record<string, string>>;
  /** A run that fails is wrong: the harm is such that patience overcomes it. */
  readonly mustSucceed: boolean;
}

/** One sentence, and a code that the documents know. */
function expectCleanFailure(result: CliResult): void {
  expect(result.signal, result.stderr).toBeUndefined();
  const last = jsonLines(result).at(-1);
  expect(last, `${result.stdout}\n${result.stderr}`).toMatchObject({ message_type: 'exit_error', code: result.code });
  expect(['UNAVAILABLE', 'DENIED'], result.stdout).toContain(last!['error_code']);
  expect(String(last!['message'])).toMatch(/^[^\n]+$/);
}

export async function faultDrill(location: string, harm: Harm, { seed, rounds, env = {}, mustSucceed }: DrillOptions): Promise<void> {
  const place = temporaryDirectory();
  const source = join(place, 'source');
  const random = new SeededRandom(seed);
  const cli: CliOptions = { repository: location, cache: join(place, 'cache'), password: '', env: { SNAP_KEY_FILE: join(place, 'key'), ...env } };
  const quiet = async (...words: string[]): Promise<CliResult> => {
    harm.set(false);
    const result = await snap([...words, '--json', '--no-progress'], cli);
    expect(result, `${words.join(' ')}\n${result.stdout}${result.stderr}`).toMatchObject({ code: 0 });
    return result;
  };
  const harmed = async (...words: string[]): Promise<CliResult> => {
    harm.set(true);
    const result = await snap([...words, '--json', '--no-progress'], cli);
    if (mustSucceed) expect(result, `seed ${seed}: ${words.join(' ')}\n${result.stdout}${result.stderr}`).toMatchObject({ code: 0 });
    if (result.code !== 0) expectCleanFailure(result);
    return result;
  };
  await quiet('init');
  const files = writeFiles(source, seed);
  const reported = new Map<string, Map<string, Uint8Array>>();
  for (let round = 0; round < rounds; round++) {
    const path = `d${random.below(7)}/round-${round}`;
    files.set(path, random.bytes(200_000));
    writeFileSync(join(source, path), files.get(path)!);
    const id = reportedSnapshot(await harmed('backup', source));
    if (id !== undefined) reported.set(id, new Map(files));
    await harmed('verify', '--read-data');
    if (round % 2 === 1 || round === rounds - 1) {
      const [oldest] = reported.keys();
      if (oldest !== undefined && reported.size > 1) {
        // Forgotten or not: after a failure both are right.
        await harmed('forget', oldest);
        reported.delete(oldest);
      }
      await harmed('prune', '--grace', '0', '--max-unused', '0');
    }
    const [latest] = [...reported.keys()].slice(-1);
    if (latest === undefined) continue;
    const target = join(place, `target-${round}`);
    const restored = await harmed('restore', `${latest}:${source}`, '--target', target);
    if (restored.code === 0) expectFiles(target, reported.get(latest)!);
    rmSync(target, { recursive: true, force: true });
  }
  await quiet('prune', '--grace', '0');
  await quiet('verify', '--read-data');
  const listed = jsonLines(await quiet('snapshots')).filter(line => line['message_type'] === 'snapshot').map(line => line['id']);
  for (const [id, expected] of reported) {
    expect(listed).toContain(id);
    rmSync(join(place, 'cache'), { recursive: true, force: true });
    await quiet('restore', `${id}:${source}`, '--target', join(place, id));
    expectFiles(join(place, id), expected);
    rmSync(join(place, id), { recursive: true });
  }
  rmSync(place, { recursive: true });
}

function expectFiles(target: string, files: ReadonlyMap<string, Uint8Array>): void {
  for (const [path, bytes] of files) expect(Buffer.compare(readFileSync(join(target, path)), bytes), path).toBe(0);
}
