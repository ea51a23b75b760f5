/**
 * Content in the order in which it is wanted, as fast as the engine opens frames: while one window of chunks is handed out,
 * the next ones are read. Marks between the chunks pass through in their places.
 */
import type { Bytes } from '../../base/bytes.ts';
import type { CallOptions } from '../../base/call-options.ts';
import { MiB } from '../../base/units.ts';
import { frameRecordAt } from '../../format/frame.ts';
import { CHUNK_ID_BYTES } from '../../format/ids.ts';
import type { ContentItem } from '../../format/tree-node.ts';
import { isDamage } from '../../repository/damage.ts';
import type { ReadingSession } from '../../repository/reading-session.ts';
import { salvageChunk } from './chunk-salvage.ts';
import { FrameChunks, type FrameLoader } from './frame-loader.ts';
import { planReads, RestoreWindow } from '../restore/restore-plan.ts';

/** Content of the frames that one window opens; windows under way are in memory whole. */
const WINDOW_BYTES = 8 * MiB;
const WINDOW_STEPS = 4_096;
/** Windows that are read while one is handed out. */
const WINDOWS_AHEAD = 2;

export type Wanted<Mark> = { readonly kind: 'content'; readonly item: ContentItem } | { readonly kind: 'mark'; readonly mark: Mark };

export type Given<Mark> =
  | { readonly kind: 'bytes'; readonly bytes: Bytes }
  | { readonly kind: 'zeros'; readonly lengthBytes: number }
  | { readonly kind: 'mark'; readonly mark: Mark };

type Slot<Mark> = Given<Mark> | { readonly kind: 'failed'; readonly error: unknown };

export class ReadAhead {
  readonly #session: ReadingSession;
  readonly #loader: FrameLoader;

  constructor(session: ReadingSession, loader: FrameLoader) {
    this.#session = session;
    this.#loader = loader;
  }

  /** @throws CHUNK_MISSING, CHUNK_CORRUPT, FRAME_CORRUPT when the content that cannot be read would be next */
  async *read<Mark>(wanted: AsyncIterable<Wanted<Mark>>, options: CallOptions = {}): AsyncGenerator<Given<Mark>> {
    const underWay: Promise<Slot<Mark>[]>[] = [];
    try {
      for await (const window of this.#windows(wanted)) {
        underWay.push(this.#load(window, options));
        if (underWay.length > WINDOWS_AHEAD) yield* give(await underWay.shift()!);
      }
      while (underWay.length > 0) yield* give(await underWay.shift()!);
    } finally {
      await Promise.allSettled(underWay);
    }
  }

  async *#windows<Mark>(wanted: AsyncIterable<Wanted<Mark>>): AsyncGenerator<Wanted<Mark>[]> {
    let window: Wanted<Mark>[] = [];
    let frames = new Set<string>();
    let sizeBytes = 0;
    for await (const each of wanted) {
      const { frame, rawBytes } = each.kind === 'mark' ? NO_FRAME : this.#frameOf(each.item);
      const isNew = frame !== '' && !frames.has(frame);
      if (window.length >= WINDOW_STEPS || (isNew && window.length > 0 && sizeBytes + rawBytes > WINDOW_BYTES)) {
        yield window;
        window = [];
        frames = new Set();
        sizeBytes = 0;
      }
      window.push(each);
      if (frame === '' || frames.has(frame)) continue;
      frames.add(frame);
      sizeBytes += rawBytes;
    }
    if (window.length > 0) yield window;
  }

  #frameOf({ id, lengthBytes }: ContentItem): { frame: string; rawBytes: number } {
    if (id === undefined) return NO_FRAME;
    const { chunks } = this.#session.repository.cache;
    const location = chunks.find(id);
    const record = location === undefined ? undefined : chunks.pack(location.pack);
    if (location === undefined || record === undefined) return { frame: '', rawBytes: lengthBytes };
    return { frame: `${location.pack}/${location.frame}`, rawBytes: frameRecordAt(record.frames, location.frame).rawLength };
  }

  /** Never rejects: a failure takes its place in the order. */
  async #load<Mark>(window: readonly Wanted<Mark>[], options: CallOptions): Promise<Slot<Mark>[]> {
    const slots: (Slot<Mark> | undefined)[] = window.map(each => {
      if (each.kind === 'mark') return each;
      return each.item.id === undefined ? { kind: 'zeros', lengthBytes: each.item.lengthBytes } : undefined;
    });
    try {
      await this.#fill(window, slots, options);
    } catch (error) {
      return slots.map(slot => slot ?? { kind: 'failed', error });
    }
    return slots as Slot<Mark>[];
  }

  async #fill<Mark>(window: readonly Wanted<Mark>[], slots: (Slot<Mark> | undefined)[], options: CallOptions): Promise<void> {
    const { chunks } = this.#session.repository.cache;
    const references = new RestoreWindow(Math.max(1, window.length));
    window.forEach((each, slot) => {
      if (each.kind === 'mark' || each.item.id === undefined) return;
      const location = chunks.find(each.item.id);
      references.add(slot, 0, each.item.lengthBytes, each.item.id, location?.length === each.item.lengthBytes ? location : undefined);
    });
    const plan = planReads(references, number => {
      const record = chunks.pack(number);
      return record?.type === 'data' ? record : undefined;
    });
    const doubtful: number[] = [...plan.nowhere];
    await Promise.all(plan.reads.map(async read => {
      const opened = new FrameChunks();
      let delivered = 0;
      try {
        await this.#loader.load(chunks.pack(read.pack)!, read.frames, ({ index, content, chunks: packed }) => {
          delivered = index + 1;
          opened.open(packed);
          for (const i of read.references.subarray(read.starts[index]!, read.starts[delivered]!)) {
            const [offset, length] = [references.offsets[i]!, references.lengths[i]!];
            const isThere = content !== undefined && opened.has(references.ids, i * CHUNK_ID_BYTES, offset, length);
            if (isThere) slots[references.files[i]!] = { kind: 'bytes', bytes: content.subarray(offset, offset + length) };
            else doubtful.push(i);
          }
        }, options);
      } catch (error) {
        if (!isDamage(error)) throw error;
        doubtful.push(...read.references.subarray(read.starts[delivered]!));
      }
    }));
    for (const i of doubtful) {
      const found = await salvageChunk(this.#session, references.id(i), references.lengths[i]!, options);
      slots[references.files[i]!] = found instanceof Uint8Array ? { kind: 'bytes', bytes: found } : { kind: 'failed', error: found };
    }
  }
}

const NO_FRAME = { frame: '', rawBytes: 0 };

function* give<Mark>(slots: readonly Slot<Mark>[]): Generator<Given<Mark>> {
  for (const slot of slots) {
    if (slot.kind === 'failed') throw slot.error;
    yield slot;
  }
}
