import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { SnapError } from '../../src/base/errors.ts';
import { parseConfigFile } from '../../src/cli/config-file.ts';
import { findConfigFile, usualPlaces } from '../../src/cli/config-place.ts';
import { VERBS } from '../../src/cli/verbs.ts';

const parse = (text: string): ReturnType<typeof parseConfigFile> => parseConfigFile(text, '/etc/snap/snap.yaml', VERBS);

function fault(text: string): SnapError {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof SnapError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

test('gives texts for global flags and for those of a verb', () => {
  expect(parse(`
repository: /srv/backup
password-file: secret
cache-dir: ~/cache
limit-upload: 500
backup:
  exclude: [node_modules, '*.tmp']
  exclude-caches: true
  exclude-larger-than: 2G
  exclude-file: more
`)).toEqual({
    path: '/etc/snap/snap.yaml',
    globals: { repo: ['/srv/backup'], passwordFile: ['/etc/snap/secret'], cacheDir: [join(homedir(), 'cache')], limitUpload: ['500'] },
    verbs: {
      backup: { exclude: ['node_modules', '*.tmp'], excludeCaches: ['true'], excludeLargerThan: ['2G'], excludeFile: ['/etc/snap/more'] },
    },
  });
});

test('relative paths count from the folder of the file, other locations stay as they are', () => {
  expect(parse('repository: ../backup').globals['repo']).toEqual(['/etc/backup']);
  expect(parse('repository: s3://bucket/prefix').globals['repo']).toEqual(['s3://bucket/prefix']);
});

test('a timetable of limits is a list of periods', () => {
  const { globals } = parse('limits:\n  - days: [mon, tue]\n    from: 08:00\n    to: 18:00\n    upload: 1M\n  - download: 500\n');
  expect(globals['limits']!.map(text => JSON.parse(text) as unknown)).toEqual([{ days: 'mon,tue', from: '08:00', to: '18:00', upload: '1M' }, { download: '500' }]);
});

test('anchors and an empty file are fine', () => {
  expect(parse('').globals).toEqual({});
  expect(parse('# only a comment\n').verbs).toEqual({});
  expect(parse('backup:\n  exclude: &e [a]\n  iexclude: *e\n').verbs['backup']).toEqual({ exclude: ['a'], iexclude: ['a'] });
});

describe('faults name file, line and remedy', () => {
  test.each([
    ['\nrepositry: /x', "/etc/snap/snap.yaml, line 2: Unknown key 'repositry'", "Did you mean 'repository'?"],
    ['backup:\n  a: 1\n  exlude: [x]', "line 2: Unknown key 'backup.a'", 'Known keys here: '],
    ['backup:\n  exlude: [x]', "line 2: Unknown key 'backup.exlude'", "Did you mean 'backup.exclude'?"],
    ['limits:\n  - upload: 1M\n    dayz: mon', "line 3: Unknown key 'limits.dayz'", "Did you mean 'limits.days'?"],
    ['limits:\n  - upload: 1M\n  - from: 08:00', "line 3: 'limits' has 'from' without 'to'", 'Give both'],
    ['limits:\n  upload: 1M', "line 2: 'limits' is not a list", "'- '"],
    ['limits:\n  - upload:', "line 2: 'limits.upload' has no value", 'Write a value'],
    ['json: true', "line 1: Unknown key 'json'", 'Known keys here: '],
    ['backup:\n  series: [a, b]', "line 2: 'backup.series' takes one value", 'without a list'],
    ['backup:\n  exclude-larger-than: big', "line 2: 'backup.exclude-larger-than': 'big' is not a size", 'Write a number'],
    ['cache-dir:', "line 1: 'cache-dir' has no value", 'remove the key'],
    ['a: [1', 'line 1: ', 'Correct the YAML'],
    ['repository: /a\nrepository: /b', 'line 2: ', 'Correct the YAML'],
    ['- a\n- b', 'line 1: Expected keys with values', 'key: value'],
    ['backup: yes', 'line 1: Expected keys with values', 'key: value'],
  ])('%j', (text, message, hint) => {
    const error = fault(text);
    expect(error.kind).toBe('usage');
    expect(error.message).toContain(message);
    expect(error.hint).toContain(hint);
  });
});

test('the file that is asked for must be there', () => {
  expect(() => findConfigFile('/nowhere/snap.yaml', {})).toThrow("Cannot read the configuration file '/nowhere/snap.yaml'");
});

test('without being asked, the first of the usual places counts', () => {
  const folder = mkdtempSync(join(tmpdir(), 'snap-config-'));
  try {
    const environment = { XDG_CONFIG_HOME: folder };
    expect(usualPlaces(environment)[1]).toBe(join(folder, 'snap', 'snap.yaml'));
    expect(findConfigFile(undefined, environment)).toBeUndefined();
    writeFileSync(join(folder, 'own.yaml'), 'cache-dir: /c');
    expect(findConfigFile(join(folder, 'own.yaml'), environment)).toEqual({ path: join(folder, 'own.yaml'), text: 'cache-dir: /c' });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
