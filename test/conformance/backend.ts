/** The contract of `src/backend/backend.ts`, sentence by sentence, for any adapter and any wrapper around one. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Backend, StoredObject } from '../../src/backend/backend.ts';
import { concatBytes, utf8 } from '../../src/base/bytes.ts';
import { SnapError } from '../../src/base/errors.ts';
import { SeededRandom } from '../support/seeded-random.ts';

/** One storage of its own for one test. */
export interface BackendStorage {
  /** A further connection to the same objects. */
  open(): Promise<Backend>;
  dispose(): Promise<void>;
  /** Texts that must never be shown. */
  readonly secrets?: readonly string[];
  /** Makes the storage refuse reads of existing objects for want of permission; undefined where it cannot be staged. */
  readonly denyReading?: ((name: string) => Promise<void>) | undefined;
}

/** What the adapter declares; a missing ability shows as a skipped test. */
export interface BackendAbilities {
  readonly createIfAbsent: 'atomic' | 'none';
  readonly canRemove: boolean;
  /** Largest difference of the storage's clock from ours, ms; undefined when it has another time altogether. */
  readonly clockToleranceMs?: number | undefined;
}

const made = new Map<string, Uint8Array<ArrayBuffer>>();

/** The same array each time, so not to be changed: a mebibyte takes 10 ms to draw. */
function seeded(seed: number, length: number): Uint8Array<ArrayBuffer> {
  const key = `${seed}/${length}`;
  const bytes = made.get(key) ?? new SeededRandom(seed).bytes(length);
  made.set(key, bytes);
  return bytes;
}

const PACK = 'packs/d/3f/3fa85f6457174562b3fc2c963f66afa6';
const MiB = 1024 * 1024;

let pack: Uint8Array<ArrayBuffer> | undefined;

/** 32 MiB without a repetition that a shifted or swapped part could hide behind; made once for all adapters of a test file. */
function largePack(): Uint8Array<ArrayBuffer> {
  if (pack !== undefined) return pack;
  pack = new Uint8Array(32 * MiB);
  const block = seeded(5, 256 * 1024);
  for (let at = 0; at < pack.length; at += block.length) {
    pack.set(block, at);
    for (let i = at; i < at + block.length; i += 512) new DataView(pack.buffer).setUint32(i, i);
  }
  return pack;
}

export async function listed(backend: Backend, prefix = ''): Promise<StoredObject[]> {
  const objects: StoredObject[] = [];
  for await (const object of backend.list(prefix)) objects.push(object);
  return objects.sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
}

export async function listedNames(backend: Backend, prefix = ''): Promise<string[]> {
  return (await listed(backend, prefix)).map(object => object.name);
}

/** The code with which the call fails. */
export async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    if (error instanceof SnapError) return error.code;
    throw error;
  }
  return 'no error';
}

export function backendConformance(name: string, make: () => Promise<BackendStorage>, abilities: BackendAbilities): void {
  describe(`${name} keeps the contract of Backend`, () => {
    let storage: BackendStorage;
    let backend: Backend;

    beforeEach(async () => {
      storage = await make();
      backend = await storage.open();
    });
    afterEach(async () => {
      await backend.close();
      await storage.dispose();
    });

    const getBackend = (): Backend => backend;
    const getStorage = (): BackendStorage => storage;
    readingTests(getBackend, getStorage);
    statAndListTests(getBackend, getStorage, abilities);
    creatingTests(getBackend, getStorage);
    raceTests(getBackend, getStorage, abilities);
    removingTests(getBackend, getStorage, abilities);
    abortTests(getBackend, abilities);
    argumentTests(getBackend, abilities);
    generalTests(getBackend, getStorage, abilities);
  });
}

