/** Stops a backup that would record a disaster as a success (pure). */
import { SnapError } from '../../base/errors.ts';
import type { Snapshot } from '../../format/snapshot.ts';

/**
 * A source without any file where the parent had some is most often a disk that is not mounted.
 * @throws SOURCE_EMPTY
 */
export function refuseEmptySource(filesTotal: number, parent: Snapshot | undefined, allowEmpty: boolean): void {
  if (filesTotal > 0 || allowEmpty || parent === undefined || parent.statistics.files === 0) return;
  throw new SnapError('SOURCE_EMPTY', `The source holds no files, but the snapshot before it held ${parent.statistics.files}`, {
    hint: 'Check that the source is mounted. If it is meant to be empty, repeat with --allow-empty', context: { parent: parent.id },
  });
}
