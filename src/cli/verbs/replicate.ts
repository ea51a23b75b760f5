import { SnapError } from '../../base/errors.ts';
import type { ReplicaSelection } from '../../format/replica-record.ts';
import { replicate } from '../../usecases/replicate/replicate.ts';
import { dropReplica, replicaStatus } from '../../usecases/replicate/replica-status.ts';
import { sessionOwner, withRepository, type OpenRepository } from '../compose.ts';
import { printableLocation, withReplicas, type ReplicaChoice } from '../compose-replicas.ts';
import { runJob, worst, type Job } from '../job.ts';
import type { Result } from '../outcome.ts';
import { rawBytes } from '../raw-arguments.ts';
import { statusLines, statusMessage } from '../render-replicate.ts';
import { readToCredential, type Credential } from '../secrets.ts';
import { filterOf } from '../snapshot-choice.ts';
import type { REPLICATE_FLAGS } from '../replicate-flags.ts';
import type { RunVerb, VerbContext } from '../verb.ts';

type Context = VerbContext<typeof REPLICATE_FLAGS>;

export const runReplicate: RunVerb<typeof REPLICATE_FLAGS> = context => {
  checkFlags(context);
  return runJob(context, job => withRepository(context, job.context, (repository, main) => {
    if (context.flags.status) return showStatus(context, repository, job);
    if (context.flags.drop !== undefined) return drop(context, repository, context.flags.drop, job);
    return run(context, repository, main, job);
  }));
};

/** @throws USAGE */
function checkFlags({ flags: { to, status, drop } }: Context): void {
  if (to.length === 0 && !status && drop === undefined) {
    throw new SnapError('USAGE', 'No replica was named', { hint: 'Give --to LOCATION, or --status to see what is known of replicas' });
  }
  if (drop !== undefined && status) throw new SnapError('USAGE', '--drop and --status exclude each other');
}

async function run(context: Context, repository: OpenRepository, main: Credential, job: Job): Promise<Result> {
  const { flags, operands } = context;
  const choices: ReplicaChoice[] = [];
  for (const [i, text] of flags.to.entries()) choices.push({ ...splitName(text), credential: await readToCredential(flags, i, main, context) });
  return withReplicas(context, job.context, repository, choices, async places => job.show(await replicate(repository, places, {
    owner: sessionOwner(context), names: operands.length === 0 ? undefined : operands, selection: selectionOf(context),
    again: flags.again, verify: flags.verify, verifyShare: flags.verifySample, dryRun: flags.dryRun,
  }, job.context)));
}

/** `NAME=LOCATION` or `LOCATION`. */
function splitName(text: string): Pick<ReplicaChoice, 'location' | 'label'> {
  const match = /^([A-Za-z0-9][A-Za-z0-9_-]{0,39})=(.+)$/s.exec(text);
  return match === null ? { location: text, label: undefined } : { location: match[2]!, label: match[1] };
}

function selectionOf({ flags }: Context): ReplicaSelection {
  const { host = [], series = [], kind = [], tags = [], paths = [] } = filterOf(flags);
  return {
    host, series, kind, tags, paths: paths.map(path => (typeof path === 'string' ? rawBytes(path) : path)), latest: flags.latest, withinMs: flags.within,
  };
}

async function showStatus({ terminal, globals }: Context, repository: OpenRepository, job: Job): Promise<Result> {
  const replicas = await replicaStatus(repository, job.context);
  const lines = globals.json ? replicas.map(each => JSON.stringify(statusMessage(each))) : statusLines(replicas);
  for (const line of lines) terminal.out(line);
  return worst(job.result());
}

async function drop({ globals, terminal }: Context, repository: OpenRepository, location: string, job: Job): Promise<Result> {
  if (!await dropReplica(repository, location, job.context) && !await dropReplica(repository, printableLocation(location), job.context)) {
    throw new SnapError('USAGE', `No replica at '${location}' is known`, { hint: '`snap replicate --status` shows the locations' });
  }
  if (globals.json) terminal.out(JSON.stringify({ message_type: 'replica_dropped', location }));
  else job.note(`What was known of the replica at ${location} was removed; the replica itself stays as it is`);
  return 'complete';
}
