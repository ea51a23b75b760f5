/** ID → name of the stored object, and back (repository design, section 3). */
import { type ObjectType, OBJECT_TYPES } from './header.ts';
import { fromHex, viewOf } from '../base/bytes.ts';
import {
  ID_BYTES, idBytes, type LedgerId, type PackId, parseLedgerId, parsePackId, parseReplicaRecordId, parseSegmentId, parseSessionId, parseSlotId,
  type ReplicaRecordId, type SegmentId, type SessionId, type SlotId, type SnapshotId,
} from './ids.ts';

export type PackType = 'data' | 'tree';

/** Prefixes for listings. */
export const PREFIXES = {
  slots: 'keys/',
  keyrings: 'keyring/',
  packs: 'packs/',
  dataPacks: 'packs/d/',
  treePacks: 'packs/t/',
  segments: 'index/',
  sessions: 'sessions/',
  snapshots: 'snapshots/',
  forgotten: 'forgotten/',
  gc: 'gc/',
  revoked: 'revoked/',
  rejected: 'rejected/',
  parity: 'parity/',
  ledger: 'ledger/',
  replicas: 'replicas/',
  quarantine: 'quarantine/',
  probe: 'probe/',
} as const;

/**
 * A number and the random part of its name: 16 hexadecimal digits on stores without create-only PUT, where two runs may
 * take the same number, else the empty text.
 */
export interface NumberedName {
  readonly number: number;
  readonly suffix: string;
}

/** What a name says about the object under it. */
export type ObjectRef =
  | { readonly kind: 'config' }
  | { readonly kind: 'slot'; readonly id: SlotId }
  | ({ readonly kind: 'keyring' } & NumberedName)
  | { readonly kind: 'pack'; readonly type: PackType; readonly id: PackId }
  | { readonly kind: 'segment'; readonly id: SegmentId }
  | { readonly kind: 'session'; readonly id: SessionId }
  | { readonly kind: 'heartbeat'; readonly id: SessionId; readonly count: number }
  | { readonly kind: 'snapshot' | 'forgotten' | 'revoked' | 'rejected'; readonly id: SnapshotId }
  | ({ readonly kind: 'gc-plan' | 'gc-sweep' | 'gc-done' } & NumberedName)
  | { readonly kind: 'parity'; readonly id: PackId }
  | { readonly kind: 'ledger'; readonly id: LedgerId }
  | { readonly kind: 'replica'; readonly id: ReplicaRecordId }
  | { readonly kind: 'quarantine'; readonly id: PackId }
  | { readonly kind: 'probe'; readonly random: string };

/** Largest number that ten decimal digits hold. */
export const MAX_OBJECT_NUMBER = 9_999_999_999;

export const configName = 'config';

export function slotName(id: SlotId): string {
  return PREFIXES.slots + id;
}

export function keyringName(number: number, suffix = ''): string {
  return PREFIXES.keyrings + formatNumbered(number, suffix);
}

export function packName(type: PackType, id: PackId): string {
  return `${type === 'data' ? PREFIXES.dataPacks : PREFIXES.treePacks}${id.slice(0, 2)}/${id}`;
}

export function segmentName(id: SegmentId): string {
  return PREFIXES.segments + id;
}

export function sessionName(id: SessionId): string {
  return PREFIXES.sessions + id;
}

export function heartbeatName(id: SessionId, count: number): string {
  if (!Number.isSafeInteger(count) || count < 0) throw new RangeError(`Not a heartbeat number: ${count}`);
  return `${PREFIXES.sessions}${id}.hb${count}`;
}

export function snapshotName(id: SnapshotId): string {
  return PREFIXES.snapshots + id;
}

export function forgottenName(id: SnapshotId): string {
  return PREFIXES.forgotten + id;
}

export function gcPlanName(number: number, suffix = ''): string {
  return PREFIXES.gc + formatNumbered(number, suffix);
}

export function gcSweepName(number: number, suffix = ''): string {
  return `${gcPlanName(number, suffix)}.sweep`;
}

export function gcDoneName(number: number, suffix = ''): string {
  return `${gcPlanName(number, suffix)}.done`;
}

export function revokedName(id: SnapshotId): string {
  return PREFIXES.revoked + id;
}

export function rejectedName(id: SnapshotId): string {
  return PREFIXES.rejected + id;
}

export function parityName(id: PackId): string {
  return PREFIXES.parity + id;
}

export function ledgerName(id: LedgerId): string {
  return PREFIXES.ledger + id;
}

export function replicaRecordName(id: ReplicaRecordId): string {
  return PREFIXES.replicas + id;
}

/** A damaged pack that a repair put aside: never read as a pack. */
export function quarantineName(id: PackId): string {
  return PREFIXES.quarantine + id;
}

/** `random` is 32 hexadecimal digits. */
export function probeName(random: string): string {
  return PREFIXES.probe + random;
}

function formatNumbered(number: number, suffix: string): string {
  if (!Number.isSafeInteger(number) || number < 1 || number > MAX_OBJECT_NUMBER) throw new RangeError(`Not an object number: ${number}`);
  if (!/^([0-9a-f]{16})?$/.test(suffix)) throw new RangeError(`Not a random part of a name: '${suffix}'`);
  return `${String(number).padStart(10, '0')}${suffix === '' ? '' : `-${suffix}`}`;
}

