/** How a reader follows what a prune moves while it reads (repository design, section 6.2, R3). */
import type { CallOptions } from '../base/call-options.ts';
import { hasCode } from '../base/errors.ts';

/** How a reader renews its view of the repository. */
export interface ViewRenewal {
  /** Number of the present view; the first one has 1. */
  readonly looks: number;
  /** For something that was missing in view number `seen`. What a renewed view does not have is gone. */
  lookAgain(seen: number, options: CallOptions): Promise<void>;
}

/** Prunes that move the same thing, one after the other, each between a look and the read that follows. */
const MAX_MOVES = 4;

/** Reads in new views what was missing. The first view may have missed what was moved while it was made. @throws what the last attempt threw */
export async function followMoves<T>(renewal: ViewRenewal, read: () => Promise<T>, options: CallOptions): Promise<T> {
  for (let moves = 0; ; moves++) {
    const { looks } = renewal;
    try {
      return await read();
    } catch (error) {
      const mayHaveMoved = hasCode(error, 'OBJECT_NOT_FOUND') || (hasCode(error, 'CHUNK_MISSING') && looks === 1);
      if (!mayHaveMoved || moves === MAX_MOVES) throw error;
      await renewal.lookAgain(looks, options);
    }
  }
}
