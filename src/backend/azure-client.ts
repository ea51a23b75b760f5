/**
 * One connection to the Blob service of Azure: the SDK's client with its repetitions off (`RetryingBackend` has the only pauses),
 * its sockets bounded, its waits limited, and the digest of each body in the header that the service checks.
 */
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Socket } from 'node:net';
import {
  AnonymousCredential, type BlockBlobClient, ContainerClient, newPipeline, type PipelineLike, type RequestPolicyFactory, StorageSharedKeyCredential,
} from '@azure/storage-blob';
import type { Clock } from '../base/ambient.ts';
import { SnapError } from '../base/errors.ts';
import type { Secret } from '../base/secret.ts';
import type { RequestCounts } from './backend.ts';
import { azureError } from './azure-errors.ts';
import type { AzureLocation } from './location.ts';
import type { Failure } from './object-errors.ts';
import { RequestGate, type RequestOptions } from './request-gate.ts';

/** What flags, variables and the configuration file say about Azure. */
export interface AzureSettings {
  /** Address of the Blob service with the account in it, such as `https://ACCOUNT.blob.core.usgovcloudapi.net`; counts more than that of the connection string. */
  readonly endpoint?: string | undefined;
  /** The first of these that is there is used. */
  readonly connectionString?: Secret<string> | undefined;
  /** In base64. */
  readonly accountKey?: Secret<string> | undefined;
  /** With or without the question mark. */
  readonly sasToken?: Secret<string> | undefined;
  /** Access tier of data packs and parity, and that of tree packs, index and all that stays; undefined: the account's default. */
  readonly accessTier?: string | undefined;
  readonly metadataAccessTier?: string | undefined;
  /** Requests at once. */
  readonly concurrency?: number | undefined;
  /** Nothing moves on a connection for so long: it hangs. Milliseconds. */
  readonly idleTimeoutMs?: number | undefined;
}

export interface AzureRequestOptions extends RequestOptions {
  /** A write whose answer is lost may have happened all the same. */
  readonly isWrite?: boolean;
}

const IDLE_TIMEOUT_MS = 60_000;
/** Pause of the probes of an idle connection. */
const KEEP_ALIVE_MS = 1_000;

export class AzureConnection {
  readonly #container: ContainerClient;
  readonly #gate: RequestGate;
  readonly #agent: HttpAgent;

  /** @throws USAGE for credentials that are no credentials, or those of another account; DENIED where there are none */
  constructor(location: AzureLocation, clock: Clock, settings: AzureSettings) {
    this.#gate = new RequestGate(clock, settings.concurrency);
    const access = accessOf(location, settings);
    this.#agent = watchedAgent(access.endpoint.startsWith('https:'), this.#gate.maxConnections, settings.idleTimeoutMs ?? IDLE_TIMEOUT_MS);
    const url = `${access.endpoint}/${location.container}${access.sasToken === undefined ? '' : `?${access.sasToken}`}`;
    this.#container = new ContainerClient(url, pipelineOf(access, this.#agent));
  }

  get requests(): RequestCounts {
    return this.#gate.counts;
  }

  blob(name: string): BlockBlobClient {
    return this.#container.getBlockBlobClient(name);
  }

