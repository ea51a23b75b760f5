/** Cuts a stream that comes in pieces; what the pieces so far do not decide is carried over in memory of its own. */
import type { Bytes } from '../base/bytes.ts';
import { chooseProfile, PROFILE_PROBE_BYTES } from '../format/chunking.ts';
import type { CutParameters } from '../kernel/kernel.ts';
import type { ContentCutter, CutInput } from './content-cutter.ts';
import type { IngestSetup } from './engine.ts';
import type { ChunkSink } from './range-cutter.ts';

export class StreamCutter {
  readonly #cutter: ContentCutter;
  readonly #profiles: IngestSetup['profiles'];
  #parameters: CutParameters | undefined;
  /** Bytes after the last cut, fewer than a largest chunk. */
  #carry = new Uint8Array(PROFILE_PROBE_BYTES);
  #carried = 0;

  constructor(cutter: ContentCutter, profiles: IngestSetup['profiles']) {
    this.#cutter = cutter;
    this.#profiles = profiles;
  }

  /** Gives all chunks that are decided to the sink; with `isLast` all that are left. */
  add(piece: Bytes, isLast: boolean, sink: ChunkSink): void {
    const input = new PieceInput(this.#carry.subarray(0, this.#carried), piece, isLast);
    let position = 0;
    if (isLast || input.size >= PROFILE_PROBE_BYTES) {
      const parameters = this.#parameters ??= this.#choose(input);
      this.#cutter.begin(input, parameters, 0);
      for (;;) {
        sink.checkStop();
        const length = this.#cutter.cut(position, position);
        if (length === 0) break;
        sink.chunk(this.#cutter.bytes(position, length));
        position += length;
      }
    }
    this.#keep(input, position);
  }

  #choose(input: PieceInput): CutParameters {
    const probe = new Uint8Array(PROFILE_PROBE_BYTES);
    const length = input.read(probe, 0, Math.min(PROFILE_PROBE_BYTES, input.size), 0);
    // The size of a stream is not known; what is worth its own profile is usually large.
    return this.#profiles[chooseProfile(probe.subarray(0, length), Number.POSITIVE_INFINITY)];
  }

  #keep(input: PieceInput, position: number): void {
    const left = input.size - position;
    const kept = this.#parameters !== undefined && this.#carry.length < this.#parameters.maxBytes
      ? new Uint8Array(this.#parameters.maxBytes) : this.#carry;
    // The carried bytes only move towards the front of the same memory, so they are copied before the piece.
    input.read(kept, 0, left, position);
    this.#carry = kept;
    this.#carried = left;
  }
}

/** What was carried over, followed by a piece. */
class PieceInput implements CutInput {
  readonly size: number;
  readonly isWhole: boolean;
  readonly #carried: Bytes;
  readonly #piece: Bytes;

  constructor(carried: Bytes, piece: Bytes, isLast: boolean) {
    this.#carried = carried;
    this.#piece = piece;
    this.size = carried.length + piece.length;
    this.isWhole = isLast;
  }

  read(target: Bytes, start: number, length: number, position: number): number {
    const end = Math.min(position + length, this.size);
    const split = this.#carried.length;
    if (position < split) target.set(this.#carried.subarray(position, Math.min(end, split)), start);
    if (end > split) {
      const from = Math.max(position, split);
      target.set(this.#piece.subarray(from - split, end - split), start + from - position);
    }
    return end - position;
  }

  /** A stream has no holes. */
  holeEnd(position: number): number {
    return position;
  }
}
