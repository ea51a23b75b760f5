/** What an entry says of itself when parts of it could not be backed up, or were lost in the repository and marked by a repair. */
import { SnapError } from '../../base/errors.ts';
import { ENTRY_PARTLY_UNREADABLE, type Entry } from '../../format/tree-node.ts';

const WHY = 'they could not be read when the backup was made, or were lost in the repository since';

export function isPartlyLost({ flags }: Pick<Entry, 'flags'>): boolean {
  return (flags & ENTRY_PARTLY_UNREADABLE) !== 0;
}

/** Undefined for an entry that is whole. */
export function lossOf({ type, flags, damagedSpans }: Entry): SnapError | undefined {
  const [first, ...others] = damagedSpans ?? [];
  if (first !== undefined) {
    const more = others.length === 0 ? '' : ` and ${others.length} more ${others.length === 1 ? 'range' : 'ranges'}`;
    return new SnapError('ENTRY_UNREADABLE', `Bytes ${first.offset} to ${first.offset + first.length - 1}${more} are zeros: ${WHY}`);
  }
  if (!isPartlyLost({ flags })) return undefined;
  return new SnapError('ENTRY_UNREADABLE', `${type === 'directory' ? 'Entries or attributes of the folder' : 'Extended attributes'} are missing: ${WHY}`);
}
