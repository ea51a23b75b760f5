import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { concatBytes, utf8, type Bytes } from '../../../src/base/bytes.ts';
import type { MemoryBackend } from '../../../src/backend/memory.ts';
import type { OpenRepository } from '../../../src/repository/opened-repository.ts';
import { createArchiveWriter, type ArchiveFormat } from '../../../src/targets/archive.ts';
import { dump, type DumpOptions, type DumpReport } from '../../../src/usecases/browse/dump.ts';
import { resolveSnapshot } from '../../../src/usecases/reading/select-snapshots.ts';
import { compareTrees, describeTree } from '../../support/describe-tree.ts';
import { backupPath, engines, makeRepository, memoryBackend, OWNER, reopen, SMALL_CHUNKS, temporaryDirectory } from '../../support/memory-repository.ts';
import { flipBit, frameOfFile } from '../../support/read-jobs.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

const random = new SeededRandom(21);

async function sample(): Promise<{ backend: MemoryBackend; repository: OpenRepository; root: string }> {
  const backend = memoryBackend();
  const repository = await makeRepository(backend, { chunker: SMALL_CHUNKS });
  const root = temporaryDirectory();
  mkdirSync(join(root, 'a/b'), { recursive: true });
  for (let i = 0; i < 30; i++) writeFileSync(join(root, `a/b/small-${i}`), random.bytes(37 * i));
  writeFileSync(join(root, 'a/large'), random.bytes(2_000_000));
  writeFileSync(join(root, 'a/zeros'), 'start');
  truncateSync(join(root, 'a/zeros'), 3_500_000);
  linkSync(join(root, 'a/large'), join(root, 'a/large-too'));
  symlinkSync('large', join(root, 'a/link'));
  await backupPath(repository, root);
  return { backend, repository: await reopen(backend), root };
}

async function run(repository: OpenRepository, path: string | undefined, changes: Partial<DumpOptions> = {}, format: ArchiveFormat = 'tar'): Promise<{ bytes: Bytes; report: DumpReport }> {
  const pieces: Bytes[] = [];
  const report = await dump(repository, {
    engines, owner: OWNER, snapshot: await resolveSnapshot(repository, 'latest'), path: path === undefined ? undefined : utf8(path),
    write: async bytes => { pieces.push(bytes.slice()); }, openArchive: write => createArchiveWriter(format, write), ...changes,
  });
  return { bytes: concatBytes(pieces), report };
}

function unpack(bytes: Bytes, format: ArchiveFormat): string {
  const target = temporaryDirectory();
  const file = join(temporaryDirectory(), `archive.${format}`);
  writeFileSync(file, bytes);
  if (format === 'tar') execFileSync('tar', ['-xpf', file, '-C', target, '--xattrs']);
  else execFileSync('python3', ['-c', 'import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])', file, target]);
  return target;
}

describe('a dump', () => {
  test.each(['a/large', 'a/zeros', 'a/b/small-7', 'a/b/small-0'])('of %s gives exactly its bytes, in order', async name => {
    const { repository, root } = await sample();
    const { bytes, report } = await run(repository, join(root, name));
    expect(Buffer.compare(bytes, readFileSync(join(root, name)))).toBe(0);
    expect(report).toMatchObject({ kind: 'file', status: 'complete', entries: 1, bytes: bytes.length });
  });

  test('of a directory is an archive of what is below it', async () => {
    const { repository, root } = await sample();
    const { bytes, report } = await run(repository, root);
    expect(report).toMatchObject({ kind: 'archive', status: 'complete', entries: 37, problemsTotal: 0 });
    expect(compareTrees(await describeTree(root), await describeTree(unpack(bytes, 'tar')))).toEqual([]);
  });

  test('of a whole snapshot has the full paths', async () => {
    const { repository, root } = await sample();
    const target = unpack((await run(repository, undefined, {}, 'zip')).bytes, 'zip');
    expect(Buffer.compare(readFileSync(join(target, root, 'a/large')), readFileSync(join(root, 'a/large')))).toBe(0);
    expect(readFileSync(join(target, root, 'a/b/small-9'))).toEqual(readFileSync(join(root, 'a/b/small-9')));
  });

  test('waits for whoever takes the bytes', async () => {
    const { repository, root } = await sample();
    let inside = 0;
    let calls = 0;
    await run(repository, root, { write: async () => {
      expect(++inside).toBe(1);
      calls++;
      await new Promise(resolve => { setImmediate(resolve); });
      inside--;
    } });
    expect(calls).toBeGreaterThan(10);
  });

  test('ends with the error of whoever takes the bytes', async () => {
    const { repository, root } = await sample();
    const failure = new Error('full');
    await expect(run(repository, join(root, 'a/large'), { write: () => Promise.reject(failure) })).rejects.toBe(failure);
    await expect(run(repository, root, { write: () => Promise.reject(failure) })).rejects.toBe(failure);
  });

  test('of damaged content gives what comes before it and then fails', async () => {
    const { backend, repository, root } = await sample();
    await flipBit(backend, await frameOfFile(repository, join(root, 'a/large'), 200));
    const again = await reopen(backend);
    const pieces: Bytes[] = [];
    await expect(run(again, join(root, 'a/large'), { write: async bytes => { pieces.push(bytes); } })).rejects.toMatchObject({ kind: 'corrupt' });
    const given = concatBytes(pieces);
    expect(given.length).toBeGreaterThan(0);
    expect(Buffer.compare(given, readFileSync(join(root, 'a/large')).subarray(0, given.length))).toBe(0);
    await expect(run(again, root)).rejects.toMatchObject({ kind: 'corrupt' });
  });

  test('of a missing pack or path fails', async () => {
    const { backend, repository, root } = await sample();
    await expect(run(repository, '/nowhere')).rejects.toMatchObject({ code: 'PATH_NOT_IN_SNAPSHOT' });
    const { object } = await frameOfFile(repository, join(root, 'a/large'));
    await backend.remove(object);
    await expect(run(await reopen(backend), join(root, 'a/large'))).rejects.toMatchObject({ code: 'CHUNK_MISSING' });
  });

  test('names what the archive format cannot hold', async () => {
    const { repository, root } = await sample();
    const openArchive: DumpOptions['openArchive'] = write => {
      const writer = createArchiveWriter('tar', write);
      return { ...writer, finish: () => writer.finish(), entry: async (path, entry, content) => (entry.type === 'symlink' ? 'no links here' : writer.entry(path, entry, content)) };
    };
    expect((await run(repository, root, { openArchive })).report).toMatchObject({ status: 'partial', problems: [{ path: utf8('a/link'), message: 'no links here' }] });
  });
});