const ID_NAME = /^(keys|index|sessions|snapshots|forgotten|revoked|rejected|parity|ledger|replicas|quarantine|probe)\/([0-9a-f]{32})$/;
const PACK_NAME = /^packs\/([dt])\/([0-9a-f]{2})\/([0-9a-f]{32})$/;
const HEARTBEAT_NAME = /^sessions\/([0-9a-f]{32})\.hb(0|[1-9][0-9]{0,14})$/;
const NUMBERED_NAME = /^(keyring|gc)\/([0-9]{10})(?:-([0-9a-f]{16}))?(\.sweep|\.done)?$/;

/** The meaning of a name; undefined for a stray file, which is reported and otherwise left alone. */
export function parseObjectName(name: string): ObjectRef | undefined {
  if (name === configName) return { kind: 'config' };
  return parsePackName(name) ?? parseIdName(name) ?? parseHeartbeatName(name) ?? parseNumberedName(name);
}

function parsePackName(name: string): ObjectRef | undefined {
  const match = PACK_NAME.exec(name);
  if (match === null || !match[3]!.startsWith(match[2]!)) return undefined;
  return { kind: 'pack', type: match[1] === 'd' ? 'data' : 'tree', id: parsePackId(match[3]!) };
}

function parseIdName(name: string): ObjectRef | undefined {
  const match = ID_NAME.exec(name);
  if (match === null) return undefined;
  const id = match[2]!;
  switch (match[1]) {
    case 'keys': return { kind: 'slot', id: parseSlotId(id) };
    case 'index': return { kind: 'segment', id: parseSegmentId(id) };
    case 'sessions': return { kind: 'session', id: parseSessionId(id) };
    case 'snapshots': return { kind: 'snapshot', id: parseSessionId(id) };
    case 'forgotten': return { kind: 'forgotten', id: parseSessionId(id) };
    case 'revoked': return { kind: 'revoked', id: parseSessionId(id) };
    case 'rejected': return { kind: 'rejected', id: parseSessionId(id) };
    case 'parity': return { kind: 'parity', id: parsePackId(id) };
    case 'ledger': return { kind: 'ledger', id: parseLedgerId(id) };
    case 'replicas': return { kind: 'replica', id: parseReplicaRecordId(id) };
    case 'quarantine': return { kind: 'quarantine', id: parsePackId(id) };
    default: return { kind: 'probe', random: id };
  }
}

function parseHeartbeatName(name: string): ObjectRef | undefined {
  const match = HEARTBEAT_NAME.exec(name);
  return match === null ? undefined : { kind: 'heartbeat', id: parseSessionId(match[1]!), count: Number(match[2]) };
}

function parseNumberedName(name: string): ObjectRef | undefined {
  const match = NUMBERED_NAME.exec(name);
  if (match === null) return undefined;
  const number = Number(match[2]);
  const suffix = match[3] ?? '';
  if (number === 0) return undefined;
  if (match[1] === 'keyring') return match[4] === undefined ? { kind: 'keyring', number, suffix } : undefined;
  const kind = match[4] === undefined ? 'gc-plan' : match[4] === '.sweep' ? 'gc-sweep' : 'gc-done';
  return { kind, number, suffix };
}

/** Object ID of a numbered object: the number as u64, then the random part of the name or zeros. */
export function numberedObjectId(number: number, suffix = ''): Uint8Array<ArrayBuffer> {
  formatNumbered(number, suffix);
  const bytes = new Uint8Array(ID_BYTES);
  viewOf(bytes).setBigUint64(0, BigInt(number), true);
  bytes.set(fromHex(suffix), 8);
  return bytes;
}

/** The object ID that the header under this name must carry; undefined for config (its ID is the repository's), probes and what is in quarantine. */
export function objectIdOf(ref: ObjectRef): Uint8Array<ArrayBuffer> | undefined {
  switch (ref.kind) {
    case 'config':
    case 'quarantine':
    case 'probe': return undefined;
    case 'keyring':
    case 'gc-plan':
    case 'gc-sweep':
    case 'gc-done': return numberedObjectId(ref.number, ref.suffix);
    default: return idBytes(ref.id);
  }
}

/** The object types that may stand under this name. */
export function objectTypesOf(ref: ObjectRef): readonly ObjectType[] {
  switch (ref.kind) {
    case 'config': return [OBJECT_TYPES.config];
    case 'slot': return [OBJECT_TYPES.keySlot];
    case 'keyring': return [OBJECT_TYPES.keyring];
    case 'pack': return [ref.type === 'data' ? OBJECT_TYPES.dataPack : OBJECT_TYPES.treePack];
    case 'segment': return [OBJECT_TYPES.indexSegment];
    case 'session': return [OBJECT_TYPES.session];
    case 'heartbeat': return [OBJECT_TYPES.heartbeat];
    case 'snapshot': return [OBJECT_TYPES.snapshot, OBJECT_TYPES.tombstone];
    case 'forgotten': return [OBJECT_TYPES.forgotten];
    case 'revoked': return [OBJECT_TYPES.revoked];
    case 'rejected': return [OBJECT_TYPES.rejected];
    case 'gc-plan': return [OBJECT_TYPES.plan];
    case 'gc-sweep': return [OBJECT_TYPES.sweep];
    case 'gc-done': return [OBJECT_TYPES.done];
    case 'parity': return [OBJECT_TYPES.parity];
    case 'ledger': return [OBJECT_TYPES.ledger];
    case 'replica': return [OBJECT_TYPES.replica];
    case 'quarantine':
    case 'probe': return [];
  }
}
