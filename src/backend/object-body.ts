/** Bodies of requests and answers, whatever the protocol: in bounded memory, and none that is shorter or longer than it should be. */
import { Readable } from 'node:stream';
import { type Bytes, concatBytes } from '../base/bytes.ts';
import type { SnapError } from '../base/errors.ts';
import { KiB, MiB } from '../base/units.ts';
import { type Failure, objectError } from './object-errors.ts';
import { type Pace, pacedPieces } from './transfer-limits.ts';

/** Bodies up to this size are joined; larger ones are sent part by part, so that a pack is not held twice. */
const JOINED_BYTES: number = 1 * MiB;
/** Smaller parts of a large body are joined to pieces of about this size: each costs a system call. */
const PIECE_BYTES: number = 256 * KiB;

export function sizeOf(parts: readonly Bytes[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0);
}

/** For one request only: a large body is a stream. */
export function bodyOf(parts: readonly Bytes[], pace?: Pace): Bytes | Readable {
  const sizeBytes = sizeOf(parts);
  if (pace !== undefined && sizeBytes > 0) return Readable.from(pacedPieces(piecesOf(parts), pace), { objectMode: true, highWaterMark: 1 });
  return sizeBytes <= JOINED_BYTES ? concatBytes(parts) : Readable.from(piecesOf(parts));
}

function* piecesOf(parts: readonly Bytes[]): Generator<Bytes> {
  let small: Bytes[] = [];
  let smallBytes = 0;
  for (const part of parts) {
    small.push(part);
    smallBytes += part.length;
    if (smallBytes < PIECE_BYTES) continue;
    yield small.length === 1 ? part : concatBytes(small);
    small = [];
    smallBytes = 0;
  }
  if (smallBytes > 0) yield concatBytes(small);
}

/** Exactly `length` bytes. @throws UNAVAILABLE for an answer that is cut off; what `tooLong` makes for one that goes on */
export async function readExactly(
  failure: Failure, body: AsyncIterable<Uint8Array>, { length, pace }: { readonly length: number; readonly pace: Pace | undefined }, tooLong: () => SnapError,
): Promise<Uint8Array<ArrayBuffer>> {
  // Not zeroed first: only a completely filled array is handed out.
  const bytes = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
  let at = 0;
  for await (const piece of body) {
    if (at + piece.length > length) throw tooLong();
    await pace?.take(piece.length);
    bytes.set(piece, at);
    at += piece.length;
  }
  if (at < length) throw objectError('UNAVAILABLE', failure, `the answer ended after ${at} of ${length} bytes`);
  return bytes;
}
