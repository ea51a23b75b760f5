/**
 * Whether a folder lies on a file system of another machine, where what one host has written may be seen late by others: by the table
 * of mounts that Linux keeps. Elsewhere nothing is known, and a folder counts as local.
 */
import { readFileSync, realpathSync } from 'node:fs';

const MOUNTS = '/proc/self/mountinfo';

/**
 * Network file systems, those of clusters, and the folders of a host in its virtual machines. Everything in user space counts (sshfs,
 * rclone, gluster), but not `fuseblk`, which is a driver for a disk of this machine, such as NTFS.
 */
const REMOTE = [
  'nfs', 'nfs4', 'cifs', 'smb3', 'smbfs', '9p', 'virtiofs', 'vboxsf', 'vmhgfs', 'prl_fs', 'afs', 'coda', 'ceph', 'lustre', 'gfs2', 'ocfs2', 'gpfs', 'beegfs', 'orangefs', 'glusterfs', 'fuse',
];

/** The kind of remote file system that the folder, or its packs, lie on, such as `nfs4`; undefined: none, or nobody knows. */
export function remoteFileSystem(path: string): string | undefined {
  const mounts = readIfThere(() => readFileSync(MOUNTS, 'utf8'));
  if (mounts === undefined) return undefined;
  for (const each of [path, `${path}/packs`]) {
    const place = readIfThere(() => realpathSync(each));
    const type = place === undefined ? undefined : typeAt(mounts, place);
    if (type !== undefined && isRemote(type)) return type;
  }
  return undefined;
}

function isRemote(type: string): boolean {
  return REMOTE.includes(type) || type.startsWith('fuse.');
}

/**
 * The type of the file system that an absolute path without links lies on. `mounts` is a text as in /proc/self/mountinfo; of several
 * mounts at one place the last one is seen (proc(5)).
 */
export function typeAt(mounts: string, path: string): string | undefined {
  let found: { readonly place: string; readonly type: string } | undefined;
  for (const line of mounts.split('\n')) {
    const [before = '', after] = line.split(' - ');
    const [place, type] = [before.split(' ')[4], after?.split(' ')[0]];
    if (place === undefined || type === undefined) continue;
    const at = unescaped(place);
    const isAbove = at === '/' || path === at || path.startsWith(`${at}/`);
    if (isAbove && at.length >= (found?.place.length ?? 0)) found = { place: at, type };
  }
  return found?.type;
}

/** Space, tabulator, line break and backslash stand as `\040` and so on. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_all, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

function readIfThere<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    return undefined;
  }
}
