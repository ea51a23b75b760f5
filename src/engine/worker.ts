/** Entry of a worker thread: chooses the adapters (composition root). It sees no environment, configuration or console. */
import { parentPort, workerData } from 'node:worker_threads';
import { systemRandom } from '../base/ambient.ts';
import { invariant } from '../base/errors.ts';
import { nativeFileSystem } from '../base/native-filesystem.ts';
import { openKnownChunks } from '../cache/known-chunks.ts';
import { createFastKernel } from '../kernel/fast.ts';
import type { WorkerStart } from './messages.ts';
import { WorkerService } from './worker-service.ts';

invariant(parentPort !== null, 'This file is the entry of a worker thread');
new WorkerService(workerData as WorkerStart, parentPort, {
  kernel: createFastKernel(),
  native: nativeFileSystem(),
  random: systemRandom,
  openKnownChunks,
});
