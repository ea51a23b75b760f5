/** A connection through here can be cut, held still, or cut after so many bytes. */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export class TcpProxy {
  /** Connections that were opened so far. */
  connections = 0;
  readonly #server: Server;
  readonly #pairs = new Set<readonly [client: Socket, upstream: Socket]>();
  #isStalled = false;
  #answerDelayMs = 0;
  #cutAfterBytes = Number.POSITIVE_INFINITY;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(targetPort: number): Promise<TcpProxy> {
    const server = createServer();
    const proxy = new TcpProxy(server);
    server.on('connection', client => proxy.#join(client, connect(targetPort, '127.0.0.1')));
    await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve); });
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  cut(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
  }

  /** Counted from now, from the client to the server. */
  cutAfter(bytes: number): void {
    this.#cutAfterBytes = bytes;
  }

  stall(): void {
    this.#isStalled = true;
    for (const pair of this.#pairs) for (const socket of pair) socket.pause();
  }

  resume(): void {
    this.#isStalled = false;
    for (const pair of this.#pairs) for (const socket of pair) socket.resume();
  }

  /** Answers arrive so much later, so that what they tell has long been done. */
  delayAnswers(ms: number): void {
    this.#answerDelayMs = ms;
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise(resolve => { this.#server.close(resolve); });
  }

  #join(client: Socket, upstream: Socket): void {
    const pair = [client, upstream] as const;
    this.connections++;
    this.#pairs.add(pair);
    const end = (): void => {
      this.#pairs.delete(pair);
      client.destroy();
      upstream.destroy();
    };
    for (const socket of pair) {
      socket.setNoDelay(true);
      socket.on('error', end);
      socket.on('close', end);
      if (this.#isStalled) socket.pause();
    }
    client.on('data', (data: Buffer) => {
      this.#cutAfterBytes -= data.length;
      if (this.#cutAfterBytes <= 0) {
        this.#cutAfterBytes = Number.POSITIVE_INFINITY;
        return end();
      }
      upstream.write(data);
    });
    upstream.on('data', (data: Buffer) => {
      if (this.#answerDelayMs === 0) client.write(data);
      else setTimeout(() => { if (!client.destroyed) client.write(data); }, this.#answerDelayMs);
    });
  }
}
