/** The objects that are damaged, one by one: those of a golden repository that goes on being used, and some that a run or a prune leaves. */
import { systemClock } from '../../../src/base/ambient.ts';
import { utf8 } from '../../../src/base/bytes.ts';
import { MemoryBackend, type MemoryState } from '../../../src/backend/memory.ts';
import { openMemoryCache } from '../../../src/cache/memory-cache.ts';
import { frameRecordAt } from '../../../src/format/frame.ts';
import { encodeDone, encodePlan, encodeSweep, packPackIds } from '../../../src/format/gc-documents.ts';
import { OBJECT_TYPES, type ObjectType } from '../../../src/format/header.ts';
import { parseRunId, parseSessionId, type PackId, type SnapshotId } from '../../../src/format/ids.ts';
import { encodeSession } from '../../../src/format/session.ts';
import { encodeForgotten } from '../../../src/format/tombstone.ts';
import { forgottenName, gcDoneName, gcPlanName, gcSweepName, sessionName } from '../../../src/format/object-names.ts';
import { openRepository } from '../../../src/repository/open-repository.ts';
import type { OpenRepository } from '../../../src/repository/opened-repository.ts';
import { establishView } from '../../../src/repository/session-view.ts';
import { loadSnapshots, type SnapshotRecord } from '../../../src/repository/snapshots.ts';
import { goldenBackend, goldenCredential, goldenRecord, goldenState } from '../../support/golden.ts';
import { backupPath, kernel, OWNER } from '../../support/memory-repository.ts';
import { restoreTo } from '../../support/read-jobs.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

const RECORD = goldenRecord('format-1-suite-1');
/** Opens with the same key, so that only the format tells the two repositories apart. */
export const OTHER_REPOSITORY: MemoryState = goldenState('format-1-suite-2');

export interface Victim {
  readonly title: string;
  readonly name: string;
  /** Everything else that is there, and the object itself. */
  readonly state: MemoryState;
  /** Another object of its kind. */
  readonly other?: string | undefined;
  /** One of its kind in another repository. */
  readonly foreign?: string | undefined;
  /** A name of its kind that no object has. */
  readonly freeName: string;
  /** Where single bits are flipped. */
  readonly places: readonly (readonly [what: string, offset: number])[];
  /** Which snapshot is restored: one that needs the object, if any does. */
  readonly restored: 'golden' | 'newest';
}

export interface Base {
  readonly state: MemoryState;
  /** What is backed up again after each damage; the newest snapshot is of it. */
  readonly source: string;
  readonly oldestSnapshot: SnapshotId;
  readonly goldenSnapshot: SnapshotId;
  readonly newestSnapshot: SnapshotId;
  readonly repository: OpenRepository;
}

/** Random, but the same in every run. */
const ID = 'c0ffee'.padEnd(32, '0');

export function reopenState(backend: MemoryBackend): Promise<OpenRepository> {
  return openRepository(backend, goldenCredential(RECORD), { kernel, clock: systemClock, random: new SeededRandom(77) }, async () => openMemoryCache());
}

/** A golden repository in use: its tree was restored to `source` and backed up again. */
export async function makeBase(source: string): Promise<Base> {
  const backend = goldenBackend('format-1-suite-1');
  const repository = await reopenState(backend);
  const [first, second] = (await loadSnapshots(repository)).snapshots as [SnapshotRecord, SnapshotRecord];
  const goldenSnapshot = second.id;
  await restoreTo(repository, source, { snapshot: goldenSnapshot, path: RECORD.sourcePath, setsOwner: false });
  const { snapshotId } = await backupPath(repository, source, { owner: { ...OWNER, hostId: second.snapshot.hostId } });
  await establishView(repository);
  return { state: backend.snapshotState(), source, oldestSnapshot: first.id, goldenSnapshot, newestSnapshot: snapshotId! as SnapshotId, repository };
}

