import { describe, expect, test } from 'vitest';
import { SnapError } from '../../src/base/errors.ts';
import { helpText, parseArguments } from '../../src/cli/arguments.ts';
import { BACKUP_FLAGS, GLOBAL_FLAGS, RESTORE_FLAGS } from '../../src/cli/flags.ts';
import { EXCLUSIVE_GLOBALS, resolveFlags } from '../../src/cli/settings.ts';
import { VERBS } from '../../src/cli/verbs.ts';

function parse(...words: string[]): Extract<ReturnType<typeof parseArguments>, { kind: 'run' }> {
  const parsed = parseArguments(words, VERBS);
  if (parsed.kind !== 'run') throw new Error('help was shown');
  return parsed;
}

function fault(...words: string[]): SnapError {
  try {
    parse(...words);
  } catch (error) {
    if (error instanceof SnapError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

const none = { given: {}, environment: {}, file: {}, filePath: undefined };

describe('words', () => {
  test('global flags work before and after the verb', () => {
    for (const words of [['-r', '/repo', '--json', 'backup', '/data'], ['backup', '/data', '--json', '--repo=/repo'], ['backup', '-r', '/repo', '/data', '--json']]) {
      const parsed = parse(...words);
      expect(parsed).toMatchObject({ operands: ['/data'], globals: { repo: ['/repo'], json: ['true'] } });
      expect(parsed.verb.name).toBe('backup');
    }
  });

  test('-- ends the flags', () => {
    expect(parse('backup', '--', '--json', '-x').operands).toEqual(['--json', '-x']);
  });

  test('repeated flags are kept in order and -v counts', () => {
    const parsed = parse('backup', '-e', 'a', '--exclude', 'b', '-vv', '/x', '-v');
    expect(parsed.flags).toMatchObject({ exclude: ['a', 'b'] });
    expect(resolveFlags(GLOBAL_FLAGS, { ...none, given: parsed.globals }).verbose).toBe(3);
  });

  test('a switch with a negation takes the last one given', () => {
    const sparse = (...words: string[]): boolean => resolveFlags(RESTORE_FLAGS, { ...none, given: parse('restore', 'latest', ...words).flags }).sparse;
    expect(sparse()).toBe(false);
    expect(sparse('--sparse')).toBe(true);
    expect(sparse('--sparse', '--no-sparse')).toBe(false);
  });

  test('aliases and verbs of two words are found', () => {
    expect(parse('check').verb.name).toBe('verify');
    expect(parse('key', 'passwd').verb.name).toBe('key passwd');
  });

  test.each([
    [['bakcup'], /Unknown command 'bakcup'.*backup/, "snap help"],
    [['backup', '--exlude', 'x'], /Unknown option '--exlude'.*--exclude/, 'snap backup --help'],
    [['restore'], /Missing required argument 'SNAPSHOT/, 'snap restore --help'],
    [['snapshots', '--host'], /argument missing/, 'snap snapshots --help'],
    [['stats', '--nope'], /Unknown option/, 'snap stats --help'],
    [['version', 'extra'], /Too many arguments/, 'snap version --help'],
    [[], /No command was given/, 'snap help'],
    [['key'], /No command was given/, 'snap help'],
  ])('%j is wrong usage with a way out', (words, message, hint) => {
    const error = fault(...words);
    expect(error.code).toBe('USAGE');
    expect(error.message).toMatch(message);
    expect(error.message).not.toMatch(/\n|^error/);
    expect(error.hint).toContain(hint);
  });

  test('--help shows flags, global flags and examples of a verb', () => {
    const text = helpText(VERBS, ['backup']);
    for (const part of ['--exclude <PATTERN>', '--repo <LOCATION>', 'SNAP_REPOSITORY', 'Examples:', 'Global Options']) expect(text).toContain(part);
    expect(Math.max(...text.split('\n').map(line => line.length))).toBeLessThanOrEqual(120);
  });

  test('the overview names every verb', () => {
    const text = helpText(VERBS);
    for (const verb of VERBS) expect(text).toContain(`  ${verb.name.split(' ')[0]!}`);
  });
});

describe('where values come from', () => {
  const file = { cacheDir: ['/file'], limitUpload: ['1'] };
  const environment = { SNAP_CACHE_DIR: '/environment', SNAP_LIMIT_UPLOAD: '' };

  test('flags beat the environment, the environment beats the file, an empty variable counts as unset', () => {
    const resolve = (given: Record<string, string[]>): ReturnType<typeof resolveFlags<typeof GLOBAL_FLAGS>> =>
      resolveFlags(GLOBAL_FLAGS, { given, environment, file, filePath: '/snap.yaml' });
    expect(resolve({ cacheDir: ['/flag'] }).cacheDir).toBe('/flag');
    expect(resolve({}).cacheDir).toBe('/environment');
    expect(resolve({}).limitUpload).toBe(1024);
    expect(Object.isFrozen(resolve({}))).toBe(true);
  });

  test('of flags that exclude each other the strongest origin wins', () => {
    const values = resolveFlags(GLOBAL_FLAGS, {
      given: { repositoryFile: ['/where'] }, environment: { SNAP_REPOSITORY: '/x', SNAP_PASSWORD_FILE: '/p', SNAP_PASSWORD_COMMAND: 'c' },
      file: { keyFile: ['/k'] }, filePath: '/snap.yaml',
    }, EXCLUSIVE_GLOBALS);
    expect(values).toMatchObject({ repo: undefined, repositoryFile: '/where', passwordFile: '/p', passwordCommand: undefined, keyFile: undefined });
  });

  test('two of them on one command line are wrong usage', () => {
    const given = { passwordFile: ['/p'], keyFile: ['/k'] };
    expect(() => resolveFlags(GLOBAL_FLAGS, { ...none, given }, EXCLUSIVE_GLOBALS)).toThrow("'--password-file' and '--key-file' exclude each other");
  });

  test.each([
    [{ excludeLargerThan: ['many'] }, "Option '--exclude-larger-than': 'many' is not a size"],
    [{ kind: ['weekly'] }, "Option '--kind': 'weekly' is not one of full, incremental, config"],
    [{ time: ['2026-02-30'] }, "Option '--time': '2026-02-30' is not a time"],
    [{ compression: ['20'] }, "Option '--compression': '20' is not a compression level"],
    [{ readConcurrency: ['0'] }, "Option '--read-concurrency': '0' is not a whole number from 1 to 64"],
    [{ series: [''] }, "Option '--series': The value is empty"],
  ])('a wrong value %j names its flag', (given, message) => {
    expect(() => resolveFlags(BACKUP_FLAGS, { ...none, given })).toThrow(message);
  });

  test('a wrong value names its variable', () => {
    expect(() => resolveFlags(BACKUP_FLAGS, { ...none, environment: { SNAP_COMPRESSION: 'x' } })).toThrow("Variable 'SNAP_COMPRESSION'");
  });

  test('rates count KiB/s, or bytes with a unit', () => {
    const rate = (text: string): number | undefined => resolveFlags(GLOBAL_FLAGS, { ...none, given: { limitUpload: [text] } }).limitUpload;
    expect([rate('100'), rate('5M'), rate('1.5MiB/s')]).toEqual([102_400, 5_242_880, 1_572_864]);
    expect(() => rate('0')).toThrow('would stop all transfer');
  });
});
