/** Blobs in a container of Azure Storage or a server with its interface. Loaded only when such a location is opened. */
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { BlobDownloadResponseParsed, ContainerListBlobFlatSegmentResponse } from '@azure/storage-blob';
import type { Clock } from '../base/ambient.ts';
import type { Bytes } from '../base/bytes.ts';
import { hasCode, SnapError, throwIfAborted } from '../base/errors.ts';
import { AzureConnection, type AzureSettings } from './azure-client.ts';
import { answerOf, notAzure } from './azure-errors.ts';
import type { BackendCapabilities, ByteRange, CallOptions, RequestCounts, StoredObject } from './backend.ts';
import type { AzureLocation } from './location.ts';
import { assertObjectName, assertObjectPrefix, assertRange, FIRST_OBJECT, MAX_READ_BYTES, TEMPORARY_DIRECTORY } from './object-arguments.ts';
import { bodyOf, readExactly, sizeOf } from './object-body.ts';
import { type Failure, invalidRange, nameTaken } from './object-errors.ts';
import type { PacedBackend } from './throttled.ts';
import { EXPRESS_UPLOAD_BYTES, type Pace, type PacedCallOptions } from './transfer-limits.ts';

const WRITES_AT_ONCE = 4;
const PAGE_SIZE = 5000;
/** What one entry of a listing takes on the line, about. */
const LISTED_BYTES = 500;
/** As for S3: data is read when somebody restores, all that stays besides by every run, and the short-lived is gone within hours. */
const DATA_PREFIXES = ['packs/d/', 'parity/'];
const SHORT_LIVED_PREFIXES = ['sessions/', 'probe/'];
/** That a blob was there already when it was to be made: said in one way or the other. */
const TAKEN = ['BlobAlreadyExists', 'ConditionNotMet', 'UnauthorizedBlobOverwrite'];

export interface AzureOpenOptions extends CallOptions {
  /** Makes the container when it is missing. */
  readonly create?: boolean | undefined;
}

export class AzureBackend implements PacedBackend {
  readonly isPaced = true;
  readonly location: string;
  readonly capabilities: BackendCapabilities = { createIfAbsent: 'atomic', canRemove: true };
  readonly writesAtOnce: number;
  readonly requests: RequestCounts;
  readonly #container: string;
  /** '' or a prefix with a slash at its end. */
  readonly #prefix: string;
  readonly #settings: AzureSettings;
  readonly #connection: AzureConnection;
  /** Of the question at opening, until it is asked for. */
  #firstAnswer: Uint8Array<ArrayBuffer> | undefined;

  /** @throws USAGE for credentials that are none; DENIED where there are none */
  constructor(location: AzureLocation, clock: Clock, settings: AzureSettings = {}) {
    this.location = location.printable;
    this.#container = location.container;
    this.#prefix = location.prefix === '' ? '' : `${location.prefix}/`;
    this.#settings = settings;
    this.writesAtOnce = Math.min(WRITES_AT_ONCE, settings.concurrency ?? WRITES_AT_ONCE);
    this.#connection = new AzureConnection(location, clock, settings);
    this.requests = this.#connection.requests;
  }

  /**
   * The first question, as in `S3Backend`: it tells what is wrong before anything else is asked, and its answer is used.
   * @throws REPOSITORY_NOT_FOUND when there is no such container and `create` is not set
   */
  async checkContainer(options: AzureOpenOptions = {}): Promise<void> {
    try {
      if (options.create === true) await this.#listPage(this.#failure('open', ''), this.#prefix, { pageSize: 1 }, options.signal);
      else this.#firstAnswer = await this.read(FIRST_OBJECT, undefined, options);
    } catch (error) {
      if (hasCode(error, 'OBJECT_NOT_FOUND')) return;
      if (answerOf(error)?.code !== 'ContainerNotFound') throw error;
      if (options.create !== true) {
        throw new SnapError('REPOSITORY_NOT_FOUND', `There is no container '${this.#container}' for '${this.location}'`, {
          cause: error, hint: 'Check the location and the address of the server', context: { location: this.location },
        });
      }
      const request = { kind: 'put', signal: options.signal } as const;
      await this.#connection.request(this.#failure('open', ''), request, (container, abortSignal) => container.createIfNotExists({ abortSignal }));
    }
  }

