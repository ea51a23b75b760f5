/** Bodies of session and heartbeat (repository design, section 4.4). Times in ms since 1970. */
import type { Bytes } from '../base/bytes.ts';
import { bodyCodec, type BodyCodec, choice, fixedBytes, id, list, mapOf, optional, optionalList, required, text, uint } from './body-codec.ts';
import { unsupported } from './decode-error.ts';
import { CHUNK_ID_BYTES, type ChunkId, type HostId, type SnapshotId } from './ids.ts';
import type { ValueCodec } from './body-codec.ts';

export const SESSION_KINDS = ['writer', 'reader', 'copy'] as const;
export type SessionKind = (typeof SESSION_KINDS)[number];

/** A snapshot that a reader keeps alive; the roots stand here because prune deletes the record of a forgotten snapshot. */
export interface Pin {
  readonly snapshotId: SnapshotId;
  readonly rootNodes: readonly ChunkId[];
  /** Data chunks that the root entries name themselves; at least one, absent when there are none. */
  readonly dataChunks?: readonly ChunkId[] | undefined;
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
const sessionId: ValueCodec<SnapshotId> = id<SnapshotId>();
const chunkIds: ValueCodec<readonly ChunkId[]> = list(chunkId);

/** Two values, or three with data chunks: readers of most snapshots need none, and older versions know only two. */
const pin: ValueCodec<Pin> = {
  write(writer, { snapshotId, rootNodes, dataChunks = [] }) {
    writer.array(dataChunks.length === 0 ? 2 : 3);
    sessionId.write(writer, snapshotId);
    chunkIds.write(writer, rootNodes);
    if (dataChunks.length > 0) chunkIds.write(writer, dataChunks);
  },
  read(reader) {
    const values = reader.array(3);
    if (values < 2) throw reader.fail(`a pin of ${values} values`);
    const pinned: Pin = { snapshotId: sessionId.read(reader), rootNodes: chunkIds.read(reader) };
    const dataChunks = values === 3 ? chunkIds.read(reader) : undefined;
    if (dataChunks?.length === 0) throw reader.fail('a pin with an empty list of data chunks');
    reader.close();
    return dataChunks === undefined ? pinned : { ...pinned, dataChunks };
  },
};

const sessionBody: BodyCodec<Session> = bodyCodec('session', mapOf<Session>({
  kind: required(1, choice(SESSION_KINDS, number => unsupported('session', `session kind ${number}`, { kind: number }))),
  host: required(2, text),
  hostId: required(3, id<HostId>()),
  user: required(4, text),
  processId: required(5, uint()),
  startedAt: required(6, uint()),
  program: required(7, text),
  pins: optionalList(8, pin),
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
