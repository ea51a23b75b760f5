import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Workplace } from './cli.ts';

let place: Workplace;
beforeAll(async () => {
  place = new Workplace();
  place.write('source/a.txt', 'hello\n');
  place.write('source/folder/b.bin', Buffer.alloc(300_000, 'abc'));
  place.write('source/folder/c.tmp', 'temporary');
  expect((await place.run(['init'])).code).toBe(0);
});
afterAll(() => place.remove());

describe('init', () => {
  test('prints the id of the new repository, as text or JSON', async () => {
    const env = { SNAP_REPOSITORY: place.path('second') };
    const made = await place.run(['init', '--json', '--suite', 'chacha20-poly1305', '--chunker', '1M'], { env });
    expect(made).toMatchObject({ code: 0, err: '' });
    expect(made.messages()).toEqual([{
      message_type: 'initialized', id: expect.stringMatching(/^[0-9a-f]{32}$/), repository: place.path('second'), key_slot: expect.any(String),
    }]);
  });

  test('refuses a repository that exists with exit code 2', async () => {
    const refused = await place.run(['init']);
    expect(refused.code).toBe(2);
    expect(refused.err).toMatch(/^Error: There is already a repository.*\nHint: /);
    expect(refused.out).toBe('');
  });

  test('leaves nothing behind when there is no password', async () => {
    const env = { SNAP_REPOSITORY: place.path('third'), SNAP_KEY_FILE: '' };
    expect((await place.run(['init'], { env })).code).toBe(2);
    expect(readdirSync(place.folder)).not.toContain('third');
  });
});

