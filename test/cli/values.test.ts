import { expect, test } from 'vitest';
import { parseChunker, parseCompression, parseDuration, parseMoment, parseParityShare, parseUnused } from '../../src/cli/values.ts';

test('a moment with a zone is that instant', () => {
  expect(parseMoment('2026-05-31T12:00:00Z')).toEqual([Date.UTC(2026, 4, 31, 12) / 1000, 0]);
  expect(parseMoment('2026-05-31T12:00:00.25+02:00')).toEqual([Date.UTC(2026, 4, 31, 10) / 1000, 250_000_000]);
  expect(parseMoment('2026-05-31 12:00:00.000000001-0130')).toEqual([Date.UTC(2026, 4, 31, 13, 30) / 1000, 1]);
});

test('a moment without a zone is local time', () => {
  expect(parseMoment('2026-05-31 14:30')[0]).toBe(new Date(2026, 4, 31, 14, 30).getTime() / 1000);
  expect(parseMoment('2024-02-29')[0]).toBe(new Date(2024, 1, 29).getTime() / 1000);
});

test('now is near this moment', () => {
  expect(Math.abs(parseMoment('now')[0] - Date.now() / 1000)).toBeLessThan(5);
});

test.each(['', 'yesterday', '2026-13-01', '2026-02-29', '2026-05-31 24:00', '2026-05-31T12:00:00+25', '31.5.2026'])('%j is not a moment', text => {
  expect(() => parseMoment(text)).toThrow('is not a time');
});

test('compression takes words and levels', () => {
  expect(['fastest', 'auto', 'better', 'max', '7'].map(parseCompression)).toEqual([1, 1, 3, 19, 7]);
  for (const text of ['0', '20', '-1', 'zip', '']) expect(() => parseCompression(text)).toThrow('is not a compression level');
});

test('chunk sizes are one average or three sizes', () => {
  expect(parseChunker('1M')).toEqual({ minBytes: 262_144, averageBytes: 1_048_576, maxBytes: 4_194_304 });
  expect(parseChunker('100K,512K,2M')).toEqual({ minBytes: 102_400, averageBytes: 524_288, maxBytes: 2_097_152 });
  for (const text of ['500K', '1M,2M', '2M,1M,4M', '1K,4K,8K', '1M,4M,16M', 'x']) expect(() => parseChunker(text)).toThrow();
});

test('a share of parity is a percentage from 1 to 50', () => {
  expect(['5%', '5', '7.5 %', '1', '50%'].map(parseParityShare)).toEqual([0.05, 0.05, 0.075, 0.01, 0.5]);
  for (const text of ['0.5%', '51', '0', '-5', 'much', '', '5%%']) expect(() => parseParityShare(text)).toThrow('is not a share of parity');
});

test('a duration has one unit', () => {
  expect(['90s', '30m', '24h', '7d', '2w', '0', '1.5h', ' 3 M '].map(parseDuration)).toEqual([90_000, 1_800_000, 86_400_000, 604_800_000, 1_209_600_000, 0, 5_400_000, 180_000]);
  for (const text of ['', '5', '1y', '-1h', '1h30m', 'h', '1e3s']) expect(() => parseDuration(text)).toThrow('is not a duration');
});

test('what may stay unused is a percentage, a size or no limit', () => {
  expect(['5%', '0%', '12.5 %', '2G', '0', 'Unlimited'].map(parseUnused)).toEqual([
    { maxUnusedShare: 0.05 }, { maxUnusedShare: 0 }, { maxUnusedShare: 0.125 }, { maxUnusedBytes: 2 * 1024 ** 3 }, { maxUnusedBytes: 0 }, { maxUnusedShare: 1 },
  ]);
  for (const text of ['101%', '-1%', 'some', '', '5%%']) expect(() => parseUnused(text)).toThrow();
});
