import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { readOutputToItsEnd } from '../support/worker-output.ts';

readOutputToItsEnd();

/** Crash loops, disk-full runs, large data. SNAP_SLOW_ROUNDS multiplies the number of rounds (default 1). */
export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  test: { include: ['test/slow/**/*.test.ts'], pool: 'forks', maxWorkers: 2, testTimeout: 900_000 },
});
