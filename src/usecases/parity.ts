/**
 * Parity for the packs of a repository: made pack by pack after every byte of the pack was found right, and removed again. Needs no
 * session: nothing refers to parity, and a pack that a prune takes away meanwhile takes its parity with it. An interrupted run goes
 * on where it was, since a pack that has enough parity is passed over.
 */
import type { CallOptions } from '../base/call-options.ts';
import { mapBounded } from '../base/concurrency.ts';
import { hasCode, SnapError } from '../base/errors.ts';
import { MiB } from '../base/units.ts';
import { corrupt } from '../format/decode-error.ts';
import type { PackId } from '../format/ids.ts';
import { MAX_PACK_BYTES } from '../format/limits.ts';
import { packName, parityName, parseObjectName, PREFIXES } from '../format/object-names.ts';
import { parityObjectBytes, planParity } from '../format/parity.ts';
import { exists } from '../repository/commit.ts';
import type { OpenRepository } from '../repository/opened-repository.ts';
import { findParityFault, makeParity, restorePack, type PackName, type Restored } from '../repository/pack-parity.ts';
import { findPackFault } from '../repository/pack-verification.ts';
import { listPacks, type ListedPack } from '../repository/session-view.ts';
import { isolated, newCounters, type Counters, type JobContext } from './events.ts';
import { FindingList } from './findings.ts';
import type { ParityReport } from './reports.ts';

export interface ParityOptions {
  /** Of the size of a pack, 0.01 to 0.5; at least one block. */
  readonly share: number;
  /** No pack is read and nothing is stored; the figures are those of a run that finds no damage. */
  readonly dryRun: boolean;
  /** Reads the parity that is there as well, and makes it anew where it is damaged. */
  readonly verify: boolean;
  /** Only these; default all packs, and then parity without a pack is removed. */
  readonly packs?: ReadonlySet<PackId> | undefined;
}

/** Packs are whole in memory: two at a time, so that one is read while the other is worked on, unless they are very large. */
const PARALLEL_PACKS = 2;
const MAX_PARALLEL_PACK_BYTES = 32 * MiB;

interface ParityRun {
  readonly repository: OpenRepository;
  readonly options: ParityOptions;
  readonly call: CallOptions;
  readonly counters: Counters;
  readonly findings: FindingList;
  /** Stored bytes of the parity of each pack. */
  readonly stored: Map<PackId, number>;
  readonly tally: Tally;
}

interface Tally {
  packsProtected: number;
  packsAdded: number;
  packsDamaged: number;
  bytesRead: number;
  bytesAdded: number;
  objectsRemoved: number;
  bytesRemoved: number;
}

/** Damaged packs are in the report, and get no parity. @throws every repository error: what was made until then stays */
export async function addParity(repository: OpenRepository, options: ParityOptions, context: JobContext = {}): Promise<ParityReport> {
  const started = repository.clock.monotonic();
  const run = await begin(repository, options, context);
  const { counters, call } = run;
  // After the parity: a pack is stored before its parity is, so parity without a listed pack has lost it.
  const listed = await listPacks(repository.backend, call);
  await repository.keys.refresh(repository.backend, call);
  const packs = listed.filter(({ id }) => options.packs === undefined || options.packs.has(id)).sort(treesFirst);
  if (options.packs === undefined) await removeOrphans(run, new Set(listed.map(({ id }) => id)));
  counters.phase = 'reading';
  const waiting = packs.filter(pack => options.verify || !hasEnough(run, pack));
  run.tally.packsProtected = packs.length - waiting.length;
  counters.totalBytes = sumOf(waiting);
  const largest = waiting.reduce((most, { sizeBytes }) => Math.max(most, sizeBytes), 0);
  await mapBounded(waiting, largest > MAX_PARALLEL_PACK_BYTES ? 1 : PARALLEL_PACKS, async pack => {
    await protect(run, pack);
    counters.bytesDone += pack.sizeBytes;
  });
  return makeReport(run, packs, false, started);
}

/** Removes all parity. @throws every repository error */
export async function removeParity(repository: OpenRepository, { dryRun }: Pick<ParityOptions, 'dryRun'>, context: JobContext = {}): Promise<ParityReport> {
  const started = repository.clock.monotonic();
  const run = await begin(repository, { share: 0, dryRun, verify: false }, context);
  await removeOrphans(run, new Set());
  return makeReport(run, await listPacks(repository.backend, run.call), true, started);
}

/** The bytes of a damaged pack, verified as a whole; undefined when its parity cannot give them. Stores nothing. @throws as `restorePack` */
export async function restoreFromParity(repository: OpenRepository, pack: PackName, options: CallOptions = {}): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const restored: Restored = await restorePack(repository, pack, options);
  return restored.bytes;
}

async function begin(repository: OpenRepository, options: ParityOptions, context: JobContext): Promise<ParityRun> {
  const emit = isolated(context.onEvent);
  emit({ type: 'run-started', job: 'parity', at: repository.clock.now() });
  const call: CallOptions = { signal: context.signal };
  const counters = context.counters ?? newCounters();
  counters.phase = 'scanning';
  const stored = new Map<PackId, number>();
  for await (const { name, sizeBytes } of repository.backend.list(PREFIXES.parity, call)) {
    const ref = parseObjectName(name);
    if (ref?.kind === 'parity') stored.set(ref.id, sizeBytes);
  }
  const tally: Tally = { packsProtected: 0, packsAdded: 0, packsDamaged: 0, bytesRead: 0, bytesAdded: 0, objectsRemoved: 0, bytesRemoved: 0 };
  return { repository, options, call, counters, findings: new FindingList(finding => { emit({ type: 'damage-found', finding }); }), stored, tally };
}

