/**
 * What a chunk takes in its pack: the stored bytes of a frame are spread over its chunks by their length, and header, tables
 * and padding over the frames by their stored bytes, so that all chunks of a pack together take its size.
 */
import { invariant } from '../../base/errors.ts';
import { viewOf } from '../../base/bytes.ts';
import { MiB } from '../../base/units.ts';
import type { ChunkIndex, ChunkLocation, PackNumber, PackRecord } from '../../cache/cache.ts';
import { FRAME_RECORD_BYTES } from '../../format/frame.ts';

/** Frame records that are kept. */
const KEPT_BYTES = 8 * MiB;

interface PackShares {
  readonly view: DataView;
  /** Size of the pack by the stored bytes of its frames with chunks. */
  readonly overhead: number;
}

export class StoredShares {
  readonly #index: Pick<ChunkIndex, 'pack'>;
  readonly #packs = new Map<PackNumber, PackShares>();
  #keptBytes = 0;

  constructor(index: Pick<ChunkIndex, 'pack'>) {
    this.#index = index;
  }

  /** In bytes; rarely a whole number. */
  of({ pack, frame, length }: ChunkLocation): number {
    const { view, overhead } = this.#packs.get(pack) ?? this.#load(pack);
    const at = frame * FRAME_RECORD_BYTES;
    return view.getUint32(at + 4, true) * (length / view.getUint32(at + 8, true)) * overhead;
  }

  #load(number: PackNumber): PackShares {
    const record = this.#index.pack(number);
    invariant(record !== undefined, `The cache has no record of pack ${number}`);
    const shares = sharesOf(record);
    if (this.#keptBytes > KEPT_BYTES) {
      this.#packs.clear();
      this.#keptBytes = 0;
    }
    this.#packs.set(number, shares);
    this.#keptBytes += record.frames.length;
    return shares;
  }
}

function sharesOf({ frames, sizeBytes }: PackRecord): PackShares {
  const view = viewOf(frames);
  let storedBytes = 0;
  for (let at = 0; at < frames.length; at += FRAME_RECORD_BYTES) {
    const isPadding = view.getUint16(at + 12, true) === 0;
    if (!isPadding) storedBytes += view.getUint32(at + 4, true);
  }
  return { view, overhead: sizeBytes / storedBytes };
}
