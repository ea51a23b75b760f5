import { PassThrough, Readable, type Writable } from 'node:stream';
import type { Bytes } from '../../src/base/bytes.ts';
import type { Terminal } from '../../src/cli/terminal.ts';

/** Keeps what is printed; answers questions from a list. */
export class RecordingTerminal implements Terminal {
  isInteractive = false;
  drawsStatus = false;
  usesColour = false;
  isOutputClosed = false;
  readonly lines: string[] = [];
  readonly errors: string[] = [];
  readonly statuses: (string | undefined)[] = [];
  readonly questions: string[] = [];
  answers: string[] = [];

  columns(): number {
    return 100;
  }

  out(line: string): void {
    this.lines.push(line);
  }

  error(line: string): void {
    this.errors.push(line);
  }

  status(line: string | undefined): void {
    this.statuses.push(line);
  }

  async write(bytes: Bytes | string): Promise<boolean> {
    this.lines.push(Buffer.from(bytes as string).toString('utf8'));
    return !this.isOutputClosed;
  }

  async askSecret(question: string): Promise<string> {
    this.questions.push(question);
    return this.answers.shift() ?? '';
  }

  async ask(question: string): Promise<string | undefined> {
    this.questions.push(question);
    return this.answers.shift();
  }

  claimOutput(): { stream: Writable; isTerminal: boolean } {
    return { stream: new PassThrough(), isTerminal: false };
  }

  input(): Readable {
    return Readable.from([]);
  }

  /** The lines of standard output as JSON. */
  messages(): Record<string, unknown>[] {
    return this.lines.map(line => JSON.parse(line) as Record<string, unknown>);
  }
}