function readingTests(backend: () => Backend, storage: () => BackendStorage): void {
  describe('read', () => {
    const bytes = seeded(1, 1000);
    beforeEach(() => backend().create(PACK, [bytes]));

    test('returns the whole object', async () => expect(await backend().read(PACK)).toEqual(bytes));
    test('returns exactly the range', async () => {
      for (const [offset, length] of [[0, 1], [0, 1000], [1, 998], [500, 17], [999, 1]] as const) {
        expect(await backend().read(PACK, { offset, length }), `${offset}, ${length}`).toEqual(bytes.slice(offset, offset + length));
      }
    });
    test('returns nothing for an empty range, also at the end', async () => {
      for (const offset of [0, 500, 1000]) expect(await backend().read(PACK, { offset, length: 0 })).toEqual(new Uint8Array(0));
    });
    test('fails with INVALID_RANGE for a range that is not fully there', async () => {
      for (const [offset, length] of [[999, 2], [1000, 1], [0, 1001], [5000, 10], [1001, 0], [0, 64 * MiB], [2 ** 40, 1]] as const) {
        expect([offset, length, await codeOf(backend().read(PACK, { offset, length }))]).toEqual([offset, length, 'INVALID_RANGE']);
      }
    });
    test('returns memory of its own each time', async () => {
      (await backend().read(PACK)).fill(0);
      (await backend().read(PACK, { offset: 0, length: 10 })).fill(0);
      expect(await backend().read(PACK)).toEqual(bytes);
    });
    test('returns memory that can be transferred to a thread', async () => {
      for (const range of [undefined, { offset: 10, length: 100 }]) {
        const { buffer, byteLength } = await backend().read(PACK, range);
        expect(buffer.byteLength).toBe(byteLength);
      }
    });
    test('fails with OBJECT_NOT_FOUND for an object that is not there', async () => {
      expect(await codeOf(backend().read('index/0000'))).toBe('OBJECT_NOT_FOUND');
      expect(await codeOf(backend().read('index/0000', { offset: 0, length: 1 }))).toBe('OBJECT_NOT_FOUND');
      expect(await codeOf(backend().read(`${PACK}0`))).toBe('OBJECT_NOT_FOUND');
    });
    test('does not take the beginning of a name for an object', async () => {
      for (const name of ['packs', 'packs/d', 'packs/d/3f']) {
        expect(await codeOf(backend().read(name))).toBe('OBJECT_NOT_FOUND');
        expect(await codeOf(backend().read(name, { offset: 0, length: 1 }))).toBe('OBJECT_NOT_FOUND');
      }
    });
    test('never says "not there" when it cannot tell', async context => {
      const { denyReading } = storage();
      if (denyReading === undefined) return context.skip('this storage cannot be made to refuse');
      await denyReading(PACK);
      expect(await codeOf(backend().read(PACK))).toBe('DENIED');
    });
  });
}

function statAndListTests(backend: () => Backend, storage: () => BackendStorage, abilities: BackendAbilities): void {
  describe('stat and list', () => {
    test('stat tells name, size and time of storage', async () => {
      const before = Date.now();
      await backend().create('index/a1', [seeded(1, 123)]);
      const object = await backend().stat('index/a1');
      expect(object).toMatchObject({ name: 'index/a1', sizeBytes: 123 });
      expect(Number.isSafeInteger(object.storedAt)).toBe(true);
      const { clockToleranceMs } = abilities;
      if (clockToleranceMs !== undefined) expect(Math.abs(object.storedAt - before)).toBeLessThan(clockToleranceMs);
    });
    test('stat fails with OBJECT_NOT_FOUND for an object that is not there, and for the beginning of a name', async () => {
      await backend().create(PACK, [utf8('x')]);
      expect(await codeOf(backend().stat('index/0000'))).toBe('OBJECT_NOT_FOUND');
      expect(await codeOf(backend().stat('packs/d'))).toBe('OBJECT_NOT_FOUND');
    });
    test('list of an empty storage is empty', async () => expect(await listed(backend())).toEqual([]));
    test('list agrees with stat', async () => {
      await backend().create('index/a1', [seeded(1, 123)]);
      expect(await listed(backend())).toEqual([await backend().stat('index/a1')]);
    });
    test('list gives exactly the objects whose names start with the prefix', async () => {
      const names = ['config', 'gc/0000000001', 'gc/0000000001.done', 'gc/0000000012', PACK, 'packs/t/3f/3fb0', 'packs/t/40/4011'];
      for (const name of names) await backend().create(name, [utf8(name)]);
      const prefixes = ['', 'c', 'config', 'config/', 'gc', 'gc/', 'gc/0000000001', 'gc/0000000001.', 'packs/', 'packs/t', 'packs/t/3',
        'packs/t/3f', 'packs/t/3f/', PACK, `${PACK}0`, 'snapshots/', 'packs/x/'];
      for (const prefix of prefixes) expect(await listedNames(backend(), prefix)).toEqual(names.filter(name => name.startsWith(prefix)).sort());
    });
    test('list gives each of hundreds of objects once', async () => {
      const names = Array.from({ length: 400 }, (_, i) => `packs/d/${(i % 7).toString(16).padStart(2, '0')}/${i.toString(16).padStart(32, '0')}`);
      await Promise.all(names.map(name => backend().create(name, [utf8(name)])));
      expect(await listedNames(backend())).toEqual([...names].sort());
      expect(await listedNames(await storage().open(), 'packs/d/03/')).toEqual(names.filter(name => name.startsWith('packs/d/03/')).sort());
    });
    test('list during writes gives what was there before, and nothing twice', async () => {
      const old = Array.from({ length: 50 }, (_, i) => `index/old-${i}`);
      await Promise.all(old.map(name => backend().create(name, [utf8(name)])));
      const seen: string[] = [];
      const writes: Promise<void>[] = [];
      for await (const { name } of backend().list('')) {
        seen.push(name);
        if (seen.length <= 50) writes.push(backend().create(`index/new-${seen.length}`, [utf8('new')]));
      }
      await Promise.all(writes);
      expect(new Set(seen).size).toBe(seen.length);
      expect(seen).toEqual(expect.arrayContaining(old));
    });
    test('list never shows temporary files, not even while objects are written', async () => {
      const names = Array.from({ length: 12 }, (_, i) => `index/${i}`);
      const writes = Promise.all(names.map(name => backend().create(name, [seeded(2, 100_000)])));
      for (let i = 0; i < 5; i++) for (const { name, sizeBytes } of await listed(backend())) expect([names.includes(name), sizeBytes]).toEqual([true, 100_000]);
      await writes;
      expect(await listedNames(backend())).toEqual([...names].sort());
    });
    test('list can be left before its end', async () => {
      for (const name of ['index/1', 'index/2']) await backend().create(name, [utf8('x')]);
      for await (const { name } of backend().list('')) {
        expect(name).toMatch(/^index/);
        break;
      }
      expect(await listedNames(backend())).toEqual(['index/1', 'index/2']);
    });
  });
}

