/** A stream that somebody else opened, such as our own standard input, as one file. */
import type { Readable } from 'node:stream';
import type { Bytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import { cancelled, invariant, SnapError, throwIfAborted } from '../base/errors.ts';
import type { StreamSource } from './source.ts';

/** @param name file name under which the stream is stored, one component. @throws RangeError for a name that is none */
export function openStdin(input: Readable, name: Bytes): StreamSource {
  return new StdinSource(input, checkedName(name));
}

export function checkedName(name: Bytes): Bytes {
  const isDots = name.every(byte => byte === 0x2e) && name.length <= 2;
  if (isDots || name.includes(0x2f) || name.includes(0)) throw new RangeError('The name of a stream is one path component');
  return name;
}

class StdinSource implements StreamSource {
  readonly kind = 'stream';
  readonly name: Bytes;
  readonly #input: Readable;
  #state: 'unread' | 'reading' | 'ended' | 'failed' = 'unread';
  #failure: unknown;

  constructor(input: Readable, name: Bytes) {
    this.#input = input;
    this.name = name;
  }

  async *content({ signal }: CallOptions = {}): AsyncGenerator<Bytes, void, undefined> {
    invariant(this.#state === 'unread', 'A stream is read a second time');
    this.#state = 'reading';
    try {
      yield* readBytes(this.#input, signal);
      this.#state = 'ended';
    } catch (error) {
      this.#state = 'failed';
      this.#failure = error;
      throw error instanceof SnapError ? error : this.#failed();
    }
  }

  async finish(): Promise<void> {
    if (this.#state !== 'ended') throw this.#failed();
  }

  #failed(): SnapError {
    return new SnapError('SOURCE_FAILED', 'Standard input was not read to its end', { cause: this.#failure });
  }
}

/** The bytes of a stream until it ends; destroys it when the signal aborts or the caller stops early. @throws CANCELLED */
export async function* readBytes(input: Readable, signal: AbortSignal | undefined): AsyncGenerator<Bytes, void, undefined> {
  throwIfAborted(signal);
  const abort = (): void => void input.destroy(cancelled(signal));
  signal?.addEventListener('abort', abort, { once: true });
  try {
    for await (const piece of input) {
      throwIfAborted(signal);
      // Text means that somebody set an encoding, which would have damaged the bytes already.
      invariant(piece instanceof Uint8Array, 'A stream delivers text instead of bytes');
      if (piece.length > 0) yield piece;
    }
    throwIfAborted(signal);
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}
