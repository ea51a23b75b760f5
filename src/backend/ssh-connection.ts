/**
 * Opens SSH connections as `ssh` would: settings of the host from the configuration files, jump hosts, keys, and the host key
 * checked against the known hosts before anything is proved to the server.
 */
import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import ssh2, { type Client, type ConnectConfig, type ServerHostKeyAlgorithm } from 'ssh2';
import type { Random } from '../base/ambient.ts';
import { SnapError } from '../base/errors.ts';
import type { SftpLocation } from './location.ts';
import { printable } from './object-arguments.ts';
import { type Failure, objectError } from './object-errors.ts';
import { type SshHostConfig, sshHostConfig, type SshPlaces, type SshTarget } from './ssh-config.ts';
import { type SshCredentials, sshCredentials } from './ssh-credentials.ts';
import { addKnownHost, fingerprint, hostField, keyType, KnownHosts, knownHostLine, readKnownHosts } from './ssh-known-hosts.ts';

/** What flags and the environment say about SSH. */
export interface SshSettings {
  /** Trusts a host that is not known yet and adds its key to the known hosts; never one whose key has changed. */
  readonly acceptNewHostKey?: boolean | undefined;
  /** For `SSH_AUTH_SOCK` and `${NAME}` in the configuration. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
  /** Default: that of the user. */
  readonly home?: string | undefined;
  /** Default: `~/.ssh/config` and `/etc/ssh/ssh_config`. */
  readonly configFiles?: readonly string[] | undefined;
  readonly connectTimeoutMs?: number | undefined;
  /** The server answers nothing for so long although it was asked: it hangs. Milliseconds. */
  readonly idleTimeoutMs?: number | undefined;
  /** Files open on the server at once. */
  readonly concurrency?: number | undefined;
}

const CONNECT_TIMEOUT_MS = 20_000;
/** Keeps routers from forgetting a quiet connection, and notices one that is gone after a minute. */
const KEEP_ALIVE_MS = 15_000;
const KEEP_ALIVE_COUNT = 4;
/** Without `ssh-rsa`, whose signatures use SHA-1. */
const HOST_KEY_ALGORITHMS: readonly ServerHostKeyAlgorithm[] = [
  'ssh-ed25519', 'ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521', 'rsa-sha2-512', 'rsa-sha2-256',
];

/** The connection to the server first, then those to the jump hosts that it goes through. */
export type SshClients = readonly [Client, ...Client[]];

/** @throws DENIED for a host that is not trusted or does not trust us; UNAVAILABLE; USAGE for settings that snap cannot follow */
export async function connectSsh(location: SftpLocation, settings: SshSettings, random: Random): Promise<SshClients> {
  const home = settings.home ?? homedir();
  const places: SshPlaces = {
    home, localUser: userInfo().username, environment: settings.environment ?? {},
    configFiles: settings.configFiles ?? [join(home, '.ssh/config'), '/etc/ssh/ssh_config'],
  };
  const target: SshTarget = { host: location.host.replace(/^\[(.*)\]$/, '$1'), user: location.user, port: location.port };
  const config = readConfig(target, places, location);
  // What the configuration of a jump host says about further jumps is left aside: the whole way stands with the target.
  const stops = [...config.jumps.map(jump => readConfig(parseJump(jump), places, location)), config];
  const clients: Client[] = [];
  try {
    for (const [i, stop] of stops.entries()) {
      const through = clients[0] === undefined ? undefined : await forward(clients[0], stop, location);
      const password = i === stops.length - 1 ? location.password : undefined;
      clients.unshift(await connectOne(stop, { location, settings, random, through, credentials: sshCredentials(stop, home, password) }));
    }
    return clients as [Client, ...Client[]];
  } catch (error) {
    for (const client of clients) client.end();
    throw error;
  }
}

