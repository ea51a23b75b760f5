/**
 * Watches every change of the storage and says when a promise breaks: closure (I2), order of writing (I1), names (I3), and that
 * nothing is deleted or revoked without the document that allows it (I5, I6). It decodes the stored bytes with the codecs of the
 * format and keeps its own books; it uses none of the code that decides about sessions, indexes, marks or sweeps.
 */
import { createHash } from 'node:crypto';
import type { ReadBackend } from '../../src/backend/backend.ts';
import { equalBytes, type Bytes } from '../../src/base/bytes.ts';
import { decodePlan, decodeSweep, unpackPackIds } from '../../src/format/gc-documents.ts';
import { decodeHeader, OBJECT_TYPES } from '../../src/format/header.ts';
import { decodeIndexSegment } from '../../src/format/index-segment.ts';
import type { SnapshotId } from '../../src/format/ids.ts';
import { forgottenName, gcPlanName, gcSweepName, parseObjectName, rejectedName, revokedName, snapshotName, type NumberedName, type ObjectRef } from '../../src/format/object-names.ts';
import { decodeSnapshot } from '../../src/format/snapshot.ts';
import type { OpenRepository } from '../../src/repository/opened-repository.ts';
import { chunksOfPack, entryChildren, type ChunkKey, type PackRef } from './pack-contents.ts';
import type { SimulatedStore, StoreObserver } from './simulated-store.ts';

interface KnownPack {
  readonly chunks: readonly ChunkKey[];
  isThere: boolean;
  /** A sweep names it, so somebody deletes it sooner or later. */
  isDoomed: boolean;
  /** Segments that are there and list it. */
  segments: number;
}

export class PromiseCheck implements StoreObserver {
  readonly #repository: OpenRepository;
  readonly #store: SimulatedStore;
  readonly #isConditional: boolean;
  readonly problems: string[] = [];
  /** Digest of what was ever written under each name. */
  readonly #digests = new Map<string, string>();
  readonly #packs = new Map<string, KnownPack>();
  readonly #segments = new Map<string, readonly string[]>();
  /** In how many packs that can be counted on each chunk lies. */
  readonly #copies = new Map<ChunkKey, number>();
  /** What each tree node refers to. */
  readonly #nodes = new Map<ChunkKey, readonly ChunkKey[]>();
  readonly #roots = new Map<string, readonly ChunkKey[]>();
  /** What every valid snapshot reaches. */
  readonly #valid = new Map<string, ReadonlySet<ChunkKey>>();
  readonly #allowedDeletions = new Set<string>();
  #hasNewKeys = false;

  /** `repository` is used for its keys only. */
  constructor(repository: OpenRepository, store: SimulatedStore, isConditional: boolean) {
    this.#repository = repository;
    this.#store = store;
    this.#isConditional = isConditional;
  }

