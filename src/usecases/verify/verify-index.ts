/**
 * Reads every index segment from the storage, once, and compares it with the listing of the packs and with what the local index
 * says of it. Of each pack a digest of its record stays, for the checks that read the pack itself.
 */
import { concatBytes, equalBytes, utf8, viewOf, type Bytes } from '../../base/bytes.ts';
import type { ChunkIndex } from '../../cache/cache.ts';
import { CHUNK_ID_BYTES, chunkIdFromBytes, type PackId, type SegmentId } from '../../format/ids.ts';
import { decodeIndexSegment, SEGMENT_CHUNK_BYTES, unpackSegment, type IndexedPack, type IndexSegment, type PackContent } from '../../format/index-segment.ts';
import { packName, segmentName } from '../../format/object-names.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import { isDamage, isUnreadable } from '../../repository/damage.ts';
import { listSegments } from '../../repository/index-loader.ts';
import { toSegmentContent } from '../../repository/segment-content.ts';
import type { VerifyRun } from './verify-run.ts';

/** A prune may merge segments and sweep packs while they are looked at. */
const MAX_ROUNDS = 5;
const DIGEST_BYTES = 16;

/** What the index says of each pack, as a digest. */
export class PackDigests {
  readonly #rows = new Map<PackId, number>();
  #bytes = new Uint8Array(64 * DIGEST_BYTES);

  has(id: PackId): boolean {
    return this.#rows.has(id);
  }

  get(id: PackId): Bytes | undefined {
    const row = this.#rows.get(id);
    return row === undefined ? undefined : this.#bytes.subarray(row * DIGEST_BYTES, (row + 1) * DIGEST_BYTES);
  }

