/** Files on an SFTP server: many small requests on the way at once, in bounded memory. */
import { Semaphore } from '../base/concurrency.ts';
import type { Bytes } from '../base/bytes.ts';
import { KiB, MiB } from '../base/units.ts';
import { errnoOf, type NewFile, type OpenFile } from './local-filesystem.ts';
import type { SftpSession } from './sftp-session.ts';

/** A fifth less CPU time than with 32 KiB, and hardly more than with 256 KiB. For servers that take less the client cuts it. */
const PIECE_BYTES: number = 64 * KiB;
/** Of one file, sent before the first answer is back: 2 MiB, as much as one window of OpenSSH. */
const PIECES_AT_ONCE: number = 2 * MiB / PIECE_BYTES;

/** A handle lives and dies with its session. */
export interface SftpHandle {
  readonly session: SftpSession;
  readonly handle: Buffer;
  /** Called once when it is closed. */
  readonly release: () => void;
}

export class SftpNewFile implements NewFile {
  readonly #file: SftpHandle;
  readonly #explain: (error: unknown) => Promise<unknown>;
  #position = 0;

  /** @param explain finds out more about a failure that has no reason */
  constructor(file: SftpHandle, explain: (error: unknown) => Promise<unknown>) {
    this.#file = file;
    this.#explain = explain;
  }

  async write(parts: readonly Bytes[]): Promise<void> {
    await inPieces(piecesOf(parts), async piece => {
      const at = this.#position;
      this.#position += piece.length;
      try {
        await this.#file.session.request((sftp, done) => sftp.write(this.#file.handle, piece, 0, piece.length, at, done));
      } catch (error) {
        throw await this.#explain(error);
      }
    });
  }

  async sync(): Promise<void> {
    try {
      await this.#file.session.request((sftp, done) => sftp.ext_openssh_fsync(this.#file.handle, done));
    } catch (error) {
      // Servers without it write when they like; docs/backends.md says what that means.
      if (errnoOf(error) !== 'ENOTSUP') throw await this.#explain(error);
    }
  }

  async close(): Promise<void> {
    try {
      await this.#file.session.request((sftp, done) => sftp.close(this.#file.handle, done));
    } catch (error) {
      throw await this.#explain(error);
    } finally {
      this.#file.release();
    }
  }
}

export class SftpOpenFile implements OpenFile {
  /** Objects never change, so that one look is enough. */
  knownSize = 0;
  readonly #file: SftpHandle;

  constructor(file: SftpHandle) {
    this.#file = file;
  }

  async sizeBytes(): Promise<number> {
    return this.knownSize;
  }

  async read(target: Uint8Array<ArrayBuffer>, position: number): Promise<number> {
    const buffer = Buffer.from(target.buffer, target.byteOffset, target.length);
    let end = target.length;
    await inPieces(offsetsOf(target.length), async offset => {
      const length = Math.min(PIECE_BYTES, target.length - offset);
      const filled = await this.#fill(buffer.subarray(offset, offset + length), position + offset);
      if (filled < length) end = Math.min(end, offset + filled);
    });
    return end;
  }

  async close(): Promise<void> {
    // Nobody waits for it: what was read does not depend on the answer.
    void closeQuietly(this.#file.session, this.#file.handle).finally(this.#file.release);
  }

  async #fill(target: Buffer, position: number): Promise<number> {
    let filled = 0;
    while (filled < target.length) {
      const at = filled;
      const count = await this.#file.session.request<number>((sftp, done) => sftp.read(this.#file.handle, target, at, target.length - at, position + at, done));
      if (count === 0) break;
      filled += count;
    }
    return filled;
  }
}

/** At most `PIECES_AT_ONCE` under way; after a failure nothing new begins, and its error is thrown when all have ended. */
async function inPieces<P>(pieces: Iterable<P>, send: (piece: P) => Promise<void>): Promise<void> {
  const gate = new Semaphore(PIECES_AT_ONCE);
  const running: Promise<void>[] = [];
  let failure: { readonly error: unknown } | undefined;
  for (const piece of pieces) {
    await gate.acquire();
    if (failure !== undefined) break;
    running.push(send(piece).catch((error: unknown) => { failure ??= { error }; }).finally(() => gate.release()));
  }
  await Promise.all(running);
  if (failure !== undefined) throw failure.error;
}

function* offsetsOf(length: number): Generator<number> {
  for (let offset = 0; offset < length; offset += PIECE_BYTES) yield offset;
}

/** Cuts long parts and joins short ones. */
function* piecesOf(parts: readonly Bytes[]): Generator<Buffer> {
  let joined: Buffer = Buffer.allocUnsafe(PIECE_BYTES);
  let filled = 0;
  for (const part of parts) {
    for (let at = 0; at < part.length;) {
      if (filled === 0 && part.length - at >= PIECE_BYTES) {
        yield Buffer.from(part.buffer, part.byteOffset + at, PIECE_BYTES);
        at += PIECE_BYTES;
        continue;
      }
      const count = Math.min(part.length - at, PIECE_BYTES - filled);
      joined.set(part.subarray(at, at + count), filled);
      at += count;
      filled += count;
      if (filled < PIECE_BYTES) continue;
      yield joined;
      joined = Buffer.allocUnsafe(PIECE_BYTES);
      filled = 0;
    }
  }
  if (filled > 0) yield joined.subarray(0, filled);
}

/** For handles that were only read from. */
export async function closeQuietly(session: SftpSession, handle: Buffer): Promise<void> {
  try {
    await session.request((sftp, done) => sftp.close(handle, done));
  } catch (error) {
    // With the connection it is closed anyway.
    if (errnoOf(error) === '') throw error;
  }
}