describe('backup', () => {
  test('the first is full, the next one takes everything over', async () => {
    await new Promise(resolve => { setTimeout(resolve, 2_100); }); // younger files are read again: they may change within one clock tick
    const first = await place.run(['backup', 'source']);
    expect(first).toMatchObject({ code: 0, err: '' });
    expect(first.out).toMatch(/Files: +3 new, 0 changed, 0 unmodified/);
    expect(first.out).toMatch(/Snapshot [0-9a-f]{8} saved \(full\)\n$/);
    const second = await place.run(['backup', 'source', '--json', '--tag', 'daily']);
    expect(second.messages().at(-1)).toMatchObject({
      message_type: 'summary', status: 'complete', exit_code: 0, kind: 'incremental', files_new: 0, files_unmodified: 3, bytes_read: 0, unchanged: true,
      snapshot_id: expect.stringMatching(/^[0-9a-f]{32}$/),
    });
  });

  test('--skip-if-unchanged makes no snapshot when nothing changed', async () => {
    const skipped = await place.run(['backup', 'source', '--skip-if-unchanged', '--json']);
    expect(skipped.messages().at(-1)).not.toHaveProperty('snapshot_id');
  });

  test('--dry-run -v lists what would be taken and stores nothing', async () => {
    const before = readdirSync(place.path('repo', 'snapshots'), { recursive: true }).length;
    const dry = await place.run(['backup', '-n', '-v', 'source', '--exclude', '*.tmp', '--series', 'dry']);
    expect(dry).toMatchObject({ code: 0, err: '' });
    expect(dry.out).toContain(`+ ${place.path('source/folder/b.bin')}`);
    expect(dry.out).not.toContain('c.tmp');
    expect(dry.out).toMatch(/Dry run: nothing was stored\n$/);
    expect(readdirSync(place.path('repo', 'snapshots'), { recursive: true }).length).toBe(before);
  });

  test('paths come from lists, excludes from files', async () => {
    place.write('list', `# two paths\n${place.path('source/a.txt')}\n`);
    place.write('patterns', '# temporary files\n*.$ENDING\n');
    const listed = await place.run(['backup', '--json', '--files-from', 'list', 'source/folder', '--exclude-file', 'patterns'], { env: { ENDING: 'tmp' } });
    expect(listed.messages().at(-1)).toMatchObject({ files_new: 2 });
    const empty = await place.run(['backup', '--files-from', '-'], { input: '# nothing\n' });
    expect(empty).toMatchObject({ code: 2, err: expect.stringContaining('The lists of files name nothing') });
  });

  test('standard input and the output of a command become one file', async () => {
    const piped = await place.run(['backup', '--stdin', '--stdin-filename', 'dump.sql', '--json'], { input: 'select 1;\n' });
    expect(piped.messages().at(-1)).toMatchObject({ exit_code: 0, files_new: 1, total_bytes_processed: 10 });
    const command = await place.run(['backup', '--command', 'printf 12345', '--stdin-filename', 'n.txt', '--json']);
    expect(command.messages().at(-1)).toMatchObject({ exit_code: 0, total_bytes_processed: 5 });
  });

  test('a command that fails makes no snapshot', async () => {
    const failed = await place.run(['backup', '--command', 'printf 12345; exit 7', '--stdin-filename', 'n.txt', '--json', '--no-progress']);
    expect(failed.code).toBe(1);
    expect(failed.messages()).toEqual([expect.objectContaining({ message_type: 'exit_error', code: 1, error_code: 'COMMAND_FAILED' })]);
  });

  test('the repository and the cache are never backed up into themselves', async () => {
    const env = { SNAP_CACHE_DIR: place.path('inside/cache'), SNAP_REPOSITORY: place.path('inside/[repo]') };
    place.write('inside/file', 'x');
    expect((await place.run(['init'], { env })).code).toBe(0);
    for (let i = 0; i < 2; i++) {
      const { messages } = await place.run(['backup', 'inside', '--json', '--no-progress'], { env });
      expect(messages().at(-1)).toMatchObject({ exit_code: 0, total_files_processed: 1 });
    }
  });

  test.runIf(process.platform === 'linux')('a path that is not UTF-8 can be named', async () => {
    const name = Buffer.concat([Buffer.from(place.path('source/')), Buffer.of(0x66, 0xff)]);
    writeFileSync(name, 'odd');
    const script = `cd ${place.folder} && exec "$0" "$1" backup -vv --json "$(printf 'source/f\\377')"`;
    const { spawnSync } = await import('node:child_process');
    const { status, stdout } = spawnSync('bash', ['-c', script, process.execPath, `${process.cwd()}/dist/cli/main.js`], { env: place.environment, encoding: 'utf8' });
    rmSync(name);
    expect(status).toBe(0);
    const lines = stdout.trim().split('\n').map(line => JSON.parse(line) as Record<string, unknown>);
    expect(lines.find(line => line['action'] === 'new')).toMatchObject({
      item: `${place.folder}/source/f\\xff`, item_bytes: name.toString('base64'),
    });
  });
});

