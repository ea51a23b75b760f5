import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { systemRandom } from '../../src/base/ambient.ts';
import { openLmdbCache } from '../../src/cache/lmdb-cache.ts';
import { MemoryChunkIndex } from '../../src/cache/memory-cache.ts';
import type { Engine } from '../../src/engine/engine.ts';
import { createPoolEngine } from '../../src/engine/pool-engine.ts';
import { parseRepositoryId } from '../../src/format/ids.ts';
import { engineConformance, type EngineUnderTest } from '../conformance/engine.ts';
import { filesBatch, IngestHarness } from './ingest-harness.ts';

const WORKER_URL = new URL('../../dist/engine/worker.js', import.meta.url);

async function makePool(): Promise<EngineUnderTest> {
  if (!existsSync(WORKER_URL)) throw new Error('The pool needs the built worker: run "npm run build" before these tests');
  const directory = mkdtempSync(join(tmpdir(), 'snap-cache-'));
  const cache = await openLmdbCache({ directory, repositoryId: parseRepositoryId('0123456789abcdef0123456789abcdef'), random: systemRandom });
  const engine = createPoolEngine({ workers: 2, workerUrl: WORKER_URL });
  return {
    engine,
    index: cache.chunks,
    async dispose() {
      await engine.close();
      await cache.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

engineConformance('The pool', makePool);

/** A pool whose workers run this program. */
const poolOf = (program: string): Engine => createPoolEngine({ workers: 2, workerUrl: new URL(`data:text/javascript,${encodeURIComponent(program)}`) });

const PORT = 'import { parentPort } from "node:worker_threads"; const replyTo = answer => parentPort.on("message", answer);';
const ACCEPT = 'if (m.kind === "close") parentPort.close(); else if (m.request.kind === "begin-ingest") parentPort.postMessage({ kind: "reply", id: m.id, reply: { kind: "nothing" } })';

describe('A worker that dies', () => {
  test.each([
    ['ends', 'process.exit(3)', 'A worker thread ended with code 3'],
    ['throws', 'throw new Error("broken")', 'A worker thread threw an error'],
  ])('%s: every batch fails with WORKER_FAILED, those that wait too', async (_, fault, message) => {
    const engine = poolOf(`${PORT} replyTo(m => { ${ACCEPT}; else { ${fault} } });`);
    const harness = new IngestHarness(engine, new MemoryChunkIndex());
    await harness.begin({ index: undefined });
    const batches = await Promise.allSettled(Array.from({ length: 9 }, () => engine.ingest(filesBatch())));
    for (const batch of batches) expect(batch).toMatchObject({ status: 'rejected', reason: { code: 'WORKER_FAILED', message } });
    await expect(engine.ingest(filesBatch())).rejects.toMatchObject({ code: 'WORKER_FAILED' });
    await expect(engine.endIngest()).rejects.toMatchObject({ code: 'WORKER_FAILED' });
    await engine.close();
  });

  test('before it was ready fails the begin', async () => {
    const engine = poolOf('process.exit(1)');
    await expect(new IngestHarness(engine, new MemoryChunkIndex()).begin({ index: undefined })).rejects.toMatchObject({ code: 'WORKER_FAILED' });
    await engine.close();
  });
});

describe('Closing a pool', () => {
  test('ends what is under way and what waits with CANCELLED', async () => {
    // Takes batches and never answers.
    const engine = poolOf(`${PORT} replyTo(m => { ${ACCEPT}; });`);
    await new IngestHarness(engine, new MemoryChunkIndex()).begin({ index: undefined });
    const batches = Promise.allSettled(Array.from({ length: 7 }, () => engine.ingest(filesBatch())));
    await engine.close();
    for (const batch of await batches) expect(batch).toMatchObject({ status: 'rejected', reason: { code: 'CANCELLED' } });
  });
});

describe('Workers', () => {
  test('see no environment', async () => {
    const engine = poolOf(`${PORT} replyTo(m => { if (m.kind === "close") parentPort.close(); else parentPort.postMessage({ kind: "error", id: m.id,
      error: { code: "INTERNAL", message: JSON.stringify([process.env, process.execArgv]), context: {} } }); });`);
    await expect(new IngestHarness(engine, new MemoryChunkIndex()).begin({ index: undefined })).rejects.toMatchObject({ message: '[{},[]]' });
    await engine.close();
  });

  test('are at least one', () => expect(() => createPoolEngine({ workers: 0, workerUrl: WORKER_URL })).toThrow(RangeError));
});
