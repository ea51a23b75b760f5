import { expect, test } from 'vitest';
import { remoteFileSystem, typeAt } from '../../src/backend/remote-mounts.ts';
import { temporaryDirectory } from '../support/memory-repository.ts';

const MOUNTS = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:25 / /mnt/nas rw,relatime shared:7 - nfs4 nas:/export rw,vers=4.2
31 30 8:17 / /mnt/nas/usb rw,relatime - fuseblk /dev/sdb1 rw
32 22 0:40 / /mnt/my\\040share rw - cifs //nas/share rw
33 22 0:41 / /mnt/cloud rw - fuse.rclone remote: rw
34 22 0:42 / /mnt/twice rw - ext4 /dev/sdc1 rw
35 34 0:43 / /mnt/twice rw - nfs nas:/other rw
not a line of the table
`;

test.each([
  ['/srv/backup', 'ext4'], ['/', 'ext4'], ['/mnt/nas', 'nfs4'], ['/mnt/nas/backup/x', 'nfs4'], ['/mnt/nas-2', 'ext4'], ['/mnt/nas/usb/x', 'fuseblk'],
  ['/mnt/my share/backup', 'cifs'], ['/mnt/cloud/x', 'fuse.rclone'], ['/mnt/twice/x', 'nfs'],
])('%s lies on %s', (path, type) => expect(typeAt(MOUNTS, path)).toBe(type));

test('an empty table says nothing', () => expect(typeAt('', '/srv')).toBeUndefined());
test('a folder of this machine is not remote, nor is one that is not there', () => {
  const place = temporaryDirectory();
  expect(remoteFileSystem(place)).toBeUndefined();
  expect(remoteFileSystem(`${place}/not/there`)).toBeUndefined();
});
