/** One pack and its parity: damage up to the stated share comes back, one block more is refused. */
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { compareBytes, concatBytes } from '../../src/base/bytes.ts';
import { KiB } from '../../src/base/units.ts';
import type { Backend } from '../../src/backend/backend.ts';
import { encodeFramePrefix, FrameCipher } from '../../src/format/frame.ts';
import { packIdFromBytes, parseSessionId } from '../../src/format/ids.ts';
import { parityName } from '../../src/format/object-names.ts';
import { assemblePack } from '../../src/format/pack.ts';
import { planParity, type ParityPlan } from '../../src/format/parity.ts';
import { findParityFault, makeParity, restorePack, type Restored } from '../../src/repository/pack-parity.ts';
import { findPackFault } from '../../src/repository/pack-verification.ts';
import { kernel, reopen } from '../support/memory-repository.ts';
import { addSomeParity, nameOf, replaced, sampleWithoutParity, storedBytes, withBadSectors, withDamagedBlocks, type ParitySample } from '../support/parity-sample.ts';
import { SeededRandom } from '../support/seeded-random.ts';

let sample: ParitySample;
let plan: ParityPlan;
let whole: Uint8Array<ArrayBuffer>;
let parity: Uint8Array<ArrayBuffer>;
const random = new SeededRandom(5);

beforeAll(async () => {
  sample = await sampleWithoutParity(1150 * KiB);
  await addSomeParity(sample.repository);
  plan = planParity(sample.data.sizeBytes, 0.05);
  whole = storedBytes(sample.backend, nameOf(sample.data));
  parity = storedBytes(sample.backend, parityName(sample.data.id));
});

async function restoreWith(backend: Backend): Promise<Restored> {
  return restorePack(await reopen(backend), sample.data);
}

function restoreDamaged(bytes: Uint8Array<ArrayBuffer>): Promise<Restored> {
  return restoreWith(replaced(sample.backend, nameOf(sample.data), bytes));
}

function expectWhole(restored: Restored, blocks: number): void {
  if (restored.bytes === undefined) expect.fail(restored.reason);
  expect(restored.blocksRestored).toBe(blocks);
  expect(compareBytes(restored.bytes, whole)).toBe(0);
}

