import { describe, expect, test } from 'vitest';
import { utf8 } from '../../src/base/bytes.ts';
import { placeOf, type Machine } from '../../src/cli/places.ts';
import type { PlaceSetting } from '../../src/cli/status-flags.ts';
import { ORIGINAL_MEDIUM } from '../../src/usecases/status/copies.ts';

const machine: Machine = {
  diskOf: path => ({ '/mnt/usb': 'sdb', '/srv/backup': 'sda', '/home/me': 'sda' })[Buffer.from(path).toString()],
  shareOf: path => path.startsWith('/mnt/nas') ? 'nas:/export' : undefined,
};
const at = (location: string, s3Endpoint?: string, settings: readonly PlaceSetting[] = []): [medium: string, isOffSite: boolean] => {
  const { medium, isOffSite } = placeOf(location, [utf8('/home/me')], { settings, s3Endpoint, machine });
  return [medium, isOffSite];
};

describe('a location tells medium and place', () => {
  test.each([
    ['/srv/backup', ORIGINAL_MEDIUM, false],
    ['/mnt/usb', 'disk sdb', false],
    ['/mnt/gone', ORIGINAL_MEDIUM, false],
    ['/mnt/nas/backup', 'network share nas:/export', false],
    ['sftp://me@backup.example.org/repo', 'server backup.example.org', true],
    ['sftp://localhost/repo', ORIGINAL_MEDIUM, false],
    ['sftp://nas/repo', 'server nas', false],
    ['sftp://me@192.168.1.4:2222/repo', 'server 192.168.1.4', false],
    ['sftp://[fd00::1]/repo', 'server [fd00::1]', false],
    ['sftp://nas.local/repo', 'server nas.local', false],
    ['s3://bucket/prefix', 'object storage of Amazon', true],
    ['s3:https://s3.example.org/bucket', 'object storage s3.example.org', true],
    ['s3:http://10.0.0.5:9000/bucket', 'object storage 10.0.0.5', false],
    ['s3:http://127.0.0.1:9000/bucket', ORIGINAL_MEDIUM, false],
  ])('%s', (location, medium, isOffSite) => expect(at(location)).toEqual([medium, isOffSite]));

  test('the address of the S3 server counts where the location has none', () => {
    expect(at('s3://bucket', 'https://10.0.0.5:9000')).toEqual(['object storage 10.0.0.5', false]);
  });
  test('the configuration knows better', () => {
    expect(at('/mnt/nas/backup', undefined, [{ location: '/mnt/nas/backup', medium: undefined, isOffSite: true }])).toEqual(['network share nas:/export', true]);
    expect(at('/srv/backup', undefined, [{ location: '/srv/backup', medium: 'tape', isOffSite: undefined }])).toEqual(['tape', false]);
  });
  test('of this machine the disks are known', () => {
    const { medium } = placeOf('/tmp', [utf8('/tmp')], { settings: [], s3Endpoint: undefined });
    expect(medium).toBe(ORIGINAL_MEDIUM);
  });
});
