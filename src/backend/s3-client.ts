/**
 * One connection to an S3 server: the SDK's client with its repetitions off (`RetryingBackend` has the only pauses), its
 * sockets bounded, its waits limited, and credentials that are read anew when the server says that they have expired.
 */
import { setMaxListeners } from 'node:events';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import type { Clock } from '../base/ambient.ts';
import { Semaphore } from '../base/concurrency.ts';
import { cancelled, SnapError, throwIfAborted } from '../base/errors.ts';
import type { S3Location } from './location.ts';
import { type Failure, objectError } from './object-errors.ts';
import { faultOf, isExpired, s3Error } from './s3-errors.ts';

/** What flags, variables and the configuration file say about S3. */
export interface S3Settings {
  /** `https://host:port`; that of the location counts more. Undefined: Amazon's. */
  readonly endpoint?: string | undefined;
  /** Undefined: from the profile of the AWS tools, else `us-east-1`. */
  readonly region?: string | undefined;
  /** Whether the bucket stands in the path of requests instead of the host name; undefined: exactly when there is an endpoint. */
  readonly pathStyle?: boolean | undefined;
  /** Sends `x-amz-checksum-sha256` and compares the answer. Default: unless AWS_REQUEST_CHECKSUM_CALCULATION says `when_required`. */
  readonly checksums?: boolean | undefined;
  /** Storage class of data packs and parity, and that of tree packs, index and all that stays; undefined: the bucket's default. */
  readonly storageClass?: string | undefined;
  readonly metadataStorageClass?: string | undefined;
  /** Server-side encryption besides our own. */
  readonly encryption?: 'AES256' | 'aws:kms' | undefined;
  /** ID or ARN of the key for `aws:kms`; undefined: the default one of the account. */
  readonly kmsKey?: string | undefined;
  /** Requests at once. */
  readonly concurrency?: number | undefined;
  /** Nothing moves on a connection for so long: it hangs. Milliseconds. */
  readonly idleTimeoutMs?: number | undefined;
}

/**
 * Eight streams come near a line of 10 Gbit/s (Amazon gives about 90 MB/s to each), and 16 keep a line busy with small
 * requests at 40 ms.
 */
const DEFAULT_CONCURRENCY = 16;
/** Besides, for heartbeats and commits, which must not wait behind packs. */
const EXPRESS_REQUESTS = 4;
const DEFAULT_REGION = 'us-east-1';
const CONNECT_TIMEOUT_MS = 15_000;
const IDLE_TIMEOUT_MS = 60_000;
/** For the answer to a small write that is on its way when the run is interrupted. */
const STOP_MS = 2_000;

export interface RequestOptions {
  /** A write whose answer is lost may have happened all the same. */
  readonly isWrite?: boolean;
  /** Does not wait behind large transfers. */
  readonly isExpress?: boolean;
  /**
   * The signal does not cut it off once it is on its way, but leaves it a moment for its answer: it should not take effect
   * after its caller was told that it has ended.
   */
  readonly isShort?: boolean;
  readonly signal: AbortSignal | undefined;
}

/** What the SDK's `send` takes besides the command. */
export interface SendOptions {
  readonly abortSignal: AbortSignal;
}

export class S3Connection {
  readonly #client: S3Client;
  readonly #clock: Clock;
  readonly #checksums: boolean | undefined;
  readonly #gate: Semaphore;
  readonly #express = new Semaphore(EXPRESS_REQUESTS);
  /** How often credentials were read anew, and the reading that is under way. */
  #renewals = 0;
  #renewing: Promise<boolean> | undefined;

  constructor(location: S3Location, clock: Clock, settings: S3Settings) {
    this.#clock = clock;
    this.#checksums = settings.checksums;
    const concurrency = settings.concurrency ?? DEFAULT_CONCURRENCY;
    this.#gate = new Semaphore(concurrency);
    this.#client = new S3Client(clientConfig(location, settings, concurrency + EXPRESS_REQUESTS));
  }

