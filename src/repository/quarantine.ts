/**
 * Where damaged packs go: copied byte by byte, as far as the storage gives them, before they are removed. Nothing in quarantine is
 * read as a pack again; it is for people who want to try what a repair could not, until they empty it.
 */
import { equalBytes, type Bytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import { SnapError } from '../base/errors.ts';
import { MiB } from '../base/units.ts';
import type { PackId } from '../format/ids.ts';
import { MAX_PACK_BYTES } from '../format/limits.ts';
import { packName, parseObjectName, PREFIXES, quarantineName } from '../format/object-names.ts';
import { isUnreadableRange } from './damage.ts';
import type { OpenRepository } from './opened-repository.ts';
import type { StoredPack } from './pack-tables.ts';
import { createSettled } from './settled-write.ts';

/** A range that fails is halved down to this; what cannot be read then becomes zeros. A bad sector takes 4 KiB. */
const LEAST_BYTES = 4 * 1024;
const RANGE_BYTES: number = 4 * MiB;

export interface QuarantinedPack {
  readonly id: PackId;
  readonly sizeBytes: number;
}

export async function listQuarantine({ backend }: OpenRepository, options: CallOptions = {}): Promise<QuarantinedPack[]> {
  const found: QuarantinedPack[] = [];
  for await (const { name, sizeBytes } of backend.list(PREFIXES.quarantine, options)) {
    const ref = parseObjectName(name);
    if (ref?.kind === 'quarantine') found.push({ id: ref.id, sizeBytes });
  }
  return found;
}

/**
 * A durable copy that was read back. False: another object has the name, as after a run that was interrupted while the pack decayed
 * further. Memory: the pack, twice. @throws OBJECT_NOT_FOUND when the pack is gone, NO_SPACE and every other error of the storage
 */
export async function quarantinePack({ backend }: OpenRepository, pack: StoredPack, options: CallOptions = {}): Promise<boolean> {
  const sizeBytes = Math.min(pack.sizeBytes, MAX_PACK_BYTES); // what is beyond never belonged to a pack
  const bytes = new Uint8Array(sizeBytes);
  const read = async (from: number, to: number): Promise<void> => {
    if (from >= to) return;
    try {
      bytes.set(await backend.read(packName(pack.type, pack.id), { offset: from, length: to - from }, options), from);
    } catch (error) {
      if (!isUnreadableRange(error)) throw error;
      if (to - from <= LEAST_BYTES) return;
      const middle = from + Math.ceil((to - from) / 2 / LEAST_BYTES) * LEAST_BYTES;
      await Promise.all([read(from, middle), read(middle, to)]);
    }
  };
  for (let at = 0; at < sizeBytes; at += RANGE_BYTES) await read(at, Math.min(at + RANGE_BYTES, sizeBytes));
  return store(bytes);

  async function store(copy: Bytes): Promise<boolean> {
    const name = quarantineName(pack.id);
    const outcome = await createSettled(backend, name, copy, options);
    if (equalBytes(await backend.read(name, undefined, options), copy)) return true;
    if (outcome === 'exists') return false;
    throw new SnapError('OBJECT_CORRUPT', `The copy of a damaged pack in '${name}' does not come back as it was written`, {
      hint: 'The pack was not removed. The storage or the memory of this computer may be faulty', context: { name },
    });
  }
}
