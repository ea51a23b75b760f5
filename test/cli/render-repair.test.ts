import { describe, expect, test } from 'vitest';
import { repairLines, repairStepLine, repairStepMessage, repairSummary } from '../../src/cli/render-repair.ts';
import type { RepairStep } from '../../src/usecases/events.ts';
import type { RepairReport } from '../../src/usecases/reports.ts';
import { DAMAGE } from './reports.ts';

const COUNTS: RepairReport['counts'] = {
  segmentsWritten: 1, segmentsRemoved: 2, packsIndexed: 3, packsDropped: 1, packsRestored: 0, packsQuarantined: 1, packsReleased: 0, packsWritten: 2, chunksMoved: 1200,
  chunksHealed: 0, chunksLost: 1, snapshotsRepaired: 0, snapshotsForgotten: 0, bytesRead: 4096, bytesWritten: 2048,
};
const REPORT: RepairReport = {
  job: 'repair', part: 'packs', status: 'failed', dryRun: false, damagedObjects: 2, counts: COUNTS, next: ['Run a backup'], durationMs: 2000, findings: [DAMAGE],
};
const STEP: RepairStep = { action: 'quarantine', object: 'pack', name: 'packs/d/ab/cd\u001b', message: 'copied', isDryRun: false };

describe('for people', () => {
  test('a step says what is about to be done, or would be', () => {
    expect(repairStepLine(STEP)).toBe('Put into quarantine pack packs/d/ab/cd\\e: copied');
    expect(repairStepLine({ ...STEP, action: 'remove', isDryRun: true })).toBe('Would remove pack packs/d/ab/cd\\e: copied');
  });

  test('the summary leaves out what did not happen, and ends with what to do', () => {
    expect(repairLines(REPORT)).toEqual([
      'Found:     2 damaged or missing', 'Index:     3 packs listed anew, 1 missing pack dropped, 2 segments replaced', 'Content:   1,200 chunks moved, 1 chunk lost',
      'Packs:     1 pack put into quarantine', 'Written:   2.00 KiB', 'Read:      4.00 KiB', 'Duration:  2.0 s', '1 loss remains, named above', 'Next: Run a backup',
    ]);
  });

  test('the verdict tells whole, repaired, left and lost apart', () => {
    const verdict = (changes: Partial<RepairReport>): string => repairLines({ ...REPORT, status: 'complete', findings: [], next: [], ...changes }).at(-1)!;
    expect(verdict({ damagedObjects: 0 })).toBe('All is well');
    expect(verdict({})).toBe('All of it was repaired');
    expect(verdict({ dryRun: true })).toBe('Dry run, nothing was changed: all of it can be repaired');
    expect(verdict({ status: 'partial' })).toBe('Not everything could be done, see above');
    expect(verdict({ dryRun: true, status: 'failed', findings: [DAMAGE, DAMAGE] })).toBe('Dry run, nothing was changed: 2 losses remain, named above');
  });
});

test('as JSON each step is a line, and the summary has all figures and the exit code', () => {
  expect(repairStepMessage(STEP)).toEqual({ message_type: 'repair_step', action: 'quarantine', object: 'pack', name: STEP.name, message: 'copied', dry_run: false });
  expect(repairSummary(REPORT)).toEqual({
    message_type: 'repair_summary', job: 'repair', part: 'packs', status: 'failed', exit_code: 13, dry_run: false, damaged_objects: 2, segments_written: 1,
    segments_removed: 2, packs_indexed: 3, packs_dropped: 1, packs_restored: 0, packs_quarantined: 1, packs_released: 0, packs_written: 2, chunks_moved: 1200,
    chunks_healed: 0, chunks_lost: 1, snapshots_repaired: 0, snapshots_forgotten: 0, bytes_read: 4096, bytes_written: 2048, total_duration: 2, num_errors: 1,
    num_warnings: 0, next: ['Run a backup'],
  });
  expect(repairSummary({ ...REPORT, status: 'partial', findings: [] })).toMatchObject({ exit_code: 3 });
});
