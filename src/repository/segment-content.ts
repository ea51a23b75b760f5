/** An index segment in the form that the cache takes. */
import type { SegmentContent } from '../cache/cache.ts';
import type { SegmentId } from '../format/ids.ts';
import type { IndexSegment } from '../format/index-segment.ts';

export function toSegmentContent(id: SegmentId, segment: IndexSegment): SegmentContent {
  return { id, supersedes: segment.supersedes, packs: segment.packs, chunks: segment.chunks };
}
