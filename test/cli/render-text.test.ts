import { describe, expect, test } from 'vitest';
import { SnapError } from '../../src/base/errors.ts';
import { failureOf } from '../../src/cli/outcome.ts';
import { TextRenderer, type TextOptions } from '../../src/cli/render-text.ts';
import { newCounters } from '../../src/usecases/events.ts';
import { RecordingTerminal } from './recording-terminal.ts';
import { BACKUP, DAMAGE, RESTORE, SNAPSHOT_ID, STATS, TEST_RESTORE, VERIFY } from './reports.ts';

const path = Buffer.from('/home/me/file');
const PLAIN: TextOptions = { showsProgress: true, isQuiet: false, verbosity: 0 };

function rendered(use: (renderer: TextRenderer) => void, options: Partial<TextOptions> = {}, terminal = new RecordingTerminal()): RecordingTerminal {
  use(new TextRenderer(terminal, 0, { ...PLAIN, ...options }));
  return terminal;
}

describe('progress', () => {
  const counters = Object.assign(newCounters(), {
    phase: 'reading', totalEntries: 3500, totalBytes: 4096, entriesDone: 1204, bytesDone: 1024, problems: 2, currentPath: path,
  });

  test('one line with percent, speed and remaining time', () => {
    const { statuses } = rendered(renderer => renderer.progress(counters, 4000));
    expect(statuses).toEqual(['Reading 25 %, 1,204 of 3,500 entries, 1.00 KiB of 4.00 KiB, 256 B/s, 12 s left, 2 problems']);
  });

  test('the path fills what is left of the line', () => {
    const { statuses } = rendered(renderer => renderer.progress(Object.assign(newCounters(), { currentPath: path }), 1000));
    expect(statuses).toEqual(['Opening, 0 entries, 0 B, 0 B/s  /home/me/file']);
  });

  test('is polled four times a second on a terminal and never elsewhere', () => {
    const terminal = Object.assign(new RecordingTerminal(), { drawsStatus: true });
    const every = (options: TextOptions, on: RecordingTerminal): number | undefined => new TextRenderer(on, 0, options).progressEveryMs;
    expect(every(PLAIN, terminal)).toBe(250);
    expect(every(PLAIN, new RecordingTerminal())).toBeUndefined();
    expect(every({ ...PLAIN, showsProgress: false }, terminal)).toBeUndefined();
    expect(every({ ...PLAIN, isQuiet: true }, terminal)).toBeUndefined();
  });
});

describe('events', () => {
  test('problems go to standard error at once, with visible control characters', () => {
    const { errors, lines } = rendered(renderer => renderer.event(
      { type: 'problem-found', path: Buffer.from('a\u001bb'), during: 'open', code: 'DENIED', message: 'Cannot open' }));
    expect(errors).toEqual(['Problem: a\\eb: Cannot open']);
    expect(lines).toEqual([]);
  });

  test('problems beyond the hundredth are only counted, unless -v', () => {
    const many = (renderer: TextRenderer): void => {
      for (let i = 0; i < 103; i++) renderer.event({ type: 'problem-found', path, during: 'open', code: 'DENIED', message: 'x' });
      renderer.report({ ...BACKUP, status: 'partial', problemsTotal: 103 });
    };
    const terminal = rendered(many);
    expect(terminal.errors).toHaveLength(101);
    expect(terminal.errors.at(-1)).toBe('... and 3 more problems (-v shows all)');
    expect(terminal.lines).toContain('103 entries could not be read completely');
    expect(rendered(many, { verbosity: 1 }).errors).toHaveLength(103);
  });

  test('damage names the object and the files hit', () => {
    expect(rendered(renderer => renderer.event({ type: 'damage-found', finding: DAMAGE })).errors).toEqual([
      'Damage: pack packs/ab/abcdef: The tag of frame 3 does not match',
      '  hits /home/me/a\\e[2Jb in snapshot 1f4c9a2e',
    ]);
  });

  test('-v lists new and changed entries, -vv all', () => {
    const events = (renderer: TextRenderer): void => {
      renderer.event({ type: 'entry-stored', path, change: 'new', sizeBytes: 2048 });
      renderer.event({ type: 'entry-stored', path, change: 'unmodified', sizeBytes: 0 });
      renderer.event({ type: 'entry-restored', path, action: 'removed', sizeBytes: 0 });
    };
    expect(rendered(events).lines).toEqual([]);
    expect(rendered(events, { verbosity: 1 }).lines).toEqual(['+ /home/me/file (2.00 KiB)', '- /home/me/file']);
    expect(rendered(events, { verbosity: 2 }).lines).toHaveLength(3);
  });
});

