/** Whatever cannot be read stops a prune before anything is deleted. */
import { describe, expect, test } from 'vitest';
import type { Backend } from '../../../src/backend/backend.ts';
import type { MemoryBackend } from '../../../src/backend/memory.ts';
import { listPacks } from '../../../src/repository/session-view.ts';
import { reopen } from '../../support/memory-repository.ts';
import { HookedBackend } from '../../support/hooked-backend.ts';
import { forget, namesBelow, runPrune, storedGenerations } from '../../support/prune-jobs.ts';
import { readAllSnapshots } from '../../support/read-snapshot.ts';
import { RecordingBackend } from '../../support/recording-backend.ts';
import { TestClock } from '../../support/test-clock.ts';

type Sample = Awaited<ReturnType<typeof storedGenerations>>;

async function sample(): Promise<Sample> {
  const made = await storedGenerations(3);
  await forget(made.repository, made.ids[0]!);
  return made;
}

async function replace(backend: MemoryBackend, name: string, change: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array): Promise<void> {
  const bytes = change(await backend.read(name));
  await backend.remove(name);
  await backend.create(name, [bytes]);
}

const flip = (bytes: Uint8Array<ArrayBuffer>): Uint8Array => bytes.map((byte, i) => (i === bytes.length - 20 ? byte ^ 1 : byte));
const newer = (bytes: Uint8Array<ArrayBuffer>): Uint8Array => bytes.map((byte, i) => (i === 4 ? 2 : byte));
const half = (bytes: Uint8Array<ArrayBuffer>): Uint8Array => bytes.slice(0, bytes.length >> 1);
const zeros = (bytes: Uint8Array<ArrayBuffer>): Uint8Array => new Uint8Array(bytes.length);

async function packsOf(backend: Backend, type: 'data' | 'tree'): Promise<string[]> {
  const ids = (await listPacks(backend)).filter(pack => pack.type === type).map(({ id }) => id as string);
  return (await namesBelow(backend, 'packs/')).filter(name => ids.includes(name.slice(-32)));
}

/** Condemned, but not swept yet. */
async function withPlan({ repository }: Sample): Promise<void> {
  expect(await runPrune(repository, { graceMs: 1e9 })).toMatchObject({ isPending: true });
}

const DAMAGES: Readonly<Record<string, readonly [code: string, damage: (sample: Sample) => Promise<void>]>> = {
  'a snapshot record is damaged': ['OBJECT_CORRUPT', ({ backend, ids }) => replace(backend, `snapshots/${ids[1]!}`, flip)],
  'a snapshot record is cut off': ['OBJECT_CORRUPT', ({ backend, ids }) => replace(backend, `snapshots/${ids[1]!}`, half)],
  'a snapshot record needs a newer version': ['UNSUPPORTED_FORMAT', ({ backend, ids }) => replace(backend, `snapshots/${ids[1]!}`, newer)],
  'an index segment is damaged': ['OBJECT_CORRUPT', async ({ backend }) => replace(backend, (await namesBelow(backend, 'index/'))[0]!, flip)],
  'an index segment is empty': ['OBJECT_CORRUPT', async ({ backend }) => replace(backend, (await namesBelow(backend, 'index/'))[0]!, () => new Uint8Array(0))],
  'an index segment is missing': ['CHUNK_MISSING', async ({ backend }) => backend.remove((await namesBelow(backend, 'index/'))[0]!)],
  'tree nodes are damaged': ['FRAME_CORRUPT', async ({ backend }) => { for (const name of await packsOf(backend, 'tree')) await replace(backend, name, bytes => bytes.map((byte, i) => (i % 1000 === 500 ? byte ^ 1 : byte))); }],
  'a tree pack is full of zeros': ['OBJECT_CORRUPT', async ({ backend }) => { for (const name of await packsOf(backend, 'tree')) await replace(backend, name, zeros); }],
  'a tree pack is missing': ['CHUNK_MISSING', async ({ backend }) => { for (const name of await packsOf(backend, 'tree')) await backend.remove(name); }],
  'a data pack is missing': ['CHUNK_MISSING', async ({ backend }) => { for (const name of await packsOf(backend, 'data')) await backend.remove(name); }],
  'a data pack is cut off': ['CHUNK_MISSING', async ({ backend }) => { for (const name of await packsOf(backend, 'data')) await replace(backend, name, half); }],
  'the plan of an interrupted prune is damaged': ['OBJECT_CORRUPT', async made => {
    await withPlan(made);
    await replace(made.backend, 'gc/0000000001', flip);
  }],
  'the plan of an interrupted prune needs a newer version': ['UNSUPPORTED_FORMAT', async made => {
    await withPlan(made);
    await replace(made.backend, 'gc/0000000001', newer);
  }],
  'the sweep of an interrupted prune is damaged': ['OBJECT_CORRUPT', async made => {
    await withPlan(made);
    await made.backend.create('gc/0000000001.sweep', [flip(await made.backend.read('gc/0000000001'))]);
  }],
};

