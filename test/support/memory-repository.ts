/** A repository without a password to stretch: in memory unless told otherwise, with the inline engine and real files as sources. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { systemClock, systemRandom, type Clock, type Random } from '../../src/base/ambient.ts';
import { nativeFileSystem } from '../../src/base/native-filesystem.ts';
import { Secret } from '../../src/base/secret.ts';
import { utf8 } from '../../src/base/bytes.ts';
import { MemoryBackend } from '../../src/backend/memory.ts';
import type { Backend } from '../../src/backend/backend.ts';
import type { Cache } from '../../src/cache/cache.ts';
import { openKnownChunks } from '../../src/cache/known-chunks.ts';
import { openMemoryCache } from '../../src/cache/memory-cache.ts';
import { createInlineEngine } from '../../src/engine/inline-engine.ts';
import type { Engine } from '../../src/engine/engine.ts';
import { PROFILES, type ChunkerParameters } from '../../src/format/chunking.ts';
import { parseHostId } from '../../src/format/ids.ts';
import { createFastKernel } from '../../src/kernel/fast.ts';
import { createRepository } from '../../src/repository/create-repository.ts';
import { openRepository } from '../../src/repository/open-repository.ts';
import type { Credential, OpenRepository } from '../../src/repository/opened-repository.ts';
import type { SessionOwner } from '../../src/repository/registration.ts';
import { openFileTree, type FileTreeOptions } from '../../src/sources/files.ts';
import { backup } from '../../src/usecases/backup/backup.ts';
import type { BackupOptions } from '../../src/usecases/backup/backup-run.ts';
import type { JobContext } from '../../src/usecases/events.ts';
import type { BackupReport } from '../../src/usecases/reports.ts';

export const kernel = createFastKernel();

/** Cheap to open: a key file needs no stretching. */
export const KEY: Credential = { kind: 'keyfile', key: new Secret(new Uint8Array(32).fill(7)) };

export const OWNER: SessionOwner = {
  host: 'test-host', hostId: parseHostId('11'.repeat(16)), user: 'tester', processId: 4711, program: 'snap test',
};

/** Small chunks, so that small test data has many of them. */
export const SMALL_CHUNKS: ChunkerParameters = { algorithm: 'gear', minBytes: 1024, averageBytes: 4096, maxBytes: 16_384 };

export interface TestEnvironment {
  readonly clock?: Clock;
  readonly random?: Random;
  readonly cache?: () => Promise<Cache>;
}

export async function makeRepository(backend: Backend = memoryBackend(), options: TestEnvironment & { chunker?: ChunkerParameters } = {}): Promise<OpenRepository> {
  const { clock = systemClock, random = systemRandom, chunker = PROFILES.default } = options;
  await createRepository(backend, { kernel, clock, random }, { credential: KEY, suite: 1, chunker, label: 'test' });
  return reopen(backend, options);
}

export function reopen(backend: Backend, { clock = systemClock, random = systemRandom, cache = async () => openMemoryCache() }: TestEnvironment = {}): Promise<OpenRepository> {
  return openRepository(backend, KEY, { kernel, clock, random }, () => cache());
}

export function memoryBackend(): MemoryBackend {
  return new MemoryBackend({ clock: systemClock });
}

export function inlineEngine(): Engine {
  return createInlineEngine({ kernel, native: nativeFileSystem(), openKnownChunks, random: systemRandom });
}

export const engines = { capacity: 1, open: inlineEngine };

export function backupOptions(changes: Partial<BackupOptions> = {}): BackupOptions {
  return {
    engines, owner: OWNER, kind: 'incremental', series: 'test', tags: [], dryRun: false, skipIfUnchanged: false, allowEmpty: false, ignoreInode: false,
    compressionLevel: 1, grouping: true, ...changes,
  };
}

export function backupPath(
  repository: OpenRepository, path: string, changes: Partial<BackupOptions> = {}, context: JobContext = {}, tree: Partial<FileTreeOptions> = {},
): Promise<BackupReport> {
  return backup(repository, openFileTree([utf8(path)], { cwd: utf8('/'), ...tree }), backupOptions(changes), context);
}

/** Removed when the test ends. */
export function temporaryDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'snap-test-'));
  onTestFinished(() => { rmSync(path, { recursive: true, force: true }); });
  return path;
}
