/** Says what is lost with packs that are gone, before the index entries of these packs are dropped. */
import type { CallOptions } from '../../base/call-options.ts';
import { chunkIdFromBytes, CHUNK_ID_BYTES, type ChunkId, type PackId, type SegmentId } from '../../format/ids.ts';
import type { PackContent } from '../../format/index-segment.ts';
import { packName } from '../../format/object-names.ts';
import { TABLE_CHUNK_BYTES } from '../../format/pack-table.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { readSegment } from './index-survey.ts';
import type { RepairTally } from './repair-run.ts';

export const HEAL = 'Run `snap repair packs`, which saves what is left of damaged packs; with --from it heals from a copy of the repository';
const STORE_AGAIN = 'Run a backup, which stores again what its source still has, and then `snap verify`; `snap repair snapshots` marks what stays lost';

export interface IndexLosses extends CallOptions {
  /** Names of packs. */
  readonly gone: ReadonlySet<string>;
  readonly packIds: ReadonlyMap<string, PackId>;
  readonly tally: RepairTally;
  /** Some of it may lie in packs that the index does not list yet. */
  readonly isAtMost: boolean;
}

/** `segments` list the packs that are gone; the cache knows the index as it is now. */
export async function tellIndexLosses(repository: OpenRepository, segments: readonly SegmentId[], { gone, packIds, tally, isAtMost, ...call }: IndexLosses): Promise<void> {
  const { chunks: index } = repository.cache;
  const bad = new Set([...gone].map(name => index.packNumber(packIds.get(name)!)));
  const isMissing = (id: ChunkId): boolean => !index.findAll(id).some(({ pack }) => !bad.has(pack));
  const counted = new Set<string>();
  for (const id of segments) {
    const segment = await readSegment(repository, id, call);
    for (const pack of segment === undefined || 'damage' in segment ? [] : segment.packs) {
      const name = packName(pack.type, pack.id);
      if (!gone.has(name) || counted.has(name)) continue;
      counted.add(name);
      tellLoss(tally, name, pack, countMissing(pack, isMissing), isAtMost);
    }
  }
}

function tellLoss(tally: RepairTally, name: string, { chunkCount }: PackContent, missing: number, isAtMost: boolean): void {
  tally.counts.packsDropped++;
  tally.counts.chunksLost += missing;
  tally.step('drop', 'index entries', name, `of ${count(chunkCount, 'chunk')}`);
  if (missing === 0) return;
  tally.lost({ object: 'pack', name, message: `${isAtMost ? 'Up to ' : ''}${missing} of its ${count(chunkCount, 'chunk')} are in no other pack`, files: [] });
  tally.next(HEAL);
  tally.next(STORE_AGAIN);
}

function countMissing({ chunks }: PackContent, isMissing: (id: ChunkId) => boolean): number {
  let missing = 0;
  for (let at = 0; at < chunks.length; at += TABLE_CHUNK_BYTES) if (isMissing(chunkIdFromBytes(chunks.subarray(at, at + CHUNK_ID_BYTES)))) missing++;
  return missing;
}

/** `1 pack`, `2 packs`. */
export function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}
