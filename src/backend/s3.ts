/**
 * Objects in a bucket of Amazon S3 or a server with its interface (repository design, section 5.2). Loaded only when such a
 * location is opened: the SDK costs every start 100 ms.
 */
import {
  CreateBucketCommand, DeleteObjectCommand, GetObjectCommand, HeadObjectCommand, ListObjectsV2Command,
  type ListObjectsV2CommandOutput, type PutObjectCommandInput,
} from '@aws-sdk/client-s3';
import type { Clock } from '../base/ambient.ts';
import type { Bytes } from '../base/bytes.ts';
import { hasCode, SnapError, throwIfAborted } from '../base/errors.ts';
import type { BackendCapabilities, ByteRange, CallOptions, RequestCounts, StoredObject } from './backend.ts';
import type { S3Location } from './location.ts';
import { assertObjectName, assertObjectPrefix, assertRange, FIRST_OBJECT, TEMPORARY_DIRECTORY } from './object-arguments.ts';
import { type Failure, invalidRange, nameTaken } from './object-errors.ts';
import { notS3, readBody, uploadOf } from './s3-body.ts';
import { S3Connection, type S3Settings } from './s3-client.ts';
import { answerOf } from './s3-errors.ts';
import { lockOf, S3Locks } from './s3-lock.ts';
import { S3History, type S3Place } from './s3-versions.ts';
import type { PacedBackend } from './throttled.ts';
import { EXPRESS_UPLOAD_BYTES, type PacedCallOptions } from './transfer-limits.ts';

/** Of one object in an answer to LIST, for the limits. */
const LISTED_BYTES = 350;
/** Amazon speaks of 100 to 200 ms until a request is answered ("Best practices design patterns"); others use the line meanwhile. */
const WRITES_AT_ONCE = 4;
/** Data packs and their parity are read when somebody restores; all that stays besides is read by every run. */
const DATA_PREFIXES = ['packs/d/', 'parity/'];
/** Gone within hours, while infrequent-access classes charge for a month. */
const SHORT_LIVED_PREFIXES = ['sessions/', 'probe/'];

export interface S3OpenOptions extends CallOptions {
  /** Makes the bucket when it is missing. */
  readonly create?: boolean | undefined;
}

export class S3Backend implements PacedBackend {
  readonly isPaced = true;
  readonly location: string;
  readonly capabilities: BackendCapabilities;
  readonly writesAtOnce: number;
  readonly requests: RequestCounts;
  readonly #bucket: string;
  /** '' or a prefix with a slash at its end. */
  readonly #prefix: string;
  readonly #settings: S3Settings;
  readonly #clock: Clock;
  readonly #connection: S3Connection;
  /** Of the question at opening, until it is asked for. */
  #firstAnswer: Uint8Array<ArrayBuffer> | undefined;
  /** Whether the server knows the condition of a create-only write: its first answer tells. */
  #conditions: 'presumed' | 'known' | 'unknown' = 'presumed';
  /** Without conditions: the end of the last step under each name that looks and then writes, so that such steps never interleave. */
  readonly #writing = new Map<string, Promise<unknown>>();

  constructor(location: S3Location, clock: Clock, settings: S3Settings = {}) {
    this.location = location.printable;
    this.#bucket = location.bucket;
    this.#prefix = location.prefix === '' ? '' : `${location.prefix}/`;
    this.#settings = settings;
    this.#clock = clock;
    this.writesAtOnce = Math.min(WRITES_AT_ONCE, settings.concurrency ?? WRITES_AT_ONCE);
    this.#connection = new S3Connection(location, clock, settings);
    this.requests = this.#connection.requests;
    const createIfAbsent = (): BackendCapabilities['createIfAbsent'] => this.#conditions === 'unknown' ? 'none' : 'atomic';
    this.capabilities = {
      get createIfAbsent() { return createIfAbsent(); },
      canRemove: true,
    };
  }

