/** Bodies of session and heartbeat (repository design, section 4.4). Times in ms since 1970. */
import type { Bytes } from '../base/bytes.ts';
import { bodyCodec, type BodyCodec, choice, fixedBytes, id, list, mapOf, optional, optionalList, required, text, tuple, uint } from './body-codec.ts';
import { unsupported } from './decode-error.ts';
import { CHUNK_ID_BYTES, type ChunkId, type HostId, type SnapshotId } from './ids.ts';
import type { ValueCodec } from './body-codec.ts';

export const SESSION_KINDS = ['writer', 'reader', 'copy'] as const;
export type SessionKind = (typeof SESSION_KINDS)[number];

/** A snapshot that a reader keeps alive; the roots stand here because prune deletes the record of a forgotten snapshot. */
export interface Pin {
  readonly snapshotId: SnapshotId;
  readonly rootNodes: readonly ChunkId[];
}

/** Registration of a running writer or reader. */
export interface Session {
  readonly kind: SessionKind;
  readonly host: string;
  readonly hostId: HostId;
  readonly user: string;
  readonly processId: number;
  readonly startedAt: number;
  readonly program: string;
  /** Never of a writer. */
  readonly pins: readonly Pin[];
}

export interface Heartbeat {
  /** Number of this heartbeat, as in its name. */
  readonly count: number;
  readonly createdAt: number;
  /** Reserved: highest gc number against which the session checked its references. */
  readonly seenGc?: number | undefined;
}

const chunkId = fixedBytes(CHUNK_ID_BYTES) as ValueCodec<Bytes> as ValueCodec<ChunkId>;

const sessionBody: BodyCodec<Session> = bodyCodec('session', mapOf<Session>({
  kind: required(1, choice(SESSION_KINDS, number => unsupported('session', `session kind ${number}`, { kind: number }))),
  host: required(2, text),
  hostId: required(3, id<HostId>()),
  user: required(4, text),
  processId: required(5, uint()),
  startedAt: required(6, uint()),
  program: required(7, text),
  pins: optionalList(8, tuple<Pin>([['snapshotId', id<SnapshotId>()], ['rootNodes', list(chunkId)]])),
}, session => session.kind === 'writer' && session.pins.length > 0 ? 'a writer has pins' : undefined));

const heartbeatBody: BodyCodec<Heartbeat> = bodyCodec('heartbeat', mapOf<Heartbeat>({
  count: required(1, uint()),
  createdAt: required(2, uint()),
  seenGc: optional(3, uint()),
}));

/** Encoders throw a RangeError for values that the decoder would refuse, decoders OBJECT_CORRUPT and UNSUPPORTED_FORMAT. */
export const encodeSession: (session: Session) => Uint8Array<ArrayBuffer> = sessionBody.encode;
export const decodeSession: (body: Bytes) => Session = sessionBody.decode;
export const encodeHeartbeat: (heartbeat: Heartbeat) => Uint8Array<ArrayBuffer> = heartbeatBody.encode;
export const decodeHeartbeat: (body: Bytes) => Heartbeat = heartbeatBody.decode;
