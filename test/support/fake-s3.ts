/**
 * A strict S3 server in this process for quick tests: create-only writes, ranges, listings by pages, checksums, and faults that
 * a test plans. What it does not know it refuses, so that a client that relies on more than the subset fails.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

// The SDK's advice on Node versions is for those who choose the SDK's version.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] = 'true';

export type FakeOperation = 'PUT' | 'GET' | 'HEAD' | 'DELETE' | 'LIST' | 'MAKE-BUCKET' | 'VERSIONING' | 'RETENTION';

export type S3Fault = {
  readonly on: FakeOperation;
  /** The key or a pattern of it (LIST: the prefix); default every key. */
  readonly key?: string | RegExp;
  /** How many requests are hit; default 1. */
  readonly times?: number;
  /** Matching requests that go well first; default 0. */
  readonly after?: number;
} & (
  /** Answers so and does nothing. */
  | { readonly effect: 'answer'; readonly status: number; readonly code: string }
  /** Does its work, then answers so. */
  | { readonly effect: 'answer-after'; readonly status: number; readonly code: string }
  /** The connection ends before anything is done, after it was done, or with half of the answer. */
  | { readonly effect: 'cut-before' | 'cut-after' | 'cut-within' }
  /** Never answers: nothing done, all done, or half of the answer sent. */
  | { readonly effect: 'hang-before' | 'hang-after' | 'hang-within' }
  /** The answer to a PUT tells another checksum. */
  | { readonly effect: 'wrong-checksum' }
  /** Something in between answers 200 with a page of its own. */
  | { readonly effect: 'portal' }
);

export interface FakeS3Options {
  /** What becomes of `If-None-Match: *`: kept, silently ignored, or refused with 501 or 400. */
  readonly conditions?: 'kept' | 'ignored' | '501' | '400';
  /** 'refused': a request with an `x-amz-checksum-` header is a bad one. */
  readonly checksums?: 'kept' | 'refused';
  readonly ranges?: 'kept' | 'ignored';
  /** Most keys of one page of a listing. */
  readonly pageSize?: number;
  /** Every answer takes so long. */
  readonly delayMs?: number;
  readonly accessKeyId?: string;
  /** Keeps every version of every object. */
  readonly versions?: boolean;
  /** Takes Object Locks; without it a request for one is refused, as by a bucket that was made without. */
  readonly objectLock?: boolean;
}

export interface SeenRequest {
  readonly operation: FakeOperation;
  readonly key: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Requests that were being answered at this moment, this one included. */
  readonly underWay: number;
}

/** A version of an object; without a body a delete marker. */
interface FakeVersion {
  readonly id: string;
  readonly object: FakeObject | undefined;
  readonly storedAt: Date;
}

interface FakeObject {
  readonly body: Buffer;
  readonly checksum: string | undefined;
  readonly storedAt: Date;
}

interface Plan {
  readonly fault: S3Fault;
  toSkip: number;
  toHit: number;
}

/** An answer of S3 that is an error. */
class Refusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string = code) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
}

