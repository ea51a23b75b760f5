import { SnapError } from '../../base/errors.ts';
import { isIdText, parseSnapshotId, type SnapshotId } from '../../format/ids.ts';
import type { PackChoice } from '../../usecases/repair/damaged-packs.ts';
import { repairIndex } from '../../usecases/repair/repair-index.ts';
import { emptyQuarantine, repairPacks } from '../../usecases/repair/repair-packs.ts';
import { repairSnapshots } from '../../usecases/repair/repair-snapshots.ts';
import { sessionOwner, withOtherRepository, withRepository, type OpenRepository } from '../compose.ts';
import { engineFactory } from '../compose-engines.ts';
import { runJob, type Job } from '../job.ts';
import type { Result } from '../outcome.ts';
import { readFromCredential } from '../secrets.ts';
import { filterOf, findSnapshots } from '../snapshot-choice.ts';
import type { REPAIR_INDEX_FLAGS, REPAIR_PACKS_FLAGS, REPAIR_SNAPSHOTS_FLAGS } from '../upkeep-flags.ts';
import type { RunVerb, VerbContext } from '../verb.ts';

export const runRepairIndex: RunVerb<typeof REPAIR_INDEX_FLAGS> = context => runJob(context, job =>
  withRepository(context, job.context, async repository => {
    const { dryRun, full, readConcurrency } = context.flags;
    return job.show(await repairIndex(repository, { engines: engineFactory(readConcurrency), owner: sessionOwner(context), dryRun, full }, job.context));
  }));

type PacksContext = VerbContext<typeof REPAIR_PACKS_FLAGS>;

export const runRepairPacks: RunVerb<typeof REPAIR_PACKS_FLAGS> = context => {
  const choice = choiceOf(context);
  return runJob(context, job => withRepository(context, job.context, async (repository, main): Promise<Result> => {
    const { flags } = context;
    const options = { engines: engineFactory(flags.readConcurrency), owner: sessionOwner(context), dryRun: flags.dryRun };
    if (flags.emptyQuarantine) return job.show(await emptyQuarantine(repository, options, job.context));
    const repair = async (replica?: OpenRepository): Promise<Result> => job.show(await repairPacks(repository, { ...options, choice, replica }, job.context));
    if (flags.from === undefined) return repair();
    return withOtherRepository(context, job.context, { location: flags.from, credential: await readFromCredential(flags, main, context) }, repair);
  }));
};

/** @throws USAGE for words that contradict each other */
function choiceOf({ operands, flags: { readData, readDataSubset, emptyQuarantine, from } }: PacksContext): PackChoice {
  const ways = [operands.length > 0, readData, readDataSubset !== undefined].filter(way => way).length;
  if (ways > 1) throw new SnapError('USAGE', 'Packs that are named, --read-data and --read-data-subset exclude each other');
  if (emptyQuarantine && (ways > 0 || from !== undefined)) throw new SnapError('USAGE', '--empty-quarantine repairs nothing, so it goes alone');
  if (operands.length > 0) return { kind: 'named', names: operands };
  if (readDataSubset !== undefined) return { kind: 'sample', sample: readDataSubset };
  return { kind: readData ? 'all' : 'suspected' };
}

export const runRepairSnapshots: RunVerb<typeof REPAIR_SNAPSHOTS_FLAGS> = context => runJob(context, job =>
  withRepository(context, job.context, async repository => {
    const { dryRun, forget } = context.flags;
    const snapshots = await chosenSnapshots(context, repository, job);
    return job.show(await repairSnapshots(repository, { owner: sessionOwner(context), dryRun, forget, snapshots }, job.context));
  }));

/** Undefined: all. A full ID may be that of a record that cannot be read, so it is taken as it is. */
async function chosenSnapshots(
  { operands, flags }: VerbContext<typeof REPAIR_SNAPSHOTS_FLAGS>, repository: OpenRepository, job: Job,
): Promise<ReadonlySet<SnapshotId> | undefined> {
  const ids = operands.map(each => each.toLowerCase()).filter(isIdText);
  const names = operands.filter(each => !isIdText(each.toLowerCase()));
  const isFiltered = Object.values(filterOf(flags)).some(values => values !== undefined && values.length > 0);
  if (operands.length === 0 && !isFiltered) return undefined;
  const records = names.length > 0 || operands.length === 0 ? await findSnapshots(repository, names, flags, job.context) : [];
  return new Set([...ids.map(parseSnapshotId), ...records.map(({ id }) => id)]);
}
