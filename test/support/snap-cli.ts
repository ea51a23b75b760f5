/** Runs the built command line as its user would. */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
if (!existsSync(MAIN)) throw new Error('dist is missing: run `npm run build` first');

/** What a run keeps in its home folder, such as the ID of this installation, goes here. */
const HOME = mkdtempSync(join(tmpdir(), 'snap-home-'));
process.once('exit', () => { rmSync(HOME, { recursive: true, force: true }); });

export interface CliResult {
  /** Undefined when a signal ended it. */
  readonly code: number | undefined;
  readonly signal: string | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly repository?: string;
  readonly cache?: string;
  readonly password?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string | Uint8Array;
  readonly cwd?: string;
  /** Gets the process as soon as it runs, to send signals. */
  readonly onStart?: (child: ChildProcess) => void;
  /** Program and arguments that the command runs under. */
  readonly under?: readonly string[];
}

export function snap(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const { repository, cache, password = 'correct horse', env = {}, under = [] } = options;
  const [command, ...rest] = [...under, process.execPath, MAIN, ...args];
  const child = spawn(command!, rest, {
    cwd: options.cwd,
    env: {
      PATH: process.env['PATH'], HOME, LANG: 'C.UTF-8', SNAP_PASSWORD: password,
      ...(repository === undefined ? {} : { SNAP_REPOSITORY: repository }), ...(cache === undefined ? {} : { SNAP_CACHE_DIR: cache }), ...env,
    },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  options.onStart?.(child);
  const output = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  child.stdout.on('data', (chunk: Buffer) => output.stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => output.stderr.push(chunk));
  child.stdin.on('error', () => {}); // it may end before it reads everything
  child.stdin.end(options.input);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      resolve({
        code: code ?? undefined, signal: signal ?? undefined, stdout: Buffer.concat(output.stdout).toString(), stderr: Buffer.concat(output.stderr).toString(),
      });
    });
  });
}

/** The JSON lines of a run with `--json`. */
export function jsonLines(result: CliResult): Record<string, unknown>[] {
  return result.stdout.split('\n').filter(line => line !== '').map(line => JSON.parse(line) as Record<string, unknown>);
}

/** Snapshot ID of a backup that was run with `--json`; undefined when it did not report success. */
export function reportedSnapshot(result: CliResult): string | undefined {
  if (result.code !== 0 && result.code !== 3) return undefined;
  return jsonLines(result).find(line => line['message_type'] === 'summary')?.['snapshot_id'] as string | undefined;
}
