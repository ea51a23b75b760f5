/** What the command line needs of its surroundings: two output streams, a line that is redrawn, questions, an input. */
import type { Readable, Writable } from 'node:stream';
import { systemClock } from '../base/ambient.ts';
import { SnapError, cancelled } from '../base/errors.ts';
import type { Bytes } from '../base/bytes.ts';
import { newTextDecoder } from './printable.ts';

export interface Terminal {
  /** A person sits there: questions may be asked. */
  readonly isInteractive: boolean;
  /** A line that is redrawn makes sense. */
  readonly drawsStatus: boolean;
  readonly usesColour: boolean;
  columns(): number;
  /** A line to standard output. */
  out(line: string): void;
  /** A line to standard error. */
  error(line: string): void;
  /** The line that is redrawn in place; undefined removes it. */
  status(line: string | undefined): void;
  /** Standard output becomes data: from now on lines go to standard error. */
  claimOutput(): { readonly stream: Writable; readonly isTerminal: boolean };
  /** Bytes to standard output, resolved when there is room for more; false when nobody reads them any more. */
  write(bytes: Bytes | string): Promise<boolean>;
  /** The reader of standard output has gone; what is written now is dropped. */
  readonly isOutputClosed: boolean;
  /** A line that is typed without being shown. @throws CANCELLED on Ctrl-C or end of input */
  askSecret(question: string): Promise<string>;
  /** A line from standard input; undefined at its end, or when nothing comes for a while and nobody sits there. */
  ask(question: string, signal: AbortSignal): Promise<string | undefined>;
  /** Standard input as it comes. */
  input(): Readable;
}

/** How long a question waits when its answer is piped in: a forgotten pipe must not hang a run. */
const PIPED_ANSWER_MS = 10_000;

export class ProcessTerminal implements Terminal {
  readonly isInteractive: boolean;
  readonly drawsStatus: boolean;
  readonly usesColour: boolean;
  readonly #process: NodeJS.Process;
  #statusLine = '';
  #isClosed = false;
  #isAsking = false;
  #isClaimed = false;

  constructor(process: NodeJS.Process) {
    this.#process = process;
    this.isInteractive = process.stdin.isTTY === true && process.stderr.isTTY === true;
    this.drawsStatus = process.stderr.isTTY === true && process.env['TERM'] !== 'dumb';
    this.usesColour = process.stderr.isTTY === true && (process.env['NO_COLOR'] ?? '') === '' && process.env['TERM'] !== 'dumb';
    // Without a listener a closed pipe would end the run with a stack trace; a backup goes on without its reader.
    process.stdout.on('error', error => this.#onOutputError(error));
    process.stderr.on('error', () => undefined);
  }

  get isOutputClosed(): boolean {
    return this.#isClosed;
  }

  columns(): number {
    return this.#process.stderr.columns || 80; // 0 for a terminal that was never told its size
  }

  out(line: string): void {
    if (this.#isClaimed) return this.error(line);
    this.#withoutStatus(() => {
      if (!this.#isClosed) this.#process.stdout.write(`${line}\n`);
    });
  }

  error(line: string): void {
    this.#withoutStatus(() => this.#process.stderr.write(`${line}\n`));
  }

  status(line: string | undefined): void {
    const next = this.drawsStatus ? line ?? '' : '';
    if (this.#isAsking) return; // a question stands there
    if (next === this.#statusLine) return;
    this.#process.stderr.write(`\r\u001b[2K${next}`);
    this.#statusLine = next;
  }

  claimOutput(): { readonly stream: Writable; readonly isTerminal: boolean } {
    this.#isClaimed = true;
    const { stdout } = this.#process;
    return { stream: stdout, isTerminal: stdout.isTTY === true };
  }

  async write(bytes: Bytes | string): Promise<boolean> {
    if (this.#isClosed) return false;
    const { stdout } = this.#process;
    if (stdout.write(bytes)) return !this.#isClosed;
    await new Promise<void>(resolve => {
      const settle = (): void => {
        stdout.off('drain', settle).off('error', settle).off('close', settle);
        resolve();
      };
      stdout.on('drain', settle).on('error', settle).on('close', settle);
    });
    return !this.#isClosed;
  }

  async askSecret(question: string): Promise<string> {
    const { stdin, stderr } = this.#process;
    this.status(undefined);
    this.#isAsking = true;
    stderr.write(question);
    stdin.setRawMode(true);
    try {
      return await readHiddenLine(stdin);
    } finally {
      this.#isAsking = false;
      stdin.setRawMode(false);
      stdin.pause();
      stderr.write('\n');
    }
  }

  async ask(question: string, signal: AbortSignal): Promise<string | undefined> {
    const { stdin, stderr } = this.#process;
    this.status(undefined);
    this.#isAsking = true;
    stderr.write(question);
    const patience = new AbortController();
    const stop = (): void => patience.abort(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    try {
      const line = readLine(stdin, patience.signal);
      if (this.isInteractive) return await line;
      return await Promise.race([line, systemClock.sleep(PIPED_ANSWER_MS, patience.signal).then(() => undefined)]);
    } finally {
      this.#isAsking = false;
      signal.removeEventListener('abort', stop);
      patience.abort();
      stdin.pause();
      if (!this.isInteractive) stderr.write('\n');
    }
  }

  input(): Readable {
    return this.#process.stdin;
  }

  #withoutStatus(write: () => void): void {
    const line = this.#statusLine;
    this.status(undefined);
    write();
    if (line !== '') this.status(line);
  }

  #onOutputError(error: NodeJS.ErrnoException): void {
    this.#isClosed = true;
    if (error.code !== 'EPIPE') this.error(`Cannot write to standard output: ${error.message}`);
  }
}

/** Reads keys in raw mode until Enter; understands Backspace, Ctrl-U, Ctrl-C and Ctrl-D. */
function readHiddenLine(stdin: NodeJS.ReadStream): Promise<string> {
  const decode = newTextDecoder();
  const typed: string[] = [];
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void): void => {
      stdin.off('data', onData).off('end', onEnd);
      settle();
    };
    const onEnd = (): void => finish(() => reject(cancelled()));
    const onData = (piece: Buffer): void => {
      for (const key of decode(piece)) {
        if (key === '\r' || key === '\n') return finish(() => resolve(typed.join('')));
        if (key === '\u0003' || (key === '\u0004' && typed.length === 0)) return onEnd();
        if (key === '\u007f' || key === '\b') typed.pop();
        else if (key === '\u0015') typed.length = 0;
        else if (key >= ' ') typed.push(key);
      }
    };
    stdin.on('data', onData).on('end', onEnd);
    stdin.resume();
  });
}

