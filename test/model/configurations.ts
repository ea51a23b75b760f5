/**
 * What a search explores: how many actors, which of their steps are split or fail, and which mistake is planted. The rows to
 * search are in `rows.ts`.
 */

/** Each switches one thing on; without any, the plain protocol on a store with create-only writes is explored. */
export const FEATURES = {
  reader: 'one reader pins a snapshot (any but K) and restores it',
  duplicates: 'every chunk has two copies at the start; no repacking',
  'lost-answers': 'a commit may take effect without an answer; the writer then repeats it',
  'lost-gc-answers': 'the same for a plan and its sweep: a plan is read and compared, a sweep is written again',
  'forget-fresh': 'pruners may forget snapshots that were just committed',
  fine: 'finer steps: forget = marker, then delete; commit = PUT, then GET forgotten; P7 and P8 = one step per LIST',
  'remove-docs': 'gc documents are removed after "done", while their numbers stay used',
  unserialized: 'plans are not serialized: uniquely named, several unfinished ones at a time, no resuming',
  'no-create-only': 'the store has no create-only PUT for snapshots (revoked/ and rejected/ records instead)',
  'late-sweeps': 'a sweep may be written after its plan was removed (needs remove-docs); its writer then looks whether the plan is there',
  indexed: 'index segments are objects: packs are found through them only, and pruners consolidate them at the end',
} as const;

export type Feature = keyof typeof FEATURES;

/** Mistakes that a search must notice: the test of the test. */
export const MUTATIONS = {
  'gc-before-session': 'W2 before W1: read the plans, then register the session',
  'packs-before-gc': 'W4 before W2: list the packs, then read the plans',
  'ignore-condemned': 'W2 ignored: use packs that a plan condemned',
  'trust-stale-listing': 'W4 skipped: use the pack list that a local cache remembers',
  'commit-without-fence': 'W7 ignores the tombstone (plain PUT)',
  'skip-forgotten-check': 'W7 reports success without reading forgotten/<sid> (needs fine)',
  'reuse-pack-names': 'a new pack may get the name of an old one',
  'sessions-before-publish': 'P5 before P4: list the sessions, then publish the plan',
  'ignore-sessions': 'P5 and P6 skipped',
  'relist-before-resolve': 'P7 before P6: list the snapshots, then resolve the sessions',
  'no-second-listing': 'P7 skipped: the marks of P3 are good enough',
  'naive-sweep': 'P8 counts only its own condemned packs as gone',
  'sweep-packs-before-gc': 'P8 lists the packs, then the plans (needs fine)',
  'no-sweep-document': 'P8 does not adopt an existing sweep document; each pruner deletes its own F',
  'reuse-gc-numbers': 'the finished plan with the highest number is removed and its number is used again',
  'forget-by-delete': 'P2 deletes the record and leaves no permanent marker',
  'drop-tombstones': 'tombstones are cleaned up at the end of a prune',
  'report-before-check': 'no-create-only: success is reported before the revocation record is read',
  'invalid-when-revoked': 'no-create-only: a snapshot is invalid as soon as revoked/ exists, rejected/ is not used',
  'pin-after-check': 'R2 before R1: the reader checks the snapshot, then registers its pin',
  'pins-before-snapshots': 'P7 reads the pins before it lists the snapshots',
  'assume-published': 'lost-gc-answers: a plan whose answer was lost is taken for published without reading it',
  'trust-late-sweep': 'late-sweeps: what a sweep says is deleted although its plan was removed',
  'commit-before-index': 'indexed: the snapshot is committed before the segment of its packs is durable',
  'count-unindexed-copies': 'indexed: P3 and P8 count copies in packs that no segment lists',
  'drop-unlisted-entries': 'indexed: consolidation drops the entries of packs that an earlier listing did not show',
  'remove-before-merge': 'indexed: consolidation deletes the old segments, then writes the merged one',
} as const;

export type Mutation = keyof typeof MUTATIONS;

export interface Configuration {
  readonly writers: number;
  readonly pruners: number;
  readonly features: ReadonlySet<Feature>;
  readonly mutation: Mutation | undefined;
}

/** Reads flags such as `writers=1 pruners=2 fine`, with at most one mutation among them. @throws RangeError for an unknown flag */
export function parseConfiguration(flags: string): Configuration {
  let [writers, pruners] = [2, 2];
  const features = new Set<Feature>();
  let mutation: Mutation | undefined;
  for (const flag of flags.split(' ')) {
    const [name, value] = flag.split('=');
    if (name === 'writers') writers = Number(value);
    else if (name === 'pruners') pruners = Number(value);
    else if (isKeyOf(FEATURES, flag)) features.add(flag);
    else if (isKeyOf(MUTATIONS, flag) && mutation === undefined) mutation = flag;
    else throw new RangeError(`Not a flag, or a second mutation: '${flag}'`);
  }
  return { writers, pruners, features, mutation };
}

function isKeyOf<T extends object>(table: T, key: string): key is keyof T & string {
  return Object.hasOwn(table, key);
}
