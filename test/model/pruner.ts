/** A pruner, P1 to P6 (repository design, section 7); what follows is in `sweep.ts`. */
import type { Configuration } from './configurations.ts';
import { chunksOf, holds, withName, without, type Names, type Pruner, type Step, type Store } from './state.ts';
import { firstOfP7, firstOfP8, sweepSteps } from './sweep.ts';
import { indexedPacks, sweptPacks, validSnapshots } from './validity.ts';

const IDLE: Omit<Pruner, 'kind' | 'index' | 'step'> = {
  retries: 0, cycle: 0, plan: 0, isResuming: false, swept: [], needed: '', condemned: [], unresolved: [], isRevoking: false, answerLost: false,
  forgottenSeen: [], pinned: '', live: '', gone: [], existing: {}, sweep: [], todo: [], indexed: [], merging: [], superseded: [],
};

export function newPruner({ features }: Configuration, index: number): Pruner {
  return { ...IDLE, kind: 'pruner', index, step: index === 0 && !features.has('duplicates') ? 'P2' : 'P1' };
}

export type MakeStep = (label: string, store: Store, actor: Pruner) => Step<Pruner>;

export function prunerSteps(configuration: Configuration, store: Store, pruner: Pruner): Step<Pruner>[] {
  const { features, mutation } = configuration;
  const step: MakeStep = (label, next, actor) => ({ label: `Q${pruner.index}:${label}`, store: next, actor });
  switch (pruner.step) {
    case 'P2':
      return [forget(configuration, store, 'S0', (label, next, isDone) => step(label, next, isDone ? { ...pruner, step: 'P1' } : pruner))];
    case 'P1':
      return [step('list-gc', store, chooseNumber(configuration, store, pruner))];
    case 'P3-list':
      return listRoots(configuration, store, pruner, step);
    case 'P3-plan':
      return planSteps(configuration, store, pruner, step);
    case 'P3-index': {
      const segments = { ...store.segments, [`J${pruner.index}.${pruner.cycle}.${pruner.retries}`]: pruner.merging };
      return [step('write-index', { ...store, segments }, { ...pruner, merging: [], step: 'P4' })];
    }
    case 'P4':
      return publishSteps(configuration, store, pruner, step);
    case 'P4-check': {
      const isOwn = mutation === 'assume-published' || store.plans[pruner.plan]?.author === authorOf(pruner);
      return [step('read-plan', store, isOwn ? published(configuration, pruner) : refused(pruner))];
    }
    case 'P5': {
      const next = mutation === 'sessions-before-publish' && !pruner.isResuming ? 'P4' : mutation === 'relist-before-resolve' ? firstOfP7(configuration) : 'P6';
      return [step('list-sessions', store, { ...pruner, unresolved: store.sessions, step: next })];
    }
    case 'P6':
      return [resolve(configuration, store, pruner, step)];
    case 'end':
      return [];
    default:
      return sweepSteps({ configuration, store, pruner, step, features, mutation }, () => afterCleanUp(pruner));
  }
}

/** P2: the permanent marker, then the record; with `fine`, these are two steps. */
function forget({ features, mutation }: Configuration, store: Store, sid: string, step: (label: string, next: Store, isDone: boolean) => Step<Pruner>): Step<Pruner> {
  const marked = mutation === 'forget-by-delete' ? store : { ...store, forgotten: withName(store.forgotten, sid) };
  const removed = (from: Store): Store => ({ ...from, snapshots: without(from.snapshots, sid) });
  if (!features.has('fine')) return step(`forget(${sid})`, removed(marked), true);
  if (!store.forgotten.includes(sid) && mutation !== 'forget-by-delete') return step(`mark-forgotten(${sid})`, marked, false);
  return step(`delete-record(${sid})`, removed(store), true);
}

/** P1: resume the unfinished plan, or take the next number. */
function chooseNumber({ features }: Configuration, store: Store, pruner: Pruner): Pruner {
  const isSerialized = !features.has('unserialized');
  const numbers = Object.keys(store.plans).map(Number);
  const unfinished = isSerialized ? numbers.find(number => store.plans[number]!.done === undefined) : undefined;
  if (unfinished !== undefined) {
    const { sweep } = store.plans[unfinished]!;
    return { ...pruner, plan: unfinished, isResuming: true, step: sweep === undefined ? 'P5' : 'P9', todo: sweep ?? [] };
  }
  const highest = Math.max(0, ...numbers, ...store.removedPlans.map(Number));
  const plan = isSerialized ? highest + 1 : 100 + pruner.index * 10 + pruner.cycle;
  return { ...pruner, plan, isResuming: false, swept: sweptPacks(store.plans), step: 'P3-list' };
}

function listRoots(configuration: Configuration, store: Store, pruner: Pruner, step: MakeStep): Step<Pruner>[] {
  const { features } = configuration;
  const fresh = features.has('forget-fresh') ? Object.keys(store.snapshots).filter(sid => sid.startsWith('s')) : [];
  const indexed = features.has('indexed') ? indexedPacks(store) : [];
  const listed: Pruner = { ...pruner, needed: chunksOf(Object.values(validSnapshots(configuration, store))), indexed, step: 'P3-plan' };
  return [...fresh.map(sid => forget(configuration, store, sid, (label, next) => step(label, next, pruner))), step('list-snapshots', store, listed)];
}

