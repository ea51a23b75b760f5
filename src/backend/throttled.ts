/** Limits the bytes per second over all calls of all backends that share the same limits. */
import type { Bytes } from '../base/bytes.ts';
import type { Backend, BackendCapabilities, ByteRange, CallOptions, RequestCounts, StoredObject } from './backend.ts';
import type { Pace, PacedCallOptions, TransferLimits } from './transfer-limits.ts';

/** An adapter that asks the pace of a call before each piece of it, and cuts the bytes accordingly. */
export interface PacedBackend extends Backend {
  readonly isPaced: true;
}

/**
 * Adapters that ask the pace themselves hold the rate within an object; with others it holds on average over objects.
 * Requests and listings count only as far as an adapter says; TLS, SSH and headers add a percent or two on the line.
 */
export class ThrottledBackend implements Backend {
  readonly location: string;
  readonly writesAtOnce: number | undefined;
  readonly requests: RequestCounts | undefined;
  readonly #inner: Backend | PacedBackend;
  readonly #limits: TransferLimits;

  constructor(inner: Backend | PacedBackend, limits: TransferLimits) {
    this.location = inner.location;
    this.writesAtOnce = inner.writesAtOnce;
    this.requests = inner.requests;
    this.#inner = inner;
    this.#limits = limits;
  }

  /** Asked anew each time: an adapter may learn only by its first write that the store cannot decide races. */
  get capabilities(): BackendCapabilities {
    return this.#inner.capabilities;
  }

  read(name: string, range?: ByteRange, options: CallOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    if (!this.#limits.isDownloadLimited) return this.#inner.read(name, range, options);
    const pace = this.#limits.downloadPace(options.signal);
    return this.#limits.readInTurn(options.signal, async () => {
      if (this.#isPaced) return this.#inner.read(name, range, withPace(options, pace));
      // The size of a whole object is known only afterwards: wait until the past is paid for, then charge what came.
      await pace.take(range?.length ?? 0);
      const bytes = await this.#inner.read(name, range, options);
      if (range === undefined) this.#limits.chargeDownload(bytes.length);
      return bytes;
    });
  }

  stat(name: string, options?: CallOptions): Promise<StoredObject> {
    return this.#inner.stat(name, options);
  }

  list(prefix: string, options: CallOptions = {}): AsyncIterable<StoredObject> {
    if (!this.#limits.isDownloadLimited || !this.#isPaced) return this.#inner.list(prefix, options);
    return this.#inner.list(prefix, withPace(options, this.#limits.downloadPace(options.signal)));
  }

  create(name: string, parts: readonly Bytes[], options: CallOptions = {}): Promise<void> {
    return this.#upload(parts.reduce((sum, part) => sum + part.length, 0), options, paced => this.#inner.create(name, parts, paced));
  }

  createIfAbsent(name: string, bytes: Bytes, options: CallOptions = {}): Promise<'created' | 'exists'> {
    return this.#upload(bytes.length, options, paced => this.#inner.createIfAbsent(name, bytes, paced));
  }

  remove(name: string, options?: CallOptions): Promise<void> {
    return this.#inner.remove(name, options);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  async #upload<T>(sizeBytes: number, options: CallOptions, send: (options: CallOptions) => Promise<T>): Promise<T> {
    if (!this.#limits.isUploadLimited) return send(options);
    const pace = this.#limits.uploadPace(sizeBytes, options.signal);
    if (this.#isPaced) return send(withPace(options, pace));
    await pace.take(sizeBytes);
    return send(options);
  }

  get #isPaced(): boolean {
    return 'isPaced' in this.#inner;
  }
}

function withPace(options: CallOptions, pace: Pace): PacedCallOptions {
  return { ...options, pace };
}
