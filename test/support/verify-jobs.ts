/** A small repository to be checked, and checks of it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MemoryBackend } from '../../src/backend/memory.ts';
import { PREFIXES } from '../../src/format/object-names.ts';
import type { OpenRepository } from '../../src/repository/opened-repository.ts';
import type { Finding, JobContext } from '../../src/usecases/events.ts';
import type { VerifyReport } from '../../src/usecases/reports.ts';
import { verify, type VerifyOptions } from '../../src/usecases/verify/verify.ts';
import { backupPath, engines, makeRepository, memoryBackend, OWNER, reopen, SMALL_CHUNKS, temporaryDirectory, type TestEnvironment } from './memory-repository.ts';
import { SeededRandom } from './seeded-random.ts';

export interface VerifySample {
  readonly backend: MemoryBackend;
  readonly repository: OpenRepository;
  readonly root: string;
}

/** Two snapshots that share most of their content, in two data packs and two tree packs. */
export async function verifySample(environment: TestEnvironment = {}): Promise<VerifySample> {
  const random = new SeededRandom(11);
  const backend = memoryBackend();
  const repository = await makeRepository(backend, { ...environment, chunker: SMALL_CHUNKS });
  const root = temporaryDirectory();
  mkdirSync(join(root, 'shared'));
  mkdirSync(join(root, 'own'));
  for (let i = 0; i < 20; i++) writeFileSync(join(root, `shared/small-${i}`), random.bytes(100 + 37 * i));
  writeFileSync(join(root, 'shared/large'), random.bytes(900_000));
  writeFileSync(join(root, 'own/first'), random.bytes(40_000));
  await backupPath(repository, root);
  writeFileSync(join(root, 'own/first'), random.bytes(30_000));
  await backupPath(repository, root);
  return { backend, repository: await reopen(backend, environment), root };
}

export function runVerify(repository: OpenRepository, changes: Partial<VerifyOptions> = {}, context: JobContext = {}): Promise<VerifyReport> {
  return verify(repository, { engines, owner: OWNER, readData: false, ...changes }, context);
}

export function damage({ findings }: Pick<VerifyReport, 'findings'>): Finding[] {
  return findings.filter(({ severity }) => severity === 'damage');
}

export function warnings({ findings }: Pick<VerifyReport, 'findings'>): Finding[] {
  return findings.filter(({ severity }) => severity === 'warning');
}

export function paths(finding: Finding | undefined): string[] {
  return [...new Set(finding?.files.map(({ path }) => Buffer.from(path).toString()))].sort();
}

export function namesOf(backend: MemoryBackend, prefix: string): string[] {
  return [...backend.snapshotState().keys()].filter(name => name.startsWith(prefix)).sort();
}

export function ledgerOf(backend: MemoryBackend): string[] {
  return namesOf(backend, PREFIXES.ledger);
}

/** Puts other bytes in the place of an object. */
export async function replaceObject(backend: MemoryBackend, name: string, change: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array): Promise<void> {
  const bytes = await backend.read(name);
  await backend.remove(name);
  await backend.create(name, [change(bytes)]);
}
