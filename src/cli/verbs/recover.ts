import { SnapError } from '../../base/errors.ts';
import { formatCount, formatSize } from '../../base/units.ts';
import { recover, type RecoverReport } from '../../usecases/recover.ts';
import { withBackend, withRepository } from '../compose.ts';
import { runJob } from '../job.ts';
import { jsonTime, localTime } from '../printable.ts';
import type { RECOVER_FLAGS } from '../upkeep-flags.ts';
import type { RunVerb } from '../verb.ts';

export const runRecover: RunVerb<typeof RECOVER_FLAGS> = context => runJob(context, job => {
  const { flags, globals, terminal } = context;
  const { asOf } = globals;
  if (asOf === undefined) throw new SnapError('USAGE', 'No time was given', { hint: "Give --as-of TIME, such as --as-of '2026-05-31 14:00'; see snap help past" });
  if (flags.dryRun && flags.yes) throw new SnapError('USAGE', '--dry-run and --yes exclude each other');
  return withRepository(context, job.context, then => withBackend(context, job.context, { create: false, isPresent: true }, async (present, _space, history) => {
    // Opening the past has shown that there is one.
    if (history === undefined) throw new SnapError('UNSUPPORTED_STORE', `The storage at '${present.location}' keeps no versions`);
    const report = await recover(then, { present, history, time: asOf, dryRun: !flags.yes }, job.context);
    if (globals.json) terminal.out(JSON.stringify(recoverMessage(report, asOf)));
    else if (!globals.quiet) for (const line of recoverLines(report, asOf)) terminal.out(line);
    return 'complete' as const;
  }));
});

function recoverMessage(report: RecoverReport, asOf: number): Record<string, unknown> {
  return {
    message_type: 'recover_summary', dry_run: report.dryRun, as_of: jsonTime(asOf), snapshots_then: report.snapshotsThen,
    newest_then: report.newestThen === undefined ? undefined : jsonTime(report.newestThen), objects_missing: report.objectsMissing, objects_replaced: report.objectsReplaced,
    size: report.bytes, documents_removed: report.documentsRemoved, objects_newer: report.objectsNewer, snapshots_newer: report.snapshotsNewer, strays: report.strays,
    sessions: report.sessions,
  };
}

function recoverLines(report: RecoverReport, asOf: number): string[] {
  const { dryRun, snapshotsThen, newestThen, objectsMissing, objectsReplaced, bytes, documentsRemoved, objectsNewer, snapshotsNewer, sessions } = report;
  const time = (ms: number): string => localTime([Math.floor(ms / 1000), 0]);
  const isNothing = objectsMissing + objectsReplaced + documentsRemoved.length === 0;
  const would = dryRun ? 'would be' : 'were';
  return [
    `At ${time(asOf)} there were ${formatCount(snapshotsThen)} snapshots${newestThen === undefined ? '' : `, the newest of ${time(newestThen)}`}`,
    ...isNothing ? ['Everything that was there then is there now'] : [
      `${formatCount(objectsMissing)} removed and ${formatCount(objectsReplaced)} replaced objects ${would} put back: ${formatSize(bytes)}`,
      `${formatCount(documentsRemoved.length)} markers and sweeps that were made since ${would} removed`,
    ],
    `${formatCount(objectsNewer)} objects that were added since stay, ${formatCount(snapshotsNewer)} snapshots among them`,
    ...sessions === 0 ? [] : [`${formatCount(sessions)} runs are registered: make sure that nothing works in the repository meanwhile`],
    ...isNothing ? [] : [dryRun ? 'Nothing was changed; --yes does it' : 'Run `snap repair index`, `snap verify --read-data` and then `snap cache --accept-roll-back` on each host'],
  ];
}
