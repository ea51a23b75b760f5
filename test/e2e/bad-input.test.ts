/**
 * What people get wrong, and what goes wrong around a run, through the built command line: an exit code, one clear line and
 * mostly a hint, and nothing changed on the disk.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { digestsBelow, filesBelow, goldenFolder, goldenRecord } from '../support/golden.ts';
import { jsonLines, snap, type CliOptions, type CliResult } from '../support/snap-cli.ts';

const IS_ROOT = process.getuid?.() === 0;
const RECORD = goldenRecord('format-1-suite-1');
/** In memory where the system has such a place. */
const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'snap-e2e-'));
chmodSync(folder, 0o755);
afterAll(() => {
  if (!IS_ROOT) execFileSync('chmod', ['-R', 'u+rwX', folder]);
  rmSync(folder, { recursive: true });
});
let places = 0;

/** A copy of a golden repository, a source, and a key file that needs no stretching. */
class Place {
  readonly root: string;
  readonly repository: string;

  constructor(root = join(folder, String(++places))) {
    this.root = root;
    this.repository = join(root, 'repository');
    mkdirSync(root, { recursive: true });
    cpSync(goldenFolder('format-1-suite-1'), this.repository, { recursive: true });
    this.write('key', Buffer.from(RECORD.key, 'hex'));
    this.write('source/file', 'content\n');
  }

  path(path: string): string {
    return join(this.root, path);
  }

  write(path: string, content: string | Uint8Array): void {
    mkdirSync(dirname(this.path(path)), { recursive: true });
    writeFileSync(this.path(path), content);
  }

  run(words: readonly string[], { env = {}, ...options }: CliOptions = {}): Promise<CliResult> {
    return snap(words, {
      cwd: this.root, repository: this.repository, cache: this.path('cache'), password: '', ...options,
      env: { HOME: this.path('home'), SNAP_KEY_FILE: this.path('key'), ...env },
    });
  }

