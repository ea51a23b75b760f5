/** Branded identifiers. Random 128-bit IDs are 32 lowercase hexadecimal digits; chunk IDs stay 32 raw bytes. */
import { type Bytes, fromHex, toHex } from '../base/bytes.ts';

declare const brand: unique symbol;
type Branded<Base, Name extends string> = Base & { readonly [brand]: Name };

/** 32 bytes: keyed BLAKE3 of the content of a chunk or tree node. */
export type ChunkId = Branded<Uint8Array<ArrayBufferLike>, 'ChunkId'>;
export type PackId = Branded<string, 'PackId'>;
export type SegmentId = Branded<string, 'SegmentId'>;
export type SessionId = Branded<string, 'SessionId'>;
export type SlotId = Branded<string, 'SlotId'>;
export type LedgerId = Branded<string, 'LedgerId'>;
export type ReplicaRecordId = Branded<string, 'ReplicaRecordId'>;
export type RepositoryId = Branded<string, 'RepositoryId'>;
/** Identity of one installation; two clones of a machine share a host name but should not share this. */
export type HostId = Branded<string, 'HostId'>;
/** Identity of one maintenance run, in its gc plan. */
export type RunId = Branded<string, 'RunId'>;
/** The session that commits a snapshot gives it its ID. */
export type SnapshotId = SessionId;

export const ID_BYTES = 16;
export const CHUNK_ID_BYTES = 32;

type HexId = PackId | SegmentId | SessionId | SlotId | LedgerId | ReplicaRecordId | RepositoryId | HostId | RunId;

/** True for 32 lowercase hexadecimal digits. */
export function isIdText(text: string): boolean {
  return /^[0-9a-f]{32}$/.test(text);
}

function parseId<Id extends HexId>(text: string): Id {
  if (!isIdText(text)) throw new RangeError(`Not an ID of 32 lowercase hexadecimal digits: '${text.slice(0, 80)}'`);
  return text as Id;
}

function idFromBytes<Id extends HexId>(bytes: Bytes): Id {
  if (bytes.length !== ID_BYTES) throw new RangeError(`An ID has ${ID_BYTES} bytes, not ${bytes.length}`);
  return toHex(bytes) as Id;
}

/** The parse functions and `…FromBytes` throw a RangeError for anything but 32 digits or 16 bytes. */
export const parsePackId: (text: string) => PackId = parseId<PackId>;
export const parseSegmentId: (text: string) => SegmentId = parseId<SegmentId>;
export const parseSessionId: (text: string) => SessionId = parseId<SessionId>;
export const parseSnapshotId: (text: string) => SnapshotId = parseId<SnapshotId>;
export const parseSlotId: (text: string) => SlotId = parseId<SlotId>;
export const parseLedgerId: (text: string) => LedgerId = parseId<LedgerId>;
export const parseReplicaRecordId: (text: string) => ReplicaRecordId = parseId<ReplicaRecordId>;
export const parseRepositoryId: (text: string) => RepositoryId = parseId<RepositoryId>;
export const parseHostId: (text: string) => HostId = parseId<HostId>;
export const parseRunId: (text: string) => RunId = parseId<RunId>;

export const packIdFromBytes: (bytes: Bytes) => PackId = idFromBytes<PackId>;
export const segmentIdFromBytes: (bytes: Bytes) => SegmentId = idFromBytes<SegmentId>;
export const sessionIdFromBytes: (bytes: Bytes) => SessionId = idFromBytes<SessionId>;
export const slotIdFromBytes: (bytes: Bytes) => SlotId = idFromBytes<SlotId>;
export const ledgerIdFromBytes: (bytes: Bytes) => LedgerId = idFromBytes<LedgerId>;
export const replicaRecordIdFromBytes: (bytes: Bytes) => ReplicaRecordId = idFromBytes<ReplicaRecordId>;
export const repositoryIdFromBytes: (bytes: Bytes) => RepositoryId = idFromBytes<RepositoryId>;
export const hostIdFromBytes: (bytes: Bytes) => HostId = idFromBytes<HostId>;
export const runIdFromBytes: (bytes: Bytes) => RunId = idFromBytes<RunId>;

/** The 16 bytes of a hexadecimal ID, newly allocated. */
export function idBytes(id: HexId): Uint8Array<ArrayBuffer> {
  return fromHex(id);
}

/** Marks 32 bytes as a chunk ID, without a copy. @throws RangeError for another length. */
export function chunkIdFromBytes(bytes: Bytes): ChunkId {
  if (bytes.length !== CHUNK_ID_BYTES) throw new RangeError(`A chunk ID has ${CHUNK_ID_BYTES} bytes, not ${bytes.length}`);
  return bytes as ChunkId;
}

/** Key of a chunk ID in a `Map` or `Set`: its 32 bytes as characters 0 to 255. Not for printing; see `toHex`. */
export function chunkIdKey(id: ChunkId): string {
  return Buffer.from(id.buffer, id.byteOffset, CHUNK_ID_BYTES).toString('latin1');
}

/** The reverse of `chunkIdKey`. */
export function chunkIdFromKey(key: string): ChunkId {
  const bytes = new Uint8Array(CHUNK_ID_BYTES);
  for (let i = 0; i < CHUNK_ID_BYTES; i++) bytes[i] = key.charCodeAt(i);
  return bytes as Uint8Array<ArrayBufferLike> as ChunkId;
}
