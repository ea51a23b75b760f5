/** The second half of a prune, P7 to P9 and the consolidation of the index (repository design, section 7). */
import type { Configuration, Feature, Mutation } from './configurations.ts';
import { chunksOf, holds, namesOf, without, type Names, type Plan, type Pruner, type PrunerStep, type Step, type Store } from './state.ts';
import { excludedPacks, indexedPacks, sweptPacks, validSnapshots } from './validity.ts';

export interface SweepParts {
  readonly configuration: Configuration;
  readonly store: Store;
  readonly pruner: Pruner;
  readonly step: (label: string, store: Store, actor: Pruner) => Step<Pruner>;
  readonly features: ReadonlySet<Feature>;
  readonly mutation: Mutation | undefined;
}

export function sweepSteps(parts: SweepParts, afterCleanUp: () => Pruner): Step<Pruner>[] {
  const { configuration, store, pruner, step, mutation } = parts;
  switch (pruner.step) {
    case 'P7-forgotten':
      return [step('list-forgotten', store, { ...pruner, forgottenSeen: store.forgotten, step: 'P7-snapshots' })];
    case 'P7-snapshots':
      return [step('list-snapshots-again', store, listSnapshotsAgain(parts))];
    case 'P7-pins':
      return [step('list-pins', store, listPins(parts))];
    case 'P7-index':
      return [step('list-index-again', store, { ...pruner, indexed: indexedPacks(store), step: afterIndex(configuration) })];
    case 'P8-gc':
      return [step('list-gc-again', store, { ...pruner, gone: packsThatDoNotCount(parts), step: mutation === 'sweep-packs-before-gc' ? 'P8-compute' : 'P8-packs' })];
    case 'P8-packs':
      return [step('list-packs-again', store, { ...pruner, existing: store.packs, step: mutation === 'sweep-packs-before-gc' ? 'P8-gc' : 'P8-compute' })];
    case 'P8-compute':
      return [step('compute-F', store, { ...pruner, sweep: computeSweep(parts), live: '', gone: [], existing: {}, indexed: [], condemned: [], step: 'P8-publish' })];
    case 'P8-publish':
      return publishSweep(parts);
    case 'P8-check':
      return [step('check-plan', store, { ...pruner, sweep: [], todo: mutation === 'trust-late-sweep' ? pruner.sweep : [], step: 'P9' })];
    case 'P9':
      return [deleteNext(parts)];
    case 'clean-up':
      return [step('clean-up', cleanUp(parts), afterCleanUp())];
    default:
      return consolidationSteps(parts);
  }
}

export function firstOfP7({ features, mutation }: Configuration): PrunerStep {
  if (features.has('reader') && mutation === 'pins-before-snapshots') return 'P7-pins';
  return features.has('fine') ? 'P7-forgotten' : 'P7-snapshots';
}

export function firstOfP8(configuration: Configuration): PrunerStep {
  return configuration.features.has('indexed') ? 'P7-index' : afterIndex(configuration);
}

function afterIndex({ features, mutation }: Configuration): PrunerStep {
  if (!features.has('fine')) return 'P8-compute';
  return mutation === 'sweep-packs-before-gc' ? 'P8-packs' : 'P8-gc';
}

const afterP7 = (configuration: Configuration): PrunerStep => configuration.mutation === 'relist-before-resolve' ? 'P6' : firstOfP8(configuration);

function listSnapshotsAgain({ configuration, store, pruner, features, mutation }: SweepParts): Pruner {
  const found = validSnapshots(configuration, store, features.has('fine') ? pruner.forgottenSeen : store.forgotten);
  const seen = mutation === 'no-second-listing' ? [store.snapshots['K'] ?? ''] : Object.values(found);
  const step = features.has('reader') && mutation !== 'pins-before-snapshots' ? 'P7-pins' : afterP7(configuration);
  return { ...pruner, live: chunksOf([...seen, pruner.pinned]), pinned: '', forgottenSeen: [], step };
}

function listPins({ configuration, store, pruner, features, mutation }: SweepParts): Pruner {
  const pins = Object.values(store.pins);
  if (mutation === 'pins-before-snapshots') return { ...pruner, pinned: pins.join(''), step: features.has('fine') ? 'P7-forgotten' : 'P7-snapshots' };
  return { ...pruner, live: chunksOf([pruner.live, ...pins]), step: afterP7(configuration) };
}

function packsThatDoNotCount({ store, pruner, mutation }: SweepParts): Names {
  return mutation === 'naive-sweep' ? namesOf(store.plans[pruner.plan]?.condemned ?? []) : excludedPacks(store.plans);
}

