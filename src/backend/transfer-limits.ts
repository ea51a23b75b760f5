/**
 * How many bytes per second may cross the line: one bucket a direction for all backends, connections and tries of a process.
 * Rates are asked for anew with each piece, so that a timetable takes effect in mid-run.
 */
import type { Clock } from '../base/ambient.ts';
import type { Bytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import { cancelled, throwIfAborted } from '../base/errors.ts';
import { KiB } from '../base/units.ts';

export interface TransferRates {
  /** Bytes per second, above 0; undefined: no limit. */
  readonly upload?: number | undefined;
  readonly download?: number | undefined;
}

/** Asks before each piece of one object. Adapters that ask cut their transfers, so that the line is never taken whole. */
export interface Pace {
  /** The largest piece to ask for at once, bytes. */
  readonly pieceBytes: number;
  /** Resolves when so many bytes may go, or be fetched. @throws CANCELLED, then they are not counted */
  take(bytes: number): Promise<void>;
}

/** What the limits add to the options of a call; an adapter that does not look at it is limited by whole objects. */
export interface PacedCallOptions extends CallOptions {
  readonly pace?: Pace | undefined;
}

/** The bytes in pieces, each of which is given when it may go. */
export async function* pacedPieces(parts: Iterable<Bytes>, pace: Pace): AsyncGenerator<Bytes> {
  for (const part of parts) {
    for (let at = 0; at < part.length; at += pace.pieceBytes) {
      const piece = part.subarray(at, at + pace.pieceBytes);
      await pace.take(piece.length);
      yield piece;
    }
  }
}

/** What may flow at once after a pause, in seconds of the rate. */
const BURST_MS = 1000;
/** A tenth of a second of the line is short enough that dozens of connections all move within the time-outs of their servers. */
const PIECE_SECONDS = 0.1;
const MAX_PIECE_BYTES = 1024 * KiB;
const MIN_PIECE_BYTES = 256;
/**
 * An upload of at most this size goes at once and is only charged: a heartbeat or a commit must not stand in the queue behind
 * packs, or a slow line would make the session look dead.
 */
export const EXPRESS_UPLOAD_BYTES: number = 16 * KiB;
/** So that many small objects do not exceed the limit: what may overtake in this way, at once and as a share of the rate. */
const EXPRESS_BURST_BYTES = 64 * KiB;
const EXPRESS_SHARE = 0.1;
/**
 * What one download takes from its connection at once, and how long the others may wait for it: a connection that is not read
 * from for a minute counts as dead (`S3Connection`).
 */
const READ_BYTES = 64 * KiB;
const READ_TURN_SECONDS = 10;

export class TransferLimits {
  readonly #rates: () => TransferRates;
  readonly #upload: TokenBucket;
  readonly #express: TokenBucket;
  readonly #download: TokenBucket;
  readonly #downloads: VariableGate;

  /** @param rates those that hold now */
  constructor(clock: Clock, rates: () => TransferRates) {
    const { upload: first, download: second } = rates();
    for (const rate of [first, second]) if (rate !== undefined && !(rate > 0)) throw new RangeError(`Not a rate: ${rate} bytes per second`);
    this.#rates = rates;
    this.#upload = new TokenBucket(clock, () => rates().upload, BURST_MS);
    this.#download = new TokenBucket(clock, () => rates().download, BURST_MS);
    const expressRate = (): number | undefined => {
      const { upload } = rates();
      return upload === undefined ? undefined : upload * EXPRESS_SHARE;
    };
    this.#express = new TokenBucket(clock, expressRate, 0);
    this.#downloads = new VariableGate(() => {
      const { download } = rates();
      return download === undefined ? Number.POSITIVE_INFINITY : Math.max(1, Math.floor(download * READ_TURN_SECONDS / READ_BYTES));
    });
  }

  /** Whether bytes are cut into pieces now; without a limit they need not be. */
  get isUploadLimited(): boolean {
    return this.#rates().upload !== undefined;
  }

  get isDownloadLimited(): boolean {
    return this.#rates().download !== undefined;
  }

  /** For an object of so many bytes in all. */
  uploadPace(sizeBytes: number, signal: AbortSignal | undefined): Pace {
    const isExpress = sizeBytes <= EXPRESS_UPLOAD_BYTES;
    return {
      pieceBytes: pieceBytes(this.#rates().upload),
      take: async bytes => {
        if (isExpress && this.#overtakes(bytes)) this.#upload.charge(bytes);
        else await this.#upload.take(bytes, signal);
      },
    };
  }

  downloadPace(signal: AbortSignal | undefined): Pace {
    return { pieceBytes: pieceBytes(this.#rates().download), take: bytes => this.#download.take(bytes, signal) };
  }

  /** Counts what came already, for adapters that do not ask; the next one pays. */
  chargeDownload(bytes: number): void {
    this.#download.charge(bytes);
  }

  /** As many reads at once as can all be kept alive. @throws CANCELLED before it begins */
  async readInTurn<T>(signal: AbortSignal | undefined, read: () => Promise<T>): Promise<T> {
    await this.#downloads.enter(signal);
    try {
      return await read();
    } finally {
      this.#downloads.leave();
    }
  }


  #overtakes(bytes: number): boolean {
    const { upload } = this.#rates();
    if (upload === undefined) return true;
    if (this.#express.debtBytes() + bytes > EXPRESS_BURST_BYTES) return false;
    this.#express.charge(bytes);
    return true;
  }
}

function pieceBytes(rate: number | undefined): number {
  return Math.round(Math.min(MAX_PIECE_BYTES, Math.max(MIN_PIECE_BYTES, (rate ?? Number.POSITIVE_INFINITY) * PIECE_SECONDS)));
}

/**
 * A token bucket kept as one number: when everything taken so far is paid for ("virtual scheduling", ITU-T I.371). Taking more
 * than the bucket holds is allowed and puts the debt on the next taker. First come, first served. In any time t flow at most
 * rate * (t + burst) bytes and one piece.
 */
class TokenBucket {
  readonly #clock: Clock;
  readonly #rate: () => number | undefined;
  readonly #burstMs: number;
  #paidAt = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, bytesPerSecond: () => number | undefined, burstMs: number) {
    this.#clock = clock;
    this.#rate = bytesPerSecond;
    this.#burstMs = burstMs;
  }

  /** Waits until the debt of those before is paid. @throws CANCELLED, then nothing is charged */
  async take(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal);
    const waitMs = this.#paidAt - this.#clock.monotonic();
    const chargedMs = this.charge(bytes);
    if (waitMs <= 0) return;
    try {
      await this.#clock.sleep(waitMs, signal);
    } catch (error) {
      this.#paidAt -= chargedMs;
      throw error;
    }
  }

  /** @returns what it costs, milliseconds */
  charge(bytes: number): number {
    const rate = this.#rate();
    const costMs = rate === undefined ? 0 : bytes * 1000 / rate;
    // A pause longer than the burst saves up no more.
    this.#paidAt = Math.max(this.#paidAt, this.#clock.monotonic() - this.#burstMs) + costMs;
    return costMs;
  }

  debtBytes(): number {
    return Math.max(0, this.#paidAt - this.#clock.monotonic()) * (this.#rate() ?? 0) / 1000;
  }
}

/** Lets in as many as `limit` says at the moment, first come, first served. */
class VariableGate {
  readonly #limit: () => number;
  readonly #waiting: (() => void)[] = [];
  #inside = 0;

  constructor(limit: () => number) {
    this.#limit = limit;
  }

  async enter(signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal);
    if (this.#waiting.length > 0 || this.#inside >= this.#limit()) await this.#wait(signal);
    else this.#inside++;
  }

  leave(): void {
    this.#inside--;
    while (this.#waiting.length > 0 && this.#inside < this.#limit()) {
      this.#inside++;
      this.#waiting.shift()!();
    }
  }

  #wait(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const admit = (): void => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      };
      const onAbort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(admit), 1);
        reject(cancelled(signal));
      };
      this.#waiting.push(admit);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }
}
