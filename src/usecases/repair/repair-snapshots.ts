/**
 * Makes new snapshots of damaged ones, without what is gone: files keep what is left of them and say exactly which ranges are zeros
 * now, folders keep the entries that can still be read, and both are flagged. The damaged snapshot stays as it is, unless it is to be
 * forgotten; a record is never changed (repository design, section 16.3).
 */
import { equalBytes } from '../../base/bytes.ts';
import type { CallOptions } from '../../base/call-options.ts';
import { SnapError } from '../../base/errors.ts';
import type { PackNumber } from '../../cache/cache.ts';
import type { ChunkId, SnapshotId } from '../../format/ids.ts';
import { snapshotName } from '../../format/object-names.ts';
import { encodeSnapshot, type Component, type Snapshot } from '../../format/snapshot.ts';
import type { TreeNode } from '../../format/tree-node.ts';
import { isDamage } from '../../repository/damage.ts';
import { forgetSnapshot } from '../../repository/forget.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { PackReader } from '../../repository/pack-reader.ts';
import { isValidNow, loadSnapshots, type SnapshotListing, type SnapshotRecord, type UnreadableSnapshot } from '../../repository/snapshots.ts';
import { TreeReader } from '../../repository/tree-reader.ts';
import { WritingSession } from '../../repository/writing-session.ts';
import type { JobContext } from '../events.ts';
import { LossList } from './loss-list.ts';
import { pathNames, pathOfNames } from '../path-bytes.ts';
import { changedMeanwhile, checkMayRepair, RepairTally, type RepairOptions } from './repair-run.ts';
import type { RepairReport } from '../reports.ts';
import { TreeMend, type MendRun } from './tree-mend.ts';

export interface RepairSnapshotsOptions extends RepairOptions {
  /** Only these; of a record that cannot be read the full ID. Default: all that can be read. */
  readonly snapshots?: ReadonlySet<SnapshotId> | undefined;
  /** Forgets what was repaired, and named records that cannot be read. */
  readonly forget: boolean;
}

/** Tag of the new snapshots. */
export const REPAIRED_TAG = 'repaired';

const COMPRESSION_LEVEL = 3;

/**
 * What is lost is in the report.
 * @throws DENIED, PRUNE_UNFINISHED, UNSUPPORTED_FORMAT, SNAPSHOT_NOT_FOUND before anything is written; OBJECT_CONFLICT, SESSION_REVOKED;
 * OBJECT_CORRUPT for a damaged index; every error that is no damage
 */
export async function repairSnapshots(repository: OpenRepository, options: RepairSnapshotsOptions, context: JobContext = {}): Promise<RepairReport> {
  const tally = new RepairTally('snapshots', options.dryRun, repository.clock, context);
  const call: CallOptions = { signal: context.signal };
  await checkMayRepair(repository, call);
  await new SnapshotRepair(repository, options, tally, call).run();
  return tally.report();
}

interface DamagedSnapshot {
  readonly record: SnapshotRecord;
  /** What is wrong, in words. */
  readonly message: string;
}

class SnapshotRepair {
  readonly #repository: OpenRepository;
  readonly #options: RepairSnapshotsOptions;
  readonly #tally: RepairTally;
  readonly #call: CallOptions;
  readonly #mend: TreeMend;
  readonly #losses = new LossList();