function creatingTests(backend: () => Backend, storage: () => BackendStorage): void {
  describe('create', () => {
    test.each([
      ['no part', []], ['an empty part', [new Uint8Array(0)]], ['one byte', [utf8('x')]],
      ['parts with empty ones between', [new Uint8Array(0), utf8('ab'), new Uint8Array(0), utf8('c'), new Uint8Array(0)]],
      ['a view into a larger buffer', [seeded(4, 100).subarray(20, 30)]], ['a Buffer of the pool', [Buffer.from('pooled')]],
    ] as const)('stores %s', async (_name, parts) => {
      await backend().create('index/a1', parts);
      expect(await backend().read('index/a1')).toEqual(concatBytes(parts));
    });
    test('stores 32 MiB in thousands of parts of many sizes', async () => {
      const whole = largePack();
      const parts: Uint8Array[] = [];
      for (let at = 0, i = 0; at < whole.length; i++) {
        const size = 1 + (i * 7919) % 16_384;
        parts.push(whole.subarray(at, at + size));
        at += size;
      }
      expect(parts.length).toBeGreaterThan(4000);
      await backend().create(PACK, parts);
      expect((await backend().stat(PACK)).sizeBytes).toBe(whole.length);
      expect(Buffer.compare(await backend().read(PACK), whole)).toBe(0);
      const range = { offset: 20 * MiB - 3, length: 5 * MiB };
      expect(Buffer.compare(await backend().read(PACK, range), whole.subarray(range.offset, range.offset + range.length))).toBe(0);
    });
    test('has taken the bytes when it resolves', async () => {
      const bytes = utf8('before');
      await backend().create('index/a1', [bytes]);
      bytes.fill(0);
      expect(await backend().read('index/a1')).toEqual(utf8('before'));
    });
    test('is seen by read, stat and list of every connection at once', async () => {
      const other = await storage().open();
      await backend().create('index/a1', [utf8('seen')]);
      expect(await other.read('index/a1')).toEqual(utf8('seen'));
      expect((await other.stat('index/a1')).sizeBytes).toBe(4);
      expect(await listedNames(other, 'index/')).toEqual(['index/a1']);
      await other.close();
    });
    test('never shows half an object', async () => {
      const bytes = seeded(6, 2 * MiB);
      let isDone = false;
      const write = backend().create(PACK, [bytes]).then(() => { isDone = true; });
      const seen = new Set<string>();
      do {
        seen.add(await backend().read(PACK).then(found => Buffer.compare(found, bytes) === 0 ? 'whole' : 'half', (error: SnapError) => error.code));
        await new Promise(resolve => { setImmediate(resolve); });
      } while (!isDone);
      await write;
      expect([...seen].filter(each => each !== 'whole' && each !== 'OBJECT_NOT_FOUND')).toEqual([]);
    });
    test('never replaces another object', async () => {
      await backend().create('index/a1', [utf8('first')]);
      expect(await codeOf(backend().create('index/a1', [utf8('other')]))).toBe('DENIED');
      expect(await codeOf(backend().create('index/a1', [utf8('longer than the first')]))).toBe('DENIED');
      expect(await codeOf(backend().create('index/a1', [utf8('')]))).toBe('DENIED');
      expect(await backend().read('index/a1')).toEqual(utf8('first'));
    });
    test('takes every name of a repository and unusual ones', async () => {
      const id = '00112233445566778899aabbccddeeff';
      const names = ['config', `keys/${id}`, 'keyring/0000000001', `packs/d/00/${id}`, `packs/t/ff/${id}`, `index/${id}`, `sessions/${id}`,
        `sessions/${id}.hb17`, `snapshots/${id}`, `forgotten/${id}`, 'gc/0000000001', 'gc/0000000001.sweep', 'gc/0000000001.done', `parity/${id}`,
        `probe/${id}`, 'a', '0', 'a..b', 'a.', '-', '-rf', 'deep/b/c/d/e/f/g/h', 'tmpx', 'x/tmp', 'index/tmp', 'z'.repeat(200), `long/${'n'.repeat(240)}`];
      await Promise.all(names.map(name => backend().create(name, [utf8(name)])));
      for (const name of names) expect(await backend().read(name)).toEqual(utf8(name));
      expect(await listedNames(backend())).toEqual([...names].sort());
    });
  });
}