  set(id: PackId, digest: Bytes): void {
    const row = this.#rows.size;
    this.#rows.set(id, row);
    if ((row + 1) * DIGEST_BYTES > this.#bytes.length) {
      const larger = new Uint8Array(2 * this.#bytes.length);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes.set(digest, row * DIGEST_BYTES);
  }
}

/** Equal for equal content, wherever it comes from: an index segment or the table of the pack. */
export function digestOf(kernel: Pick<Kernel, 'blake3'>, { id, sessionId, type, suite, epoch, sizeBytes, chunkCount, frames, chunks }: PackContent): Bytes {
  const fixed = utf8(`${id} ${sessionId} ${type} ${suite} ${epoch} ${sizeBytes} ${chunkCount} ${frames.length}\n`);
  return kernel.blake3(concatBytes([fixed, frames, chunks])).subarray(0, DIGEST_BYTES);
}

export interface CheckedIndex {
  readonly digests: PackDigests;
  readonly segments: number;
}

/** Leaves out segments that `isWanted` refuses. Packs that are missing, of a wrong size or type are in the damage map then. */
export async function checkIndex(run: VerifyRun, isWanted: (id: SegmentId) => boolean = () => true): Promise<CheckedIndex> {
  const { repository, session, structure, call } = run;
  const check = new IndexCheck(run);
  let pending = structure.segments.filter(isWanted);
  for (let round = 1; round <= MAX_ROUNDS; round++) {
    for (const id of pending) await check.segment(id);
    if (!check.isInDoubt) break;
    await session.lookAgain(session.looks, call);
    check.settle();
    pending = [...await listSegments(repository.backend, call)].filter(id => isWanted(id) && !check.done.has(id));
  }
  check.settle();
  return { digests: check.digests, segments: check.done.size };
}

class IndexCheck {
  readonly digests = new PackDigests();
  /** Segments that were read, whole or not. */
  readonly done = new Set<SegmentId>();
  readonly #run: VerifyRun;
  readonly #missing = new Map<PackId, IndexedPack>();
  #hasVanished = false;

  constructor(run: VerifyRun) {
    this.#run = run;
  }

  /** Something that should be there was not: it is missing, or somebody was at work. */
  get isInDoubt(): boolean {
    return this.#hasVanished || this.#missing.size > 0;
  }

  async segment(id: SegmentId): Promise<void> {
    const { repository, findings, call } = this.#run;
    const name = segmentName(id);
    try {
      const segment = decodeIndexSegment((await repository.objects.load(name, call)).payload);
      const packs = unpackSegment(segment);
      if (!cacheAgrees(repository.cache.chunks, segment)) await renewCache(this.#run, id, segment);
      for (const pack of packs) this.#pack(name, pack);
    } catch (error) {
      if (!isDamage(error) && !isUnreadable(error)) throw error;
      findings.unreadable('index segment', name, error);
      // A segment that vanished was merged: its packs are in another one.
      if (error.code === 'OBJECT_NOT_FOUND') this.#hasVanished = true;
    }
    this.done.add(id);
  }

  #pack(segment: string, pack: PackContent): void {
    const { repository, findings } = this.#run;
    const digest = digestOf(repository.kernel, pack);
    const known = this.digests.get(pack.id);
    if (known === undefined) this.digests.set(pack.id, digest);
    else if (!equalBytes(known, digest)) {
      return findings.damage('index segment', segment, `It says something else of pack '${packName(pack.type, pack.id)}' than another segment`);
    }
    this.#compare(pack);
  }

  #compare(pack: IndexedPack): void {
    const { packs } = this.#run;
    const { id, type, sizeBytes } = pack;
    const stored = packs.get(id);
    // The index names swept packs until it is merged.
    if (stored === undefined && packs.isExcluded(id)) return;
    if (stored === undefined) this.#missing.set(id, pack);
    else if (stored.type !== type) this.#packIsBad(pack, `The index takes the pack for a ${type} pack`);
    else if (stored.sizeBytes !== sizeBytes) this.#packIsBad(pack, `The pack has ${stored.sizeBytes} bytes instead of ${sizeBytes}`);
  }

  /** After another look: what is still said to be there, and is not, is missing. */
  settle(): void {
    const { packs } = this.#run;
    for (const pack of this.#missing.values()) {
      if (packs.get(pack.id) !== undefined) this.#compare(pack);
      else if (!packs.isGone(pack.id)) this.#packIsBad(pack, 'The pack is missing');
    }
    this.#missing.clear();
    this.#hasVanished = false;
  }

  #packIsBad({ id, type }: IndexedPack, message: string): void {
    const { repository, damage, packs } = this.#run;
    const number = repository.cache.chunks.packNumber(id);
    if (number !== undefined) damage.packIsBad(number, packName(packs.get(id)?.type ?? type, id), message);
  }
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

async function renewCache({ repository, packs, findings }: VerifyRun, id: SegmentId, segment: IndexSegment): Promise<void> {
  const { chunks } = repository.cache;
  const wasKnown = chunks.segments().has(id);
  await chunks.dropSegments([id]);
  await chunks.addSegment(toSegmentContent(id, segment));
  for (const pack of segment.packs) {
    const number = chunks.packNumber(pack.id);
    if (number !== undefined && packs.get(pack.id)?.sizeBytes === pack.sizeBytes) chunks.addUsable(number);
  }
  if (!wasKnown) return;
  findings.warn('local cache', segmentName(id),
    'The local cache disagreed with the index segment and was loaded again. If that happens again, remove it with `snap cache --remove`');
}

/** Packs that no segment lists. Those of a backup that is under way will be listed when it ends, if not before. */
export function reportUnlisted({ structure, packs, findings }: VerifyRun, digests: PackDigests): void {
  const odd = new Map(structure.oddSizes.map(({ id, message }) => [id, message]));
  for (const { id, type, storedAt } of packs.all.values()) {
    if (digests.has(id) || packs.isExcluded(id)) continue;
    const fault = odd.get(id);
    const isBeingWritten = structure.writingSince !== undefined && storedAt >= structure.writingSince;
    if (fault !== undefined) findings.damage('pack', packName(type, id), `${fault}, and no index segment lists it`);
    else if (!isBeingWritten && Number.isFinite(storedAt)) {
      findings.warn('pack', packName(type, id), 'No index segment lists the pack: a backup is writing it, or was interrupted');
    }
  }
}
