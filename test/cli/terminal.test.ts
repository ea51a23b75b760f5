import { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { catchInterrupts } from '../../src/cli/interrupts.ts';
import { LineWriter, ProcessTerminal } from '../../src/cli/terminal.ts';
import { RecordingTerminal } from './recording-terminal.ts';

interface Fake {
  readonly process: NodeJS.Process;
  readonly stdin: PassThrough & { raw: boolean[] };
  readonly stdout: PassThrough;
  readonly stderr: PassThrough;
  readonly exits: number[];
}

function fakeProcess(isTerminal: boolean, env: Record<string, string> = {}): Fake {
  const raw: boolean[] = [];
  const stdin = Object.assign(new PassThrough(), { isTTY: isTerminal, raw, setRawMode: (on: boolean) => void raw.push(on) });
  const stdout = Object.assign(new PassThrough(), { isTTY: isTerminal });
  const stderr = Object.assign(new PassThrough(), { isTTY: isTerminal, columns: 60 });
  const exits: number[] = [];
  const process = Object.assign(new EventEmitter(), { stdin, stdout, stderr, env, exit: (code: number) => void exits.push(code) });
  return { process: process as unknown as NodeJS.Process, stdin, stdout, stderr, exits };
}

const textOf = (stream: PassThrough): string => (stream.read() as Buffer | null)?.toString() ?? '';

describe('the status line', () => {
  test('is redrawn in place and makes way for other lines', () => {
    const { process, stdout, stderr } = fakeProcess(true);
    const terminal = new ProcessTerminal(process);
    terminal.status('50 %');
    terminal.status('50 %');
    terminal.out('a line');
    terminal.status(undefined);
    expect(textOf(stderr)).toBe('\r\u001b[2K50 %\r\u001b[2K\r\u001b[2K50 %\r\u001b[2K');
    expect(textOf(stdout)).toBe('a line\n');
  });

  test('is nothing without a terminal', () => {
    const { process, stderr } = fakeProcess(false);
    new ProcessTerminal(process).status('50 %');
    expect(textOf(stderr)).toBe('');
  });

  test('colour is used on a terminal only, and never with NO_COLOR', () => {
    expect(new ProcessTerminal(fakeProcess(true).process).usesColour).toBe(true);
    expect(new ProcessTerminal(fakeProcess(false).process).usesColour).toBe(false);
    expect(new ProcessTerminal(fakeProcess(true, { NO_COLOR: '1' }).process).usesColour).toBe(false);
  });
});

describe('a closed output', () => {
  test('is quiet: later lines are dropped and writers are told', async () => {
    const { process, stdout, stderr } = fakeProcess(false);
    const terminal = new ProcessTerminal(process);
    stdout.emit('error', Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
    terminal.out('x');
    expect(await terminal.write('y')).toBe(false);
    expect(terminal.isOutputClosed).toBe(true);
    expect(textOf(stdout) + textOf(stderr)).toBe('');
  });

  test('a writer that waits for room is woken', async () => {
    const { process, stdout } = fakeProcess(false);
    const terminal = new ProcessTerminal(process);
    const written = terminal.write('x'.repeat(1_000_000));
    stdout.emit('error', Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
    expect(await written).toBe(false);
  });

  test('other write errors are said', () => {
    const { process, stdout, stderr } = fakeProcess(false);
    const terminal = new ProcessTerminal(process);
    stdout.emit('error', Object.assign(new Error('write ENOSPC'), { code: 'ENOSPC' }));
    expect(terminal.isOutputClosed).toBe(true);
    expect(textOf(stderr)).toContain('ENOSPC');
  });
});

describe('questions', () => {
  test('a secret is read without being shown, with the keys of a terminal', async () => {
    const { process, stdin, stderr } = fakeProcess(true);
    const answer = new ProcessTerminal(process).askSecret('Password: ');
    stdin.write('wrong\u0015pä');
    stdin.write(Buffer.from([0xc3]));
    stdin.write(Buffer.from([0xa4, 0x78, 0x7f, 0x0d]));
    expect(await answer).toBe('pää');
    expect(stdin.raw).toEqual([true, false]);
    expect(textOf(stderr)).toBe('Password: \n');
  });

  test.each([['Ctrl-C', '\u0003'], ['Ctrl-D', '\u0004']])('%s cancels and gives the terminal back', async (_name, key) => {
    const { process, stdin } = fakeProcess(true);
    const answer = new ProcessTerminal(process).askSecret('Password: ');
    stdin.write(key);
    await expect(answer).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(stdin.raw).toEqual([true, false]);
  });

  test('an answer may be piped in, its end without a line is no answer', async () => {
    const { signal } = new AbortController();
    const piped = fakeProcess(false);
    piped.stdin.end('yes\r\nmore');
    expect(await new ProcessTerminal(piped.process).ask('Sure? ', signal)).toBe('yes');
    const empty = fakeProcess(false);
    empty.stdin.end();
    expect(await new ProcessTerminal(empty.process).ask('Sure? ', signal)).toBeUndefined();
  });

  test('an interrupt ends a question', async () => {
    const controller = new AbortController();
    const answer = new ProcessTerminal(fakeProcess(true).process).ask('Sure? ', controller.signal);
    controller.abort();
    await expect(answer).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});

describe('interrupts', () => {
  test('the first one aborts and says so, the second ends at once with 130', () => {
    const { process, stderr, exits } = fakeProcess(false);
    const { signal, stop } = catchInterrupts(process, new ProcessTerminal(process), true);
    expect(signal.aborted).toBe(false);
    process.emit('SIGTERM', 'SIGTERM');
    expect(signal.aborted).toBe(true);
    expect(textOf(stderr)).toBe('Interrupted; finishing cleanly, press again to stop at once\n');
    expect(exits).toEqual([]);
    process.emit('SIGINT', 'SIGINT');
    expect(exits).toEqual([130]);
    stop();
    expect(process.listenerCount('SIGINT') + process.listenerCount('SIGTERM')).toBe(0);
  });
});

describe('long lists', () => {
  test('are written in pieces and stop when nobody reads', async () => {
    const terminal = new RecordingTerminal();
    const writer = new LineWriter(terminal);
    for (let i = 0; i < 10_000; i++) expect(await writer.add('0123456789')).toBe(true);
    await writer.flush();
    expect(terminal.lines.join('')).toBe('0123456789\n'.repeat(10_000));
    expect(terminal.lines.length).toBeLessThan(10);
    terminal.isOutputClosed = true;
    expect(await writer.add('x'.repeat(70_000))).toBe(false);
  });
});