describe('what stops a run', () => {
  const broken = (words: string[], env: Record<string, string> = {}) => place.run([...words, '--json', '--no-progress'], { env });

  test.each([
    ['no repository there', ['snapshots'], { SNAP_REPOSITORY: '/nowhere/repo' }, 10, 'REPOSITORY_NOT_FOUND'],
    ['a folder that is no repository', ['backup', 'source'], { SNAP_REPOSITORY: '/tmp' }, 10, 'REPOSITORY_NOT_FOUND'],
    ['a wrong password', ['backup', 'source'], { SNAP_PASSWORD: 'wrong' }, 12, 'WRONG_PASSWORD'],
    ['no password and no terminal', ['backup', 'source'], { SNAP_KEY_FILE: '' }, 2, 'PASSWORD_MISSING'],
    ['a path that is missing', ['backup', 'source', 'nothing'], {}, 2, 'SOURCE_MISSING'],
    ['no path', ['backup'], {}, 2, 'USAGE'],
    ['no repository named', ['snapshots'], { SNAP_REPOSITORY: '' }, 2, 'USAGE'],
    ['an unknown flag', ['backup', '--nonsense', 'source'], {}, 2, 'USAGE'],
    ['an unknown verb', ['bakcup'], {}, 2, 'USAGE'],
    ['a wrong value', ['backup', 'source', '--exclude-larger-than', 'huge'], {}, 2, 'USAGE'],
    ['a slash in --stdin-filename', ['backup', '--stdin', '--stdin-filename', 'a/b'], {}, 2, 'USAGE'],
    ['a missing configuration file', ['backup', 'source', '--config', 'none.yaml'], {}, 2, 'USAGE'],
  ])('%s', async (_name, words, env, code, errorCode) => {
    const stopped = await broken(words, env);
    expect(stopped.messages()).toEqual([expect.objectContaining({ message_type: 'exit_error', code, error_code: errorCode, message: expect.any(String) })]);
    expect(stopped).toMatchObject({ code, err: '' });
  });

  test('an empty source that had files, unless it is meant', async () => {
    place.write('mounted/file', 'x');
    expect((await place.run(['backup', 'mounted'])).code).toBe(0);
    rmSync(place.path('mounted'), { recursive: true });
    mkdirSync(place.path('mounted'));
    const stopped = await place.run(['backup', 'mounted']);
    expect(stopped.code).toBe(14);
    expect(stopped.err).toContain('--allow-empty');
    expect((await place.run(['backup', 'mounted', '--allow-empty'])).code).toBe(0);
  });

  test.skipIf(process.getuid?.() === 0)('an unreadable file is a problem: exit code 3, and the snapshot exists', async () => {
    writeFileSync(place.path('source/secret'), 'x', { mode: 0 });
    const partial = await place.run(['backup', 'source', '--json', '--no-progress']);
    rmSync(place.path('source/secret'));
    expect(partial.code).toBe(3);
    expect(partial.messages()).toEqual([
      expect.objectContaining({ message_type: 'error', item: place.path('source/secret') }),
      expect.objectContaining({ message_type: 'summary', status: 'partial', exit_code: 3, problems: 1, snapshot_id: expect.any(String) }),
    ]);
  });

  test.each(['SIGINT', 'SIGTERM'] as const)('%s ends a run cleanly with 130', async signal => {
    const interrupted = await place.run(['backup', '--command', 'echo started; sleep 60', '--stdin-filename', 'slow'], {
      onStart: child => {
        const timer = setInterval(() => {
          // The command runs once its session is registered.
          if (readdirSync(place.path('repo', 'sessions')).length > 0) {
            clearInterval(timer);
            setTimeout(() => child.kill(signal), 300);
          }
        }, 20);
      },
    });
    expect(interrupted.code).toBe(130);
    expect(interrupted.err).toContain('Interrupted; finishing cleanly, press again to stop at once');
    expect((await place.run(['backup', 'source'])).code).toBe(0);
  });

  test('a reader that goes away ends the output quietly', async () => {
    const closed = await place.run(['help', 'json'], { onStart: child => void child.stdout!.destroy() });
    expect(closed).toMatchObject({ code: 0, err: '' });
  });
});

describe('configuration', () => {
  test('the file gives defaults, flags and environment count more', async () => {
    place.write('etc/snap.yaml', 'backup:\n  exclude: ["*.tmp"]\n  tag: [from-file]\nrepository: ../repo\n');
    const words = ['backup', '/dev/null', 'source', '--config', 'etc/snap.yaml', '--json', '--series', 'configured'];
    const { messages, code } = await place.run(words, { env: { SNAP_REPOSITORY: '' } });
    expect(code).toBe(0);
    expect(messages().at(-1)).toMatchObject({ files_new: 2 });
  });

  test('./snap.yaml is found by itself and a wrong key names its line', async () => {
    place.write('snap.yaml', 'cache-dir: cache\nrepo: x\n');
    const wrong = await place.run(['cache']);
    rmSync(place.path('snap.yaml'));
    expect(wrong.code).toBe(2);
    expect(wrong.err).toMatch(/snap\.yaml, line 2: Unknown key 'repo'/);
  });
});
