/**
 * Reads every index segment from the storage, compares it with the listing of the packs and with what the local index says
 * of it, and hands the packs on with their chunks in frame order.
 */
import { equalBytes, viewOf } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import type { ChunkIndex } from '../cache/cache.ts';
import { chunkIdFromBytes, CHUNK_ID_BYTES, type PackId, type SegmentId } from '../format/ids.ts';
import { decodeIndexSegment, SEGMENT_CHUNK_BYTES, unpackSegment, type IndexSegment, type PackContent } from '../format/index-segment.ts';
import { packName, segmentName } from '../format/object-names.ts';
import { isDamage, isUnreadable } from '../repository/damage.ts';
import type { OpenRepository } from '../repository/opened-repository.ts';
import { toSegmentContent } from '../repository/segment-content.ts';
import type { DamageMap } from './verify-damage.ts';
import type { FindingList } from './findings.ts';
import type { Structure } from './verify-structure.ts';

export interface IndexedPacks {
  /** Packs that some segment lists. */
  readonly listed: ReadonlySet<PackId>;
  readonly segments: number;
}

/** Segments that can be read, one at a time. A segment that vanished was consolidated: its packs are in another one. */
export async function* readSegments(
  repository: OpenRepository, ids: readonly SegmentId[], findings: FindingList | undefined, options: CallOptions,
): AsyncGenerator<{ readonly id: SegmentId; readonly segment: IndexSegment; readonly packs: readonly PackContent[] }> {
  for (const id of ids) {
    const name = segmentName(id);
    try {
      const segment = decodeIndexSegment((await repository.objects.load(name, options)).payload);
      yield { id, segment, packs: unpackSegment(segment) };
    } catch (error) {
      if (!isDamage(error) && !isUnreadable(error)) throw error;
      const finding = { object: 'index segment', name, message: error.message, files: [] };
      if (error.kind === 'unsupported') findings?.addUnsupported(finding);
      else if (error.code !== 'OBJECT_NOT_FOUND') findings?.add({ ...finding, severity: 'damage' });
    }
  }
}

export async function checkIndex(
  repository: OpenRepository, structure: Structure, excluded: ReadonlySet<string>, damage: DamageMap, findings: FindingList, options: CallOptions,
): Promise<IndexedPacks> {
  const { chunks } = repository.cache;
  const listed = new Set<PackId>();
  let segments = 0;
  for await (const { id, segment, packs } of readSegments(repository, structure.segments, findings, options)) {
    segments++;
    if (!cacheAgrees(chunks, segment)) await renewSegment(chunks, id, segment, structure, findings);
    for (const pack of packs) {
      listed.add(pack.id);
      checkStored(repository, pack, structure, excluded, damage);
    }
  }
  for (const { id, type } of structure.packs.values()) {
    if (listed.has(id) || excluded.has(id)) continue;
    findings.add({
      object: 'pack', name: packName(type, id), severity: 'warning', files: [],
      message: 'No index segment lists the pack: a backup is writing it, or was interrupted',
    });
  }
  return { listed, segments };
}

function checkStored({ cache }: OpenRepository, { id, type, sizeBytes }: PackContent, structure: Structure, excluded: ReadonlySet<string>, damage: DamageMap): void {
  const number = cache.chunks.packNumber(id);
  const stored = structure.packs.get(id);
  if (stored !== undefined && stored.type === type && stored.sizeBytes === sizeBytes) return;
  // The index names swept packs until it is consolidated.
  if (stored === undefined && excluded.has(id)) return;
  const reason = stored === undefined ? 'The pack is missing'
    : stored.type !== type ? `The index takes the pack for a ${type} pack` : `The pack has ${stored.sizeBytes} bytes instead of ${sizeBytes}`;
  if (number !== undefined) damage.packIsBad(number, packName(type, id), reason);
}

/** Everything that follows asks the local index, so it must say what the segment says. */
function cacheAgrees(chunks: ChunkIndex, { packs, chunks: records }: IndexSegment): boolean {
  const numbers = packs.map(({ id }) => chunks.packNumber(id));
  for (const [ordinal, pack] of packs.entries()) {
    const number = numbers[ordinal];
    const known = number === undefined ? undefined : chunks.pack(number);
    const isSame = known !== undefined && known.type === pack.type && known.sizeBytes === pack.sizeBytes && known.suite === pack.suite
      && known.epoch === pack.epoch && known.chunkCount === pack.chunkCount && equalBytes(known.frames, pack.frames);
    if (!isSame) return false;
  }
  const view = viewOf(records);
  for (let at = 0; at < records.length; at += SEGMENT_CHUNK_BYTES) {
    const number = numbers[view.getUint32(at + 32, true)]!;
    if (!chunks.isUsable(number)) continue;
    const [frame, offset, length] = [view.getUint32(at + 36, true), view.getUint32(at + 40, true), view.getUint32(at + 44, true)];
    const id = chunkIdFromBytes(records.subarray(at, at + CHUNK_ID_BYTES));
    const isIt = (location: ReturnType<ChunkIndex['find']>): boolean => location?.pack === number && location.frame === frame
      && location.offset === offset && location.length === length;
    if (!isIt(chunks.find(id)) && !chunks.findAll(id).some(isIt)) return false;
  }
  return true;
}

async function renewSegment(chunks: ChunkIndex, id: SegmentId, segment: IndexSegment, structure: Structure, findings: FindingList): Promise<void> {
  const wasKnown = chunks.segments().has(id);
  await chunks.dropSegments([id]);
  await chunks.addSegment(toSegmentContent(id, segment));
  for (const pack of segment.packs) {
    const number = chunks.packNumber(pack.id);
    if (number !== undefined && structure.packs.get(pack.id)?.sizeBytes === pack.sizeBytes) chunks.addUsable(number);
  }
  if (!wasKnown) return;
  findings.add({
    object: 'local cache', name: segmentName(id), severity: 'warning', files: [],
    message: 'The local cache disagreed with the index segment and was loaded again. If that happens again, remove it with `snap cache --remove`',
  });
}
