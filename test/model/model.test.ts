/** The protocol itself: every interleaving of its steps, and the proof that the search would notice mistakes (repository design, section 11). */
import { describe, expect, test } from 'vitest';
import { MUTATIONS, parseConfiguration, type Mutation } from './configurations.ts';
import { FAILING, HOLDING, QUICK_STATES } from './rows.ts';
import { search } from './search.ts';

describe('no interleaving loses a chunk or breaks a promise', () => {
  test.each(HOLDING.filter(({ states }) => states <= QUICK_STATES))('$flags: $shows', { timeout: 120_000 }, ({ flags, states }) => {
    expect(search(parseConfiguration(flags))).toEqual({ problem: undefined, trace: [], states });
  });
});

describe('the search notices the mistake', () => {
  test.each(Object.entries(MUTATIONS))('%s: %s', { timeout: 120_000 }, mutation => {
    const flags = FAILING[mutation as Mutation];
    expect(search(parseConfiguration(`${flags} ${mutation}`)).problem).toMatch(/^(snapshot|the reader) .*(lost chunk|was reported as saved)/);
  });
});

test('a counterexample is a shortest one, and reads like the protocol', () => {
  expect(search(parseConfiguration('writers=1 pruners=1 ignore-sessions')).trace).toEqual([
    'W0:register', 'W0:list-gc', 'W0:list-packs', 'W0:deduplicate', 'Q0:forget(S0)', 'Q0:list-gc', 'Q0:list-snapshots', 'Q0:plan(P1)', 'Q0:publish-plan',
    'Q0:list-snapshots-again', 'W0:commit', 'Q0:compute-F', 'Q0:publish-sweep', 'Q0:delete(P1)',
  ]);
});
