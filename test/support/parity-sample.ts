/** A repository with parity, and ways to damage packs block by block. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SnapError } from '../../src/base/errors.ts';
import type { Backend } from '../../src/backend/backend.ts';
import { MemoryBackend, type MemoryState } from '../../src/backend/memory.ts';
import { systemClock } from '../../src/base/ambient.ts';
import { packName } from '../../src/format/object-names.ts';
import type { OpenRepository } from '../../src/repository/opened-repository.ts';
import { listPacks, type ListedPack } from '../../src/repository/session-view.ts';
import { addParity, type ParityOptions } from '../../src/usecases/parity.ts';
import type { ParityReport } from '../../src/usecases/reports.ts';
import { backupPath, makeRepository, memoryBackend, SMALL_CHUNKS } from './memory-repository.ts';
import { SeededRandom } from './seeded-random.ts';

export interface ParitySample {
  readonly backend: MemoryBackend;
  readonly repository: OpenRepository;
  readonly packs: readonly ListedPack[];
  readonly data: ListedPack;
}

/** One snapshot in a data pack of about `contentBytes` and a tree pack, without parity. */
export async function sampleWithoutParity(contentBytes: number, seed = 1): Promise<ParitySample> {
  const backend = memoryBackend();
  const repository = await makeRepository(backend, { chunker: SMALL_CHUNKS });
  const root = mkdtempSync(join(tmpdir(), 'snap-test-'));
  try {
    const random = new SeededRandom(seed);
    writeFileSync(join(root, 'random'), random.bytes(contentBytes / 2));
    writeFileSync(join(root, 'text'), 'some text that compresses well; '.repeat(contentBytes / 64));
    writeFileSync(join(root, 'more'), random.bytes(contentBytes / 2));
    await backupPath(repository, root);
  } finally {
    rmSync(root, { recursive: true });
  }
  const packs = await listPacks(backend);
  return { backend, repository, packs, data: packs.find(pack => pack.type === 'data')! };
}

export function addSomeParity(repository: OpenRepository, changes: Partial<ParityOptions> = {}): Promise<ParityReport> {
  return addParity(repository, { share: 0.05, dryRun: false, verify: false, ...changes });
}

/** The bytes of an object at this moment, in memory of their own. */
export function storedBytes(backend: MemoryBackend, name: string): Uint8Array<ArrayBuffer> {
  return backend.snapshotState().get(name)!.bytes.slice();
}

/** A backend with other bytes under one name. */
export function replaced(backend: MemoryBackend, name: string, bytes: Uint8Array<ArrayBuffer>): MemoryBackend {
  const state: MemoryState = new Map([...backend.snapshotState(), [name, { bytes, storedAt: 0 }]]);
  return MemoryBackend.fromState(state, { clock: systemClock });
}

/** The pack with one wrong byte in each of the blocks. */
export function withDamagedBlocks(bytes: Uint8Array<ArrayBuffer>, blockBytes: number, blocks: Iterable<number>, random: SeededRandom): Uint8Array<ArrayBuffer> {
  const damaged = bytes.slice();
  for (const block of blocks) {
    const at = block * blockBytes + random.below(Math.min(blockBytes, bytes.length - block * blockBytes));
    damaged[at]! ^= 1 + random.below(255);
  }
  return damaged;
}

export function nameOf(pack: ListedPack): string {
  return packName(pack.type, pack.id);
}

/** What a disk with bad sectors does: every read that touches one fails. */
export function withBadSectors(inner: Backend, name: string, sectors: readonly (readonly [from: number, to: number])[]): Backend {
  return {
    location: inner.location,
    capabilities: inner.capabilities,
    read: async (read, range, options) => {
      const from = range?.offset ?? 0;
      const to = range === undefined ? Number.POSITIVE_INFINITY : from + range.length;
      if (read === name && sectors.some(([start, end]) => start < to && from < end)) throw new SnapError('UNAVAILABLE', `Cannot read '${name}': i/o error (EIO)`);
      return inner.read(read, range, options);
    },
    stat: (...given) => inner.stat(...given),
    list: (...given) => inner.list(...given),
    create: (...given) => inner.create(...given),
    createIfAbsent: (...given) => inner.createIfAbsent(...given),
    remove: (...given) => inner.remove(...given),
    close: () => inner.close(),
  };
}
