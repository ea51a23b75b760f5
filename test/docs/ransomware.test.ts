/** The commands of the ransomware guide do what it says, one after the other, with an attack in between. */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../src/base/ambient.ts';
import { parseConfigFile } from '../../src/cli/config-file.ts';
import { VERBS } from '../../src/cli/verbs.ts';
import { FakeS3 } from '../support/fake-s3.ts';
import { temporaryDirectory } from '../support/memory-repository.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const guide = readFileSync(join(ROOT, 'docs/guides/ransomware.md'), 'utf8');
const blocks = (language: string): string[] => [...guide.matchAll(new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``, 'g'))].map(match => match[1]!);

test('the commands of the ransomware guide work as they stand', { timeout: 240_000 }, async () => {
  const server = await FakeS3.start({ versions: true });
  onTestFinished(() => server.close());
  const place = temporaryDirectory();
  mkdirSync(join(place, 'data'));
  mkdirSync(join(place, 'bin'));
  writeFileSync(join(place, 'data/file'), 'precious');
  writeFileSync(join(place, 'bin/snap'), `#!/bin/sh\nexec '${process.execPath}' '${join(ROOT, 'dist/cli/main.js')}' "$@"\n`, { mode: 0o755 });
  const env: Record<string, string> = {
    PATH: `${place}/bin:${process.env['PATH']}`, HOME: place, TZ: 'UTC', SNAP_REPOSITORY: server.location(), SNAP_KEY_FILE: join(place, 'admin.key'),
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
  };
  /** Not synchronously: the server lives in this process. */
  const attempt = (script: string): Promise<{ status: number | null; out: string }> => new Promise((resolve, reject) => {
    const child = spawn('sh', ['-eu', '-c', script], { cwd: place, env });
    let out = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece: Buffer) => { out += piece.toString(); });
    child.on('error', reject);
    child.on('close', status => resolve({ status, out }));
  });
  const run = async (script: string): Promise<string> => {
    const { status, out } = await attempt(script);
    expect({ script, out, status }).toEqual({ script, out, status: 0 });
    return out;
  };
  await run('snap init');
  const [key, writer, look, accept, past, recover] = blocks('sh') as [string, string, string, string, string, string];
  expect(blocks('sh')).toHaveLength(6);
  await run(key);
  await run(writer);
  const refused = await attempt('SNAP_KEY_FILE=web1.key snap forget latest --force');
  expect([refused.status, refused.out]).toEqual([1, expect.stringContaining('does not hold the admin key')]);
  expect(await run(look)).toMatch(/^ok: /i);
  await systemClock.sleep(20);
  env['BEFORE'] = new Date().toISOString();
  await systemClock.sleep(20);
  await run('snap forget latest --force; snap prune --grace 0 -q');
  expect(await run(past)).toContain('1 snapshot');
  expect(readFileSync(join(place, 'restored/file'), 'utf8')).toBe('precious');
  const done = await run(recover);
  expect(done).toMatch(/would be put back[^]*Nothing was changed; --yes does it[^]*were put back[^]*No damage found/);
  await run(accept);
  expect(await run('snap snapshots')).toContain('1 snapshot');
  expect(await run(look)).toMatch(/^ok: /i);
});

test('its configuration is valid, and its policy is JSON', () => {
  for (const text of blocks('yaml')) expect(parseConfigFile(text, '/snap.yaml', VERBS).globals).toEqual({ s3ObjectLock: ['governance'], s3ObjectLockDays: ['30'] });
  for (const text of blocks('json')) expect(JSON.parse(text)).toMatchObject({ Version: '2012-10-17' });
});
