/** Rotation of the keys: a keyring with one epoch more, which everything new uses from then on (repository design, section 12.3). */
import { SnapError } from '../base/errors.ts';
import type { CallOptions } from '../base/call-options.ts';
import { corrupt } from '../format/decode-error.ts';
import { OBJECT_TYPES } from '../format/header.ts';
import { encodeKeyring } from '../format/keyring.ts';
import { keyringName } from '../format/object-names.ts';
import { nextNumber } from './keyrings.ts';
import type { OpenRepository } from './opened-repository.ts';
import { createSettled } from './settled-write.ts';

/** 'lost': another run wrote a keyring at the same moment, and that one counts. */
export type RotationOutcome = 'rotated' | 'lost';

/**
 * Appends a keyring with one epoch more, reads it back, and uses it from then on. The write is create-only, so of two runs at the
 * same moment one wins, and both end with its keyring.
 * @throws DENIED without the admin key; UNSUPPORTED_STORE where nothing decides such a race
 */
export async function rotateKeyring(repository: OpenRepository, options: CallOptions = {}): Promise<RotationOutcome> {
  const { backend, objects, keys, random, config } = repository;
  if (config.storeMode !== 'create-only') {
    throw new SnapError('UNSUPPORTED_STORE', `The storage of '${backend.location}' has no create-only writes: two rotations could make one epoch twice`, {
      hint: 'Copy the repository to another storage to rotate its keys',
    });
  }
  await keys.refresh(backend, options);
  const { epochs } = keys.keyring;
  const epoch = { epoch: keys.currentEpoch + 1, secret: random.bytes(32) };
  const number = await nextNumber(backend, keys.keyringNumber, options);
  const name = keyringName(number);
  const bytes = objects.seal(name, OBJECT_TYPES.keyring, encodeKeyring({ ...keys.keyring, epochs: [...epochs, epoch] }));
  const isOwn = await createSettled(backend, name, bytes, options) === 'created';
  await keys.refresh(backend, options);
  if (keys.keyringNumber < number) throw corrupt('keyring', 'it cannot be read back', { name });
  return isOwn ? 'rotated' : 'lost';
}
