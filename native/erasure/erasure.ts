/**
 * Products of blocks in GF(2^8) for the erasure code, AssemblyScript with 128-bit SIMD (compiled to WebAssembly by
 * native/build.mjs).
 *
 * A product with one coefficient is two look-ups in tables of 16 bytes, one for each half of the byte, and `i8x16.swizzle`
 * looks up 16 of them at once (Plank, Greenan, Miller, "Screaming Fast Galois Field Arithmetic Using Intel SIMD
 * Instructions", FAST 2013). `src/kernel/reference-multiplier.ts` is the readable twin; tests compare the two.
 *
 * Memory (imported, never grown) is laid out by the caller, `src/kernel/wasm-multiplier.ts`: the tables at 0, 32 bytes for
 * each of the 256 coefficients; then coefficients, sources and targets, wherever the arguments say. Nothing is checked here.
 */

const TABLE_BYTES: usize = 32;

/** Where the tables of the coefficient at an address are. */
@inline
function tableOf(coefficient: usize): usize {
  return <usize>load<u8>(coefficient) * TABLE_BYTES;
}

@inline
function addProduct(target: usize, lowTable: v128, highTable: v128, low: v128, high: v128): void {
  const product = v128.xor(i8x16.swizzle(lowTable, low), i8x16.swizzle(highTable, high));
  v128.store(target, v128.xor(v128.load(target), product));
}

/**
 * Four targets at once: the halves of the source are taken apart once for all of them, and eight tables are as many as stay in
 * registers.
 */
function addFour(source: usize, target: usize, width: u32, a: usize, b: usize, c: usize, d: usize): void {
  const lowA = v128.load(a), highA = v128.load(a, 16), lowB = v128.load(b), highB = v128.load(b, 16);
  const lowC = v128.load(c), highC = v128.load(c, 16), lowD = v128.load(d), highD = v128.load(d, 16);
  const mask = i8x16.splat(15);
  for (const end = source + width; source < end; source += 16, target += 16) {
    const bytes = v128.load(source);
    const low = v128.and(bytes, mask);
    const high = i8x16.shr_u(bytes, 4);
    addProduct(target, lowA, highA, low, high);
    addProduct(target + width, lowB, highB, low, high);
    addProduct(target + 2 * width, lowC, highC, low, high);
    addProduct(target + 3 * width, lowD, highD, low, high);
  }
}

function addOne(source: usize, target: usize, width: u32, table: usize): void {
  const lowTable = v128.load(table), highTable = v128.load(table, 16);
  const mask = i8x16.splat(15);
  for (const end = source + width; source < end; source += 16, target += 16) {
    const bytes = v128.load(source);
    addProduct(target, lowTable, highTable, v128.and(bytes, mask), i8x16.shr_u(bytes, 4));
  }
}

/**
 * Sets target r to the sum over c of coefficient[r * columns + c] * source[c], byte by byte. Sources and targets follow each
 * other without gap, `width` bytes each, a multiple of 16; targets must not overlap anything else.
 */
export function multiply(coefficients: usize, sources: usize, targets: usize, rows: u32, columns: u32, width: u32): void {
  memory.fill(targets, 0, rows * width);
  let row: u32 = 0;
  for (; row + 4 <= rows; row += 4) {
    let at = coefficients + row * columns;
    for (let column: u32 = 0; column < columns; column++, at++) {
      addFour(
        sources + column * width, targets + row * width, width,
        tableOf(at), tableOf(at + columns), tableOf(at + 2 * columns), tableOf(at + 3 * columns),
      );
    }
  }
  for (; row < rows; row++) {
    const at = coefficients + row * columns;
    for (let column: u32 = 0; column < columns; column++) {
      addOne(sources + column * width, targets + row * width, width, tableOf(at + column));
    }
  }
}
