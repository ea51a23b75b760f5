/** From the words of people to snapshots: filters, names, and paths in snapshots. */
import type { Bytes } from '../base/bytes.ts';
import { SnapError } from '../base/errors.ts';
import type { JobContext } from '../usecases/events.ts';
import { listSnapshots, resolveSnapshot, splitSnapshotPath, type SnapshotFilter } from '../usecases/reading/select-snapshots.ts';
import type { OpenRepository, SnapshotRecord } from './compose.ts';
import { absolutePath } from './compose.ts';
import type { FilterValues } from './flags.ts';
import { rawBytes } from './raw-arguments.ts';

export function filterOf(flags: FilterValues): SnapshotFilter {
  const { host, tag, path, kind, series } = flags;
  return { host, kind, series, tags: tag.map(set => set.split(',')), paths: path.map(each => absolutePath(rawBytes(each))) };
}

/** `SNAPSHOT` or `SNAPSHOT:PATH`. @throws SNAPSHOT_NOT_FOUND, SNAPSHOT_AMBIGUOUS */
export async function findSnapshot(
  repository: OpenRepository, text: string, flags: FilterValues, job: JobContext,
): Promise<{ readonly record: SnapshotRecord; readonly path: Bytes | undefined }> {
  const { name, path } = splitSnapshotPath(text);
  return { record: await resolveSnapshot(repository, name, filterOf(flags), { signal: job.signal }), path: path === undefined ? undefined : rawBytes(path) };
}

/** `SNAPSHOT` where a path makes no sense. @throws USAGE, SNAPSHOT_NOT_FOUND, SNAPSHOT_AMBIGUOUS */
export async function wholeSnapshot(repository: OpenRepository, text: string, flags: FilterValues, job: JobContext): Promise<SnapshotRecord> {
  const { record, path } = await findSnapshot(repository, text, flags, job);
  if (path !== undefined) throw new SnapError('USAGE', `'${text}' names a path, but a whole snapshot is asked for`);
  return record;
}

/**
 * The snapshots that are named, or without names all that the filters let through; oldest first. One that nobody named and that
 * cannot be read becomes an event.
 * @throws SNAPSHOT_NOT_FOUND, SNAPSHOT_AMBIGUOUS
 */
export async function findSnapshots(repository: OpenRepository, names: readonly string[], flags: FilterValues, job: JobContext): Promise<readonly SnapshotRecord[]> {
  if (names.length === 0) {
    return listSnapshots(repository, filterOf(flags), {
      signal: job.signal,
      onUnreadable: ({ id, error }) =>
        job.onEvent?.({ type: 'damage-found', finding: { object: 'snapshot', name: id, message: error.message, severity: 'damage', files: [] } }),
    });
  }
  const records = new Map<string, SnapshotRecord>();
  for (const name of names) {
    const record = await wholeSnapshot(repository, name, flags, job);
    records.set(record.id, record);
  }
  return [...records.values()].sort((a, b) => timeOf(a) - timeOf(b));
}

/** Seconds; fine enough to put snapshots in order. */
function timeOf({ snapshot }: SnapshotRecord): number {
  return snapshot.startedAt[0] + snapshot.startedAt[1] / 1e9;
}
