/** The commands of the retention guide do what it says, one after the other. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { parseConfigFile } from '../../src/cli/config-file.ts';
import { VERBS } from '../../src/cli/verbs.ts';
import { temporaryDirectory } from '../support/memory-repository.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const guide = readFileSync(join(ROOT, 'docs/guides/retention.md'), 'utf8');
const blocks = (language: string): string[] => [...guide.matchAll(new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``, 'g'))].map(match => match[1]!);

test('the commands of the retention guide work as they stand', { timeout: 60_000 }, () => {
  const place = temporaryDirectory();
  mkdirSync(join(place, 'data'));
  mkdirSync(join(place, 'bin'));
  writeFileSync(join(place, 'bin/snap'), `#!/bin/sh\nexec '${process.execPath}' '${join(ROOT, 'dist/cli/main.js')}' "$@"\n`, { mode: 0o755 });
  const env = { PATH: `${place}/bin:${process.env['PATH']}`, HOME: place, TZ: 'UTC', SNAP_REPOSITORY: join(place, 'repo'), SNAP_KEY_FILE: join(place, 'made.key') };
  const run = (script: string): string => {
    const { status, stdout, stderr } = spawnSync('sh', ['-eu', '-c', script], { cwd: place, encoding: 'utf8', env });
    expect({ script, status, stderr }).toEqual({ script, status: 0, stderr: '' });
    return stdout;
  };
  run('snap init');
  for (const time of ['01 12:00', '02 12:00', '03 11:00', '03 12:00']) run(`echo ${time} > data/file; snap backup -q data --time '2026-05-${time}'`);
  const [look, forget, byDefault, byName, back] = blocks('sh') as [string, string, string, string, string];
  expect(blocks('sh')).toHaveLength(5);
  expect(run(look)).toMatch(/Dry run: would keep 3 snapshots and forget 1\n[^]*would be freed/);
  expect(run(forget)).toContain('Kept 3 snapshots, forgot 1');
  expect(run(byDefault)).toContain('default policy');
  expect(run(byName)).toMatch(/ complete\n2 forgotten snapshots can be brought back\n$/);
  expect(run(back)).toMatch(/^Snapshot [0-9a-f]{8} is back as [0-9a-f]{8}\n$/);
});

test('the configuration of the retention guide is valid', () => {
  for (const text of blocks('yaml')) expect(Object.keys(parseConfigFile(text, '/snap.yaml', VERBS).verbs['forget']!)).toContain('full.keepWithin');
});
