/** The built program with worker threads that die in the middle of their work. */
import { cpSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SeededRandom } from '../support/seeded-random.ts';
import { Workplace } from './cli.ts';

/** What a thread runs when it gets its third batch. */
const DEATHS = {
  'ends the thread': 'process.exit(7);',
  'runs out of memory': 'for (const all = []; ; ) all.push(new Array(100_000).fill(0.5));',
  'throws where nobody catches': "queueMicrotask(() => { throw new Error('odd'); });",
};

let place: Workplace;

/** A copy of the program whose workers die. */
function programThat(name: string, death: string): string {
  const copy = place.path(name);
  cpSync(resolve('dist'), `${copy}/dist`, { recursive: true });
  for (const shared of ['node_modules', 'native', 'package.json']) symlinkSync(resolve(shared), `${copy}/${shared}`);
  const worker = `${copy}/dist/engine/worker.js`;
  writeFileSync(`${copy}/dist/engine/whole-worker.js`, readFileSync(worker));
  writeFileSync(worker, `import { parentPort } from 'node:worker_threads';
await import('./whole-worker.js');
let batches = 0;
parentPort.on('message', ({ request }) => {
  if ((request?.kind === 'ingest' || request?.kind === 'extract') && ++batches === 3) { ${death} }
});
`);
  return `${copy}/dist/cli/main.js`;
}

beforeAll(async () => {
  place = new Workplace();
  const random = new SeededRandom(1);
  for (let i = 0; i < 24; i++) place.write(`source/folder-${i % 4}/${i}.bin`, random.bytes(1_500_000));
  expect((await place.run(['init'])).code).toBe(0);
});
afterAll(() => place.remove());

async function snapshotCount(): Promise<number> {
  return (await place.run(['snapshots', '--json'])).messages().filter(message => message['message_type'] === 'snapshot').length;
}

describe('A thread that dies', () => {
  test.each(Object.entries(DEATHS))('and %s: the backup fails, makes no snapshot and leaves no session', async (name, death) => {
    const main = programThat(name.replaceAll(' ', '-'), death);
    const failed = await place.run(['backup', 'source'], { main });
    expect(failed).toMatchObject({ code: 1, out: '' });
    expect(failed.err).toMatch(/^Error: A worker thread (ended|threw)/m);
    expect(await snapshotCount()).toBe(0);
    expect(readdirSync(place.path('repo/sessions'))).toEqual([]);
  });

  test('costs only that run: the next one is whole', async () => {
    expect((await place.run(['backup', 'source'])).code).toBe(0);
    expect((await place.run(['verify', '--read-data'])).code).toBe(0);
    expect(await snapshotCount()).toBe(1);
  });

  test('fails a check and a restore as well', async () => {
    const main = programThat('reader', DEATHS['ends the thread']);
    for (const words of [['verify', '--read-data'], ['restore', 'latest', '--target', 'restored']]) {
      const failed = await place.run(words, { main });
      expect(failed.code).toBe(1);
      expect(failed.err).toMatch(/^Error: A worker thread ended with code 7/m);
    }
  });
});
