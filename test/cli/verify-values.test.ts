import { describe, expect, test } from 'vitest';
import { parseLevel, parseSubset } from '../../src/cli/verify-values.ts';

describe('--level', () => {
  test.each([['0', 'structure'], ['1', 'metadata'], ['2', 'tables'], ['3', 'sample'], ['4', 'data'], ['tables', 'tables'], ['data', 'data']])('%s is %s', (text, level) => {
    expect(parseLevel(text)).toBe(level);
  });

  test.each(['', '5', '-1', '1.0', '01', 'Data', 'all'])("'%s' is refused", text => {
    expect(() => parseLevel(text)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });
});

describe('--read-data-subset', () => {
  test.each([
    ['5%', { kind: 'share', share: 0.05, order: 'random' }],
    ['2.5%', { kind: 'share', share: 0.025, order: 'random' }],
    ['100%', { kind: 'share', share: 1, order: 'random' }],
    ['2G', { kind: 'bytes', bytes: 2 * 1024 ** 3, order: 'random' }],
    ['500MiB', { kind: 'bytes', bytes: 500 * 1024 ** 2, order: 'random' }],
    ['1/10', { kind: 'part', part: 1, parts: 10 }],
    ['7/7', { kind: 'part', part: 7, parts: 7 }],
    ['oldest:5%', { kind: 'share', share: 0.05, order: 'oldest' }],
    ['oldest:1.5T', { kind: 'bytes', bytes: 1.5 * 1024 ** 4, order: 'oldest' }],
  ])('%s is read', (text, sample) => {
    expect(parseSubset(text)).toEqual(sample);
  });

  test.each([
    '', '5', '0%', '101%', '-5%', '5 %', '%', '0G', '2', '2X', '0/5', '6/5', '1/0', '1/', '/5', '1/2/3', 'oldest', 'oldest:', 'oldest:1/5', 'newest:5%', '5%%', '1e3%', '2G 3G',
    'oldest:oldest:5%', '٣%',
  ])("'%s' is refused with one sentence that says how to write it", text => {
    expect(() => parseSubset(text)).toThrow(expect.objectContaining({
      code: 'USAGE', message: `'${text}' is not a part of the data`, hint: expect.stringContaining('oldest:2G'),
    }));
  });
});
