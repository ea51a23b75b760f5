/**
 * Keeps the index small (repository design, section 7, P9): merges small segments, and leaves out packs that were swept; entries
 * of packs that are missing for another reason stay until a repair. New segments are durable and read back before those that they
 * replace are removed, so an interruption leaves packs listed twice, which the next run mends.
 */
import { concatBytes, toHex, utf8 } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import { hasCode, type SnapError } from '../base/errors.ts';
import type { ChunkIndex, PackNumber } from '../cache/cache.ts';
import type { PackId, SegmentId } from '../format/ids.ts';
import { decodeIndexSegment, unpackSegment, type PackContent } from '../format/index-segment.ts';
import { segmentName } from '../format/object-names.ts';
import { isUnreadable } from './damage.ts';
import { loadIndex } from './index-loader.ts';
import type { OpenRepository } from './opened-repository.ts';
import { SegmentWriter } from './segment-writer.ts';

/** A segment with fewer chunks is small: half of a full one. */
const SMALL_CHUNKS = 200_000;
/** Fewer small segments are left as they are, since each prune would write them again. */
const LEAST_MERGED = 4;

export interface ConsolidateOptions extends CallOptions {
  /** Packs of sweeps that are not listed any more. */
  readonly swept: ReadonlySet<PackId>;
  /** A segment that was left alone, since it cannot be read or contradicts another one. */
  readonly onLeft?: ((name: string, reason: string) => void) | undefined;
}

/** Returns how many segments were replaced; 0 also when another run is at the same work. */
export async function consolidateIndex(repository: OpenRepository, options: ConsolidateOptions): Promise<number> {
  const { backend, objects, cache: { chunks } } = repository;
  await loadIndex(backend, objects, chunks, options);
  const chosen = chooseSegments(chunks, options.swept);
  if (chosen.length === 0) return 0;
  const merged = await writeMerged(repository, chosen, options);
  if (merged.length === 0) return 0;
  for (const id of merged) await backend.remove(segmentName(id), options);
  await loadIndex(backend, objects, chunks, options);
  return merged.length;
}

/** Segments that new ones replace now. */
async function writeMerged(repository: OpenRepository, chosen: readonly SegmentId[], options: ConsolidateOptions): Promise<readonly SegmentId[]> {
  const writer = new SegmentWriter(repository, false, options);
  try {
    const merged = await mergeInto(writer, repository, chosen, options);
    if (merged.length > 0) await writer.finish(merged);
    return merged;
  } catch (error) {
    if (!hasCode(error, 'OBJECT_NOT_FOUND')) throw error;
    return []; // another run merged the new segment before it could be read back
  }
}

/** Segments with something to leave out, or that say what another one says; and small ones, if enough of them come together. */
function chooseSegments(chunks: ChunkIndex, swept: ReadonlySet<PackId>): SegmentId[] {
  const needed: SegmentId[] = [];
  const small: SegmentId[] = [];
  const listed = new Map<PackNumber, SegmentId>();
  const again = new Set<SegmentId>();
  for (const id of [...chunks.segments()].sort()) {
    let count = 0;
    let hasSwept = false;
    for (const number of chunks.packsOf(id)) {
      const record = chunks.pack(number);
      count += record?.chunkCount ?? 0;
      hasSwept ||= record !== undefined && swept.has(record.id);
      const other = listed.get(number);
      if (other === undefined) listed.set(number, id);
      else again.add(other).add(id);
    }
    if (hasSwept) needed.push(id);
    else if (count < SMALL_CHUNKS) small.push(id);
  }
  const forced = new Set([...needed, ...again]);
  const others = small.filter(id => !forced.has(id));
  return forced.size > 0 || others.length >= LEAST_MERGED ? [...forced, ...others] : [];
}

/** One segment in memory at a time. Returns those that may be removed when the new ones are durable. */
async function mergeInto(writer: SegmentWriter, repository: OpenRepository, chosen: readonly SegmentId[], options: ConsolidateOptions): Promise<SegmentId[]> {
  const merged: SegmentId[] = [];
  /** Digest of what was written of a pack. */
  const written = new Map<PackId, string>();
  for (const id of chosen) {
    const packs = await readPacks(repository, id, options);
    if (packs === 'gone') return []; // another run merged it: what it wrote counts, and ours is listed twice until the next run
    if (packs === undefined) continue;
    const kept = packs.filter(pack => !options.swept.has(pack.id)).map(pack => ({ pack, digest: digestOf(repository, pack) }));
    if (kept.some(({ pack, digest }) => (written.get(pack.id) ?? digest) !== digest)) {
      options.onLeft?.(segmentName(id), 'It says of a pack something else than another index segment');
      continue;
    }
    for (const { pack, digest } of kept) {
      if (written.has(pack.id)) continue;
      written.set(pack.id, digest);
      await writer.add(pack);
    }
    merged.push(id);
  }
  return merged;
}

/** Undefined for a segment that cannot be read. */
async function readPacks({ objects }: OpenRepository, id: SegmentId, options: ConsolidateOptions): Promise<PackContent[] | undefined | 'gone'> {
  const name = segmentName(id);
  try {
    return unpackSegment(decodeIndexSegment((await objects.load(name, options)).payload));
  } catch (error) {
    if (hasCode(error, 'OBJECT_NOT_FOUND')) return 'gone';
    if (!isUnreadable(error) || error.code === 'INVALID_RANGE') throw error;
    options.onLeft?.(name, (error as SnapError).message);
    return undefined;
  }
}

/** Of everything that a segment says of a pack. */
function digestOf({ kernel }: OpenRepository, { sessionId, type, suite, epoch, sizeBytes, frames, chunks }: PackContent): string {
  const head = utf8(JSON.stringify([sessionId, type, suite, epoch, sizeBytes]));
  return toHex(kernel.blake3(concatBytes([head, kernel.blake3(frames), kernel.blake3(chunks)])));
}