  async read(name: string, range?: ByteRange, options: PacedCallOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    assertObjectName(name);
    if (range !== undefined) assertRange(range);
    throwIfAborted(options.signal);
    const failure = this.#failure('read', name);
    if (name === FIRST_OBJECT && range === undefined && this.#firstAnswer !== undefined) return this.#takeFirstAnswer(this.#firstAnswer);
    if (range?.length === 0) return this.#readNothing(failure, range, options);
    const blob = this.#connection.blob(this.#prefix + name);
    try {
      return await this.#connection.request(failure, { kind: 'get', signal: options.signal }, async (_container, abortSignal) =>
        readBody(failure, await blob.download(range?.offset, range?.length, { abortSignal, maxRetryRequests: 0 }), range, options.pace));
    } catch (error) {
      if (range === undefined || answerOf(error)?.status !== 416) throw error;
      throw invalidRange(failure, range, (await this.stat(name, options)).sizeBytes);
    }
  }

  async stat(name: string, options: CallOptions = {}): Promise<StoredObject> {
    assertObjectName(name);
    const failure = this.#failure('stat', name);
    const blob = this.#connection.blob(this.#prefix + name);
    const { contentLength, lastModified, version } = await this.#connection.request(
      failure, { kind: 'head', signal: options.signal }, (_container, abortSignal) => blob.getProperties({ abortSignal }),
    );
    if (contentLength === undefined || lastModified === undefined || version === undefined) throw notAzure(failure);
    return { name, sizeBytes: contentLength, storedAt: lastModified.getTime() };
  }

  async *list(prefix: string, options: PacedCallOptions = {}): AsyncGenerator<StoredObject> {
    assertObjectPrefix(prefix);
    const failure = this.#failure('list', '');
    let token: string | undefined;
    do {
      const page = await this.#listPage(failure, this.#prefix + prefix, { token }, options.signal);
      await options.pace?.take(page.segment.blobItems.length * LISTED_BYTES);
      for (const { name: key, properties } of page.segment.blobItems) {
        throwIfAborted(options.signal);
        const object = this.#objectOf(failure, key, properties);
        if (key.startsWith(this.#prefix + prefix) && object !== undefined) yield object;
      }
      throwIfAborted(options.signal);
      const next = page.continuationToken === '' ? undefined : page.continuationToken;
      if (next !== undefined && next === token) throw notAzure(failure);
      token = next;
    } while (token !== undefined);
  }

  async create(name: string, parts: readonly Bytes[], options: PacedCallOptions = {}): Promise<void> {
    if (await this.#put(name, parts, options) === 'exists') throw nameTaken(this.#failure('create', name));
  }

  createIfAbsent(name: string, bytes: Bytes, options: PacedCallOptions = {}): Promise<'created' | 'exists'> {
    return this.#put(name, [bytes], options);
  }

  /** With soft delete or versions the bytes stay until those rules remove them; for the repository they are gone. */
  async remove(name: string, options: CallOptions = {}): Promise<void> {
    assertObjectName(name);
    const failure = this.#failure('remove', name);
    const blob = this.#connection.blob(this.#prefix + name);
    const request = { kind: 'remove', signal: options.signal, isWrite: true, isShort: true } as const;
    try {
      await this.#connection.request(failure, request, (_container, abortSignal) => blob.delete({ abortSignal }));
    } catch (error) {
      if (!hasCode(error, 'OBJECT_NOT_FOUND')) throw error;
    }
  }

  async close(): Promise<void> {
    this.#connection.close();
  }

  async #put(name: string, parts: readonly Bytes[], { signal, pace }: PacedCallOptions): Promise<'created' | 'exists'> {
    assertObjectName(name);
    throwIfAborted(signal);
    const failure = this.#failure('create', name);
    const blob = this.#connection.blob(this.#prefix + name);
    const sizeBytes = sizeOf(parts);
    const digest = digestOf(parts);
    const isSmall = sizeBytes <= EXPRESS_UPLOAD_BYTES;
    const request = { kind: 'put', signal, isWrite: true, isShort: isSmall, isExpress: isSmall } as const;
    const tier = this.#tierOf(name);
    try {
      const answer = await this.#connection.request(failure, request, (_container, abortSignal) => blob.upload(bodyOf(parts, pace), sizeBytes, {
        abortSignal, conditions: { ifNoneMatch: '*' }, ...(tier === undefined ? {} : { tier }),
        blobHTTPHeaders: { blobContentMD5: digest, blobContentType: 'application/octet-stream' },
      }));
      const isDamaged = answer.contentMD5 !== undefined && !digest.equals(answer.contentMD5);
      if (answer.etag === undefined || answer.version === undefined || isDamaged) throw notAzure(failure, isDamaged ? 'the server has stored other bytes' : undefined);
      return 'created';
    } catch (error) {
      if (TAKEN.includes(answerOf(error)?.code ?? '')) return 'exists';
      throw error;
    }
  }

  #tierOf(name: string): string | undefined {
    const startsWith = (prefix: string): boolean => name.startsWith(prefix);
    if (DATA_PREFIXES.some(startsWith)) return this.#settings.accessTier;
    return SHORT_LIVED_PREFIXES.some(startsWith) ? undefined : this.#settings.metadataAccessTier;
  }

  #takeFirstAnswer(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    this.#firstAnswer = undefined;
    return bytes;
  }

  /** HTTP has no empty range. */
  async #readNothing(failure: Failure, range: ByteRange, options: CallOptions): Promise<Uint8Array<ArrayBuffer>> {
    const { sizeBytes } = await this.stat(failure.name, options);
    if (range.offset > sizeBytes) throw invalidRange(failure, range, sizeBytes);
    return new Uint8Array(0);
  }

  async #listPage(
    failure: Failure, prefix: string, { pageSize = PAGE_SIZE, token }: { readonly pageSize?: number; readonly token?: string | undefined }, signal: AbortSignal | undefined,
  ): Promise<ContainerListBlobFlatSegmentResponse> {
    const page = await this.#connection.request(failure, { kind: 'list', signal }, async (container, abortSignal) => {
      const pages = container.listBlobsFlat({ prefix, abortSignal }).byPage({ maxPageSize: pageSize, ...(token === undefined ? {} : { continuationToken: token }) });
      for await (const each of pages) return each;
      return undefined;
    });
    // Whatever answers without these is not Azure, and must not pass for an empty repository.
    if (page?.version === undefined || page.serviceEndpoint === undefined || !Array.isArray(page.segment?.blobItems)) throw notAzure(failure);
    return page;
  }

  /** Undefined for what is no object: folders that other tools and accounts with a hierarchy make, and temporary files. */
  #objectOf(failure: Failure, key: string, { contentLength, lastModified }: { readonly contentLength?: number; readonly lastModified: Date }): StoredObject | undefined {
    const name = key.slice(this.#prefix.length);
    if (name === '' || name.startsWith(`${TEMPORARY_DIRECTORY}/`) || (contentLength === 0 && name.endsWith('/'))) return undefined;
    if (contentLength === undefined || !(lastModified instanceof Date)) throw notAzure(failure);
    return { name, sizeBytes: contentLength, storedAt: lastModified.getTime() };
  }

  #failure(verb: Failure['verb'], name: string): Failure {
    return { verb, location: this.location, name };
  }
}

