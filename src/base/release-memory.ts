/**
 * Gives back the memory of large buffers at once. V8 knows the memory behind buffers only as a limit and frees it at the next
 * collection of its own small heap, so a thread that makes few, large buffers keeps some 64 MiB of dead ones; fresh memory for
 * the next ones then costs page faults on top. A message to a closed port takes its buffers with it.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { nativeFileSystem } from './native-filesystem.ts';

/** A smaller buffer is not worth the message. */
const WORTHWHILE_BYTES = 16 * 1024;

/**
 * Made when this module is loaded: a port is closed only after a turn of the event loop, which a busy worker may not take for
 * a long time, and messages sent before that would pile up.
 */
const closed: MessagePort = closedPort();

function closedPort(): MessagePort {
  const { port1, port2 } = new MessageChannel();
  port2.close();
  port1.unref();
  return port1;
}

/**
 * The buffers must not be used any more: their length is 0 afterwards. Views of shared or pooled memory, and small buffers,
 * are left to the collector.
 */
export function releaseMemory(buffers: readonly Uint8Array[]): void {
  const owned: ArrayBuffer[] = [];
  for (const { buffer, byteLength } of buffers) {
    if (byteLength >= WORTHWHILE_BYTES && buffer.byteLength === byteLength && buffer instanceof ArrayBuffer) owned.push(buffer);
  }
  if (owned.length === 0) return;
  closed.postMessage(undefined, owned);
}

/**
 * Gives what was freed back to the system. Large buffers of several threads leave gaps between each other in the memory of the C
 * library; for a moment when many of them were just released.
 */
export function returnFreeMemory(): void {
  nativeFileSystem().returnFreeMemory();
}