  validSnapshots(): string[] {
    return [...this.#valid.keys()];
  }

  /** Packs in which nothing is needed. */
  unneededPacks(): string[] {
    const needed = new Set([...this.#valid.values()].flatMap(keys => [...keys]));
    return [...this.#packs].filter(([, { isThere, chunks }]) => isThere && !chunks.some(key => needed.has(key))).map(([id]) => id);
  }

  /** Takes a new keyring into account; nobody can use it before the next step. */
  async settle(): Promise<void> {
    if (!this.#hasNewKeys) return;
    this.#hasNewKeys = false;
    await this.#repository.keys.refresh(directReader(this.#store));
  }

  created(name: string, bytes: Bytes, before: Bytes | undefined): void {
    const ref = parseObjectName(name);
    if (ref === undefined) return this.#complain(`a stray object '${name}' was written`);
    if (ref.kind === 'probe' || ref.kind === 'parity') return; // Parity is named after its pack and made anew when it is damaged.
    this.#checkName(name, ref, bytes, before);
    switch (ref.kind) {
      case 'keyring': this.#hasNewKeys = true; return;
      case 'pack': return this.#addPack(ref, bytes);
      case 'segment': return this.#addSegment(ref.id, this.#open(name, bytes));
      case 'snapshot': return this.#addSnapshot(ref.id, name, bytes);
      case 'forgotten':
      case 'rejected': return this.#refresh(ref.id);
      case 'gc-sweep': return this.#addSweep(name, ref, bytes);
      case 'gc-done': return this.#checkDone(name, ref);
      default:
    }
  }

  removed(name: string, bytes: Bytes): void {
    const ref = parseObjectName(name);
    switch (ref?.kind) {
      case 'pack': return this.#removePack(ref.id);
      case 'segment': return this.#removeSegment(ref.id);
      case 'snapshot': return this.#removeSnapshot(ref.id, bytes);
      case 'forgotten':
      case 'rejected':
      case 'revoked': return this.#complain(`'${name}' was removed, and with it the knowledge that the session is dead`);
      case 'gc-plan':
      case 'gc-sweep':
      case 'gc-done': return this.#checkRemovedDocument(name, ref);
      default:
    }
  }

  #complain(problem: string): void {
    this.problems.push(problem);
  }

  /** I3. A tombstone may come where a record was once, after the marker that it was forgotten. */
  #checkName(name: string, ref: ObjectRef, bytes: Bytes, before: Bytes | undefined): void {
    const digest = createHash('sha256').update(bytes).digest('hex');
    const known = this.#digests.get(name);
    this.#digests.set(name, digest);
    if (known === undefined || known === digest) return;
    const isMark = ref.kind === 'forgotten' || ref.kind === 'revoked' || ref.kind === 'rejected' || ref.kind === 'gc-done';
    // Without create-only writes marks of two runs that say the same replace each other, which changes nothing.
    if (isMark && !this.#isConditional) return;
    const isLateTombstone = ref.kind === 'snapshot' && before === undefined && this.#has(forgottenName(ref.id)) && decodeHeader(bytes).type === OBJECT_TYPES.tombstone;
    // A run that slept until its plan, or one with the number that it wanted, was done and removed may write documents of it.
    const isLateDocument = isGcRef(ref) && before === undefined && ref.number < this.#highestNumber();
    if (!isLateTombstone && !isLateDocument) this.#complain(`'${name}' was written twice with different bytes`);
  }

  // --- packs and segments ---

  #addPack(ref: PackRef, bytes: Bytes): void {
    const chunks = chunksOfPack(this.#repository, ref, bytes);
    for (const { key, isRight, children } of chunks) {
      if (!isRight) this.#complain(`pack ${ref.id} holds something else than its table says`);
      this.#nodes.set(key, children);
    }
    this.#packs.set(ref.id, { chunks: chunks.map(({ key }) => key), isThere: true, isDoomed: false, segments: 0 });
  }

  #addSegment(id: string, payload: Bytes): void {
    const packs = decodeIndexSegment(payload).packs.map(pack => pack.id);
    this.#segments.set(id, packs);
    for (const pack of packs) {
      const known = this.#packs.get(pack);
      if (known === undefined) this.#complain(`segment ${id} lists pack ${pack}, which was never written`);
      else this.#change(known, () => { known.segments++; });
    }
  }

  #removeSegment(id: string): void {
    for (const pack of this.#segments.get(id) ?? []) {
      const known = this.#packs.get(pack);
      if (known !== undefined) this.#change(known, () => { known.segments--; });
    }
    this.#segments.delete(id);
  }

  #removePack(id: string): void {
    if (!this.#allowedDeletions.has(id)) this.#complain(`pack ${id} was deleted, and no sweep document names it`);
    const known = this.#packs.get(id);
    if (known !== undefined) this.#change(known, () => { known.isThere = false; });
  }

  /** A chunk can be found when it lies in a pack that is there, that no sweep names, and that a segment lists. */
  #change(pack: KnownPack, change: () => void): void {
    const counted = (): boolean => pack.isThere && !pack.isDoomed && pack.segments > 0;
    const before = counted();
    change();
    if (counted() === before) return;
    for (const key of new Set(pack.chunks)) this.#copies.set(key, (this.#copies.get(key) ?? 0) + (before ? -1 : 1));
    if (!before) return;
    for (const [id, needed] of this.#valid) {
      const lost = pack.chunks.find(key => needed.has(key) && (this.#copies.get(key) ?? 0) === 0);
      if (lost !== undefined) this.#complain(`snapshot ${id} lost chunk ${lost}`);
    }
  }

  // --- snapshots ---

  #addSnapshot(id: SnapshotId, name: string, bytes: Bytes): void {
    if (decodeHeader(bytes).type === OBJECT_TYPES.tombstone) return;
    const { components } = decodeSnapshot(this.#open(name, bytes));
    this.#roots.set(id, components.flatMap(({ root }) => entryChildren(root)));
    this.#refresh(id);
  }

  #removeSnapshot(id: SnapshotId, bytes: Bytes): void {
    const isDead = [forgottenName, rejectedName, revokedName].some(nameOf => this.#has(nameOf(id)));
    const what = decodeHeader(bytes).type === OBJECT_TYPES.tombstone ? 'tombstone' : 'record';
    if (!isDead) this.#complain(`the ${what} of ${id} was removed, and nothing else says that it is dead`);
    this.#refresh(id);
  }

  #refresh(id: SnapshotId): void {
    const roots = this.#roots.get(id);
    const record = this.#store.bytes(snapshotName(id));
    const isRecord = record !== undefined && decodeHeader(record).type === OBJECT_TYPES.snapshot;
    if (roots === undefined || !isRecord || this.#has(forgottenName(id)) || this.#has(rejectedName(id))) {
      this.#valid.delete(id);
      return;
    }
    const reached = this.#reach(roots);
    this.#valid.set(id, reached);
    for (const key of reached) {
      if ((this.#copies.get(key) ?? 0) > 0) continue;
      this.#complain(`snapshot ${id} was committed without chunk ${key}`);
      return;
    }
  }

  #reach(roots: readonly ChunkKey[]): Set<ChunkKey> {
    const reached = new Set<ChunkKey>();
    const open = [...roots];
    for (let key = open.pop(); key !== undefined; key = open.pop()) {
      if (reached.has(key)) continue;
      reached.add(key);
      open.push(...this.#nodes.get(key) ?? []);
    }
    return reached;
  }

  // --- gc documents ---

  #addSweep(name: string, { number, suffix }: NumberedName, bytes: Bytes): void {
    const plan = gcPlanName(number, suffix);
    const planBytes = this.#store.bytes(plan);
    const { packs, planDigest } = decodeSweep(this.#body(name, bytes));
    // A sweep of a plan that was removed, or of an earlier one with the same number, allows nothing.
    if (planBytes === undefined || !equalBytes(planDigest, this.#repository.kernel.blake3(planBytes))) return;
    const condemned = new Set(unpackPackIds(decodePlan(this.#body(plan, planBytes)).packs));
    for (const id of unpackPackIds(packs)) {
      if (!condemned.has(id)) this.#complain(`'${name}' names pack ${id}, which its plan does not condemn`);
      this.#allowedDeletions.add(id);
      const known = this.#packs.get(id);
      if (known !== undefined) this.#change(known, () => { known.isDoomed = true; });
    }
  }

  #checkDone(name: string, { number, suffix }: NumberedName): void {
    const sweep = this.#store.bytes(gcSweepName(number, suffix));
    if (sweep === undefined) return;
    for (const id of unpackPackIds(decodeSweep(this.#body(gcSweepName(number, suffix), sweep)).packs)) {
      if (this.#packs.get(id)?.isThere === true) this.#complain(`'${name}' was written before pack ${id} was deleted`);
    }
  }

  /** The number that is highest stays used: its documents are never removed. */
  #checkRemovedDocument(name: string, { number }: NumberedName): void {
    if (number >= this.#highestNumber()) this.#complain(`'${name}' was removed although its number is the highest`);
  }

  #highestNumber(): number {
    return this.#store.names().map(parseObjectName).reduce((highest, ref) => isGcRef(ref) ? Math.max(highest, ref.number) : highest, 0);
  }

  // --- bytes ---

  #has(name: string): boolean {
    return this.#store.bytes(name) !== undefined;
  }

  #open(name: string, bytes: Bytes): Bytes {
    return this.#repository.objects.open(name, bytes).payload;
  }

  #body(name: string, bytes: Bytes): Bytes {
    const { isTrusted, body } = this.#repository.objects.openSigned(name, bytes);
    if (!isTrusted) this.#complain(`'${name}' is not signed`);
    return body;
  }
}

/** Reads what is stored at this moment, past all simulated processes. */
function directReader(store: SimulatedStore): ReadBackend {
  return {
    location: 'simulated:', capabilities: { createIfAbsent: 'none', canRemove: false },
    read: async name => store.read(name), stat: async name => store.stat(name), close: async () => undefined,
    list: async function* (prefix) { for (const name of store.names()) if (name.startsWith(prefix)) yield store.stat(name); },
  };
}

type GcRef = ObjectRef & { readonly kind: 'gc-plan' | 'gc-sweep' | 'gc-done' };

function isGcRef(ref: ObjectRef | undefined): ref is GcRef {
  return ref?.kind === 'gc-plan' || ref?.kind === 'gc-sweep' || ref?.kind === 'gc-done';
}
