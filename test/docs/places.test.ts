/** The commands of the guides for places work as they stand, but for credentials and addresses. */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { FakeAzure, FAKE_ACCOUNT } from '../support/fake-azure.ts';
import { FakeS3, type FakeS3Options } from '../support/fake-s3.ts';
import { temporaryDirectory } from '../support/memory-repository.ts';
import { SshServer } from '../support/ssh-server.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Runs the blocks as one script, with each of the texts replaced, which must be there. */
async function runGuide(guide: string, blocks: readonly number[], replaced: Readonly<Record<string, string>>, env: Readonly<Record<string, string>> = {}): Promise<string> {
  const text = readFileSync(join(ROOT, `docs/guides/${guide}.md`), 'utf8');
  const all = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].map(match => match[1]!);
  const place = temporaryDirectory();
  mkdirSync(join(place, 'data'));
  writeFileSync(join(place, 'data/file'), 'content');
  mkdirSync(join(place, 'bin'));
  writeFileSync(join(place, 'bin/snap'), `#!/bin/sh\nexec '${process.execPath}' '${join(ROOT, 'dist/cli/main.js')}' "$@"\n`, { mode: 0o755 });
  let script = blocks.map(each => all[each]!).join('\n');
  for (const [from, to] of Object.entries({ ...replaced, '/home': join(place, 'data') })) {
    expect(script).toContain(from);
    script = script.replaceAll(from, to);
  }
  const child = spawn('sh', ['-eu', '-c', script], {
    cwd: place, env: { PATH: `${place}/bin:${process.env['PATH']}`, HOME: place, SNAP_KEY_FILE: join(place, 'made.key'), AWS_CONFIG_FILE: '/nonexistent', ...env },
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (data: Buffer) => { output.stdout += data.toString(); });
  child.stderr.on('data', (data: Buffer) => { output.stderr += data.toString(); });
  const status = await new Promise(resolve => { child.once('close', resolve); });
  expect({ script, status, stderr: output.stderr }).toEqual({ script, status: 0, stderr: '' });
  return output.stdout;
}

async function startS3(options: FakeS3Options = {}): Promise<FakeS3> {
  const fake = await FakeS3.start(options);
  onTestFinished(() => fake.close());
  return fake;
}

test('S3', { timeout: 60_000 }, async () => {
  const fake = await startS3();
  const output = await runGuide('s3', [0], { 'AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=...': 'AWS_ACCESS_KEY_ID=fake-key AWS_SECRET_ACCESS_KEY=secret' }, { AWS_ENDPOINT_URL: fake.endpoint });
  expect(output).toContain('Snapshot');
  expect(fake.keys('my-backups').some(key => key.startsWith('laptop/snapshots/'))).toBe(true);
});

test('Google Cloud Storage, with a server that neither keeps conditions nor knows checksum headers', { timeout: 60_000 }, async () => {
  const fake = await startS3({ conditions: 'ignored', checksums: 'refused' });
  await runGuide('google-cloud', [0, 1], {
    'AWS_ACCESS_KEY_ID=GOOG1E... AWS_SECRET_ACCESS_KEY=...': 'AWS_ACCESS_KEY_ID=fake-key AWS_SECRET_ACCESS_KEY=secret', 'https://storage.googleapis.com': fake.endpoint,
  });
  expect(fake.keys('my-bucket').some(key => key.startsWith('laptop/snapshots/'))).toBe(true);
});

test('Azure', { timeout: 60_000 }, async () => {
  const fake = await FakeAzure.start();
  onTestFinished(() => fake.close());
  await runGuide('azure', [0], { "'...'   # from": `'${fake.connectionString}'   # from`, 'azure:myaccount/': `azure:${FAKE_ACCOUNT}/` });
  expect(fake.names('backups').some(name => name.startsWith('laptop/snapshots/'))).toBe(true);
});

test('SFTP', { timeout: 60_000 }, async () => {
  const server = await SshServer.start();
  onTestFinished(() => server.stop());
  await runGuide('sftp', [0], { 'ssh backup@nas.example.org true': 'true', 'sftp://backup@nas.example.org/srv/snap/laptop': server.location('guide') }, { HOME: server.home });
});