function raceTests(backend: () => Backend, storage: () => BackendStorage, abilities: BackendAbilities): void {
  describe('createIfAbsent', () => {
    test('makes an object that is not there', async () => {
      expect(await backend().createIfAbsent('snapshots/5e', utf8('mine'))).toBe('created');
      expect(await backend().read('snapshots/5e')).toEqual(utf8('mine'));
    });
    test('leaves the first bytes untouched, also when the second are the same', async () => {
      await backend().createIfAbsent('snapshots/5e', utf8('first'));
      const { storedAt } = await backend().stat('snapshots/5e');
      expect(await backend().createIfAbsent('snapshots/5e', utf8('second, and longer'))).toBe('exists');
      expect(await backend().createIfAbsent('snapshots/5e', utf8('first'))).toBe('exists');
      expect(await backend().read('snapshots/5e')).toEqual(utf8('first'));
      expect((await backend().stat('snapshots/5e')).storedAt).toBe(storedAt);
    });
    test('meets what create made, and create what it made', async () => {
      await backend().create('snapshots/5e', [utf8('created')]);
      expect(await backend().createIfAbsent('snapshots/5e', utf8('tombstone'))).toBe('exists');
      await backend().createIfAbsent('snapshots/6f', utf8('tombstone'));
      expect(await codeOf(backend().create('snapshots/6f', [utf8('created')]))).toBe('DENIED');
      expect(await backend().read('snapshots/6f')).toEqual(utf8('tombstone'));
    });
    test('stores an empty object', async () => {
      expect(await backend().createIfAbsent('gc/0000000001.done', new Uint8Array(0))).toBe('created');
      expect(await backend().createIfAbsent('gc/0000000001.done', new Uint8Array(0))).toBe('exists');
      expect((await backend().stat('gc/0000000001.done')).sizeBytes).toBe(0);
    });
    test.skipIf(abilities.createIfAbsent === 'none')('gives exactly one of parallel calls "created", over several connections', async () => {
      const connections = [backend(), await storage().open(), await storage().open()];
      for (let round = 0; round < 8; round++) {
        const name = `gc/${String(round).padStart(10, '0')}`;
        const claims = Array.from({ length: 9 }, (_, i) => utf8(`claim ${i} `.repeat(50)));
        const answers = await Promise.all(claims.map((claim, i) => connections[i % 3]!.createIfAbsent(name, claim)));
        const winner = answers.indexOf('created');
        expect(answers.filter(answer => answer === 'created')).toHaveLength(1);
        expect(await backend().read(name)).toEqual(claims[winner]);
      }
    });
    test('shows the winner to a loser at once', async () => {
      const claims = ['a', 'b', 'c'].map(utf8);
      const seen = await Promise.all(claims.map(async claim => {
        const answer = await backend().createIfAbsent('gc/0000000001', claim);
        return { answer, found: await backend().read('gc/0000000001') };
      }));
      const winner = claims[seen.findIndex(each => each.answer === 'created')];
      expect(seen.map(each => each.found)).toEqual([winner, winner, winner]);
    });
  });
}