/** P3: any set of packs; a replacement pack comes first, for live chunks that have no other copy. */
function planSteps({ features, mutation }: Configuration, store: Store, pruner: Pruner, step: MakeStep): Step<Pruner>[] {
  const { index, cycle, retries, swept, needed, indexed } = pruner;
  const candidates = Object.keys(store.packs).filter(pack => !swept.includes(pack)).sort();
  const counting = features.has('indexed') && mutation !== 'count-unindexed-copies' ? candidates.filter(pack => indexed.includes(pack)) : candidates;
  const hasCopyOutside = (chunk: string, condemned: Names): boolean => counting.some(pack => !condemned.includes(pack) && holds(store.packs[pack], chunk));
  const planned: Pruner = { ...pruner, step: mutation === 'sessions-before-publish' ? 'P5' : 'P4', swept: [], needed: '', indexed: [] };
  const steps: Step<Pruner>[] = [];
  for (const condemned of subsetsOf(candidates)) {
    const moving = [...needed].filter(chunk => !hasCopyOutside(chunk, condemned));
    const isMissing = moving.some(chunk => !hasCopyOutside(chunk, []));
    // Fail closed when something is missing already; and `duplicates` is without repacking.
    if (condemned.length === 0 || isMissing || (moving.length > 0 && features.has('duplicates'))) continue;
    const label = `plan(${condemned.join()})`;
    if (moving.length === 0) {
      steps.push(step(label, store, { ...planned, condemned }));
      continue;
    }
    const replacement = `R${index}.${cycle}.${retries}`;
    const packed: Store = { ...store, packs: { ...store.packs, [replacement]: moving.join('') } };
    steps.push(step(label, packed, features.has('indexed') ? { ...planned, condemned, merging: [replacement], step: 'P3-index' } : { ...planned, condemned }));
  }
  return [...steps, step('nothing-to-do', store, ended(pruner))];
}

function subsetsOf(names: Names): Names[] {
  return names.reduce<Names[]>((sets, name) => [...sets, ...sets.map(set => [...set, name])], [[]]);
}

/** P4. With `lost-gc-answers` the answer may be lost, whether the plan was written or refused. */
function publishSteps(configuration: Configuration, store: Store, pruner: Pruner, step: MakeStep): Step<Pruner>[] {
  const { features } = configuration;
  const isTaken = store.plans[pruner.plan] !== undefined || store.removedPlans.includes(String(pruner.plan));
  const author = features.has('lost-gc-answers') ? authorOf(pruner) : '';
  const written = isTaken ? store : { ...store, plans: { ...store.plans, [pruner.plan]: { condemned: pruner.condemned, author } } };
  const steps = [step('publish-plan', written, isTaken ? refused(pruner) : published(configuration, pruner))];
  if (features.has('lost-gc-answers') && !pruner.answerLost) steps.push(step('publish-plan-answer-lost', written, { ...pruner, answerLost: true, step: 'P4-check' }));
  return steps;
}

const authorOf = ({ index, cycle, retries }: Pruner): string => `Q${index}.${cycle}.${retries}`;

/** What it condemned stands in the store now; only the mistake of `assume-published` trusts its own memory instead. */
function published(configuration: Configuration, pruner: Pruner): Pruner {
  const { mutation } = configuration;
  const condemned = mutation === 'assume-published' ? pruner.condemned : [];
  const step = mutation === 'ignore-sessions' ? firstOfP7(configuration) : mutation === 'sessions-before-publish' ? 'P6' : 'P5';
  return { ...pruner, condemned, step };
}

/** Another plan has the number: this one is forgotten, and P1 begins anew. */
function refused(pruner: Pruner): Pruner {
  if (pruner.retries > 0) return ended(pruner);
  return { ...pruner, condemned: [], unresolved: [], retries: 1, step: 'P1' };
}

/** P6: afterwards every session that may use a condemned pack is committed or can never commit. */
function resolve(configuration: Configuration, store: Store, pruner: Pruner, step: MakeStep): Step<Pruner> {
  const [sid, ...unresolved] = pruner.unresolved;
  if (sid === undefined) return step('all-resolved', store, { ...pruner, step: configuration.mutation === 'relist-before-resolve' ? firstOfP8(configuration) : firstOfP7(configuration) });
  const isCommitted = store.snapshots[sid] !== undefined;
  if (!configuration.features.has('no-create-only')) {
    return step(`resolve(${sid})`, isCommitted ? store : { ...store, tombstones: withName(store.tombstones, sid) }, { ...pruner, unresolved });
  }
  if (!pruner.isRevoking) return step(`revoke(${sid})`, { ...store, revoked: withName(store.revoked, sid) }, { ...pruner, isRevoking: true });
  return step(`decide(${sid})`, isCommitted ? store : { ...store, rejected: withName(store.rejected, sid) }, { ...pruner, isRevoking: false, unresolved });
}

/** A pruner that resumed a plan may still make one of its own. */
function afterCleanUp(pruner: Pruner): Pruner {
  const cycle = pruner.cycle + 1;
  return cycle < (pruner.isResuming ? 2 : 1) ? { ...ended(pruner), step: 'P1', cycle } : ended(pruner);
}

function ended(pruner: Pruner): Pruner {
  return { ...IDLE, kind: 'pruner', index: pruner.index, step: 'end' };
}