/** Trees are little and needed by every restore. */
function treesFirst(a: ListedPack, b: ListedPack): number {
  if (a.type !== b.type) return a.type === 'tree' ? -1 : 1;
  return a.id < b.id ? -1 : 1;
}

function sumOf(packs: readonly ListedPack[]): number {
  return packs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

/** By the sizes alone: with 100,000 packs a look at each parity would take longer than everything else. */
function hasEnough({ options, stored }: ParityRun, { id, sizeBytes }: ListedPack): boolean {
  const there = stored.get(id);
  return there !== undefined && isPackSize(sizeBytes) && there >= parityObjectBytes(planParity(sizeBytes, options.share), sizeBytes);
}

function isPackSize(sizeBytes: number): boolean {
  return sizeBytes > 0 && sizeBytes <= MAX_PACK_BYTES;
}

async function protect(run: ParityRun, pack: ListedPack): Promise<void> {
  const { repository, options, tally, findings, call } = run;
  if (!isPackSize(pack.sizeBytes)) return skip(run, pack, corrupt('pack', `it has ${pack.sizeBytes} bytes`, {}, 'PACK_CORRUPT'));
  try {
    const parityFault = options.verify && hasEnough(run, pack) ? await findParityFault(repository, pack, pack.sizeBytes, call) : 'too little';
    if (parityFault === undefined) {
      tally.packsProtected++;
      return;
    }
    if (options.dryRun) {
      await remove(run, pack.id);
      return countAdded(run, parityObjectBytes(planParity(pack.sizeBytes, options.share), pack.sizeBytes));
    }
    const bytes = await repository.backend.read(packName(pack.type, pack.id), undefined, call);
    tally.bytesRead += bytes.length;
    const fault = findPackFault(repository, pack, bytes);
    if (fault !== undefined) return skip(run, pack, fault);
    if (hasEnough(run, pack)) findings.warn('parity', parityName(pack.id), `The parity was damaged and was made anew: ${parityFault}`);
    await store(run, pack, makeParity(repository, pack, bytes, options.share));
  } catch (error) {
    if (!hasCode(error, 'OBJECT_NOT_FOUND')) throw error;
    await remove(run, pack.id); // a prune deleted the pack
  }
}

/** What is damaged is not protected: parity would only preserve the damage. */
function skip({ findings, tally }: ParityRun, pack: ListedPack, fault: SnapError): void {
  const name = packName(pack.type, pack.id);
  if (fault.kind === 'unsupported') return findings.addUnsupported({ object: 'pack', name, message: fault.message, files: [] });
  tally.packsDamaged++;
  findings.damage('pack', name, `The pack is damaged and was not protected: ${fault.message}`);
}

/**
 * Parity with too few blocks, or damaged, makes room first: the one case in which a name is used again. Nothing refers to it, and
 * each parity says itself what it belongs to.
 */
async function store(run: ParityRun, pack: ListedPack, bytes: Uint8Array): Promise<void> {
  const { repository: { backend }, stored, call } = run;
  if (stored.has(pack.id) && !await remove(run, pack.id)) return;
  const outcome = await createParity(run, parityName(pack.id), bytes);
  stored.set(pack.id, bytes.length);
  // A prune removes the pack before its parity: whoever comes second sees what the other one did.
  if (!await exists(backend, packName(pack.type, pack.id), call)) await remove(run, pack.id);
  else if (outcome === 'created') countAdded(run, bytes.length);
  else run.tally.packsProtected++; // another run was faster
}

async function createParity({ repository: { backend }, call }: ParityRun, name: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
  try {
    return await backend.createIfAbsent(name, bytes, call);
  } catch (error) {
    const isThere = error instanceof SnapError && error.context['effectUnknown'] === 1 && await exists(backend, name, call);
    if (!isThere) throw error;
    return 'created';
  }
}

function countAdded({ tally, counters }: ParityRun, bytes: number): void {
  tally.packsProtected++;
  tally.packsAdded++;
  tally.bytesAdded += bytes;
  counters.bytesAdded += bytes;
}

async function removeOrphans(run: ParityRun, packs: ReadonlySet<PackId>): Promise<void> {
  for (const id of [...run.stored.keys()]) if (!packs.has(id)) await remove(run, id);
}

/** False when the storage does not allow it: then what is there stays. */
async function remove({ repository: { backend }, options, stored, tally, call }: ParityRun, id: PackId): Promise<boolean> {
  const bytes = stored.get(id);
  if (bytes === undefined || !backend.capabilities.canRemove) return false;
  if (!options.dryRun) await backend.remove(parityName(id), call);
  stored.delete(id);
  tally.objectsRemoved++;
  tally.bytesRemoved += bytes;
  return true;
}

function makeReport(run: ParityRun, packs: readonly ListedPack[], isRemoval: boolean, started: number): ParityReport {
  const { repository, options, stored, tally, findings, counters } = run;
  counters.phase = 'finishing';
  let bytesStored = options.dryRun ? tally.bytesAdded : 0;
  for (const bytes of stored.values()) bytesStored += bytes;
  return {
    job: 'parity', status: findings.total > 0 ? 'partial' : 'complete', dryRun: options.dryRun, isRemoval, share: options.share,
    packsTotal: packs.length, bytesTotal: sumOf(packs), ...tally, bytesStored,
    durationMs: repository.clock.monotonic() - started, findings: findings.list,
  };
}
