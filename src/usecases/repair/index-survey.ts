/**
 * What the index segments of a repository say of its packs, read from the storage itself, one segment at a time. Of each pack
 * only a digest is kept: enough to see where segments disagree with each other, or with the table of the pack.
 */
import { concatBytes, toHex, viewOf } from '../../base/bytes.ts';
import type { CallOptions } from '../../base/call-options.ts';
import { hasCode, type SnapError } from '../../base/errors.ts';
import { idBytes, type PackId, type SegmentId } from '../../format/ids.ts';
import { decodeIndexSegment, unpackSegment, type PackContent } from '../../format/index-segment.ts';
import { packName, segmentName, type PackType } from '../../format/object-names.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import { isUnreadable } from '../../repository/damage.ts';
import { listSegments } from '../../repository/index-loader.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';

export interface SurveyedSegment {
  readonly id: SegmentId;
  readonly name: string;
  /** Why it cannot be read. */
  readonly damage: SnapError | undefined;
}

/** What one or more segments say of a pack, in the same words. */
export interface Claim {
  readonly type: PackType;
  readonly sizeBytes: number;
  readonly digest: string;
  /** Places of the segments in the survey. */
  readonly segments: number[];
}

export interface IndexSurvey {
  readonly segments: readonly SurveyedSegment[];
  /** By name of the pack. Usually one claim. */
  readonly claims: ReadonlyMap<string, readonly Claim[]>;
  readonly packIds: ReadonlyMap<string, PackId>;
  /** Segments that another one takes the place of. */
  readonly superseded: ReadonlySet<SegmentId>;
}

/** @throws UNSUPPORTED_FORMAT: what a newer version wrote is not repaired; every error that is no damage */
export async function surveyIndex(repository: OpenRepository, options: CallOptions): Promise<IndexSurvey> {
  const segments: SurveyedSegment[] = [];
  const claims = new Map<string, Claim[]>();
  const packIds = new Map<string, PackId>();
  const superseded = new Set<SegmentId>();
  for (const id of [...await listSegments(repository.backend, options)].sort()) {
    const read = await readSegment(repository, id, options);
    if (read === undefined) continue;
    const place = segments.length;
    segments.push({ id, name: segmentName(id), damage: 'damage' in read ? read.damage : undefined });
    if ('damage' in read) continue;
    for (const each of read.supersedes) superseded.add(each);
    for (const pack of read.packs) addClaim(pack, place);
  }
  return { segments, claims, packIds, superseded };

  function addClaim(pack: PackContent, place: number): void {
    const name = packName(pack.type, pack.id);
    const digest = contentDigest(repository.kernel, pack);
    const known = claims.get(name);
    const same = known?.find(claim => claim.digest === digest);
    const claim: Claim = { type: pack.type, sizeBytes: pack.sizeBytes, digest, segments: [place] };
    packIds.set(name, pack.id);
    if (same !== undefined) same.segments.push(place);
    else if (known !== undefined) known.push(claim);
    else claims.set(name, [claim]);
  }
}

export interface ReadSegment {
  readonly supersedes: readonly SegmentId[];
  readonly packs: readonly PackContent[];
}

/** Undefined for a segment that is gone: it was merged into another one. @throws UNSUPPORTED_FORMAT */
export async function readSegment(repository: OpenRepository, id: SegmentId, options: CallOptions): Promise<ReadSegment | { readonly damage: SnapError } | undefined> {
  try {
    const segment = decodeIndexSegment((await repository.objects.load(segmentName(id), options)).payload);
    return { supersedes: segment.supersedes, packs: unpackSegment(segment) };
  } catch (error) {
    if (hasCode(error, 'OBJECT_NOT_FOUND')) return undefined;
    if (!isUnreadable(error) || error.kind === 'unsupported') throw error;
    return { damage: error };
  }
}

/** Equal for equal contents; 16 bytes in hexadecimal digits. */
export function contentDigest(kernel: Kernel, pack: PackContent): string {
  const head = new Uint8Array(24);
  const view = viewOf(head);
  view.setBigUint64(0, BigInt(pack.sizeBytes), true);
  [pack.epoch, pack.suite, pack.type === 'data' ? 1 : 2, pack.chunkCount].forEach((value, i) => { view.setUint32(8 + 4 * i, value, true); });
  return toHex(kernel.blake3(concatBytes([idBytes(pack.id), idBytes(pack.sessionId), head, pack.frames, pack.chunks])).subarray(0, 16));
}
