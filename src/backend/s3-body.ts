/** Bodies of S3 requests and answers: in bounded memory, and none that is shorter or longer than it should be. */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { type GetObjectCommandOutput, PutObjectCommand, type PutObjectCommandInput } from '@aws-sdk/client-s3';
import { type Bytes, concatBytes } from '../base/bytes.ts';
import type { SnapError } from '../base/errors.ts';
import { KiB, MiB } from '../base/units.ts';
import type { ByteRange } from './backend.ts';
import { MAX_READ_BYTES } from './object-arguments.ts';
import { type Failure, invalidRange, objectError } from './object-errors.ts';
import { type Pace, pacedPieces } from './transfer-limits.ts';

/** Bodies up to this size are joined; larger ones are sent part by part, so that a pack is not held twice. */
const JOINED_BYTES: number = 1 * MiB;
/** Smaller parts of a large body are joined to pieces of about this size: each costs a system call. */
const PIECE_BYTES: number = 256 * KiB;

export type PutInput = Omit<PutObjectCommandInput, 'Body' | 'ContentLength' | 'ChecksumSHA256'>;

export interface Upload {
  readonly sizeBytes: number;
  /** SHA-256 of all parts in base64. */
  readonly checksum: string;
  /** A command may be sent once only: its body is a stream. */
  command(input: PutInput, withChecksum: boolean, pace?: Pace): PutObjectCommand;
}

/**
 * One digest serves twice: it signs the body, as every server checks, and is the checksum that newer ones store and return.
 */
export function uploadOf(parts: readonly Bytes[]): Upload {
  const sizeBytes = parts.reduce((sum, part) => sum + part.length, 0);
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  const digest = hash.digest();
  const checksum = digest.toString('base64');
  const command = (input: PutInput, withChecksum: boolean, pace?: Pace): PutObjectCommand => {
    const put = new PutObjectCommand({
      ...input, ContentLength: sizeBytes, Body: bodyOf(parts, sizeBytes, pace),
      ...(withChecksum ? { ChecksumSHA256: checksum } : {}),
    });
    put.middlewareStack.add(next => args => {
      (args.request as { headers: Record<string, string> }).headers['x-amz-content-sha256'] = digest.toString('hex');
      return next(args);
    }, { step: 'build', name: 'payloadHashOfSnap' });
    return put;
  };
  return { sizeBytes, checksum, command };
}

function bodyOf(parts: readonly Bytes[], sizeBytes: number, pace: Pace | undefined): Bytes | Readable {
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

/** @throws INVALID_RANGE when the range is not fully there; UNAVAILABLE for an answer that is cut off */
export async function readBody(failure: Failure, answer: GetObjectCommandOutput, range: ByteRange | undefined, pace?: Pace): Promise<Uint8Array<ArrayBuffer>> {
  const body = answer.Body as Readable | undefined;
  const { ContentLength: length } = answer;
  if (body === undefined) throw notS3(failure);
  try {
    // Every S3 server names the version; a page of a portal does not.
    if (length === undefined || answer.ETag === undefined) throw notS3(failure);
    checkLength(failure, answer, length, range);
    // Not zeroed first: only a completely filled array is handed out.
    const bytes = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
    let at = 0;
    for await (const piece of body as AsyncIterable<Uint8Array>) {
      if (at + piece.length > length) throw notS3(failure);
      await pace?.take(piece.length);
      bytes.set(piece, at);
      at += piece.length;
    }
    if (at < length) throw objectError('UNAVAILABLE', failure, `the answer ended after ${at} of ${length} bytes`);
    return bytes;
  } finally {
    body.destroy();
  }
}

function checkLength(failure: Failure, { ContentRange }: GetObjectCommandOutput, length: number, range: ByteRange | undefined): void {
  if (range === undefined) {
    if (length > MAX_READ_BYTES) throw invalidRange(failure, { offset: 0, length }, length);
    return;
  }
  const [, start, total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(ContentRange ?? '') ?? [];
  if (start === undefined) throw objectError('DENIED', failure, 'the server ignores that only a part was asked for', { hint: 'Use another storage' });
  if (length < range.length && Number(total) < range.offset + range.length) throw invalidRange(failure, range, Number(total));
  if (length !== range.length || Number(start) !== range.offset) throw notS3(failure);
}

/** The answer lacks or contradicts what the protocol demands: a portal or proxy has answered, or the server is at fault. */
export function notS3(failure: Failure, reason = 'the answer is not that of an S3 server'): SnapError {
  return objectError('UNAVAILABLE', failure, reason, { context: { effectUnknown: 1 }, hint: 'Check the address of the server and what lies in between' });
}