interface Request {
  readonly operation: FakeOperation;
  readonly bucket: string;
  readonly key: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

const MAX_KEYS = 1000;
const xml = (text: string): string => text.replace(/[<>&'"]/g, each => `&#${each.charCodeAt(0)};`);
const sha256 = (body: Buffer, encoding: 'hex' | 'base64'): string => createHash('sha256').update(body).digest(encoding);

export class FakeS3 {
  readonly requests: SeenRequest[] = [];
  /** Refuses with 403 what this says. */
  denies: (operation: FakeOperation, key: string) => boolean = () => false;
  /** Refuses every request that carries this token as expired. */
  expiredToken: string | undefined;
  readonly #options: Required<FakeS3Options>;
  readonly #server: Server;
  readonly #buckets = new Map<string, Map<string, FakeObject>>();
  /** By bucket and key, the oldest first. */
  readonly #versions = new Map<string, FakeVersion[]>();
  #plans: Plan[] = [];
  #underWay = 0;
  #lastVersion = 0;

  private constructor(options: FakeS3Options) {
    this.#options = { conditions: 'kept', checksums: 'kept', ranges: 'kept', pageSize: MAX_KEYS, delayMs: 0, accessKeyId: 'fake-key', versions: false, objectLock: false, ...options };
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch((error: unknown) => response.destroy(error as Error));
    });
  }

  /** Listens on a free port of this machine; there is one bucket with the name 'bucket'. */
  static async start(options: FakeS3Options = {}): Promise<FakeS3> {
    const fake = new FakeS3(options);
    fake.#buckets.set('bucket', new Map());
    await new Promise<void>(resolve => { fake.#server.listen(0, '127.0.0.1', resolve); });
    return fake;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** With credentials in it. */
  location(prefix = 'prefix', bucket = 'bucket'): string {
    return `s3:${this.endpoint.replace('//', `//${this.#options.accessKeyId}:fake-secret@`)}/${bucket}${prefix === '' ? '' : `/${prefix}`}`;
  }

  keys(bucket = 'bucket'): string[] {
    return [...this.#buckets.get(bucket)?.keys() ?? []].sort();
  }

  hasBucket(bucket: string): boolean {
    return this.#buckets.has(bucket);
  }

  /** Puts an object there as another program would. */
  plant(key: string, body: string): void {
    this.#buckets.get('bucket')!.set(key, { body: Buffer.from(body), checksum: undefined, storedAt: new Date() });
  }

  /** Takes an object away as another program would. */
  unplant(key: string): void {
    this.#buckets.get('bucket')!.delete(key);
  }

  plan(...faults: readonly S3Fault[]): void {
    this.#plans.push(...faults.map(fault => ({ fault, toSkip: fault.after ?? 0, toHit: fault.times ?? 1 })));
  }

  /** A planned fault that did not strike means that the test did not test what it says. */
  assertAllHit(): void {
    const left = this.#plans.filter(plan => plan.toHit > 0);
    if (left.length > 0) throw new Error(`Planned faults that never struck: ${JSON.stringify(left.map(plan => plan.fault))}`);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise(resolve => { this.#server.close(resolve); });
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#underWay++;
    response.once('close', () => { this.#underWay--; });
    const request = await readRequest(incoming);
    const { operation, key, headers } = request;
    this.requests.push({ operation, key, headers, underWay: this.#underWay });
    const fault = this.#next(operation, key);
    if (this.#options.delayMs > 0) await new Promise(resolve => { setTimeout(resolve, this.#options.delayMs); });
    if (fault?.effect === 'cut-before') return void incoming.socket.destroy();
    if (fault?.effect === 'hang-before') return;
    if (fault?.effect === 'answer') return send(response, refusalAnswer(new Refusal(fault.status, fault.code)), operation);
    if (fault?.effect === 'portal') return send(response, { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>Log in</html>' }, operation);
    const answer = this.#answer(request, fault);
    if (fault?.effect === 'cut-after') return void incoming.socket.destroy();
    if (fault?.effect === 'hang-after') return;
    if (fault?.effect === 'answer-after') return send(response, refusalAnswer(new Refusal(fault.status, fault.code)), operation);
    if (fault?.effect === 'cut-within' || fault?.effect === 'hang-within') return sendHalf(response, answer, fault.effect === 'cut-within');
    send(response, answer, operation);
  }

  #answer(request: Request, fault: S3Fault | undefined): Answer {
    try {
      this.#admit(request);
      const answer = this.#perform(request);
      if (fault?.effect !== 'wrong-checksum') return answer;
      return { ...answer, headers: { ...answer.headers, 'x-amz-checksum-sha256': sha256(Buffer.from('other bytes'), 'base64') } };
    } catch (error) {
      if (error instanceof Refusal) return refusalAnswer(error);
      throw error;
    }
  }

  #admit({ operation, key, headers, body }: Request): void {
    const { accessKeyId, checksums } = this.#options;
    const credential = /^AWS4-HMAC-SHA256 Credential=([^/]+)\/\d{8}\/[^/]+\/s3\/aws4_request, SignedHeaders=([^,]+), Signature=[0-9a-f]{64}$/.exec(headers['authorization'] ?? '');
    if (credential === null) throw new Refusal(403, 'AccessDenied', 'The request is not signed');
    if (this.expiredToken !== undefined && headers['x-amz-security-token'] === this.expiredToken) throw new Refusal(400, 'ExpiredToken');
    if (credential[1] !== accessKeyId) throw new Refusal(403, 'InvalidAccessKeyId');
    const signed = new Set(credential[2]!.split(';'));
    for (const name of Object.keys(headers)) if (name.startsWith('x-amz-') && !signed.has(name)) throw new Refusal(403, 'AccessDenied', `'${name}' is not signed`);
    if (headers['x-amz-content-sha256'] !== sha256(body, 'hex')) throw new Refusal(400, 'XAmzContentSHA256Mismatch');
    const given = Object.keys(headers).filter(name => name.startsWith('x-amz-checksum-'));
    if (given.length > 0 && checksums === 'refused') throw new Refusal(400, 'InvalidRequest', 'Checksum headers are not known here');
    if (headers['x-amz-checksum-sha256'] !== undefined && headers['x-amz-checksum-sha256'] !== sha256(body, 'base64')) throw new Refusal(400, 'BadDigest');
    if (this.denies(operation, key)) throw new Refusal(403, 'AccessDenied', 'Access Denied');
  }

  #perform(request: Request): Answer {
    const { operation, bucket, key, headers } = request;
    if (operation === 'MAKE-BUCKET') {
      if (this.#buckets.has(bucket)) throw new Refusal(409, 'BucketAlreadyOwnedByYou');
      this.#buckets.set(bucket, new Map());
      return { status: 200, headers: { location: `/${bucket}` } };
    }
    const objects = this.#buckets.get(bucket);
    if (objects === undefined) throw new Refusal(404, 'NoSuchBucket');
    if (operation === 'LIST') return this.#list(objects, request);
    if (operation === 'VERSIONING') return this.#versioning();
    if (operation === 'RETENTION') return this.#retain(objects, request);
    if (operation === 'PUT') return headers['x-amz-copy-source'] === undefined ? this.#put(objects, request) : this.#copy(objects, request);
    if (operation === 'DELETE') {
      objects.delete(key);
      this.#keep(bucket, key, undefined);
      return { status: 204 };
    }
    const object = this.#wanted(request) ?? objects.get(key);
    if (object === undefined) throw new Refusal(404, 'NoSuchKey');
    const common = { 'last-modified': object.storedAt.toUTCString(), 'etag': `"${sha256(object.body, 'hex').slice(0, 32)}"`, 'accept-ranges': 'bytes' };
    if (operation === 'HEAD') return { status: 200, headers: { ...common, 'content-length': String(object.body.length) } };
    if (headers['range'] === undefined || this.#options.ranges === 'ignored') return { status: 200, headers: common, body: object.body };
    return rangeOf(object.body, headers['range'], common);
  }

  #keep(bucket: string, key: string, object: FakeObject | undefined): void {
    if (!this.#options.versions) return;
    const name = `${bucket}/${key}`;
    const versions = this.#versions.get(name) ?? [];
    this.#versions.set(name, versions);
    versions.push({ id: `v${++this.#lastVersion}`, object, storedAt: object?.storedAt ?? new Date() });
  }

  #wanted({ bucket, key, query }: Request): FakeObject | undefined {
    const id = query.get('versionId');
    if (id === null) return undefined;
    const version = this.#versions.get(`${bucket}/${key}`)?.find(each => each.id === id);
    if (version?.object === undefined) throw new Refusal(version === undefined ? 404 : 405, version === undefined ? 'NoSuchVersion' : 'MethodNotAllowed');
    return version.object;
  }

  /** Mode and end of the lock of each key, as the last request said. */
  readonly locks = new Map<string, { readonly mode: string; readonly until: Date }>();

  #retain(objects: Map<string, FakeObject>, { key, body }: Request): Answer {
    if (!objects.has(key)) throw new Refusal(404, 'NoSuchKey');
    if (!this.#options.objectLock) throw new Refusal(400, 'InvalidRequest', 'Bucket is missing Object Lock Configuration');
    const [, mode = ''] = /<Mode>(\w+)<\/Mode>/.exec(body.toString()) ?? [];
    const until = new Date(/<RetainUntilDate>([^<]+)</.exec(body.toString())?.[1] ?? '');
    const known = this.locks.get(key);
    if (known !== undefined && until < known.until) throw new Refusal(403, 'AccessDenied', 'A lock cannot be shortened');
    this.locks.set(key, { mode, until });
    return { status: 200 };
  }

  #versioning(): Answer {
    const status = this.#options.versions ? '<Status>Enabled</Status>' : '';
    return { status: 200, headers: { 'content-type': 'application/xml' }, body: `<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${status}</VersioningConfiguration>` };
  }

  #copy(objects: Map<string, FakeObject>, { bucket, key, headers }: Request): Answer {
    const [path = '', id = ''] = headers['x-amz-copy-source']!.split('?versionId=');
    const source = this.#versions.get(decodeURIComponent(path).replace(/^\//, ''))?.find(each => each.id === decodeURIComponent(id))?.object;
    if (source === undefined) throw new Refusal(404, 'NoSuchVersion');
    const object = { ...source, storedAt: new Date() };
    objects.set(key, object);
    this.#keep(bucket, key, object);
    const body = `<CopyObjectResult><ETag>"${sha256(object.body, 'hex').slice(0, 32)}"</ETag><LastModified>${object.storedAt.toISOString()}</LastModified></CopyObjectResult>`;
    return { status: 200, headers: { 'content-type': 'application/xml' }, body };
  }

  /** Versions of all keys, by key and then the newest first; a page may end between two versions of a key. */
  #listVersions({ bucket, query }: Request): Answer {
    const prefix = query.get('prefix') ?? '';
    const all = [...this.#versions].filter(([name]) => name.startsWith(`${bucket}/${prefix}`)).sort(([a], [b]) => (a < b ? -1 : 1))
      .flatMap(([name, versions]) => versions.toReversed().map((version, i) => ({ key: name.slice(bucket.length + 1), ...version, isLatest: i === 0 })));
    const [key, id] = [query.get('key-marker'), query.get('version-id-marker')];
    const from = key === null ? 0 : all.findIndex(each => each.key === key && each.id === id) + 1;
    const page = all.slice(from, from + this.#options.pageSize);
    const isTruncated = from + page.length < all.length;
    const items = page.map(({ key: name, id: version, object, storedAt, isLatest }) => {
      const common = `<Key>${xml(name)}</Key><VersionId>${version}</VersionId><IsLatest>${isLatest}</IsLatest><LastModified>${storedAt.toISOString()}</LastModified>`;
      return object === undefined ? `<DeleteMarker>${common}</DeleteMarker>`
        : `<Version>${common}<ETag>"${sha256(object.body, 'hex').slice(0, 32)}"</ETag><Size>${object.body.length}</Size></Version>`;
    });
    const next = isTruncated ? `<NextKeyMarker>${xml(page.at(-1)!.key)}</NextKeyMarker><NextVersionIdMarker>${page.at(-1)!.id}</NextVersionIdMarker>` : '';
    return {
      status: 200, headers: { 'content-type': 'application/xml' },
      body: `<?xml version="1.0" encoding="UTF-8"?><ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>${isTruncated}</IsTruncated>${next}${items.join('')}</ListVersionsResult>`,
    };
  }

  #put(objects: Map<string, FakeObject>, { bucket, key, headers, body }: Request): Answer {
    const { conditions } = this.#options;
    const condition = headers['if-none-match'];
    if (condition !== undefined) {
      if (condition !== '*') throw new Refusal(501, 'NotImplemented');
      if (conditions === '501') throw new Refusal(501, 'NotImplemented', 'A header you provided implies functionality that is not implemented');
      if (conditions === '400') throw new Refusal(400, 'NotImplemented');
      if (conditions === 'kept' && objects.has(key)) throw new Refusal(412, 'PreconditionFailed');
    }
    const checksum = headers['x-amz-checksum-sha256'];
    const mode = headers['x-amz-object-lock-mode'];
    if (mode !== undefined && !this.#options.objectLock) throw new Refusal(400, 'InvalidRequest', 'Bucket is missing Object Lock Configuration');
    if (mode !== undefined) this.locks.set(key, { mode, until: new Date(headers['x-amz-object-lock-retain-until-date']!) });
    const object = { body, checksum, storedAt: new Date() };
    objects.set(key, object);
    this.#keep(bucket, key, object);
    return { status: 200, headers: { etag: `"${sha256(body, 'hex').slice(0, 32)}"`, ...(checksum === undefined ? {} : { 'x-amz-checksum-sha256': checksum }) } };
  }

  #list(objects: Map<string, FakeObject>, request: Request): Answer {
    const { bucket, query } = request;
    if (query.has('versions')) return this.#listVersions(request);
    for (const name of query.keys()) {
      if (!['list-type', 'prefix', 'max-keys', 'continuation-token', 'encoding-type', 'x-id'].includes(name)) throw new Refusal(501, 'NotImplemented', name);
    }
    const prefix = query.get('prefix') ?? '';
    const encode = query.get('encoding-type') === 'url' ? (key: string): string => encodeURIComponent(key).replaceAll('%20', '+').replaceAll('%2F', '/') : xml;
    const limit = Math.min(this.#options.pageSize, Number(query.get('max-keys') ?? MAX_KEYS));
    const token = query.get('continuation-token');
    const from = token === null ? '' : Buffer.from(token, 'base64').toString();
    const all = [...objects].filter(([key]) => key.startsWith(prefix) && key > from).sort(([a], [b]) => (a < b ? -1 : 1));
    const page = all.slice(0, limit);
    const isTruncated = all.length > page.length;
    const contents = page.map(([key, { body, storedAt }]) =>
      `<Contents><Key>${encode(key)}</Key><LastModified>${storedAt.toISOString()}</LastModified><ETag>"x"</ETag><Size>${body.length}</Size></Contents>`);
    const next = isTruncated ? `<NextContinuationToken>${Buffer.from(page.at(-1)![0]).toString('base64')}</NextContinuationToken>` : '';
    const encoding = query.get('encoding-type') === 'url' ? '<EncodingType>url</EncodingType>' : '';
    return {
      status: 200, headers: { 'content-type': 'application/xml' },
      body: `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>${xml(bucket)}</Name>`
        + `<Prefix>${encode(prefix)}</Prefix><KeyCount>${page.length}</KeyCount><MaxKeys>${limit}</MaxKeys>${encoding}`
        + `<IsTruncated>${isTruncated}</IsTruncated>${next}${contents.join('')}</ListBucketResult>`,
    };
  }

  #next(operation: FakeOperation, key: string): S3Fault | undefined {
    for (const plan of this.#plans) {
      const { key: wanted } = plan.fault;
      const isMeant = wanted === undefined || (typeof wanted === 'string' ? key === wanted : wanted.test(key));
      if (plan.toHit === 0 || plan.fault.on !== operation || !isMeant) continue;
      if (plan.toSkip-- > 0) continue;
      plan.toHit--;
      return plan.fault;
    }
    return undefined;
  }
}

async function readRequest(incoming: IncomingMessage): Promise<Request> {
  const url = new URL(incoming.url!, 'http://fake');
  const [bucket = '', ...rest] = url.pathname.slice(1).split('/');
  const path = decodeURIComponent(rest.join('/'));
  const isList = url.searchParams.get('list-type') === '2' || url.searchParams.has('versions');
  const isBucket = path === '';
  const operation = isList ? 'LIST' : url.searchParams.has('versioning') ? 'VERSIONING' : url.searchParams.has('retention') ? 'RETENTION' : isBucket && incoming.method === 'PUT' ? 'MAKE-BUCKET' : incoming.method as FakeOperation;
  const pieces: Buffer[] = [];
  for await (const piece of incoming) pieces.push(piece as Buffer);
  const headers = Object.fromEntries(Object.entries(incoming.headers).map(([name, value]) => [name, String(value)]));
  return { operation, bucket, key: isList ? url.searchParams.get('prefix') ?? '' : path, query: url.searchParams, headers, body: Buffer.concat(pieces) };
}

function rangeOf(body: Buffer, range: string, headers: Readonly<Record<string, string>>): Answer {
  const match = /^bytes=(\d+)-(\d+)$/.exec(range);
  if (match === null) throw new Refusal(501, 'NotImplemented');
  const [start, end] = [Number(match[1]), Math.min(Number(match[2]), body.length - 1)];
  if (start >= body.length) throw new Refusal(416, 'InvalidRange');
  return { status: 206, headers: { ...headers, 'content-range': `bytes ${start}-${end}/${body.length}` }, body: body.subarray(start, end + 1) };
}

function refusalAnswer({ status, code, message }: Refusal): Answer {
  const body = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${xml(code)}</Code><Message>${xml(message)}</Message><RequestId>1</RequestId></Error>`;
  return { status, headers: { 'content-type': 'application/xml' }, body };
}

function send(response: ServerResponse, { status, headers = {}, body = '' }: Answer, operation: FakeOperation): void {
  const bytes = Buffer.from(body);
  response.writeHead(status, { 'x-amz-request-id': '1', ...(status === 204 ? {} : { 'content-length': String(bytes.length) }), ...headers });
  response.end(operation === 'HEAD' ? undefined : bytes);
}

function sendHalf(response: ServerResponse, { status, headers = {}, body = '' }: Answer, isCut: boolean): void {
  const bytes = Buffer.from(body);
  response.writeHead(status, { ...headers, 'content-length': String(bytes.length) });
  response.write(bytes.subarray(0, bytes.length >> 1), () => { if (isCut) response.socket?.destroy(); });
}
