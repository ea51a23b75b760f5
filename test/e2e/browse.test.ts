import { readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Workplace } from './cli.ts';

let place: Workplace;
const source = (...parts: string[]): string => place.path('source', ...parts);
beforeAll(async () => {
  place = new Workplace();
  place.write('source/a.txt', 'first\n');
  place.write('source/folder/b.bin', Buffer.alloc(300_000, 'abc'));
  place.write('source/folder/escape\u001b[2J', 'x');
  symlinkSync('a.txt', source('link'));
  expect((await place.run(['init'])).code).toBe(0);
  expect((await place.run(['backup', 'source'])).code).toBe(0);
  writeFileSync(source('a.txt'), 'second version\n');
  writeFileSync(source('new.txt'), 'new');
  rmSync(source('link'));
  expect((await place.run(['backup', 'source'])).code).toBe(0);
});
afterAll(() => place.remove());

async function lines(...words: string[]): Promise<string[]> {
  const { code, err, out } = await place.run(words);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  return out.split('\n').slice(0, -1);
}

describe('ls', () => {
  test('lists everything, or what lies at a path, with visible control characters', async () => {
    expect(await lines('ls', 'latest')).toEqual(expect.arrayContaining([source(), source('a.txt'), source('folder'), source('folder', 'b.bin'), source('folder', 'escape\\e[2J')]));
    expect(await lines('ls', 'latest', source())).toEqual([source('a.txt'), source('folder'), source('new.txt')]);
    expect(await lines('ls', `latest:${source()}`, '--recursive')).toHaveLength(5);
    expect((await lines('ls', '-l', 'latest~1', source('a.txt')))[0]).toMatch(/^-rw-r--r-- .* 6  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  .*a\.txt$/);
  });

  test('gives the snapshot and then nodes as JSON', async () => {
    const { messages } = await place.run(['ls', 'latest', source('folder'), '--json']);
    expect(messages()).toEqual([
      expect.objectContaining({ message_type: 'snapshot' }),
      expect.objectContaining({ message_type: 'node', name: 'b.bin', type: 'file', path: source('folder/b.bin'), size: 300_000 }),
      expect.objectContaining({ name: 'escape\u001b[2J' }),
    ]);
  });

  test('stops quietly when its reader has enough', () => {
    const script = '"$0" "$1" ls latest | head -n 1; echo "${PIPESTATUS[0]}"';
    const out = execFileSync('bash', ['-c', script, process.execPath, `${process.cwd()}/dist/cli/main.js`], { env: place.environment, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    expect(out.split('\n')[1]).toBe('0');
  });
});

test('find searches all snapshots by name, type and size', async () => {
  const [header, path] = await lines('find', 'LINK', '-i');
  expect(header).toMatch(/^Snapshot [0-9a-f]{8} of /);
  expect(path).toBe(`${source('link')} -> a.txt`);
  const paths = async (...words: string[]): Promise<unknown[]> => (await place.run(['find', '--json', ...words])).messages().map(match => match['path']);
  expect(await paths('*.txt', '--snapshot', 'latest')).toEqual([source('a.txt'), source('new.txt')]);
  expect(await paths('*', '--type', 'file', '--larger-than', '100K')).toEqual([source('folder/b.bin'), source('folder/b.bin')]);
  expect(await paths('nothing')).toEqual([]);
});

describe('diff', () => {
  test('compares two snapshots', async () => {
    expect(await lines('diff', 'latest~1', 'latest')).toEqual([
      `M  ${source('a.txt')}`, `-  ${source('link')}`, `+  ${source('new.txt')}`,
      '1 added, 1 removed, 1 changed, 0 of another type, 1 in metadata only (--metadata shows them)',
    ]);
    const { messages } = await place.run(['diff', `latest~1:${source()}`, `latest:${source()}`, '--json']);
    expect(messages().at(-1)).toEqual({ message_type: 'diff_summary', added: 1, removed: 1, changed: 1, metadata_changed: 1, type_changed: 0 });
  });

  test('compares a snapshot with a live folder', async () => {
    expect((await lines('diff', `latest:${source()}`, source())).at(-1)).toMatch(/^0 added, 0 removed, 0 changed/);
    place.write('source/later', 'x');
    expect(await lines('diff', 'latest', 'source')).toContain(`+  ${source('later')}`);
    rmSync(source('later'));
    expect((await place.run(['diff', 'latest', './nowhere'])).code).toBe(2);
  });
});

test('history shows the versions of one path', async () => {
  const { messages } = await place.run(['history', 'source/a.txt', '--json']);
  expect(messages().map(({ change, size }) => ({ change, size }))).toEqual([{ change: 'first', size: 6 }, { change: 'content', size: 15 }]);
  expect((await lines('history', source('link'))).map(line => /appears|removed/.exec(line)?.[0])).toEqual(['appears', 'removed']);
  expect((await place.run(['history', '/nowhere'])).code).toBe(1);
});

describe('dump', () => {
  test('writes a file to standard output, or to a file that is whole or not there', async () => {
    expect((await place.run(['dump', 'latest~1', source('a.txt')])).out).toBe('first\n');
    expect((await place.run(['dump', `latest:${source('folder/b.bin')}`, '--output', 'copy'])).code).toBe(0);
    expect(readFileSync(place.path('copy'))).toEqual(readFileSync(source('folder/b.bin')));
    expect((await place.run(['dump', 'latest', source('a.txt'), '-o', 'missing/copy'])).code).toBe(2);
  });

  test('writes a folder as tar or zip', async () => {
    await place.run(['dump', 'latest', source(), '-o', 'all.tar']);
    expect(execFileSync('tar', ['xOf', place.path('all.tar'), 'a.txt'], { encoding: 'utf8' })).toBe('second version\n');
    await place.run(['dump', 'latest', source(), '--format', 'zip', '-o', 'all.zip']);
    expect(readFileSync(place.path('all.zip')).subarray(0, 2).toString()).toBe('PK');
  });

  test('keeps its standard output for data: an error goes to standard error', async () => {
    const missing = await place.run(['dump', 'latest', '/nowhere', '--json']);
    expect(missing).toMatchObject({ code: 1, out: '' });
    expect(JSON.parse(missing.err)).toMatchObject({ message_type: 'exit_error', error_code: 'PATH_NOT_IN_SNAPSHOT' });
  });
});

test('stats adds up the snapshots', async () => {
  const { messages } = await place.run(['stats', '--json', '--no-progress']);
  const [first, second, all] = messages();
  expect([first, second]).toEqual([expect.objectContaining({ message_type: 'snapshot_stats', total_file_count: 3 }), expect.objectContaining({ total_file_count: 4 })]);
  expect(all).toMatchObject({ message_type: 'stats', snapshots_count: 2, total_size: (first!['total_size'] as number) + (second!['total_size'] as number) });
  expect((await lines('stats', 'latest'))[0]).toBe('Snapshots:     1');
});
