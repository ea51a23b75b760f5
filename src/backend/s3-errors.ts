/**
 * Turns failures of an S3 request into the few kinds that may leave an adapter. Servers agree on few codes beside Amazon's,
 * so the status decides where the code is not known. An answer to HEAD has no body and therefore no code at all.
 */
import { SnapError } from '../base/errors.ts';
import { connectionVerdict, type Verdict } from './connection-verdict.ts';
import { type Failure, objectError, objectNotFound } from './object-errors.ts';
import { printable } from './object-arguments.ts';

/** What can be known of a failed request. */
export interface S3Fault {
  /** S3's code, or that of Node for a connection, or the name of the error. */
  readonly code: string;
  /** HTTP status; undefined when there was no answer. */
  readonly status: number | undefined;
  readonly message: string;
  /** Header of an answer; '' when it is not there. */
  header(name: string): string;
  /** The SDK has just learned how far the clock is wrong, and signs the next request with the time of the server. */
  readonly isClockCorrected: boolean;
}

interface SdkError {
  readonly name?: unknown;
  readonly message?: unknown;
  readonly code?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: number; readonly clockSkewCorrected?: boolean };
  readonly $response?: { readonly statusCode?: number; readonly headers?: Readonly<Record<string, string>> };
}

export function faultOf(error: unknown): S3Fault {
  const { name, message, code, $metadata, $response } = (typeof error === 'object' && error !== null ? error : {}) as SdkError;
  // A connection that was tried at several addresses fails with an AggregateError, whose message is empty.
  const first = error instanceof AggregateError ? (error.errors as unknown[])[0] : undefined;
  return {
    code: typeof code === 'string' ? code : String(name),
    status: $metadata?.httpStatusCode ?? $response?.statusCode,
    message: String(message ?? '') || (first instanceof Error ? first.message : ''),
    header: key => $response?.headers?.[key] ?? '',
    isClockCorrected: $metadata?.clockSkewCorrected === true,
  };
}

const EXPIRED = ['ExpiredToken', 'ExpiredTokenException', 'TokenRefreshRequired', 'RequestExpired'];

export function isExpired({ code }: S3Fault): boolean {
  return EXPIRED.includes(code);
}

/** What the server said, of an error that `s3Error` made; undefined for any other. */
export function answerOf(error: unknown): { readonly status: number; readonly code: string } | undefined {
  const { status, answer } = error instanceof SnapError ? error.context : {};
  return typeof status === 'number' && typeof answer === 'string' ? { status, code: answer } : undefined;
}

const FULL = /quota|storagefull|insufficientstorage|nospace/i;
/** Answers that pass, and after which nothing was done: too many requests, a body that came too slowly or damaged, a race. */
const PASSING = [
  'SlowDown', 'RequestTimeout', 'OperationAborted', 'ConditionalRequestConflict', 'TooManyRequests', 'TooManyRequestsException', 'BandwidthLimitExceeded',
  'BadDigest', 'IncompleteBody', 'XAmzContentSHA256Mismatch', 'XAmzContentChecksumMismatch',
];
const WRONG_CREDENTIALS = ['InvalidAccessKeyId', 'SignatureDoesNotMatch', 'InvalidToken', 'InvalidSecurity', 'MissingAuthenticationToken'];
const WRONG_REGION = ['PermanentRedirect', 'AuthorizationHeaderMalformed', 'IllegalLocationConstraintException'];

/** The SDK's word for an answer without a code or a message. */
const UNKNOWN = 'UnknownError';

/**
 * Without the SDK's error as its cause: that one holds the whole connection, with signatures and tokens in its headers.
 * @param isWrite a write whose answer is lost may have happened all the same; the error says so
 */
export function s3Error(failure: Failure, error: unknown, isWrite: boolean): SnapError {
  const fault = faultOf(error);
  const verdict = fault.status === undefined ? noAnswerVerdict(fault) : answerVerdict(fault, failure);
  if (verdict.code === 'OBJECT_NOT_FOUND') return objectNotFound(failure);
  const detail = [fault.status, fault.code].filter(each => each !== undefined && each !== 'undefined' && each !== UNKNOWN).join(' ');
  const reason = verdict.reason ?? (['', UNKNOWN].includes(fault.message) ? 'the server refused' : printable(fault.message));
  const context = { status: fault.status ?? 0, answer: printable(fault.code), ...(isWrite && verdict.isEffectUnknown === true ? { effectUnknown: 1 } : {}) };
  return objectError(verdict.code, failure, `${reason} (${printable(detail)})`, { hint: verdict.hint, context });
}

function noAnswerVerdict(fault: S3Fault): Verdict {
  if (fault.code !== 'CredentialsProviderError' && !/credential/i.test(fault.code)) return connectionVerdict(fault, 'S3 server');
  return {
    code: 'DENIED', reason: `there are no credentials: ${printable(fault.message)}`,
    hint: 'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run where a role gives credentials',
  };
}

function answerVerdict(fault: S3Fault, { name, verb }: Failure): Verdict {
  const { code, status = 0, isClockCorrected } = fault;
  if (code === 'NoSuchBucket') return { code: 'DENIED', reason: 'the bucket does not exist', hint: 'Check the name of the bucket and the address of the server' };
  if (status === 404 && name !== '' && verb !== 'create') return { code: 'OBJECT_NOT_FOUND' };
  if (FULL.test(code) || status === 507) return { code: 'NO_SPACE', hint: 'Make space in the storage or raise the quota of the bucket or the user' };
  if (PASSING.includes(code) || status === 409 || status === 429) return { code: 'UNAVAILABLE', hint: 'Run the command again later' };
  if (code === 'RequestTimeTooSkewed') {
    if (isClockCorrected) return { code: 'UNAVAILABLE' };
    return { code: 'DENIED', reason: 'the clocks of this machine and of the server differ too much', hint: 'Set the clock of this machine' };
  }
  // A gateway in between may have passed the request on before it failed.
  if (status >= 500 && status !== 501) return { code: 'UNAVAILABLE', isEffectUnknown: true, hint: 'Run the command again later' };
  return { code: 'DENIED', ...refusal(fault) };
}

function refusal(fault: S3Fault): Pick<Verdict, 'reason' | 'hint'> {
  const { code, status = 0 } = fault;
  if (isExpired(fault)) return { reason: 'the credentials have expired', hint: 'Renew them and run the command again; what was stored is found again' };
  if (WRONG_CREDENTIALS.includes(code)) return { hint: 'Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and AWS_PROFILE' };
  if (WRONG_REGION.includes(code) || (status >= 300 && status < 400)) {
    const region = printable(fault.header('x-amz-bucket-region'));
    return { reason: 'the bucket lies in another region', hint: `Give --s3-region${region === '' ? ' with its region' : ` ${region}`}` };
  }
  if (code === 'InvalidObjectState') {
    return { reason: 'the object lies in an archive class and cannot be read now', hint: 'Restore it from the archive with the tools of the storage first' };
  }
  if (code === 'AccessDenied' || status === 403) {
    return { hint: "Check the policy of the bucket and of the user; without the right to list, S3 answers so for what is not there, too. See docs/guides/s3.md" };
  }
  return { hint: 'Check the settings of the bucket and the options that begin with --s3-' };
}