/** The first line of the input without its end; undefined when the input ends before any byte. */
function readLine(stdin: NodeJS.ReadStream, signal: AbortSignal): Promise<string | undefined> {
  const decode = newTextDecoder();
  let text = '';
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void): void => {
      stdin.off('data', onData).off('end', onEnd).off('error', onError);
      signal.removeEventListener('abort', onAbort);
      settle();
    };
    const onAbort = (): void => finish(() => reject(cancelled(signal)));
    const onEnd = (): void => finish(() => resolve(text === '' ? undefined : text));
    const onError = (error: Error): void => finish(() => reject(new SnapError('USAGE', 'Cannot read standard input', { cause: error })));
    const onData = (piece: Buffer): void => {
      text += decode(piece);
      const end = text.indexOf('\n');
      if (end >= 0) finish(() => resolve(text.slice(0, end).replace(/\r$/, '')));
      else if (text.length > 4096) finish(() => resolve(text));
    };
    stdin.on('data', onData).on('end', onEnd).on('error', onError);
    signal.addEventListener('abort', onAbort, { once: true });
    stdin.resume();
  });
}

/** Lines wait at most this long, so that a slow search shows what it finds. */
const LINE_DELAY_MS = 200;

/** Gathers lines for standard output, so that long lists cost one write per 64 KiB and wait for a slow reader. */
export class LineWriter {
  readonly #terminal: Terminal;
  #pending = '';
  #flushedAt = 0;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  /** False when nobody reads any more: the caller stops. */
  async add(line: string): Promise<boolean> {
    this.#pending += `${line}\n`;
    const isDue = this.#pending.length >= 65_536 || systemClock.monotonic() - this.#flushedAt >= LINE_DELAY_MS;
    return !isDue || await this.flush();
  }

  async flush(): Promise<boolean> {
    const lines = this.#pending;
    this.#pending = '';
    this.#flushedAt = systemClock.monotonic();
    return lines === '' ? !this.#terminal.isOutputClosed : await this.#terminal.write(lines);
  }
}

/** Passes results on, and what was printed of them is written out however they end: before an error, the lines that led to it. */
export async function* flushedAtEnd<T>(lines: LineWriter, results: AsyncGenerator<T>): AsyncGenerator<T> {
  try {
    yield* results;
  } finally {
    await lines.flush();
  }
}
