/**
 * snap as a library: the use cases that the command line calls, with events and reports and without printing.
 *
 *     const backend = await openBackend('/mnt/backup/repo', { clock: systemClock, random: systemRandom });
 *     const repository = await openRepository(backend.backend, credential, environment, id => openLmdbCache(…));
 *     const report = await backup(repository, openFileTree([path], { cwd }), options, { onEvent });
 *
 * This list is the whole public API; everything else may change without notice.
 */
export { systemClock, systemRandom, type Clock, type Random } from './base/ambient.ts';
export { ERROR_CATALOGUE, SnapError, type SnapErrorCode, type SnapErrorKind } from './base/errors.ts';
export { Secret } from './base/secret.ts';
export { openBackend } from './backend/open.ts';
export { MemoryBackend } from './backend/memory.ts';
export type { Backend, ReadBackend, WriteBackend } from './backend/backend.ts';
export { openLmdbCache } from './cache/lmdb-cache.ts';
export { openMemoryCache } from './cache/memory-cache.ts';
export type { Cache } from './cache/cache.ts';
export { createInlineEngine } from './engine/inline-engine.ts';
export { createPoolEngine } from './engine/pool-engine.ts';
export type { Engine } from './engine/engine.ts';
export { createFastKernel } from './kernel/fast.ts';
export { createPortableKernel } from './kernel/portable.ts';
export { PROFILES } from './format/chunking.ts';
export type { Snapshot } from './format/snapshot.ts';
export type { Entry } from './format/tree-node.ts';
export { openRepository } from './repository/open-repository.ts';
export type { Credential, Environment, OpenRepository } from './repository/opened-repository.ts';
export type { SnapshotRecord } from './repository/snapshots.ts';
export { openFileTree } from './sources/files.ts';
export { openStdin } from './sources/stdin.ts';
export { openCommand } from './sources/command.ts';
export type { Source, StreamSource, TreeSource } from './sources/source.ts';
export { FilesTarget } from './targets/files.ts';
export type { TreeTarget } from './targets/target.ts';
export { initReplica, initRepository } from './usecases/init.ts';
export { backup } from './usecases/backup/backup.ts';
export { restore } from './usecases/restore/restore.ts';
export { testRestore } from './usecases/restore/test-restore.ts';
export { validateBackup } from './usecases/backup/validate-backup.ts';
export { verify } from './usecases/verify/verify.ts';
export { repairIndex } from './usecases/repair/repair-index.ts';
export { emptyQuarantine, repairPacks } from './usecases/repair/repair-packs.ts';
export { repairSnapshots } from './usecases/repair/repair-snapshots.ts';
export { addKey, changePassword, listKeys, removeKey } from './usecases/keys.ts';
export { rotateKeys } from './usecases/rotate-keys.ts';
export { addParity, removeParity } from './usecases/parity.ts';
export { changeTags, setPinned } from './usecases/labels.ts';
export { closePlans, prune, type PruneOptions } from './usecases/prune/prune.ts';
export type { PruneLimits } from './usecases/prune/prune-plan.ts';
export { forgetByPolicy, forgetNamed } from './usecases/retention/forget.ts';
export { DEFAULT_POLICY, type RetentionPolicy } from './usecases/retention/retention-policy.ts';
export { replicate } from './usecases/replicate/replicate.ts';
export { dropReplica, replicaStatus, type ReplicaStatus } from './usecases/replicate/replica-status.ts';
export type { ReplicaOutcome, ReplicateOptions } from './usecases/replicate/replicate-options.ts';
export type { ReplicaPlace } from './usecases/replicate/replica-target.ts';
export { listForgotten, undelete } from './usecases/retention/undelete.ts';
export type { Counters, Finding, JobContext, SnapEvent } from './usecases/events.ts';
export type { BackupReport, ForgetReport, Problem, PruneReport, RepairReport, ReplicateReport, RestoreReport, StatsReport, TestRestoreReport, VerifyReport } from './usecases/reports.ts';
