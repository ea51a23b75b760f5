/** A writer, W1 to W9 (repository design, section 6.1), or its commit on a store without create-only PUT (10.1). */
import type { Configuration } from './configurations.ts';
import { holds, initialPacks, withName, without, withoutName, type Step, type Store, type Writer, type WriterStep } from './state.ts';
import { excludedPacks, indexedPacks } from './validity.ts';

export function newWriter(configuration: Configuration, index: number): Writer {
  return {
    kind: 'writer', index, step: opening(configuration)[0]!, sid: `s${index}.0`, attempt: 0, answerLost: false, excluded: [], present: {}, known: [],
  };
}

/** The order of these is the protocol. */
function opening({ features, mutation }: Configuration): readonly WriterStep[] {
  const order: WriterStep[] = mutation === 'gc-before-session' ? ['W2', 'W1', 'W4'] : mutation === 'packs-before-gc' ? ['W1', 'W4', 'W2'] : ['W1', 'W2', 'W4'];
  if (features.has('indexed')) order.splice(2, 0, 'W3');
  return order;
}

export function writerSteps(configuration: Configuration, store: Store, writer: Writer): Step<Writer>[] {
  const { features, mutation } = configuration;
  const { sid } = writer;
  const step = (label: string, next: Store, actor: Writer): Step<Writer> => ({ label: `W${writer.index}:${label}`, store: next, actor });
  const order = opening(configuration);
  const following = order[order.indexOf(writer.step) + 1] ?? 'W5';
  switch (writer.step) {
    case 'W1':
      return [step('register', { ...store, sessions: withName(store.sessions, sid) }, { ...writer, step: following })];
    case 'W2':
      return [step('list-gc', store, { ...writer, step: following, excluded: mutation === 'ignore-condemned' ? [] : excludedPacks(store.plans) })];
    case 'W3':
      return [step('list-index', store, { ...writer, step: following, known: indexedPacks(store) })];
    case 'W4': {
      const present = mutation === 'trust-stale-listing' ? initialPacks(features.has('duplicates')) : store.packs;
      return [step('list-packs', store, { ...writer, step: following, present })];
    }
    case 'W5':
      return [storeChunk(configuration, store, writer, step)];
    case 'W5-index': {
      const segments = { ...store.segments, [`I${writer.index}.${writer.attempt}`]: [`N${writer.index}.${writer.attempt}`] };
      return [step('write-index', { ...store, segments }, { ...writer, step: mutation === 'commit-before-index' ? 'W9' : 'W7' })];
    }
    case 'W7':
      return features.has('no-create-only') ? commitByFallback(configuration, store, writer, step) : commitCreateOnly(configuration, store, writer, step);
    case 'W7-check-revoked':
      if (!store.revoked.includes(sid)) return [step('check-revoked', store, { ...writer, step: 'W7-check-forgotten' })];
      return [recommit(configuration, { ...store, snapshots: without(store.snapshots, sid) }, writer, next => step('check-revoked', ...next))];
    case 'W7-check-forgotten':
      if (store.forgotten.includes(sid) && mutation !== 'skip-forgotten-check') return [recommit(configuration, store, writer, next => step('check-forgotten', ...next))];
      return [step('check-forgotten', ...report(store, writer))];
    case 'W9':
      return [step('end-session', { ...store, sessions: withoutName(store.sessions, sid) }, { ...writer, step: 'end' })];
    case 'end':
      return [];
  }
}

type MakeStep = (label: string, store: Store, actor: Writer) => Step<Writer>;

/** W5: refer to a usable pack that holds the chunk, else store it anew. */
function storeChunk({ features, mutation }: Configuration, store: Store, writer: Writer, step: MakeStep): Step<Writer> {
  const { present, excluded, known, index, attempt } = writer;
  const isUsable = (pack: string): boolean => !excluded.includes(pack) && (!features.has('indexed') || known.includes(pack));
  const isFound = Object.keys(present).some(pack => isUsable(pack) && holds(present[pack], 'a'));
  const idle: Writer = { ...writer, excluded: [], present: {}, known: [] };
  if (isFound) return step('deduplicate', store, { ...idle, step: 'W7' });
  const packs = mutation === 'reuse-pack-names' ? { ...store.packs, P1: initialPacks(features.has('duplicates'))['P1']! } : { ...store.packs, [`N${index}.${attempt}`]: 'a' };
  const isIndexedFirst = features.has('indexed') && mutation !== 'commit-before-index';
  return step('upload', { ...store, packs }, { ...idle, step: isIndexedFirst ? 'W5-index' : 'W7' });
}

/** W8: try once more under a new session ID. */
function recommit(configuration: Configuration, store: Store, writer: Writer, step: (next: [Store, Writer]) => Step<Writer>): Step<Writer> {
  const { index, sid, attempt } = writer;
  const ended = { ...store, sessions: withoutName(store.sessions, sid) };
  if (attempt === 1) return step([ended, { ...writer, step: 'end' }]);
  return step([ended, { ...writer, step: opening(configuration)[0]!, attempt: 1, sid: `s${index}.1` }]);
}

function report(store: Store, writer: Writer): [Store, Writer] {
  const told = store.forgotten.includes(writer.sid) ? 'too late' : 'saved';
  return [{ ...store, reported: { ...store.reported, [writer.sid]: told } }, { ...writer, step: 'W9' }];
}

function commitCreateOnly(configuration: Configuration, store: Store, writer: Writer, step: MakeStep): Step<Writer>[] {
  const { features, mutation } = configuration;
  const { sid } = writer;
  if (store.tombstones.includes(sid) && mutation !== 'commit-without-fence') return [recommit(configuration, store, writer, next => step('commit-refused', ...next))];
  if (!features.has('fine') && store.forgotten.includes(sid)) return [step('commit-found-forgotten', store, { ...writer, step: 'end' })];
  // A repeated create-only PUT finds its own bytes: the same state.
  const committed = { ...store, snapshots: { ...store.snapshots, [sid]: 'a' } };
  const after = mutation === 'commit-before-index' ? 'W5-index' : features.has('fine') ? 'W7-check-forgotten' : 'W9';
  const steps = [step('commit', committed, { ...writer, step: after })];
  if (mayLoseAnswer(configuration, writer)) steps.push(step('commit-answer-lost', committed, { ...writer, answerLost: true }));
  return steps;
}

function commitByFallback(configuration: Configuration, store: Store, writer: Writer, step: MakeStep): Step<Writer>[] {
  const placed = { ...store, snapshots: { ...store.snapshots, [writer.sid]: 'a' } };
  const isReported = configuration.mutation === 'report-before-check';
  const steps = [isReported ? step('put-snapshot', ...report(placed, writer)) : step('put-snapshot', placed, { ...writer, step: 'W7-check-revoked' })];
  if (mayLoseAnswer(configuration, writer)) {
    const [store, actor] = isReported ? report(placed, writer) : [placed, writer];
    steps.push(step('put-snapshot-answer-lost', store, { ...actor, step: 'W7', answerLost: true }));
  }
  return steps;
}

function mayLoseAnswer({ features }: Configuration, writer: Writer): boolean {
  return features.has('lost-answers') && !writer.answerLost;
}
