import { describe, expect, test } from 'vitest';
import { withoutRemove } from '../../src/backend/without-remove.ts';
import { OBJECT_TYPES } from '../../src/format/header.ts';
import { parseReplicaRecordId } from '../../src/format/ids.ts';
import { PREFIXES, replicaRecordName } from '../../src/format/object-names.ts';
import { readReplicaRecords, removeReplicaRecord, writeReplicaRecord, type ReplicaRecord } from '../../src/repository/replicas.ts';
import { makeRepository, memoryBackend, reopen } from '../support/memory-repository.ts';

const A: ReplicaRecord = { location: '/a', host: 'h', attemptedAt: 10, succeededAt: 10, known: new Uint8Array(), snapshots: 1, bytes: 5, verified: { at: 10, packs: 1, bytes: 5, ofBytes: 5 } };

describe('what a repository knows of its replicas', () => {
  test('is one record for each location, and the newest attempt', async () => {
    const backend = memoryBackend();
    const repository = await makeRepository(backend);
    await writeReplicaRecord(repository, A);
    await writeReplicaRecord(repository, { ...A, location: '/b', attemptedAt: 11 });
    await writeReplicaRecord(repository, { ...A, attemptedAt: 20, succeededAt: undefined, verified: undefined, error: { code: 'NO_SPACE', message: 'full', at: 20 } });
    expect(await readReplicaRecords(await reopen(backend))).toMatchObject([
      { location: '/a', attemptedAt: 20, succeededAt: 10, error: { code: 'NO_SPACE' }, verified: { at: 10 } }, { location: '/b', attemptedAt: 11 },
    ]);
    expect([...backend.snapshotState().keys()].filter(name => name.startsWith(PREFIXES.replicas))).toHaveLength(2);
    expect([await removeReplicaRecord(repository, '/a'), await removeReplicaRecord(repository, '/a')]).toEqual([true, false]);
    expect(await readReplicaRecords(repository)).toMatchObject([{ location: '/b' }]);
  });

  test('is the same where nothing can be removed', async () => {
    const backend = memoryBackend();
    await makeRepository(backend);
    const repository = await reopen(withoutRemove(backend));
    for (const attemptedAt of [30, 20, 10]) await writeReplicaRecord(repository, { ...A, attemptedAt, succeededAt: attemptedAt });
    expect(await readReplicaRecords(repository)).toMatchObject([{ attemptedAt: 30, succeededAt: 30 }]);
    expect([...backend.snapshotState().keys()].filter(name => name.startsWith(PREFIXES.replicas))).toHaveLength(3);
  });

  test('goes on without a record that cannot be read', async () => {
    const backend = memoryBackend();
    const repository = await makeRepository(backend);
    await writeReplicaRecord(repository, A);
    const name = replicaRecordName(parseReplicaRecordId('ab'.repeat(16)));
    await backend.create(name, [repository.objects.seal(name, OBJECT_TYPES.replica, new Uint8Array([1, 2, 3]))]);
    const damaged: string[] = [];
    expect(await readReplicaRecords(repository, { onDamagedObject: found => { damaged.push(found); } })).toMatchObject([{ location: '/a' }]);
    expect(damaged).toEqual([name]);
  });
});
