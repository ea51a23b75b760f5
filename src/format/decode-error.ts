/** The two ways in which a decoder refuses bytes: they are damaged, or they need a newer version of snap. */
import { SnapError, type SnapErrorCode } from '../base/errors.ts';

type Context = Readonly<Record<string, string | number>>;
type DamageCode = Extract<SnapErrorCode, 'OBJECT_CORRUPT' | 'PACK_CORRUPT' | 'FRAME_CORRUPT'>;

/** `what` names the kind of object ("snapshot", "pack table"), `reason` continues the sentence "The … is damaged: ". */
export function corrupt(what: string, reason: string, context?: Context, code: DamageCode = 'OBJECT_CORRUPT', cause?: unknown): SnapError {
  return new SnapError(code, `The ${what} is damaged: ${reason}`, { context: { object: what, ...context }, cause });
}

/** `reason` continues the sentence "The … cannot be read: ". */
export function unsupported(what: string, reason: string, context?: Context, hint?: string): SnapError {
  return new SnapError('UNSUPPORTED_FORMAT', `The ${what} cannot be read: ${reason}`, {
    context: { object: what, ...context },
    hint: hint ?? 'It may have been written by a newer version of snap',
  });
}
