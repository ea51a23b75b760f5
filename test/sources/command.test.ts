import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { concatBytes, utf8, type Bytes } from '../../src/base/bytes.ts';
import { openCommand, type CommandOptions } from '../../src/sources/command.ts';
import type { StreamSource } from '../../src/sources/source.ts';
import { TestClock } from '../support/test-clock.ts';

let directory: string;
beforeAll(() => void (directory = mkdtempSync(join(tmpdir(), 'snap-command-'))));
afterAll(() => rmSync(directory, { recursive: true }));

function open(command: CommandOptions['command'], options: Partial<CommandOptions> = {}): StreamSource {
  return openCommand({ command, name: utf8('dump'), cwd: directory, killGroup: (group, signal) => void process.kill(-group, signal), ...options });
}

async function all(source: StreamSource, signal?: AbortSignal): Promise<string> {
  const parts: Bytes[] = [];
  for await (const piece of source.content({ signal })) parts.push(piece);
  return Buffer.from(concatBytes(parts)).toString('latin1');
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !condition(); i++) await setTimeout(10);
  expect(condition()).toBe(true);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A zombie still has its number.
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

describe('a command', () => {
  test('delivers its output and ends well', async () => {
    const source = open('printf "a\\0b"; echo to stderr >&2; head -c 200000 /dev/zero');
    expect(await all(source)).toBe(`a\0b${'\0'.repeat(200_000)}`);
    await source.finish();
  });

  test('may be a program with arguments that no shell touches', async () => {
    const source = open(['printf', '%s|', '$HOME', 'a b', '*']);
    expect(await all(source)).toBe('$HOME|a b|*|');
    await source.finish();
  });

  test('has nothing on its standard input', async () => {
    const source = open('cat; echo end');
    expect(await all(source)).toBe('end\n');
    await source.finish();
  });

  test('that fails makes finish fail, with its status and the last lines it wrote', async () => {
    const source = open('echo output; for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo "line $i" >&2; done; printf "\\033[31mred" >&2; exit 3');
    expect(await all(source)).toBe('output\n');
    const error = await source.finish().catch((thrown: unknown) => thrown as Error);
    expect(error).toMatchObject({ code: 'COMMAND_FAILED', message: expect.stringMatching(/^The command 'echo output.*' ended with status 3:\nline 4\n/s) });
    expect((error as Error).message).toMatch(/line 12\n\\x1b\[31mred$/);
  });

  test('that is ended by a signal makes finish fail', async () => {
    const source = open('kill -9 $$');
    await all(source);
    await expect(source.finish()).rejects.toMatchObject({ code: 'COMMAND_FAILED', message: expect.stringContaining('was ended by SIGKILL') });
  });

  test('that cannot be started makes finish fail', async () => {
    const source = open(['/no/such/program']);
    await all(source).catch(() => undefined);
    await expect(source.finish()).rejects.toMatchObject({ code: 'COMMAND_FAILED', message: expect.stringContaining('could not be started'), cause: { code: 'ENOENT' } });
  });

  test('that fails late, after its output was closed, is still waited for', async () => {
    const source = open('exec 1>&-; sleep 0.2; exit 7');
    expect(await all(source)).toBe('');
    await expect(source.finish()).rejects.toMatchObject({ message: expect.stringContaining('status 7') });
  });

  test('that was not started or not read to its end is not finished', async () => {
    await expect(open('true').finish()).rejects.toMatchObject({ code: 'COMMAND_FAILED' });
    const source = open('yes');
    for await (const piece of source.content()) {
      expect(piece.length).toBeGreaterThan(0);
      break;
    }
    await expect(source.finish()).rejects.toMatchObject({ code: 'COMMAND_FAILED' });
  });

  test('is ended on abort, with everything that it has started', async () => {
    const source = open('sleep 1000 & echo $! > child; echo $$ > self; wait');
    const abort = new AbortController();
    const reading = all(source, abort.signal);
    await until(() => existsSync(join(directory, 'self')) && readFileSync(join(directory, 'self'), 'latin1') !== '');
    const pids = ['child', 'self'].map(file => Number(readFileSync(join(directory, file), 'latin1')));
    expect(pids.map(isAlive)).toEqual([true, true]);
    abort.abort();
    await expect(reading).rejects.toMatchObject({ code: 'CANCELLED' });
    await until(() => !pids.some(isAlive));
    await expect(source.finish()).rejects.toMatchObject({ code: 'COMMAND_FAILED' });
  });

  test('that ignores SIGTERM is killed after some seconds', async () => {
    const clock = new TestClock();
    const signals: string[] = [];
    const source = open("trap '' TERM; echo ready; while :; do sleep 0.05; done", { clock, killGroup: (group, signal) => {
      signals.push(signal);
      process.kill(-group, signal);
    } });
    const reading = (async () => {
      for await (const _ of source.content()) break;
    })();
    await until(() => clock.sleeps.length > 0);
    await setTimeout(100);
    expect(signals).toEqual(['SIGTERM']);
    clock.advance(clock.sleeps[0]!);
    await reading;
    expect(signals).toEqual(['SIGTERM', 'SIGKILL']);
  });

  test('is not started for a signal that is aborted already', async () => {
    const source = open('touch started');
    await expect(all(source, AbortSignal.abort())).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(existsSync(join(directory, 'started'))).toBe(false);
  });

  test('is run once', async () => {
    const source = open('true');
    await all(source);
    await expect(all(source)).rejects.toMatchObject({ code: 'INTERNAL' });
  });
});