  /** Everything but cache and home. */
  digests(): Record<string, string> {
    return Object.fromEntries(Object.entries(digestsBelow(this.root)).filter(([name]) => !/^(cache|home)\//.test(name)));
  }

  /** First object, in the order of names, whose name begins like this. */
  object(prefix: string): string {
    return join(this.repository, filesBelow(this.repository).find(name => name.startsWith(prefix))!);
  }
}

/** With a new repository: the small chunks of the golden ones take long with much data. */
async function newPlace(root?: string): Promise<Place> {
  const place = new Place(root);
  rmSync(place.repository, { recursive: true });
  const made = await place.run(['init']);
  if (made.code !== 0) throw new Error(made.stderr);
  return place;
}

/** One line that says what is wrong, and perhaps one what to do; no stack. */
function expectOneLine(result: CliResult, message: RegExp): void {
  expect(result.stderr).toMatch(/^Error: [A-Z'/][^\n]*[^.\n]\n(Hint: [^\n]+\n)?$/);
  expect(result.stderr).toMatch(message);
  expect(result.stdout).toBe('');
}

/** A few at a time: the machine has other things to do. */
function inPairs<T>(cases: readonly T[], run: (each: T) => Promise<void>): Promise<unknown> {
  const left = [...cases];
  const next = async (): Promise<void> => {
    for (let each = left.shift(); each !== undefined; each = left.shift()) await run(each);
  };
  return Promise.all([next(), next()]);
}

type Case = readonly [words: readonly string[], code: number, message: RegExp, env?: Readonly<Record<string, string>>];

describe('wrong words', () => {
  const place = new Place();
  place.write('bad.yaml', 'backup:\n  nonsense: 1\n');
  place.write('file', 'a file\n');
  const cases: readonly Case[] = [
    [['bakcup', 'source'], 2, /Unknown command 'bakcup' \(Did you mean backup\?\)/],
    [['key', 'lst'], 2, /Did you mean list\?/],
    [['backup', '--exlude', 'x', 'source'], 2, /Unknown option '--exlude' \(Did you mean --exclude\?\)/],
    [['backup', 'source', '--exclude-larger-than', 'huge'], 2, /'huge' is not a size/],
    [['backup', 'source', '--time', '2026-02-30'], 2, /'2026-02-30' is not a time/],
    [['backup', 'source', '--exclude', '['], 2, /The pattern '\[' has a '\[' without its '\]'/],
    [['backup', 'source', '--read-concurrency', '0'], 2, /'0' is not a whole number from 1 to 64/],
    [['backup', 'source', '--compression', '99'], 2, /'99' is not a compression level/],
    [['restore', '--target', 'x'], 2, /Missing required argument/],
    [['restore', 'latest', '--target', 'x', '--overwrite', 'sometimes'], 2, /'sometimes' is not one of always/],
    [['init', '--chunker', '3K'], 2, /not a power of two/, { SNAP_REPOSITORY: 'new' }],
    [['backup', 'source', 'missing'], 2, /The path '[^']*missing' does not exist/],
    [['snapshots', '--config', 'bad.yaml'], 2, /bad\.yaml, line 2: Unknown key 'backup\.nonsense'/],
    [['snapshots', '--config', 'source'], 2, /Cannot read the configuration file/],
    [['backup', 'source', '--files-from', 'none'], 2, /Cannot read the list of files 'none'/],
    [['restore', 'latest~7', '--target', 'x'], 1, /There is no snapshot 'latest~7'/],
    [['restore', 'latest:/nowhere', '--target', 'x'], 1, /does not contain '\/nowhere'/],
    [['restore', 'latest', '--target', 'file'], 2, /target cannot be opened as a directory/],
    [['try', 'source', '--at', 'file'], 2, /Cannot make the folder '[^']*file' for the trial/],
    [['snapshots', '--cache-dir', 'file'], 1, /Cannot use the cache directory 'file'/],
  ];

  test('are told apart, and change nothing', async () => {
    const before = place.digests();
    await inPairs(cases, async ([words, code, message, env = {}]) => {
      const result = await place.run(words, { env });
      expectOneLine(result, message);
      expect(result.code, words.join(' ')).toBe(code);
    });
    expect(place.digests()).toEqual(before);
  });
});

describe('a repository that cannot be opened', () => {
  test('is refused, and nothing is changed or made', async () => {
    const place = new Place();
    place.write('file', 'a file\n');
    const before = place.digests();
    const cases: readonly Case[] = [
      [['backup', 'source'], 10, /There is no directory '[^']*none'/, { SNAP_REPOSITORY: place.path('none') }],
      [['snapshots'], 10, /There is no repository at '[^']*source'/, { SNAP_REPOSITORY: place.path('source') }],
      [['verify'], 10, /There is no directory '[^']*file'/, { SNAP_REPOSITORY: place.path('file') }],
      [['init'], 1, /Cannot open repository '[^']*file': not a directory/, { SNAP_REPOSITORY: place.path('file') }],
      [['init'], 2, /There are other files at '[^']*source', such as 'file'/, { SNAP_REPOSITORY: place.path('source') }],
      [['snapshots'], 2, /No password was given and there is no terminal/, { SNAP_KEY_FILE: '' }],
      [['backup', 'source'], 12, /Wrong password for the repository at/, { SNAP_PASSWORD: 'wrong' }],
      [['snapshots'], 12, /Wrong key file for the repository at/, { SNAP_KEY_FILE: place.path('other-key') }],
      [['snapshots'], 2, /'[^']*file' is not a key file/, { SNAP_KEY_FILE: place.path('file') }],
      [['snapshots'], 2, /Cannot read the password file/, { SNAP_KEY_FILE: '', SNAP_PASSWORD_FILE: place.path('none') }],
    ];
    place.write('home/other-key', new Uint8Array(32));
    await inPairs(cases, async ([words, code, message, env]) => {
      const result = await place.run(words, { env: { ...env, ...(env!['SNAP_KEY_FILE'] === place.path('other-key') ? { SNAP_KEY_FILE: place.path('home/other-key') } : {}) } });
      expectOneLine(result, message);
      expect(result.code, words.join(' ')).toBe(code);
    });
    expect(place.digests()).toEqual(before);
  });
});

describe('a damaged object', () => {
  const flip = (path: string): void => {
    const bytes = readFileSync(path);
    bytes[bytes.length >> 1]! ^= 1;
    writeFileSync(path, bytes);
  };
  const shorten = (path: string): void => truncateSync(path, readFileSync(path).length - 1);

  test.each([
    ['config', 'config', shorten, ['backup', 'source'], /The config is damaged: [^\n]*'config'/],
    ['config', 'config', flip, ['restore', 'latest', '--target', 'x'], /The config is damaged: [^\n]*'config'/],
    ['keyring', 'keyring/', flip, ['snapshots'], /The keyring is damaged: [^\n]*'keyring\/0000000001'/],
    ['index segment', 'index/', shorten, ['backup', 'source'], /The index segment is damaged: [^\n]*'index\//],
  ])('%s ends the run with 13 and is named', async (_, prefix, damage, words, message) => {
    const place = new Place();
    damage(place.object(prefix));
    const before = place.digests();
    const result = await place.run(words);
    expectOneLine(result, message);
    expect(result.code).toBe(13);
    expect(place.digests()).toEqual(before);
  });

  test('key slot of another one does not matter, the own one is named', async () => {
    const place = new Place();
    for (const name of readdirSync(join(place.repository, 'keys'))) flip(join(place.repository, 'keys', name));
    const result = await place.run(['snapshots']);
    expectOneLine(result, /The key slot is damaged/);
    expect(result.code).toBe(13);
  });

  test('snapshot is never passed over in silence: the newest one might be meant', async () => {
    const place = new Place();
    const newest = String((jsonLines(await place.run(['snapshots', 'latest', '--json'])))[0]!['id']);
    flip(place.object(`snapshots/${newest}`));
    const result = await place.run(['restore', 'latest', '--target', 'x'], { cache: place.path('cache/new') });
    expectOneLine(result, new RegExp(`Snapshot '${newest}' cannot be read, so nobody knows which one 'latest' is`));
    expect(result.code).toBe(13);
    expect(existsSync(place.path('x'))).toBe(false);
  });

  test('pack costs what is in it, and the rest is restored: 13', async () => {
    const place = new Place();
    shorten(filesBelow(place.repository).filter(name => name.startsWith('packs/d/')).map(name => join(place.repository, name)).sort((a, b) => readFileSync(b).length - readFileSync(a).length)[0]!);
    const result = await place.run(['restore', `latest:${RECORD.sourcePath}`, '--target', 'x', '--no-owner']);
    expect(result.code).toBe(13);
    expect(result.stderr).toContain('text/long.txt');
    expect(result.stderr).not.toMatch(/INTERNAL|at .*\.js/);
    expect(readFileSync(place.path('x/added.bin')).length).toBe(20 * 1024);
  });
});

describe('a restore target', () => {
  test('that holds other files keeps them', async () => {
    const place = new Place();
    place.write('target/mine', 'mine');
    place.write('target/hello.txt', 'older');
    const result = await place.run(['restore', `latest:${RECORD.sourcePath}/hello.txt`, '--target', 'target', '--no-owner']);
    expect(result, result.stderr).toMatchObject({ code: 0 });
    expect(readFileSync(place.path('target/mine'), 'utf8')).toBe('mine');
    expect(readFileSync(place.path('target/hello.txt'), 'utf8')).toBe('hello\nagain\n');
  });
});

/** Runs as a user without rights. */
const WITHOUT_RIGHTS = IS_ROOT ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];

describe('missing rights', () => {
  function shared(): Place {
    const place = new Place();
    mkdirSync(place.path('home'));
    mkdirSync(place.path('cache'));
    // The repository belongs to somebody else, who lets all read it.
    execFileSync('chmod', ['-R', 'a+rX,a-w', place.repository]);
    if (IS_ROOT) execFileSync('chown', ['-R', '65534:65534', place.path('home'), place.path('cache')]);
    chmodSync(place.path('key'), 0o644);
    return place;
  }
  const asOther = (place: Place, words: readonly string[]): Promise<CliResult> => place.run(words, { under: WITHOUT_RIGHTS });

  test('of a repository that can only be read: verify and restore work, a backup is refused', async () => {
    const place = shared();
    const before = digestsBelow(place.repository);
    expect(await asOther(place, ['verify', '--read-data', '--json', '--no-progress'])).toMatchObject({ code: 0, stderr: '' });
    const target = place.path('home/target');
    const restored = await asOther(place, ['restore', `latest:${RECORD.sourcePath}/hello.txt`, '--target', target, '--no-owner']);
    expect(restored, restored.stderr).toMatchObject({ code: 0 });
    const refused = await asOther(place, ['backup', 'source', '--json', '--no-progress']);
    expect(refused.code).toBe(1);
    expect(jsonLines(refused)).toMatchObject([{ message_type: 'exit_error', error_code: 'DENIED', message: expect.stringContaining(`'${place.repository}'`) }]);
    expect(digestsBelow(place.repository)).toEqual(before);
  });

  test('of a restore target are a refusal, of the config file wrong usage', async () => {
    const place = shared();
    mkdirSync(place.path('locked'), { mode: 0o555 });
    const target = await asOther(place, ['restore', 'latest', '--target', place.path('locked/x')]);
    expectOneLine(target, /Cannot open the restore target \(EACCES\): permission denied/);
    expect(target.code).toBe(1);
    place.write('secret.yaml', 'verify: {}\n');
    chmodSync(place.path('secret.yaml'), 0);
    const config = await asOther(place, ['snapshots', '--config', 'secret.yaml']);
    expectOneLine(config, /Cannot read the configuration file 'secret.yaml': permission denied/);
    expect(config.code).toBe(2);
  });

  test('of source files: each is named, the rest is saved, exit code 3', async () => {
    const place = shared();
    execFileSync('chmod', ['-R', 'u+w', place.repository]);
    if (IS_ROOT) execFileSync('chown', ['-R', '65534:65534', place.repository]);
    place.write('source/closed/inside', 'x');
    place.write('source/secret', 'x');
    chmodSync(place.path('source/secret'), 0);
    chmodSync(place.path('source/closed'), 0);
    const partial = await asOther(place, ['backup', 'source', '--json', '--no-progress']);
    chmodSync(place.path('source/closed'), 0o755);
    expect(partial.code, partial.stderr + partial.stdout).toBe(3);
    const lines = jsonLines(partial);
    expect(lines.filter(line => line['message_type'] === 'error').map(line => line['item']).sort()).toEqual([place.path('source/closed'), place.path('source/secret')]);
    expect(lines.at(-1)).toMatchObject({ message_type: 'summary', status: 'partial', exit_code: 3, problems: 2, total_files_processed: 1 });
  });
});

describe('an empty source', () => {
  test('that had files is refused with 14 unless it is meant', async () => {
    const place = new Place();
    expect((await place.run(['backup', 'source'])).code).toBe(0);
    rmSync(place.path('source/file'));
    const before = place.digests();
    const refused = await place.run(['backup', 'source']);
    expectOneLine(refused, /--allow-empty/);
    expect(refused.code).toBe(14);
    expect(place.digests()).toEqual(before);
    expect((await place.run(['backup', 'source', '--allow-empty'])).code).toBe(0);
  });
});

const KiB = 1024;
const MiB = 1024 * KiB;

describe.concurrent('a run that cannot end as planned', () => {
  test.for(['SIGINT', 'SIGTERM'] as const)('%s: 130, no session is left, and the next run goes on', async (signal, { expect }) => {
    const place = await newPlace();
    for (let i = 0; i < 9; i++) place.write(`source/${i}`, randomBytes(4 * MiB));
    const packs = (): number => filesBelow(place.repository).filter(name => name.startsWith('packs/d/')).length;
    const known = packs();
    // Slow enough to be interrupted after the first pack.
    const interrupted = await place.run(['backup', 'source', '--limit-upload', '40M', '--read-concurrency', '1'], {
      onStart: child => {
        const timer = setInterval(() => {
          if (packs() === known) return;
          clearInterval(timer);
          child.kill(signal);
        }, 20);
        child.on('exit', () => clearInterval(timer));
      },
    });
    expect(interrupted.stderr).toBe('Interrupted; finishing cleanly, press again to stop at once\nError: The run was interrupted\n');
    expect(interrupted.code).toBe(130);
    expect(filesBelow(place.repository).filter(name => name.startsWith('sessions/'))).toEqual([]);
    expect(await place.run(['verify'])).toMatchObject({ code: 0 });
    const [summary] = jsonLines(await place.run(['backup', 'source', '--json', '--no-progress']));
    expect(summary).toMatchObject({ exit_code: 0, total_bytes_processed: 36 * MiB + 8 });
    expect(summary!['data_added']).toBeLessThan(24 * MiB);
  });

  test('two backups at once: both are saved, and the repository is whole', async ({ expect }) => {
    const place = await newPlace();
    for (let i = 0; i < 40; i++) place.write(`source/${i}`, randomBytes(50 * KiB));
    const runs = await Promise.all(['one', 'two'].map(name => place.run(['backup', 'source', '--json', '--no-progress', '--series', name], { cache: place.path(`cache/${name}`) })));
    for (const run of runs) expect(run, run.stdout).toMatchObject({ code: 0 });
    const verified = jsonLines(await place.run(['verify', '--read-data', '--json', '--no-progress']));
    expect(verified).toMatchObject([{ message_type: 'verify_summary' }, { exit_code: 0, snapshots: 2, num_errors: 0 }]);
  });

  test.skipIf(!IS_ROOT)('a full disk: a clean message, a sound repository, and after making room the next run works', async ({ expect, onTestFinished }) => {
    const disk = join(folder, 'disk');
    mkdirSync(disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=5m', 'snap-test', disk]);
    onTestFinished(() => { execFileSync('umount', ['--lazy', disk]); });
    const place = await newPlace(disk);
    writeFileSync(join(disk, 'ballast'), new Uint8Array(3 * MiB));
    const source = join(folder, 'large source');
    mkdirSync(source);
    writeFileSync(join(source, 'file'), randomBytes(2 * MiB));
    const elsewhere = { cache: join(folder, 'cache of the full disk'), env: { HOME: join(folder, 'home') } };
    const full = await place.run(['backup', source], elsewhere);
    expectOneLine(full, /no space left|full/i);
    expect(full.code).toBe(1);
    expect(filesBelow(place.repository).filter(name => name.startsWith('sessions/'))).toEqual([]);
    expect(await place.run(['verify', '--read-data'], elsewhere)).toMatchObject({ code: 0 });
    rmSync(join(disk, 'ballast'));
    expect(await place.run(['backup', source, '--validate'], elsewhere)).toMatchObject({ code: 0 });
  });
});
