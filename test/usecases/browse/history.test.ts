import { chmodSync, mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { utf8 } from '../../../src/base/bytes.ts';
import type { OpenRepository } from '../../../src/repository/opened-repository.ts';
import type { SnapEvent } from '../../../src/usecases/events.ts';
import { history } from '../../../src/usecases/browse/history.ts';
import { listSnapshots } from '../../../src/usecases/reading/select-snapshots.ts';
import { backupPath, makeRepository, memoryBackend, OWNER, reopen, temporaryDirectory } from '../../support/memory-repository.ts';
import { flipBit, frameOfDirectory } from '../../support/read-jobs.ts';

const OLD = new Date('2020-02-02T02:02:02Z');

async function versions(repository: OpenRepository, path: string, onEvent?: (event: SnapEvent) => void): Promise<string[]> {
  const records = await listSnapshots(repository);
  const lines: string[] = [];
  for await (const { snapshotId, change, entry } of history(repository, records, utf8(path), { owner: OWNER }, { onEvent })) {
    lines.push(`${records.findIndex(({ id }) => id === snapshotId)} ${change} ${entry?.sizeBytes ?? '-'}`);
  }
  return lines;
}

test('a file comes, changes, goes and comes back', async () => {
  const repository = await makeRepository();
  const root = temporaryDirectory();
  const path = join(root, 'x');
  await backupPath(repository, root, { allowEmpty: true });
  writeFileSync(path, 'one');
  await backupPath(repository, root);
  utimesSync(path, OLD, OLD);
  await backupPath(repository, root);
  writeFileSync(path, 'three');
  chmodSync(path, 0o600);
  await backupPath(repository, root);
  await backupPath(repository, root);
  rmSync(path);
  await backupPath(repository, root, { allowEmpty: true });
  await backupPath(repository, root, { allowEmpty: true });
  writeFileSync(path, 'three');
  await backupPath(repository, root);
  expect(await versions(repository, path)).toEqual(['1 first 3', '2 metadata 3', '3 content 5', '4 same 5', '5 removed -', '7 first 5']);
});

test('the content of a folder is all that is below it', async () => {
  const repository = await makeRepository();
  const root = temporaryDirectory();
  mkdirSync(join(root, 'd/deep'), { recursive: true });
  writeFileSync(join(root, 'd/deep/x'), 'one');
  await backupPath(repository, root);
  writeFileSync(join(root, 'd/deep/x'), 'two');
  await backupPath(repository, root);
  writeFileSync(join(root, 'beside'), '');
  await backupPath(repository, root);
  expect(await versions(repository, join(root, 'd'))).toEqual(['0 first -', '1 content -', '2 same -']);
});

test('a snapshot that is damaged on the way to the path is passed over and reported', async () => {
  const backend = memoryBackend();
  const repository = await makeRepository(backend);
  const root = temporaryDirectory();
  mkdirSync(join(root, 'd'));
  writeFileSync(join(root, 'd/x'), 'one');
  await backupPath(repository, root);
  writeFileSync(join(root, 'd/x'), 'three');
  await backupPath(repository, root);
  await flipBit(backend, await frameOfDirectory(repository, join(root, 'd')));
  const events: SnapEvent[] = [];
  const lines: string[] = [];
  const again = await reopen(backend);
  const run = (async () => { for await (const { change } of history(again, await listSnapshots(again), utf8(join(root, 'd/x')), { owner: OWNER }, { onEvent: event => events.push(event) })) lines.push(change); })();
  await expect(run).rejects.toMatchObject({ code: 'DAMAGE_FOUND' });
  expect(lines).toEqual(['first']);
  expect(events).toHaveLength(1);
});
