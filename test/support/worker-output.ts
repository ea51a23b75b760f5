/**
 * Lets vitest end. It (4.1.11, `ForksPoolWorker.stop`) stops reading the output of a worker process as soon as the process has
 * exited; when the end of that output was not read by then, the open pipe keeps vitest running until it gives up after ten seconds.
 */
import type { ChildProcess } from 'node:child_process';
import { subscribe } from 'node:diagnostics_channel';

/** Reads the output of every child process to its end. */
export function readOutputToItsEnd(): void {
  subscribe('child_process', message => {
    const child = (message as { readonly process: ChildProcess }).process;
    child.once('exit', () => setImmediate(() => {
      child.stdout?.resume();
      child.stderr?.resume();
    }));
  });
}
