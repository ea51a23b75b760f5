import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { utf8 } from '../../../src/base/bytes.ts';
import { PREFIXES } from '../../../src/format/object-names.ts';
import type { OpenRepository } from '../../../src/repository/opened-repository.ts';
import { openFileTree } from '../../../src/sources/files.ts';
import { backup } from '../../../src/usecases/backup/backup.ts';
import { newCounters } from '../../../src/usecases/events.ts';
import { listTree } from '../../../src/usecases/browse/list-tree.ts';
import { resolveSnapshot } from '../../../src/usecases/reading/select-snapshots.ts';
import { backupOptions, makeRepository, memoryBackend, OWNER, temporaryDirectory } from '../../support/memory-repository.ts';

/** Two components side by side, one of them a single file, and one inside an excluded part of another. */
async function sample(backend = memoryBackend()): Promise<{ repository: OpenRepository; root: string; backend: ReturnType<typeof memoryBackend> }> {
  const repository = await makeRepository(backend);
  const root = temporaryDirectory();
  mkdirSync(join(root, 'a/sub'), { recursive: true });
  mkdirSync(join(root, 'b'));
  writeFileSync(join(root, 'a/sub/x'), 'x');
  writeFileSync(join(root, 'a/y'), 'y');
  writeFileSync(join(root, 'b/single'), 'z');
  writeFileSync(join(root, 'b/other'), 'not backed up');
  await backup(repository, openFileTree([utf8(join(root, 'a')), utf8(join(root, 'b/single'))], { cwd: utf8('/') }), backupOptions(), {});
  return { repository, root, backend };
}

async function list(repository: OpenRepository, path: string | undefined, recursive: boolean): Promise<string[]> {
  const snapshot = await resolveSnapshot(repository, 'latest');
  const lines: string[] = [];
  for await (const each of listTree(repository, { snapshot, path: path === undefined ? undefined : utf8(path) }, { owner: OWNER, recursive })) {
    lines.push(`${Buffer.from(each.path).toString()}${each.isStored ? '' : ' (made up)'}`);
  }
  return lines;
}

test('components hang below directories that are made up', async () => {
  const { repository, root } = await sample();
  expect(await list(repository, root, false)).toEqual([`${root}/a`, `${root}/b (made up)`]);
  expect(await list(repository, `${root}/b`, false)).toEqual([`${root}/b/single`]);
  const ancestors = root.split('/').slice(1).map((_, i, names) => `/${names.slice(0, i + 1).join('/')} (made up)`);
  expect(await list(repository, undefined, true)).toEqual([
    ...ancestors, `${root}/a`, `${root}/a/sub`, `${root}/a/sub/x`, `${root}/a/y`, `${root}/b (made up)`, `${root}/b/single`,
  ]);
});

test('a component that is a single file is listed itself, and what was not backed up is not there', async () => {
  const { repository, root } = await sample();
  expect(await list(repository, `${root}/b/single`, true)).toEqual([`${root}/b/single`]);
  await expect(list(repository, `${root}/b/other`, true)).rejects.toMatchObject({ code: 'PATH_NOT_IN_SNAPSHOT' });
});

test('nobody has to take all results: the session ends when the listing is left', async () => {
  const { repository, backend } = await sample();
  const snapshot = await resolveSnapshot(repository, 'latest');
  let seen = 0;
  for await (const _ of listTree(repository, { snapshot }, { owner: OWNER, recursive: true })) if (++seen === 2) break;
  const sessions = [];
  for await (const { name } of backend.list(PREFIXES.sessions)) sessions.push(name);
  expect(sessions).toEqual([]);
});

test('an abort ends the listing', async () => {
  const { repository } = await sample();
  const snapshot = await resolveSnapshot(repository, 'latest');
  const controller = new AbortController();
  const run = async (): Promise<void> => {
    for await (const _ of listTree(repository, { snapshot }, { owner: OWNER, recursive: true }, { signal: controller.signal, counters: newCounters() })) controller.abort();
  };
  await expect(run()).rejects.toMatchObject({ code: 'CANCELLED' });
});
