/** Bodies of S3 requests and answers: in bounded memory, and none that is shorter or longer than it should be. */
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { type GetObjectCommandOutput, PutObjectCommand, type PutObjectCommandInput } from '@aws-sdk/client-s3';
import type { Bytes } from '../base/bytes.ts';
import type { SnapError } from '../base/errors.ts';
import type { ByteRange } from './backend.ts';
import { MAX_READ_BYTES } from './object-arguments.ts';
import { bodyOf, readExactly, sizeOf } from './object-body.ts';
import { type Failure, invalidRange, objectError } from './object-errors.ts';
import type { Pace } from './transfer-limits.ts';

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
  const sizeBytes = sizeOf(parts);
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  const digest = hash.digest();
  const checksum = digest.toString('base64');
  const command = (input: PutInput, withChecksum: boolean, pace?: Pace): PutObjectCommand => {
    const put = new PutObjectCommand({
      ...input, ContentLength: sizeBytes, Body: bodyOf(parts, pace),
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

/** @throws INVALID_RANGE when the range is not fully there; UNAVAILABLE for an answer that is cut off */
export async function readBody(failure: Failure, answer: GetObjectCommandOutput, range: ByteRange | undefined, pace?: Pace): Promise<Uint8Array<ArrayBuffer>> {
  const body = answer.Body as Readable | undefined;
  const { ContentLength: length } = answer;
  if (body === undefined) throw notS3(failure);
  try {
    // Every S3 server names the version; a page of a portal does not.
    if (length === undefined || answer.ETag === undefined) throw notS3(failure);
    checkLength(failure, answer, length, range);
    return await readExactly(failure, body, { length, pace }, () => notS3(failure));
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
