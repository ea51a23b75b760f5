/** The objects that are damaged, one by one: those of a golden repository that goes on being used, and some that a run or a prune leaves. */
import { systemClock } from '../../../src/base/ambient.ts';
import { utf8 } from '../../../src/base/bytes.ts';
import { MemoryBackend, type MemoryState } from '../../../src/backend/memory.ts';
import { openMemoryCache } from '../../../src/cache/memory-cache.ts';
import { frameRecordAt } from '../../../src/format/frame.ts';
import { encodeDone, encodePlan, encodeSweep, packPackIds } from '../../../src/format/gc-documents.ts';
import { OBJECT_TYPES, type ObjectType } from '../../../src/format/header.ts';
import { parseRunId, parseSessionId, type PackId, type SnapshotId } from '../../../src/format/ids.ts';
import { forgottenName, gcDoneName, gcPlanName, gcSweepName, sessionName } from '../../../src/format/object-names.ts';
import { encodeSession } from '../../../src/format/session.ts';
import { encodeForgotten } from '../../../src/format/tombstone.ts';
import { openRepository } from '../../../src/repository/open-repository.ts';
import type { OpenRepository } from '../../../src/repository/opened-repository.ts';
import { establishView } from '../../../src/repository/session-view.ts';
import { loadSnapshots, type SnapshotRecord } from '../../../src/repository/snapshots.ts';
import { compilePatterns } from '../../../src/sources/path-patterns.ts';
import type { PathMatcher } from '../../../src/usecases/restore/selection.ts';
import { goldenBackend, goldenCredential, goldenRecord, goldenState } from '../../support/golden.ts';
import { addParity } from '../../../src/usecases/parity.ts';
import { verify } from '../../../src/usecases/verify/verify.ts';
import { backupPath, engines, kernel, OWNER } from '../../support/memory-repository.ts';
import { restoreTo } from '../../support/read-jobs.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { recordTree, type RecordedTree } from '../generate/record-tree.mjs';

const RECORD = goldenRecord('format-1-suite-1');
/** Opens with the same key, so that only the format tells the two repositories apart. */
export const OTHER_REPOSITORY: MemoryState = goldenState('format-1-suite-2');
/** Not every file system takes these attributes, and so many links only take time. */
export const EXCLUDE: PathMatcher = compilePatterns([{ text: utf8('attributes') }, { text: utf8('many links') }]);

/** Where a single bit is flipped; `isTwice`: the same stands at another place. */
export interface Place {
  readonly what: string;
  readonly offset: number;
  readonly isTwice: boolean;
}

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
  readonly places: readonly Place[];
  /** Without parts that can be damaged by themselves. */
  readonly isSmall: boolean;
  /** Which snapshot is restored: one that needs the object, if any does. */
  readonly restored: 'golden' | 'newest';
}

export interface Base {
  readonly state: MemoryState;
  /** What is backed up again after each damage; the newest snapshot is of it. */
  readonly source: string;
  readonly tree: RecordedTree;
  readonly oldestSnapshot: SnapshotId;
  readonly goldenSnapshot: SnapshotId;
  readonly newestSnapshot: SnapshotId;
  readonly repository: OpenRepository;
  /** The same with parity, and two ledgers of earlier checks. */
  readonly withExtras: MemoryState;
}

/** As good as random, but no object has it. */
const ID = 'c0ffee'.padEnd(32, '0');

export function reopenState(backend: MemoryBackend, cache = openMemoryCache(), seed = 77): Promise<OpenRepository> {
  return openRepository(backend, goldenCredential(RECORD), { kernel, clock: systemClock, random: new SeededRandom(seed) }, async () => cache);
}

/** A golden repository in use: its tree was restored to `source` and backed up again, by the same host. */
export async function makeBase(source: string): Promise<Base> {
  const backend = goldenBackend('format-1-suite-1');
  const repository = await reopenState(backend);
  const [first, second] = (await loadSnapshots(repository)).snapshots as [SnapshotRecord, SnapshotRecord];
  await restoreTo(repository, source, { snapshot: second.id, path: RECORD.sourcePath, setsOwner: false, exclude: EXCLUDE });
  const { snapshotId } = await backupPath(repository, source, { owner: { ...OWNER, hostId: second.snapshot.hostId } });
  await establishView(repository);
  const state = backend.snapshotState();
  await addParity(repository, { share: 0.1, dryRun: false, verify: false });
  for (let i = 0; i < 2; i++) await verify(repository, { engines, owner: OWNER, readData: true });
  return {
    state, withExtras: backend.snapshotState(), source, tree: recordTree(source), oldestSnapshot: first.id, goldenSnapshot: second.id,
    newestSnapshot: snapshotId! as SnapshotId, repository,
  };
}

