import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { toHex } from '../../../src/base/bytes.ts';
import { frameRecordAt, FRAME_RECORD_BYTES } from '../../../src/format/frame.ts';
import { chunkIdFromBytes, type ChunkId } from '../../../src/format/ids.ts';
import type { ContentItem } from '../../../src/format/tree-node.ts';
import type { OpenRepository } from '../../../src/repository/opened-repository.ts';
import { ReadingSession } from '../../../src/repository/reading-session.ts';
import { TreeReader } from '../../../src/repository/tree-reader.ts';
import { NO_PARENT, ReachedChunks } from '../../../src/usecases/reach/reached-chunks.ts';
import { listSnapshots } from '../../../src/usecases/reading/select-snapshots.ts';
import { stats } from '../../../src/usecases/browse/stats.ts';
import { backupPath, makeRepository, memoryBackend, OWNER, reopen, SMALL_CHUNKS, temporaryDirectory } from '../../support/memory-repository.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

const random = new SeededRandom(11);

/** For each snapshot the IDs of all chunks it reaches: the plain way. */
async function chunksOf(repository: OpenRepository): Promise<Map<string, Set<string>>> {
  const records = await listSnapshots(repository);
  const session = await ReadingSession.begin(repository, OWNER, records);
  const reached = new Map<string, Set<string>>();
  for (const { id, snapshot } of records) {
    const ids = new Set<string>();
    const items = (list: readonly ContentItem[]): void => list.forEach(item => item.id !== undefined && ids.add(toHex(item.id)));
    const visit = async (node: ChunkId): Promise<void> => {
      ids.add(toHex(node));
      const opened = await session.trees.node(node);
      if (opened.kind === 'content-leaf') return items(opened.items);
      if (opened.kind !== 'leaf') for (const child of opened.children) await visit(child.id);
      else for (const { content, contentNode, directoryNode } of opened.entries) {
        if (content !== undefined) items(content);
        if (contentNode !== undefined) await visit(contentNode);
        if (directoryNode !== undefined) await visit(directoryNode);
      }
    };
    for (const { root } of snapshot.components) await visit(root.directoryNode!);
    reached.set(id, ids);
  }
  await session.end();
  return reached;
}

/** Size of a chunk with its share of everything in its pack, from the definition. */
function storedShare(repository: OpenRepository, id: string): { raw: number; stored: number } {
  const { chunks } = repository.cache;
  const location = chunks.find(chunkIdFromBytes(Buffer.from(id, 'hex')))!;
  const { frames, sizeBytes } = chunks.pack(location.pack)!;
  const all = Array.from({ length: frames.length / FRAME_RECORD_BYTES }, (_, i) => frameRecordAt(frames, i));
  const content = all.filter(frame => frame.chunkCount > 0).reduce((sum, frame) => sum + frame.storedLength, 0);
  const frame = all[location.frame]!;
  return { raw: location.length, stored: frame.storedLength * location.length / frame.rawLength * sizeBytes / content };
}

/** Folders that are equal, files that are equal, one file with content nodes; three backups with changes between them. */
async function sample(): Promise<{ repository: OpenRepository; backend: ReturnType<typeof memoryBackend> }> {
  const backend = memoryBackend();
  const repository = await makeRepository(backend, { chunker: SMALL_CHUNKS });
  const root = temporaryDirectory();
  mkdirSync(join(root, 'a/b'), { recursive: true });
  for (let i = 0; i < 30; i++) writeFileSync(join(root, `a/b/${i}`), random.bytes(100 + i * 200));
  writeFileSync(join(root, 'a/long'), random.bytes(1_500_000));
  cpSync(join(root, 'a'), join(root, 'twin'), { recursive: true, preserveTimestamps: true });
  await backupPath(repository, root);
  writeFileSync(join(root, 'a/b/7'), random.bytes(5000));
  writeFileSync(join(root, 'twin/only-in-2'), random.bytes(9000));
  await backupPath(repository, root);
  rmSync(join(root, 'twin'), { recursive: true });
  rmSync(join(root, 'a/long'));
  writeFileSync(join(root, 'a/b/8'), random.bytes(5000));
  await backupPath(repository, root);
  return { repository, backend };
}

