/**
 * What a bucket with versions keeps of the past: a view of all objects as they were at a moment, and a way to make an old version
 * the present one again. Every version is found by ListObjectVersions; nothing is ever removed here.
 */
import {
  CopyObjectCommand, type DeleteMarkerEntry, GetBucketVersioningCommand, GetObjectCommand, ListObjectVersionsCommand, type ListObjectVersionsCommandOutput,
  type ObjectVersion, type PutObjectCommandInput,
} from '@aws-sdk/client-s3';
import { SnapError, throwIfAborted } from '../base/errors.ts';
import type { Backend, BackendCapabilities, ByteRange, CallOptions, ObjectChange, ObjectHistory, StoredObject } from './backend.ts';
import { assertObjectName, assertObjectPrefix, assertRange, TEMPORARY_DIRECTORY } from './object-arguments.ts';
import { type Failure, invalidRange, objectError, objectNotFound } from './object-errors.ts';
import { notS3, readBody } from './s3-body.ts';
import type { S3Connection } from './s3-client.ts';
import { answerOf } from './s3-errors.ts';
import type { PacedBackend } from './throttled.ts';
import type { PacedCallOptions } from './transfer-limits.ts';

/** The parts of an adapter that its history stands on. */
export interface S3Place {
  readonly location: string;
  readonly connection: S3Connection;
  readonly bucket: string;
  /** '' or a prefix with a slash at its end. */
  readonly prefix: string;
  /** Storage class and encryption of an object. */
  readonly storage: (name: string) => Pick<PutObjectCommandInput, 'StorageClass' | 'ServerSideEncryption' | 'SSEKMSKeyId'>;
}

interface Version {
  readonly id: string;
  readonly sizeBytes: number;
  readonly at: number;
  readonly isLatest: boolean;
  /** Digest of the content, as far as the server says; undefined for a delete marker. */
  readonly tag: string | undefined;
}

/** Of one object in an answer, for the limits. */
const LISTED_BYTES = 450;
/** Versions that a view remembers, some 200 bytes each; of others it asks anew. */
const MAX_REMEMBERED = 200_000;

export class S3History implements ObjectHistory {
  readonly #place: S3Place;

  constructor(place: S3Place) {
    this.#place = place;
  }