export function victimsOf(base: Base): Victim[] {
  const golden = goldenState('format-1-suite-1');
  const named = (prefix: string, from = golden): string[] => [...from.keys()].filter(name => name.startsWith(prefix)).sort(bySize(from));
  const foreign = (prefix: string): string => named(prefix, OTHER_REPOSITORY)[0]!;
  const slot = `keys/${base.repository.slotId}`;
  const [slots, dataPacks, treePacks, segments, snapshots] = ['keys/', 'packs/d/', 'packs/t/', 'index/', 'snapshots/'].map(prefix => named(prefix)) as [string[], string[], string[], string[], string[]];
  const newestTree = [...base.state.keys()].find(name => name.startsWith('packs/t/') && !golden.has(name))!;
  const object = (title: string, name: string, others: readonly string[], freeName: string, more: Partial<Victim> = {}): Victim => {
    const { length } = base.state.get(name)!.bytes;
    const prefix = name.slice(0, name.indexOf('/') + 1);
    return {
      title, name, freeName, state: base.state, restored: 'golden', isSmall: false, other: others.find(each => each !== name), places: [...HEADER_PLACES, ...bodyPlaces(length)],
      foreign: prefix === '' ? name : foreign(prefix), ...more,
    };
  };
  const pack = (title: string, name: string, others: readonly string[], more: Partial<Victim> = {}): Victim =>
    object(title, name, others, `${name.slice(0, 8)}c0/${ID}`, { foreign: foreign(name.slice(0, 8)), places: placesInPack(base.repository, name), ...more });
  return [
    object('config', 'config', [], 'config.old'),
    object('key slot that is used', slot, slots, `keys/${ID}`, { places: [...HEADER_PLACES, ...slotPlaces(), ...bodyPlaces(base.state.get(slot)!.bytes.length)] }),
    object('key slot of somebody else', slots.find(name => name !== slot)!, slots, `keys/${ID}`, { places: [], isSmall: true }),
    object('keyring', 'keyring/0000000001', [], 'keyring/0000000002'),
    pack('data pack', dataPacks[0]!, dataPacks),
    // Swapped with one of its size, so that no listing shows it.
    pack('data pack like another one', dataPacks[1]!, dataPacks.slice(1), { places: [], isSmall: true }),
    pack('tree pack of older snapshots', treePacks[0]!, treePacks, { isSmall: true }),
    pack('tree pack of the newest snapshot', newestTree, treePacks, { restored: 'newest' }),
    object('index segment', segments[0]!, segments, `index/${ID}`),
    object('snapshot', `snapshots/${base.goldenSnapshot}`, snapshots, `snapshots/${ID}`),
    ...leftovers(base),
  ];
}