export function victimsOf(base: Base): Victim[] {
  const { state } = base;
  const named = (prefix: string, from = state): string[] => [...from.keys()].filter(name => name.startsWith(prefix)).sort(bySize(from));
  const [slots, dataPacks, treePacks, segments, snapshots] = ['keys/', 'packs/d/', 'packs/t/', 'index/', 'snapshots/'].map(prefix => named(prefix)) as [string[], string[], string[], string[], string[]];
  const foreign = (prefix: string): string => named(prefix, OTHER_REPOSITORY)[0]!;
  const sealed = (title: string, name: string, others: readonly string[], freeName: string, more: Partial<Victim> = {}): Victim => {
    const holder = more.state ?? state;
    const prefix = name.slice(0, name.indexOf('/') + 1);
    return {
      title, name, state: holder, freeName, other: others.find(each => each !== name), restored: 'golden',
      foreign: prefix === '' ? name : foreign(prefix), places: placesInObject(holder.get(name)!.bytes.length), ...more,
    };
  };
  const pack = (title: string, name: string, others: readonly string[], restored: Victim['restored']): Victim =>
    sealed(title, name, others, `${name.slice(0, 8)}c0/${ID}`, { foreign: foreign(name.slice(0, 8)), places: placesInPack(base.repository, name), restored });
  const newestTree = newest(base, treePacks);
  return [
    sealed('config', 'config', [], 'config.old'),
    sealed('key slot that is used', slotOf(base), slots, `keys/${ID}`, { places: placesInSlot(state.get(slotOf(base))!.bytes.length) }),
    sealed('key slot of somebody else', slots.find(name => name !== slotOf(base))!, slots, `keys/${ID}`, { places: [] }),
    sealed('keyring', 'keyring/0000000001', [], 'keyring/0000000002'),
    pack('data pack', dataPacks[0]!, dataPacks, 'golden'),
    pack('tree pack of older snapshots', treePacks.find(name => name !== newestTree)!, treePacks, 'golden'),
    pack('tree pack of the newest snapshot', newestTree, treePacks, 'newest'),
    sealed('index segment', segments[0]!, segments, `index/${ID}`),
    sealed('snapshot', `snapshots/${base.goldenSnapshot}`, snapshots, `snapshots/${ID}`),
    ...leftovers(base, sealed),
  ];
}

/** What a run or a prune leaves: made here, since no golden repository has it yet. */
function leftovers(base: Base, sealed: (title: string, name: string, others: readonly string[], freeName: string, more: Partial<Victim>) => Victim): Victim[] {
  const [a, b] = ['ab'.repeat(16), 'cd'.repeat(16)].map(parseSessionId) as [ReturnType<typeof parseSessionId>, ReturnType<typeof parseSessionId>];
  const session = encodeSession({ ...OWNER, kind: 'writer', startedAt: 1, pins: [] });
  const plan = encodePlan({ packs: packPackIds(['ee'.repeat(16) as PackId]), createdAt: 1, runId: parseRunId('12'.repeat(16)) });
  const forgotten = encodeForgotten({ reason: 'test', createdAt: 1 });
  const done = encodeDone({ createdAt: 2 });
  const sweep = encodeSweep({ packs: packPackIds(['ee'.repeat(16) as PackId]), planDigest: new Uint8Array(32), createdAt: 2 });
  const withObjects = (...objects: readonly (readonly [string, ObjectType, Uint8Array])[]): MemoryState => {
    const made = objects.map(([name, type, body]) => [name, { bytes: base.repository.objects.seal(name, type, body), storedAt: systemClock.now() }] as const);
    return new Map([...base.state, ...made]);
  };
  const { plan: planType, done: doneType } = OBJECT_TYPES;
  const stray = new Map([...base.state, ['packs/README', { bytes: utf8('not ours\n'), storedAt: systemClock.now() }] as const]);
  return [
    sealed('session', sessionName(a), [sessionName(b)], `sessions/${ID}`, {
      state: withObjects([sessionName(a), OBJECT_TYPES.session, session], [sessionName(b), OBJECT_TYPES.session, session]), foreign: undefined,
    }),
    sealed('gc plan that is not done', gcPlanName(1), [gcPlanName(2)], gcPlanName(3), {
      state: withObjects([gcPlanName(1), planType, plan], [gcPlanName(2), planType, plan], [gcDoneName(2), doneType, done]), foreign: undefined,
    }),
    sealed('gc sweep', gcSweepName(1), [gcSweepName(2)], gcSweepName(3), {
      state: withObjects([gcPlanName(1), planType, plan], [gcSweepName(1), OBJECT_TYPES.sweep, sweep], [gcPlanName(2), planType, plan], [gcSweepName(2), OBJECT_TYPES.sweep, sweep]),
      foreign: undefined,
    }),
    sealed('gc done', gcDoneName(1), [gcDoneName(2)], gcDoneName(3), {
      state: withObjects([gcPlanName(1), planType, plan], [gcDoneName(1), doneType, done], [gcPlanName(2), planType, plan], [gcDoneName(2), doneType, done]),
      foreign: undefined,
    }),
    sealed('forgotten marker', forgottenName(a), [forgottenName(b)], `forgotten/${ID}`, {
      state: withObjects([forgottenName(a), OBJECT_TYPES.forgotten, forgotten], [forgottenName(b), OBJECT_TYPES.forgotten, forgotten]), foreign: undefined,
    }),
    sealed('forgotten marker of a snapshot that is there', forgottenName(base.oldestSnapshot), [forgottenName(b)], forgottenName(base.goldenSnapshot), {
      state: withObjects([forgottenName(base.oldestSnapshot), OBJECT_TYPES.forgotten, forgotten], [forgottenName(b), OBJECT_TYPES.forgotten, forgotten]),
      foreign: undefined,
    }),
    sealed('stray file', 'packs/README', [], 'packs/README.old', { state: stray, foreign: undefined, places: [] }),
  ];
}

