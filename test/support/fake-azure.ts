/**
 * A strict Blob service of Azure in this process for quick tests: shared key signatures, create-only writes, ranges, listings by
 * pages, digests, and faults that a test plans. What it does not know it refuses.
 */
import { createHash, createHmac } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FakeOperation, S3Fault, SeenRequest } from './fake-s3.ts';

export const FAKE_ACCOUNT = 'fakeaccount';
export const FAKE_KEY: string = Buffer.from('the key of a fake account').toString('base64');

interface FakeBlob {
  readonly body: Buffer;
  readonly tier: string | undefined;
  readonly storedAt: Date;
}

interface Plan {
  readonly fault: S3Fault;
  toSkip: number;
  toHit: number;
}

interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
}

class Refusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string = code) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

interface Request {
  readonly operation: FakeOperation;
  readonly method: string;
  readonly url: URL;
  readonly container: string;
  readonly name: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

const SIGNED = ['content-encoding', 'content-language', 'content-length', 'content-md5', 'content-type', 'date', 'if-modified-since', 'if-match', 'if-none-match', 'if-unmodified-since', 'range'];
const xml = (text: string): string => text.replace(/[<>&'"]/g, each => `&#${each.charCodeAt(0)};`);
const md5 = (body: Buffer): string => createHash('md5').update(body).digest('base64');

export class FakeAzure {
  readonly requests: SeenRequest[] = [];
  /** Refuses with 403 what this says. */
  denies: (operation: FakeOperation, name: string) => boolean = () => false;
  /** The only shared access signature that is taken. */
  sasSignature = 'fake-signature';
  readonly #pageSize: number;
  readonly #server: Server;
  readonly #containers = new Map<string, Map<string, FakeBlob>>([['container', new Map()]]);
  #plans: Plan[] = [];
  #underWay = 0;

  private constructor(pageSize: number) {
    this.#pageSize = pageSize;
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch((error: unknown) => response.destroy(error as Error));
    });
  }

  /** Listens on a free port of this machine; there is one container with the name 'container'. */
  static async start({ pageSize = 5000 }: { readonly pageSize?: number } = {}): Promise<FakeAzure> {
    const fake = new FakeAzure(pageSize);
    await new Promise<void>(resolve => { fake.#server.listen(0, '127.0.0.1', resolve); });
    return fake;
  }

  /** As that of the emulator: the account stands in the path. */
  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/${FAKE_ACCOUNT}`;
  }

  get connectionString(): string {
    return `DefaultEndpointsProtocol=http;AccountName=${FAKE_ACCOUNT};AccountKey=${FAKE_KEY};BlobEndpoint=${this.endpoint};`;
  }

  location(prefix = 'prefix', container = 'container'): string {
    return `azure:${FAKE_ACCOUNT}/${container}${prefix === '' ? '' : `/${prefix}`}`;
  }

  names(container = 'container'): string[] {
    return [...this.#containers.get(container)?.keys() ?? []].sort();
  }

  tierOf(name: string): string | undefined {
    return this.#containers.get('container')?.get(name)?.tier;
  }

  /** Puts a blob there as another program would. */
  plant(name: string, body: string): void {
    this.#containers.get('container')!.set(name, { body: Buffer.from(body), tier: undefined, storedAt: new Date() });
  }

  plan(...faults: readonly S3Fault[]): void {
    this.#plans.push(...faults.map(fault => ({ fault, toSkip: fault.after ?? 0, toHit: fault.times ?? 1 })));
  }

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
    const { operation, name, headers } = request;
    this.requests.push({ operation, key: name, headers, underWay: this.#underWay });
    const fault = this.#next(operation, name);
    if (fault?.effect === 'cut-before') return void incoming.socket.destroy();
    if (fault?.effect === 'hang-before') return;
    if (fault?.effect === 'answer') return send(response, refusalAnswer(new Refusal(fault.status, fault.code)), operation);
    if (fault?.effect === 'portal') return void response.writeHead(200, { 'content-type': 'text/html' }).end('<html>Log in</html>');
    const answer = this.#answer(request);
    if (fault?.effect === 'cut-after') return void incoming.socket.destroy();
    if (fault?.effect === 'hang-after') return;
    if (fault?.effect === 'answer-after') return send(response, refusalAnswer(new Refusal(fault.status, fault.code)), operation);
    if (fault?.effect === 'cut-within' || fault?.effect === 'hang-within') return sendHalf(response, answer, fault.effect === 'cut-within');
    if (fault?.effect === 'wrong-checksum') return send(response, { ...answer, headers: { ...answer.headers, 'content-md5': md5(Buffer.from('other bytes')) } }, operation);
    send(response, answer, operation);
  }

  #answer(request: Request): Answer {
    try {
      this.#admit(request);
      return this.#perform(request);
    } catch (error) {
      if (error instanceof Refusal) return refusalAnswer(error);
      throw error;
    }
  }

  #admit(request: Request): void {
    const { operation, name, url, headers, body } = request;
    const signature = url.searchParams.get('sig');
    if (signature === null ? headers['authorization'] !== `SharedKey ${FAKE_ACCOUNT}:${signatureOf(request)}` : signature !== this.sasSignature) {
      throw new Refusal(403, 'AuthenticationFailed', 'Server failed to authenticate the request.');
    }
    if (headers['content-md5'] !== undefined && headers['content-md5'] !== md5(body)) throw new Refusal(400, 'Md5Mismatch');
    if (this.denies(operation, name)) throw new Refusal(403, 'AuthorizationPermissionMismatch', 'This request is not authorized to perform this operation using this permission.');
  }

  #perform(request: Request): Answer {
    const { operation, container, name, headers } = request;
    if (operation === 'MAKE-BUCKET') {
      if (this.#containers.has(container)) throw new Refusal(409, 'ContainerAlreadyExists');
      this.#containers.set(container, new Map());
      return { status: 201, headers: { etag: '"0x1"', 'last-modified': new Date().toUTCString() } };
    }
    const blobs = this.#containers.get(container);
    if (blobs === undefined) throw new Refusal(404, 'ContainerNotFound');
    if (operation === 'LIST') return this.#list(blobs, request);
    if (operation === 'PUT') return this.#put(blobs, request);
    const blob = blobs.get(name);
    if (blob === undefined) throw new Refusal(404, 'BlobNotFound');
    if (operation === 'DELETE') {
      blobs.delete(name);
      return { status: 202 };
    }
    const common = { 'last-modified': blob.storedAt.toUTCString(), 'etag': '"0x1"', 'x-ms-blob-type': 'BlockBlob' };
    if (operation === 'HEAD') return { status: 200, headers: { ...common, 'content-length': String(blob.body.length) } };
    const range = headers['x-ms-range'] ?? headers['range'];
    return range === undefined ? { status: 200, headers: common, body: blob.body } : rangeOf(blob.body, range, common);
  }

  #put(blobs: Map<string, FakeBlob>, { name, headers, body }: Request): Answer {
    if (headers['x-ms-blob-type'] !== 'BlockBlob') throw new Refusal(400, 'MissingRequiredHeader');
    if (headers['if-none-match'] === '*' && blobs.has(name)) throw new Refusal(409, 'BlobAlreadyExists');
    if (headers['content-md5'] === undefined) throw new Refusal(400, 'MissingContentMd5Header', 'This test wants every body to be checked');
    blobs.set(name, { body, tier: headers['x-ms-access-tier'], storedAt: new Date() });
    return { status: 201, headers: { 'etag': '"0x1"', 'last-modified': new Date().toUTCString(), 'content-md5': md5(body) } };
  }

  #list(blobs: Map<string, FakeBlob>, { url, container }: Request): Answer {
    const prefix = url.searchParams.get('prefix') ?? '';
    const from = Buffer.from(url.searchParams.get('marker') ?? '', 'base64').toString();
    const limit = Math.min(this.#pageSize, Number(url.searchParams.get('maxresults') ?? this.#pageSize));
    const all = [...blobs].filter(([name]) => name.startsWith(prefix) && name > from).sort(([a], [b]) => (a < b ? -1 : 1));
    const page = all.slice(0, limit);
    const next = all.length > page.length ? Buffer.from(page.at(-1)![0]).toString('base64') : '';
    const items = page.map(([name, { body, storedAt }]) => `<Blob><Name>${xml(name)}</Name><Properties><Last-Modified>${storedAt.toUTCString()}</Last-Modified>`
      + `<Etag>0x1</Etag><Content-Length>${body.length}</Content-Length><BlobType>BlockBlob</BlobType></Properties></Blob>`);
    return {
      status: 200, headers: { 'content-type': 'application/xml' },
      body: `<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="${this.endpoint}/" ContainerName="${container}"><Prefix>${xml(prefix)}</Prefix>`
        + `<MaxResults>${limit}</MaxResults><Blobs>${items.join('')}</Blobs><NextMarker>${next}</NextMarker></EnumerationResults>`,
    };
  }

  #next(operation: FakeOperation, name: string): S3Fault | undefined {
    for (const plan of this.#plans) {
      const { key } = plan.fault;
      const isMeant = key === undefined || (typeof key === 'string' ? name === key : key.test(name));
      if (plan.toHit === 0 || plan.fault.on !== operation || !isMeant) continue;
      if (plan.toSkip-- > 0) continue;
      plan.toHit--;
      return plan.fault;
    }
    return undefined;
  }
}

/** Source: "Authorize with Shared Key", Azure Storage services. */
function signatureOf({ method, url, headers }: Request): string {
  const own = Object.keys(headers).filter(name => name.startsWith('x-ms-')).sort().map(name => `${name}:${headers[name]}`);
  const query = [...url.searchParams].map(([name, value]) => `${name.toLowerCase()}:${value}`).sort();
  const values = SIGNED.map(name => (name === 'content-length' && headers[name] === '0' ? '' : headers[name] ?? ''));
  const text = [method, ...values, ...own, `/${FAKE_ACCOUNT}${url.pathname}`, ...query].join('\n');
  return createHmac('sha256', Buffer.from(FAKE_KEY, 'base64')).update(text).digest('base64');
}

async function readRequest(incoming: IncomingMessage): Promise<Request> {
  const url = new URL(incoming.url!, 'http://fake');
  const [, container = '', ...rest] = url.pathname.slice(1).split('/');
  const name = decodeURIComponent(rest.join('/'));
  const method = incoming.method!;
  const isContainer = url.searchParams.get('restype') === 'container';
  const isList = isContainer && url.searchParams.get('comp') === 'list';
  const operation = isList ? 'LIST' : isContainer && method === 'PUT' ? 'MAKE-BUCKET' : method as FakeOperation;
  const pieces: Buffer[] = [];
  for await (const piece of incoming) pieces.push(piece as Buffer);
  const headers = Object.fromEntries(Object.entries(incoming.headers).map(([key, value]) => [key, String(value)]));
  return { operation, method, url, container, name: isList ? url.searchParams.get('prefix') ?? '' : name, headers, body: Buffer.concat(pieces) };
}

function rangeOf(body: Buffer, range: string, headers: Readonly<Record<string, string>>): Answer {
  const match = /^bytes=(\d+)-(\d+)$/.exec(range);
  if (match === null) throw new Refusal(400, 'InvalidHeaderValue');
  const [start, end] = [Number(match[1]), Math.min(Number(match[2]), body.length - 1)];
  if (start >= body.length) throw new Refusal(416, 'InvalidRange');
  return { status: 206, headers: { ...headers, 'content-range': `bytes ${start}-${end}/${body.length}` }, body: body.subarray(start, end + 1) };
}

function refusalAnswer({ status, code, message }: Refusal): Answer {
  const body = `<?xml version="1.0" encoding="utf-8"?><Error><Code>${xml(code)}</Code><Message>${xml(message)}\nRequestId:1\nTime:now</Message></Error>`;
  return { status, headers: { 'content-type': 'application/xml', 'x-ms-error-code': code }, body };
}

const OF_ALL = { 'x-ms-request-id': '1', 'x-ms-version': '2024-01-01' };

function send(response: ServerResponse, { status, headers = {}, body = '' }: Answer, operation: FakeOperation): void {
  const bytes = Buffer.from(body);
  response.writeHead(status, { ...OF_ALL, 'content-length': String(bytes.length), ...headers });
  response.end(operation === 'HEAD' ? undefined : bytes);
}

function sendHalf(response: ServerResponse, { status, headers = {}, body = '' }: Answer, isCut: boolean): void {
  const bytes = Buffer.from(body);
  response.writeHead(status, { ...OF_ALL, ...headers, 'content-length': String(bytes.length) });
  response.write(bytes.subarray(0, bytes.length >> 1), () => { if (isCut) response.socket?.destroy(); });
}