function readConfig(target: SshTarget, places: SshPlaces, location: SftpLocation): SshHostConfig {
  try {
    return sshHostConfig(target, places);
  } catch (error) {
    if (error instanceof SnapError) throw error;
    throw objectError('DENIED', failureAt(location), 'the SSH configuration cannot be read', { cause: error, hint: 'Correct its rights' });
  }
}

function parseJump(jump: string): SshTarget {
  const [, user, host, port] = /^(?:ssh:\/\/)?(?:([^@]+)@)?(\[[^\]]+\]|[^:@]+)(?::(\d{1,5}))?$/.exec(jump.trim()) ?? [];
  if (host === undefined) throw new SnapError('USAGE', `'${printable(jump)}' is not a jump host`, { hint: 'Write ProxyJump [user@]host[:port]' });
  return { host: host.replace(/^\[(.*)\]$/, '$1'), user, port: Number(port ?? 22) };
}

function forward(client: Client, { hostName, port }: SshHostConfig, location: SftpLocation): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    client.forwardOut('127.0.0.1', 0, hostName, port, (error, stream) => {
      if (error === undefined) return resolve(stream);
      reject(objectError('UNAVAILABLE', failureAt(location), `the jump host does not reach '${hostName}'`, { cause: error, hint: 'Check ProxyJump' }));
    });
  });
}

interface Connecting {
  readonly location: SftpLocation;
  readonly settings: SshSettings;
  readonly random: Random;
  readonly credentials: SshCredentials;
  readonly through: Duplex | undefined;
}

function connectOne(config: SshHostConfig, connecting: Connecting): Promise<Client> {
  const { location, settings, credentials, through } = connecting;
  const hosts = new HostKeys(config, connecting);
  const client = new ssh2.Client();
  return new Promise((resolve, reject) => {
    client.once('ready', () => resolve(client));
    client.once('close', () => reject(unavailable(location, config, 'the server closed the connection')));
    // Stays for the whole life of the connection: without it a later error would end the process.
    client.on('error', (error: Error & { level?: string }) => {
      if (error.level !== 'agent') reject(hosts.refusal ?? connectError(error, config, connecting));
    });
    const options: ConnectConfig = {
      host: config.hostName, port: config.port, username: config.user, authHandler: [...credentials.methods],
      algorithms: { serverHostKey: hosts.algorithms() },
      hostVerifier: (key: Buffer) => hosts.accepts(key),
      readyTimeout: settings.connectTimeoutMs ?? CONNECT_TIMEOUT_MS, keepaliveInterval: KEEP_ALIVE_MS, keepaliveCountMax: KEEP_ALIVE_COUNT,
      ...(through === undefined ? {} : { sock: through as NonNullable<ConnectConfig['sock']> }),
    };
    try {
      client.connect(options);
      // A request waits for the answer to the one before it; joined with later ones it would wait for 40 ms more.
      client.setNoDelay(true);
    } catch (error) {
      reject(connectError(error as Error, config, connecting));
    }
  });
}

/** Decides whether the server is the one that it should be. */
class HostKeys {
  refusal: SnapError | undefined;
  readonly #config: SshHostConfig;
  readonly #connecting: Connecting;
  readonly #known: KnownHosts;
  readonly #host: string;
  readonly #port: number;
  #accepted: Buffer | undefined;

  constructor(config: SshHostConfig, connecting: Connecting) {
    this.#config = config;
    this.#connecting = connecting;
    // An alias stands for host and port together.
    this.#host = config.hostKeyAlias ?? config.hostName;
    this.#port = config.hostKeyAlias === undefined ? config.port : 22;
    try {
      this.#known = new KnownHosts(readKnownHosts([...config.knownHostsFiles, ...config.globalKnownHostsFiles]));
    } catch (error) {
      throw objectError('DENIED', failureAt(connecting.location), 'the file of known hosts cannot be read', { cause: error, hint: 'Correct its rights' });
    }
  }

