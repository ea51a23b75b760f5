import { mkdirSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { utf8 } from '../../../src/base/bytes.ts';
import type { OpenRepository } from '../../../src/repository/opened-repository.ts';
import { openFileTree } from '../../../src/sources/files.ts';
import { backup } from '../../../src/usecases/backup/backup.ts';
import { findEntries, type FindOptions } from '../../../src/usecases/browse/find-entries.ts';
import { listSnapshots } from '../../../src/usecases/reading/select-snapshots.ts';
import { backupOptions, backupPath, makeRepository, OWNER, temporaryDirectory } from '../../support/memory-repository.ts';

const OLD = new Date('2020-02-02T02:02:02Z');

async function find(repository: OpenRepository, root: string, changes: Partial<FindOptions>): Promise<string[]> {
  const records = await listSnapshots(repository);
  const lines: string[] = [];
  for await (const { snapshotId, path } of findEntries(repository, records, { owner: OWNER, matches: () => true, ...changes })) {
    lines.push(`${records.findIndex(({ id }) => id === snapshotId)} ${Buffer.from(path).toString().replace(root, '')}`);
  }
  return lines;
}

test('a folder that was moved is searched again, since patterns may name the way to it', async () => {
  const repository = await makeRepository();
  const root = temporaryDirectory();
  mkdirSync(join(root, 'left/sub'), { recursive: true });
  writeFileSync(join(root, 'left/sub/x'), 'x');
  await backupPath(repository, root);
  renameSync(join(root, 'left'), join(root, 'right'));
  await backupPath(repository, root);
  const matches: FindOptions['matches'] = path => Buffer.from(path).toString() === join(root, 'right/sub/x');
  expect(await find(repository, root, { matches })).toEqual(['1 /right/sub/x']);
});

test('a component that hangs in a folder without a match is found in the snapshot that has it', async () => {
  const repository = await makeRepository();
  const root = temporaryDirectory();
  mkdirSync(join(root, 'outer/inner'), { recursive: true });
  writeFileSync(join(root, 'outer/plain'), 'p');
  writeFileSync(join(root, 'outer/inner/wanted'), 'w');
  const take = (...names: string[]): Promise<unknown> =>
    backup(repository, openFileTree(names.map(name => utf8(join(root, name))), { cwd: utf8('/') }), backupOptions(), {});
  await take('outer/plain');
  await take('outer/plain', 'outer/inner');
  const matches: FindOptions['matches'] = path => Buffer.from(path).toString().endsWith('/wanted');
  expect(await find(repository, root, { matches })).toEqual(['1 /outer/inner/wanted']);
});

test('folders that only lead to components are not found', async () => {
  const repository = await makeRepository();
  const root = temporaryDirectory();
  mkdirSync(join(root, 'up/down'), { recursive: true });
  await backupPath(repository, join(root, 'up/down'));
  const matches: FindOptions['matches'] = (path, isDirectory) => isDirectory && /\/(up|down)$/.test(Buffer.from(path).toString());
  expect(await find(repository, root, { matches })).toEqual(['0 /up/down']);
});

test('a folder that lost its match is searched again when the match is back', async () => {
  const repository = await makeRepository();
  const root = temporaryDirectory();
  mkdirSync(join(root, 'd'));
  writeFileSync(join(root, 'd/other'), '');
  for (const isThere of [false, true, false, true]) {
    if (isThere) writeFileSync(join(root, 'd/wanted'), '');
    else rmSync(join(root, 'd/wanted'), { force: true });
    utimesSync(join(root, 'd'), OLD, OLD);
    await backupPath(repository, root);
  }
  const matches: FindOptions['matches'] = path => Buffer.from(path).toString().endsWith('/wanted');
  expect(await find(repository, root, { matches })).toEqual(['1 /d/wanted', '3 /d/wanted']);
});
