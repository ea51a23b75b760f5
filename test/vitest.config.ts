import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { readOutputToItsEnd } from './support/worker-output.ts';

readOutputToItsEnd();

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/slow/**', 'node_modules/**'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 30_000,
  },
});
