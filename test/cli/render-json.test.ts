import { describe, expect, test } from 'vitest';
import { SnapError } from '../../src/base/errors.ts';
import { failureOf } from '../../src/cli/outcome.ts';
import { JsonRenderer } from '../../src/cli/render-json.ts';
import { newCounters, type SnapEvent } from '../../src/usecases/events.ts';
import { RecordingTerminal } from './recording-terminal.ts';
import { BACKUP, DAMAGE, RESTORE, SNAPSHOT_ID, STATS, TEST_RESTORE, VERIFY } from './reports.ts';

const path = Buffer.from('/home/me/file');

function rendered(verbosity: number, use: (renderer: JsonRenderer) => void): Record<string, unknown>[] {
  const terminal = new RecordingTerminal();
  use(new JsonRenderer(terminal, 0, { showsProgress: true, verbosity }));
  return terminal.messages();
}

const afterEvent = (event: SnapEvent, verbosity = 0): Record<string, unknown>[] => rendered(verbosity, renderer => renderer.event(event));

test('status has the fields that restic has', () => {
  const counters = Object.assign(newCounters(), {
    phase: 'reading', totalEntries: 100, totalBytes: 1000, entriesDone: 25, bytesDone: 250, bytesAdded: 90, problems: 1, currentPath: path,
  });
  expect(rendered(0, renderer => renderer.progress(counters, 10_000))).toEqual([{
    message_type: 'status', phase: 'reading', seconds_elapsed: 10, seconds_remaining: 30, percent_done: 0.25, total_files: 100, files_done: 25,
    total_bytes: 1000, bytes_done: 250, bytes_added: 90, error_count: 1, current_files: ['/home/me/file'],
  }]);
});

test('status says nothing about the remaining time before it can', () => {
  const [status] = rendered(0, renderer => renderer.progress(newCounters(), 1000));
  expect(status).toMatchObject({ percent_done: 0, current_files: [] });
  expect(status).not.toHaveProperty('seconds_remaining');
});

describe('events', () => {
  test('a problem is an error line whose message is nested as in restic', () => {
    expect(afterEvent({ type: 'problem-found', path, during: 'open', code: 'DENIED', message: 'Cannot open' })).toEqual([
      { message_type: 'error', error: { message: 'Cannot open' }, during: 'open', code: 'DENIED', item: '/home/me/file' },
    ]);
  });

  test('a name that is not UTF-8 is escaped and given in base64', () => {
    const odd = Buffer.from([0x61, 0xff]);
    expect(afterEvent({ type: 'problem-found', path: odd, during: 'open', code: 'DENIED', message: 'x' })[0])
      .toMatchObject({ item: 'a\\xff', item_bytes: odd.toString('base64') });
  });

  test('damage names the files and snapshots hit', () => {
    expect(afterEvent({ type: 'damage-found', finding: DAMAGE })).toEqual([{
      message_type: 'damage', severity: 'damage', object: 'pack', name: 'packs/ab/abcdef', message: 'The tag of frame 3 does not match',
      files: [{ snapshot_id: SNAPSHOT_ID, path: '/home/me/a\u001b[2Jb' }],
    }]);
  });

  test('entries appear with -v, unmodified ones and packs with -vv', () => {
    const stored: SnapEvent = { type: 'entry-stored', path, change: 'new', sizeBytes: 5 };
    const kept: SnapEvent = { type: 'entry-restored', path, action: 'kept', sizeBytes: 5 };
    const pack: SnapEvent = { type: 'pack-written', packId: 'ab', sizeBytes: 9, chunks: 2 };
    expect(afterEvent(stored)).toEqual([]);
    expect(afterEvent(stored, 1)).toEqual([{ message_type: 'verbose_status', action: 'new', item: '/home/me/file', data_size: 5 }]);
    expect(afterEvent(kept, 1)).toEqual([]);
    expect(afterEvent(kept, 2)).toEqual([{ message_type: 'verbose_status', action: 'kept', item: '/home/me/file', size: 5 }]);
    expect(afterEvent(pack, 1)).toEqual([]);
    expect(afterEvent(pack, 2)).toEqual([{ message_type: 'verbose_status', action: 'pack_written', pack_id: 'ab', size: 9, chunks: 2 }]);
  });

  test('a repeated storage call and a revoked session are told', () => {
    expect(afterEvent({ type: 'retry-scheduled', operation: 'read', attempt: 2, delayMs: 1500 }))
      .toEqual([{ message_type: 'retry', operation: 'read', attempt: 2, delay_seconds: 1.5 }]);
    expect(afterEvent({ type: 'session-revoked', sessionId: 'ab' })).toEqual([{ message_type: 'session_revoked', session_id: 'ab' }]);
  });
});

