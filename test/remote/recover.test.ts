/**
 * The drill after an attack, with the built program: somebody with all rights and the password forgets every snapshot, prunes,
 * and destroys objects; the bucket keeps versions.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { systemClock, systemRandom } from '../../src/base/ambient.ts';
import { openBackend } from '../../src/backend/open.ts';
import { FakeS3 } from '../support/fake-s3.ts';
import { jsonLines, snap, type CliResult } from '../support/snap-cli.ts';

/** Progress comes on a slow machine only. */
const messages = (result: CliResult): Record<string, unknown>[] => jsonLines(result).filter(line => line['message_type'] !== 'status');

test('what an attacker has forgotten, pruned and altered is restored as of a moment before, and put back', { timeout: 120_000 }, async () => {
  const server = await FakeS3.start({ versions: true, pageSize: 50 });
  const folder = mkdtempSync(join(tmpdir(), 'snap-recover-'));
  onTestFinished(async () => {
    await server.close();
    rmSync(folder, { recursive: true });
  });
  const [source, cache] = [join(folder, 'source'), join(folder, 'cache')];
  mkdirSync(source);
  const run = (...words: string[]): Promise<CliResult> => snap(words, { repository: server.location(), cache, password: '', env: { SNAP_KEY_FILE: join(folder, 'key'), AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' } });
  const good = async (...words: string[]): Promise<CliResult> => {
    const result = await run(...words);
    expect([result.code, result.stderr], words.join(' ')).toEqual([0, '']);
    return result;
  };
  await good('init');
  writeFileSync(join(source, 'file'), systemRandom.bytes(300_000));
  await good('backup', source);
  writeFileSync(join(source, 'other'), systemRandom.bytes(200_000));
  await good('backup', source);
  await systemClock.sleep(20);
  const before = new Date().toISOString();
  await systemClock.sleep(20);

  // The attack.
  await good('forget', 'latest', 'latest~1', '--force');
  await good('prune', '--grace', '0');
  const { backend } = await openBackend(server.location(), { clock: systemClock, random: systemRandom });
  await backend.remove('config');
  await backend.create('config', [new Uint8Array(100)]);
  await backend.close();
  expect((await run('snapshots')).code).not.toBe(0);

  // Looking at the past changes nothing.
  const keys = server.keys();
  expect(messages(await good('snapshots', '--json', '--as-of', before))).toHaveLength(2);
  const checked = await run('verify', '--read-data', '--as-of', before);
  // What it verified cannot be written down there.
  expect([checked.code, checked.stderr]).toEqual([0, expect.stringContaining('the past cannot be changed')]);
  await good('restore', `latest:${source}`, '--target', join(folder, 'first'), '--as-of', before);
  expect(readFileSync(join(folder, 'first/other'))).toEqual(readFileSync(join(source, 'other')));
  const refused = await run('backup', source, '--as-of', before);
  expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('cannot work in the past')]);
  const dry = messages(await good('recover', '--as-of', before, '--json'));
  expect(dry).toMatchObject([{ message_type: 'recover_summary', dry_run: true, snapshots_then: 2, objects_replaced: 1, snapshots_newer: 0 }]);
  expect(server.keys()).toEqual(keys);

  const done = messages(await good('recover', '--as-of', before, '--yes', '--json'));
  expect(done).toMatchObject([{ dry_run: false, objects_missing: dry[0]!['objects_missing'], documents_removed: expect.arrayContaining([expect.stringContaining('forgotten/'), expect.stringContaining('.sweep')]) }]);
  expect(messages(await good('recover', '--as-of', before, '--json'))).toMatchObject([{ objects_missing: 0, objects_replaced: 0, documents_removed: [] }]);
  await good('repair', 'index');
  await good('verify', '--read-data');
  expect(messages(await good('snapshots', '--json'))).toHaveLength(2);
  await good('restore', `latest:${source}`, '--target', join(folder, 'second'));
  expect(readFileSync(join(folder, 'second/file'))).toEqual(readFileSync(join(source, 'file')));
  // And life goes on.
  writeFileSync(join(source, 'new'), 'new');
  await good('backup', source);
  await good('forget', 'latest~2');
  await good('prune', '--grace', '0');
  await good('verify', '--read-data');
});

test('without versions, and without a time, it says what is missing', async () => {
  const server = await FakeS3.start();
  onTestFinished(() => server.close());
  const options = { repository: server.location(), env: { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' } };
  await snap(['init'], options);
  const none = await snap(['snapshots', '--as-of', '2024-01-01'], options);
  expect([none.code, none.stderr]).toEqual([1, expect.stringContaining('keeps no versions')]);
  const when = await snap(['recover'], options);
  expect([when.code, when.stderr]).toEqual([2, expect.stringContaining('--as-of TIME')]);
  const future = await snap(['snapshots', '--as-of', '2124-01-01'], options);
  expect([future.code, future.stderr]).toEqual([2, expect.stringContaining('has not passed yet')]);
});
