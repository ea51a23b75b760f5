/**
 * What `~/.ssh/config` and `/etc/ssh/ssh_config` say about a host (ssh_config(5)): the keywords that decide where to connect,
 * as whom, with which keys and whom to trust. The first value found counts; `IdentityFile` collects all.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { SnapError } from '../base/errors.ts';
import { matchesPattern } from './ssh-known-hosts.ts';

export interface SshPlaces {
  readonly home: string;
  /** Name of the user who runs this. */
  readonly localUser: string;
  /** In the order in which they count. */
  readonly configFiles: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export interface SshHostConfig {
  readonly hostName: string;
  readonly user: string;
  readonly port: number;
  /** Undefined when none is named: the usual ones. */
  readonly identityFiles: readonly string[] | undefined;
  readonly identitiesOnly: boolean;
  /** Path of the agent's socket; undefined without agent. */
  readonly agent: string | undefined;
  readonly knownHostsFiles: readonly string[];
  readonly globalKnownHostsFiles: readonly string[];
  /** The name that is looked for in the known hosts. */
  readonly hostKeyAlias: string | undefined;
  readonly hashesKnownHosts: boolean;
  /** `[user@]host[:port]`, in the order of the way. */
  readonly jumps: readonly string[];
}

/** What the location says; it counts more than any file. */
export interface SshTarget {
  readonly host: string;
  readonly user: string | undefined;
  /** 22 leaves it to the files. */
  readonly port: number;
}

/** By lower-case keyword: all values that apply, each with its arguments. */
type Found = Map<string, string[][]>;

const MAX_INCLUDE_DEPTH = 16;
const DEFAULT_PORT = 22;

/** @throws USAGE for settings that snap cannot follow; an error of the system for a file that cannot be read */
export function sshHostConfig(target: SshTarget, places: SshPlaces): SshHostConfig {
  const found: Found = new Map();
  for (const file of places.configFiles) readFile(file, { target, places, found, folder: dirname(file), isActive: true, depth: 0 });
  const first = (keyword: string): string | undefined => found.get(keyword)?.[0]?.[0];
  const isOn = (keyword: string): boolean => first(keyword)?.toLowerCase() === 'yes';
  const user = target.user ?? first('user') ?? places.localUser;
  const port = target.port !== DEFAULT_PORT ? target.port : Number(/^\d{1,5}$/.exec(first('port') ?? '')?.[0] ?? DEFAULT_PORT);
  const hostName = expand(first('hostname') ?? target.host, { '%h': target.host, '%n': target.host }, places);
  const tokens = { '%h': hostName, '%n': target.host, '%p': String(port), '%r': user, '%u': places.localUser, '%d': places.home };
  const paths = (keyword: string, defaults: readonly string[]): string[] =>
    (found.get(keyword)?.[0] ?? defaults).filter(path => path !== 'none').map(path => expand(path, tokens, places));
  refuseProxyCommand(first('proxycommand'), first('proxyjump'), target.host);
  const jump = first('proxyjump') ?? 'none';
  return {
    hostName, user, port,
    identityFiles: found.get('identityfile')?.map(([path]) => expand(path!, tokens, places)),
    identitiesOnly: isOn('identitiesonly'),
    agent: agentSocket(first('identityagent'), tokens, places),
    knownHostsFiles: paths('userknownhostsfile', ['~/.ssh/known_hosts', '~/.ssh/known_hosts2']),
    globalKnownHostsFiles: paths('globalknownhostsfile', ['/etc/ssh/ssh_known_hosts', '/etc/ssh/ssh_known_hosts2']),
    hostKeyAlias: first('hostkeyalias'),
    hashesKnownHosts: isOn('hashknownhosts'),
    jumps: jump === 'none' ? [] : jump.split(','),
  };
}

function refuseProxyCommand(command: string | undefined, jump: string | undefined, host: string): void {
  if (command === undefined || command === 'none' || jump !== undefined) return;
  throw new SnapError('USAGE', `The SSH configuration reaches '${host}' by a ProxyCommand, which snap does not run`, {
    hint: 'Use ProxyJump, or forward a port with ssh -L and name that port in the location',
  });
}

