/** What is searched. The numbers of states are those of the design's table (repository design, section 11.1), so that both explore the same. */
import type { Mutation } from './configurations.ts';

export interface HoldingRow {
  readonly flags: string;
  readonly states: number;
  readonly shows: string;
}

/** Rows above this many states belong to the slow tests. */
export const QUICK_STATES = 40_000;

/** Complete searches that must find nothing. */
export const HOLDING: readonly HoldingRow[] = [
  { flags: 'writers=1 pruners=1', states: 359, shows: 'smallest case' },
  { flags: 'writers=2 pruners=1', states: 13_992, shows: 'two writers' },
  { flags: 'writers=1 pruners=2', states: 554_482, shows: 'forget, repack, resume, zombie pruner' },
  { flags: 'writers=1 pruners=1 remove-docs', states: 365, shows: 'gc documents removed after done, numbers stay used' },
  { flags: 'writers=1 pruners=2 remove-docs', states: 593_094, shows: 'the same with two pruners' },
  { flags: 'writers=1 pruners=2 duplicates', states: 29_228, shows: 'two copies of a chunk' },
  { flags: 'writers=2 pruners=2 duplicates', states: 934_712, shows: 'the same, two writers' },
  { flags: 'writers=1 pruners=3 duplicates', states: 1_542_282, shows: 'the same, three pruners' },
  { flags: 'writers=2 pruners=1 lost-answers forget-fresh', states: 49_069, shows: 'lost commit answers while fresh snapshots are forgotten' },
  { flags: 'writers=1 pruners=2 lost-answers forget-fresh', states: 1_823_009, shows: 'the same, two pruners' },
  { flags: 'writers=1 pruners=2 fine', states: 1_497_806, shows: 'one step for each LIST in P7 and P8, forget and commit in two steps' },
  { flags: 'writers=1 pruners=1 fine lost-answers forget-fresh', states: 3645, shows: 'W7 with its GET of forgotten/' },
  { flags: 'writers=2 pruners=1 fine lost-answers forget-fresh', states: 965_694, shows: 'the same, two writers' },
  { flags: 'writers=1 pruners=2 unserialized', states: 135_685, shows: 'plans not serialized at all: P8 alone keeps it safe' },
  { flags: 'writers=0 pruners=2 fine unserialized remove-docs duplicates', states: 1213, shows: 'order of the listings in P8' },
  { flags: 'writers=0 pruners=2 fine unserialized remove-docs', states: 3184, shows: 'the same with repacking' },
  { flags: 'writers=1 pruners=1 no-create-only', states: 969, shows: 'commit and revocation without create-only PUT' },
  { flags: 'writers=2 pruners=1 no-create-only', states: 80_824, shows: 'the same, two writers' },
  { flags: 'writers=1 pruners=1 no-create-only lost-answers forget-fresh fine', states: 7401, shows: 'the same with lost answers' },
  { flags: 'writers=1 pruners=2 no-create-only unserialized', states: 565_960, shows: 'the complete fallback' },
  { flags: 'writers=0 pruners=1 reader', states: 67, shows: 'pins' },
  { flags: 'writers=0 pruners=2 reader fine', states: 106_126, shows: 'pins, two pruners' },
  { flags: 'writers=1 pruners=1 reader forget-fresh fine', states: 16_378, shows: 'a reader of a fresh snapshot that is forgotten' },
  // What the table leaves out (section 11.3); counted by this search alone.
  { flags: 'writers=1 pruners=1 lost-gc-answers', states: 681, shows: 'lost answers of plan and sweep' },
  { flags: 'writers=0 pruners=2 lost-gc-answers', states: 21_590, shows: 'the same, two pruners that take the same number' },
  { flags: 'writers=1 pruners=2 lost-gc-answers', states: 2_100_149, shows: 'the same with a writer' },
  { flags: 'writers=1 pruners=2 unserialized lost-gc-answers', states: 535_837, shows: 'lost answers with several plans at a time' },
  { flags: 'writers=1 pruners=2 remove-docs late-sweeps', states: 668_770, shows: 'a run that slept until its plan was done and removed' },
  { flags: 'writers=0 pruners=2 remove-docs late-sweeps reader', states: 49_870, shows: 'the same beside a reader' },
  { flags: 'writers=1 pruners=1 indexed', states: 936, shows: 'index segments as objects, and their consolidation' },
  { flags: 'writers=2 pruners=1 indexed', states: 78_974, shows: 'the same, two writers' },
  { flags: 'writers=0 pruners=2 indexed', states: 37_270, shows: 'two consolidations at once' },
  { flags: 'writers=1 pruners=2 indexed duplicates', states: 110_494, shows: 'the same beside a writer' },
  { flags: 'writers=0 pruners=2 indexed fine unserialized', states: 16_321, shows: 'consolidation under plans that are not serialized' },
  { flags: 'writers=1 pruners=1 indexed reader fine', states: 7866, shows: 'a reader that finds its chunks through the index' },
];

/** Every mutation, with a small configuration that catches it. */
export const FAILING: Readonly<Record<Mutation, string>> = {
  'gc-before-session': 'writers=1 pruners=1',
  'packs-before-gc': 'writers=1 pruners=1 remove-docs',
  'ignore-condemned': 'writers=1 pruners=1',
  'trust-stale-listing': 'writers=1 pruners=1 remove-docs',
  'commit-without-fence': 'writers=1 pruners=1',
  'skip-forgotten-check': 'writers=1 pruners=1 fine lost-answers forget-fresh',
  'reuse-pack-names': 'writers=1 pruners=1',
  'sessions-before-publish': 'writers=1 pruners=1',
  'ignore-sessions': 'writers=1 pruners=1',
  'relist-before-resolve': 'writers=1 pruners=1',
  'no-second-listing': 'writers=1 pruners=1',
  'naive-sweep': 'writers=0 pruners=2 duplicates unserialized',
  'sweep-packs-before-gc': 'writers=0 pruners=2 fine unserialized remove-docs duplicates',
  'no-sweep-document': 'writers=1 pruners=2',
  'reuse-gc-numbers': 'writers=1 pruners=2',
  'forget-by-delete': 'writers=1 pruners=2 lost-answers forget-fresh',
  'drop-tombstones': 'writers=1 pruners=1',
  'report-before-check': 'writers=1 pruners=1 no-create-only',
  'invalid-when-revoked': 'writers=1 pruners=1 no-create-only',
  'pin-after-check': 'writers=0 pruners=1 reader',
  'pins-before-snapshots': 'writers=1 pruners=2 reader forget-fresh',
  'assume-published': 'writers=1 pruners=2 lost-gc-answers',
  'trust-late-sweep': 'writers=0 pruners=2 remove-docs late-sweeps reader',
  'commit-before-index': 'writers=1 pruners=1 indexed',
  'count-unindexed-copies': 'writers=0 pruners=2 indexed',
  'drop-unlisted-entries': 'writers=1 pruners=1 indexed',
  'remove-before-merge': 'writers=0 pruners=1 indexed',
};
