/**
 * One connection to an S3 server: the SDK's client with its repetitions off (`RetryingBackend` has the only pauses), its
 * sockets bounded, its waits limited, and credentials that are read anew when the server says that they have expired.
 */
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import type { Clock } from '../base/ambient.ts';
import { SnapError } from '../base/errors.ts';
import type { RequestCounts } from './backend.ts';
import type { S3Location } from './location.ts';
import { type Failure, objectError } from './object-errors.ts';
import { RequestGate, type RequestOptions } from './request-gate.ts';
import { faultOf, isExpired, s3Error } from './s3-errors.ts';

export interface ObjectLockSettings {
  /** 'governance': who has a special right can end it; 'compliance': nobody can. */
  readonly mode: 'governance' | 'compliance';
  readonly days: number;
}

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
  /** Object Lock of what stays: nobody removes or replaces the bytes for so many days after they were stored. */
  readonly objectLock?: ObjectLockSettings | undefined;
  /** Requests at once. */
  readonly concurrency?: number | undefined;
  /** Nothing moves on a connection for so long: it hangs. Milliseconds. */
  readonly idleTimeoutMs?: number | undefined;
}

const DEFAULT_REGION = 'us-east-1';
const CONNECT_TIMEOUT_MS = 15_000;
const IDLE_TIMEOUT_MS = 60_000;
export interface S3RequestOptions extends RequestOptions {
  /** A write whose answer is lost may have happened all the same. */
  readonly isWrite?: boolean;
}

/** What the SDK's `send` takes besides the command. */
export interface SendOptions {
  readonly abortSignal: AbortSignal;
}

export class S3Connection {
  readonly #client: S3Client;
  readonly #checksums: boolean | undefined;
  readonly #gate: RequestGate;
  /** How often credentials were read anew, and the reading that is under way. */
  #renewals = 0;
  #renewing: Promise<boolean> | undefined;

  constructor(location: S3Location, clock: Clock, settings: S3Settings) {
    this.#checksums = settings.checksums;
    this.#gate = new RequestGate(clock, settings.concurrency);
    this.#client = new S3Client(clientConfig(location, settings, this.#gate.maxConnections));
  }

  get requests(): RequestCounts {
    return this.#gate.counts;
  }

  /** Runs one request with its whole answer. @throws only what may leave an adapter */
  request<T>(failure: Failure, options: S3RequestOptions, send: (client: S3Client, options: SendOptions) => Promise<T>): Promise<T> {
    return this.#gate.run(options, async abortSignal => {
      const renewals = this.#renewals;
      try {
        return await send(this.#client, { abortSignal });
      } catch (error) {
        if (error instanceof SnapError || options.signal?.aborted === true) throw error;
        if (isExpired(faultOf(error)) && (renewals !== this.#renewals || await this.#renewCredentials())) {
          throw objectError('UNAVAILABLE', failure, 'the credentials had expired and were read anew');
        }
        throw s3Error(failure, error, options.isWrite === true);
      }
    });
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
