/**
 * What a location tells about where a copy lies: on which medium, and whether elsewhere. A guess that errs on the safe side: what
 * may be in the same house counts as not off-site, and the configuration knows better.
 */
import { lstatSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Bytes } from '../base/bytes.ts';
import { ORIGINAL_MEDIUM } from '../usecases/status/copies.ts';
import type { Place } from '../usecases/status/status-report.ts';
import type { PlaceSetting } from './status-flags.ts';

/** What is asked of the machine; tests put their own in its place. */
export interface Machine {
  /** Name of the disk that a path lies on; undefined when it is not there. */
  diskOf(path: string | Bytes): string | undefined;
  /** What is mounted over the network there: `nas:/export`; undefined for a disk of the machine. */
  shareOf(path: string): string | undefined;
}

export interface PlaceSurroundings {
  readonly settings: readonly PlaceSetting[];
  /** Address of the S3 server that a location without one means; undefined: Amazon's. */
  readonly s3Endpoint: string | undefined;
  readonly machine?: Machine | undefined;
}

/** `sources`: paths of what is backed up, as far as it lies on this machine. */
export function placeOf(location: string, sources: readonly Bytes[], surroundings: PlaceSurroundings): Place {
  const found = derivedPlace(location, sources, surroundings);
  const said = surroundings.settings.find(each => each.location === location || each.location === found.location);
  if (said === undefined) return found;
  return { location, medium: said.medium ?? found.medium, isOffSite: said.isOffSite ?? found.isOffSite, reason: 'as the configuration says' };
}

function derivedPlace(location: string, sources: readonly Bytes[], { s3Endpoint, machine = thisMachine }: PlaceSurroundings): Place {
  if (/^azure:|^az:/.test(location)) return { location, medium: 'object storage of Azure', isOffSite: true, reason: 'a cloud' };
  if (location.startsWith('s3:')) return bucketPlace(location, /^s3:(https?:\/\/[^/]+)/.exec(location)?.[1] ?? s3Endpoint);
  if (location.startsWith('sftp:')) return serverPlace(location, new URL(location).hostname, 'server');
  return folderPlace(location, sources, machine);
}

function bucketPlace(location: string, endpoint: string | undefined): Place {
  if (endpoint === undefined) return { location, medium: 'object storage of Amazon', isOffSite: true, reason: 'a cloud' };
  return serverPlace(location, new URL(endpoint).hostname, 'object storage');
}

function serverPlace(location: string, host: string, what: string): Place {
  if (isThisMachine(host)) return { location, medium: ORIGINAL_MEDIUM, isOffSite: false, reason: 'on this machine' };
  const isNear = isNearby(host);
  return { location, medium: `${what} ${host}`, isOffSite: !isNear, reason: isNear ? 'its address is one of the local network' : 'its address is a public one' };
}

function folderPlace(location: string, sources: readonly Bytes[], machine: Machine): Place {
  const share = machine.shareOf(location);
  if (share !== undefined) return { location, medium: `network share ${share}`, isOffSite: false, reason: 'a network share; whether it is elsewhere, the configuration must say' };
  const disk = machine.diskOf(location);
  const isShared = disk === undefined || sources.some(source => machine.diskOf(source) === disk);
  if (isShared) return { location, medium: ORIGINAL_MEDIUM, isOffSite: false, reason: disk === undefined ? 'a folder' : 'on the same disk as what is backed up' };
  return { location, medium: `disk ${disk}`, isOffSite: false, reason: `on disk ${disk}, another one than what is backed up` };
}

function isThisMachine(host: string): boolean {
  return /^(localhost|127(\.\d+){3}|\[?::1\]?)$/i.test(host);
}

/** Private and link-local addresses (RFC 1918, 3927, 4193, 4291), and names that only a local network knows. */
function isNearby(host: string): boolean {
  const name = host.toLowerCase();
  return /^(10|192\.168|169\.254|172\.(1[6-9]|2\d|3[01]))\./.test(name) || /^\[?(f[cd]|fe[89ab])[0-9a-f]*:/.test(name)
    || !/[.:]/.test(name) || /\.(local|lan|home|internal|localdomain|home\.arpa)$/.test(name);
}

const NETWORK_FILE_SYSTEMS = /^(nfs\d?|cifs|smb\d?|smbfs|afs|ceph|9p|glusterfs|fuse\.(sshfs|glusterfs|ceph|s3fs|rclone|davfs)|davfs|lustre|virtiofs)$/;

const thisMachine: Machine = {
  diskOf: path => {
    const stat = typeof path === 'string' ? statSync(path, { throwIfNoEntry: false }) : lstatSync(Buffer.from(path), { throwIfNoEntry: false });
    return stat === undefined ? undefined : diskName(stat.dev);
  },
  shareOf: path => mounts().filter(({ at }) => path === at || path.startsWith(at === '/' ? '/' : `${at}/`))
    .reduce<Mount | undefined>((longest, each) => each.at.length >= (longest?.at.length ?? 0) ? each : longest, undefined)?.share,
};

/** Two partitions are one disk. Elsewhere than on Linux, and for file systems without a disk, the number of the device. */
function diskName(device: number): string {
  // As gnu_dev_major and gnu_dev_minor of glibc, for the numbers that disks have.
  const numbers = `${(device >> 8) & 0xfff}:${(device & 0xff) | ((device >> 12) & 0xfff00)}`;
  try {
    const place = realpathSync(`/sys/dev/block/${numbers}`);
    const parent = dirname(place);
    return basename(basename(parent) === 'block' ? place : parent);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return String(device);
  }
}

interface Mount {
  readonly at: string;
  readonly share: string | undefined;
}

function mounts(): Mount[] {
  let text: string;
  try {
    text = readFileSync('/proc/self/mounts', 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return [];
  }
  return text.split('\n').filter(line => line !== '').map(line => {
    const [source = '', at = '', type = ''] = line.split(' ').map(word => word.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8))));
    return { at, share: NETWORK_FILE_SYSTEMS.test(type) ? source : undefined };
  });
}
