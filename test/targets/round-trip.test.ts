// Everything that file systems hold goes through the target and comes out the same, compared by python3.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compareTrees, describeTree, type TreeDescription } from '../support/describe-tree.ts';
import { makeOddities, removeTree } from '../support/oddities.ts';
import { copyTree } from './copy-tree.ts';
import { begin, finish, freshPath, isRoot } from './fixture.ts';

const MiB = 1024 * 1024;
const directory = mkdtempSync(join(tmpdir(), 'snap-oddities-'));
const source = join(directory, 'source');
let expected: TreeDescription;

beforeAll(async () => {
  await makeOddities(source, { largeDirectoryEntries: 200 });
  // Whoever is not root cannot read what lets nobody read it.
  if (!isRoot) execFileSync('chmod', ['-R', 'u+rwX', source]);
  expected = await describeTree(source);
}, 60_000);
afterAll(() => removeTree(directory));

test('a tree of all oddities is restored to the last attribute', async () => {
  const path = freshPath();
  const { target, problems } = await begin(path);
  const result = copyTree(source, target);
  expect([...result.problems, ...problems, ...await finish(target)]).toEqual([]);
  expect(compareTrees(expected, await describeTree(path), { holes: true })).toEqual([]);
}, 30_000);

test('a few open descriptors are enough for it', async () => {
  const path = freshPath();
  const { target, problems } = await begin(path, {}, { maxOpenDirectories: 2, maxOpenFiles: 1 });
  const result = copyTree(source, target);
  expect([...result.problems, ...problems, ...await finish(target)]).toEqual([]);
  expect(compareTrees(expected, await describeTree(path))).toEqual([]);
}, 30_000);

test('restored again, it stays the same and no content is written', async () => {
  const path = freshPath();
  const first = await begin(path);
  const written = copyTree(source, first.target).writtenBytes;
  await finish(first.target);

  const { target, problems } = await begin(path);
  const result = copyTree(source, target);
  expect([...result.problems, ...problems, ...await finish(target)]).toEqual([]);
  expect(result).toMatchObject({ writtenBytes: 0, trusted: 0 });
  expect(result.reusedBytes).toBeGreaterThan(0.9 * written);
  expect(compareTrees(expected, await describeTree(path), { holes: true })).toEqual([]);
}, 30_000);

test('restored again in mode if-changed, it stays the same and no content is read', async () => {
  const path = freshPath();
  const first = await begin(path);
  copyTree(source, first.target);
  await finish(first.target);

  const { target, problems } = await begin(path, { overwrite: 'if-changed' });
  const result = copyTree(source, target);
  expect([...result.problems, ...problems, ...await finish(target)]).toEqual([]);
  expect(result).toMatchObject({ writtenBytes: 0, reusedBytes: 0 });
  expect(compareTrees(expected, await describeTree(path), { holes: true })).toEqual([]);
}, 30_000);

test('without holes, files that had none take their whole size', async () => {
  const path = freshPath();
  const { target } = await begin(path, { sparse: false });
  const file = { name: Buffer.from('solid'), type: 'file', mode: 0o644, mtime: [1, 0], flags: 0, sizeBytes: 3 * MiB } as const;
  const handle = target.openFile(0, file, { reuse: false, hasZeros: true }) as number;
  expect(target.write(handle, Buffer.alloc(MiB, 1), MiB)).toBeUndefined();
  expect(target.writeZeros(handle, 0, MiB)).toBeUndefined();
  expect(target.writeZeros(handle, 2 * MiB, MiB)).toBeUndefined();
  expect(target.closeFile(handle, true)).toBeUndefined();
  await finish(target);
  expect((await describeTree(path)).get('solid')).toMatchObject({ size: 3 * MiB, allocated: 3 * MiB });
});
