import { expect, test } from 'vitest';
import { GLOBAL_FLAGS } from '../../src/cli/flags.ts';
import { runJob, worst } from '../../src/cli/job.ts';
import { ProgressEstimate } from '../../src/cli/progress-estimate.ts';
import { resolveFlags } from '../../src/cli/settings.ts';
import { newCounters } from '../../src/usecases/events.ts';
import { TestClock } from '../support/test-clock.ts';
import { RecordingTerminal } from './recording-terminal.ts';
import { BACKUP, DAMAGE } from './reports.ts';

const globals = (given: Record<string, string[]>) => resolveFlags(GLOBAL_FLAGS, { given, environment: {}, file: {}, filePath: undefined });
const { signal } = new AbortController();

test('with --json a run gives status lines about every second, events, and the summary last', async () => {
  const terminal = new RecordingTerminal();
  const clock = new TestClock();
  const result = await runJob({ terminal, globals: globals({ json: ['true'] }), signal }, async job => {
    const { counters, onEvent } = job.context;
    counters!.bytesDone = 7;
    await clock.advance(2500);
    onEvent!({ type: 'problem-found', path: undefined, during: 'read', code: 'DENIED', message: 'x' });
    return job.show({ ...BACKUP, status: 'partial' });
  }, clock);
  expect(result).toBe('partial');
  expect(terminal.messages().map(message => message['message_type'])).toEqual(['status', 'status', 'error', 'summary']);
  expect(terminal.messages()[0]).toMatchObject({ bytes_done: 7, seconds_elapsed: 1 });
});

test.each(['progress', 'quiet'])('--no-%s of progress gives no status lines', async flag => {
  const terminal = new RecordingTerminal();
  const clock = new TestClock();
  const given = { json: ['true'], [flag]: [flag === 'quiet' ? 'true' : 'false'] };
  await runJob({ terminal, globals: globals(given), signal }, async job => {
    await clock.advance(5000);
    return job.show(BACKUP);
  }, clock);
  expect(terminal.messages().map(message => message['message_type'])).toEqual(['summary']);
});

test('on a terminal the line is redrawn at most four times a second and gone at the end', async () => {
  const terminal = Object.assign(new RecordingTerminal(), { drawsStatus: true });
  const clock = new TestClock();
  await runJob({ terminal, globals: globals({}), signal }, async job => {
    await clock.advance(1000);
    return job.show(BACKUP);
  }, clock);
  expect(terminal.statuses.filter(line => line !== undefined).length).toBe(4);
  expect(terminal.statuses.at(-1)).toBeUndefined();
});

test('a run that fails stops its progress', async () => {
  const terminal = Object.assign(new RecordingTerminal(), { drawsStatus: true });
  const clock = new TestClock();
  await expect(runJob({ terminal, globals: globals({}), signal }, async () => { throw new Error('broken'); }, clock)).rejects.toThrow('broken');
  await clock.advance(1000);
  expect(terminal.statuses).toEqual([undefined]);
});

test('a second use case starts its figures anew', async () => {
  const terminal = new RecordingTerminal();
  const clock = new TestClock();
  await runJob({ terminal, globals: globals({ json: ['true'] }), signal }, async job => {
    job.context.counters!.bytesDone = 500;
    await clock.advance(1000);
    job.begin();
    await clock.advance(1000);
  }, clock);
  expect(terminal.messages()).toMatchObject([{ bytes_done: 500, seconds_elapsed: 1 }, { bytes_done: 0, seconds_elapsed: 1 }]);
});

test('a use case without a report ends as its events say', async () => {
  const terminal = new RecordingTerminal();
  await runJob({ terminal, globals: globals({}), signal }, async job => {
    expect(job.result()).toBe('complete');
    job.context.onEvent!({ type: 'damage-found', finding: { ...DAMAGE, severity: 'warning' } });
    expect(job.result()).toBe('complete');
    job.context.onEvent!({ type: 'problem-found', path: undefined, during: 'read', code: 'DENIED', message: 'x' });
    expect(job.result()).toBe('partial');
    job.context.onEvent!({ type: 'damage-found', finding: DAMAGE });
    expect(job.result()).toBe('damaged');
  });
});

test('of several results the worst counts', () => {
  expect([worst(), worst('partial', 'complete'), worst('damaged', 'failed')]).toEqual(['complete', 'partial', 'damaged']);
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
