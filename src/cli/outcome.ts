/**
 * From a report or an error to message, hint and exit code. The only place that knows exit codes: they are a contract with
 * scripts and monitors (0, 1, 3, 10, 11, 12 and 130 mean what they mean in restic).
 */
import { SnapError, type SnapErrorCode, type SnapErrorKind } from '../base/errors.ts';
import type { RunReport } from '../usecases/reports.ts';
import { printable, printableLines } from './printable.ts';

/** How a verb ended when it did not throw. `warning` and `critical` are those of `snap status`, which monitors read. */
export type Result = 'complete' | 'partial' | 'failed' | 'damaged' | 'warning' | 'critical';

const RESULT_CODES: Readonly<Record<Result, number>> = { complete: 0, failed: 1, partial: 3, damaged: 13, warning: 1, critical: 2 };

const KIND_CODES: Readonly<Record<SnapErrorKind, number>> = {
  'usage': 2, 'not-found': 1, 'conflict': 11, 'wrong-key': 12, 'corrupt': 13, 'guard': 14, 'unavailable': 1, 'denied': 1,
  'no-space': 1, 'unsupported': 1, 'internal': 1, 'cancelled': 130,
};
/** Codes whose exit code differs from that of their kind. */
const OWN_CODES: { readonly [Code in SnapErrorCode]?: number } = { REPOSITORY_NOT_FOUND: 10 };

/** For the help topic and the documents. */
export const EXIT_CODES: readonly (readonly [code: number, meaning: string])[] = [
  [0, 'done'],
  [1, 'failed; of snap status: a warning'],
  [2, 'wrong usage: a flag, an argument or a configuration value; of snap status: critical'],
  [3, 'done in part: some entries could not be read, written or removed'],
  [10, 'there is no repository at the location'],
  [11, 'busy, or another run was first'],
  [12, 'wrong password'],
  [13, 'damage found in the repository'],
  [14, 'a guard stopped it, such as an empty source'],
  [130, 'interrupted'],
];

export function exitCodeOfResult(result: Result): number {
  return RESULT_CODES[result];
}

export function exitCodeOfError(code: SnapErrorCode, kind: SnapErrorKind): number {
  return OWN_CODES[code] ?? KIND_CODES[kind];
}

/** Damage weighs more than problems: a report with both says damaged. */
export function resultOf(report: RunReport): Result {
  if (report.job === 'stats') return 'complete';
  if ('findings' in report && report.findings.some(finding => finding.severity === 'damage')) return 'damaged';
  return report.status;
}

/** What is said about an error that ends the run. */
export interface Failure {
  readonly exitCode: number;
  readonly errorCode: SnapErrorCode;
  readonly message: string;
  readonly hint: string | undefined;
  /** Only for errors that snap does not know: where they came from. */
  readonly stack: string | undefined;
}

export function failureOf(error: unknown): Failure {
  if (error instanceof SnapError) {
    const isUnexpected = error.code === 'INTERNAL';
    return {
      exitCode: exitCodeOfError(error.code, error.kind), errorCode: error.code, message: printable(describe(error)),
      hint: error.hint === undefined ? undefined : printable(error.hint), stack: isUnexpected ? stackOf(error) : undefined,
    };
  }
  const message = error instanceof Error ? error.message : String(error);
  return {
    exitCode: KIND_CODES.internal, errorCode: 'INTERNAL', message: printable(message),
    hint: 'This is a fault in snap; please report it', stack: error instanceof Error ? stackOf(error) : undefined,
  };
}

/** Kinds whose message says all; the cause would repeat it in the words of the system. */
const SELF_EXPLAINED: readonly SnapErrorKind[] = ['cancelled', 'not-found', 'wrong-key', 'guard'];

/** The message, and that of the cause when it says more. */
function describe(error: SnapError): string {
  if (SELF_EXPLAINED.includes(error.kind) || error.code === 'SOURCE_MISSING' || !(error.cause instanceof Error)) return error.message;
  const cause = reasonOf(error.cause);
  return cause === '' || error.message.includes(cause) ? error.message : `${error.message}: ${cause}`;
}

/** Of a system error only the words: `ENOENT: no such file or directory, open '/x'` -> `no such file or directory`. */
function reasonOf(cause: Error): string {
  const words = 'syscall' in cause ? /^[A-Z0-9]+: ([^,]+)/.exec(cause.message)?.[1] : undefined;
  return words ?? cause.message;
}

function stackOf(error: Error): string {
  const own = error.stack ?? error.message;
  const cause = error.cause instanceof Error ? `\nCaused by: ${stackOf(error.cause)}` : '';
  return printableLines(own + cause);
}
