import type { Terminal } from './terminal.ts';

export interface Interrupts {
  /** Aborts on the first SIGINT or SIGTERM. */
  readonly signal: AbortSignal;
  /** Gives the signals back to the system. */
  stop(): void;
}

/** Exit code of a run that a signal ended at once. */
const EXIT_INTERRUPTED = 130;

/** The first signal lets the run finish cleanly, a second one ends the process at once. `says` is false for JSON output. */
export function catchInterrupts(process: NodeJS.Process, terminal: Terminal, says: boolean): Interrupts {
  const controller = new AbortController();
  const onSignal = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(EXIT_INTERRUPTED);
    terminal.status(undefined);
    if (says) terminal.error('Interrupted; finishing cleanly, press again to stop at once');
    controller.abort(new Error(name));
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  return {
    signal: controller.signal,
    stop: () => void process.off('SIGINT', onSignal).off('SIGTERM', onSignal),
  };
}
