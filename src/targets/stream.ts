/** Targets that are a stream, such as standard output: bytes in order, never faster than they are taken. */
import type { Writable } from 'node:stream';
import type { Bytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import { SnapError, throwIfAborted } from '../base/errors.ts';
import { failedWith, targetError } from './target-error.ts';

/** 'reader-gone': whoever read the stream has enough, as `head` has; nothing is wrong and nothing more is to be written. */
export type StreamOutcome = 'complete' | 'reader-gone';

/** Resolves when more may be written. */
export type StreamSink = (bytes: Bytes) => Promise<void>;

/** Ends the production of bytes that nobody reads; never leaves this file. */
class ReaderGone extends Error {
  override readonly name = 'ReaderGone';
}

/**
 * Lets `produce` write to the stream, and waits until the stream has passed everything on. The stream stays open.
 * @throws what `produce` throws; NO_SPACE, DENIED or TARGET_FAILED when the stream fails; CANCELLED
 */
export async function writeToStream(
  output: Writable, produce: (sink: StreamSink) => Promise<void>, options: CallOptions = {},
): Promise<StreamOutcome> {
  const stream = new PacedStream(output, options.signal);
  try {
    await produce(bytes => stream.write(bytes));
    await stream.write(new Uint8Array(0));
    return 'complete';
  } catch (error) {
    if (error instanceof ReaderGone) return 'reader-gone';
    throw error;
  } finally {
    stream.release();
  }
}

/** The same for the content of one file. */
export function writeContent(content: AsyncIterable<Bytes>, output: Writable, options: CallOptions = {}): Promise<StreamOutcome> {
  return writeToStream(output, async sink => {
    for await (const bytes of content) await sink(bytes);
  }, options);
}

/** Waits for each write: then back-pressure, errors and the end of the reader are known before the next one. */
class PacedStream {
  readonly #output: Writable;
  readonly #signal: AbortSignal | undefined;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;
  readonly #onError = (error: Error): void => this.#fail(error);
  readonly #onClose = (): void => this.#fail(new ReaderGone('The stream was closed'));
  readonly #onAbort = (): void => this.#wake?.();

  constructor(output: Writable, signal: AbortSignal | undefined) {
    this.#output = output;
    this.#signal = signal;
    output.on('error', this.#onError);
    output.on('close', this.#onClose);
    signal?.addEventListener('abort', this.#onAbort);
    if (output.destroyed || output.writableEnded) this.#onClose();
  }

  async write(bytes: Bytes): Promise<void> {
    this.#check();
    await new Promise<void>(resolve => {
      this.#wake = resolve;
      this.#output.write(bytes, error => {
        if (error !== null && error !== undefined) this.#fail(error);
        resolve();
      });
    });
    this.#wake = undefined;
    this.#check();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#wake?.();
  }

  #check(): void {
    throwIfAborted(this.#signal);
    if (this.#failure !== undefined) throw streamError(this.#failure);
  }

  /** A late error, for example of bytes still under way when the reader went, must not end the process. */
  release(): void {
    this.#output.off('close', this.#onClose);
    this.#signal?.removeEventListener('abort', this.#onAbort);
    if (this.#failure === undefined) this.#output.off('error', this.#onError);
  }
}

function streamError(failure: Error): Error {
  if (failure instanceof ReaderGone) return failure;
  if (failedWith(failure, 'EPIPE', 'ECONNRESET')) return new ReaderGone('The reader closed the stream', { cause: failure });
  const action = 'write to the stream';
  return 'errno' in failure ? targetError(action, failure) : new SnapError('TARGET_FAILED', `Cannot ${action}`, { cause: failure });
}
