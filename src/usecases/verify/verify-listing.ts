/** Everything that the storage lists, by kind, and what names, sizes and times alone say is wrong (repository design, 16.2, level 0). */
import type { CallOptions } from '../../base/call-options.ts';
import { formatDuration } from '../../base/units.ts';
import type { StoredObject } from '../../backend/backend.ts';
import { HEADER_BYTES, TAG_BYTES } from '../../format/header.ts';
import type { PackId } from '../../format/ids.ts';
import { MAX_PACK_BYTES } from '../../format/limits.ts';
import { parseObjectName, type ObjectRef, type PackType } from '../../format/object-names.ts';
import { MIN_DATA_PACK_BYTES } from '../../format/pack.ts';
import { MIN_TABLE_BYTES, TRAILER_BYTES } from '../../format/pack-table.ts';
import { padmeSize } from '../../format/padding.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import type { FindingList } from '../findings.ts';

export interface StoredPackObject {
  readonly type: PackType;
  readonly id: PackId;
  readonly sizeBytes: number;
  /** By the clock of the storage, ms since 1970. */
  readonly storedAt: number;
}

export type Listed<Kind extends ObjectRef['kind']> = StoredObject & { readonly ref: ObjectRef & { readonly kind: Kind } };

/** Clocks of hosts and storages that are kept in step differ by less. */
const CLOCK_TOLERANCE_MS = 60 * 60 * 1000;
/** Length of the payload, at the start of a sealed plaintext. */
const LENGTH_BYTES = 4;

export class Listing {
  readonly packs = new Map<PackId, StoredPackObject>();
  readonly strays: string[] = [];
  readonly #others = new Map<string, Listed<ObjectRef['kind']>>();
  /** What is the furthest ahead of the clock of this host. */
  #latest: StoredObject | undefined;

  static async read({ backend, clock }: OpenRepository, findings: FindingList, options: CallOptions): Promise<Listing> {
    const listing = new Listing();
    for await (const object of backend.list('', options)) listing.#add(object, findings);
    listing.#checkClock(clock.now(), findings);
    return listing;
  }

  /** Everything but packs. */
  of<Kind extends ObjectRef['kind']>(...kinds: Kind[]): Listed<Kind>[] {
    return [...this.#others.values()].filter((each): each is Listed<Kind> => (kinds as string[]).includes(each.ref.kind));
  }

  #add(object: StoredObject, findings: FindingList): void {
    const { name, storedAt } = object;
    const ref = parseObjectName(name);
    if (this.#latest === undefined || storedAt > this.#latest.storedAt) this.#latest = object;
    if (ref === undefined) this.strays.push(name);
    else if (ref.kind === 'pack') this.#addPack(object, ref, findings);
    else if (this.#others.has(name)) warnOfSecond(findings, name);
    else this.#others.set(name, { ...object, ref });
  }

  #addPack({ name, sizeBytes, storedAt }: StoredObject, { type, id }: Extract<ObjectRef, { kind: 'pack' }>, findings: FindingList): void {
    const known = this.packs.get(id);
    if (known?.type === type) return warnOfSecond(findings, name);
    if (known !== undefined) findings.add({ object: 'pack', name, message: 'The ID is used by a data pack and by a tree pack', severity: 'damage', files: [] });
    this.packs.set(id, { type, id, sizeBytes, storedAt });
  }

  /** One clock that is wrong makes all times wrong, so one object stands for all. */
  #checkClock(now: number, findings: FindingList): void {
    if (this.#latest === undefined || this.#latest.storedAt <= now + CLOCK_TOLERANCE_MS) return;
    const { name, storedAt } = this.#latest;
    findings.add({
      object: 'clock', name, severity: 'warning', files: [],
      message: `The storage says that the object was stored ${formatDuration(storedAt - now)} from now: its clock or the one of this machine is wrong`,
    });
  }
}

function warnOfSecond(findings: FindingList, name: string): void {
  findings.add({ object: 'listing', name, message: 'The storage lists the object twice', severity: 'warning', files: [] });
}

/** Why no whole pack has this size; undefined for a size that one may have. */
export function packSizeFault({ type, sizeBytes }: Pick<StoredPackObject, 'type' | 'sizeBytes'>): string | undefined {
  if (sizeBytes === 0) return 'The pack is empty';
  const least = type === 'data' ? MIN_DATA_PACK_BYTES : HEADER_BYTES + 2 * (MIN_TABLE_BYTES + TAG_BYTES) + TRAILER_BYTES;
  return sizeBytes < least || sizeBytes > MAX_PACK_BYTES || padmeSize(sizeBytes) !== sizeBytes ? `The pack has ${sizeBytes} bytes, as no whole pack has` : undefined;
}

/** The same for a sealed object that is not a key slot. */
export function sealedSizeFault(sizeBytes: number): string | undefined {
  if (sizeBytes === 0) return 'The object is empty';
  const plaintext = sizeBytes - HEADER_BYTES - TAG_BYTES;
  return plaintext < LENGTH_BYTES || padmeSize(plaintext) !== plaintext ? `The object has ${sizeBytes} bytes, as no whole one has` : undefined;
}
