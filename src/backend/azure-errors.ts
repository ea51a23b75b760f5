/**
 * Turns failures of a request to Azure into the few kinds that may leave an adapter. The service names its reason in the header
 * `x-ms-error-code`, also in answers without a body; what has none was not said by Azure.
 */
import { SnapError } from '../base/errors.ts';
import { connectionVerdict, type Verdict } from './connection-verdict.ts';
import { type Failure, objectError, objectNotFound } from './object-errors.ts';
import { printable } from './object-arguments.ts';

/** What can be known of a failed request. */
interface AzureFault {
  /** Azure's code, or that of Node for a connection; '' when there is neither. */
  readonly code: string;
  /** HTTP status; undefined when there was no answer. */
  readonly status: number | undefined;
  readonly message: string;
}

interface SdkError {
  readonly name?: unknown;
  readonly message?: unknown;
  readonly code?: unknown;
  readonly statusCode?: unknown;
  readonly response?: { readonly headers?: { get(name: string): string | undefined } };
}

function faultOf(error: unknown): AzureFault {
  const { message, code, statusCode, response } = (typeof error === 'object' && error !== null ? error : {}) as SdkError;
  const said = response?.headers?.get('x-ms-error-code');
  const status = typeof statusCode === 'number' ? statusCode : undefined;
  // The first line says what is wrong; those after it identify the request. Of an XML document it says nothing.
  const [line = ''] = String(message ?? '').split('\n');
  return { code: said ?? (status === undefined && typeof code === 'string' ? code : ''), status, message: line.startsWith('<') ? '' : line };
}

const MISSING = ['BlobNotFound', 'ResourceNotFound'];
const NO_CONTAINER = ['ContainerNotFound', 'ContainerDisabled'];
/** Answers that pass, and after which nothing was done. */
const PASSING = ['ServerBusy', 'Md5Mismatch', 'Crc64Mismatch', 'ContainerBeingDeleted', 'ContainerBeingCreated', 'AccountBeingCreated', 'RequestBodyTooSlow'];
const ARCHIVED = ['BlobArchived', 'BlobBeingRehydrated'];
const WRONG_CREDENTIALS = ['AuthenticationFailed', 'InvalidAuthenticationInfo', 'NoAuthenticationInformation'];

/** What the service said, of an error that `azureError` made; undefined for any other. */
export function answerOf(error: unknown): { readonly status: number; readonly code: string } | undefined {
  const { status, answer } = error instanceof SnapError ? error.context : {};
  return typeof status === 'number' && typeof answer === 'string' ? { status, code: answer } : undefined;
}

/**
 * Without the SDK's error as its cause: that one holds the request with its signature.
 * @param isWrite a write whose answer is lost may have happened all the same; the error says so
 */
export function azureError(failure: Failure, error: unknown, isWrite: boolean): SnapError {
  const fault = faultOf(error);
  const verdict = fault.status === undefined ? connectionVerdict(fault, 'storage account') : answerVerdict(fault, failure);
  if (verdict.code === 'OBJECT_NOT_FOUND') return objectNotFound(failure);
  const detail = [fault.status, fault.code].filter(each => each !== undefined && each !== '').join(' ');
  const reason = verdict.reason ?? (fault.message === '' ? 'the server refused' : printable(fault.message).replace(/\.$/, ''));
  const context = { status: fault.status ?? 0, answer: printable(fault.code), ...(isWrite && verdict.isEffectUnknown === true ? { effectUnknown: 1 } : {}) };
  return objectError(verdict.code, failure, detail === '' ? reason : `${reason} (${printable(detail)})`, { hint: verdict.hint, context });
}

function answerVerdict(fault: AzureFault, { name, verb }: Failure): Verdict {
  const { code, status = 0 } = fault;
  if (NO_CONTAINER.includes(code)) return { code: 'DENIED', reason: 'the container does not exist', hint: 'Check the names of the container and the account' };
  if (MISSING.includes(code) && name !== '' && verb !== 'create') return { code: 'OBJECT_NOT_FOUND' };
  if (status === 507 || code === 'InsufficientStorage') return { code: 'NO_SPACE', hint: 'Raise the limit of the storage account' };
  if (PASSING.includes(code) || status === 429 || status === 408) return { code: 'UNAVAILABLE', hint: 'Run the command again later' };
  // Something in between has answered, and may have passed the request on before.
  if (status >= 500 || code === '') return { code: 'UNAVAILABLE', isEffectUnknown: true, hint: 'Check the address of the storage account and what lies in between' };
  return { code: 'DENIED', ...refusal(fault) };
}

function refusal({ code, status, message }: AzureFault): Pick<Verdict, 'reason' | 'hint'> {
  if (ARCHIVED.includes(code)) {
    return { reason: 'the blob lies in the archive tier and cannot be read now', hint: 'Move it to a hot or cool tier with the tools of Azure and wait until it is there' };
  }
  if (WRONG_CREDENTIALS.includes(code)) {
    return { reason: `the credentials are wrong or have expired: ${printable(message)}`, hint: 'Check the key or the shared access signature with its end, and the clock of this machine' };
  }
  if (status === 403) return { hint: 'Check the permissions of the shared access signature and the network rules of the account. See docs/guides/azure.md' };
  if (code.startsWith('BlobImmutable')) return { hint: 'An immutability policy or a legal hold protects it; wait for its end' };
  return { hint: 'Check the settings of the account and the options that begin with --azure-' };
}

/** The answer lacks or contradicts what the protocol demands: a portal or proxy has answered, or the server is at fault. */
export function notAzure(failure: Failure, reason = 'the answer is not that of the Blob service of Azure'): SnapError {
  return objectError('UNAVAILABLE', failure, reason, { context: { effectUnknown: 1 }, hint: 'Check the address of the server and what lies in between' });
}
