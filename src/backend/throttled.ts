import type { Clock } from '../base/ambient.ts';
import type { Bytes } from '../base/bytes.ts';
import type { Backend, BackendCapabilities, ByteRange, CallOptions, StoredObject } from './backend.ts';

export interface ThrottledOptions {
  readonly clock: Clock;
  /** Above 0; undefined: no limit. */
  readonly uploadBytesPerSecond?: number | undefined;
  /** Above 0; undefined: no limit. */
  readonly downloadBytesPerSecond?: number | undefined;
}

/** What may flow at once after a pause, in seconds of the rate. */
const BURST_SECONDS = 1;
/**
 * An upload of at most this size goes at once and is only charged: a heartbeat or a commit must not stand in the queue behind
 * packs, or a slow line would make the session look dead.
 */
const EXPRESS_UPLOAD_BYTES = 16 * 1024;

/** Limits the bytes per second over all calls together. Objects go one by one; the rate holds on average over them. */
export class ThrottledBackend implements Backend {
  readonly location: string;
  readonly capabilities: BackendCapabilities;
  readonly writesAtOnce: number | undefined;
  readonly #inner: Backend;
  readonly #upload: TokenBucket | undefined;
  readonly #download: TokenBucket | undefined;

  constructor(inner: Backend, options: ThrottledOptions) {
    this.location = inner.location;
    this.capabilities = inner.capabilities;
    this.writesAtOnce = inner.writesAtOnce;
    this.#inner = inner;
    this.#upload = makeBucket(options.clock, options.uploadBytesPerSecond);
    this.#download = makeBucket(options.clock, options.downloadBytesPerSecond);
  }

  async read(name: string, range?: ByteRange, options?: CallOptions): Promise<Uint8Array<ArrayBuffer>> {
    // The size of a whole object is known only afterwards: wait until the past is paid for, then charge what came.
    await this.#download?.take(range?.length ?? 0, options?.signal);
    const bytes = await this.#inner.read(name, range, options);
    if (range === undefined) this.#download?.charge(bytes.length);
    return bytes;
  }

  stat(name: string, options?: CallOptions): Promise<StoredObject> {
    return this.#inner.stat(name, options);
  }

  list(prefix: string, options?: CallOptions): AsyncIterable<StoredObject> {
    return this.#inner.list(prefix, options);
  }

  async create(name: string, parts: readonly Bytes[], options?: CallOptions): Promise<void> {
    await this.#beforeUpload(parts.reduce((sum, part) => sum + part.length, 0), options);
    return this.#inner.create(name, parts, options);
  }

  async createIfAbsent(name: string, bytes: Bytes, options?: CallOptions): Promise<'created' | 'exists'> {
    await this.#beforeUpload(bytes.length, options);
    return this.#inner.createIfAbsent(name, bytes, options);
  }

  remove(name: string, options?: CallOptions): Promise<void> {
    return this.#inner.remove(name, options);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  async #beforeUpload(sizeBytes: number, options: CallOptions | undefined): Promise<void> {
    if (sizeBytes <= EXPRESS_UPLOAD_BYTES) this.#upload?.charge(sizeBytes);
    else await this.#upload?.take(sizeBytes, options?.signal);
  }
}

/**
 * A token bucket kept as one number: when everything taken so far is paid for. Taking more than the bucket holds is allowed
 * and puts the debt on the next taker, so that a large object is not cut. First come, first served.
 */
class TokenBucket {
  readonly #clock: Clock;
  readonly #msPerByte: number;
  #paidAt = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, bytesPerSecond: number) {
    this.#clock = clock;
    this.#msPerByte = 1000 / bytesPerSecond;
  }

  /** Waits until the debt of those before is paid. @throws CANCELLED, then nothing is charged */
  async take(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    const waitMs = this.#debtMs();
    this.charge(bytes);
    if (waitMs <= 0) return;
    try {
      await this.#clock.sleep(waitMs, signal);
    } catch (error) {
      this.#paidAt -= bytes * this.#msPerByte;
      throw error;
    }
  }

  charge(bytes: number): void {
    // A pause longer than the burst saves up no more.
    this.#paidAt = Math.max(this.#paidAt, this.#clock.monotonic() - BURST_SECONDS * 1000) + bytes * this.#msPerByte;
  }

  #debtMs(): number {
    return this.#paidAt - this.#clock.monotonic();
  }
}

function makeBucket(clock: Clock, bytesPerSecond: number | undefined): TokenBucket | undefined {
  if (bytesPerSecond === undefined) return undefined;
  if (!(bytesPerSecond > 0)) throw new RangeError(`Not a rate: ${bytesPerSecond} bytes per second`);
  return new TokenBucket(clock, bytesPerSecond);
}