  /**
   * The first question tells a wrong bucket, wrong credentials and a wrong address before anything else is asked. Whoever opens a
   * repository reads its configuration, so that is the question, and its answer serves the first read of it.
   * @throws REPOSITORY_NOT_FOUND when there is no such bucket and `create` is not set
   */
  async checkBucket(options: S3OpenOptions = {}): Promise<void> {
    try {
      if (options.create === true) await this.#listPage(this.#failure('open', ''), this.#prefix, { MaxKeys: 1 }, options.signal);
      else this.#firstAnswer = await this.read(FIRST_OBJECT, undefined, options);
    } catch (error) {
      if (hasCode(error, 'OBJECT_NOT_FOUND')) return;
      if (answerOf(error)?.code !== 'NoSuchBucket') throw error;
      if (options.create !== true) {
        throw new SnapError('REPOSITORY_NOT_FOUND', `There is no bucket '${this.#bucket}' for '${this.location}'`, {
          cause: error, hint: 'Check the location and the address of the server', context: { location: this.location },
        });
      }
      const make = new CreateBucketCommand({ Bucket: this.#bucket });
      await this.#connection.request(this.#failure('open', ''), { kind: 'put', signal: options.signal }, (client, send) => client.send(make, send));
    }
  }

  async read(name: string, range?: ByteRange, options: PacedCallOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    assertObjectName(name);
    if (range !== undefined) assertRange(range);
    throwIfAborted(options.signal);
    const failure = this.#failure('read', name);
    if (name === FIRST_OBJECT && range === undefined && this.#firstAnswer !== undefined) return this.#takeFirstAnswer(this.#firstAnswer);
    if (range?.length === 0) return this.#readNothing(failure, range, options);
    const header = range === undefined ? {} : { Range: `bytes=${range.offset}-${range.offset + range.length - 1}` };
    const command = new GetObjectCommand({ ...this.#address(name), ...header });
    try {
      return await this.#connection.request(failure, { kind: 'get', signal: options.signal }, async (client, send) =>
        readBody(failure, await client.send(command, send), range, options.pace));
    } catch (error) {
      if (range === undefined || answerOf(error)?.status !== 416) throw error;
      throw invalidRange(failure, range, (await this.stat(name, options)).sizeBytes);
    }
  }

  async stat(name: string, options: CallOptions = {}): Promise<StoredObject> {
    assertObjectName(name);
    const failure = this.#failure('stat', name);
    try {
      const command = new HeadObjectCommand(this.#address(name));
      const { ContentLength, LastModified, ETag } = await this.#connection.request(
        failure, { kind: 'head', signal: options.signal }, (client, send) => client.send(command, send),
      );
      if (ContentLength === undefined || LastModified === undefined || ETag === undefined) throw notS3(failure);
      return { name, sizeBytes: ContentLength, storedAt: LastModified.getTime() };
    } catch (error) {
      // An answer to HEAD cannot say why: ask again in a way that has a body.
      if (hasCode(error, 'DENIED')) await this.#listPage(failure, this.#prefix + name, { MaxKeys: 1 }, options.signal);
      throw error;
    }
  }

  async *list(prefix: string, options: PacedCallOptions = {}): AsyncGenerator<StoredObject> {
    assertObjectPrefix(prefix);
    const failure = this.#failure('list', '');
    let token: string | undefined;
    do {
      const page = await this.#listPage(failure, this.#prefix + prefix, token === undefined ? {} : { ContinuationToken: token }, options.signal);
      await options.pace?.take((page.Contents?.length ?? 0) * LISTED_BYTES);
      for (const object of this.#objectsOf(failure, page, prefix)) {
        throwIfAborted(options.signal);
        yield object;
      }
      throwIfAborted(options.signal);
      const next = page.IsTruncated === true ? page.NextContinuationToken : undefined;
      if (page.IsTruncated === true && (next === undefined || next === token)) throw notS3(failure);
      token = next;
    } while (token !== undefined);
  }

  async create(name: string, parts: readonly Bytes[], options: PacedCallOptions = {}): Promise<void> {
    if (await this.#put(name, parts, options) === 'exists') throw nameTaken(this.#failure('create', name));
  }

  createIfAbsent(name: string, bytes: Bytes, options: PacedCallOptions = {}): Promise<'created' | 'exists'> {
    return this.#put(name, [bytes], options);
  }

  /** In a bucket with versions the bytes stay until its lifecycle rules remove them; for the repository they are gone. */
  async remove(name: string, options: CallOptions = {}): Promise<void> {
    assertObjectName(name);
    const failure = this.#failure('remove', name);
    const request = { kind: 'remove', signal: options.signal, isWrite: true, isShort: true } as const;
    try {
      await this.#connection.request(failure, request, (client, send) => client.send(new DeleteObjectCommand(this.#address(name)), send));
    } catch (error) {
      if (!hasCode(error, 'OBJECT_NOT_FOUND')) throw error;
    }
  }

  async close(): Promise<void> {
    this.#connection.close();
  }

  /** Shares the connection of this backend. */
  history(): S3History {
    return new S3History(this.#place());
  }

  /** Undefined when the settings ask for none. */
  locks(): S3Locks | undefined {
    const { objectLock } = this.#settings;
    return objectLock === undefined ? undefined : new S3Locks(this.#place(), objectLock);
  }

  #place(): S3Place {
    return { location: this.location, connection: this.#connection, bucket: this.#bucket, prefix: this.#prefix, storage: name => this.#storage(name) };
  }

  async #put(name: string, parts: readonly Bytes[], options: PacedCallOptions): Promise<'created' | 'exists'> {
    assertObjectName(name);
    throwIfAborted(options.signal);
    const failure = this.#failure('create', name);
    if (this.#conditions !== 'unknown') {
      const outcome = await this.#putOnce(failure, parts, { IfNoneMatch: '*' }, options);
      if (outcome !== 'unsupported') {
        this.#conditions = 'known';
        return outcome;
      }
      this.#conditions = 'unknown';
    }
    return this.#putUnlessThere(failure, parts, options);
  }

  /** Decides races among the calls of this backend only; `capabilities` says so. */
  #putUnlessThere(failure: Failure, parts: readonly Bytes[], options: PacedCallOptions): Promise<'created' | 'exists'> {
    const { name } = failure;
    const turn = (this.#writing.get(name) ?? Promise.resolve()).then(async () => {
      try {
        await this.stat(name, options);
        return 'exists';
      } catch (error) {
        if (!hasCode(error, 'OBJECT_NOT_FOUND')) throw error;
      }
      await this.#putOnce(failure, parts, {}, options);
      return 'created';
    });
    const ended = turn.catch(() => undefined).then(() => {
      if (this.#writing.get(name) === ended) this.#writing.delete(name);
    });
    this.#writing.set(name, ended);
    return turn;
  }

  async #putOnce(
    failure: Failure, parts: readonly Bytes[], condition: { readonly IfNoneMatch?: '*' }, { signal, pace }: PacedCallOptions,
  ): Promise<'created' | 'exists' | 'unsupported'> {
    const upload = uploadOf(parts);
    const withChecksum = await this.#connection.sendsChecksums();
    const input = { ...this.#address(failure.name), ...condition, ...this.#storage(failure.name), ...lockOf(failure.name, this.#settings.objectLock, this.#clock.now()) };
    const isSmall = upload.sizeBytes <= EXPRESS_UPLOAD_BYTES;
    const request = { kind: 'put', signal, isWrite: true, isShort: isSmall, isExpress: isSmall } as const;
    try {
      const answer = await this.#connection.request(failure, request, (client, send) => client.send(upload.command(input, withChecksum, pace), send));
      const isDamaged = withChecksum && (answer.ChecksumSHA256 ?? upload.checksum) !== upload.checksum;
      if (answer.ETag === undefined || isDamaged) throw notS3(failure, isDamaged ? 'the server has stored other bytes' : undefined);
      return 'created';
    } catch (error) {
      const answer = condition.IfNoneMatch === undefined ? undefined : answerOf(error);
      if (answer?.status === 412) return 'exists';
      // After it was known once, something else is not implemented, such as a storage class.
      if (this.#conditions !== 'known' && (answer?.status === 501 || answer?.code === 'NotImplemented')) return 'unsupported';
      throw error;
    }
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
    failure: Failure, prefix: string, more: { readonly MaxKeys?: number; readonly ContinuationToken?: string }, signal: AbortSignal | undefined,
  ): Promise<ListObjectsV2CommandOutput> {
    // Encoded, because XML cannot carry every character that a stray key may have.
    const command = new ListObjectsV2Command({ Bucket: this.#bucket, Prefix: prefix, EncodingType: 'url', ...more });
    const page = await this.#connection.request(failure, { kind: 'list', signal }, (client, send) => client.send(command, send));
    // Whatever answers without this is no S3 server, and must not pass for an empty repository.
    if (page.IsTruncated === undefined) throw notS3(failure);
    return page;
  }

  *#objectsOf(failure: Failure, page: ListObjectsV2CommandOutput, prefix: string): Generator<StoredObject> {
    for (const { Key, Size, LastModified } of page.Contents ?? []) {
      if (Key === undefined || Size === undefined || LastModified === undefined) throw notS3(failure);
      const key = page.EncodingType === 'url' ? decodeKey(Key) : Key;
      const name = key.slice(this.#prefix.length);
      // Tools make empty objects with a slash at their end to show folders.
      const isFolder = name === '' || (Size === 0 && name.endsWith('/'));
      if (isFolder || !key.startsWith(this.#prefix + prefix) || name.startsWith(`${TEMPORARY_DIRECTORY}/`)) continue;
      // HEAD gives whole seconds, and both must agree.
      yield { name, sizeBytes: Size, storedAt: Math.floor(LastModified.getTime() / 1000) * 1000 };
    }
  }

  #address(name: string): { Bucket: string; Key: string } {
    return { Bucket: this.#bucket, Key: this.#prefix + name };
  }

  #storage(name: string): Pick<PutObjectCommandInput, 'StorageClass' | 'ServerSideEncryption' | 'SSEKMSKeyId'> {
    const { storageClass, metadataStorageClass, encryption, kmsKey } = this.#settings;
    const startsWith = (prefix: string): boolean => name.startsWith(prefix);
    const chosen = DATA_PREFIXES.some(startsWith) ? storageClass : SHORT_LIVED_PREFIXES.some(startsWith) ? undefined : metadataStorageClass;
    return {
      ...(chosen === undefined ? {} : { StorageClass: chosen as PutObjectCommandInput['StorageClass'] }),
      ...(encryption === undefined ? {} : { ServerSideEncryption: encryption }),
      ...(kmsKey === undefined ? {} : { SSEKMSKeyId: kmsKey }),
    };
  }

  #failure(verb: Failure['verb'], name: string): Failure {
    return { verb, location: this.location, name };
  }
}

function decodeKey(key: string): string {
  try {
    return decodeURIComponent(key.replaceAll('+', ' '));
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    return key;
  }
}
