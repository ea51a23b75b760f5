import { describe, expect, test } from 'vitest';
import { pruneLines, pruneSummary } from '../../src/cli/render-prune.ts';
import type { PruneReport } from '../../src/usecases/reports.ts';
import { DAMAGE } from './reports.ts';

const REPORT: PruneReport = {
  job: 'prune', status: 'complete', dryRun: false, planNumber: 7, packsTotal: 100, bytesTotal: 2000 * 1024, packsDropped: 1, bytesDropped: 16 * 1024, packsRewritten: 4,
  bytesRewritten: 64 * 1024, bytesWritten: 20 * 1024, packsKept: 95, packsRescued: 0, bytesFreed: 60 * 1024, unusedBytesLeft: 1024, sessionsRevoked: 0, segmentsMerged: 3,
  isPending: false, durationMs: 2000, findings: [],
};

describe('for people a prune says', () => {
  test('what was found, what is freed and what stays', () => {
    expect(pruneLines(REPORT)).toEqual([
      'Found:        100 packs, 1.95 MiB', 'Not needed:   1 pack, 16.0 KiB', 'Stored anew:  4 packs, 64.0 KiB, as 20.0 KiB',
      'Kept:         95 packs, with 1.00 KiB that nothing needs', 'Duration:     2.0 s', 'Freed 60.0 KiB',
    ]);
  });

  test('whom it rescued and gave up, and what is damaged', () => {
    const lines = pruneLines({ ...REPORT, packsRescued: 2, sessionsRevoked: 1, findings: [DAMAGE] });
    expect(lines.some(line => line.startsWith('Rescued:      2 packs that a backup needs'))).toBe(true);
    expect(lines.some(line => line.startsWith('Given up:     1 backup that did not end'))).toBe(true);
    expect(lines.some(line => line.includes('1 damaged object'))).toBe(true);
  });

  test('what comes next', () => {
    const verdict = (changes: Partial<PruneReport>): string[] => pruneLines({ ...REPORT, ...changes }).slice(5);
    expect(verdict({ dryRun: true })).toEqual(['Dry run: 60.0 KiB would be freed']);
    const pending = { isPending: true, pendingReason: 'it waits\u001b' };
    expect(verdict({ dryRun: true, ...pending })).toEqual(['Dry run: 60.0 KiB would be freed, but not at once: it waits\\e']);
    expect(verdict(pending)).toEqual(['Nothing is deleted yet: it waits\\e', 'Then 60.0 KiB will be free']);
    expect(pruneLines({ ...REPORT, packsDropped: 0, packsRewritten: 0 }).at(-1)).toBe('There is nothing to free');
    expect(verdict({ bytesFreed: -10 })).toEqual(['Freed nothing: a backup that ended meanwhile needs what was to go']);
  });
});

test('as JSON a prune says all figures and the exit code', () => {
  expect(pruneSummary(REPORT)).toEqual({
    message_type: 'prune_summary', job: 'prune', status: 'complete', exit_code: 0, dry_run: false, plan_number: 7, packs_total: 100, bytes_total: 2_048_000,
    packs_dropped: 1, bytes_dropped: 16_384, packs_rewritten: 4, bytes_rewritten: 65_536, bytes_written: 20_480, packs_kept: 95, packs_rescued: 0,
    bytes_freed: 61_440, unused_bytes_left: 1024, sessions_revoked: 0, segments_merged: 3, pending: false, pending_reason: undefined, total_duration: 2, damage: 0,
  });
  expect(pruneSummary({ ...REPORT, findings: [DAMAGE] })).toMatchObject({ exit_code: 13, damage: 1 });
});
