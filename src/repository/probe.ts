/**
 * Tries the promises of a store: create-only writes, reads after writes, complete listings, removal (repository design,
 * section 5.3). Some stores ignore the condition of a create-only write in silence; only trying tells.
 */
import { equalBytes, toHex } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import type { Random } from '../base/ambient.ts';
import { SnapError } from '../base/errors.ts';
import type { Backend } from '../backend/backend.ts';
import { PREFIXES, probeName } from '../format/object-names.ts';
import { createSettled } from './settled-write.ts';

export interface ProbeResult {
  /** Whether the store decides races between create-only writes. */
  readonly createIfAbsent: 'atomic' | 'none';
  /** Time of the store when the probe object was written, ms since 1970. */
  readonly storageTime: number;
}

/**
 * What goes wrong is thrown as it is; the small probe object then stays, and is of no consequence.
 * @throws UNSUPPORTED_STORE when the store breaks a promise that no protocol can do without
 */
export async function probeBackend(backend: Backend, random: Random, options: CallOptions = {}): Promise<ProbeResult> {
  const name = probeName(toHex(random.bytes(16)));
  const first = random.bytes(32);
  const broken = (promise: string): SnapError => new SnapError('UNSUPPORTED_STORE', `The storage at '${backend.location}' breaks a promise: ${promise}`, {
    hint: 'snap needs reads and listings that see every finished write; use another storage or ask its operator',
  });
  if (await createSettled(backend, name, first, options) !== 'created') throw broken('a new random name exists already');
  const result = await tryObject();
  if (backend.capabilities.canRemove) {
    await backend.remove(name, options);
    if (await isListed(backend, name, options)) throw broken('a removed object is still listed');
  }
  return result;

  async function tryObject(): Promise<ProbeResult> {
    const again = backend.capabilities.createIfAbsent === 'atomic' ? await createSettled(backend, name, random.bytes(32), options) : 'created';
    const stored = await backend.read(name, undefined, options);
    if (again === 'exists' && !equalBytes(stored, first)) throw broken('a refused write changed the object');
    if (!await isListed(backend, name, options)) throw broken('a finished write is not listed');
    const { storedAt } = await backend.stat(name, options);
    return { createIfAbsent: again === 'exists' ? 'atomic' : 'none', storageTime: storedAt };
  }
}

async function isListed(backend: Backend, name: string, options: CallOptions): Promise<boolean> {
  for await (const object of backend.list(PREFIXES.probe, options)) if (object.name === name) return true;
  return false;
}
