import { describe, expect, test } from 'vitest';
import { ERROR_CATALOGUE, SnapError, type SnapErrorCode, type SnapErrorKind } from '../../src/base/errors.ts';
import { EXIT_CODES, exitCodeOfError, exitCodeOfResult, failureOf, resultOf } from '../../src/cli/outcome.ts';
import { BACKUP, DAMAGE, RESTORE, STATS, VERIFY } from './reports.ts';

const BY_KIND: Record<SnapErrorKind, number> = {
  'usage': 2, 'not-found': 1, 'conflict': 11, 'wrong-key': 12, 'corrupt': 13, 'guard': 14, 'unavailable': 1, 'denied': 1,
  'no-space': 1, 'unsupported': 1, 'internal': 1, 'cancelled': 130,
};
const codes = Object.keys(ERROR_CATALOGUE) as SnapErrorCode[];

describe('exit codes of errors', () => {
  test.each(codes)('%s ends with the code of its kind, a missing repository with 10', code => {
    const expected = code === 'REPOSITORY_NOT_FOUND' ? 10 : BY_KIND[ERROR_CATALOGUE[code].kind];
    expect(failureOf(new SnapError(code, 'Something')).exitCode).toBe(expected);
  });

  test('every code that can occur is explained in the help', () => {
    const explained = EXIT_CODES.map(([code]) => code);
    for (const code of codes) expect(explained).toContain(exitCodeOfError(code, ERROR_CATALOGUE[code].kind));
    for (const result of ['complete', 'partial', 'failed', 'damaged'] as const) expect(explained).toContain(exitCodeOfResult(result));
  });
});

describe('exit codes of reports', () => {
  test('complete is 0, partial 3, failed 1', () => {
    expect(exitCodeOfResult(resultOf(BACKUP))).toBe(0);
    expect(exitCodeOfResult(resultOf({ ...BACKUP, status: 'partial' }))).toBe(3);
    expect(exitCodeOfResult(resultOf({ ...RESTORE, status: 'failed' }))).toBe(1);
    expect(exitCodeOfResult(resultOf(STATS))).toBe(0);
  });

  test('damage is 13 even when there are problems too, a warning alone is not damage', () => {
    expect(exitCodeOfResult(resultOf({ ...RESTORE, status: 'partial', findings: [DAMAGE] }))).toBe(13);
    expect(exitCodeOfResult(resultOf({ ...VERIFY, findings: [{ ...DAMAGE, severity: 'warning' }] }))).toBe(0);
  });
});

describe('messages', () => {
  test('a known error shows message, cause and hint, without stack', () => {
    const failure = failureOf(new SnapError('DENIED', 'Cannot write', { cause: new Error('EACCES'), hint: 'Look at the rights' }));
    expect(failure).toEqual({ exitCode: 1, errorCode: 'DENIED', message: 'Cannot write: EACCES', hint: 'Look at the rights', stack: undefined });
  });

  test('an unknown error shows its stack', () => {
    const failure = failureOf(new TypeError('x is not a function'));
    expect(failure.exitCode).toBe(1);
    expect(failure.stack).toContain('outcome.test.ts');
    expect(failureOf('thrown text').message).toBe('thrown text');
  });

  test('control characters never reach the terminal', () => {
    const failure = failureOf(new SnapError('USAGE', 'Bad \u001b[2J name', { hint: '\u0007' }));
    expect(failure.message).toBe('Bad \\e[2J name');
    expect(failure.hint).toBe('\\x07');
  });
});
