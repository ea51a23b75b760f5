/** Loads and saves the small sealed objects of a repository under the names that belong to them. */
import { invariant } from '../base/errors.ts';
import type { Bytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import type { Random } from '../base/ambient.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { ReadBackend, WriteBackend } from '../backend/backend.ts';
import { isOutsideEpochs, type ObjectType, saltOrNonceBytes, type Suite } from '../format/header.ts';
import { idBytes } from '../format/ids.ts';
import { objectIdOf, objectTypesOf, parseObjectName } from '../format/object-names.ts';
import { isSignedType, isUnknownEpoch, openObject, sealObject, signBody, verifySigned, type OpenedObject, type VerifiedBody } from '../format/sealed-object.ts';
import { withName } from './damage.ts';
import type { RepositoryKeys } from './repository-keys.ts';

/** Level of the compressed metadata objects; they are small, and read often. */
const COMPRESSION_LEVEL = 3;

export class SealedObjects {
  readonly #kernel: Kernel;
  readonly #random: Random;
  readonly #keys: RepositoryKeys;
  readonly #backend: ReadBackend;
  #copyId: Bytes | undefined;

  constructor(kernel: Kernel, random: Random, keys: RepositoryKeys, backend: ReadBackend) {
    this.#kernel = kernel;
    this.#random = random;
    this.#keys = keys;
    this.#backend = backend;
  }

  /** As the config says. What was signed for another copy of the repository counts as not signed from now on. */
  bindTo(copyId: Bytes | undefined): void {
    this.#copyId = copyId;
  }

  /** Config and keyrings come before it: a replica has those of its source, or one that tells it. */
  #copyIdFor(type: ObjectType): Bytes | undefined {
    return isOutsideEpochs(type) ? undefined : this.#copyId;
  }

  /** @throws OBJECT_NOT_FOUND, OBJECT_CORRUPT, UNSUPPORTED_FORMAT */
  async load(name: string, options: CallOptions = {}): Promise<OpenedObject & { readonly bytes: Uint8Array<ArrayBuffer> }> {
    const bytes = await this.#backend.read(name, undefined, options);
    return { ...await this.openFresh(name, bytes, options), bytes };
  }

  /** As `open`; for an object of an epoch that is not known, another run may have rotated the keys meanwhile: a newer keyring is looked for. */
  async openFresh(name: string, bytes: Bytes, options: CallOptions = {}): Promise<OpenedObject> {
    try {
      return this.open(name, bytes);
    } catch (error) {
      if (!isUnknownEpoch(error)) throw error;
      // Whatever it answers: several that look at the same time find one new keyring.
      await this.#keys.refresh(this.#backend, options);
      return this.open(name, bytes);
    }
  }

  /** Opens bytes that were read from under this name. */
  open(name: string, bytes: Bytes): OpenedObject {
    const ref = parseObjectName(name);
    invariant(ref !== undefined, `Not the name of an object: '${name}'`);
    try {
      return openObject({
        kernel: this.#kernel, bytes, repositoryId: this.#keys.repositoryId, types: objectTypesOf(ref),
        objectId: objectIdOf(ref) ?? idBytes(this.#keys.repositoryId), secretOf: epoch => this.#keys.secretOf(epoch),
      });
    } catch (error) {
      throw withName(error, name);
    }
  }

  /** Opens an object of a signed type and checks its signature. */
  openSigned(name: string, bytes: Bytes): VerifiedBody & { readonly type: ObjectType } {
    return this.#verify(name, this.open(name, bytes));
  }

  async loadSigned(name: string, options: CallOptions = {}): Promise<VerifiedBody & { readonly type: ObjectType }> {
    return this.#verify(name, await this.load(name, options));
  }

  #verify(name: string, { header, payload }: OpenedObject): VerifiedBody & { readonly type: ObjectType } {
    const identity = { type: header.type, repositoryId: this.#keys.repositoryId, objectId: header.objectId, copyId: this.#copyIdFor(header.type) };
    try {
      return { ...verifySigned(this.#kernel, this.#keys.adminPublicKeys, identity, payload), type: header.type };
    } catch (error) {
      throw withName(error, name);
    }
  }

  /** The bytes of a new object under this name; types that need a signature are signed with the admin key. */
  seal(name: string, type: ObjectType, body: Bytes, options: { readonly suite?: Suite; readonly compress?: boolean } = {}): Uint8Array<ArrayBuffer> {
    const ref = parseObjectName(name);
    invariant(ref !== undefined && objectTypesOf(ref).includes(type), `Type ${type} does not belong under '${name}'`);
    const { repositoryId } = this.#keys;
    const objectId = objectIdOf(ref) ?? idBytes(repositoryId);
    const suite = options.suite ?? 3;
    const epoch = isOutsideEpochs(type) ? 0 : this.#keys.currentEpoch;
    const payload = isSignedType(type) ? signBody(this.#kernel, this.#keys.adminSeed(), { type, repositoryId, objectId, copyId: this.#copyIdFor(type) }, body) : body;
    return sealObject({
      kernel: this.#kernel, type, epoch, objectId, suite, secret: this.#keys.secretOf(epoch)!, repositoryId, payload,
      random: this.#random.bytes(saltOrNonceBytes(suite)),
      compressor: options.compress === true ? this.#kernel.createCompressor(COMPRESSION_LEVEL) : undefined,
    });
  }

  async save(backend: WriteBackend, name: string, type: ObjectType, body: Bytes, options: CallOptions = {}): Promise<void> {
    await backend.create(name, [this.seal(name, type, body)], options);
  }
}
