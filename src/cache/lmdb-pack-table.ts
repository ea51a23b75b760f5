/** Packs, their numbers, and which segment lists which pack, in LMDB. */
import { equalBytes, toHex, viewOf, type Bytes } from '../base/bytes.ts';
import { invariant, SnapError } from '../base/errors.ts';
import { packIdFromBytes, segmentIdFromBytes, type PackId, type SegmentId } from '../format/ids.ts';
import type { PackNumber, PackRecord } from './cache.ts';
import { idKey, KEY_SPACE, metaKey, numberKey } from './lmdb-keys.ts';
import { getNumber, putNumber, type LmdbEnvironment } from './lmdb-environment.ts';
import type { LmdbStore } from './lmdb-store.ts';

/** The number that the next pack will get. */
const NEXT_NUMBER = metaKey('next pack number');
/** Counts changes of the set of segments. */
const SEGMENT_CHANGES = metaKey('segment changes');
/** Numbers are set aside in blocks, each with one flushed transaction. */
const BLOCK = 1024;
const MAX_NUMBER = 0xffff_ffff;

/** A pack as a segment describes it. `checksum`: 8 bytes over its chunk records, see `segment-reader.ts`. */
export interface PackClaim {
  readonly pack: Omit<PackRecord, 'number'>;
  readonly checksum: Bytes;
}

/** What the cache says of the pack of a claim. */
interface Standing {
  readonly former: PackNumber | undefined;
  readonly hasRecord: boolean;
  /** The record says exactly the same. */
  readonly isKnown: boolean;
}

export interface ClaimPlan extends Standing {
  readonly claim: PackClaim;
  readonly number: PackNumber;
}

export class LmdbPackTable {
  readonly #environment: LmdbEnvironment;
  readonly #store: LmdbStore;
  /** Reserved in this session, before their number is in LMDB. */
  readonly #reserved = new Map<PackId, PackNumber>();
  /** Block of numbers that only this object hands out: [next, end). */
  #next = 0;
  #end = 0;
  #segments = new Set<SegmentId>();
  #seenChanges = -1;

  constructor(environment: LmdbEnvironment) {
    this.#environment = environment;
    this.#store = environment.store;
  }

  number(id: PackId): PackNumber | undefined {
    const bytes = this.#store.peek(idKey(KEY_SPACE.packNumber, id));
    return bytes === undefined ? this.#reserved.get(id) : readNumber(bytes);
  }

  pack(number: PackNumber): PackRecord | undefined {
    const bytes = this.#store.get(numberKey(KEY_SPACE.pack, number));
    return bytes === undefined ? undefined : decodePack(number, bytes);
  }

