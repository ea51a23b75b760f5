import { describe, expect, test } from 'vitest';
import { parseConfigFile } from '../../src/cli/config-file.ts';
import { policyOf, RETENTION_FLAGS, type ChosenPolicy } from '../../src/cli/retention-flags.ts';
import { resolveFlags } from '../../src/cli/settings.ts';
import { VERBS } from '../../src/cli/verbs.ts';
import { parseCalendarDuration } from '../../src/usecases/retention/calendar.ts';
import { DEFAULT_MAX_BYTES, DEFAULT_POLICY } from '../../src/usecases/retention/retention-policy.ts';

interface Origins {
  readonly given?: Readonly<Record<string, readonly string[]>>;
  readonly environment?: Readonly<Record<string, string>>;
  readonly file?: string;
}

function values({ given = {}, environment = {}, file = '' }: Origins): ReturnType<typeof resolveFlags<typeof RETENTION_FLAGS>> {
  return resolveFlags(RETENTION_FLAGS, { given, environment, file: parseConfigFile(file, '/etc/snap.yaml', VERBS).verbs['forget'] ?? {}, filePath: '/etc/snap.yaml' });
}
const chosen = (origins: Origins): ChosenPolicy => policyOf(values(origins));

describe('without any keep option', () => {
  test('the default policy and its limit apply, and are told', () => {
    expect(chosen({})).toEqual({ policy: DEFAULT_POLICY, maxBytes: DEFAULT_MAX_BYTES, isDefaultLimit: true, note: expect.stringMatching(/7 daily, 4 weekly, 3 monthly.*30d of full, 7d of incremental, 90d of config.*50.0 GiB$/) });
  });

  test('a limit of one\'s own takes the place of the default one only', () => {
    expect(chosen({ given: { maxSize: ['2G'] } })).toMatchObject({ policy: DEFAULT_POLICY, maxBytes: 2 * 2 ** 30, isDefaultLimit: false, note: expect.not.stringContaining('at most') });
    expect(chosen({ given: { maxSize: ['unlimited'] } })).toMatchObject({ policy: DEFAULT_POLICY, maxBytes: undefined, isDefaultLimit: false });
  });
});

describe('any keep option', () => {
  test('takes the place of all default rules and of the default limit', () => {
    const { policy, maxBytes, note } = chosen({ given: { keepDaily: ['3'] } });
    expect(policy).toMatchObject({ rules: { counts: { daily: 3, weekly: undefined }, tags: [] }, groupBy: ['series', 'kind'] });
    expect(policy.kinds.full!.within.all).toBeUndefined();
    expect([maxBytes, note]).toEqual([undefined, undefined]);
  });

  test('may be given by flag, variable or file, each for itself', () => {
    const { policy, maxBytes } = chosen({
      given: { keepDaily: ['1'] }, environment: { SNAP_KEEP_DAILY: '2', SNAP_KEEP_WEEKLY: '3', SNAP_KEEP_WITHIN: '4d', SNAP_MAX_SIZE: '1G' },
      file: 'forget:\n  keep-daily: 5\n  keep-weekly: 6\n  keep-monthly: unlimited\n  keep-tag: [a, "b,c"]\n  max-size: 7G\n',
    });
    expect(policy.rules.counts).toMatchObject({ daily: 1, weekly: 3, monthly: Number.POSITIVE_INFINITY });
    expect(policy.rules.within.all).toEqual(parseCalendarDuration('4d'));
    expect(policy.rules.tags).toEqual([['a'], ['b', 'c']]);
    expect(maxBytes).toBe(2 ** 30);
  });

  test('has a variable of its own', () => {
    const variables = Object.values(RETENTION_FLAGS).flatMap(({ environment = [] }) => environment);
    expect(variables).toEqual(expect.arrayContaining(['LAST', 'HOURLY', 'DAILY', 'WEEKLY', 'MONTHLY', 'YEARLY', 'WITHIN', 'WITHIN_HOURLY'].map(name => `SNAP_KEEP_${name}`)));
    expect(new Set(variables).size).toBe(variables.length);
  });

  test.each([{ keepLast: ['0'] }, { keepWithin: ['0d'], keepDaily: ['0'] }])('%j alone is refused: it keeps nothing', given => {
    expect(() => chosen({ given })).toThrow(expect.objectContaining({ code: 'USAGE', message: 'The keep options keep nothing' }));
  });

  test('of 0 takes back what the file says', () => {
    expect(chosen({ given: { keepDaily: ['0'] }, file: 'forget: { keep-daily: 5, keep-last: 2 }' }).policy.rules.counts).toMatchObject({ daily: 0, last: 2 });
  });
});

describe('the configuration file', () => {
  test('has a section for each kind', () => {
    const { policy, note } = chosen({ file: 'forget:\n  full: { keep-within: 30d }\n  config:\n    keep-last: 5\n    keep-tag: [x]\n' });
    expect([policy.kinds.full!.within.all, policy.kinds.config!.counts.last, policy.kinds.config!.tags, policy.kinds.incremental!.counts]).toEqual([
      parseCalendarDuration('30d'), 5, [['x']], {},
    ]);
    expect([policy.rules.counts, note]).toEqual([{}, undefined]);
  });

  test.each([
    ['forget:\n  fulll: { keep-last: 1 }', "line 2: Unknown key 'forget.fulll'", "Did you mean 'forget.full'?"],
    ['forget:\n  full: { keep-lst: 1 }', "line 2: Unknown key 'forget.full.keep-lst'", "Did you mean 'forget.full.keep-last'?"],
    ['forget:\n  full: { max-size: 1G }', "Unknown key 'forget.full.max-size'", 'Known keys here: keep-daily'],
    ['forget:\n  full: 30d', 'Expected keys with values', 'key: value'],
    ['forget:\n  full:\n    keep-within: soon', "line 3: 'forget.full.keep-within': 'soon' is not a duration", '30d'],
    ['forget:\n  full.keep-last: 1', "Unknown key 'forget.full.keep-last'", 'full'],
  ])('%j is wrong, and the message says where', (file, message, hint) => {
    expect(() => values({ file })).toThrow(expect.objectContaining({ code: 'USAGE', message: expect.stringContaining(message), hint: expect.stringContaining(hint) }));
  });
});

describe('values', () => {
  test.each([
    ['keepLast', 'x'], ['keepLast', '-2'], ['keepLast', '1.5'], ['maxSize', '0'], ['maxSize', 'big'], ['maxForget', '50'], ['maxForget', '101%'], ['maxForget', '%'],
    ['groupBy', 'series,colour'], ['groupBy', ','], ['keepTag', 'a,'],
  ])('%s %s is refused', (key, text) => {
    expect(() => chosen({ given: { keepDaily: ['1'], [key]: [text] } })).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });

  test('of all kinds are read', () => {
    expect(values({ given: { keepLast: ['-1'], maxForget: ['12.5%'], groupBy: [''], maxSize: ['50G'] } })).toMatchObject({ keepLast: Number.POSITIVE_INFINITY, maxForget: 0.125, groupBy: [], maxSize: 50 * 2 ** 30 });
    expect(values({ given: { groupBy: ['host, paths,host'] } }).groupBy).toEqual(['host', 'paths']);
  });
});
