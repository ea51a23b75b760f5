import { beforeAll, describe, expect, test } from 'vitest';
import { entryFields, entryName, longLine, modeText } from '../../src/cli/describe-entry.ts';
import { snapshotDetails, snapshotMessage, snapshotTable } from '../../src/cli/describe-snapshot.ts';
import { defaultSeries } from '../../src/cli/series-name.ts';
import type { Entry } from '../../src/format/entry.ts';
import { parseHostId, parseSnapshotId } from '../../src/format/ids.ts';
import type { Snapshot } from '../../src/format/snapshot.ts';
import { PARENT_ID, SNAPSHOT_ID } from './reports.ts';

beforeAll(() => {
  process.env['TZ'] = 'UTC';
});

const at = Date.UTC(2026, 4, 31, 12) / 1000;
const SNAPSHOT: Snapshot = {
  id: parseSnapshotId(SNAPSHOT_ID), kind: 'incremental', parent: parseSnapshotId(PARENT_ID), startedAt: [at, 5], finishedAt: [at + 12, 0],
  host: 'lap\u001btop', hostId: parseHostId('0'.repeat(32)), user: 'me', series: 'laptop:/home/me', tags: ['daily', 'x'],
  components: [
    { name: '/home/me', isConfiguration: true, sourcePath: Buffer.from([0x2f, 0xff]), root: { name: Buffer.alloc(0), type: 'directory', mode: 0o755, mtime: [0, 0], flags: 0 } },
  ],
  statistics: { files: 10, directories: 2, bytes: 2048, bytesAddedRaw: 1024, bytesAddedStored: 512, chunksAdded: 3, sourceErrors: 1 },
  program: 'snap 1.0.0', chunkers: [], gcNumber: 0, description: 'before the update', protected: true,
};

const FILE: Entry = {
  name: Buffer.from('file'), type: 'file', mode: 0o644, uid: 1000, gid: 100, userName: 'me', mtime: [at, 7], ctime: [at, 0], sizeBytes: 12, flags: 0, inode: 2n ** 60n,
};

describe('a snapshot', () => {
  test('is a row of the table', () => {
    expect(snapshotTable([SNAPSHOT])).toEqual([
      'ID        Time                 Host      Kind         Tags                  Size  Paths',
      '--------  -------------------  --------  -----------  ----------------  --------  -----',
      '1f4c9a2e  2026-05-31 12:00:00  lap\\etop  incremental  daily,x (pinned)  2.00 KiB  /\\xff',
    ]);
  });

  test('shows everything with --details', () => {
    const lines = snapshotDetails(SNAPSHOT);
    expect(lines[0]).toBe(`Snapshot ${SNAPSHOT_ID}`);
    expect(lines.at(-1)).toBe('');
    for (const part of [
      '2026-05-31 12:00:00 to 2026-05-31 12:00:12', 'me@lap\\etop', PARENT_ID, 'before the update', 'daily, x', '10 files, 2 folders, 2.00 KiB',
      '1.00 KiB in 3 chunks, stored as 512 B', '/home/me from /\\xff (configuration)', '1 entry', 'snap 1.0.0',
    ]) expect(lines.join('\n')).toContain(part);
  });

  test('is a JSON line', () => {
    expect(JSON.parse(JSON.stringify(snapshotMessage(SNAPSHOT)))).toEqual({
      message_type: 'snapshot', id: SNAPSHOT_ID, short_id: '1f4c9a2e', time: '2026-05-31T12:00:00.000000005Z', end_time: '2026-05-31T12:00:12Z',
      hostname: 'lap\u001btop', username: 'me', kind: 'incremental', series: 'laptop:/home/me', parent: PARENT_ID, tags: ['daily', 'x'],
      description: 'before the update', protected: true, paths: ['/\\xff'], program_version: 'snap 1.0.0',
      components: [{ name: '/home/me', configuration: true, path: '/\\xff', path_bytes: Buffer.from([0x2f, 0xff]).toString('base64') }],
      summary: { total_files_processed: 10, total_dirs_processed: 2, total_bytes_processed: 2048, data_added: 1024, data_added_packed: 512, chunks_added: 3, problems: 1 },
    });
  });
});

describe('an entry', () => {
  test('shows its mode as ls does', () => {
    expect(modeText('directory', 0o2755)).toBe('drwxr-sr-x');
    expect(modeText('file', 0o4644)).toBe('-rwSr--r--');
    expect(modeText('directory', 0o1777)).toBe('drwxrwxrwt');
    expect(modeText('block-device', 0o660)).toBe('brw-rw----');
  });

  test('is a line with exact size', () => {
    expect(longLine(Buffer.from('/a\nb'), FILE)).toBe('-rw-r--r--  me        100                 12  2026-05-31 12:00:00  /a\\nb');
    const link: Entry = { name: Buffer.from('l'), type: 'symlink', mode: 0o777, mtime: [0, 0], linkTarget: Buffer.from('to'), flags: 0 };
    expect(entryName(Buffer.from('/l'), link)).toBe('/l -> to');
  });

  test('has the fields of restic and ours', () => {
    expect(JSON.parse(JSON.stringify(entryFields(Buffer.from('/x/file'), FILE)))).toEqual({
      name: 'file', type: 'file', path: '/x/file', uid: 1000, gid: 100, user: 'me', size: 12, mode: 0o644, permissions: '-rw-r--r--',
      mtime: '2026-05-31T12:00:00.000000007Z', ctime: '2026-05-31T12:00:00Z', inode: String(2n ** 60n),
    });
  });
});

describe('the default series', () => {
  const paths = (...texts: string[]): Buffer[] => texts.map(text => Buffer.from(text));

  test('names host and sources, in any order of the sources', () => {
    expect(defaultSeries('laptop', paths('/home', '/etc'))).toBe('laptop:/etc,/home');
    expect(defaultSeries('laptop', paths('/etc', '/home'))).toBe('laptop:/etc,/home');
  });

  test('stays short and different for long lists', () => {
    const many = Array.from({ length: 50 }, (_, i) => `/folder/${i}`);
    const name = defaultSeries('laptop', paths(...many));
    expect([...name].length).toBeLessThanOrEqual(80);
    expect(defaultSeries('laptop', paths(...many.slice(0, -1)))).not.toBe(name);
  });
});