  async asOf(time: number, options: CallOptions = {}): Promise<Backend> {
    await this.#checkVersions(options);
    return new S3AsOf(this.#place, time);
  }

  async *changesSince(time: number, options: CallOptions = {}): AsyncGenerator<ObjectChange> {
    await this.#checkVersions(options);
    for await (const { name, versions } of versionsOf(this.#place, '', options)) {
      const then = versionAt(versions, time);
      const now = versions.find(({ isLatest, tag }) => isLatest && tag !== undefined);
      if (then === undefined && now !== undefined) yield { name, kind: 'new', sizeBytes: now.sizeBytes };
      else if (then !== undefined && now === undefined) yield { name, kind: 'missing', sizeBytes: then.sizeBytes };
      // A copy of a version has another ID and the same digest.
      else if (then !== undefined && now !== undefined && (then.tag !== now.tag || then.sizeBytes !== now.sizeBytes)) yield { name, kind: 'other', sizeBytes: then.sizeBytes };
    }
  }

  async putBack(name: string, time: number, { signal }: CallOptions = {}): Promise<void> {
    assertObjectName(name);
    const { connection, bucket, prefix, storage, location } = this.#place;
    const failure: Failure = { verb: 'create', location, name };
    const version = await findVersion(this.#place, name, time, { signal });
    if (version === undefined) throw objectNotFound(failure);
    const key = prefix + name;
    const source = `${encodeURIComponent(bucket)}/${key.split('/').map(encodeURIComponent).join('/')}?versionId=${encodeURIComponent(version.id)}`;
    const command = new CopyObjectCommand({ Bucket: bucket, Key: key, CopySource: source, ...storage(name) });
    await connection.request(failure, { kind: 'put', signal, isWrite: true }, (client, send) => client.send(command, send));
  }

  async #checkVersions({ signal }: CallOptions): Promise<void> {
    const { connection, bucket, location } = this.#place;
    const failure: Failure = { verb: 'open', location, name: '' };
    const { Status } = await connection.request(failure, { kind: 'list', signal }, (client, send) => client.send(new GetBucketVersioningCommand({ Bucket: bucket }), send));
    // Suspended: what was kept before is still there.
    if (Status === 'Enabled' || Status === 'Suspended') return;
    throw new SnapError('UNSUPPORTED_STORE', `The bucket '${bucket}' of '${location}' keeps no versions, so nobody can see what it held earlier`, {
      hint: 'Versions must be switched on before something is lost; look for a replica, or use `snap undelete` for snapshots that were forgotten and not pruned',
    });
  }
}

/** A backend that cannot be written to. */
class S3AsOf implements PacedBackend {
  readonly isPaced = true;
  readonly location: string;
  readonly capabilities: BackendCapabilities = { createIfAbsent: 'atomic', canRemove: false };
  readonly #place: S3Place;
  readonly #time: number;
  readonly #known = new Map<string, Version>();

  constructor(place: S3Place, time: number) {
    this.location = `${place.location} as of ${new Date(time).toISOString()}`;
    this.#place = place;
    this.#time = time;
  }

  async read(name: string, range?: ByteRange, { signal, pace }: PacedCallOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    assertObjectName(name);
    if (range !== undefined) assertRange(range);
    throwIfAborted(signal);
    const failure: Failure = { verb: 'read', location: this.location, name };
    const { id, sizeBytes } = await this.#find(failure, { signal });
    if (range?.length === 0 && range.offset <= sizeBytes) return new Uint8Array(0);
    if (range !== undefined && range.offset + range.length > sizeBytes) throw invalidRange(failure, range, sizeBytes);
    const header = range === undefined ? {} : { Range: `bytes=${range.offset}-${range.offset + range.length - 1}` };
    const { connection, bucket, prefix } = this.#place;
    const command = new GetObjectCommand({ Bucket: bucket, Key: prefix + name, VersionId: id, ...header });
    return connection.request(failure, { kind: 'get', signal }, async (client, send) => readBody(failure, await client.send(command, send), range, pace));
  }

  async stat(name: string, options: CallOptions = {}): Promise<StoredObject> {
    assertObjectName(name);
    throwIfAborted(options.signal);
    const { sizeBytes, at } = await this.#find({ verb: 'stat', location: this.location, name }, options);
    return { name, sizeBytes, storedAt: at };
  }

  async *list(prefix: string, options: PacedCallOptions = {}): AsyncGenerator<StoredObject> {
    assertObjectPrefix(prefix);
    for await (const { name, versions } of versionsOf(this.#place, prefix, options)) {
      const version = versionAt(versions, this.#time);
      const isFolder = name === '' || (version?.sizeBytes === 0 && name.endsWith('/'));
      if (version === undefined || isFolder || name.startsWith(`${TEMPORARY_DIRECTORY}/`)) continue;
      if (this.#known.size < MAX_REMEMBERED) this.#known.set(name, version);
      yield { name, sizeBytes: version.sizeBytes, storedAt: version.at };
    }
    throwIfAborted(options.signal);
  }

  create(name: string): Promise<void> {
    return Promise.reject(this.#refusal('create', name));
  }

  createIfAbsent(name: string): Promise<'created' | 'exists'> {
    return Promise.reject(this.#refusal('create', name));
  }

  remove(name: string): Promise<void> {
    return Promise.reject(this.#refusal('remove', name));
  }

  async close(): Promise<void> {
    this.#place.connection.close();
  }

  #refusal(verb: 'create' | 'remove', name: string): SnapError {
    assertObjectName(name);
    return objectError('DENIED', { verb, location: this.location, name }, 'the past cannot be changed', { hint: 'Leave --as-of out, or see `snap recover`' });
  }

  async #find(failure: Failure, options: CallOptions): Promise<Version> {
    const known = this.#known.get(failure.name) ?? await findVersion(this.#place, failure.name, this.#time, options);
    if (known === undefined) throw objectNotFound(failure);
    return known;
  }
}

async function findVersion(place: S3Place, name: string, time: number, options: CallOptions): Promise<Version | undefined> {
  for await (const found of versionsOf(place, name, options)) if (found.name === name) return versionAt(found.versions, time);
  return undefined;
}

/** The one that was current at the time; undefined when there was none, or a delete marker. */
function versionAt(versions: readonly Version[], time: number): Version | undefined {
  const found = versions.find(({ at }) => at <= time);
  return found?.tag === undefined ? undefined : found;
}

/** All versions of each object, the newest first. */
async function* versionsOf(place: S3Place, prefix: string, options: PacedCallOptions): AsyncGenerator<{ name: string; versions: Version[] }> {
  const failure: Failure = { verb: 'list', location: place.location, name: '' };
  let marker: { KeyMarker?: string; VersionIdMarker?: string } | undefined = {};
  const pending = new Map<string, Version[]>();
  const complete = function* (upTo: string | undefined): Generator<{ name: string; versions: Version[] }> {
    for (const [name, versions] of [...pending].sort(([a], [b]) => (a < b ? -1 : 1))) {
      // The versions of one object may go on on the next page.
      if (name === upTo) continue;
      pending.delete(name);
      // Of the same second the current one is the newer; else an object is removed after it was made.
      yield { name, versions: versions.sort((a, b) => b.at - a.at || Number(b.isLatest) - Number(a.isLatest) || Number(a.tag !== undefined) - Number(b.tag !== undefined)) };
    }
  };
  while (marker !== undefined) {
    const page: ListObjectVersionsCommandOutput = await versionPage(place, failure, place.prefix + prefix, marker, options.signal);
    await options.pace?.take(((page.Versions?.length ?? 0) + (page.DeleteMarkers?.length ?? 0)) * LISTED_BYTES);
    const last = addPage(failure, place, page, pending);
    const next: string | undefined = page.IsTruncated === true ? page.NextKeyMarker : undefined;
    if (page.IsTruncated === true && (next === undefined || (next === marker.KeyMarker && page.NextVersionIdMarker === marker.VersionIdMarker))) throw notS3(failure);
    yield* complete(next === undefined ? undefined : last);
    marker = next === undefined ? undefined : { KeyMarker: next, ...page.NextVersionIdMarker === undefined ? {} : { VersionIdMarker: page.NextVersionIdMarker } };
    throwIfAborted(options.signal);
  }
}

async function versionPage(
  { connection, bucket }: S3Place, failure: Failure, prefix: string, marker: { KeyMarker?: string; VersionIdMarker?: string }, signal: AbortSignal | undefined,
): Promise<ListObjectVersionsCommandOutput> {
  const command = new ListObjectVersionsCommand({ Bucket: bucket, Prefix: prefix, ...marker });
  try {
    const page = await connection.request(failure, { kind: 'list', signal }, (client, send) => client.send(command, send));
    if (page.IsTruncated === undefined) throw notS3(failure);
    return page;
  } catch (error) {
    if (answerOf(error)?.status !== 501) throw error;
    throw new SnapError('UNSUPPORTED_STORE', `The server of '${failure.location}' lists no versions`, { cause: error });
  }
}

/** @returns the last name of the page */
function addPage(failure: Failure, { prefix }: S3Place, page: ListObjectVersionsCommandOutput, pending: Map<string, Version[]>): string | undefined {
  let last: string | undefined;
  const add = (content: Pick<Version, 'sizeBytes' | 'tag'>, { Key: key, VersionId, LastModified, IsLatest }: ObjectVersion | DeleteMarkerEntry): void => {
    if (key === undefined || VersionId === undefined || LastModified === undefined) throw notS3(failure);
    if (!key.startsWith(prefix)) return;
    const name = key.slice(prefix.length);
    if (last === undefined || name > last) last = name;
    const versions = pending.get(name) ?? [];
    pending.set(name, versions);
    versions.push({ ...content, id: VersionId, at: LastModified.getTime(), isLatest: IsLatest === true });
  };
  for (const each of page.Versions ?? []) add({ sizeBytes: each.Size ?? 0, tag: each.ETag ?? '' }, each);
  for (const each of page.DeleteMarkers ?? []) add({ sizeBytes: 0, tag: undefined }, each);
  return last;
}