describe('summaries', () => {
  test('of a backup', () => {
    expect(rendered(renderer => renderer.report(BACKUP)).lines).toEqual([
      'Files:     12 new, 3 changed, 1,204 unmodified',
      'Folders:   2 new, 1 changed, 40 unmodified',
      'Read:      1.00 GiB of 3.00 GiB (256 MiB/s)',
      'Added:     234 MiB, stored as 101 MiB',
      'Duration:  12 s',
      'Snapshot 1f4c9a2e saved (incremental, parent aa11bb22)',
    ]);
  });

  test.each([
    [{ dryRun: true, snapshotId: undefined }, 'Dry run: nothing was stored'],
    [{ unchanged: true, snapshotId: undefined }, 'Nothing changed: no snapshot was made'],
    [{ status: 'partial' as const, parentId: undefined, kind: 'full' as const }, 'Snapshot 1f4c9a2e saved (full), but not complete'],
  ])('of a backup that ended otherwise: %o', (difference, last) => {
    expect(rendered(renderer => renderer.report({ ...BACKUP, ...difference })).lines.at(-1)).toBe(last);
  });

  test('of a restore', () => {
    expect(rendered(renderer => renderer.report({ ...RESTORE, findings: [DAMAGE], status: 'partial', problemsTotal: 1 })).lines).toEqual([
      'Files:          1,000 restored, 200 kept, 5 removed',
      'Written:        2.00 GiB of 3.00 GiB (205 MiB/s)',
      'Already there:  1.00 GiB',
      'Verified:       1,200 files',
      'Duration:       10 s',
      '1 entry could not be restored completely',
      '1 damaged object found in the repository',
      'Snapshot 1f4c9a2e restored, but not complete',
    ]);
  });

  test('of a check', () => {
    const { lines } = rendered(renderer => renderer.report(VERIFY));
    expect(lines).toContain('Read:       20 packs, 640 MiB (160 MiB/s)');
    expect(lines.at(-1)).toBe('No damage found');
    expect(rendered(renderer => renderer.report({ ...VERIFY, findings: [DAMAGE] })).lines.at(-1)).toBe('1 damaged object found in the repository');
    expect(rendered(renderer => renderer.report({ ...VERIFY, packsRead: 0 })).lines).toContain('Read:       no content (--read-data reads all)');
  });

  test.each([
    [{}, '100 % of the data was verified within the last 35 days'],
    [{ days: 1 }, '100 % of the data was verified within the last 1 day'],
    [{ packsTotal: 0, bytesTotal: 0, bytesVerified: 0 }, 'There is no data to verify yet'],
    [{ bytesVerified: 640 * 1024 ** 2 - 1, packsNever: 2, packsDamaged: 1, oldestCheckAt: Date.UTC(2026, 4, 1) },
      '99.9 % of the data was verified within the last 35 days: 2 of 20 packs never, the oldest check of the others is 30 days ago, 1 with damage'],
    [{ bytesVerified: 0, packsNever: 20, oldestCheckAt: undefined }, '0 % of the data was verified within the last 35 days: 20 of 20 packs never'],
  ])('of what all checks come to: %j', (changes, sentence) => {
    const { lines } = rendered(renderer => renderer.report({ ...VERIFY, coverage: { ...VERIFY.coverage, ...changes } }));
    expect(lines.at(-2)).toBe(sentence);
  });

  test.each([
    [12, 'The sample was 3 of 20 packs, 1.00 KiB of 9.00 KiB; with 95 % confidence at most 12 packs are damaged'],
    [1, 'The sample was 3 of 20 packs, 1.00 KiB of 9.00 KiB; with 95 % confidence at most 1 pack is damaged'],
    [0, 'The sample was 3 of 20 packs, 1.00 KiB of 9.00 KiB; with 95 % confidence no other pack is damaged'],
    [undefined, 'The sample was 3 of 20 packs, 1.00 KiB of 9.00 KiB'],
  ])('of a sample: %j', (mostDamagedPacks, sentence) => {
    const sample = { packs: 3, packsTotal: 20, bytes: 1024, bytesTotal: 9 * 1024, mostDamagedPacks };
    expect(rendered(renderer => renderer.report({ ...VERIFY, sample })).lines).toContain(sentence);
  });

  test('of a check of one snapshot names it', () => {
    expect(rendered(renderer => renderer.report({ ...VERIFY, snapshotId: SNAPSHOT_ID })).lines.at(-1)).toBe('No damage found for snapshot 1f4c9a2e');
  });

  test('of a test restore', () => {
    const { lines } = rendered(renderer => renderer.report(TEST_RESTORE));
    expect(lines).toContain('Live files:  since the snapshot 4 added, 3 removed, 3 changed, 7 in metadata only');
    expect(lines.at(-2)).toMatch(/^1 of the changed files have the size and time of the snapshot/);
    expect(lines.at(-1)).toBe('Snapshot 1f4c9a2e comes back: everything was restored, read back and compared');
    expect(rendered(renderer => renderer.report({ ...TEST_RESTORE, status: 'partial', problemsTotal: 2 })).lines.at(-1)).toContain('2 entries could not be tried here');
    expect(rendered(renderer => renderer.report({ ...TEST_RESTORE, status: 'failed', findings: [DAMAGE] })).lines.at(-1)).toContain('does not come back as it was');
  });

  test('of the statistics', () => {
    expect(rendered(renderer => renderer.report(STATS)).lines).toEqual([
      'Snapshots:     2',
      'To restore:    3.91 KiB in 30 files',
      'Deduplicated:  1.95 KiB in 40 chunks (2.00 times less)',
      'Stored:        500 B (4.00 times less)',
      'Repository:    900 B in 5 packs',
      '',
      'Snapshot  To restore  Files  Only here',
      '--------  ----------  -----  ---------',
      '1f4c9a2e    2.44 KiB     20      100 B',
    ]);
  });

  test('-q prints nothing but errors', () => {
    const terminal = rendered(renderer => {
      renderer.note('x');
      renderer.report(BACKUP);
      renderer.failure(failureOf(new SnapError('USAGE', 'Wrong')));
    }, { isQuiet: true });
    expect(terminal.lines).toEqual([]);
    expect(terminal.errors).toEqual(['Error: Wrong']);
  });
});

test('a failure shows message and hint, coloured on a terminal only', () => {
  const show = (renderer: TextRenderer): void => renderer.failure(failureOf(new SnapError('USAGE', 'Wrong', { hint: 'Do this' })));
  expect(rendered(show).errors).toEqual(['Error: Wrong', 'Hint: Do this']);
  const coloured = rendered(show, {}, Object.assign(new RecordingTerminal(), { usesColour: true }));
  expect(coloured.errors[0]).toBe('\u001b[31mError:\u001b[0m Wrong');
});
