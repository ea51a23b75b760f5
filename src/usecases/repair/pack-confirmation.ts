/** Reads new packs back from the storage, and finds them in its index, before anything is removed for their sake. */
import type { CallOptions } from '../../base/call-options.ts';
import { mapBounded } from '../../base/concurrency.ts';
import { SnapError } from '../../base/errors.ts';
import { parsePackId } from '../../format/ids.ts';
import { packName } from '../../format/object-names.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import type { PackWritten } from '../../repository/pack-assembler.ts';
import type { ExtractEngine } from '../reading/extract-engine.ts';
import { surveyIndex } from './index-survey.ts';
import { PackScan } from './pack-scan.ts';

export type NewPack = Pick<PackWritten, 'packId' | 'type' | 'sizeBytes'>;

/** @throws OBJECT_CORRUPT when a new pack cannot be read to its last frame, or no index segment lists it */
export async function confirmPacks(repository: OpenRepository, engine: ExtractEngine, packs: readonly NewPack[], call: CallOptions): Promise<void> {
  if (packs.length === 0) return;
  const scan = new PackScan(repository, engine);
  const { claims } = await surveyIndex(repository, call);
  await mapBounded(packs, engine.capacity, async ({ packId, type, sizeBytes }) => {
    const id = parsePackId(packId);
    const name = packName(type, id);
    const { faults } = await scan.run({ type, id, sizeBytes }, undefined, { ...call, wantsContent: false });
    const isIndexed = claims.get(name)?.some(claim => claim.sizeBytes === sizeBytes) === true;
    if (faults.length === 0 && isIndexed) return;
    throw new SnapError('OBJECT_CORRUPT', `The new pack '${name}' is not in order: ${faults[0] ?? 'no index segment lists it'}`, {
      hint: 'Nothing was removed. The storage or the memory of this computer may be faulty', context: { name },
    });
  });
}
