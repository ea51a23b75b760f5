/**
 * The output of a command as one file. The command fails as a whole or not at all: its exit status is known before the
 * snapshot is made (`finish`).
 */
import { spawn, type ChildProcess, type ChildProcessByStdio } from 'node:child_process';
import type { Readable } from 'node:stream';
import { systemClock, type Clock } from '../base/ambient.ts';
import type { Bytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import { hasCode, invariant, SnapError, throwIfAborted } from '../base/errors.ts';
import { displayText } from './display-path.ts';
import type { StreamSource } from './source.ts';
import { checkedName, readBytes } from './stdin.ts';

export interface CommandOptions {
  /** A line for `/bin/sh -c` (the status of a pipeline is that of its last command), or a program and its arguments. */
  readonly command: string | readonly [program: string, ...programArguments: string[]];
  /** File name under which the output is stored, one component. */
  readonly name: Bytes;
  readonly cwd?: string | undefined;
  /** Sends a signal to a process group; the command leads one, so that what it has started ends with it. */
  readonly killGroup: (group: number, signal: 'SIGTERM' | 'SIGKILL') => void;
  readonly clock?: Clock | undefined;
}

/** How long a command may take to end after SIGTERM. */
const GRACE_MS = 5_000;
const KEPT_STDERR_CHARACTERS = 8_192;
const SHOWN_STDERR_LINES = 10;

/** Starts nothing yet. @throws RangeError for a name that is none */
export function openCommand(options: CommandOptions): StreamSource {
  return new CommandSource({ ...options, name: checkedName(options.name) });
}

type Process = ChildProcessByStdio<null, Readable, Readable>;

interface Ending {
  readonly status: number | null;
  readonly signal: string | null;
}

class CommandSource implements StreamSource {
  readonly kind = 'stream';
  readonly name: Bytes;
  readonly #options: CommandOptions;
  readonly #clock: Clock;
  #process: Process | undefined;
  #ended: Promise<Ending> | undefined;
  #isReadToEnd = false;
  #stderr = '';

  constructor(options: CommandOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.name = options.name;
  }

  async *content({ signal }: CallOptions = {}): AsyncGenerator<Bytes, void, undefined> {
    invariant(this.#process === undefined, 'The output of a command is read a second time');
    throwIfAborted(signal);
    const child = this.#start();
    try {
      yield* readBytes(child.stdout, signal);
      this.#isReadToEnd = true;
    } catch (error) {
      throw hasCode(error, 'CANCELLED') ? error : this.#failed('could not be read to its end', error);
    } finally {
      // Reached early when the signal aborted, the output failed or the caller stopped reading.
      if (!this.#isReadToEnd) await this.#stop(child);
    }
  }

  async finish(): Promise<void> {
    if (this.#ended === undefined) throw this.#failed('was not started');
    const { status, signal } = await this.#ended;
    if (!this.#isReadToEnd) throw this.#failed('was not read to its end');
    if (status !== 0) throw this.#failed(signal === null ? `ended with status ${status}` : `was ended by ${signal}`);
  }

  #start(): Process {
    const { command, cwd } = this.#options;
    const [program, programArguments] = typeof command === 'string' ? ['/bin/sh', ['-c', command]] : [command[0], command.slice(1)];
    const child = spawn(program, programArguments, { cwd, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#process = child;
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-KEPT_STDERR_CHARACTERS);
    });
    this.#ended = endingOf(child).catch((error: unknown) => {
      throw this.#failed('could not be started', error);
    });
    // Told by `finish`; a reader that stops before must not leave an unhandled rejection behind.
    this.#ended.catch(() => undefined);
    return child;
  }

  async #stop(child: Process): Promise<void> {
    if (child.pid === undefined) return;
    child.stdout.destroy();
    this.#signal(child.pid, 'SIGTERM');
    const patience = new AbortController();
    const outlived = this.#clock.sleep(GRACE_MS, patience.signal).then(() => true, () => false);
    const isAlive = await Promise.race([outlived, this.#ended!.then(() => false)]);
    patience.abort();
    if (isAlive) this.#signal(child.pid, 'SIGKILL');
    await this.#ended;
  }

  #signal(group: number, signal: 'SIGTERM' | 'SIGKILL'): void {
    try {
      this.#options.killGroup(group, signal);
    } catch (error) {
      // ESRCH: nothing is left of the group, which is what was wanted.
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
    }
  }

  #failed(what: string, cause?: unknown): SnapError {
    const { command } = this.#options;
    const shown = displayText(typeof command === 'string' ? command : command.join(' '));
    const lines = this.#stderr.split('\n').map(line => displayText(line.trimEnd())).filter(line => line !== '').slice(-SHOWN_STDERR_LINES);
    const reason = cause instanceof Error ? ` (${cause.message})` : '';
    return new SnapError('COMMAND_FAILED', `The command '${shown}' ${what}${reason}${lines.length === 0 ? '' : `:\n${lines.join('\n')}`}`, {
      cause, hint: 'No snapshot was made; run the command by itself to see what it says',
    });
  }
}

/** Settles when the process has ended and its output is closed; fails when it could not be started. */
function endingOf(child: ChildProcess): Promise<Ending> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, signal) => resolve({ status, signal }));
  });
}
