/** Brings the local chunk index up to date with the index segments of the repository (repository design, W3). */
import type { CallOptions } from '../base/call-options.ts';
import { hasCode, SnapError } from '../base/errors.ts';
import { mapBounded } from '../base/concurrency.ts';
import type { ReadBackend } from '../backend/backend.ts';
import type { ChunkIndex } from '../cache/cache.ts';
import type { SegmentId } from '../format/ids.ts';
import { decodeIndexSegment } from '../format/index-segment.ts';
import { parseObjectName, PREFIXES, segmentName } from '../format/object-names.ts';
import { isUnreadable, withName } from './damage.ts';
import type { SealedObjects } from './sealed-objects.ts';
import { toSegmentContent } from './segment-content.ts';

const PARALLEL_LOADS = 4;
/** A consolidation may remove a listed segment under our hands; then the listing is repeated. */
const MAX_ROUNDS = 5;

export interface IndexLoadOptions extends CallOptions {
  /** For readers: with it, a damaged or unsupported segment is reported and left out, and its packs stay unknown; without it, it is thrown. */
  readonly onDamagedObject?: ((name: string, error: SnapError) => void) | undefined;
}

export interface IndexLoadResult {
  readonly segments: number;
  readonly loaded: number;
}

/** @throws OBJECT_CORRUPT for a damaged segment: its packs would silently be stored again */
export async function loadIndex(
  backend: ReadBackend, objects: SealedObjects, chunks: ChunkIndex, options: IndexLoadOptions = {},
): Promise<IndexLoadResult> {
  for (let round = 1; ; round++) {
    const listed = await listSegments(backend, options);
    const missing = [...listed].filter(id => !chunks.segments().has(id));
    try {
      await mapBounded(missing, PARALLEL_LOADS, async id => loadOrReport(id, objects, chunks, options));
    } catch (error) {
      if (hasCode(error, 'OBJECT_NOT_FOUND') && round < MAX_ROUNDS) continue;
      throw error;
    }
    const gone = [...chunks.segments()].filter(id => !listed.has(id));
    if (gone.length > 0) await chunks.dropSegments(gone);
    return { segments: listed.size, loaded: missing.length };
  }
}

export async function listSegments(backend: ReadBackend, options: CallOptions = {}): Promise<Set<SegmentId>> {
  const ids = new Set<SegmentId>();
  for await (const { name } of backend.list(PREFIXES.segments, options)) {
    const ref = parseObjectName(name);
    if (ref?.kind === 'segment') ids.add(ref.id);
  }
  return ids;
}

async function loadOrReport(id: SegmentId, objects: SealedObjects, chunks: ChunkIndex, options: IndexLoadOptions): Promise<void> {
  try {
    await loadSegment(id, objects, chunks, options);
  } catch (error) {
    if (options.onDamagedObject === undefined || !isUnreadable(error)) throw error;
    options.onDamagedObject(segmentName(id), error);
  }
}

async function loadSegment(id: SegmentId, objects: SealedObjects, chunks: ChunkIndex, options: CallOptions): Promise<void> {
  const name = segmentName(id);
  const { payload } = await objects.load(name, options).catch((error: unknown) => {
    if (!(error instanceof SnapError) || error.kind !== 'corrupt') throw error;
    throw new SnapError(error.code, error.message, {
      hint: 'Run `snap repair index`, which builds it anew from the packs; restores go on without it', cause: error, context: error.context,
    });
  });
  try {
    await chunks.addSegment(toSegmentContent(id, decodeIndexSegment(payload)));
  } catch (error) {
    throw withName(error, name);
  }
}
