/** Bytes that may be transferred to another thread: the only content of their ArrayBuffer. */
import type { Bytes } from '../base/bytes.ts';

/**
 * The same bytes if they fill an ArrayBuffer, else a copy that does. Part of a larger buffer, memory of WebAssembly and
 * shared memory must not be transferred, and would be copied as a whole if they were sent.
 */
export function ownMemory(bytes: Bytes): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && bytes.length === buffer.byteLength) return new Uint8Array(buffer);
  return bytes.slice() as Uint8Array<ArrayBuffer>;
}

/** A copy of all parts in one piece of memory, and a view of it for each part. */
export function packParts(parts: readonly Bytes[]): { readonly memory: ArrayBuffer; readonly views: Uint8Array<ArrayBuffer>[] } {
  let total = 0;
  for (const part of parts) total += part.length;
  const memory = new ArrayBuffer(total);
  const views: Uint8Array<ArrayBuffer>[] = [];
  let at = 0;
  for (const part of parts) {
    const view = new Uint8Array(memory, at, part.length);
    view.set(part);
    views.push(view);
    at += part.length;
  }
  return { memory, views };
}