  /** Runs one request with its whole answer. @throws only what may leave an adapter */
  request<T>(failure: Failure, options: AzureRequestOptions, send: (container: ContainerClient, abortSignal: AbortSignal) => Promise<T>): Promise<T> {
    return this.#gate.run(options, async abortSignal => {
      try {
        return await send(this.#container, abortSignal);
      } catch (error) {
        if (error instanceof SnapError || options.signal?.aborted === true) throw error;
        throw azureError(failure, error, options.isWrite === true);
      }
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

interface Access {
  /** Without a slash at its end. */
  readonly endpoint: string;
  readonly accountKey: string | undefined;
  readonly sasToken: string | undefined;
  readonly account: string;
}

function accessOf(location: AzureLocation, settings: AzureSettings): Access {
  const { account } = location;
  const standard = `https://${account}.blob.core.windows.net`;
  const given = settings.connectionString === undefined ? undefined : readConnectionString(settings.connectionString.reveal(), account);
  const access = given ?? { endpoint: undefined, accountKey: settings.accountKey?.reveal(), sasToken: settings.sasToken?.reveal() };
  const accountKey = access.accountKey?.trim();
  const sasToken = accountKey === undefined ? access.sasToken?.trim().replace(/^\?/, '') : undefined;
  if (accountKey === undefined && sasToken === undefined) {
    throw new SnapError('DENIED', `Cannot open repository '${location.printable}': there are no credentials`, {
      hint: 'Set AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN', context: { location: location.printable },
    });
  }
  if (accountKey !== undefined && !/^[A-Za-z0-9+/]+={0,2}$/.test(accountKey)) throw wrongSetting('The key of the storage account is not base64', 'Copy it again from "Access keys" of the account');
  if (sasToken !== undefined && !/(^|&)sig=/.test(sasToken)) throw wrongSetting("The shared access signature has no 'sig='", 'Copy the whole token again');
  return { endpoint: (settings.endpoint ?? access.endpoint ?? standard).replace(/\/+$/, ''), accountKey, sasToken, account };
}

/** `AccountName=…;AccountKey=…;EndpointSuffix=…`, or with `BlobEndpoint` and `SharedAccessSignature`. Values may have `=` in them. */
function readConnectionString(text: string, account: string): { endpoint: string | undefined; accountKey: string | undefined; sasToken: string | undefined } {
  const fields = new Map(text.split(';').filter(each => each.includes('=')).map(each => {
    const at = each.indexOf('=');
    return [each.slice(0, at).trim().toLowerCase(), each.slice(at + 1).trim()];
  }));
  const named = fields.get('accountname');
  if (named !== undefined && named !== account) {
    // A backup into the account of somebody else's variables would be found by nobody.
    throw wrongSetting(`The connection string is that of the account '${named}', not of '${account}'`, 'Correct the location or AZURE_STORAGE_CONNECTION_STRING');
  }
  const [accountKey, sasToken] = [fields.get('accountkey'), fields.get('sharedaccesssignature')];
  if (accountKey === undefined && sasToken === undefined) throw wrongSetting('The connection string has neither AccountKey nor SharedAccessSignature', 'Copy the whole string again');
  const suffix = fields.get('endpointsuffix');
  const bySuffix = suffix === undefined ? undefined : `${fields.get('defaultendpointsprotocol') ?? 'https'}://${account}.blob.${suffix}`;
  const endpoint = fields.get('blobendpoint') ?? bySuffix;
  if (endpoint !== undefined && !/^https?:\/\/[^/]/.test(endpoint)) throw wrongSetting('The BlobEndpoint of the connection string is no address', 'Copy the whole string again');
  return { endpoint, accountKey, sasToken };
}

function wrongSetting(message: string, hint: string): SnapError {
  return new SnapError('USAGE', message, { hint });
}

function pipelineOf(access: Access, agent: HttpAgent): PipelineLike {
  const credential = access.accountKey === undefined ? new AnonymousCredential() : new StorageSharedKeyCredential(access.account, access.accountKey);
  const pipeline = newPipeline(credential, { retryOptions: { maxTries: 1 }, userAgentOptions: { userAgentPrefix: 'snap' } });
  pipeline.factories.push(requestSettings(agent));
  return pipeline;
}

/** The SDK has no option for the digest of a request, nor for sockets of our own. Runs before the request is signed. */
function requestSettings(agent: HttpAgent): RequestPolicyFactory {
  return {
    create: next => ({
      sendRequest: request => {
        const digest = request.headers.get('x-ms-blob-content-md5');
        if (digest !== undefined) request.headers.set('content-md5', digest);
        request.agent = agent;
        return next.sendRequest(request);
      },
    }),
  };
}

/** Sockets are ended when they are not connected in time, or when nothing moves on them for so long. */
function watchedAgent(isSecure: boolean, maxSockets: number, idleTimeoutMs: number): HttpAgent {
  const agent = new (isSecure ? HttpsAgent : HttpAgent)({ keepAlive: true, maxSockets });
  // Documented methods that the types lack.
  const made = agent as unknown as { createConnection(options: object, done: unknown): Socket; keepSocketAlive(socket: Socket): boolean };
  const create = made.createConnection.bind(agent);
  made.createConnection = (options, done) => {
    const socket = create({ ...options, timeout: idleTimeoutMs }, done);
    socket.on('timeout', () => {
      socket.destroy(new Error(`${socket.connecting ? 'the server did not establish a connection' : 'nothing came from the server'} for ${idleTimeoutMs / 1000} s`));
    });
    return socket;
  };
  // Node's own would take the limit from the socket, or leave the shorter one that the server has for idle connections.
  made.keepSocketAlive = socket => {
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    socket.unref();
    return true;
  };
  return agent;
}
