/**
 * One SFTP session: every request becomes a promise that ends, whatever happens to the connection, and whose error has an errno
 * name. OpenSSH tells most failures by one status and no reason (`errno_to_portable` in sftp-server.c), so callers that need to
 * know more look at the server again.
 */
import type { FileEntryWithStats, SFTPWrapper } from 'ssh2';
import type { Clock } from '../base/ambient.ts';
import { errnoError } from './local-filesystem.ts';
import type { SshClients } from './ssh-connection.ts';

type Done<T> = (error: Error | null | undefined, value?: T) => void;

/** A request that hands its answer to `done`. */
export type SftpRequest<T> = (sftp: SFTPWrapper, done: Done<T>) => unknown;

export interface SessionLimits {
  readonly connectTimeoutMs: number;
  /** The server answers nothing for so long although it was asked. */
  readonly idleTimeoutMs: number;
}

export class SftpSession {
  readonly #clients: SshClients;
  readonly #sftp: SFTPWrapper;
  readonly #clock: Clock;
  /** What rejects each request that waits for its answer. */
  readonly #waiting = new Set<(error: Error) => void>();
  readonly #stopWatching: () => void;
  #answeredAt = 0;
  #isOpen = true;

  private constructor(clients: SshClients, sftp: SFTPWrapper, clock: Clock, limits: SessionLimits) {
    this.#clients = clients;
    this.#sftp = sftp;
    this.#clock = clock;
    for (const emitter of [...clients, sftp]) emitter.once('close', () => this.#end('ECONNRESET', 'the connection was lost'));
    sftp.on('error', (error: Error) => this.#end('ECONNRESET', error.message));
    const { idleTimeoutMs } = limits;
    this.#stopWatching = clock.every(idleTimeoutMs / 4, () => {
      if (this.#waiting.size > 0 && clock.monotonic() - this.#answeredAt > idleTimeoutMs) this.#end('ETIMEDOUT', 'the server does not answer');
    });
  }

  /** @throws errors with an errno name; ENOTSUP: the server offers no SFTP */
  static async open(clients: SshClients, clock: Clock, limits: SessionLimits): Promise<SftpSession> {
    const deadline = new AbortController();
    const opened = new Promise<SFTPWrapper>((resolve, reject) => {
      clients[0].once('close', () => reject(errnoError('ECONNRESET', 'the connection was lost')));
      clients[0].sftp((error, sftp) => error === undefined ? resolve(sftp) : reject(errnoError('ENOTSUP', `the server offers no SFTP: ${error.message}`)));
    });
    const late = clock.sleep(limits.connectTimeoutMs, deadline.signal).then(() => { throw errnoError('ETIMEDOUT', 'the server does not answer'); });
    late.catch(() => undefined); // the pause that was cut short
    try {
      return new SftpSession(clients, await Promise.race([opened, late]), clock, limits);
    } catch (error) {
      for (const client of clients) client.end();
      throw error;
    } finally {
      deadline.abort();
    }
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  request<T>(send: SftpRequest<T>): Promise<T> {
    if (!this.#isOpen) return Promise.reject(errnoError('ECONNRESET', 'the connection was lost'));
    return new Promise((resolve, reject) => {
      if (this.#waiting.size === 0) this.#answeredAt = this.#clock.monotonic();
      this.#waiting.add(reject);
      try {
        send(this.#sftp, (error, value) => {
          this.#waiting.delete(reject);
          this.#answeredAt = this.#clock.monotonic();
          if (error === undefined || error === null) resolve(value as T);
          else reject(sftpError(error));
        });
      } catch (error) {
        // The client refuses extensions that the server has not announced.
        this.#waiting.delete(reject);
        reject(errnoError('ENOTSUP', (error as Error).message));
      }
    });
  }

  /** All entries of an open directory but itself and its parent. */
  async entries(handle: Buffer): Promise<FileEntryWithStats[]> {
    const entries: FileEntryWithStats[] = [];
    // The first answer says whether there is more than one; then several are asked for at once, as they come in parts of 100.
    for (let atOnce = 1; ; atOnce = READS_AT_ONCE) {
      const parts = await Promise.all(Array.from({ length: atOnce }, () => this.#nextEntries(handle)));
      entries.push(...parts.flatMap(part => part ?? []));
      if (parts.includes(undefined)) return entries;
    }
  }

  close(): void {
    this.#end('ECONNRESET', 'the connection is closed');
  }

  /** Undefined after the last. */
  async #nextEntries(handle: Buffer): Promise<FileEntryWithStats[] | undefined> {
    try {
      return await this.request<FileEntryWithStats[]>((sftp, done) => sftp.readdir(handle, done));
    } catch (error) {
      if (isEnd(error)) return undefined;
      throw error;
    }
  }

  #end(code: string, reason: string): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#stopWatching();
    for (const client of this.#clients) client.destroy();
    for (const reject of this.#waiting) reject(errnoError(code, reason));
    this.#waiting.clear();
  }
}

const READS_AT_ONCE = 8;
/** Status 1, the end of a file or a directory; it has no errno name. */
const END = 'EOF';

function isEnd(error: unknown): boolean {
  return (error as { code?: unknown }).code === END;
}

/** The one status for everything that has no other. */
export const UNSPECIFIED = 'EFAILURE';

/** By status number; above 8 those of later drafts, which some servers send all the same. */
const NAMES: Readonly<Record<number, string>> = {
  1: END, 2: 'ENOENT', 3: 'EACCES', 4: UNSPECIFIED, 5: 'EINVAL', 6: 'ECONNRESET', 7: 'ECONNRESET', 8: 'ENOTSUP', 10: 'ENOENT', 11: 'EEXIST',
  12: 'EROFS', 14: 'ENOSPC', 15: 'EDQUOT', 18: 'ENOTEMPTY', 19: 'ENOTDIR', 21: 'ELOOP', 24: 'EISDIR',
};
/** What servers other than OpenSSH say beside the unspecific status. */
const WORDS: readonly (readonly [RegExp, string])[] = [
  [/quota/i, 'EDQUOT'], [/no space|disk full|insufficient/i, 'ENOSPC'], [/already exists|file exists/i, 'EEXIST'], [/read-?only/i, 'EROFS'], [/not empty/i, 'ENOTEMPTY'],
  [/is a directory/i, 'EISDIR'],
];

function sftpError(error: Error): Error {
  const status = (error as { code?: unknown }).code;
  const name = typeof status === 'number' ? NAMES[status] ?? UNSPECIFIED : 'ECONNRESET';
  const code = name === UNSPECIFIED ? WORDS.find(([pattern]) => pattern.test(error.message))?.[1] ?? name : name;
  return errnoError(code, error.message.replaceAll(',', ';'));
}
