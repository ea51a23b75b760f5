/** What the failure of a connection means, whatever the protocol on top: by the codes of Node, which all HTTP clients pass on. */
import type { SnapErrorCode } from '../base/errors.ts';
import { printable } from './object-arguments.ts';

export interface Verdict {
  readonly code: SnapErrorCode;
  readonly reason?: string;
  readonly hint?: string;
  /** A write may have happened all the same. */
  readonly isEffectUnknown?: boolean;
}

/** Nothing was sent, so nothing can have happened. */
const NOT_CONNECTED = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL'];
const UNTRUSTED = /^(CERT_|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_|ERR_TLS_CERT_ALTNAME_INVALID|HOSTNAME_MISMATCH)/;

/** @param server what to check the address of, such as 'S3 server' */
export function connectionVerdict({ code, message }: { readonly code: string; readonly message: string }, server: string): Verdict {
  if (UNTRUSTED.test(code)) {
    return {
      code: 'DENIED', reason: `the certificate of the server cannot be trusted: ${printable(message)}`,
      hint: 'Name the certificate of its authority in NODE_EXTRA_CA_CERTS, or correct the address',
    };
  }
  const hint = `Check the connection and the address of the ${server}, then run the command again`;
  const isBefore = NOT_CONNECTED.includes(code) || message.includes('did not establish a connection');
  return { code: 'UNAVAILABLE', hint, isEffectUnknown: !isBefore };
}
