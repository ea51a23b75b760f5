import { open, realpath, rename, rm, stat } from 'node:fs/promises';
import { finished } from 'node:stream/promises';
import type { Writable } from 'node:stream';
import { systemRandom } from '../../base/ambient.ts';
import { toHex } from '../../base/bytes.ts';
import { SnapError } from '../../base/errors.ts';
import { formatCount, formatSize } from '../../base/units.ts';
import { dump, type DumpReport, type DumpSink } from '../../usecases/browse/dump.ts';
import { sessionOwner, withRepository } from '../compose.ts';
import { engineFactory } from '../compose-engines.ts';
import { createArchiveWriter, writeToStream } from '../compose-files.ts';
import type { DUMP_FLAGS } from '../flags.ts';
import { runJob, type Job } from '../job.ts';
import type { Result } from '../outcome.ts';
import { printable } from '../printable.ts';
import { rawBytes } from '../raw-arguments.ts';
import { findSnapshot } from '../snapshot-choice.ts';
import type { RunVerb, VerbContext } from '../verb.ts';

type DumpContext = VerbContext<typeof DUMP_FLAGS>;

export const runDump: RunVerb<typeof DUMP_FLAGS> = context => {
  const { output } = context.flags;
  return output === undefined ? toStandardOutput(context) : toFile(context, output);
};

async function toStandardOutput(context: DumpContext): Promise<Result> {
  const { stream, isTerminal } = context.terminal.claimOutput();
  return (await dumpTo(context, stream, isTerminal)).result;
}

/** A device or a pipe is written to; a file appears under its name only when it is whole. */
async function toFile(context: DumpContext, given: string): Promise<Result> {
  const there = await stat(given).catch(() => undefined);
  const path = there === undefined ? given : await realpath(given);
  if (there !== undefined && !there.isFile()) return dumpAndClose(context, path, 'w', path);
  const partial = `${path}.${toHex(systemRandom.bytes(4))}.partial`;
  try {
    const result = await dumpAndClose(context, partial, 'wx', path);
    await rename(partial, path);
    return result;
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

async function dumpAndClose(context: DumpContext, path: string, flags: 'w' | 'wx', shown: string): Promise<Result> {
  const file = await open(path, flags).catch((error: unknown) => {
    throw new SnapError('USAGE', `Cannot write '${printable(shown)}'`, { cause: error });
  });
  const stream = file.createWriteStream();
  try {
    const { result, report, job } = await dumpTo(context, stream, false);
    stream.end();
    await finished(stream);
    if (report !== undefined) job.note(`Wrote ${formatCount(report.entries)} entries, ${formatSize(report.bytes)} to ${printable(shown)}`);
    return result;
  } finally {
    stream.destroy();
  }
}

function dumpTo(context: DumpContext, stream: Writable, isTerminal: boolean): Promise<{ result: Result; report: DumpReport | undefined; job: Job }> {
  const { flags, operands, signal } = context;
  return runJob(context, job => withRepository(context, job.context, async repository => {
    const { record, path } = await findSnapshot(repository, operands[0]!, flags, job.context);
    if (path !== undefined && operands[1] !== undefined) throw new SnapError('USAGE', 'The path is given twice');
    let report: DumpReport | undefined;
    const outcome = await writeToStream(stream, async write => {
      report = await dump(repository, {
        engines: engineFactory(undefined), owner: sessionOwner(context), snapshot: record,
        path: operands[1] === undefined ? path : rawBytes(operands[1]), write, openArchive: sink => openArchive(flags.format ?? 'tar', sink, isTerminal),
      }, job.context);
    }, { signal });
    // Whoever reads has enough when the stream is closed early: nothing is wrong.
    return { result: outcome === 'complete' && report !== undefined ? report.status : 'complete' as const, report, job };
  }));
}

/** @throws USAGE instead of filling a terminal with an archive */
function openArchive(format: 'tar' | 'zip', sink: DumpSink, isTerminal: boolean): ReturnType<typeof createArchiveWriter> {
  if (isTerminal) throw new SnapError('USAGE', 'An archive is not printed to a terminal', { hint: 'Add > FILE or --output FILE' });
  return createArchiveWriter(format, sink);
}