function removingTests(backend: () => Backend, storage: () => BackendStorage, abilities: BackendAbilities): void {
  describe('remove', () => {
    test.skipIf(abilities.canRemove)('fails with DENIED where nothing can be removed, and leaves the object', async () => {
      await backend().create('index/a1', [utf8('x')]);
      expect(await codeOf(backend().remove('index/a1'))).toBe('DENIED');
      expect(await backend().read('index/a1')).toEqual(utf8('x'));
    });
    const removing = test.skipIf(!abilities.canRemove);
    removing('takes the object from read, stat and list of every connection', async () => {
      const other = await storage().open();
      for (const name of ['index/a1', 'index/a2']) await backend().create(name, [utf8('x')]);
      await backend().remove('index/a1');
      expect(await codeOf(other.read('index/a1'))).toBe('OBJECT_NOT_FOUND');
      expect(await codeOf(other.stat('index/a1'))).toBe('OBJECT_NOT_FOUND');
      expect(await listedNames(other)).toEqual(['index/a2']);
      await other.close();
    });
    removing('of an absent object succeeds, also twice and at once', async () => {
      await backend().create('index/a1', [utf8('x')]);
      await Promise.all([backend().remove('index/a1'), backend().remove('index/a1')]);
      await backend().remove('index/a1');
      await backend().remove('index/never');
      await backend().remove('never/never/never');
      expect(await listed(backend())).toEqual([]);
    });
    removing('frees the name for createIfAbsent', async () => {
      await backend().createIfAbsent('probe/1', utf8('one'));
      await backend().remove('probe/1');
      expect(await backend().createIfAbsent('probe/1', utf8('two'))).toBe('created');
      expect(await backend().read('probe/1')).toEqual(utf8('two'));
    });
    removing('leaves objects whose names are longer or shorter', async () => {
      const names = ['gc/0000000001', 'gc/0000000001.done', 'gc/000000000'];
      for (const name of names) await backend().create(name, [utf8(name)]);
      await backend().remove('gc/0000000001');
      expect(await listedNames(backend())).toEqual(['gc/000000000', 'gc/0000000001.done']);
    });
  });
}

function abortTests(backend: () => Backend, abilities: BackendAbilities): void {
  type Verb = (signal: AbortSignal) => Promise<unknown>;
  const verbs: Record<string, Verb> = {
    read: signal => backend().read('index/old', undefined, { signal }),
    stat: signal => backend().stat('index/old', { signal }),
    list: async signal => { for await (const object of backend().list('', { signal })) expect(object.sizeBytes).toBe(MiB); },
    create: signal => backend().create('index/new', [seeded(8, MiB)], { signal }),
    createIfAbsent: signal => backend().createIfAbsent('index/new', seeded(8, MiB), { signal }),
    ...(abilities.canRemove ? { remove: (signal: AbortSignal) => backend().remove('index/old', { signal }) } : {}),
  };
  describe('a signal', () => {
    beforeEach(() => backend().create('index/old', [seeded(7, MiB)]));
    const leftWhole = async (): Promise<void> => {
      for (const { name, sizeBytes } of await listed(backend())) {
        expect(sizeBytes).toBe(MiB);
        expect(Buffer.compare(await backend().read(name), seeded(name === 'index/old' ? 7 : 8, MiB))).toBe(0);
      }
    };
    test.each(Object.entries(verbs))('that is aborted before stops %s without effect', async (_name, call) => {
      expect(await codeOf(call(AbortSignal.abort()))).toBe('CANCELLED');
      expect(await listedNames(backend())).toEqual(['index/old']);
    });
    test.each(Object.entries(verbs))('that aborts during %s leaves each object whole or absent', async (_name, call) => {
      for (let turns = 0; turns < 6; turns++) {
        const controller = new AbortController();
        const outcome = codeOf(call(controller.signal));
        for (let i = 0; i < turns; i++) await new Promise(resolve => { setImmediate(resolve); });
        controller.abort();
        expect(['CANCELLED', 'no error', 'DENIED', 'OBJECT_NOT_FOUND']).toContain(await outcome);
        await leftWhole();
        if (abilities.canRemove) await backend().remove('index/new');
      }
    });
    test('that aborts between two objects ends a list with CANCELLED', async () => {
      await backend().create('index/old2', [seeded(7, MiB)]);
      const controller = new AbortController();
      const read = async (): Promise<void> => {
        for await (const object of backend().list('', { signal: controller.signal })) {
          expect(object.sizeBytes).toBe(MiB);
          controller.abort();
        }
      };
      expect(await codeOf(read())).toBe('CANCELLED');
    });
    test('that aborts after the end changes nothing', async () => {
      const controller = new AbortController();
      await backend().create('index/new', [seeded(8, MiB)], { signal: controller.signal });
      controller.abort();
      await leftWhole();
      expect(await listedNames(backend())).toEqual(['index/new', 'index/old']);
    });
  });
}

