/**
 * Messages between the pool and its workers, with their transfer lists. What is sent is always packed into memory that
 * holds nothing else: a view of a larger buffer would be sent with the whole buffer, and a pooled one silently copied.
 */
import type { MessagePort, TransferListItem } from 'node:worker_threads';
import type { Bytes } from '../base/bytes.ts';
import { SnapError, type SnapErrorCode } from '../base/errors.ts';
import { releaseMemory } from '../base/release-memory.ts';
import type { IndexAccess, PackNumber } from '../cache/cache.ts';
import type { ExtractBatch, FileGroup, FileSegment, IngestBatch, IngestResult, OpenedFrame, PackGrant, SealedFrame } from './engine.ts';
import type { ExtractKeys } from './extract.ts';
import type { IngestParameters } from './ingest.ts';
import { ownMemory, packParts } from './own-memory.ts';

/** `workerData` of a worker. */
export interface WorkerStart {
  /** Words, see below. */
  readonly signals: SharedArrayBuffer;
  /** Where a worker that ran out of grants waits for one more. */
  readonly grants: MessagePort;
}

/** Jobs that a worker has at once: one that runs and one that waits, so that it never stands idle between two. */
export const JOBS_PER_WORKER = 2;
/** Words of `signals`: a counter of grants sent on the port, and a stop flag for each job slot. */
export const GRANT_SIGNAL = 0;
export const STOP_SIGNALS = 1;
export const SIGNAL_WORDS: number = STOP_SIGNALS + JOBS_PER_WORKER;

export type Request =
  | { readonly kind: 'begin-ingest'; readonly setup: IngestParameters; readonly index: IndexAccess; readonly claims: SharedArrayBuffer; readonly openPacks: number }
  | { readonly kind: 'ingest'; readonly slot: number; readonly batch: IngestBatch; readonly grants: readonly PackGrant[] }
  | { readonly kind: 'end-ingest' }
  | { readonly kind: 'begin-extract'; readonly keys: ExtractKeys }
  | { readonly kind: 'extract'; readonly slot: number; readonly batch: ExtractBatch };

export type ToWorker = { readonly kind: 'request'; readonly id: number; readonly request: Request } | { readonly kind: 'close' };

/** The value that answers a request. */
export type Reply =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'ingested'; readonly result: IngestResult; readonly grantsTaken: number }
  | { readonly kind: 'extracted'; readonly frames: readonly OpenedFrame[] };

export interface ErrorText {
  readonly code: SnapErrorCode;
  readonly message: string;
  readonly hint: string | undefined;
  readonly context: Readonly<Record<string, string | number>>;
  readonly stack: string | undefined;
}

export type FromWorker =
  | { readonly kind: 'reply'; readonly id: number; readonly reply: Reply }
  | { readonly kind: 'error'; readonly id: number; readonly error: ErrorText }
  | { readonly kind: 'frames'; readonly frames: readonly SealedFrame[] }
  | { readonly kind: 'pack-full'; readonly pack: PackNumber }
  | { readonly kind: 'grant-wanted' };

export interface Parcel<M> {
  readonly message: M;
  readonly transfer: TransferListItem[];
}

// --- to a worker ---

export function parcelIngest(slot: number, batch: IngestBatch, grants: readonly PackGrant[]): Parcel<Request> {
  const parcel = parcelBatch(batch);
  return { message: { kind: 'ingest', slot, batch: parcel.message, grants }, transfer: parcel.transfer };
}

function parcelBatch(batch: IngestBatch): Parcel<IngestBatch> {
  switch (batch.kind) {
    case 'files': {
      const { memory, views } = packParts(batch.groups.flatMap(group => [group.directory, group.names, group.stats]));
      const groups = batch.groups.map((group, i): FileGroup => ({
        directory: views[3 * i]!, names: views[3 * i + 1]!, stats: views[3 * i + 2]!, count: group.count,
      }));
      return { message: { ...batch, groups }, transfer: [memory] };
    }
    case 'segment': {
      const { start, end, stopAt } = batch.segment;
      const { memory, views } = packParts([batch.segment.directory, batch.segment.name, batch.segment.stat]);
      const segment: FileSegment = {
        directory: views[0]!, name: views[1]!, stat: views[2]!, start, end, ...(stopAt === undefined ? {} : { stopAt: stopAt.slice() }),
      };
      return { message: { ...batch, segment }, transfer: [memory] };
    }
    case 'stream': {
      const bytes = ownMemory(batch.piece.bytes);
      return { message: { ...batch, piece: { ...batch.piece, bytes } }, transfer: [bytes.buffer] };
    }
  }
}

/** The grant in memory of its own; the key of the original is wiped. Whoever sends it wipes it after sending. */
export function moveGrant(grant: PackGrant): PackGrant {
  const moved = { ...grant, frameKey: grant.frameKey.slice(), framePrefix: grant.framePrefix.slice() };
  grant.frameKey.fill(0);
  return moved;
}

export function parcelExtract(slot: number, batch: ExtractBatch): Parcel<Request> {
  const { memory, views } = packParts([batch.frameKey, batch.framePrefix, ...batch.frames.flatMap(frame => [frame.stored, frame.chunks])]);
  const frames = batch.frames.map((frame, i) => ({ ...frame, stored: views[2 + 2 * i]!, chunks: views[3 + 2 * i]! }));
  return { message: { kind: 'extract', slot, batch: { ...batch, frameKey: views[0]!, framePrefix: views[1]!, frames } }, transfer: [memory] };
}

/**
 * Gives back the memory of a request that is answered; no view of it may be used any more. A worker makes so little garbage of
 * its own that it would collect these only when they come to tens of megabytes.
 */
export function releaseRequest(request: Request): void {
  const part = requestPart(request);
  if (part !== undefined) releaseMemory([new Uint8Array(part.buffer)]);
}

/** A view of the one piece of memory with which the request came. */
function requestPart(request: Request): Bytes | undefined {
  if (request.kind === 'extract') return request.batch.frameKey;
  if (request.kind !== 'ingest') return undefined;
  const { batch } = request;
  switch (batch.kind) {
    case 'files': return batch.groups[0]?.directory;
    case 'segment': return batch.segment.directory;
    case 'stream': return batch.piece.bytes;
  }
}

// --- from a worker ---

export function parcelFrames(frames: readonly SealedFrame[]): Parcel<FromWorker> {
  return { message: { kind: 'frames', frames }, transfer: frames.flatMap(frame => [frame.stored.buffer, frame.chunks.buffer]) };
}

export function parcelReply(id: number, reply: Reply): Parcel<FromWorker> {
  return { message: { kind: 'reply', id, reply }, transfer: transferOf(reply) };
}

function transferOf(reply: Reply): TransferListItem[] {
  switch (reply.kind) {
    case 'nothing': return [];
    case 'ingested': return [reply.result.items.buffer, reply.result.references.buffer];
    case 'extracted': return reply.frames.flatMap(frame => frame.content === undefined ? [] : [frame.content.buffer]);
  }
}

/** Errors lose their class on the way, so the facts travel. */
export function encodeError(error: unknown): ErrorText {
  const stack = error instanceof Error ? error.stack : undefined;
  if (error instanceof SnapError) return { code: error.code, message: error.message, hint: error.hint, context: error.context, stack };
  return { code: 'INTERNAL', message: `A worker thread failed: ${String(error)}`, hint: undefined, context: {}, stack };
}

export function decodeError({ code, message, hint, context, stack }: ErrorText): SnapError {
  const cause = new Error(message);
  if (stack !== undefined) cause.stack = stack;
  return new SnapError(code, message, { hint, context, cause });
}