describe('reports', () => {
  test('the summary of a backup', () => {
    expect(rendered(0, renderer => renderer.report({ ...BACKUP, status: 'partial', problemsTotal: 4 }))).toEqual([{
      message_type: 'summary', job: 'backup', status: 'partial', exit_code: 3, kind: 'incremental', snapshot_id: SNAPSHOT_ID,
      parent_id: BACKUP.parentId, dry_run: false, unchanged: false, files_new: 12, files_changed: 3, files_unmodified: 1204, dirs_new: 2,
      dirs_changed: 1, dirs_unmodified: 40, data_blobs: 77, tree_blobs: 9, data_added: 245366784, data_added_packed: 105906176,
      total_files_processed: 1219, total_bytes_processed: 3221225472, bytes_read: 1073741824, backup_start: '2026-05-31T12:00:00Z',
      backup_end: '2026-05-31T12:00:12Z', total_duration: 12, problems: 4,
    }]);
  });

  test('the summary of a restore', () => {
    expect(rendered(0, renderer => renderer.report({ ...RESTORE, findings: [DAMAGE] }))).toEqual([{
      message_type: 'summary', job: 'restore', status: 'complete', exit_code: 13, snapshot_id: SNAPSHOT_ID, dry_run: false, total_files: 1219,
      files_restored: 1000, files_skipped: 200, files_deleted: 5, files_verified: 1200, total_bytes: 3221225472, bytes_restored: 2147483648,
      bytes_skipped: 1073741824, total_duration: 10, problems: 0, damage: 1,
    }]);
  });

  test('the summary of a check, after what it says of all data', () => {
    const sample = { packs: 3, packsTotal: 20, bytes: 100, bytesTotal: 1000, mostDamagedPacks: 12 };
    expect(rendered(0, renderer => renderer.report({ ...VERIFY, sample, findings: [DAMAGE, { ...DAMAGE, severity: 'warning' }] }))).toEqual([{
      message_type: 'verify_summary', job: 'verify', status: 'complete', exit_code: 13, levels: ['structure', 'metadata', 'tables', 'data'],
      coverage: {
        days: 35, share: 1, packs_total: 20, bytes_total: 671088640, packs_verified: 20, bytes_verified: 671088640, packs_never: 0, packs_damaged: 0,
        oldest_check: '2026-05-20T00:00:00Z',
      },
      sample: { packs: 3, packs_total: 20, bytes: 100, bytes_total: 1000, confidence: 0.95, most_damaged_packs: 12 },
    }, {
      message_type: 'summary', job: 'verify', status: 'complete', exit_code: 13, snapshots: 3, packs: 20, segments: 4, tree_nodes: 1500, tables_read: 0,
      chunks_referenced: 123456, packs_read: 20, bytes_read: 671088640, unused_bytes: 12582912, total_duration: 4, num_errors: 1, num_warnings: 1,
    }]);
  });

  test('the summary of a test restore', () => {
    expect(rendered(0, renderer => renderer.report(TEST_RESTORE))).toEqual([{
      message_type: 'test_restore_summary', job: 'test-restore', status: 'complete', exit_code: 0, snapshot_id: SNAPSHOT_ID, total_files: 1219, total_bytes: 3221225472,
      live: { added: 4, removed: 3, changed: 2, type_changed: 1, metadata_changed: 7, same_size_and_time: 1 }, total_duration: 5, problems: 0, damage: 0,
    }]);
  });

  test('statistics: one line a snapshot, then the whole', () => {
    expect(rendered(0, renderer => renderer.report(STATS))).toEqual([
      { message_type: 'snapshot_stats', snapshot_id: SNAPSHOT_ID, total_size: 2500, total_file_count: 20, unique_size: 100 },
      {
        message_type: 'stats', snapshots_count: 2, total_size: 4000, total_uncompressed_size: 2000, total_stored_size: 500, repository_size: 900,
        total_file_count: 30, total_blob_count: 40, pack_count: 5, dedup_ratio: 2, compression_ratio: 4,
      },
    ]);
  });
});

test('a failure is one exit_error line with code, message, error code and hint', () => {
  const failure = failureOf(new SnapError('WRONG_PASSWORD', 'No key slot opens', { hint: 'Try again' }));
  expect(rendered(0, renderer => renderer.failure(failure)))
    .toEqual([{ message_type: 'exit_error', code: 12, message: 'No key slot opens', error_code: 'WRONG_PASSWORD', hint: 'Try again' }]);
});

test('notes for people are not printed', () => {
  expect(rendered(0, renderer => renderer.note())).toEqual([]);
});
