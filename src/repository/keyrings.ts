/**
 * The chain of keyrings: each next one holds everything of the one before and is signed by a key that that one lists; the highest
 * valid one counts (repository design, sections 4.3, 4.4 and 12.3).
 */
import type { Bytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import type { ReadBackend, StoredObject } from '../backend/backend.ts';
import type { ObjectCache } from '../cache/cache.ts';
import { corrupt } from '../format/decode-error.ts';
import type { RepositoryId } from '../format/ids.ts';
import { decodeKeyring, extendsKeyring, type Keyring } from '../format/keyring.ts';
import { keyringName, numberedObjectId, objectTypesOf, parseObjectName, PREFIXES } from '../format/object-names.ts';
import { openObject, splitSigned, verifySigned } from '../format/sealed-object.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { isUnreadable, withName } from './damage.ts';

/** Numbers that far above the highest valid keyring are ignored (repository design, section 4.3). */
const MAX_NUMBER_GAP = 2 ** 20;

export interface NumberedKeyring {
  readonly keyring: Keyring;
  readonly number: number;
}

/** What opens keyrings, and what this process knows of them already. */
export interface KeyringSource {
  readonly backend: ReadBackend;
  readonly kernel: Kernel;
  readonly repositoryId: RepositoryId;
  readonly keyringKey: Bytes;
  /** What is stored under key names, where somebody has listed it just now. */
  readonly listed?: readonly StoredObject[] | undefined;
  /** Copies on this host of keyrings that opened. */
  readonly copies?: ObjectCache | undefined;
  /** The chain is followed from here on; without it from its beginning, which the keyring key alone authenticates. */
  readonly known?: NumberedKeyring | undefined;
}

/**
 * The newest keyring. A damaged one is passed over when a later one holds all that it held.
 * @throws OBJECT_CORRUPT when the newest one is damaged, or none is there: with an older one, newer objects could not be opened
 */
export async function loadKeyring(source: KeyringSource, options: CallOptions = {}): Promise<NumberedKeyring> {
  let current = source.known;
  let damage: unknown;
  const numbers = source.listed === undefined ? await listKeyrings(source.backend, options) : keyringNumbers(source.listed);
  for (const number of numbers) {
    if (current !== undefined && (number <= current.number || number > current.number + MAX_NUMBER_GAP)) continue;
    try {
      const keyring = await readKeyring(source, number, current?.keyring, options);
      if (keyring === undefined) continue;
      current = { keyring, number };
      damage = undefined;
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      damage = error;
    }
  }
  if (damage !== undefined) throw damage;
  if (current === undefined) throw corrupt('keyring', 'no valid keyring is there', { name: PREFIXES.keyrings });
  return current;
}

/** A copy that does not open may be damaged itself: then the stored one counts. */
async function readKeyring(source: KeyringSource, number: number, previous: Keyring | undefined, options: CallOptions): Promise<Keyring | undefined> {
  const { backend, copies } = source;
  const name = keyringName(number);
  const copy = copies?.get(name);
  if (copy !== undefined) {
    try {
      const keyring = openKeyring(source, copy, number, previous);
      if (keyring !== undefined) return keyring;
    } catch (error) {
      if (!isUnreadable(error)) throw error;
    }
  }
  const bytes = await backend.read(name, undefined, options);
  const keyring = openKeyring(source, bytes, number, previous);
  if (keyring !== undefined) copies?.put(name, bytes);
  return keyring;
}

async function listKeyrings(backend: ReadBackend, options: CallOptions): Promise<number[]> {
  const objects: StoredObject[] = [];
  for await (const object of backend.list(PREFIXES.keyrings, options)) objects.push(object);
  return keyringNumbers(objects);
}

/** Numbers of everything with such a name, ascending. */
function keyringNumbers(objects: readonly StoredObject[]): number[] {
  const numbers: number[] = [];
  for (const { name } of objects) {
    const ref = parseObjectName(name);
    if (ref?.kind === 'keyring' && ref.suffix === '') numbers.push(ref.number);
  }
  return numbers.sort((a, b) => a - b);
}

/** Undefined for a keyring that nobody entitled signed: it was never valid. */
function openKeyring({ kernel, repositoryId, keyringKey }: KeyringSource, bytes: Bytes, number: number, previous: Keyring | undefined): Keyring | undefined {
  try {
    const objectId = numberedObjectId(number);
    const types = objectTypesOf({ kind: 'keyring', number, suffix: '' });
    const { payload, header } = openObject({ kernel, bytes, repositoryId, types, objectId, secretOf: epoch => (epoch === 0 ? keyringKey : undefined) });
    const keyring = decodeKeyring(splitSigned(payload, header.type).body);
    const signers = (previous ?? keyring).adminKeys.map(key => key.publicKey);
    const { isTrusted } = verifySigned(kernel, signers, { type: header.type, repositoryId, objectId }, payload);
    if (!isTrusted || (previous !== undefined && !extendsKeyring(previous, keyring))) return undefined;
    return keyring;
  } catch (error) {
    throw withName(error, keyringName(number));
  }
}

/** The number of the next keyring; those of keyrings that never were valid count as used. */
export async function nextNumber(backend: ReadBackend, newest: number, options: CallOptions = {}): Promise<number> {
  const listed = await listKeyrings(backend, options);
  return Math.max(newest, ...listed.filter(number => number <= newest + MAX_NUMBER_GAP)) + 1;
}