function agentSocket(given: string | undefined, tokens: Readonly<Record<string, string>>, places: SshPlaces): string | undefined {
  const inherited = places.environment['SSH_AUTH_SOCK'];
  if (given === 'none') return undefined;
  const path = given === undefined || given === 'SSH_AUTH_SOCK' ? inherited : given.startsWith('$') && !given.startsWith('${')
    ? places.environment[given.slice(1)] : expand(given, tokens, places);
  return path === '' ? undefined : path;
}

interface Reading {
  readonly target: SshTarget;
  readonly places: SshPlaces;
  readonly found: Found;
  /** Of the user's or the system's configuration: where `Include` looks. */
  readonly folder: string;
  /** Whether lines count until the first `Host` or `Match`. */
  readonly isActive: boolean;
  readonly depth: number;
}

function readFile(path: string, reading: Reading): void {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return;
    throw error;
  }
  let { isActive } = reading;
  for (const line of text.split('\n')) {
    const [keyword, ...values] = wordsOf(line);
    if (keyword === undefined || values.length === 0) continue;
    if (keyword === 'host') isActive = reading.isActive && matchesList(values, reading.target.host);
    else if (keyword === 'match') isActive = reading.isActive && matchesAll(values, reading);
    else if (keyword === 'include') includeFiles(values, { ...reading, isActive, depth: reading.depth + 1 });
    else if (isActive) reading.found.set(keyword, [...reading.found.get(keyword) ?? [], values]);
  }
}

function includeFiles(patterns: readonly string[], reading: Reading): void {
  if (reading.depth > MAX_INCLUDE_DEPTH) throw new SnapError('USAGE', 'The SSH configuration includes itself', { hint: 'Remove the circle of Include lines' });
  const { places } = reading;
  for (const pattern of patterns) {
    const expanded = expand(pattern, {}, places);
    const path = expanded.startsWith('/') ? expanded : join(reading.folder, expanded);
    if (!/[*?]/.test(basename(path))) {
      readFile(path, reading);
      continue;
    }
    for (const name of namesIn(dirname(path))) if (matchesPattern(basename(path), name)) readFile(join(dirname(path), name), reading);
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory).filter(name => !name.startsWith('.')).sort();
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
}

/** Keyword in lower case and its arguments; quotes hold an argument together, `=` may follow the keyword. */
function wordsOf(line: string): string[] {
  const match = /^\s*([A-Za-z]+)(?:\s*=\s*|\s+)(.*)$/.exec(line.replace(/\r$/, ''));
  if (match === null) return [];
  const values = [...match[2]!.matchAll(/"([^"]*)"|(#.*$)|([^\s"]+)/g)].filter(each => each[2] === undefined).map(each => each[1] ?? each[3]!);
  return [match[1]!.toLowerCase(), ...values];
}

function matchesList(patterns: readonly string[], text: string): boolean {
  const name = text.toLowerCase();
  const lower = patterns.map(pattern => pattern.toLowerCase());
  if (lower.some(pattern => pattern.startsWith('!') && matchesPattern(pattern.slice(1), name))) return false;
  return lower.some(pattern => !pattern.startsWith('!') && matchesPattern(pattern, name));
}

/** Criteria that cannot be decided without running something do not match. */
function matchesAll(words: readonly string[], { target, places, found }: Reading): boolean {
  if (words.length === 1) return words[0]!.toLowerCase() === 'all';
  for (let i = 0; i < words.length; i += 2) {
    const patterns = words[i + 1]?.split(',') ?? [];
    const subjects: Readonly<Record<string, string>> = {
      host: found.get('hostname')?.[0]?.[0] ?? target.host, originalhost: target.host,
      user: target.user ?? found.get('user')?.[0]?.[0] ?? places.localUser, localuser: places.localUser,
    };
    const subject = subjects[words[i]!.toLowerCase()];
    if (subject === undefined || !matchesList(patterns, subject)) return false;
  }
  return true;
}

/** `~/`, `${NAME}` and the tokens of ssh_config(5), "TOKENS". */
function expand(text: string, tokens: Readonly<Record<string, string>>, places: SshPlaces): string {
  return text.replace(/^~(?=\/|$)/, () => places.home)
    .replace(/\$\{(\w+)\}/g, (whole, name: string) => places.environment[name] ?? whole)
    .replace(/%./g, token => token === '%%' ? '%' : tokens[token] ?? token);
}