  constructor(repository: OpenRepository, options: RepairSnapshotsOptions, tally: RepairTally, call: CallOptions) {
    this.#repository = repository;
    this.#options = options;
    this.#tally = tally;
    this.#call = call;
    const { cache: { chunks }, keys } = repository;
    const trees = new TreeReader(repository, new PackReader(repository));
    this.#mend = new TreeMend({
      ...call, index: chunks, auxiliaryHasher: keys.auxiliaryHasher,
      source: {
        hasChunk: (id, length) => chunks.findAll(id).some(location => location.length === length && chunks.pack(location.pack)?.type === 'data'),
        node: id => readNode(trees, id, call),
      },
    });
  }

  async run(): Promise<void> {
    const { counters } = this.#tally;
    counters.phase = 'scanning';
    const listing = await loadSnapshots(this.#repository, this.#call);
    const { chosen, unreadable } = this.#choose(listing);
    counters.phase = 'checking';
    counters.totalEntries = chosen.length;
    const damaged = await this.#withSession(() => this.#find(chosen));
    this.#losses.tell(this.#tally);
    counters.phase = 'writing';
    for (const { record, message } of damaged) await this.#withSession(session => this.#repair(session, record, message, listing));
    for (const each of unreadable) await this.#handleRecord(each);
    if (damaged.length > 0 && !this.#options.forget) this.#tally.next('The damaged snapshots are still there; with --forget they are forgotten when they are repaired');
    if (!this.#losses.isEmpty) this.#tally.next('What is marked as damaged is read again by the next backup; `snap ls` and `snap restore` name it');
  }

  #choose({ snapshots, unreadable }: SnapshotListing): { readonly chosen: readonly SnapshotRecord[]; readonly unreadable: readonly UnreadableSnapshot[] } {
    const names = this.#options.snapshots;
    const isMeant = ({ id }: { readonly id: SnapshotId }): boolean => names === undefined || names.has(id);
    const chosen = snapshots.filter(isMeant);
    const records = unreadable.filter(isMeant);
    const newer = records.find(({ error }) => error.kind === 'unsupported');
    if (newer !== undefined) throw newer.error;
    for (const id of names ?? []) {
      if ([...chosen, ...records].some(each => each.id === id)) continue;
      throw new SnapError('SNAPSHOT_NOT_FOUND', `There is no snapshot '${id}'`, { hint: '`snap snapshots` lists what there is' });
    }
    return { chosen, unreadable: records };
  }

  /** A writer for each snapshot, since a session commits one; the first one only looks. */
  async #withSession<T>(work: (session: WritingSession) => Promise<T>): Promise<T> {
    const { owner, dryRun } = this.#options;
    const session = await WritingSession.begin(this.#repository, { ...this.#call, owner, compressionLevel: COMPRESSION_LEVEL, discard: dryRun, renews: false });
    try {
      await checkMayRepair(this.#repository, this.#call);
      return await work(session);
    } finally {
      await session.end();
    }
  }

  async #find(records: readonly SnapshotRecord[]): Promise<DamagedSnapshot[]> {
    const damaged: DamagedSnapshot[] = [];
    for (const record of records) {
      const before = this.#losses.entries;
      await this.#mended(record.snapshot.components, { onLoss: loss => { this.#losses.add(record.id, loss); } });
      this.#tally.counters.entriesDone++;
      const hits = this.#losses.entries - before;
      if (hits > 0) damaged.push({ record, message: `${hits} of its entries ${hits === 1 ? 'is' : 'are'} damaged` });
    }
    return damaged;
  }

  async #mended(components: readonly Component[], run: MendRun): Promise<Component[]> {
    const mended: Component[] = [];
    for (const component of components) {
      const root = await this.#mend.mend(component.root, pathOfNames(pathNames(component.sourcePath)), run);
      mended.push(root === component.root ? component : { ...component, root });
    }
    return mended;
  }

  async #repair(session: WritingSession, { id, snapshot }: SnapshotRecord, message: string, listing: SnapshotListing): Promise<void> {
    const name = snapshotName(id);
    this.#tally.found('snapshot', name, message);
    const packs = new Set<PackNumber>();
    const components = await this.#mended(snapshot.components, { onLoss: () => undefined, sink: session.trees.sink(packs) });
    const originalId = snapshot.originalId ?? id;
    const earlier = listing.snapshots.find(each => each.id !== id && each.snapshot.originalId === originalId && hasComponents(each.snapshot, components));
    let newId = earlier?.id;
    if (earlier === undefined) {
      this.#tally.step('store', 'snapshot', name, `as a new one, with the tag '${REPAIRED_TAG}', that says what is damaged`);
      session.reference(packs);
      newId = await this.#commit(session, { ...snapshot, originalId, components, tags: [...new Set([...snapshot.tags, REPAIRED_TAG])] }, id);
    }
    if (!this.#options.forget) return;
    this.#tally.step('forget', 'snapshot', name, newId === undefined ? 'it will be repaired' : `it was repaired as '${newId}'`);
    this.#tally.counts.snapshotsForgotten++;
    if (newId !== undefined && !this.#options.dryRun) await forgetSnapshot(this.#repository, id, `repaired as ${newId}`, this.#call);
  }

  /** Undefined in a dry run. What was committed is read back, down to the last node that was built. */
  async #commit(session: WritingSession, repaired: Snapshot, original: SnapshotId): Promise<SnapshotId | undefined> {
    this.#tally.counts.snapshotsRepaired++;
    if (this.#options.dryRun) return undefined;
    if (!await isValidNow(this.#repository, original, this.#call)) {
      throw new SnapError('SNAPSHOT_NOT_FOUND', `Snapshot '${original}' was forgotten in the meantime`, { hint: 'Run the command again' });
    }
    const committed = await session.commit(({ id, gcNumber }) => ({ ...repaired, id, gcNumber }));
    if (committed === undefined) throw new SnapError('SESSION_REVOKED', 'A prune revoked the session', { hint: 'Run the command again' });
    if (!await this.#isWhole(repaired.components) || !await isValidNow(this.#repository, committed.id, this.#call)) {
      throw new SnapError('OBJECT_CORRUPT', `The repaired snapshot '${committed.id}' does not come back as it was written`, {
        hint: 'Nothing was forgotten. Run the command again',
      });
    }
    this.#tally.snapshotCreated(committed.id);
    return committed.id;
  }

  async #isWhole(components: readonly Component[]): Promise<boolean> {
    let isWhole = true;
    await this.#mended(components, { onLoss: () => { isWhole = false; } });
    return isWhole;
  }

  /** Nobody knows what a damaged record says, so it goes only when somebody names it. */
  async #handleRecord({ id, error }: UnreadableSnapshot): Promise<void> {
    const name = snapshotName(id);
    this.#tally.countDamaged(name);
    if (this.#options.snapshots?.has(id) === true && this.#options.forget) {
      this.#tally.lost({ object: 'snapshot', name, message: `The record cannot be read and is forgotten: ${error.message}`, files: [] });
      this.#tally.step('forget', 'snapshot', name, 'its record cannot be read');
      this.#tally.counts.snapshotsForgotten++;
      if (!this.#options.dryRun) await forgetSnapshot(this.#repository, id, 'its record could not be read', this.#call);
      return;
    }
    this.#tally.lost({ object: 'snapshot', name, message: `The record cannot be read, and nothing can repair it: ${error.message}`, files: [] });
    this.#tally.next(`If no copy of the repository has the object '${name}', \`snap repair snapshots ${id} --forget\` gives the snapshot up`);
  }
}

function hasComponents(snapshot: Snapshot, components: readonly Component[]): boolean {
  return equalBytes(encodeSnapshot(snapshot), encodeSnapshot({ ...snapshot, components }));
}

/** A pack that vanishes is no damage: somebody else moves what it holds. */
async function readNode(trees: TreeReader, id: ChunkId, call: CallOptions): Promise<TreeNode> {
  try {
    return await trees.node(id, call);
  } catch (error) {
    if (!isDamage(error) || error.code !== 'OBJECT_NOT_FOUND') throw error;
    throw changedMeanwhile(`Packs vanish while they are looked at: ${error.message}`, error);
  }
}