/** What a run or a prune leaves: made here, since no golden repository has it yet. */
function leftovers(base: Base): Victim[] {
  const { session, plan, sweep, done, forgotten } = OBJECT_TYPES;
  const [a, b] = ['ab', 'cd'].map(digits => parseSessionId(digits.repeat(16))) as [SnapshotId, SnapshotId];
  const packs = packPackIds(['ee'.repeat(16) as PackId]);
  const bodies: Readonly<Record<number, Uint8Array>> = {
    [session]: encodeSession({ ...OWNER, kind: 'writer', startedAt: 1, pins: [] }), [plan]: encodePlan({ packs, createdAt: 1, runId: parseRunId('12'.repeat(16)) }),
    [sweep]: encodeSweep({ packs, planDigest: new Uint8Array(32), createdAt: 2 }), [done]: encodeDone({ createdAt: 3 }),
    [forgotten]: encodeForgotten({ reason: 'test', createdAt: 1 }),
  };
  const seal = (name: string, type: ObjectType): Uint8Array<ArrayBuffer> => base.repository.objects.seal(name, type, bodies[type]!);
  /** The first object is the victim, the second one another of its kind. */
  const victim = (title: string, freeName: string, ...objects: readonly (readonly [name: string, type: ObjectType])[]): Victim => {
    const made = objects.map(([name, type]) => [name, { bytes: seal(name, type), storedAt: systemClock.now() }] as const);
    const [name, other] = [objects[0]![0], objects[1]![0]];
    const places = [HEADER_PLACES.find(({ what }) => what === 'version')!, ...bodyPlaces(made[0]![1].bytes.length)];
    return { title, name, other, freeName, state: new Map([...base.state, ...made]), restored: 'golden', isSmall: true, places };
  };
  const stray = { bytes: utf8('not ours\n'), storedAt: systemClock.now() };
  const made = (title: string, names: readonly string[]): Victim => ({
    title, name: names[0]!, other: names[1], freeName: names[0]!.replace(/[0-9a-f]{32}$/, ID), state: base.withExtras, restored: 'golden', isSmall: true,
    places: bodyPlaces(base.withExtras.get(names[0]!)!.bytes.length),
  });
  const extras = (prefix: string): string[] => [...base.withExtras.keys()].filter(name => name.startsWith(prefix)).sort();
  return [
    made('parity', extras('parity/')),
    made('ledger', extras('ledger/')),
    victim('session', `sessions/${ID}`, [sessionName(a), session], [sessionName(b), session]),
    victim('gc plan that is not done', gcPlanName(3), [gcPlanName(1), plan], [gcPlanName(2), plan], [gcDoneName(2), done]),
    victim('gc sweep', gcSweepName(3), [gcSweepName(1), sweep], [gcSweepName(2), sweep], [gcPlanName(1), plan], [gcPlanName(2), plan]),
    victim('gc done', gcDoneName(3), [gcDoneName(1), done], [gcDoneName(2), done], [gcPlanName(1), plan], [gcPlanName(2), plan]),
    victim('forgotten marker', `forgotten/${ID}`, [forgottenName(a), forgotten], [forgottenName(b), forgotten]),
    victim('forgotten marker beside its snapshot', forgottenName(base.goldenSnapshot), [forgottenName(base.oldestSnapshot), forgotten], [forgottenName(b), forgotten]),
    { title: 'stray file', name: 'packs/README', freeName: 'packs/README.old', state: new Map([...base.state, ['packs/README', stray]]), restored: 'golden', isSmall: true, places: [] },
  ];
}

function bySize(state: MemoryState): (a: string, b: string) => number {
  return (a, b) => state.get(b)!.bytes.length - state.get(a)!.bytes.length || (a < b ? -1 : 1);
}

// --- places ---

function once(what: string, offset: number): Place {
  return { what, offset, isTwice: false };
}

function twice(what: string, offset: number): Place {
  return { what, offset, isTwice: true };
}

const HEADER_PLACES: readonly Place[] = [
  once('magic', 0), once('version', 4), once('suite', 5), once('type', 6), once('flags', 7), once('epoch', 8), once('ID', 12), once('salt or nonce', 28), once('length', 60),
];

function bodyPlaces(sizeBytes: number): Place[] {
  return [once('content', 64 + ((sizeBytes - 80) >> 1)), once('tag', sizeBytes - 1)];
}

function slotPlaces(): Place[] {
  return [once('length of the parameters', 64), once('name of the derivation', 72), once('key-check value', 108)];
}

/** Header and table stand at both ends, padding serves nothing. */
function placesInPack({ cache }: OpenRepository, name: string): Place[] {
  const record = [...cache.chunks.packs()].find(pack => name.endsWith(pack.id))!;
  const frames = Array.from({ length: record.frames.length / 16 }, (_, i) => frameRecordAt(record.frames, i));
  const tableBytes = frames.reduce((least, frame) => Math.min(least, frame.offset), Number.POSITIVE_INFINITY) - 64;
  const largest = frames.toSorted((a, b) => b.chunkCount - a.chunkCount)[0]!;
  const padding = frames.filter(frame => frame.chunkCount === 0).map(frame => twice('padding', frame.offset + (frame.storedLength >> 1)));
  const end = record.sizeBytes;
  return [
    ...HEADER_PLACES.map(({ what, offset }) => twice(what, offset)), twice('front table', 64 + (tableBytes >> 1)),
    once('frame', largest.offset + (largest.storedLength >> 1)), ...padding, twice('back table', end - 80 - (tableBytes >> 1)),
    twice('version at the end', end - 76), twice('salt at the end', end - 52), twice('total length', end - 16), twice('end mark', end - 1),
  ];
}