describe('a damaged pack', () => {
  test('has a size that tests something', () => {
    expect(plan).toMatchObject({ blockBytes: 12 * KiB, parityBlocks: 5 });
    expect(plan.dataBlocks).toBeGreaterThan(80);
    expect(whole.length % plan.blockBytes).not.toBe(0);
  });

  test('comes back when any blocks up to the share are damaged, and not with one more', async () => {
    const blocks = Array.from({ length: plan.dataBlocks }, (_, i) => i);
    await fc.assert(fc.asyncProperty(fc.shuffledSubarray(blocks, { minLength: 6, maxLength: 6 }), fc.integer({ min: 0, max: 5 }), async (order, count) => {
      expectWhole(await restoreDamaged(withDamagedBlocks(whole, plan.blockBytes, order.slice(0, count), random)), count);
      const beyond = await restoreDamaged(withDamagedBlocks(whole, plan.blockBytes, order, random));
      expect(beyond).toEqual({ bytes: undefined, reason: expect.stringContaining(`6 of the ${plan.dataBlocks} blocks`) as string });
    }), { numRuns: 15 });
  });

  test('comes back when its header, its tables and its last bytes are gone', async () => {
    const damaged = whole.slice().fill(0, 0, 200).fill(255, whole.length - 300);
    expectWhole(await restoreDamaged(damaged), 2);
  });

  test('comes back when it was cut short by what parity makes up for, to any byte', async () => {
    for (const lost of [1, 100, plan.blockBytes, 4 * plan.blockBytes + whole.length % plan.blockBytes]) {
      const left = whole.slice(0, whole.length - lost);
      expectWhole(await restoreDamaged(left), plan.dataBlocks - Math.floor(left.length / plan.blockBytes));
    }
    expect((await restoreDamaged(whole.slice(0, whole.length - 6 * plan.blockBytes))).bytes).toBeUndefined();
    expect((await restoreDamaged(new Uint8Array(0))).bytes).toBeUndefined();
  });

  test('comes back when something was appended to it', async () => {
    const longer = new Uint8Array(whole.length + 5000);
    longer.set(whole);
    expectWhole(await restoreDamaged(longer), 0);
  });

  test('comes back from a disk that cannot read some sectors of pack and parity', async () => {
    const { blockBytes } = plan;
    const name = nameOf(sample.data);
    const damaged = replaced(sample.backend, name, withDamagedBlocks(whole, blockBytes, [70], random));
    const bad = withBadSectors(damaged, name, [[0, 512], [5 * blockBytes + 4096, 6 * blockBytes + 512]]);
    expectWhole(await restoreWith(withBadSectors(bad, parityName(sample.data.id), [[0, 4096], [4096 + blockBytes, 4096 + 2 * blockBytes]])), 4);
  });

  test('that the disk does not give back ends with the error of the disk: whether it is damaged is not known', async () => {
    const bad = withBadSectors(sample.backend, nameOf(sample.data), [[0, 6 * plan.blockBytes]]);
    await expect(restoreWith(bad)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    const one = replaced(sample.backend, nameOf(sample.data), withDamagedBlocks(whole, plan.blockBytes, [1], random));
    await expect(restoreWith(withBadSectors(one, parityName(sample.data.id), [[4096, 1e9]]))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('that is gone as a whole is refused', async () => {
    const { backend } = sample;
    const gone = replaced(backend, nameOf(sample.data), whole);
    await gone.remove(nameOf(sample.data));
    expect(await restoreWith(gone)).toEqual({ bytes: undefined, reason: 'The pack is gone, and parity cannot replace a whole pack' });
  });

  test('whose parity was made of damage is refused: everything that comes back was verified to the last frame', async () => {
    const wrong = withDamagedBlocks(whole, plan.blockBytes, [40], random);
    const { repository, data, backend } = sample;
    const restored = await restoreWith(replaced(backend, parityName(data.id), makeParity(repository, data, wrong, 0.05)));
    expect(restored).toEqual({ bytes: undefined, reason: expect.stringContaining('was made of a damaged pack') as string });
  });
});

describe('a damaged parity', () => {
  const restoreWithParity = async (bytes: Uint8Array<ArrayBuffer>, damagedBlocks: readonly number[]): Promise<Restored> => {
    const backend = replaced(sample.backend, nameOf(sample.data), withDamagedBlocks(whole, plan.blockBytes, damagedBlocks, random));
    return restoreWith(replaced(backend, parityName(sample.data.id), bytes));
  };
  const faultOf = async (bytes: Uint8Array<ArrayBuffer>): Promise<string | undefined> =>
    findParityFault(await reopen(replaced(sample.backend, parityName(sample.data.id), bytes)), sample.data, whole.length);
  const changed = (from: number, to: number): Uint8Array<ArrayBuffer> => parity.slice().map((byte, i) => (i >= from && i < to ? byte ^ 0x55 : byte));

  test('loses only the blocks that are damaged', async () => {
    const twoLost = changed(4096 + plan.blockBytes - 1, 4096 + plan.blockBytes + 1);
    expectWhole(await restoreWithParity(twoLost, [3, 9, 50]), 3);
    expect((await restoreWithParity(twoLost, [3, 9, 50, 51])).bytes).toBeUndefined();
  });

  test('works with either of its heads', async () => {
    for (const bytes of [changed(0, 4096), changed(0, 1), changed(4, 5), changed(60, 64), changed(parity.length - 64, parity.length), changed(parity.length - 1000, parity.length)]) {
      expectWhole(await restoreWithParity(bytes, [0, 1, 2, 3, 4]), 5);
    }
    const neither = await restoreWithParity(changed(0, 1).map((byte, i) => (i === parity.length - 60 ? byte ^ 1 : byte)), [0]);
    expect(neither).toEqual({ bytes: undefined, reason: expect.stringContaining('Neither head of the parity can be used') as string });
  });

  test('that was cut short gives what is left of it', async () => {
    expectWhole(await restoreWithParity(parity.slice(0, 4096 + 2 * plan.blockBytes + 77), [11, 12]), 2);
    expect((await restoreWithParity(parity.slice(0, 4096 + 2 * plan.blockBytes + 77), [11, 12, 13])).bytes).toBeUndefined();
    for (const length of [0, 63, 64, 1000]) expect((await restoreWithParity(parity.slice(0, length), [1])).bytes).toBeUndefined();
  });

  test('of another pack is refused', async () => {
    const other = sample.packs.find(pack => pack.type === 'tree')!;
    expect((await restoreWithParity(storedBytes(sample.backend, parityName(other.id)), [1])).bytes).toBeUndefined();
    expect(await faultOf(storedBytes(sample.backend, parityName(other.id)))).toBeDefined();
  });

  test('is found, wherever it is damaged', async () => {
    expect(await faultOf(parity)).toBeUndefined();
    for (const at of [0, 5, 30, 70, 300, 4096, 4096 + plan.blockBytes, parity.length - 600, parity.length - 1]) expect(await faultOf(changed(at, at + 1))).toBeDefined();
    for (const bytes of [parity.slice(0, 10), parity.slice(0, 5000), parity.slice(1), new Uint8Array([...parity, 0])]) expect(await faultOf(bytes)).toBeDefined();
  });
});

describe('the fault of a pack', () => {
  test('is found at every place, and none in a right one', async () => {
    const { repository } = sample;
    for (const pack of sample.packs) {
      const bytes = storedBytes(sample.backend, nameOf(pack));
      expect(findPackFault(repository, pack, bytes)).toBeUndefined();
      for (let i = 0; i < 60; i++) {
        const damaged = bytes.slice();
        damaged[random.below(bytes.length)]! ^= 1 << random.below(8);
        expect(findPackFault(repository, pack, damaged)).toBeDefined();
      }
      for (const length of [0, 63, 100, bytes.length - 1]) expect(findPackFault(repository, pack, bytes.slice(0, length))).toBeDefined();
      expect(findPackFault(repository, pack, new Uint8Array([...bytes, 0]))).toBeDefined();
    }
  });

  test('is there when a chunk is not what its ID says, though every seal is right', () => {
    const { repository } = sample;
    const { keys } = repository;
    const pack = { type: 'data', suite: 1, epoch: 1, id: packIdFromBytes(random.bytes(16)), salt: random.bytes(32) } as const;
    const cipher = new FrameCipher(kernel.createAead(1, keys.packKeys(pack).frameKey), encodeFramePrefix(pack, keys.repositoryId));
    const content = random.bytes(1000);
    const assembled = (id: Uint8Array): Uint8Array => concatBytes(assemblePack({
      kernel, pack, repositoryId: keys.repositoryId, root: keys.packRoot('data', 1)!, sessionId: parseSessionId('ab'.repeat(16)), createdAt: 1,
      frames: [{ stored: cipher.seal({ number: 0, rawLength: 1000, codec: 0, flags: 0 }, content), rawLength: 1000, codec: 0, chunks: concatBytes([id, Uint8Array.of(232, 3, 0, 0)]) }],
    }).parts);
    const id = kernel.createHasher(keys.content.idKeyData).hash(content);
    expect(findPackFault(repository, pack, assembled(id))).toBeUndefined();
    expect(findPackFault(repository, pack, assembled(id.map(byte => byte ^ 1)))).toMatchObject({ code: 'FRAME_CORRUPT' });
  });

  test('is there in a pack under the name of another one', () => {
    const { repository, packs: [one, other] } = sample;
    expect(findPackFault(repository, { ...one!, id: other!.id }, storedBytes(sample.backend, nameOf(one!)))).toBeDefined();
  });
});
