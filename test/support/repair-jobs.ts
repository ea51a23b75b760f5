/** Repairs with the options of tests, and a look at what they leave. */
import { MemoryBackend } from '../../src/backend/memory.ts';
import type { OpenRepository } from '../../src/repository/opened-repository.ts';
import type { Finding, JobContext, RepairStep } from '../../src/usecases/events.ts';
import { repairIndex, type RepairIndexOptions } from '../../src/usecases/repair/repair-index.ts';
import { repairPacks, type RepairPacksOptions } from '../../src/usecases/repair/repair-packs.ts';
import { repairSnapshots, type RepairSnapshotsOptions } from '../../src/usecases/repair/repair-snapshots.ts';
import type { RepairReport, VerifyReport } from '../../src/usecases/reports.ts';
import { verify } from '../../src/usecases/verify/verify.ts';
import { engines, OWNER } from './memory-repository.ts';

export function runRepairIndex(repository: OpenRepository, changes: Partial<RepairIndexOptions> = {}, context: JobContext = {}): Promise<RepairReport> {
  return repairIndex(repository, { owner: OWNER, engines, full: false, dryRun: false, ...changes }, context);
}

export function runRepairPacks(repository: OpenRepository, changes: Partial<RepairPacksOptions> = {}, context: JobContext = {}): Promise<RepairReport> {
  return repairPacks(repository, { owner: OWNER, engines, choice: { kind: 'all' }, dryRun: false, ...changes }, context);
}

export function runRepairSnapshots(repository: OpenRepository, changes: Partial<RepairSnapshotsOptions> = {}, context: JobContext = {}): Promise<RepairReport> {
  return repairSnapshots(repository, { owner: OWNER, forget: false, dryRun: false, ...changes }, context);
}

export function verifyData(repository: OpenRepository, readData = true): Promise<VerifyReport> {
  return verify(repository, { engines, owner: OWNER, readData });
}

/** Collects the steps of a repair. */
export function recordSteps(): { readonly steps: RepairStep[]; readonly context: JobContext } {
  const steps: RepairStep[] = [];
  return { steps, context: { onEvent: event => { if (event.type === 'repair-step') steps.push(event.step); } } };
}

export function damages({ findings }: { readonly findings: readonly Finding[] }): Finding[] {
  return findings.filter(({ severity }) => severity === 'damage');
}

export function namesBelow(backend: MemoryBackend, prefix: string): string[] {
  return [...backend.snapshotState().keys()].filter(name => name.startsWith(prefix)).sort();
}

/** Puts other bytes in the place of an object, as nobody but a failing storage does. */
export async function overwrite(backend: MemoryBackend, name: string, change: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>): Promise<void> {
  const bytes = change(await backend.read(name));
  await backend.remove(name);
  await backend.create(name, [bytes]);
}

/** Changes one bit; without a place that in the middle. */
export function flipped(at?: number): (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer> {
  return bytes => {
    bytes[at ?? bytes.length >> 1]! ^= 0x10;
    return bytes;
  };
}
