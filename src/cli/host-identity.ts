/** Who this is, as snapshots and sessions record it. */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { homedir, hostname, userInfo } from 'node:os';
import { join } from 'node:path';
import { systemRandom } from '../base/ambient.ts';
import { toHex } from '../base/bytes.ts';
import { makeDirectories } from '../base/make-directories.ts';
import type { Environment } from './config-place.ts';

export interface HostIdentity {
  readonly host: string;
  /** 32 hexadecimal digits, random per installation: two clones of a machine share their name. */
  readonly hostId: string;
  readonly user: string;
  readonly processId: number;
}

export function hostIdentity(environment: Environment): HostIdentity {
  return { host: hostname(), hostId: hostId(environment), user: userName(), processId: process.pid };
}

/** A container may run as a user that no database knows. */
function userName(): string {
  try {
    return userInfo().username;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_SYSTEM_ERROR') throw error;
    return String(process.getuid?.() ?? 'unknown');
  }
}

/** Kept in the folder for state (XDG Base Directory Specification; STATE_DIRECTORY of systemd). */
function hostId(environment: Environment): string {
  const folder = environment['STATE_DIRECTORY']?.split(':')[0] || join(environment['XDG_STATE_HOME'] || join(homedir(), '.local', 'state'), 'snap');
  const path = join(folder, 'host-id');
  const known = readId(path);
  if (known !== undefined) return known;
  const made = toHex(systemRandom.bytes(16));
  try {
    makeDirectories(folder, 0o700);
    writeFileSync(path, `${made}\n`, { flag: 'wx', mode: 0o600 });
    return made;
  } catch {
    // Another run was first, or nothing can be kept here: then what the system says of itself has to do.
    return readId(path) ?? derivedId();
  }
}

function readId(path: string): string | undefined {
  const text = readIfThere(path)?.trim() ?? '';
  return /^[0-9a-f]{32}$/.test(text) ? text : undefined;
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // the identity has other sources
  }
}

function derivedId(): string {
  const machine = readIfThere('/etc/machine-id') ?? '';
  return createHash('sha256').update(`snap host id\0${machine}\0${hostname()}`).digest('hex').slice(0, 32);
}