  /** Runs one request with its whole answer. @throws only what may leave an adapter */
  async request<T>(failure: Failure, options: RequestOptions, send: (client: S3Client, options: SendOptions) => Promise<T>): Promise<T> {
    const { signal, isWrite = false, isExpress = false, isShort = false } = options;
    throwIfAborted(signal);
    return (isExpress ? this.#express : this.#gate).run(async () => {
      throwIfAborted(signal);
      const renewals = this.#renewals;
      const stop = this.#stopSignal(signal, isShort);
      try {
        return await send(this.#client, { abortSignal: stop.signal });
      } catch (error) {
        if (signal?.aborted === true) throw cancelled(signal);
        if (error instanceof SnapError) throw error;
        if (isExpired(faultOf(error)) && (renewals !== this.#renewals || await this.#renewCredentials())) {
          throw objectError('UNAVAILABLE', failure, 'the credentials had expired and were read anew');
        }
        throw s3Error(failure, error, isWrite);
      } finally {
        stop.end();
      }
    });
  }

  /** A signal of its own for each request: the SDK leaves its listeners behind. */
  #stopSignal(signal: AbortSignal | undefined, hasGrace: boolean): { signal: AbortSignal; end(): void } {
    const stop = new AbortController();
    const ended = new AbortController();
    const onAbort = (): void => {
      if (hasGrace) void this.#clock.sleep(STOP_MS, ended.signal).then(() => stop.abort(), () => undefined);
      else stop.abort();
    };
    if (signal !== undefined) {
      // Dozens of requests at once listen to the signal of one job.
      setMaxListeners(0, signal);
      signal.addEventListener('abort', onAbort);
    }
    return {
      signal: stop.signal,
      end: () => {
        signal?.removeEventListener('abort', onAbort);
        ended.abort();
      },
    };
  }

  async sendsChecksums(): Promise<boolean> {
    return this.#checksums ?? await this.#client.config.requestChecksumCalculation() === 'WHEN_SUPPORTED';
  }

  close(): void {
    this.#client.destroy();
  }

  /** False when the same credentials come again: then nothing is won by another try. Calls at one time share one reading. */
  #renewCredentials(): Promise<boolean> {
    this.#renewing ??= this.#readCredentials().finally(() => { this.#renewing = undefined; });
    return this.#renewing;
  }

  async #readCredentials(): Promise<boolean> {
    const { credentials } = this.#client.config;
    try {
      const before = await credentials();
      const after = await credentials({ forceRefresh: true });
      if (before.accessKeyId === after.accessKeyId && before.sessionToken === after.sessionToken) return false;
      this.#renewals++;
      return true;
    } catch {
      // Whoever gives the credentials has failed; that they have expired is what the caller reports.
      return false;
    }
  }
}

function clientConfig(location: S3Location, settings: S3Settings, maxSockets: number): S3ClientConfig {
  const endpoint = location.endpoint ?? settings.endpoint;
  const { region = regionOfProfile(), pathStyle = endpoint !== undefined, checksums, idleTimeoutMs = IDLE_TIMEOUT_MS } = settings;
  const credentials = location.credentials?.reveal();
  const agentOptions = { keepAlive: true, maxSockets };
  const config: S3ClientConfig = {
    region,
    maxAttempts: 1,
    forcePathStyle: pathStyle,
    followRegionRedirects: endpoint === undefined,
    // A digest of our own goes with every body; what is read is authenticated by the layers above.
    ...(checksums !== false ? {} : { requestChecksumCalculation: 'WHEN_REQUIRED' as const }),
    responseChecksumValidation: 'WHEN_REQUIRED',
    // It would cost a new connection for each large object, or a round trip.
    expectContinueHeader: false,
    userAgentAppId: 'snap',
    logger: SILENT,
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS, socketTimeout: idleTimeoutMs, logger: SILENT,
      httpAgent: new HttpAgent(agentOptions), httpsAgent: new HttpsAgent(agentOptions),
    },
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials }),
  };
  // Passed on to the readers of the AWS profile, so that a file with new temporary credentials is read again.
  return Object.assign(config, { ignoreCache: true });
}

/** What the SDK finds by itself; it would fail where it finds nothing, and most servers but Amazon's take any region. */
function regionOfProfile(): () => Promise<string> {
  const { region } = new S3Client({}).config;
  let found: Promise<string> | undefined;
  // Asked several times for each request; where there is none, the SDK would look into its files each time.
  return () => found ??= region().catch(() => DEFAULT_REGION);
}

/** The SDK's warnings would go to the console. */
const SILENT = { trace: ignore, debug: ignore, info: ignore, warn: ignore, error: ignore };

function ignore(): void {
  // Every failure reaches the caller as an error.
}
