import { describe, expect, test } from 'vitest';
import { forgetLines, forgetMessages } from '../../src/cli/render-forget.ts';
import type { ForgetDecision, ForgetReport } from '../../src/usecases/reports.ts';
import { SNAPSHOT_ID } from './reports.ts';

const KEPT: ForgetDecision = {
  snapshotId: SNAPSHOT_ID, createdAt: Date.UTC(2026, 4, 31, 12), kind: 'full', series: 'laptop\u001b[2J', host: 'h', group: "series 'laptop'", keeps: true, reasons: ['daily 1 of 7', 'tag a\u202eb'],
};
const GOING: ForgetDecision = { ...KEPT, keeps: false, reasons: ['not kept by any rule'] };
const REPORT: ForgetReport = {
  job: 'forget', status: 'complete', dryRun: false, decisions: [KEPT, GOING], kept: 1, forgotten: 1, leftOversRemoved: 0, keptBytes: undefined, maxBytes: undefined,
  objections: [], unreadable: [], durationMs: 1234,
};

describe('for people', () => {
  test('a dry run shows every decision, a real one what went', () => {
    expect(forgetLines({ ...REPORT, dryRun: true }).filter(line => line.startsWith('1f4c9a2e'))).toHaveLength(2);
    const lines = forgetLines(REPORT);
    expect(lines.filter(line => line.startsWith('1f4c9a2e'))).toEqual([expect.stringMatching(/full +laptop\\e\[2J +forget +not kept by any rule$/)]);
    expect(lines.at(-1)).toBe('Kept 1 snapshot, forgot 1');
    expect(forgetLines({ ...REPORT, dryRun: true }).at(-1)).toBe('Dry run: would keep 1 snapshot and forget 1');
  });

  test('nothing from outside reaches the terminal as it is', () => {
    expect(forgetLines({ ...REPORT, dryRun: true, objections: ['\u001b[31m'] }).join('')).not.toMatch(/[\u0000-\u001f\u202e]/);
  });

  test('limit, left overs and what force overrode are told', () => {
    const text = forgetLines({ ...REPORT, decisions: [], leftOversRemoved: 2, keptBytes: 3 * 2 ** 30, maxBytes: 2 ** 30, objections: ['Too many'] }).join('\n');
    expect(text).toBe('Warning: Too many\nThe kept snapshots reach 3.00 GiB of at most 1.00 GiB: pinned and tagged ones and the last of each series stay\n'
      + '2 left over from an interrupted run were removed\nKept 1 snapshot, forgot 1');
  });

  test('a record that cannot be read is a row like any other', () => {
    const unreadable: ForgetDecision = { ...GOING, createdAt: undefined, kind: undefined, series: undefined, host: undefined, group: undefined };
    expect(forgetLines({ ...REPORT, decisions: [unreadable] })[2]).toMatch(/^1f4c9a2e +forget +not kept by any rule$/);
  });
});

describe('for programs', () => {
  test('one line for each decision, and a summary', () => {
    const [first, , summary] = forgetMessages(REPORT);
    expect(first).toEqual({
      message_type: 'forget_decision', snapshot_id: SNAPSHOT_ID, short_id: '1f4c9a2e', time: '2026-05-31T12:00:00Z', kind: 'full', series: 'laptop\u001b[2J', hostname: 'h',
      group: "series 'laptop'", action: 'keep', reasons: ['daily 1 of 7', 'tag a\u202eb'],
    });
    expect(summary).toEqual({
      message_type: 'forget_summary', job: 'forget', status: 'complete', exit_code: 0, dry_run: false, kept_snapshots: 1, removed_snapshots: 1, left_overs_removed: 0,
      kept_size: undefined, max_size: undefined, objections: [], unreadable: [], total_duration: 1.234,
    });
  });

  test('a dry run that a guard stops says with which exit code', () => {
    expect(forgetMessages({ ...REPORT, dryRun: true, status: 'failed', objections: ['Too many'] }).at(-1)).toMatchObject({ exit_code: 14, status: 'failed' });
  });
});
