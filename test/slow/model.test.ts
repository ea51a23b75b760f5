/** The searches of the protocol that take longer; the others are in `test/model/model.test.ts`. */
import { expect, test } from 'vitest';
import { parseConfiguration } from '../model/configurations.ts';
import { HOLDING, QUICK_STATES } from '../model/rows.ts';
import { search } from '../model/search.ts';

test.each(HOLDING.filter(({ states }) => states > QUICK_STATES))('$flags: $shows', ({ flags, states }) => {
  expect(search(parseConfiguration(flags))).toEqual({ problem: undefined, trace: [], states });
});