/** P8: F = condemned packs whose every live chunk has a copy in an existing pack outside all plans. */
function computeSweep(parts: SweepParts): Names {
  const { store, pruner, features, mutation } = parts;
  const condemned = mutation === 'assume-published' ? pruner.condemned : store.plans[pruner.plan]?.condemned ?? [];
  const gone = features.has('fine') ? pruner.gone : packsThatDoNotCount(parts);
  const existing = features.has('fine') ? pruner.existing : store.packs;
  const mustBeIndexed = features.has('indexed') && mutation !== 'count-unindexed-copies';
  const counting = Object.keys(existing).filter(pack => !gone.includes(pack) && (!mustBeIndexed || pruner.indexed.includes(pack)));
  const isNeededHere = (chunk: string): boolean => pruner.live.includes(chunk) && !counting.some(pack => holds(existing[pack], chunk));
  return condemned.filter(pack => ![...existing[pack] ?? ''].some(isNeededHere));
}

/** The first sweep document of a plan counts. With `lost-gc-answers` the writer of one may have to try again. */
function publishSweep({ store, pruner, step, features, mutation }: SweepParts): Step<Pruner>[] {
  const plan = store.plans[pruner.plan];
  if (plan === undefined && features.has('late-sweeps')) return [step('publish-late-sweep', store, { ...pruner, step: 'P8-check' })];
  const sweep = plan?.sweep ?? (plan === undefined ? [] : pruner.sweep); // A removed plan has nothing left to delete.
  const written = plan === undefined ? store : withPlan(store, pruner.plan, { ...plan, sweep });
  const todo = mutation === 'no-sweep-document' ? pruner.sweep : sweep;
  const steps = [step('publish-sweep', written, { ...pruner, sweep: [], todo, step: 'P9' })];
  if (features.has('lost-gc-answers') && !pruner.answerLost) steps.push(step('publish-sweep-answer-lost', written, { ...pruner, answerLost: true }));
  return steps;
}

function deleteNext({ store, pruner, step, features, mutation }: SweepParts): Step<Pruner> {
  const [pack, ...todo] = pruner.todo;
  if (pack !== undefined) return step(`delete(${pack})`, { ...store, packs: without(store.packs, pack) }, { ...pruner, todo });
  const plan = store.plans[pruner.plan];
  const done = plan === undefined ? store : withPlan(store, pruner.plan, { ...plan, done: true });
  const after = !features.has('indexed') ? 'clean-up' : mutation === 'drop-unlisted-entries' ? 'consolidate-packs' : 'consolidate-list';
  return step('done', done, { ...pruner, step: after });
}

/**
 * All segments become one without the packs that are or will be deleted, and only those: it is written first, then the old
 * ones go. A reader that misses a listed segment lists again, so that loading the index is one step here.
 */
function consolidationSteps({ store, pruner, step, mutation }: SweepParts): Step<Pruner>[] {
  const merged = `M${pruner.index}.${pruner.cycle}`;
  switch (pruner.step) {
    case 'consolidate-packs':
      return [step('list-packs-for-index', store, { ...pruner, existing: store.packs, step: 'consolidate-list' })];
    case 'consolidate-list': {
      const dropped = sweptPacks(store.plans);
      const isDropped = (pack: string): boolean => mutation === 'drop-unlisted-entries' ? pruner.existing[pack] === undefined : dropped.includes(pack);
      const merging = indexedPacks(store).filter(pack => !isDropped(pack));
      const next = mutation === 'remove-before-merge' ? 'consolidate-delete' : 'consolidate-put';
      return [step('read-index', store, { ...pruner, merging, superseded: namesOf(Object.keys(store.segments)), existing: {}, step: next })];
    }
    case 'consolidate-put':
      return [step('write-merged', { ...store, segments: { ...store.segments, [merged]: pruner.merging } }, { ...pruner, merging: [], step: 'consolidate-delete' })];
    default: {
      const [segment, ...superseded] = pruner.superseded;
      if (segment === undefined) return [step('index-done', store, { ...pruner, step: mutation === 'remove-before-merge' && pruner.merging.length > 0 ? 'consolidate-put' : 'clean-up' })];
      return [step(`delete(${segment})`, { ...store, segments: without(store.segments, segment) }, { ...pruner, superseded })];
    }
  }
}

function cleanUp({ store, pruner, features, mutation }: SweepParts): Store {
  const kept = mutation === 'drop-tombstones' ? { ...store, tombstones: [] } : store;
  if (mutation === 'reuse-gc-numbers') return { ...kept, plans: without(kept.plans, String(pruner.plan)) };
  if (!features.has('remove-docs') || kept.plans[pruner.plan] === undefined) return kept;
  return { ...kept, plans: without(kept.plans, String(pruner.plan)), removedPlans: namesOf([...kept.removedPlans, String(pruner.plan)]) };
}

function withPlan(store: Store, number: number, plan: Plan): Store {
  return { ...store, plans: { ...store.plans, [number]: plan } };
}
