import { describe, expect, test } from 'vitest';
import { parseSnapshotId } from '../../../src/format/ids.ts';
import type { SnapshotRecord } from '../../../src/repository/snapshots.ts';
import { packIds, replicaLag, selectSnapshots } from '../../../src/usecases/replicate/replica-lag.ts';
import { EVERYTHING } from '../../support/replicate-jobs.ts';

const HOUR = 3600;

/** Snapshot number `n`, taken at hour `n`. */
function snapshot(n: number, changes: Partial<SnapshotRecord['snapshot']> = {}): SnapshotRecord {
  const id = parseSnapshotId(String(n).padStart(32, '0'));
  const fields = {
    id, kind: 'incremental', series: 'a', host: 'h', tags: [], components: [], startedAt: [n * HOUR, 0], statistics: { bytesAddedStored: 10 * n }, ...changes,
  } as unknown as SnapshotRecord['snapshot'];
  return { id, snapshot: fields, storedAt: n * HOUR * 1000, sizeBytes: 1 };
}

const ALL = [1, 2, 3, 4].map(n => snapshot(n, n === 3 ? { series: 'b', tags: ['x'] } : {}));
const numbers = (records: readonly SnapshotRecord[]): number[] => records.map(({ id }) => Number(id));

describe('the selection of a replica', () => {
  test('takes the newest of each series, and what is young enough', () => {
    expect(numbers(selectSnapshots(ALL, EVERYTHING, 0))).toEqual([1, 2, 3, 4]);
    expect(numbers(selectSnapshots(ALL, { ...EVERYTHING, latest: 1 }, 0))).toEqual([3, 4]);
    expect(numbers(selectSnapshots(ALL, { ...EVERYTHING, latest: 2 }, 0))).toEqual([2, 3, 4]);
    expect(numbers(selectSnapshots(ALL, { ...EVERYTHING, withinMs: 2 * HOUR * 1000 }, 5 * HOUR * 1000))).toEqual([3, 4]);
    expect(numbers(selectSnapshots(ALL, { ...EVERYTHING, tags: [['x']] }, 0))).toEqual([3]);
  });
});

describe('how far a replica is behind', () => {
  const known = packIds([ALL[0]!.id, ALL[2]!.id]);

  test('is what it is to hold and never held', () => {
    expect(replicaLag({ selection: EVERYTHING, known }, ALL, 0)).toEqual({ snapshots: 2, bytes: 60, since: 2 * HOUR * 1000 });
    expect(replicaLag({ selection: { ...EVERYTHING, series: ['b'] }, known }, ALL, 0)).toEqual({ snapshots: 0, bytes: 0, since: undefined });
  });

  test('does not grow by a label, which gives a snapshot a new ID', () => {
    const labelled = snapshot(9, { originalId: ALL[0]!.id });
    expect(replicaLag({ selection: EVERYTHING, known }, [labelled, ALL[2]!], 0).snapshots).toBe(0);
  });

  test('is nothing for a replica that only got snapshots by name', () => {
    expect(replicaLag({ selection: undefined, known: new Uint8Array() }, ALL, 0).snapshots).toBe(0);
  });
});
