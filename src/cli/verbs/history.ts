import type { Bytes } from '../../base/bytes.ts';
import { SnapError } from '../../base/errors.ts';
import { formatSize } from '../../base/units.ts';
import { history, type Version } from '../../usecases/browse/history.ts';
import { absolutePath, sessionOwner, withRepository, type SnapshotRecord } from '../compose.ts';
import { entryFields } from '../describe-entry.ts';
import type { HISTORY_FLAGS } from '../flags.ts';
import { runJob } from '../job.ts';
import { jsonMoment, localTime, printable, printableName } from '../printable.ts';
import { rawBytes } from '../raw-arguments.ts';
import { pathFields } from '../render-json.ts';
import { shortId } from '../render-text.ts';
import { findSnapshots } from '../snapshot-choice.ts';
import { flushedAtEnd, LineWriter } from '../terminal.ts';
import type { RunVerb } from '../verb.ts';

export const runHistory: RunVerb<typeof HISTORY_FLAGS> = context => runJob(context, job => withRepository(context, job.context, async repository => {
  const { flags, globals, operands, terminal } = context;
  const path = absolutePath(rawBytes(operands[0]!));
  const records = (await findSnapshots(repository, [], flags, job.context)).filter(record => speaksOf(record, path));
  const byId = new Map(records.map(record => [record.id, record]));
  const lines = new LineWriter(terminal);
  let isKnown = false;
  for await (const version of flushedAtEnd(lines, history(repository, records, path, { owner: sessionOwner(context) }, job.context))) {
    isKnown = true;
    if (version.change === 'same' && !flags.all) continue;
    const record = byId.get(version.snapshotId)!;
    if (!await lines.add(globals.json ? jsonLine(path, version, record) : textLine(version, record))) break;
  }
  if (!isKnown) {
    throw new SnapError('PATH_NOT_IN_SNAPSHOT', `No snapshot contains '${printableName(path)}'`, { hint: "'snap find NAME' looks for a name everywhere" });
  }
  return job.result();
}));

/** A snapshot of other sources says nothing about the path, least of all that it was removed. */
function speaksOf({ snapshot }: SnapshotRecord, path: Bytes): boolean {
  return snapshot.components.some(({ sourcePath }) => isAtOrBelow(path, sourcePath) || isAtOrBelow(sourcePath, path));
}

function isAtOrBelow(path: Bytes, directory: Bytes): boolean {
  const [each, above] = [path, directory].map(bytes => `${Buffer.from(bytes).toString('latin1').replace(/\/+$/, '')}/`) as [string, string];
  return each.startsWith(above);
}

const WORDS: Readonly<Record<Version['change'], string>> = {
  first: 'appears', type: 'other type', content: 'changed', metadata: 'metadata', same: 'same', removed: 'removed',
};

/** `2026-05-31 14:00:00  1f4c9a2e  host  changed      12 KiB  modified 2026-05-30 08:00:00`. */
function textLine({ change, entry }: Version, { id, snapshot }: SnapshotRecord): string {
  const parts = [localTime(snapshot.startedAt), shortId(id), printable(snapshot.host), WORDS[change].padEnd(10)];
  if (entry !== undefined) parts.push((entry.type === 'file' ? formatSize(entry.sizeBytes ?? 0) : entry.type).padStart(9), `modified ${localTime(entry.mtime)}`);
  return parts.join('  ').trimEnd();
}

function jsonLine(path: Bytes, { change, entry }: Version, { id, snapshot }: SnapshotRecord): string {
  return JSON.stringify({
    message_type: 'file_version', snapshot_id: id, time: jsonMoment(snapshot.startedAt), hostname: snapshot.host, change,
    ...pathFields(path), ...entry === undefined ? {} : entryFields(path, entry),
  });
}
