/** One batch of stored frames on one thread: open, decompress, check every chunk. */
import { releaseMemory } from '../base/release-memory.ts';
import { decodePayload, FRAME_PADDING, FrameCipher } from '../format/frame.ts';
import type { Hasher, Kernel } from '../kernel/kernel.ts';
import type { ExtractBatch, FrameToOpen, OpenedFrame } from './engine.ts';
import { findWrongChunks } from './frame-chunks.ts';
import type { StopCheck } from './ingest.ts';
import { ownMemory } from './own-memory.ts';

export interface ExtractKeys {
  readonly data: Uint8Array;
  readonly tree: Uint8Array;
}

export class Extract {
  readonly #kernel: Kernel;
  readonly #hashers: Readonly<Record<ExtractBatch['type'], Hasher>>;

  constructor(kernel: Kernel, keys: ExtractKeys) {
    this.#kernel = kernel;
    this.#hashers = { data: kernel.createHasher(keys.data), tree: kernel.createHasher(keys.tree) };
  }

  /** Answers in the order of the frames; contents are in memory of their own. @throws UNSUPPORTED_FORMAT for an unknown codec */
  run(batch: ExtractBatch, checkStop: StopCheck): OpenedFrame[] {
    const aead = this.#kernel.createAead(batch.suite, batch.frameKey);
    const cipher = new FrameCipher(aead, batch.framePrefix);
    const hasher = this.#hashers[batch.type];
    return batch.frames.map(frame => {
      checkStop();
      return this.#open(cipher, hasher, frame, batch.wantsContent);
    });
  }

  #open(cipher: FrameCipher, hasher: Hasher, frame: FrameToOpen, wantsContent: boolean): OpenedFrame {
    const identity = { number: frame.frame, rawLength: frame.rawLength, codec: frame.codec, flags: frame.flags };
    const payload = cipher.open(identity, frame.stored);
    if (payload === undefined) return { content: undefined, verdict: 'sealed' };
    const content = decodePayload(this.#kernel, identity, payload);
    if (content === undefined) return { content: undefined, verdict: 'compressed' };
    const wrong = (frame.flags & FRAME_PADDING) === 0 ? findWrongChunks(hasher, content, frame.chunks) : [];
    if (wrong.length > 0) return { content: undefined, verdict: wrong };
    // An opened payload is in memory of its own, what the decompressor gives is not.
    const isOwn = content === payload;
    const answer: OpenedFrame = { content: !wantsContent ? undefined : isOwn ? ownMemory(payload) : content.slice(), verdict: 'ok' };
    if (!isOwn || !wantsContent) releaseMemory([payload]);
    return answer;
  }
}
