/**
 * Which packs a prune keeps, drops and rewrites: a pure decision (repository design, section 7, "Frames and packs"). Packs that
 * nothing needs are dropped. Of the others the most wasteful are rewritten until the waste of the repository is within the limit,
 * then small ones if enough of them can be merged, then those under old keys.
 */
import type { PackNumber } from '../../cache/cache.ts';
import type { PackId } from '../../format/ids.ts';
import type { PackType } from '../../format/object-names.ts';

export interface PruneLimits {
  /** Share of the stored bytes, 0 to 1, that may stay unused; default 0.05. */
  readonly maxUnusedShare?: number | undefined;
  /** The same in bytes; the smaller of both counts. Alone, no share counts. */
  readonly maxUnusedBytes?: number | undefined;
  /** Stored bytes of packs that are rewritten at most. */
  readonly maxRepackBytes?: number | undefined;
  /** Packs of epochs older than the current one are rewritten, up to so many stored bytes (after a rotation of the keys). */
  readonly resealBytes?: number | undefined;
  /** Small packs are merged when at least ten of them can be. */
  readonly repackSmall: boolean;
}

export const DEFAULT_UNUSED_SHARE = 0.05;
/** Fewer small packs than this are left alone. */
export const LEAST_MERGED = 10;
/** Packs of one plan, whose document has 16 bytes for each; the next prune takes the others. */
const MAX_CONDEMNED = 2 ** 20;

/** What the plan must know of a pack. */
export interface PackUsage {
  readonly id: PackId;
  /** 0 for a pack that no segment lists. */
  readonly number: PackNumber;
  readonly type: PackType;
  readonly epoch: number;
  readonly sizeBytes: number;
  readonly liveChunks: number;
  /** Stored bytes of what is not needed in it; need not be whole. */
  readonly wasteBytes: number;
  /** It stays, whatever is in it: of a session that is alive, or damaged. */
  readonly isHeld: boolean;
}

export type RewriteReason = 'unused' | 'small' | 'old keys';

export interface PrunePlan {
  readonly drop: readonly PackUsage[];
  /** By pack ID: the order of the work. */
  readonly rewrite: readonly { readonly pack: PackUsage; readonly reason: RewriteReason }[];
  readonly keptPacks: number;
  readonly keptBytes: number;
  /** Of kept packs; what is in held packs does not count, since sessions may still need it. */
  readonly wasteBytesLeft: number;
}

export interface PlanOptions extends PruneLimits {
  readonly currentEpoch: number;
  /** Stored bytes at which packs are full. */
  readonly targetBytes: Readonly<Record<PackType, number>>;
}

/** Reads the packs once and keeps only those that may be chosen. */
export function planPrune(packs: Iterable<PackUsage>, options: PlanOptions): PrunePlan {
  const drop: PackUsage[] = [];
  const candidates: PackUsage[] = [];
  let keptPacks = 0;
  let keptBytes = 0;
  let wasteBytes = 0;
  for (const pack of packs) {
    if (!pack.isHeld && pack.liveChunks === 0 && drop.length < MAX_CONDEMNED) {
      drop.push(pack);
      continue;
    }
    keptPacks++;
    keptBytes += pack.sizeBytes;
    if (pack.isHeld) continue;
    wasteBytes += pack.wasteBytes;
    if (pack.liveChunks === 0) continue;
    if (pack.wasteBytes > 0 || isSmall(pack, options) || pack.epoch < options.currentEpoch) candidates.push(pack);
  }
  const choice = new Choice(candidates, options, MAX_CONDEMNED - drop.length, wasteBytes, keptBytes);
  choice.takeWasteful();
  choice.takeSmall();
  choice.takeOldKeys();
  const rewrite = [...choice.taken].map(([pack, reason]) => ({ pack, reason })).sort((a, b) => (a.pack.id < b.pack.id ? -1 : 1));
  return {
    drop: drop.sort((a, b) => (a.id < b.id ? -1 : 1)), rewrite, keptPacks: keptPacks - rewrite.length,
    keptBytes: keptBytes - rewrite.reduce((sum, { pack }) => sum + pack.sizeBytes, 0), wasteBytesLeft: choice.wasteBytes,
  };
}

function isSmall({ type, sizeBytes }: PackUsage, { repackSmall, targetBytes }: PlanOptions): boolean {
  return repackSmall && sizeBytes < targetBytes[type] / 2;
}

class Choice {
  readonly taken = new Map<PackUsage, RewriteReason>();
  /** What would be left of the packs that are not dropped, in all. */
  wasteBytes: number;
  #leftBytes: number;
  readonly #candidates: readonly PackUsage[];
  readonly #options: PlanOptions;
  #repackBytes: number;
  #room: number;

  constructor(candidates: readonly PackUsage[], options: PlanOptions, room: number, wasteBytes: number, leftBytes: number) {
    this.#candidates = candidates;
    this.#options = options;
    this.#room = room;
    this.wasteBytes = wasteBytes;
    this.#leftBytes = leftBytes;
    this.#repackBytes = options.maxRepackBytes ?? Number.POSITIVE_INFINITY;
  }

  /** Those first that give most for the bytes that must be stored again. */
  takeWasteful(): void {
    const share = ({ wasteBytes, sizeBytes }: PackUsage): number => wasteBytes / sizeBytes;
    const wasteful = this.#candidates.filter(({ wasteBytes }) => wasteBytes > 0).sort((a, b) => share(b) - share(a) || (a.id < b.id ? -1 : 1));
    for (const pack of wasteful) {
      if (this.wasteBytes <= this.#limit()) return;
      if (pack.sizeBytes <= this.#repackBytes) this.#repackBytes -= this.#take(pack, 'unused');
    }
  }

  takeSmall(): void {
    for (const type of ['data', 'tree'] as const) {
      const small = this.#candidates.filter(pack => pack.type === type && !this.taken.has(pack) && isSmall(pack, this.#options));
      const merged: PackUsage[] = [];
      let bytes = 0;
      for (const pack of small.sort((a, b) => a.sizeBytes - b.sizeBytes || (a.id < b.id ? -1 : 1))) {
        if (bytes + pack.sizeBytes > this.#repackBytes || merged.length >= this.#room) break;
        merged.push(pack);
        bytes += pack.sizeBytes;
      }
      if (merged.length >= LEAST_MERGED) for (const pack of merged) this.#repackBytes -= this.#take(pack, 'small');
    }
  }

  takeOldKeys(): void {
    const { currentEpoch, resealBytes = 0 } = this.#options;
    const old = this.#candidates.filter(pack => pack.epoch < currentEpoch && !this.taken.has(pack)).sort((a, b) => a.epoch - b.epoch || (a.id < b.id ? -1 : 1));
    let left = resealBytes;
    for (const pack of old) if (pack.sizeBytes <= left) left -= this.#take(pack, 'old keys');
  }

  /** Waste that may stay. */
  #limit(): number {
    const { maxUnusedBytes, maxUnusedShare = maxUnusedBytes === undefined ? DEFAULT_UNUSED_SHARE : 1 } = this.#options;
    return Math.min(maxUnusedShare * this.#leftBytes, maxUnusedBytes ?? Number.POSITIVE_INFINITY);
  }

  /** The bytes of the pack; 0 when the plan is full. */
  #take(pack: PackUsage, reason: RewriteReason): number {
    if (this.#room === 0) return 0;
    this.#room--;
    this.taken.set(pack, reason);
    this.wasteBytes = Math.max(0, this.wasteBytes - pack.wasteBytes);
    this.#leftBytes -= pack.wasteBytes;
    return pack.sizeBytes;
  }
}