function bySize(state: MemoryState): (a: string, b: string) => number {
  return (a, b) => state.get(b)!.bytes.length - state.get(a)!.bytes.length || (a < b ? -1 : 1);
}

function slotOf({ repository }: Base): string {
  return `keys/${repository.slotId}`;
}

function newest({ repository }: Base, names: readonly string[]): string {
  const golden = goldenState('format-1-suite-1');
  const found = names.find(name => !golden.has(name));
  if (found === undefined) throw new Error(`The newest snapshot of ${repository.id} added none of ${names.join()}`);
  return found;
}

const HEADER_PLACES = [['magic', 0], ['version', 4], ['suite', 5], ['type', 6], ['flags', 7], ['epoch', 8], ['ID', 12], ['salt or nonce', 28], ['length', 60]] as const;

function placesInObject(sizeBytes: number): Victim['places'] {
  return [...HEADER_PLACES, ['content', 64 + ((sizeBytes - 80) >> 1)], ['tag', sizeBytes - 1]];
}

function placesInSlot(sizeBytes: number): Victim['places'] {
  return [...placesInObject(sizeBytes), ['length of the parameters', 64], ['name of the derivation', 72], ['key-check value', 68 + 40]];
}

function placesInPack({ cache }: OpenRepository, name: string): Victim['places'] {
  const record = [...cache.chunks.packs()].find(pack => name.endsWith(pack.id))!;
  const frames = Array.from({ length: record.frames.length / 16 }, (_, i) => frameRecordAt(record.frames, i));
  const tableBytes = frames.reduce((least, frame) => Math.min(least, frame.offset), Number.POSITIVE_INFINITY) - 64;
  const largest = frames.toSorted((a, b) => b.chunkCount - a.chunkCount)[0]!;
  const padding = frames.find(frame => frame.chunkCount === 0);
  const end = record.sizeBytes;
  return [
    ...HEADER_PLACES, ['front table', 64 + (tableBytes >> 1)], ['frame', largest.offset + (largest.storedLength >> 1)],
    ...(padding === undefined ? [] : [['padding', padding.offset + (padding.storedLength >> 1)] as const]),
    ['back table', end - 80 - (tableBytes >> 1)], ['version at the end', end - 76], ['salt at the end', end - 52], ['total length', end - 16], ['end mark', end - 1],
  ];
}
