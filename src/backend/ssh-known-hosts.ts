/**
 * The keys that SSH servers are known by, in the files of OpenSSH (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"): plain and hashed
 * names, patterns, `[host]:port`, `@revoked`. Certificates of authorities are not understood: such lines are passed over.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { appendFileSync, closeSync, fsyncSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Random } from '../base/ambient.ts';
import { type Bytes, equalBytes, viewOf } from '../base/bytes.ts';

/**
 * 'changed': other keys are known for the host, which is what somebody in between looks like. A key of another type counts
 * as changed, too: servers are asked for the types that are known first.
 */
export type HostKeyVerdict = 'known' | 'unknown' | 'changed' | 'revoked';

interface KnownKey {
  readonly isRevoked: boolean;
  /** Of a field with several names and patterns, separated by commas, or with one hash. */
  readonly hosts: string;
  readonly key: Bytes;
}

const DEFAULT_PORT = 22;

export class KnownHosts {
  readonly #keys: readonly KnownKey[];

  /** @param texts contents of the files, in any order */
  constructor(texts: readonly string[]) {
    this.#keys = texts.flatMap(text => text.split('\n').flatMap(line => parseLine(line) ?? []));
  }

  check(host: string, port: number, key: Bytes): HostKeyVerdict {
    const names = [hostField(host, port), host.toLowerCase()];
    if (this.#keys.some(each => each.isRevoked && equalBytes(each.key, key) && names.some(name => matchesHost(each.hosts, name)))) return 'revoked';
    const known = this.#keysOf(names[0]!);
    if (known.some(each => equalBytes(each, key))) return 'known';
    if (known.length > 0) return 'changed';
    // As ssh does: a key that is known for the standard port is trusted on another one, but says nothing against other keys.
    return this.#keysOf(names[1]!).some(each => equalBytes(each, key)) ? 'known' : 'unknown';
  }

  /** Types of the keys that are known, such as `ssh-ed25519`, to ask the server for these first. */
  keyTypes(host: string, port: number): string[] {
    const named = this.#keysOf(hostField(host, port));
    const keys = named.length > 0 ? named : this.#keysOf(host.toLowerCase());
    return [...new Set(keys.map(keyType))];
  }

  #keysOf(name: string): Bytes[] {
    return this.#keys.filter(each => !each.isRevoked && matchesHost(each.hosts, name)).map(each => each.key);
  }
}

/** Text of the files that are there. @throws an error of the system for a file that is there and cannot be read */
export function readKnownHosts(paths: readonly string[]): string[] {
  return paths.flatMap(path => {
    try {
      return [readFileSync(path, 'utf8')];
    } catch (error) {
      if (['ENOENT', 'ENOTDIR', 'EISDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
      throw error;
    }
  });
}

/** Appends a line for the host; makes the file and its directory when they are missing. @throws an error of the system */
export function addKnownHost(path: string, line: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const [before = ''] = readKnownHosts([path]);
  const file = openSync(path, 'a', 0o600);
  try {
    appendFileSync(file, `${before === '' || before.endsWith('\n') ? '' : '\n'}${line}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** @param random given, the name is hashed, so that the file does not tell where its owner goes */
export function knownHostLine(host: string, port: number, key: Bytes, random: Random | undefined): string {
  const name = hostField(host, port);
  return `${random === undefined ? name : hashedName(name, random.bytes(20))} ${keyType(key)} ${Buffer.from(key).toString('base64')}`;
}

/** How the host stands in the file: with brackets for another port than 22. */
export function hostField(host: string, port: number): string {
  const name = host.toLowerCase();
  return port === DEFAULT_PORT ? name : `[${name}]:${port}`;
}

/** As `ssh-keygen -l` shows it. */
export function fingerprint(key: Bytes): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;
}

/** The name at the beginning of an encoded public key; '' for what is none. */
export function keyType(key: Bytes): string {
  if (key.length < 4) return '';
  const length = viewOf(key).getUint32(0);
  return length > key.length - 4 ? '' : Buffer.from(key.subarray(4, 4 + length)).toString('latin1');
}

function parseLine(line: string): KnownKey | undefined {
  const fields = line.trim().split(/\s+/);
  if (line.trim().startsWith('#') || fields[0] === '@cert-authority') return undefined;
  const isRevoked = fields[0] === '@revoked';
  const [hosts, type, encoded] = isRevoked ? fields.slice(1) : fields;
  if (hosts === undefined || type === undefined || encoded === undefined) return undefined;
  const key = Buffer.from(encoded, 'base64');
  return keyType(key) === type ? { isRevoked, hosts, key } : undefined;
}

/** @param name in lower case, as `hostField` writes it */
function matchesHost(hosts: string, name: string): boolean {
  if (hosts.startsWith('|')) return matchesHash(hosts, name);
  let isMatched = false;
  for (const pattern of hosts.toLowerCase().split(',')) {
    if (!pattern.startsWith('!')) isMatched ||= matchesPattern(pattern, name);
    else if (matchesPattern(pattern.slice(1), name)) return false;
  }
  return isMatched;
}

function matchesHash(hosts: string, name: string): boolean {
  const [, version, salt, hash, ...rest] = hosts.split('|');
  if (version !== '1' || salt === undefined || hash === undefined || rest.length > 0) return false;
  const wanted = Buffer.from(hash, 'base64');
  const actual = createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest();
  return wanted.length === actual.length && timingSafeEqual(wanted, actual);
}

function hashedName(name: string, salt: Bytes): string {
  return `|1|${Buffer.from(salt).toString('base64')}|${createHmac('sha1', salt).update(name).digest('base64')}`;
}

/** A pattern of OpenSSH: `*` is any text, `?` one character. */
export function matchesPattern(pattern: string, text: string): boolean {
  const source = pattern.split(/([*?])/).map(part => part === '*' ? '.*' : part === '?' ? '.' : part.replace(/[\\^$.+()[\]{}|]/g, '\\$&')).join('');
  return new RegExp(`^${source}$`, 's').test(text);
}
