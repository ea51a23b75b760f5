/** Losses by what is lost: a file that many snapshots share is told once, with all of them. */
import { toHex, type Bytes } from '../../base/bytes.ts';
import type { ByteSpan } from '../../format/entry.ts';
import type { SnapshotId } from '../../format/ids.ts';
import type { Finding } from '../events.ts';
import { nameKey } from '../path-bytes.ts';
import type { RepairTally } from './repair-run.ts';
import type { TreeLoss } from './tree-mend.ts';

/** Losses that are kept, snapshots of each, and ranges of each file. */
const KEPT = 1_000;
const KEPT_SNAPSHOTS = 200;
const KEPT_RANGES = 1_000;

interface Group {
  readonly loss: TreeLoss;
  readonly ranges: readonly ByteSpan[];
  readonly snapshots: SnapshotId[];
  snapshotCount: number;
}

export class LossList {
  readonly #groups = new Map<string, Group>();
  #unlisted = 0;
  /** Entries of all snapshots. */
  entries = 0;

  add(snapshotId: SnapshotId, loss: TreeLoss): void {
    this.entries++;
    const ranges = loss.ranges?.spans() ?? [];
    const key = [loss.object, nameKey(loss.path), toHex(loss.chunk), ranges.length, ranges.at(-1)?.offset ?? 0].join('|');
    const known = this.#groups.get(key);
    if (known === undefined && this.#groups.size >= KEPT) this.#unlisted++;
    else if (known === undefined) this.#groups.set(key, { loss, ranges, snapshots: [snapshotId], snapshotCount: 1 });
    else {
      known.snapshotCount++;
      if (known.snapshots.length < KEPT_SNAPSHOTS) known.snapshots.push(snapshotId);
    }
  }

  get isEmpty(): boolean {
    return this.entries === 0;
  }

  tell(tally: RepairTally): void {
    for (const group of this.#groups.values()) tally.lost(toFinding(group));
    if (this.#unlisted > 0) tally.lost({ object: 'file', name: 'more', message: `${this.#unlisted} more losses are not listed`, files: [] });
  }
}

function toFinding({ loss: { object, path, chunk, reason }, ranges, snapshots, snapshotCount }: Group): Omit<Finding, 'severity'> {
  const id = toHex(chunk);
  const name = object === 'directory' ? 'tree' : 'chunk';
  const shown = ranges.slice(0, KEPT_RANGES).map(({ offset, length }) => [offset, length] as const);
  const hit = (snapshotId: SnapshotId): { snapshotId: string; path: Bytes; ranges?: typeof shown } => ({ snapshotId, path, ...object === 'file' ? { ranges: shown } : {} });
  const where = object === 'file' ? `${rangesText(ranges)} of a file are gone: ${reason}` : reason;
  const more = snapshotCount > snapshots.length ? ` (in ${snapshotCount} snapshots)` : '';
  return { object: name, name: id, message: where + more, files: snapshots.map(hit), chunks: [id] };
}

/** `Bytes 0 to 4095 and 2 more ranges`. */
function rangesText([first, ...others]: readonly ByteSpan[]): string {
  const more = others.length === 0 ? '' : ` and ${others.length} more ${others.length === 1 ? 'range' : 'ranges'}`;
  return `Bytes ${first?.offset ?? 0} to ${(first?.offset ?? 0) + (first?.length ?? 1) - 1}${more}`;
}
