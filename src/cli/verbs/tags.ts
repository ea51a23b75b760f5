import { SnapError } from '../../base/errors.ts';

/** Tags from repeated flags, each a list with commas; without duplicates. @throws USAGE for an empty tag */
export function tagsOf(given: readonly string[]): string[] {
  const tags = [...new Set(given.flatMap(text => text.split(',')).map(tag => tag.trim()))];
  if (tags.includes('')) throw new SnapError('USAGE', 'A tag is empty', { hint: 'Write tags as --tag daily or --tag daily,laptop' });
  return tags;
}
