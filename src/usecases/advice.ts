/** What to do about a finding: one sentence for each kind of object. The guide docs/guides/integrity.md says more. */
import type { Finding } from './events.ts';

const LOST_CONTENT = 'Back the files up again while the source has them, or heal from a replica with `snap repair packs --from LOCATION`; '
  + 'without either, `snap repair packs` saves what is whole and `snap repair snapshots` marks what is lost';

const ON_DAMAGE: Readonly<Record<string, string>> = {
  'pack': LOST_CONTENT,
  'frame': LOST_CONTENT,
  'chunk': LOST_CONTENT,
  'tree': LOST_CONTENT,
  'index segment': '`snap repair index` makes the index anew from the packs themselves',
  'snapshot': 'Put the object back from a copy of the repository, or give the snapshot up with `snap repair snapshots ID --forget`; the others do not need this record',
  'gc document': 'Put the object back from a copy of the repository: until then backups and prunes stop, see docs/operations.md',
  'key slot': 'Remove it with `snap key remove` and make a new one with `snap key add`, while another one opens the repository',
  'restored entry': 'Run `snap verify --read-data --snapshot` for this snapshot; when that finds nothing, suspect the disk or memory of this machine',
};

const ON_WARNING: Readonly<Record<string, string>> = {
  'pack': 'Nothing, if a backup is running; else the next `snap prune` frees it, and `snap repair index` takes it into the index',
  'quarantine': 'When nothing is damaged any more, `snap repair packs --empty-quarantine` frees its space',
  'ledger': 'Nothing is lost but the record of earlier checks; the object may be removed',
  'replica record': 'Nothing is lost but what was known of a replica; the object may be removed, and the next `snap replicate` writes a new one',
};

/** Undefined where the message says all, or nothing needs to be done. */
export function adviceFor({ object, severity, message, files }: Finding): string | undefined {
  if (severity === 'warning') return ON_WARNING[object];
  // What is stored is whole, as far as is known: only nobody says where.
  if ((object === 'chunk' || object === 'tree') && message.startsWith('No index segment')) return `${ON_DAMAGE['index segment']}. If it finds nothing, the content is lost here. ${LOST_CONTENT}`;
  if (object === 'pack' && files.length === 0) return '`snap repair packs` stores what is whole of the pack anew';
  return ON_DAMAGE[object] ?? (object.endsWith('marker') ? 'Put the object back from a copy of the repository' : undefined);
}
