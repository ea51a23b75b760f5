/** The threads that do the byte work. */
import { availableParallelism } from 'node:os';
import type { Engine } from '../engine/engine.ts';
import { JOBS_PER_WORKER } from '../engine/messages.ts';
import { createPoolEngine } from '../engine/pool-engine.ts';
import type { EngineFactory } from '../usecases/ingest-engine.ts';

/** More threads than this wait for storage and memory, not for a processor. */
const MAX_DEFAULT_THREADS = 8;

/** Engines on worker threads, one per processor unless told otherwise. */
export function engineFactory(threads: number | undefined): EngineFactory {
  const workers = threads ?? Math.min(MAX_DEFAULT_THREADS, availableParallelism());
  const open = (): Engine => createPoolEngine({ workers, openPacks: workers === 1 ? 2 : 1, workerUrl: new URL('../engine/worker.js', import.meta.url) });
  return { capacity: workers * JOBS_PER_WORKER, open };
}

/** The same, with threads that can be started ahead, while the password is stretched; whoever made it closes it. */
export function enginesAhead(threads: number | undefined): EngineFactory & { start(): void; close(): Promise<void> } {
  const { capacity, open } = engineFactory(threads);
  let spare: Engine | undefined;
  return {
    capacity,
    start: () => { spare ??= open(); },
    open: () => {
      const engine = spare ?? open();
      spare = undefined;
      return engine;
    },
    close: async () => { await spare?.close(); },
  };
}
