import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { ChunkSet } from '../../src/engine/chunk-set.ts';
import { ClaimGenerations, ClaimTable } from '../../src/engine/claim-table.ts';
import { SeededRandom } from '../support/seeded-random.ts';

const random = new SeededRandom(1);
const ids = Array.from({ length: 400_000 }, () => random.bytes(32));
/** Claims until the table cannot take more; returns how many it took. */
function fill(table: ClaimTable, from: number): number {
  let i = from;
  while (table.claim(ids[i]!) === 'mine') i++;
  return i;
}

describe('A claim', () => {
  test('is mine once and taken ever after, for every view of the table', () => {
    const table = new ClaimTable();
    const other = new ClaimTable(table.memory);
    for (const id of ids.slice(0, 1000)) expect(table.claim(id)).toBe('mine');
    for (const id of ids.slice(0, 1000)) expect(other.claim(id)).toBe('taken');
    expect(other.claim(ids[1000]!)).toBe('mine');
    expect(table.claim(ids[1000]!)).toBe('taken');
  });

  test('compares all 32 bytes', () => {
    const table = new ClaimTable();
    const id = ids[0]!.slice();
    table.claim(id);
    for (let byte = 0; byte < 32; byte++) {
      const near = id.slice();
      near[byte]! ^= 1;
      expect(table.claim(near), `byte ${byte}`).toBe('mine');
    }
  });

  test('is full when the table is, and what was claimed before is still taken', () => {
    const table = new ClaimTable();
    const count = fill(table, 0);
    expect(count).toBeGreaterThan(100_000);
    expect(table.claim(ids[count]!)).toBe('full');
    for (let i = 0; i < count; i += 997) expect(table.claim(ids[i]!)).toBe('taken');
  });

  test('of one chunk by several threads is mine for exactly one of them', async () => {
    const table = new ClaimTable();
    const results = new SharedArrayBuffer(4 * 3 * 20_000);
    const program = `
      const { workerData, parentPort } = require('node:worker_threads');
      import(workerData.module).then(({ ClaimTable }) => {
        const table = new ClaimTable(workerData.memory);
        const results = new Int32Array(workerData.results);
        parentPort.on('message', () => {
          const id = new Uint8Array(32);
          for (let i = 0; i < 20000; i++) {
            const words = new Uint32Array(id.buffer);
            words[0] = Math.imul(i, 2654435761); words[7] = i;
            results[workerData.number * 20000 + i] = table.claim(id) === 'mine' ? 1 : 0;
          }
          parentPort.close();
        });
        parentPort.postMessage('ready');
      });`;
    const module = new URL('../../dist/engine/claim-table.js', import.meta.url).href;
    const workers = [0, 1, 2].map(number => new Worker(program, { eval: true, workerData: { module, memory: table.memory, results, number } }));
    await Promise.all(workers.map(worker => new Promise(resolve => worker.once('message', resolve))));
    const ends = Promise.all(workers.map(worker => new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject))));
    for (const worker of workers) worker.postMessage('go');
    await ends;
    const mine = new Int32Array(results);
    for (let i = 0; i < 20_000; i++) expect(mine[i]! + mine[20_000 + i]! + mine[40_000 + i]!).toBe(1);
  });

  test('table stays within 16 MiB', () => expect(new ClaimTable().memory.byteLength).toBeLessThan(16 * 2 ** 20));
});

describe('Generations of claims', () => {
  test('keep the claims of the one before, and forget those before it', () => {
    const table = new ClaimTable();
    table.claim(ids[0]!);
    table.rotate();
    expect(table.claim(ids[0]!)).toBe('taken');
    expect(table.claim(ids[1]!)).toBe('mine');
    table.rotate();
    expect(table.claim(ids[0]!)).toBe('mine');
    expect(table.claim(ids[1]!)).toBe('taken');
  });

  test('rotate only when all packs of the older generation are indexed', () => {
    const table = new ClaimTable();
    const generations = new ClaimGenerations(table);
    for (const pack of [1, 2, 3]) generations.granted(pack);
    const count = fill(table, 0);
    generations.indexed(1);
    expect(table.claim(ids[count]!), 'rotated: there is room again').toBe('mine');
    expect(table.claim(ids[0]!), 'the claims of packs 2 and 3 are still known').toBe('taken');
    generations.granted(4);
    const more = fill(table, count + 1);
    generations.indexed(4);
    generations.indexed(2);
    expect(table.claim(ids[more]!), 'pack 3 is not indexed yet').toBe('full');
    expect(table.claim(ids[0]!)).toBe('taken');
    generations.indexed(3);
    expect(table.claim(ids[more]!)).toBe('mine');
    expect(table.claim(ids[count + 1]!), 'claims of the generation before').toBe('taken');
    expect(table.claim(ids[0]!), 'settled claims are forgotten').toBe('mine');
  });

  test('do not rotate before the table is half full', () => {
    const table = new ClaimTable();
    const generations = new ClaimGenerations(table);
    table.claim(ids[0]!);
    for (let pack = 1; pack < 10; pack++) {
      generations.granted(pack);
      generations.indexed(pack);
    }
    expect(table.claim(ids[0]!)).toBe('taken');
  });
});

describe('The IDs of an open pack', () => {
  test('are found, all of them and no others', () => {
    const set = new ChunkSet();
    for (const id of ids.slice(0, 5000)) {
      expect(set.has(id)).toBe(false);
      set.add(id);
    }
    expect(set.count).toBe(5000);
    for (const [i, id] of ids.slice(0, 10_000).entries()) expect(set.has(id)).toBe(i < 5000);
  });

  test('are compared by all 32 bytes', () => {
    const set = new ChunkSet();
    set.add(ids[0]!);
    for (let byte = 0; byte < 32; byte++) {
      const near = ids[0]!.slice();
      near[byte]! ^= 1;
      expect(set.has(near), `byte ${byte}`).toBe(false);
    }
  });
});
