/** What the steps of one prune share: options, findings, what they counted, and the time by the clock of the storage. */
import type { CallOptions } from '../../base/call-options.ts';
import { hasCode, SnapError } from '../../base/errors.ts';
import type { PackNumber } from '../../cache/cache.ts';
import type { PackId, SessionId, SnapshotId } from '../../format/ids.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { probeBackend } from '../../repository/probe.ts';
import type { SessionOwner } from '../../repository/registration.ts';
import { isolated, newCounters, type Counters, type JobContext, type SnapEvent } from '../events.ts';
import { FindingList } from '../findings.ts';
import type { PruneLimits } from './prune-plan.ts';
import type { PruneReport } from '../reports.ts';

export interface PruneOptions {
  readonly owner: SessionOwner;
  readonly limits: PruneLimits;
  /** Nothing is changed; bytes and packs are those of a real run at this moment. */
  readonly dryRun: boolean;
  /** Packs are deleted so long after their plan became visible, by the clock of the storage; 0: at once. */
  readonly graceMs: number;
  /** How long to wait for sessions that are alive, and for the grace period; default 0. */
  readonly waitMs?: number | undefined;
  /** Dry run of a forget: these are taken as forgotten already. */
  readonly without?: ReadonlySet<SnapshotId> | undefined;
  /** Whether a process of this host is alive; without it only the storage time tells that a session is dead. */
  readonly isProcessAlive?: ((processId: number) => boolean) | undefined;
}

/** A time of the storage that is older than this is asked for again. */
const TIME_KEPT_MS = 30_000;

interface Counted {
  packs: number;
  bytes: number;
}

export class PruneRun {
  readonly repository: OpenRepository;
  readonly options: PruneOptions;
  readonly call: CallOptions;
  readonly counters: Counters;
  readonly findings: FindingList;
  readonly emit: (event: SnapEvent) => void;
  /** Packs that this run wrote. */
  readonly fresh = new Set<PackNumber>();
  /** Packs that a dry run takes for deleted. */
  readonly gone = new Set<PackId>();
  // What is told in the end. Packs of this run that are condemned but not deleted yet are counted like deleted ones.
  total: Counted | undefined;
  readonly dropped: Counted = { packs: 0, bytes: 0 };
  readonly rewritten: Counted = { packs: 0, bytes: 0 };
  readonly written: Counted = { packs: 0, bytes: 0 };
  planNumber: number | undefined;
  packsKept = 0;
  packsRescued = 0;
  unusedBytesLeft = 0;
  readonly revoked = new Set<SessionId>();
  segmentsMerged = 0;
  pendingReason: string | undefined;
  /** A sweep of this run may be stored, or on its way: it counts, and nothing else may be written in its place. */
  mayHaveSwept = false;
  /** Something that should be gone could not be removed. */
  isPartial = false;
  readonly #warned = new Set<string>();
  readonly #started: number;
  #storageTime: { readonly time: number; readonly takenAt: number } | undefined;

  constructor(repository: OpenRepository, options: PruneOptions, context: JobContext) {
    this.repository = repository;
    this.options = options;
    this.call = { signal: context.signal };
    this.counters = context.counters ?? newCounters();
    this.emit = isolated(context.onEvent);
    this.findings = new FindingList(finding => { this.emit({ type: 'damage-found', finding }); });
    this.#started = repository.clock.monotonic();
    this.emit({ type: 'run-started', job: 'prune', at: repository.clock.now() });
  }

  /**
   * P0: whether the storage keeps its promises, before anything relies on them. A store that has become stronger is no danger to
   * the protocol for weaker ones. @throws UNSUPPORTED_STORE, DENIED
   */
  async probe(): Promise<void> {
    const { backend, random, config, clock } = this.repository;
    const { createIfAbsent, storageTime } = await probeBackend(backend, random, this.call).catch((error: unknown) => {
      if (!hasCode(error, 'DENIED')) throw error;
      throw new SnapError('DENIED', `The storage at '${backend.location}' does not let this run write and delete, so it cannot prune`, {
        hint: 'Use credentials that may delete', cause: error,
      });
    });
    if (config.storeMode === 'create-only' && createIfAbsent === 'none') {
      throw new SnapError('UNSUPPORTED_STORE', `The storage at '${backend.location}' does not decide races between writes any more, as it did when the repository was made`, {
        hint: 'Nothing was removed. Bring the repository back to a storage with create-only writes before you prune it',
      });
    }
    this.#storageTime = { time: storageTime, takenAt: clock.monotonic() };
  }

  /** Milliseconds since 1970 by the clock of the storage, up to half a minute old; in a dry run by that of this host. */
  async storageTime(isFresh = false): Promise<number> {
    const { clock } = this.repository;
    if (this.options.dryRun) return clock.now();
    const known = this.#storageTime;
    if (isFresh || known === undefined || clock.monotonic() - known.takenAt > TIME_KEPT_MS) await this.probe();
    return this.#storageTime!.time;
  }

  /** How long this run may still wait. */
  get patienceMs(): number {
    return Math.max(0, (this.options.waitMs ?? 0) - (this.repository.clock.monotonic() - this.#started));
  }

  /** On stores whose listings may be a little old (repository design, section 10.2). */
  async settle(): Promise<void> {
    const { clock, config } = this.repository;
    if (config.stalenessMs > 0 && !this.options.dryRun) await clock.sleep(config.stalenessMs, this.call.signal);
  }

  /** However often this run comes upon it. */
  warnOnce(object: string, name: string, message: string): void {
    if (this.#warned.has(`${name} ${message}`)) return;
    this.#warned.add(`${name} ${message}`);
    this.findings.warn(object, name, message);
  }

  countPack(as: 'dropped' | 'rewritten', sizeBytes: number): void {
    this[as].packs++;
    this[as].bytes += sizeBytes;
  }

  report(): PruneReport {
    const { total = { packs: 0, bytes: 0 }, dropped, rewritten, written, pendingReason } = this;
    return {
      job: 'prune', status: this.isPartial ? 'partial' : 'complete', dryRun: this.options.dryRun, planNumber: this.planNumber,
      packsTotal: total.packs, bytesTotal: total.bytes, packsDropped: dropped.packs, bytesDropped: dropped.bytes,
      packsRewritten: rewritten.packs, bytesRewritten: rewritten.bytes, bytesWritten: written.bytes, packsKept: this.packsKept,
      packsRescued: this.packsRescued, bytesFreed: dropped.bytes + rewritten.bytes - written.bytes, unusedBytesLeft: Math.round(this.unusedBytesLeft),
      sessionsRevoked: this.revoked.size, segmentsMerged: this.segmentsMerged, isPending: pendingReason !== undefined, pendingReason,
      durationMs: this.repository.clock.monotonic() - this.#started, findings: this.findings.list,
    };
  }
}
