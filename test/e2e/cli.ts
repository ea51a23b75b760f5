/** Runs the built command line in a temporary directory. */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

const MAIN = resolve('dist/cli/main.js');

export interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
  /** Lines of standard output as JSON. */
  messages(): Record<string, unknown>[];
}

export interface RunOptions {
  readonly input?: string | Buffer;
  readonly env?: Record<string, string | undefined>;
  readonly onStart?: (child: ReturnType<typeof spawn>) => void;
  /** Another copy of the program than the built one. */
  readonly main?: string;
}

export class Workplace {
  readonly folder = mkdtempSync(join(tmpdir(), 'snap-e2e-'));
  readonly environment: Record<string, string>;

  constructor() {
    this.environment = {
      PATH: process.env['PATH'] ?? '', HOME: this.folder, TZ: 'UTC', SNAP_REPOSITORY: join(this.folder, 'repo'),
      // A key file needs no stretching, which would take most of the time of these tests.
      SNAP_KEY_FILE: join(this.folder, 'key'),
    };
  }

  path(...parts: string[]): string {
    return join(this.folder, ...parts);
  }

  write(path: string, content: string | Uint8Array): void {
    mkdirSync(dirname(this.path(path)), { recursive: true });
    writeFileSync(this.path(path), content);
  }

  run(words: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const env = { ...this.environment, ...options.env };
    const child = spawn(process.execPath, [options.main ?? MAIN, ...words], { cwd: this.folder, env, stdio: 'pipe' });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (piece: Buffer) => void out.push(piece));
    child.stderr.on('data', (piece: Buffer) => void err.push(piece));
    child.stdin.on('error', () => undefined); // a run that fails early does not read its input
    child.stdin.end(options.input ?? '');
    options.onStart?.(child);
    return new Promise((settle, reject) => {
      child.on('error', reject);
      child.on('close', code => {
        const text = Buffer.concat(out).toString();
        settle({
          code, out: text, err: Buffer.concat(err).toString(),
          messages: () => text.trim().split('\n').filter(line => line !== '').map(line => JSON.parse(line) as Record<string, unknown>)
            .filter(message => message['message_type'] !== 'status'), // progress comes on a slow machine only
        });
      });
    });
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