/** MD5 against damage on the way, as the service checks it; what is stored is authenticated by the layers above. */
function digestOf(parts: readonly Bytes[]): Buffer {
  const hash = createHash('md5');
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** @throws INVALID_RANGE when the range is not fully there; UNAVAILABLE for an answer that is cut off */
async function readBody(failure: Failure, answer: BlobDownloadResponseParsed, range: ByteRange | undefined, pace: Pace | undefined): Promise<Uint8Array<ArrayBuffer>> {
  const body = answer.readableStreamBody as Readable | undefined;
  if (body === undefined) throw notAzure(failure);
  try {
    const { contentLength: length } = answer;
    if (length === undefined || answer.version === undefined || answer.etag === undefined) throw notAzure(failure);
    checkLength(failure, answer.contentRange, length, range);
    return await readExactly(failure, body, { length, pace }, () => notAzure(failure));
  } finally {
    body.destroy();
  }
}

function checkLength(failure: Failure, contentRange: string | undefined, length: number, range: ByteRange | undefined): void {
  if (range === undefined) {
    if (length > MAX_READ_BYTES) throw invalidRange(failure, { offset: 0, length }, length);
    return;
  }
  const [, start, total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(contentRange ?? '') ?? [];
  if (start === undefined || Number(start) !== range.offset) throw notAzure(failure);
  if (length < range.length && Number(total) < range.offset + range.length) throw invalidRange(failure, range, Number(total));
  if (length !== range.length) throw notAzure(failure);
}
