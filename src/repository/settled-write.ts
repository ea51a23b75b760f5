/** Create-only writes whose answer may be lost on the way: what lies there then is the truth. */
import { equalBytes, type Bytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import { hasCode, SnapError } from '../base/errors.ts';
import type { WriteBackend } from '../backend/backend.ts';

/**
 * 'created' also when an earlier attempt of this call succeeded unnoticed: sealed objects have a random nonce, so equal bytes
 * are our own. @throws the error of a write that had no effect
 */
export async function createSettled(backend: WriteBackend, name: string, bytes: Bytes, options: CallOptions = {}): Promise<'created' | 'exists'> {
  try {
    return await backend.createIfAbsent(name, bytes, options);
  } catch (error) {
    if (!(error instanceof SnapError) || error.context['effectUnknown'] !== 1) throw error;
    const stored = await backend.read(name, undefined, options).catch((readError: unknown) => {
      throw hasCode(readError, 'OBJECT_NOT_FOUND') ? error : readError;
    });
    return equalBytes(stored, bytes) ? 'created' : 'exists';
  }
}