const HOSTILE_NAMES = ['', '.', '..', '../x', 'index/../../x', '/etc/passwd', '/x', 'index//x', 'index/', 'index/.', 'index/..', 'index/.x', '.x',
  'tmp', 'tmp/x', 'Index/x', 'index/x\0', 'index\\x', 'index/x y', 'index/ä', 'a/b/c/d/e/f/g/h/i', 'x'.repeat(256), 'index/x\n', '%2e%2e/x', 'c:/x'];

const NO_PREFIXES = ['..', '../', '/', 'index/../', 'index//', 'Index', 'index/.'];
const NO_RANGES = [[-1, 1], [0, -1], [0.5, 1], [0, 1.5], [Number.NaN, 1], [0, Number.POSITIVE_INFINITY], [Number.MAX_SAFE_INTEGER, 1], [0, 2 ** 40]] as const;

function argumentTests(backend: () => Backend, abilities: BackendAbilities): void {
  test('a name that is none is a fault of the caller and reaches no object', async () => {
    for (const name of HOSTILE_NAMES) {
      await expect(backend().read(name), name).rejects.toThrow(RangeError);
      await expect(backend().stat(name), name).rejects.toThrow(RangeError);
      await expect(backend().create(name, [utf8('x')]), name).rejects.toThrow(RangeError);
      await expect(backend().createIfAbsent(name, utf8('x')), name).rejects.toThrow(RangeError);
      if (abilities.canRemove) await expect(backend().remove(name), name).rejects.toThrow(RangeError);
    }
    expect(await listed(backend())).toEqual([]);
  });
  test('a prefix that no name has is a fault of the caller', async () => {
    for (const prefix of NO_PREFIXES) await expect(listed(backend(), prefix), prefix).rejects.toThrow(RangeError);
  });
  test('a range of anything but whole, positive numbers of bytes is a fault of the caller', async () => {
    await backend().create('index/a1', [utf8('x')]);
    for (const [offset, length] of NO_RANGES) {
      await expect(backend().read('index/a1', { offset, length }), `${offset}, ${length}`).rejects.toThrow(RangeError);
    }
  });
}

function generalTests(backend: () => Backend, storage: () => BackendStorage, abilities: BackendAbilities): void {
  test('it declares its abilities', () => expect(backend().capabilities)
    .toEqual({ createIfAbsent: abilities.createIfAbsent, canRemove: abilities.canRemove }));
  test('close may be called twice', async () => {
    const other = await storage().open();
    await other.close();
    await other.close();
  });
  test('a new connection sees everything that was stored', async () => {
    await backend().create(PACK, [seeded(9, 5000)]);
    await backend().createIfAbsent('snapshots/5e', utf8('commit'));
    const before = await listed(backend());
    await backend().close();
    const again = await storage().open();
    expect(await listed(again)).toEqual(before);
    expect(await again.read(PACK)).toEqual(seeded(9, 5000));
    await again.close();
  });
  test('the location is printable and neither it nor an error shows a secret', async () => {
    const { location } = backend();
    expect(location).not.toBe('');
    expect(location).not.toMatch(/\p{Cc}/u);
    const error: unknown = await backend().read('index/0000').catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(SnapError);
    const shown = `${location} ${String(error)} ${JSON.stringify((error as SnapError).context)}`;
    for (const secret of storage().secrets ?? []) expect(shown).not.toContain(secret);
  });
  test('an error names the object and the location in one line without a final period', async () => {
    const error: unknown = await backend().read('index/0000').catch((thrown: unknown) => thrown);
    expect(String(error)).toContain("'index/0000'");
    expect(String(error)).toContain(`'${backend().location}'`);
    expect((error as SnapError).message).toMatch(/^[A-Z][^\n]*[^.\n]$/);
  });
}
