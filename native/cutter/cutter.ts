/**
 * Content-defined cutting, AssemblyScript (compiled to WebAssembly by native/build.mjs).
 *
 * Gear hash with normalised chunking, level 2, after Xia et al., "FastCDC: a Fast and Efficient Content-Defined Chunking
 * Approach for Data Deduplication" (USENIX ATC 2016), with the 64-bit table and the high-bit test of repository design,
 * section 13.1. `src/kernel/reference-cutter.ts` is the readable twin; a test compares the two.
 *
 * Memory (imported, never grown): bytes 0 to 2,047 hold the Gear table, 256 little-endian u64; the input window follows.
 * Nothing is checked here: the caller (`src/kernel/wasm-cutter.ts`) checks ranges and parameters once per call.
 */

/** A byte leaves the 64-bit hash after this many shifts, so a hash started so far before the minimum is complete there. */
const HASH_WINDOW: u32 = 64;

/** The running hash between the two calls of `scan`; inside the loop it lives in a register. */
let hash: u64 = 0;

@inline
function gear(at: usize, offset: usize): u64 {
  return load<u64>((<usize>load<u8>(at + offset)) << 3);
}

/**
 * Hashes the bytes [from, to) and returns the address behind the first one whose hash is below `limit`, else 0.
 *
 * Four steps a round: 5.1 GB/s against 3.0 for one step, and no gain beyond four (EPYC 9005, V8 11.3; two bytes per shift
 * measured the same).
 */
function scan(from: usize, to: usize, limit: u64): usize {
  let h = hash;
  let at = from;
  for (; at + 4 <= to; at += 4) {
    h = (h << 1) + gear(at, 0);
    if (h < limit) return at + 1;
    h = (h << 1) + gear(at, 1);
    if (h < limit) return at + 2;
    h = (h << 1) + gear(at, 2);
    if (h < limit) return at + 3;
    h = (h << 1) + gear(at, 3);
    if (h < limit) return at + 4;
  }
  for (; at < to; at++) {
    h = (h << 1) + gear(at, 0);
    if (h < limit) return at + 1;
  }
  hash = h;
  return 0;
}

/**
 * Length of the first chunk of the `available` bytes at address `start`; 0 when more bytes are needed to decide, which
 * cannot be when `isLast` is not 0 and `available` is not 0.
 *
 * Requires 64 <= minBytes <= averageBytes <= maxBytes <= 2^30 and averageBytes a power of two.
 */
export function cut(start: usize, available: u32, isLast: u32, minBytes: u32, averageBytes: u32, maxBytes: u32): u32 {
  const length = min(available, maxBytes);
  if (length >= minBytes) {
    // The byte that completes the minimum is the first whose hash is tested; the 63 before it only fill the hash.
    const firstTested = start + minBytes - 1;
    let h: u64 = 0;
    for (let at = start + minBytes - HASH_WINDOW; at < firstTested; at++) h = (h << 1) + gear(at, 0);
    hash = h;

    // "The top k bits are zero" is "below 2^(64 - k)": k is a + 2 up to the average, a - 2 from it on.
    const a = <u64>ctz(averageBytes);
    const end = start + length;
    const turn = min<usize>(start + averageBytes - 1, end);
    let behind = scan(firstTested, turn, (<u64>1) << (62 - a));
    if (behind == 0) behind = scan(turn, end, (<u64>1) << (66 - a));
    if (behind != 0) return <u32>(behind - start);
  }
  return length == maxBytes || isLast != 0 ? length : 0;
}
