import { describe, expect, test } from 'vitest';
import { spelling, type FlagSet } from '../../src/cli/flag.ts';
import { GLOBAL_FLAGS } from '../../src/cli/flags.ts';
import { VERBS } from '../../src/cli/verbs.ts';

/** Scripts rely on these names: words may be added here, never taken away. */
const GLOBALS = '-r --repo --repository-file -p --password-file --password-command --json -q --quiet -v --verbose --no-progress --cache-dir '
  + '--limit-upload --limit-download --config --s3-endpoint --s3-region --s3-path-style --no-s3-path-style --no-s3-checksums --s3-storage-class '
  + '--s3-storage-class-metadata --s3-sse --s3-sse-kms-key --sftp-accept-new-host-key --concurrency --as-of --s3-object-lock --s3-object-lock-days';
const VARIABLES = ['SNAP_REPOSITORY', 'SNAP_REPOSITORY_FILE', 'SNAP_PASSWORD_FILE', 'SNAP_PASSWORD_COMMAND', 'SNAP_CACHE_DIR', 'SNAP_CONFIG', 'SNAP_S3_ENDPOINT'];
const FILTERS = '--host --tag --path --kind --series';
const CONTRACT: Record<string, string> = {
  'init': '--chunker --suite',
  'backup': '--kind --tag --series --host --time --exclude --exclude-file --iexclude --exclude-caches --exclude-if-present --exclude-larger-than '
    + '--one-file-system --files-from --stdin --stdin-filename --command --dry-run -n --skip-if-unchanged --validate --parity',
  'restore': `--target --include --exclude --overwrite --delete --dry-run -n --verify --sparse --no-sparse --no-owner --in-place --yes ${FILTERS}`,
  'snapshots': `--details ${FILTERS}`,
  'ls': FILTERS, 'find': FILTERS, 'diff': FILTERS, 'history': FILTERS,
  'dump': `--format ${FILTERS}`,
  'stats': FILTERS,
  'verify': '--read-data --snapshot',
  'parity': '--share --verify --remove --dry-run -n', 'key rotate': '--max-bytes',
  'key list': '', 'key add': '--new-password-file', 'key remove': '', 'key passwd': '--new-password-file',
  'forget': '--keep-last --keep-hourly --keep-daily --keep-weekly --keep-monthly --keep-yearly --keep-within --keep-within-hourly --keep-within-daily '
    + `--keep-within-weekly --keep-within-monthly --keep-within-yearly --keep-tag --max-size --group-by --dry-run -n --prune --force ${FILTERS}`,
  'undelete': FILTERS,
  'status': `--max-age --critical-age --ignore-series --min-snapshots --max-used --critical-used --coverage-days --max-replica-age --no-three-two-one --replicas ${FILTERS}`,
  'recover': '--dry-run -n --yes -y', 'lock': '',
  'tag': `--add --remove --set ${FILTERS}`, 'pin': '', 'unpin': '', 'cache': '', 'completion': '', 'help': '', 'version': '', 'try': '',
};

function words(flags: FlagSet): string[] {
  return Object.values(flags).flatMap(each => [
    spelling(each), ...each.hasNegation ? [`--no-${each.name}`] : [], ...each.short === undefined ? [] : [`-${each.short}`],
  ]);
}

test('the global flags and variables are there', () => {
  expect(words(GLOBAL_FLAGS)).toEqual(expect.arrayContaining(GLOBALS.split(' ')));
  expect(Object.values(GLOBAL_FLAGS).map(each => each.environment)).toEqual(expect.arrayContaining(VARIABLES));
});

describe('verbs', () => {
  test.each(Object.entries(CONTRACT))('%s takes %s', (name, flags) => {
    const verb = VERBS.find(each => each.name === name);
    expect(verb).toBeDefined();
    expect(words(verb!.flags)).toEqual(expect.arrayContaining(flags.split(' ').filter(flag => flag !== '')));
  });

  test('verify answers to check as well', () => {
    expect(VERBS.find(each => each.name === 'verify')!.aliases).toContain('check');
  });

  test('no flag of a verb hides a global one, and no letter is given twice', () => {
    const globals = words(GLOBAL_FLAGS);
    for (const verb of VERBS) {
      const own = words(verb.flags);
      expect(own.filter(word => globals.includes(word) || word === '-h' || word === '-V'), verb.name).toEqual([]);
      expect(own.length, verb.name).toBe(new Set(own).size);
    }
  });

  test('names are unique', () => {
    const names = VERBS.flatMap(verb => [verb.name, ...verb.aliases]);
    expect(names.length).toBe(new Set(names).size);
  });
});
