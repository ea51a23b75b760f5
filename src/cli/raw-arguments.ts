/** Paths from the command line as the bytes that the shell gave, also when they are not UTF-8. */
import { readFileSync } from 'node:fs';
import { utf8, type Bytes } from '../base/bytes.ts';

const REPLACEMENT = '\ufffd';

/**
 * The bytes of an argument, or of its end when it is only the end of one (`SNAPSHOT:PATH`, `--flag=PATH`). Node decodes
 * arguments and loses bytes that are not UTF-8; Linux still has them in /proc. Elsewhere such a path cannot be named.
 */
export function rawBytes(text: string): Bytes {
  if (!text.includes(REPLACEMENT)) return utf8(text);
  for (const original of originalArguments()) {
    const decoded = original.toString('utf8');
    if (!decoded.endsWith(text)) continue;
    // What stands in front is matched by its encoding, so that its own length does not matter.
    const front = Buffer.from(decoded.slice(0, decoded.length - text.length));
    if (original.subarray(0, front.length).equals(front)) return original.subarray(front.length);
  }
  return utf8(text);
}

function originalArguments(): Buffer[] {
  let all: Buffer;
  try {
    all = readFileSync('/proc/self/cmdline');
  } catch (error) {
    if (['ENOENT', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
  const pieces: Buffer[] = [];
  for (let start = 0; start < all.length;) {
    const end = all.indexOf(0, start) < 0 ? all.length : all.indexOf(0, start);
    pieces.push(all.subarray(start, end));
    start = end + 1;
  }
  return pieces;
}
