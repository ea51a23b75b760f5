/**
 * An HTTP server between a client and a storage that does harm as a seed says: it cuts connections before and after the effect, waits,
 * answers 500 and 503, and damages or shortens bodies in both directions. Each request meets at most one fault, and never more than a
 * few in a row, so that whoever repeats patiently comes through.
 */
import { createServer, request as httpRequest, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SeededRandom } from './seeded-random.ts';

export const FAULTS = [
  'cut-before', 'cut-after', 'delay', 'answer-500', 'answer-503', 'answer-500-after', 'half-answer', 'damaged-upload', 'wrong-checksum',
] as const;
export type Fault = typeof FAULTS[number];

const OF_UPLOADS: readonly Fault[] = ['damaged-upload', 'wrong-checksum'];

export interface FaultProxyOptions {
  readonly seed: number;
  /** Requests that are hit, of 100. */
  readonly percent: number;
  readonly faults?: readonly Fault[];
  /** Most faults in a row on requests with the same method and path. */
  readonly mostInARow?: number;
}

interface Exchange {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: Buffer;
}

const MAX_DELAY_MS = 60;
const HOP_HEADERS = ['connection', 'keep-alive', 'transfer-encoding'];

export class FaultProxy {
  /** How often each fault struck. */
  readonly struck: Record<Fault, number> = Object.fromEntries(FAULTS.map(fault => [fault, 0])) as Record<Fault, number>;
  /** Nothing is harmed while it is false. */
  isOn = true;
  /** Nothing at all comes through while it is true. */
  isDown = false;
  readonly #target: URL;
  readonly #options: FaultProxyOptions;
  readonly #random: SeededRandom;
  readonly #server: Server;
  readonly #inARow = new Map<string, number>();

  private constructor(target: URL, options: FaultProxyOptions) {
    this.#target = target;
    this.#options = options;
    this.#random = new SeededRandom(options.seed);
    this.#server = createServer((incoming, response) => {
      // Whoever asked has gone, or the storage has: a broken connection is what it looks like in both cases.
      this.#serve(incoming, response).catch(() => incoming.socket.destroy());
    });
  }

  static async start(target: string, options: FaultProxyOptions): Promise<FaultProxy> {
    const proxy = new FaultProxy(new URL(target), options);
    await new Promise<void>(resolve => { proxy.#server.listen(0, '127.0.0.1', resolve); });
    return proxy;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get total(): number {
    return Object.values(this.struck).reduce((sum, each) => sum + each, 0);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise(resolve => { this.#server.close(resolve); });
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await bytesOf(incoming);
    if (this.isDown) return void incoming.socket.destroy();
    const fault = this.#choose(incoming, body);
    if (fault !== undefined) this.struck[fault]++;
    if (fault === 'cut-before') return void incoming.socket.destroy();
    if (fault === 'answer-500') return refuse(response, 500, 'InternalError');
    if (fault === 'answer-503') return refuse(response, 503, 'SlowDown');
    if (fault === 'delay') await new Promise(resolve => { setTimeout(resolve, this.#random.below(MAX_DELAY_MS)); });
    const answer = await this.#pass(incoming, fault === 'damaged-upload' ? this.#damaged(body) : body);
    if (fault === 'cut-after') return void incoming.socket.destroy();
    if (fault === 'answer-500-after') return refuse(response, 500, 'InternalError');
    if (fault === 'wrong-checksum' && answer.headers['x-amz-checksum-sha256'] !== undefined) answer.headers['x-amz-checksum-sha256'] = Buffer.alloc(32, 7).toString('base64');
    response.writeHead(answer.status, { ...answer.headers, ...(incoming.method === 'HEAD' ? {} : { 'content-length': answer.body.length }) });
    if (fault === 'half-answer') return void response.write(answer.body.subarray(0, answer.body.length >> 1), () => { response.socket?.destroy(); });
    response.end(incoming.method === 'HEAD' ? undefined : answer.body);
  }

  #choose({ method, url }: IncomingMessage, body: Buffer): Fault | undefined {
    const { percent, faults = FAULTS, mostInARow = 2 } = this.#options;
    // The random part of a query, and the names of objects that are made anew each time, must not count as others.
    const key = `${method} ${url!.split('?')[0]}`;
    const before = this.#inARow.get(key) ?? 0;
    const isHit = this.isOn && before < mostInARow && this.#random.below(100) < percent;
    this.#inARow.set(key, isHit ? before + 1 : 0);
    if (!isHit) return undefined;
    // Of those that fit the request one that struck least, so that none is left out.
    const fitting = faults.filter(fault => body.length > 0 || !OF_UPLOADS.includes(fault));
    const least = Math.min(...fitting.map(fault => this.struck[fault]));
    const next = fitting.filter(fault => this.struck[fault] === least);
    return next[this.#random.below(next.length)];
  }

  #damaged(body: Buffer): Buffer {
    const bytes = Buffer.from(body);
    const at = this.#random.below(bytes.length);
    bytes[at] = bytes[at]! ^ 0x20;
    return bytes;
  }

  #pass(incoming: IncomingMessage, body: Buffer): Promise<Exchange> {
    const headers = Object.fromEntries(Object.entries(incoming.headers).filter(([name]) => !HOP_HEADERS.includes(name)));
    return new Promise((resolve, reject) => {
      const passed = httpRequest({
        hostname: this.#target.hostname, port: this.#target.port, method: incoming.method, path: incoming.url, headers: { ...headers, 'content-length': body.length },
      }, answer => {
        bytesOf(answer).then(bytes => {
          const answered = Object.fromEntries(Object.entries(answer.headers).filter(([name]) => !HOP_HEADERS.includes(name)));
          resolve({ status: answer.statusCode!, headers: answered, body: bytes });
        }, reject);
      });
      passed.on('error', reject);
      passed.end(body);
    });
  }
}

function refuse(response: ServerResponse, status: number, code: string): void {
  const body = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`;
  response.writeHead(status, { 'content-type': 'application/xml', 'content-length': body.length });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}

async function bytesOf(stream: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of stream) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}
