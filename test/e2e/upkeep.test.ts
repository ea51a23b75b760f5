import { statSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Workplace } from './cli.ts';

let place: Workplace;
beforeAll(async () => {
  place = new Workplace();
  place.write('source/a.txt', 'hello\n');
  expect((await place.run(['init'])).code).toBe(0);
  expect((await place.run(['backup', 'source', '--tag', 'one', '--host', 'alpha'])).code).toBe(0);
  expect((await place.run(['backup', 'source', '--tag', 'two,three', '--host', 'beta', '--description', 'second'])).code).toBe(0);
});
afterAll(() => place.remove());

async function snapshots(...words: string[]): Promise<Record<string, unknown>[]> {
  const listed = await place.run(['snapshots', '--json', ...words]);
  expect(listed).toMatchObject({ code: 0, err: '' });
  return listed.messages();
}

describe('snapshots', () => {
  test('are listed oldest first, as a table, in detail and as JSON', async () => {
    const all = await snapshots();
    expect(all.map(({ hostname, tags, message_type }) => ({ hostname, tags, message_type }))).toEqual([
      { hostname: 'alpha', tags: ['one'], message_type: 'snapshot' }, { hostname: 'beta', tags: ['two', 'three'], message_type: 'snapshot' },
    ]);
    const table = await place.run(['snapshots']);
    expect(table.out.split('\n')).toHaveLength(6);
    expect(table.out).toMatch(/2 snapshots\n$/);
    expect((await place.run(['snapshots', '--details', 'latest'])).out).toContain('Description:  second');
  });

  test('are found by id, prefix, latest, latest~N and filters', async () => {
    const [first, second] = (await snapshots()).map(each => each['id'] as string) as [string, string];
    const ids = async (...words: string[]): Promise<unknown[]> => (await snapshots(...words)).map(each => each['id']);
    expect(await ids('latest', first.slice(0, 6))).toEqual([first, second]);
    expect(await ids('latest~1', second)).toEqual([first, second]);
    expect(await ids('latest', '--host', 'alpha')).toEqual([first]);
    expect(await ids('--tag', 'three,two')).toEqual([second]);
    expect(await ids('--path', 'source', '--kind', 'full', '--tag', 'one', '--tag', 'two')).toEqual([first, second]);
  });

  test('that are not there are an error', async () => {
    for (const name of ['latest~2', 'ffff0000ffff']) {
      expect((await place.run(['snapshots', name])).code, name).toBe(1);
    }
  });
});

describe('labels', () => {
  test('tags are added, removed and replaced', async () => {
    const tagged = await place.run(['tag', '--add', 'new', '--remove', 'one', '--json', '--host', 'alpha']);
    expect(tagged.messages()).toEqual([
      { message_type: 'changed', old_snapshot_id: expect.any(String), new_snapshot_id: expect.any(String) }, { message_type: 'label_summary', changed_snapshots: 1 },
    ]);
    expect((await snapshots('--host', 'alpha'))[0]).toMatchObject({ tags: ['new'], original: tagged.messages()[0]!['old_snapshot_id'] });
    expect((await place.run(['tag', '--set', '', '--host', 'alpha'])).out).toMatch(/1 snapshot changed\n$/);
    expect((await snapshots('--tag', ''))[0]).toMatchObject({ hostname: 'alpha', tags: [] });
  });

  test('a change of all snapshots must be asked for', async () => {
    expect((await place.run(['tag', '--add', 'x'])).code).toBe(2);
    expect((await place.run(['tag', 'latest'])).code).toBe(2);
  });

  test('snapshots are pinned and unpinned', async () => {
    expect((await place.run(['pin', 'latest'])).code).toBe(0);
    expect((await snapshots('latest'))[0]).toMatchObject({ protected: true });
    expect((await place.run(['pin', 'latest'])).out).toBe('0 snapshots changed\n');
    expect((await place.run(['unpin', 'latest'])).code).toBe(0);
    expect((await snapshots('latest'))[0]).toMatchObject({ protected: false });
  });
});

describe('keys', () => {
  const withPassword = (password: string): Record<string, string> => ({ SNAP_KEY_FILE: '', SNAP_PASSWORD: password });

  test('a password is added, changed and removed; the old one opens no more', async () => {
    const added = await place.run(['key', 'add', '--json'], { env: { SNAP_NEW_PASSWORD: 'first' } });
    expect(added.messages()).toEqual([{ message_type: 'key_added', id: expect.any(String) }]);
    expect((await place.run(['key', 'passwd'], { env: { ...withPassword('first'), SNAP_NEW_PASSWORD: 'second' } })).code).toBe(0);
    expect((await place.run(['snapshots'], { env: withPassword('first') })).code).toBe(12);
    const listed = await place.run(['key', 'list', '--json'], { env: withPassword('second') });
    expect(listed.messages()).toEqual([
      expect.objectContaining({ message_type: 'key', kind: 'key file', current: false }), expect.objectContaining({ kind: 'password', current: true }),
      { message_type: 'keyring', number: 1, current_epoch: 1, epochs: [1] },
    ]);
    const slot = listed.messages()[1]!['id'] as string;
    expect((await place.run(['key', 'remove', slot.slice(0, 8)])).code).toBe(0);
    expect((await place.run(['snapshots'], { env: withPassword('second') })).code).toBe(12);
  });

  test('the last key slot stays', async () => {
    const [only] = (await place.run(['key', 'list', '--json'])).messages();
    expect((await place.run(['key', 'remove', only!['id'] as string])).code).toBe(14);
  });

  test('a key file is made by key add', async () => {
    expect((await place.run(['key', 'add', '--new-key-file', 'second-key'])).code).toBe(0);
    expect(statSync(place.path('second-key')).mode & 0o777).toBe(0o600);
    expect((await place.run(['--key-file', 'second-key', 'snapshots'])).code).toBe(0);
  });
});

describe('cache', () => {
  test('is listed and removed without a password', async () => {
    const env = { SNAP_KEY_FILE: '' };
    const [cache] = (await place.run(['cache', '--json'], { env })).messages();
    expect(cache).toMatchObject({ message_type: 'cache', repository_id: expect.any(String), size: expect.any(Number) });
    expect((await place.run(['cache', '--remove'], { env })).code).toBe(0);
    expect((await place.run(['cache', '--json'], { env })).messages()).toEqual([]);
    expect(await snapshots()).toHaveLength(2);
  });

  test('is built again on demand', async () => {
    const [rebuilt] = (await place.run(['cache', '--rebuild', '--json'])).messages();
    expect(rebuilt).toMatchObject({ message_type: 'cache', repository_id: expect.any(String), rebuilt: true });
    expect((await place.run(['cache', '--rebuild'])).out).toMatch(/was built again: [1-9]\d* chunks/);
    expect((await place.run(['cache', '--rebuild', '--remove'])).code).toBe(2);
  });
});
