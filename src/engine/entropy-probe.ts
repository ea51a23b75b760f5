/**
 * Finds data that is not worth compressing. A histogram of a few samples decides for ordinary data (0.02 ns per byte); where
 * it looks random, a trial compression of 16 KiB is believed, and holds for the next few frames that look random as well.
 * Order of steps: performance design, section 4.
 */
import type { Bytes } from '../base/bytes.ts';
import { KiB } from '../base/units.ts';
import { LEAST_SAVING } from '../format/frame.ts';
import type { Compressor } from '../kernel/kernel.ts';

const SAMPLE_BYTES = 256;
/** Eight samples for each started 256 KiB, spread evenly. */
const SAMPLES_PER_UNIT = 8;
const UNIT_BYTES = 256 * KiB;
/** Four windows of 4 KiB, spread, since a frame may hold files of several kinds. */
const TRIAL_WINDOWS = 4;
const TRIAL_WINDOW_BYTES = 4 * KiB;
const TRIAL_BYTES = TRIAL_WINDOWS * TRIAL_WINDOW_BYTES;
/** Smaller input is compressed at once. */
const SMALLEST_INPUT = 32 * KiB;
/**
 * Collision entropy above which data is suspicious, in bits per byte: text has 4 to 5, machine code about 5, random bytes
 * 7.8 in samples of 2 KiB.
 */
const SUSPICIOUS_BITS = 7.5;
/** A trial costs 17 µs; frames of one file follow each other and are alike. */
const FRAMES_PER_TRIAL = 4;

/** The compressed length from which on a frame is rather stored raw. */
export function largestWorthwhile(rawLength: number): number {
  return rawLength - Math.floor(rawLength / LEAST_SAVING);
}

export class EntropyProbe {
  readonly #compressor: Compressor;
  readonly #histogram = new Uint32Array(256);
  readonly #trial = new Uint8Array(TRIAL_BYTES);
  /** Suspicious frames that the last trial still speaks for. */
  #trusted = 0;

  constructor(compressor: Compressor) {
    this.#compressor = compressor;
  }

  /** Overwrites the last result of the compressor. */
  isIncompressible(bytes: Bytes): boolean {
    if (bytes.length < SMALLEST_INPUT || !this.#looksRandom(bytes)) {
      this.#trusted = 0;
      return false;
    }
    if (this.#trusted > 0) {
      this.#trusted--;
      return true;
    }
    const isIncompressible = this.#savesNothing(bytes);
    if (isIncompressible) this.#trusted = FRAMES_PER_TRIAL - 1;
    return isIncompressible;
  }

  #savesNothing(bytes: Bytes): boolean {
    const step = Math.floor((bytes.length - TRIAL_WINDOW_BYTES) / (TRIAL_WINDOWS - 1));
    for (let i = 0; i < TRIAL_WINDOWS; i++) {
      this.#trial.set(bytes.subarray(i * step, i * step + TRIAL_WINDOW_BYTES), i * TRIAL_WINDOW_BYTES);
    }
    return this.#compressor.compress(this.#trial, largestWorthwhile(TRIAL_BYTES)) === undefined;
  }

  #looksRandom(bytes: Bytes): boolean {
    const histogram = this.#histogram.fill(0);
    const samples = SAMPLES_PER_UNIT * Math.ceil(bytes.length / UNIT_BYTES);
    const step = Math.floor((bytes.length - SAMPLE_BYTES) / (samples - 1));
    for (let sample = 0; sample < samples; sample++) {
      const start = sample * step;
      for (let i = start; i < start + SAMPLE_BYTES; i++) histogram[bytes[i]!]!++;
    }
    let squares = 0;
    for (let i = 0; i < 256; i++) squares += histogram[i]! ** 2;
    const total = samples * SAMPLE_BYTES;
    return squares < total * total * 2 ** -SUSPICIOUS_BITS;
  }
}