  /** Types that are known come first: a server has keys of several types and shows one. */
  algorithms(): ServerHostKeyAlgorithm[] {
    const types = this.#known.keyTypes(this.#host, this.#port);
    const isKnown = (algorithm: string): boolean => types.includes(algorithm.startsWith('rsa-') ? 'ssh-rsa' : algorithm);
    return [...HOST_KEY_ALGORITHMS].sort((a, b) => Number(isKnown(b)) - Number(isKnown(a)));
  }

  /** Asked anew whenever the connection changes its keys. */
  accepts(key: Buffer): boolean {
    if (this.#accepted !== undefined) return this.#accepted.equals(key);
    if (!this.#isTrusted(key)) return false;
    this.#accepted = Buffer.from(key);
    return true;
  }

  #isTrusted(key: Buffer): boolean {
    const verdict = this.#known.check(this.#host, this.#port, key);
    if (verdict === 'known') return true;
    const field = hostField(this.#host, this.#port);
    const shown = `${keyType(key)} ${fingerprint(key)}`;
    if (verdict === 'revoked') this.#refuse(`the key of '${field}' is revoked (${shown})`, 'Do not connect; ask the operator of the server');
    else if (verdict === 'changed') {
      this.#refuse(`the key of '${field}' is not the known one, but ${shown}: somebody else may answer in its place`,
        `If the server really has a new key, remove the old one with: ssh-keygen -R '${field}'`);
    } else if (this.#connecting.settings.acceptNewHostKey !== true) {
      const port = this.#port === 22 ? '' : `-p ${this.#port} `;
      this.#refuse(`the key of '${field}' is not known (${shown})`,
        `Compare it with that of the server, then add it with: ssh-keyscan ${port}${this.#host} >> ~/.ssh/known_hosts, or give --sftp-accept-new-host-key`);
    } else return this.#remember(key);
    return false;
  }

  #remember(key: Buffer): boolean {
    const [path] = this.#config.knownHostsFiles;
    try {
      if (path === undefined) throw new Error('no file is named for them');
      addKnownHost(path, knownHostLine(this.#host, this.#port, key, this.#config.hashesKnownHosts ? this.#connecting.random : undefined));
      return true;
    } catch (error) {
      // Trusted today and unknown tomorrow, it would be trusted blindly each time.
      this.#refuse(`its key cannot be added to the known hosts: ${(error as Error).message}`, 'Correct the rights of the file');
      return false;
    }
  }

  #refuse(reason: string, hint: string): void {
    this.refusal = objectError('DENIED', failureAt(this.#connecting.location), printable(reason), { hint });
  }
}

function connectError(error: Error & { level?: string; code?: unknown }, config: SshHostConfig, { location, credentials }: Connecting): SnapError {
  if (error.level === 'client-authentication') {
    const { tried, passedOver } = credentials;
    const details = [tried.length === 0 ? 'there was nothing to try' : `tried: ${tried.join(', ')}`, ...passedOver].join('; ');
    return objectError('DENIED', failureAt(location), `the server does not let '${config.user}' in (${printable(details)})`, {
      hint: 'Add your public key to ~/.ssh/authorized_keys of that user on the server, or your key to the agent with ssh-add',
    });
  }
  if (/no matching/i.test(error.message)) {
    return objectError('DENIED', failureAt(location), `the server offers no method that is safe enough: ${printable(error.message)}`, { hint: 'Update the SSH server' });
  }
  // A host with several addresses fails with an AggregateError, whose message is empty.
  const [first] = error instanceof AggregateError ? error.errors as Error[] : [error];
  return unavailable(location, config, printable(first?.message ?? error.message));
}

function unavailable(location: SftpLocation, { hostName, port }: SshHostConfig, reason: string): SnapError {
  return objectError('UNAVAILABLE', failureAt(location), `no connection to '${hostName}' port ${port}: ${reason}`, {
    hint: 'Check the address, the connection and the SSH server, then run the command again',
  });
}

export function failureAt(location: SftpLocation): Failure {
  return { verb: 'open', location: location.printable, name: '' };
}