async function expectRefusal(made: Sample, code: string, prunes: (backend: Backend) => Promise<unknown>): Promise<void> {
  const recording = new RecordingBackend(made.backend, { clock: new TestClock() });
  const error: unknown = await prunes(recording).then(() => undefined, (caught: unknown) => caught);
  expect(error).toMatchObject({ code });
  const removed = recording.operations.filter(({ verb, name }) => verb === 'remove' && !name.startsWith('probe/'));
  expect(removed.map(({ name }) => name)).toEqual([]);
  expect(recording.operations.filter(({ verb, name }) => verb !== 'list' && name.endsWith('.sweep') && verb !== 'read')).toEqual([]);
}

describe('a prune deletes nothing when', () => {
  test.each(Object.keys(DAMAGES))('%s', async what => {
    const [code, damage] = DAMAGES[what]!;
    const made = await sample();
    await damage(made);
    await expectRefusal(made, code, async recording => runPrune(await reopen(recording)));
    await expectRefusal(made, code, async recording => runPrune(await reopen(recording), { dryRun: true }));
  });

  /** Before the listings of P7: the plan is there, and what follows must notice. */
  const LATE: Readonly<Record<string, readonly [code: string, damage: (sample: Sample) => Promise<void>]>> = {
    'a snapshot record that cannot be read': ['OBJECT_CORRUPT', async ({ backend, ids }) => backend.create(`snapshots/${'ab'.repeat(16)}`, [await backend.read(`snapshots/${ids[1]!}`)])],
    'a gc document that cannot be read': ['OBJECT_CORRUPT', async ({ backend }) => backend.create('gc/0000000002', [new Uint8Array(100)])],
    'an index segment that cannot be read': ['OBJECT_CORRUPT', async ({ backend }) => backend.create(`index/${'ab'.repeat(16)}`, [new Uint8Array(100)])],
  };

  test.each(Object.keys(LATE))('after its plan %s appears', async what => {
    const [code, damage] = LATE[what]!;
    const made = await sample();
    await expectRefusal(made, code, async recording => {
      const hooked = new HookedBackend(recording);
      hooked.before('list', /^forgotten\//, () => damage(made), 1);
      await runPrune(await reopen(hooked));
    });
    expect(await namesBelow(made.backend, 'gc/')).toContain('gc/0000000001');
  });

  test('after its plan a pack vanishes that is still needed', async () => {
    const made = await sample();
    await expectRefusal(made, 'CHUNK_MISSING', async recording => {
      const hooked = new HookedBackend(recording);
      hooked.before('list', /^packs\//, async () => {
        const condemned = new Set(await namesBelow(made.backend, 'packs/'));
        for (const name of condemned) if (name.startsWith('packs/d/')) await made.backend.remove(name);
      }, 1);
      await runPrune(await reopen(hooked));
    });
  });
});

describe('a prune goes on', () => {
  test('when an operator gave up the snapshot that could not be read', async () => {
    const made = await sample();
    await replace(made.backend, `snapshots/${made.ids[1]!}`, flip);
    await forget(await reopen(made.backend), made.ids[1]!);
    expect(await runPrune(await reopen(made.backend))).toMatchObject({ isPending: false, findings: [] });
    expect((await readAllSnapshots(await reopen(made.backend))).get(made.ids[2]!)).toEqual(made.contents.get(made.ids[2]!));
  });

  test('when a session cannot be read, but waits for it as for a backup', async () => {
    const made = await sample();
    await made.backend.create(`sessions/${'ab'.repeat(16)}`, [new Uint8Array(200)]);
    expect(await runPrune(await reopen(made.backend))).toMatchObject({ isPending: true, pendingReason: expect.stringContaining('cannot be read') as string });
  });

  test('when only the documents of a plan that is done are damaged', async () => {
    const made = await sample();
    await runPrune(made.repository);
    await replace(made.backend, 'gc/0000000001', flip);
    await replace(made.backend, 'gc/0000000001.sweep', flip);
    await forget(made.repository, made.ids[1]!);
    expect(await runPrune(await reopen(made.backend))).toMatchObject({ planNumber: 2, isPending: false });
  });
});