describe('statistics', () => {
  test('are what counting all chunks of all snapshots gives', async () => {
    const { repository, backend } = await sample();
    const reached = await chunksOf(repository);
    const all = new Set([...reached.values()].flatMap(ids => [...ids]));
    const sum = (ids: Iterable<string>, of: 'raw' | 'stored'): number => [...ids].reduce((total, id) => total + storedShare(repository, id)[of], 0);
    const again = await reopen(backend);
    const records = await listSnapshots(again);
    const report = await stats(again, records, { owner: OWNER });
    expect(report.chunks).toBe(all.size);
    expect(report.rawBytes).toBe(sum(all, 'raw'));
    expect(report.storedBytes).toBe(Math.round(sum(all, 'stored')));
    for (const { snapshotId, uniqueBytes } of report.perSnapshot) {
      const own = [...reached.get(snapshotId)!].filter(id => [...reached].every(([other, ids]) => other === snapshotId || !ids.has(id)));
      expect(own.length).toBeGreaterThan(0);
      expect(Math.abs(uniqueBytes - sum(own, 'stored'))).toBeLessThanOrEqual(2);
    }
    expect(report.perSnapshot.map(({ restoreBytes }) => restoreBytes)).toEqual(records.map(({ snapshot }) => snapshot.statistics.bytes));
    expect(report.restoreBytes).toBe(report.perSnapshot.reduce((total, { restoreBytes }) => total + restoreBytes, 0));
  });

  test('of all that there is share out every byte of the packs', async () => {
    const { repository } = await sample();
    const report = await stats(repository, await listSnapshots(repository), { owner: OWNER });
    expect(report.storedBytes).toBe(report.repositoryBytes);
  });

  test('read every distinct tree node once, whatever number of snapshots reaches it', async () => {
    const { backend } = await sample();
    const repository = await reopen(backend);
    const reads = vi.spyOn(TreeReader.prototype, 'nodesAt');
    onTestFinished(() => { reads.mockRestore(); });
    await stats(repository, await listSnapshots(repository), { owner: OWNER });
    const read = reads.mock.calls.flatMap(([places]) => places.map(({ id }) => toHex(id)));
    expect(read.length).toBeGreaterThan(8);
    expect(new Set(read).size).toBe(read.length);
  });

  test('of nothing are nothing', async () => {
    const repository = await makeRepository();
    expect(await stats(repository, [], { owner: OWNER })).toMatchObject({ snapshots: 0, chunks: 0, rawBytes: 0, storedBytes: 0, perSnapshot: [] });
  });
});

describe('reached chunks', () => {
  /** Node 0 to n-1 with edges to larger numbers, in a hidden numbering; snapshots as lists of roots. */
  const graphs = fc.integer({ min: 1, max: 14 }).chain(nodes => fc.record({
    edges: fc.array(fc.tuple(fc.nat(nodes - 1), fc.nat(nodes - 1)), { maxLength: 40 }),
    numbering: fc.shuffledSubarray(Array.from({ length: nodes }, (_, i) => i), { minLength: nodes }),
    roots: fc.array(fc.array(fc.nat(nodes - 1), { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 4 }),
  }));

  test('belong to a snapshot exactly when no other one reaches them', () => {
    fc.assert(fc.property(graphs, ({ edges, numbering, roots }) => {
      const below = (node: number): number[] => edges.filter(([from, to]) => from === node && to > node).map(([, to]) => to);
      const reached = new ReachedChunks();
      let looks = 0;
      roots.forEach((nodes, snapshot) => {
        const pending = nodes.map((node): [number, number] => [node, NO_PARENT]).reverse();
        for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
          const [node, parent] = next;
          if (!reached.reach(numbering[node]!, parent, snapshot)) continue;
          looks++;
          reached.setSize(numbering[node]!, 2 ** node);
          pending.push(...below(node).map((child): [number, number] => [child, numbering[node]!]));
        }
      });
      const closures = roots.map(nodes => {
        const all = new Set<number>();
        const pending = [...nodes];
        for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
          if (all.has(node)) continue;
          all.add(node);
          pending.push(...below(node));
        }
        return all;
      });
      const expected = closures.map((closure, i) => [...closure].filter(node => closures.every((other, j) => i === j || !other.has(node)))
        .reduce((total, node) => total + 2 ** node, 0));
      expect([...reached.uniqueBytes(roots.length)]).toEqual(expected);
      expect(looks).toBe(new Set(closures.flatMap(closure => [...closure])).size);
    }));
  });
});
