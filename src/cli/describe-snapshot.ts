/** A snapshot as a row, a block of text or a JSON line. */
import { formatCount, formatSize } from '../base/units.ts';
import type { Snapshot } from '../format/snapshot.ts';
import { jsonMoment, jsonName, localTime, printable, printableName } from './printable.ts';
import { pathFields, type JsonMessage } from './render-json.ts';
import { shortId } from './render-text.ts';
import { formatPairs, formatTable } from './text-table.ts';

/** Source paths; a stream shows its file name. */
function sourceTexts(snapshot: Snapshot): string[] {
  return snapshot.components.map(({ sourcePath, name }) => (sourcePath.length > 0 ? printableName(sourcePath) : printable(name)));
}

export function snapshotTable(snapshots: readonly Snapshot[]): string[] {
  const rows = snapshots.map(snapshot => [
    shortId(snapshot.id), localTime(snapshot.startedAt), printable(snapshot.host), snapshot.kind,
    snapshot.tags.map(printable).join(',') + (snapshot.protected ? ' (pinned)' : ''),
    formatSize(snapshot.statistics.bytes), sourceTexts(snapshot).join(' '),
  ]);
  return formatTable([
    { title: 'ID' }, { title: 'Time' }, { title: 'Host' }, { title: 'Kind' }, { title: 'Tags' }, { title: 'Size', align: 'right' }, { title: 'Paths' },
  ], rows);
}

/** All that is known of one snapshot, an empty line at the end. */
export function snapshotDetails(snapshot: Snapshot): string[] {
  const { statistics } = snapshot;
  const optional: [string, string | undefined][] = [
    ['Parent', snapshot.parent], ['Copy of', snapshot.originalId], ['Description', snapshot.description],
    ['Tags', snapshot.tags.length === 0 ? undefined : snapshot.tags.join(', ')], ['Pinned', snapshot.protected ? 'yes' : undefined],
    ['Not readable', statistics.sourceErrors === 0 ? undefined : `${formatCount(statistics.sourceErrors)} ${statistics.sourceErrors === 1 ? 'entry' : 'entries'}`],
  ];
  return [
    `Snapshot ${snapshot.id}`,
    ...formatPairs([
      ['Time', `${localTime(snapshot.startedAt)} to ${localTime(snapshot.finishedAt)}`],
      ['Host', `${printable(snapshot.user)}@${printable(snapshot.host)}`],
      ['Kind', snapshot.kind],
      ['Series', printable(snapshot.series)],
      ...optional.filter((pair): pair is [string, string] => pair[1] !== undefined).map(([label, value]) => [label, printable(value)] as const),
      ['Holds', `${formatCount(statistics.files)} files, ${formatCount(statistics.directories)} folders, ${formatSize(statistics.bytes)}`],
      ['Added', `${formatSize(statistics.bytesAddedRaw)} in ${formatCount(statistics.chunksAdded)} chunks, stored as ${formatSize(statistics.bytesAddedStored)}`],
      ['Program', printable(snapshot.program)],
      ...snapshot.components.map(each => ['Component', componentText(each)] as const),
    ]).map(line => `  ${line}`),
    '',
  ];
}

function componentText({ name, sourcePath, isConfiguration }: Snapshot['components'][number]): string {
  const path = printableName(sourcePath);
  return `${printable(name)}${path === '' || path === name ? '' : ` from ${path}`}${isConfiguration ? ' (configuration)' : ''}`;
}

export function snapshotMessage(snapshot: Snapshot): JsonMessage {
  const { statistics } = snapshot;
  return {
    message_type: 'snapshot', id: snapshot.id, short_id: shortId(snapshot.id), time: jsonMoment(snapshot.startedAt),
    end_time: jsonMoment(snapshot.finishedAt), hostname: snapshot.host, username: snapshot.user, kind: snapshot.kind, series: snapshot.series,
    parent: snapshot.parent, original: snapshot.originalId, tags: snapshot.tags, description: snapshot.description, protected: snapshot.protected,
    paths: snapshot.components.map(({ sourcePath, name }) => (sourcePath.length > 0 ? jsonName(sourcePath).text : name)),
    components: snapshot.components.map(({ name, sourcePath, isConfiguration }) => ({ name, configuration: isConfiguration, ...pathFields(sourcePath) })),
    program_version: snapshot.program,
    summary: {
      total_files_processed: statistics.files, total_dirs_processed: statistics.directories, total_bytes_processed: statistics.bytes,
      data_added: statistics.bytesAddedRaw, data_added_packed: statistics.bytesAddedStored, chunks_added: statistics.chunksAdded,
      problems: statistics.sourceErrors,
    },
  };
}
