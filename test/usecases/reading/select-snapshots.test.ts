import { beforeAll, describe, expect, test } from 'vitest';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemRandom, type Random } from '../../../src/base/ambient.ts';
import { utf8 } from '../../../src/base/bytes.ts';
import { MemoryBackend } from '../../../src/backend/memory.ts';
import { OBJECT_TYPES } from '../../../src/format/header.ts';
import { parseSnapshotId } from '../../../src/format/ids.ts';
import { forgottenName } from '../../../src/format/object-names.ts';
import { encodeForgotten } from '../../../src/format/tombstone.ts';
import type { OpenRepository } from '../../../src/repository/opened-repository.ts';
import { isValidNow } from '../../../src/repository/snapshots.ts';
import { listSnapshots, resolveSnapshot, splitSnapshotPath } from '../../../src/usecases/reading/select-snapshots.ts';
import { backupPath, makeRepository, memoryBackend, OWNER, reopen, temporaryDirectory } from '../../support/memory-repository.ts';
import { flipBit } from '../../support/read-jobs.ts';
import { TestClock } from '../../support/test-clock.ts';

describe('snapshots by name and filter', () => {
  let repository: OpenRepository;
  let ids: string[];
  let root: string;

  beforeAll(async () => {
    repository = await makeRepository();
    root = mkdtempSync(join(tmpdir(), 'snap-test-'));
    writeFileSync(join(root, 'file'), 'x');
    ids = [];
    const series = ['one', 'two', 'one', 'two'];
    const tags = [[], ['a'], ['a', 'b'], ['b', 'c']];
    for (let i = 0; i < 4; i++) {
      const owner = { ...OWNER, host: i === 3 ? 'other' : OWNER.host };
      const report = await backupPath(repository, root, { series: series[i]!, tags: tags[i]!, owner, time: [1_000_000 + i, 0], kind: i === 0 ? 'full' : 'incremental' });
      ids.push(report.snapshotId!);
    }
    rmSync(root, { recursive: true });
  });

  const found = async (filter: Parameters<typeof listSnapshots>[1]): Promise<number[]> => (await listSnapshots(repository, filter)).map(({ id }) => ids.indexOf(id));

  test('are listed oldest first', async () => expect(await found({})).toEqual([0, 1, 2, 3]));

  test.each([
    ['no tags', { tags: [['']] }, [0]],
    ['one tag', { tags: [['a']] }, [1, 2]],
    ['tags that must all be there', { tags: [['a', 'b']] }, [2]],
    ['one of several sets', { tags: [['a', 'b'], ['c']] }, [2, 3]],
    ['tags or none', { tags: [['c'], ['']] }, [0, 3]],
    ['host', { host: ['other'] }, [3]],
    ['series', { series: ['one'] }, [0, 2]],
    ['kind', { kind: ['incremental'] as const }, [2]],
    ['several fields at once', { series: ['one', 'two'], tags: [['a']], host: ['test-host'] }, [1, 2]],
    ['an empty filter', { tags: [], host: [], paths: [] }, [0, 1, 2, 3]],
    ['another path', { paths: ['/nowhere'] }, []],
  ])('fit by %s', async (_, filter, expected) => expect(await found(filter)).toEqual(expected));

  test('fit by path, with any number of slashes', async () => {
    expect(await found({ paths: [root] })).toEqual([0, 1, 2, 3]);
    expect(await found({ paths: [utf8(`/${root}//`)] })).toEqual([0, 1, 2, 3]);
  });

  test('are found by their full ID, in any case, and by a unique beginning', async () => {
    expect((await resolveSnapshot(repository, ids[1]!)).id).toBe(ids[1]);
    expect((await resolveSnapshot(repository, ids[1]!.toUpperCase())).id).toBe(ids[1]);
    expect((await resolveSnapshot(repository, ids[1]!.slice(0, 12))).id).toBe(ids[1]);
  });

  test('are found as latest and latest~N among those that fit the filter', async () => {
    expect((await resolveSnapshot(repository, 'latest')).id).toBe(ids[3]);
    expect((await resolveSnapshot(repository, 'latest~2')).id).toBe(ids[1]);
    expect((await resolveSnapshot(repository, 'latest~1', { series: ['one'] })).id).toBe(ids[0]);
    await expect(resolveSnapshot(repository, 'latest~2', { series: ['one'] })).rejects.toMatchObject({
      code: 'SNAPSHOT_NOT_FOUND', hint: 'Of 4 snapshots in the repository, the filters let through 2',
    });
  });

  test.each(['abc', 'my-snapshot', '', 'latest~', 'latest~-1', `${'0'.repeat(33)}`, '0000'])('are not found as %j', async name => {
    await expect(resolveSnapshot(repository, name)).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND', hint: expect.any(String) });
  });

  test('are not guessed when several begin alike', async () => {
    const random: Random = { ...systemRandom, bytes: count => {
      const bytes = systemRandom.bytes(count);
      if (count === 16) bytes.set([0xab, 0xcd]);
      return bytes;
    } };
    const twins = await makeRepository(undefined, { random });
    const path = temporaryDirectory();
    writeFileSync(join(path, 'file'), 'x');
    const twinIds = [(await backupPath(twins, path)).snapshotId!, (await backupPath(twins, path)).snapshotId!];
    const refusal = resolveSnapshot(twins, 'abcd');
    await expect(refusal).rejects.toMatchObject({ code: 'SNAPSHOT_AMBIGUOUS', message: "'abcd' matches 2 snapshots" });
    for (const id of twinIds) await expect(refusal).rejects.toMatchObject({ hint: expect.stringContaining(id) });
    expect((await resolveSnapshot(twins, twinIds[0]!.slice(0, 20))).id).toBe(twinIds[0]);
  });

  test('as latest are not guessed when one that may be newer cannot be read', async () => {
    const clock = new TestClock();
    const backend = new MemoryBackend({ clock });
    const path = temporaryDirectory();
    writeFileSync(join(path, 'file'), 'x');
    const written = await makeRepository(backend, { clock });
    const stored: string[] = [];
    for (let i = 0; i < 3; i++) {
      clock.advance(1000);
      stored.push((await backupPath(written, path)).snapshotId!);
      if (i === 1) await flipBit(backend, { object: `snapshots/${stored[1]}`, offset: 80, length: 40 });
    }
    const [oldest, damaged, newest] = stored as [string, string, string];
    const damagedLater = await reopen(backend);
    expect((await resolveSnapshot(damagedLater, 'latest')).id).toBe(newest);
    const refusal = resolveSnapshot(damagedLater, 'latest~1');
    await expect(refusal).rejects.toMatchObject({ code: 'OBJECT_CORRUPT', message: expect.stringContaining(`Snapshot '${damaged}' cannot be read`) });
    expect((await resolveSnapshot(damagedLater, oldest.slice(0, 8))).id).toBe(oldest);
  });

  test('are not hidden by a marker that no admin key signed', async () => {
    const backend = memoryBackend();
    const path = temporaryDirectory();
    writeFileSync(join(path, 'file'), 'x');
    const { snapshotId } = await backupPath(await makeRepository(backend), path);
    await backend.create(`forgotten/${snapshotId}`, [systemRandom.bytes(200)]);
    const opened = await reopen(backend);
    expect((await resolveSnapshot(opened, 'latest')).id).toBe(snapshotId);
    expect(await isValidNow(opened, parseSnapshotId(snapshotId!))).toBe(true);
    // A real one counts, also before the record is gone.
    await backend.remove(`forgotten/${snapshotId}`);
    const marker = forgottenName(parseSnapshotId(snapshotId!));
    await opened.objects.save(backend, marker, OBJECT_TYPES.forgotten, encodeForgotten({ reason: 'test', createdAt: 1 }));
    expect(await listSnapshots(opened)).toEqual([]);
    expect(await isValidNow(opened, parseSnapshotId(snapshotId!))).toBe(false);
  });

  test('of an empty repository: the hint says that there are none', async () => {
    await expect(resolveSnapshot(await makeRepository(), 'latest')).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND', hint: 'The repository holds no snapshots yet' });
  });

  test('with a path are split at the first colon', () => {
    expect(splitSnapshotPath('latest:/a:b')).toEqual({ name: 'latest', path: '/a:b' });
    expect(splitSnapshotPath('latest')).toEqual({ name: 'latest', path: undefined });
    expect(splitSnapshotPath('latest:')).toEqual({ name: 'latest', path: undefined });
  });
});
