/** Reports with distinct figures, for tests of rendering. */
import type { Finding } from '../../src/usecases/events.ts';
import type { BackupReport, RestoreReport, StatsReport, TestRestoreReport, VerifyReport } from '../../src/usecases/reports.ts';

export const SNAPSHOT_ID = '1f4c9a2e00112233445566778899aabb';
export const PARENT_ID = 'aa11bb22cc33dd44ee55ff6600778899';

export const BACKUP: BackupReport = {
  job: 'backup', status: 'complete', snapshotId: SNAPSHOT_ID, parentId: PARENT_ID, kind: 'incremental', dryRun: false, unchanged: false,
  filesNew: 12, filesChanged: 3, filesUnmodified: 1204, directoriesNew: 2, directoriesChanged: 1, directoriesUnmodified: 40,
  filesTotal: 1219, bytesTotal: 3 * 1024 ** 3, bytesRead: 1024 ** 3, dataChunksAdded: 77, treeChunksAdded: 9,
  bytesAddedRaw: 234 * 1024 ** 2, bytesAddedStored: 101 * 1024 ** 2, startedAt: Date.UTC(2026, 4, 31, 12), durationMs: 12_000,
  problems: [], problemsTotal: 0,
};

export const RESTORE: RestoreReport = {
  job: 'restore', status: 'complete', snapshotId: SNAPSHOT_ID, dryRun: false, entriesTotal: 1219, filesRestored: 1000, filesKept: 200,
  filesRemoved: 5, bytesTotal: 3 * 1024 ** 3, bytesWritten: 2 * 1024 ** 3, bytesReused: 1024 ** 3, filesVerified: 1200, durationMs: 10_000,
  problems: [], problemsTotal: 0, findings: [],
};

export const DAMAGE: Finding = {
  object: 'pack', name: 'packs/ab/abcdef', message: 'The tag of frame 3 does not match', severity: 'damage',
  files: [{ snapshotId: SNAPSHOT_ID, path: Buffer.from('/home/me/a\u001b[2Jb') }],
};

export const VERIFY: VerifyReport = {
  job: 'verify', status: 'complete', levels: ['structure', 'metadata', 'tables', 'data'], tablesRead: 0, coverage: {
    at: Date.UTC(2026, 4, 31), days: 35, packsTotal: 20, bytesTotal: 640 * 1024 ** 2, packsVerified: 20, bytesVerified: 640 * 1024 ** 2, packsNever: 0,
    packsDamaged: 0, oldestCheckAt: Date.UTC(2026, 4, 20),
  },
  snapshots: 3, packs: 20, segments: 4, treeNodes: 1500, chunksReferenced: 123456, packsRead: 20,
  bytesRead: 640 * 1024 ** 2, unusedBytes: 12 * 1024 ** 2, durationMs: 4000, findings: [],
};

export const TEST_RESTORE: TestRestoreReport = {
  job: 'test-restore', status: 'complete', snapshotId: SNAPSHOT_ID, entries: 1219, bytes: 3 * 1024 ** 3,
  live: { added: 4, removed: 3, content: 2, metadata: 7, type: 1, sameStat: 1 }, durationMs: 5000, problems: [], problemsTotal: 0, findings: [],
};

export const STATS: StatsReport = {
  job: 'stats', snapshots: 2, restoreBytes: 4000, rawBytes: 2000, storedBytes: 500, files: 30, chunks: 40, packs: 5, repositoryBytes: 900,
  perSnapshot: [{ snapshotId: SNAPSHOT_ID, restoreBytes: 2500, files: 20, uniqueBytes: 100 }],
};
