/** The commands of the off-site guide do what it says, one after the other. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { parseConfigFile } from '../../src/cli/config-file.ts';
import { VERBS } from '../../src/cli/verbs.ts';
import { temporaryDirectory } from '../support/memory-repository.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const guide = readFileSync(join(ROOT, 'docs/guides/off-site.md'), 'utf8');
const blocks = (language: string): string[] => [...guide.matchAll(new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``, 'g'))].map(match => match[1]!);

test('the commands of the off-site guide work as they stand', { timeout: 120_000 }, () => {
  const place = temporaryDirectory();
  mkdirSync(join(place, 'data'));
  mkdirSync(join(place, 'bin'));
  writeFileSync(join(place, 'bin/snap'), `#!/bin/sh\nexec '${process.execPath}' '${join(ROOT, 'dist/cli/main.js')}' "$@"\n`, { mode: 0o755 });
  const env = {
    PATH: `${place}/bin:${process.env['PATH']}`, HOME: place, TZ: 'UTC', SNAP_REPOSITORY: join(place, 'near'), SNAP_KEY_FILE: join(place, 'made.key'),
    OFFSITE: join(place, 'far'), CLOUD: join(place, 'cloud'),
  };
  const run = (script: string): string => {
    const { status, stdout, stderr } = spawnSync('sh', ['-eu', '-c', script], { cwd: place, encoding: 'utf8', env });
    expect({ script, status, stderr }).toEqual({ script, status: 0, stderr: '' });
    return stdout;
  };
  run('snap init');
  for (const day of ['01', '02', '03']) run(`echo ${day} > data/file; snap backup -q data --time '2026-05-${day} 12:00'`);
  const [make, replicate, some, status, retention, restore, heal] = blocks('sh') as [string, string, string, string, string, string, string];
  expect(blocks('sh')).toHaveLength(7);
  expect(run(make)).toMatch(/^Replica of repository [0-9a-f]{32} made at .*\/far\n[^]*Repository [0-9a-f]{32} made at .*\/cloud\n/);
  expect(run(replicate)).toMatch(/Dry run: nothing was stored\n[^]*Read back:[^]*All 2 replicas are up to date\n$/);
  expect(run(some)).toContain('The replica is up to date');
  expect(run(status)).toMatch(/cloud \(.*\/cloud\):\n {2}Up to date:.*\n {2}Behind: {6}nothing\n/);
  expect(run(retention)).toMatch(/Kept [0-9]+ snapshots[^]*The replica is up to date\n$/);
  expect(run(restore)).toContain('restored');
  expect(readFileSync(join(place, 'restored', place, 'data/file'), 'utf8')).toBe('03\n');
  expect(run(heal)).toContain('nothing to repair');
});

test('the configuration of the off-site guide is valid', () => {
  for (const text of blocks('yaml')) expect(Object.keys(parseConfigFile(text, '/snap.yaml', VERBS).verbs['replicate']!)).toContain('toPasswordFile');
});
