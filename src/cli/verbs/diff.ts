import { lstatSync } from 'node:fs';
import { SnapError } from '../../base/errors.ts';
import { formatCount } from '../../base/units.ts';
import type { SnapshotPart } from '../../usecases/browse/browsing.ts';
import { diffSnapshots, type Change, type Difference } from '../../usecases/browse/diff.ts';
import { diffLive } from '../../usecases/browse/diff-live.ts';
import { sessionOwner, withRepository, type OpenRepository } from '../compose.ts';
import { openLiveFile } from '../compose-files.ts';
import { treeSource } from '../compose-source.ts';
import type { DIFF_FLAGS } from '../flags.ts';
import { runJob, type Job } from '../job.ts';
import { printable, printableName } from '../printable.ts';
import { rawBytes } from '../raw-arguments.ts';
import { pathFields } from '../render-json.ts';
import { findSnapshot } from '../snapshot-choice.ts';
import { flushedAtEnd, LineWriter } from '../terminal.ts';
import type { RunVerb, VerbContext } from '../verb.ts';

type DiffContext = VerbContext<typeof DIFF_FLAGS>;

export const runDiff: RunVerb<typeof DIFF_FLAGS> = context => runJob(context, job => withRepository(context, job.context, async repository => {
  const part = await partOf(context, repository, context.operands[0]!, job);
  await print(context, await differences(context, repository, part, job));
  return job.result();
}));

async function partOf({ flags }: DiffContext, repository: OpenRepository, text: string, job: Job): Promise<SnapshotPart> {
  const { record, path } = await findSnapshot(repository, text, flags, job.context);
  return { snapshot: record, path };
}

const SNAPSHOT_NAME = /^(latest(~\d+)?|[0-9a-f]{4,32})(:|$)/i;

/** A path is live when it begins with a slash or a dot, or when it is there and cannot be meant as a snapshot. */
function isLive(text: string): boolean {
  return /^[./]/.test(text) || (!SNAPSHOT_NAME.test(text) && lstatSync(text, { throwIfNoEntry: false }) !== undefined);
}

async function differences(context: DiffContext, repository: OpenRepository, part: SnapshotPart, job: Job): Promise<AsyncGenerator<Difference>> {
  const { flags } = context;
  const other = context.operands[1]!;
  const owner = sessionOwner(context);
  if (!isLive(other)) return diffSnapshots(repository, part, await partOf(context, repository, other, job), { owner }, job.context);
  if (lstatSync(other, { throwIfNoEntry: false }) === undefined) throw new SnapError('SOURCE_MISSING', `The path '${printable(other)}' does not exist`);
  const { source } = treeSource(context, {}, [rawBytes(other)]);
  return diffLive(repository, part, source, { owner, openFile: flags.content ? openLiveFile : undefined, withXattrs: flags.metadata }, job.context);
}

const MODIFIERS: Readonly<Record<Change, string>> = { added: '+', removed: '-', content: 'M', metadata: 'U', type: 'T' };

async function print({ flags, globals, terminal }: DiffContext, found: AsyncGenerator<Difference>): Promise<void> {
  const lines = new LineWriter(terminal);
  const counts: Record<Change, number> = { added: 0, removed: 0, content: 0, metadata: 0, type: 0 };
  for await (const difference of flushedAtEnd(lines, found)) {
    counts[difference.change]++;
    if (difference.change === 'metadata' && !flags.metadata) continue;
    if (!await lines.add(globals.json ? jsonLine(difference) : `${MODIFIERS[difference.change]}  ${printableName(difference.path)}`)) return;
  }
  const { added, removed, content, metadata, type } = counts;
  if (globals.json) {
    await lines.add(JSON.stringify({ message_type: 'diff_summary', added, removed, changed: content, metadata_changed: metadata, type_changed: type }));
  } else if (!globals.quiet) {
    const parts = [`${formatCount(added)} added`, `${formatCount(removed)} removed`, `${formatCount(content)} changed`, `${formatCount(type)} of another type`];
    await lines.add(`${parts.join(', ')}, ${formatCount(metadata)} in metadata only${metadata > 0 && !flags.metadata ? ' (--metadata shows them)' : ''}`);
  }
  await lines.flush();
}

function jsonLine({ path, change, before, after }: Difference): string {
  return JSON.stringify({
    message_type: 'change', ...pathFields(path), modifier: MODIFIERS[change], before_size: before?.sizeBytes, after_size: after?.sizeBytes,
  });
}
