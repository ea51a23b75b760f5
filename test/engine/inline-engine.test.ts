import { nativeFileSystem } from '../../src/base/native-filesystem.ts';
import { openKnownChunks } from '../../src/cache/known-chunks.ts';
import { MemoryChunkIndex } from '../../src/cache/memory-cache.ts';
import { createInlineEngine } from '../../src/engine/inline-engine.ts';
import { createFastKernel } from '../../src/kernel/fast.ts';
import { engineConformance } from '../conformance/engine.ts';
import { SeededRandom } from '../support/seeded-random.ts';

engineConformance('The inline engine', async () => {
  const engine = createInlineEngine({ kernel: createFastKernel(), native: nativeFileSystem(), openKnownChunks, random: new SeededRandom(1) });
  return { engine, index: new MemoryChunkIndex(), dispose: () => engine.close() };
});
