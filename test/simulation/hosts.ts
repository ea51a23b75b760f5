/** The simulated hosts: what each keeps between its runs. */
import type { Bytes } from '../../src/base/bytes.ts';
import { parseHostId } from '../../src/format/ids.ts';
import type { SessionOwner } from '../../src/repository/registration.ts';
import type { PruneLimits } from '../../src/usecases/prune/prune-plan.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { MemoryTree } from './memory-files.ts';
import { RewindableCache } from './rewindable-cache.ts';

export interface Host {
  readonly name: string;
  readonly owner: Omit<SessionOwner, 'processId'>;
  readonly cache: RewindableCache;
  readonly tree: MemoryTree;
  /** Its clock less true time, ms. */
  offsetMs: number;
  /** Appends only: it cannot remove anything. */
  readonly canRemove: boolean;
  readonly retries: boolean;
  readonly prunes: PruneHabits;
  /** Works in the replica. */
  readonly isAtReplica: boolean;
  /** The same host where it writes what it copies. */
  readonly target: Host | undefined;
}

export interface PruneHabits {
  readonly graceMs: number;
  readonly waitMs: number;
  readonly limits: PruneLimits;
}

export type Habits = Pick<Host, 'canRemove' | 'retries' | 'prunes' | 'offsetMs'>;

export function newHost(name: string, number: number, habits: Habits, now: () => number, place: Partial<Pick<Host, 'isAtReplica' | 'target'>> = {}): Host {
  return {
    name, owner: { host: name, hostId: parseHostId(String(number).padStart(2, '0').repeat(16)), user: 'simulated', program: 'snap simulation' },
    cache: new RewindableCache(), tree: new MemoryTree(now), isAtReplica: false, target: undefined, ...habits, ...place,
  };
}

const BLOCKS = 24;
const blocks: readonly Bytes[] = Array.from({ length: BLOCKS }, (_, i) => new SeededRandom(i + 1).bytes(1000 + 700 * i));

/** All hosts draw on the same few blocks, so that what one stores others find. */
export function changeFiles(tree: MemoryTree, random: SeededRandom): void {
  for (let count = 1 + random.below(5); count > 0; count--) {
    const parts = Array.from({ length: 1 + random.below(3) }, () => blocks[random.below(BLOCKS)]!);
    tree.write(`data/d${random.below(3)}/f${random.below(6)}`, new Uint8Array(Buffer.concat(parts)));
  }
  if (!random.oneIn(3)) return;
  const path = `data/d${random.below(3)}/f${random.below(6)}`;
  // One file stays: a backup of an empty source is refused, and none here may be.
  if ([...tree.contents().keys()].some(other => other !== path)) tree.remove(path);
}