  *packs(): Generator<PackRecord> {
    for (const { key, value } of this.#store.entries(numberKey(KEY_SPACE.pack))) yield decodePack(readNumber(key.subarray(1)), value);
  }

  highestNumber(): PackNumber {
    return Math.max(1, getNumber(this.#store, NEXT_NUMBER)) - 1;
  }

  /** A number that no pack ever had; it will never be given again, whatever happens. */
  #takeNumber(): PackNumber {
    if (this.#next === this.#end) this.#reserveBlock();
    return this.#next++;
  }

  /** The number is stored before or with everything that is written after this call. */
  reserve(id: PackId): PackNumber {
    const known = this.number(id);
    if (known !== undefined) return known;
    const number = this.#takeNumber();
    this.#reserved.set(id, number);
    this.#store.defer(() => this.#putNumber(id, number));
    return number;
  }

  /** Gives back what is left of the block, if it is still the last one. */
  returnNumbers(): void {
    if (this.#next === this.#end) return;
    this.#store.write(() => {
      if (getNumber(this.#store, NEXT_NUMBER) === this.#end) putNumber(this.#store, NEXT_NUMBER, this.#next);
    });
    this.#end = this.#next;
  }

  /** Segments whose content is here; the same object until that changes, by this or another process. */
  segments(): ReadonlySet<SegmentId> {
    const changes = getNumber(this.#store, SEGMENT_CHANGES);
    if (changes === this.#seenChanges) return this.#segments;
    this.#seenChanges = changes;
    this.#segments = new Set([...this.#store.keys(numberKey(KEY_SPACE.segment))].map(key => segmentIdFromBytes(key.subarray(1))));
    return this.#segments;
  }

  packsOf(id: SegmentId): PackNumber[] {
    return [...readList(this.#store.get(idKey(KEY_SPACE.segment, id)) ?? new Uint8Array(0))];
  }

  hasSegment(id: SegmentId): boolean {
    return this.#store.peek(idKey(KEY_SPACE.segment, id)) !== undefined;
  }

  /** What to do with a statement about a pack; the number it gets is taken at once. */
  planClaim(claim: PackClaim): ClaimPlan {
    const standing = this.#standing(claim);
    const { former, isKnown, hasRecord } = standing;
    // Another statement about a known pack gets a number of its own, so that old and new chunk records stay apart.
    const number = former !== undefined && (isKnown || !hasRecord) ? former : this.#takeNumber();
    return { ...standing, claim, number };
  }

  /** False when another process changed what the plan was made from. */
  isCurrent(plan: ClaimPlan): boolean {
    const { former, isKnown, hasRecord } = this.#standing(plan.claim);
    return former === plan.former && isKnown === plan.isKnown && hasRecord === plan.hasRecord;
  }

  /** Inside a transaction: stores a segment with its packs. The last word about a pack counts. */
  putSegment(id: SegmentId, plans: readonly ClaimPlan[]): void {
    const list = new Uint8Array(4 * plans.length);
    plans.forEach((plan, i) => viewOf(list).setUint32(4 * i, plan.number));
    this.#store.put(idKey(KEY_SPACE.segment, id), list);
    for (const { claim, number, former, isKnown } of plans) {
      if (isKnown) continue;
      if (former !== undefined && former !== number) this.#forgetPack(former);
      this.#putNumber(claim.pack.id, number);
      this.#store.put(numberKey(KEY_SPACE.pack, number), encodePack(claim));
    }
    this.#countChange();
  }

  /** Inside a transaction: forgets segments and the packs that no other segment lists. Returns the numbers of the packs. */
  removeSegments(ids: readonly SegmentId[]): PackNumber[] {
    const said = new Set<PackNumber>();
    for (const id of ids) {
      const key = idKey(KEY_SPACE.segment, id);
      for (const number of readList(this.#store.get(key) ?? new Uint8Array(0))) said.add(number);
      this.#store.remove(key);
    }
    for (const { value } of this.#store.entries(numberKey(KEY_SPACE.segment))) {
      for (const number of readList(value)) said.delete(number);
    }
    for (const number of said) this.#forgetPack(number);
    this.#countChange();
    return [...said];
  }

  /** Packs that are gone while runs may still hold chunk records of them, with how many. */
  deadPacks(): Map<PackNumber, number> {
    return new Map([...this.#store.entries(numberKey(KEY_SPACE.deadPack))].map(({ key, value }) => [readNumber(key.subarray(1)), readNumber(value)]));
  }

  /** Inside a transaction: no run holds records of these any more. */
  removeDeadPacks(numbers: Iterable<PackNumber>): void {
    for (const number of numbers) this.#store.remove(numberKey(KEY_SPACE.deadPack, number));
  }

  #standing(claim: PackClaim): Standing {
    const former = this.number(claim.pack.id);
    const record = former === undefined ? undefined : this.#store.peek(numberKey(KEY_SPACE.pack, former));
    const isKnown = record !== undefined && equalBytes(record.subarray(0, record.length), encodePack(claim));
    return { former, isKnown, hasRecord: record !== undefined };
  }

  #forgetPack(number: PackNumber): void {
    const record = this.pack(number);
    if (record === undefined) return;
    const key = idKey(KEY_SPACE.packNumber, record.id);
    const current = this.#store.peek(key);
    if (current !== undefined && readNumber(current) === number) this.#store.remove(key);
    this.#reserved.delete(record.id);
    this.#store.remove(numberKey(KEY_SPACE.pack, number));
    putNumber(this.#store, numberKey(KEY_SPACE.deadPack, number), record.chunkCount);
  }

  #reserveBlock(): void {
    const first = this.#environment.reserve(() => {
      const next = Math.max(1, getNumber(this.#store, NEXT_NUMBER));
      invariant(next + BLOCK <= MAX_NUMBER, 'The local cache has used all pack numbers; remove it');
      putNumber(this.#store, NEXT_NUMBER, next + BLOCK);
      return next;
    });
    this.#next = first;
    this.#end = first + BLOCK;
  }

  #putNumber(id: PackId, number: PackNumber): void {
    putNumber(this.#store, idKey(KEY_SPACE.packNumber, id), number);
  }

  #countChange(): void {
    putNumber(this.#store, SEGMENT_CHANGES, (getNumber(this.#store, SEGMENT_CHANGES) + 1) % MAX_NUMBER);
  }
}

/** 16 pack ID, 16 session ID, u64 size, u32 epoch, u32 chunks, u8 type, u8 suite, u16 zero, 8 checksum, frame records. */
const PACK_HEAD_BYTES = 60;

function encodePack({ pack, checksum }: PackClaim): Uint8Array {
  const bytes = new Uint8Array(PACK_HEAD_BYTES + pack.frames.length);
  const view = viewOf(bytes);
  bytes.set(Buffer.from(pack.id, 'hex'), 0);
  bytes.set(Buffer.from(pack.sessionId, 'hex').subarray(0, 16), 16);
  view.setBigUint64(32, BigInt(pack.sizeBytes));
  view.setUint32(40, pack.epoch);
  view.setUint32(44, pack.chunkCount);
  bytes[48] = pack.type === 'tree' ? 2 : 1;
  bytes[49] = pack.suite;
  bytes.set(checksum, 52);
  bytes.set(pack.frames, PACK_HEAD_BYTES);
  return bytes;
}

function decodePack(number: PackNumber, bytes: Uint8Array): PackRecord {
  if (bytes.length < PACK_HEAD_BYTES) {
    throw new SnapError('INTERNAL', `The local cache is damaged: pack ${number}`, { hint: 'Remove the cache; it is built again from the repository' });
  }
  const view = viewOf(bytes);
  return {
    number,
    id: packIdFromBytes(bytes.subarray(0, 16)),
    sessionId: toHex(bytes.subarray(16, 32)),
    sizeBytes: Number(view.getBigUint64(32)),
    epoch: view.getUint32(40),
    chunkCount: view.getUint32(44),
    type: bytes[48] === 2 ? 'tree' : 'data',
    suite: bytes[49]!,
    frames: bytes.subarray(PACK_HEAD_BYTES),
  };
}

function readNumber(bytes: Bytes): number {
  return ((bytes[0]! << 24) | (bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!) >>> 0;
}

function* readList(bytes: Bytes): Generator<number> {
  for (let at = 0; at + 4 <= bytes.length; at += 4) yield readNumber(bytes.subarray(at));
}
