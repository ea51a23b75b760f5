/**
 * Speed of the erasure code, in MB of pack a second on one thread. Needs `npm run build`; run `node bench/micro/parity.mjs [fast|portable]`.
 * Each line is the best of several rounds: the least disturbed run says most about the code.
 */
import { createFastKernel } from '../../dist/kernel/fast.js';
import { createPortableKernel } from '../../dist/kernel/portable.js';

const KiB = 1024;
const MiB = 1024 * KiB;
const PACK_BYTES = 16 * MiB;
const BLOCK_BYTES = 128 * KiB;
const DATA_BLOCKS = PACK_BYTES / BLOCK_BYTES;
const ROUNDS = 5;

const pack = new Uint8Array(PACK_BYTES);
for (let i = 0, state = 1; i < PACK_BYTES; i++) pack[i] = state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 8;
const blocks = Array.from({ length: DATA_BLOCKS }, (_, i) => pack.subarray(i * BLOCK_BYTES, (i + 1) * BLOCK_BYTES));

const wanted = process.argv.slice(2);
for (const kernel of [createFastKernel(), createPortableKernel()]) {
  if (wanted.length > 0 && !wanted.includes(kernel.name)) continue;
  console.log(`\n${kernel.name} kernel, pack of 16 MiB, ${DATA_BLOCKS} blocks     MB/s`);
  for (const parityBlocks of kernel.name === 'fast' ? [1, 4, 6, 7, 13, 64] : [1, 6]) measureCode(kernel, parityBlocks);
  measure('checksums of the blocks', () => { for (const block of blocks) kernel.blake3(block); });
}

function measureCode(kernel, parityBlocks) {
  const code = kernel.createErasureCode(DATA_BLOCKS, parityBlocks);
  const parity = code.encode(blocks, BLOCK_BYTES);
  measure(`encode, ${parityBlocks} parity blocks`, () => code.encode(blocks, BLOCK_BYTES));
  const damaged = blocks.map((block, i) => (i % 2 === 0 && i < 2 * parityBlocks ? undefined : block));
  const restored = code.reconstruct(damaged, parity, BLOCK_BYTES);
  if (Buffer.compare(restored[0], blocks[0]) !== 0) throw new Error('The wrong block came back');
  measure(`reconstruct ${restored.length} blocks`, () => code.reconstruct(damaged, parity, BLOCK_BYTES));
}

function measure(label, call) {
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const started = performance.now();
    call();
    best = Math.min(best, performance.now() - started);
  }
  console.log(`${label.padEnd(40)}${(PACK_BYTES / best / 1e3).toFixed(0).padStart(10)}`);
}
