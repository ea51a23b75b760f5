/**
 * Objects as plain files on an SSH server: the local adapter over SFTP (repository design, section 5.2). Create-only writes are
 * hard links (hardlink@openssh.com), file data is synced (fsync@openssh.com); names cannot be. Loaded only when needed.
 */
import { setMaxListeners } from 'node:events';
import type { Clock, Random } from '../base/ambient.ts';
import type { Bytes } from '../base/bytes.ts';
import { cancelled } from '../base/errors.ts';
import type { ByteRange, CallOptions, StoredObject } from './backend.ts';
import { LocalBackend } from './local.ts';
import { localError } from './local-errors.ts';
import { openRoot } from './local-root.ts';
import type { SftpLocation } from './location.ts';
import { SftpFileSystem } from './sftp-filesystem.ts';
import { SftpSession } from './sftp-session.ts';
import { connectSsh, failureAt, type SshSettings } from './ssh-connection.ts';
import type { PacedCallOptions } from './transfer-limits.ts';

export interface SftpOpenOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly settings?: SshSettings | undefined;
  /** Makes the directory and its parents when they are missing. */
  readonly create?: boolean | undefined;
}

/** OpenSSH takes more; servers on small machines may not. */
const OPEN_FILES = 32;
const CONNECT_TIMEOUT_MS = 20_000;
/** A disk that wakes up, or a large sync on a slow one, takes half a minute. */
const IDLE_TIMEOUT_MS = 120_000;
/** A call that was told to stop may end by itself for so long; then it is left alone. */
const STOP_MS = 2_000;

/** @throws REPOSITORY_NOT_FOUND when there is no directory and `create` is not set; DENIED, NO_SPACE, UNAVAILABLE, USAGE */
export async function openSftpBackend(location: SftpLocation, options: SftpOpenOptions): Promise<SftpBackend> {
  const { clock, random, settings = {}, create = false } = options;
  const { connectTimeoutMs = CONNECT_TIMEOUT_MS, idleTimeoutMs = IDLE_TIMEOUT_MS, concurrency = OPEN_FILES } = settings;
  const connect = async (): Promise<SftpSession> => {
    const clients = await connectSsh(location, settings, random);
    try {
      return await SftpSession.open(clients, clock, { connectTimeoutMs, idleTimeoutMs });
    } catch (error) {
      throw localError(failureAt(location), error);
    }
  };
  const fileSystem = new SftpFileSystem(connect, concurrency);
  try {
    const path = await absolutePath(location, fileSystem);
    return new SftpBackend(fileSystem, await openRoot(fileSystem, path, { create, random, location: location.printable }), clock, random);
  } catch (error) {
    await fileSystem.close();
    throw error;
  }
}

async function absolutePath({ path, ...location }: SftpLocation, fileSystem: SftpFileSystem): Promise<string> {
  if (!path.startsWith('~/')) return path;
  try {
    return `${(await fileSystem.homeDirectory()).replace(/\/+$/, '')}${path.slice(1)}`;
  } catch (error) {
    throw localError(failureAt({ path, ...location }), error);
  }
}

export class SftpBackend extends LocalBackend {
  readonly #fileSystem: SftpFileSystem;
  readonly #clock: Clock;

  /** `openSftpBackend` makes the parts. */
  constructor(fileSystem: SftpFileSystem, root: ConstructorParameters<typeof LocalBackend>[0], clock: Clock, random: Random) {
    super(root, clock, random);
    this.#fileSystem = fileSystem;
    this.#clock = clock;
  }

  override read(name: string, range?: ByteRange, options: PacedCallOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    return this.#stoppable(super.read(name, range, options), options);
  }

  override stat(name: string, options: CallOptions = {}): Promise<StoredObject> {
    return this.#stoppable(super.stat(name, options), options);
  }

  override async *list(prefix: string, options: CallOptions = {}): AsyncGenerator<StoredObject> {
    const objects = super.list(prefix, options);
    for (;;) {
      const { done, value } = await this.#stoppable(objects.next(), options);
      if (done === true) return;
      yield value;
    }
  }

  override create(name: string, parts: readonly Bytes[], options: PacedCallOptions = {}): Promise<void> {
    return this.#stoppable(super.create(name, parts, options), options);
  }

  override createIfAbsent(name: string, bytes: Bytes, options: PacedCallOptions = {}): Promise<'created' | 'exists'> {
    return this.#stoppable(super.createIfAbsent(name, bytes, options), options);
  }

  override remove(name: string, options: CallOptions = {}): Promise<void> {
    return this.#stoppable(super.remove(name, options), options);
  }

  override close(): Promise<void> {
    return this.#fileSystem.close();
  }

  /** A file system looks at a signal between two requests; a server that hangs must not keep the process from ending. */
  #stoppable<T>(call: Promise<T>, { signal }: CallOptions): Promise<T> {
    if (signal === undefined) return call;
    // Dozens of calls at once listen to the signal of one job.
    setMaxListeners(0, signal);
    const ended = new AbortController();
    // Not a race: the job's signal would keep the promises of all calls, and with them the bytes that they read.
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        void this.#clock.sleep(STOP_MS, ended.signal).then(() => reject(cancelled(signal)), () => undefined);
      };
      const end = (): void => {
        signal.removeEventListener('abort', onAbort);
        ended.abort();
      };
      if (signal.aborted) onAbort();
      else signal.addEventListener('abort', onAbort);
      call.finally(end).then(resolve, reject);
    });
  }
}
