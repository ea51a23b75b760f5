import { expect, test } from 'vitest';
import { GLOBAL_FLAGS } from '../../src/cli/flags.ts';
import { showJob } from '../../src/cli/job.ts';
import { ProgressEstimate } from '../../src/cli/progress-estimate.ts';
import { resolveFlags } from '../../src/cli/settings.ts';
import { newCounters } from '../../src/usecases/events.ts';
import { TestClock } from '../support/test-clock.ts';
import { RecordingTerminal } from './recording-terminal.ts';
import { BACKUP } from './reports.ts';

const globals = (given: Record<string, string[]>) => resolveFlags(GLOBAL_FLAGS, { given, environment: {}, file: {}, filePath: undefined });
const { signal } = new AbortController();

test('with --json a run gives status lines about every second, events, and the summary last', async () => {
  const terminal = new RecordingTerminal();
  const clock = new TestClock();
  const result = await showJob({ terminal, globals: globals({ json: ['true'] }), signal }, async ({ counters, onEvent }) => {
    counters!.bytesDone = 7;
    await clock.advance(2500);
    onEvent!({ type: 'problem-found', path: undefined, during: 'read', code: 'DENIED', message: 'x' });
    return { ...BACKUP, status: 'partial' as const };
  }, clock);
  expect(result).toBe('partial');
  expect(terminal.messages().map(message => message['message_type'])).toEqual(['status', 'status', 'error', 'summary']);
  expect(terminal.messages()[0]).toMatchObject({ bytes_done: 7, seconds_elapsed: 1 });
});

test.each(['progress', 'quiet'])('--no-%s of progress gives no status lines', async flag => {
  const terminal = new RecordingTerminal();
  const clock = new TestClock();
  const given = { json: ['true'], [flag]: [flag === 'quiet' ? 'true' : 'false'] };
  await showJob({ terminal, globals: globals(given), signal }, async () => {
    await clock.advance(5000);
    return BACKUP;
  }, clock);
  expect(terminal.messages().map(message => message['message_type'])).toEqual(['summary']);
});

test('on a terminal the line is redrawn at most four times a second and gone at the end', async () => {
  const terminal = Object.assign(new RecordingTerminal(), { drawsStatus: true });
  const clock = new TestClock();
  await showJob({ terminal, globals: globals({}), signal }, async () => {
    await clock.advance(1000);
    return BACKUP;
  }, clock);
  expect(terminal.statuses.filter(line => line !== undefined).length).toBe(4);
  expect(terminal.statuses.at(-1)).toBeUndefined();
});

test('a run that fails stops its progress', async () => {
  const terminal = Object.assign(new RecordingTerminal(), { drawsStatus: true });
  const clock = new TestClock();
  await expect(showJob({ terminal, globals: globals({}), signal }, async () => { throw new Error('broken'); }, clock)).rejects.toThrow('broken');
  await clock.advance(1000);
  expect(terminal.statuses).toEqual([undefined]);
});

test('remaining time follows the recent speed, and the slower of bytes and entries', () => {
  const estimate = new ProgressEstimate(0);
  const at = (seconds: number, bytesDone: number, entriesDone: number) =>
    estimate.sample(seconds * 1000, Object.assign(newCounters(), { totalBytes: 1000, totalEntries: 100, bytesDone, entriesDone }));
  expect(at(10, 100, 50)).toMatchObject({ share: 0.1, bytesPerSecond: 10, remainingMs: 90_000 });
  expect(at(20, 900, 51).remainingMs).toBeGreaterThan(15_000);
  expect(at(40, 900, 51).remainingMs).toBeUndefined();
  expect(at(50, 1000, 100).remainingMs).toBe(0);
});
