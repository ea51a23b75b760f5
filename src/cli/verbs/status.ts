import { SnapError } from '../../base/errors.ts';
import { replicaLook } from '../../usecases/status/replica-look.ts';
import { DEFAULT_THRESHOLDS, type StatusThresholds } from '../../usecases/status/status-checks.ts';
import type { ReplicaLook, StatusReport } from '../../usecases/status/status-report.ts';
import { status } from '../../usecases/status/status.ts';
import { withOtherRepository, withRepository } from '../compose.ts';
import { runJob, type Job } from '../job.ts';
import { repositoryLocation } from '../location.ts';
import { placeOf } from '../places.ts';
import { printable } from '../printable.ts';
import { s3Choices } from '../remote-settings.ts';
import { statusLines, statusMessage } from '../render-status.ts';
import type { Credential } from '../secrets.ts';
import { filterOf } from '../snapshot-choice.ts';
import type { STATUS_FLAGS } from '../status-flags.ts';
import type { RunVerb, VerbContext } from '../verb.ts';

type StatusContext = VerbContext<typeof STATUS_FLAGS>;

const RESULTS = { ok: 'complete', warning: 'warning', critical: 'critical' } as const;

export const runStatus: RunVerb<typeof STATUS_FLAGS> = context => runJob(context, async job => {
  // Without a location it is the call that is wrong.
  repositoryLocation(context.globals);
  const report = await look(context, job).catch((error: unknown) => unreachable(error));
  print(context, report);
  return RESULTS[report.level];
});

function look(context: StatusContext, job: Job): Promise<StatusReport> {
  const { flags, globals, environment } = context;
  return withRepository(context, job.context, (repository, credential, space) => status(repository, {
    thresholds: thresholdsOf(flags), filter: filterOf(flags), ignoredSeries: flags.ignoreSeries, coverageDays: flags.coverageDays, space,
    placeOf: (location, sources) => placeOf(location, sources, { settings: flags.places, s3Endpoint: s3Choices(globals, environment).endpoint }),
    lookAt: flags.replicas ? record => lookAt(context, job, record.location, credential, other => replicaLook(other, record, job.context)) : undefined,
  }, job.context));
}

function thresholdsOf(flags: StatusContext['flags']): StatusThresholds {
  const { maxAge = DEFAULT_THRESHOLDS.maxAgeMs } = flags;
  return {
    maxAgeMs: maxAge, criticalAgeMs: flags.criticalAge ?? 3 * maxAge, minSnapshots: flags.minSnapshots ?? DEFAULT_THRESHOLDS.minSnapshots,
    maxUsed: flags.maxUsed ?? DEFAULT_THRESHOLDS.maxUsed, criticalUsed: flags.criticalUsed ?? DEFAULT_THRESHOLDS.criticalUsed,
    maxReplicaAgeMs: flags.maxReplicaAge ?? DEFAULT_THRESHOLDS.maxReplicaAgeMs, expectsThreeTwoOne: flags.threeTwoOne,
  };
}

/** A replica that cannot be opened is a finding, not the end. */
async function lookAt(
  context: StatusContext, job: Job, location: string, credential: Credential, work: Parameters<typeof withOtherRepository<ReplicaLook>>[3],
): Promise<ReplicaLook> {
  try {
    return await withOtherRepository(context, job.context, { location, credential }, work);
  } catch (error) {
    if (!(error instanceof SnapError) || ['cancelled', 'internal'].includes(error.kind)) throw error;
    return { error: error.message };
  }
}

/** For a monitor, a repository that cannot be looked at is the worst state of all. */
function unreachable(error: unknown): StatusReport {
  if (!(error instanceof SnapError) || ['cancelled', 'usage', 'internal'].includes(error.kind)) throw error;
  return { job: 'status', level: 'critical', checks: [{ name: 'reachable', level: 'critical', message: error.message, hint: error.hint }], facts: undefined };
}

function print({ globals, terminal }: StatusContext, report: StatusReport): void {
  if (globals.json) terminal.out(JSON.stringify(statusMessage(report)));
  else for (const line of statusLines(report, { isQuiet: globals.quiet, isVerbose: globals.verbose > 0 })) terminal.out(printable(line));
}
