/** Records of snapshots that nobody stored, for the pure parts of retention. */
import { utf8 } from '../../../src/base/bytes.ts';
import { parseHostId, parseSnapshotId, type SnapshotId } from '../../../src/format/ids.ts';
import type { SnapshotKind } from '../../../src/format/snapshot.ts';
import type { SnapshotRecord } from '../../../src/repository/snapshots.ts';

export interface RecordSketch {
  readonly time: string | number;
  /** Defaults to the time of the snapshot. */
  readonly storedAt?: string | number;
  readonly kind?: SnapshotKind;
  readonly series?: string;
  readonly host?: string;
  readonly tags?: readonly string[];
  readonly path?: string;
  readonly isPinned?: boolean;
  readonly sourceErrors?: number;
  readonly files?: number;
  readonly bytes?: number;
}

const ms = (time: string | number): number => (typeof time === 'number' ? time : Date.parse(time));

/** IDs count from 1, so that tests can name them. */
export function recordId(number: number): SnapshotId {
  return parseSnapshotId(number.toString(16).padStart(32, '0'));
}

export function sketch(number: number, { time, storedAt = time, kind = 'incremental', series = 's', host = 'h', tags = [], path = '/p', isPinned = false, sourceErrors = 0, files = 10, bytes = 1000 }: RecordSketch): SnapshotRecord {
  const startedAt = [Math.floor(ms(time) / 1000), (ms(time) % 1000) * 1e6] as const;
  return {
    id: recordId(number), storedAt: ms(storedAt), sizeBytes: 500,
    snapshot: {
      id: recordId(number), kind, startedAt, finishedAt: startedAt, host, hostId: parseHostId('11'.repeat(16)), user: 'u', series, tags, program: 'snap', chunkers: [], gcNumber: 0,
      components: [{ name: path, isConfiguration: false, sourcePath: utf8(path), root: { name: new Uint8Array(0), type: 'directory', mode: 0o755, flags: 0, mtime: [0, 0] } }],
      statistics: { files, directories: 1, bytes, bytesAddedRaw: 0, bytesAddedStored: 0, chunksAdded: 0, sourceErrors }, protected: isPinned,
    },
  };
}

/** Oldest first, numbered from 1 in the order given. */
export function sketches(...list: readonly RecordSketch[]): SnapshotRecord[] {
  return list.map((each, i) => sketch(i + 1, each)).sort((a, b) => a.snapshot.startedAt[0] - b.snapshot.startedAt[0] || a.snapshot.startedAt[1] - b.snapshot.startedAt[1]);
}

/** Number of a record made by `sketch`. */
export function numberOf({ id }: { readonly id: string }): number {
  return Number.parseInt(id, 16);
}
