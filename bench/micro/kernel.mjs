/**
 * Speed of every kernel operation on one thread. Needs `npm run build`; run `node bench/micro/kernel.mjs [fast|portable]`.
 * Each line is the best of several rounds: the least disturbed run says most about the code.
 */
import { createCipheriv } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createFastKernel } from '../../dist/kernel/fast.js';
import { createPortableKernel } from '../../dist/kernel/portable.js';

const KiB = 1024;
const MiB = 1024 * KiB;
const ROUNDS = 7;
const ROUND_MS = 40;

const random = randomBytes(64 * MiB);
const text = textBytes(4 * MiB);
const key = random.slice(0, 32);
const nonce = new Uint8Array(12);
const additional = new Uint8Array(80);

const wanted = process.argv.slice(2);
for (const kernel of [createFastKernel(), createPortableKernel()]) {
  if (wanted.length === 0 ? kernel.name === 'fast' : wanted.includes(kernel.name)) measureKernel(kernel);
}

function measureKernel(kernel) {
  console.log(`\n${kernel.name} kernel${' '.repeat(30 - kernel.name.length)}        µs      GB/s`);
  measureCutter(kernel);
  const hasher = kernel.createHasher(key);
  for (const size of [64, 4 * KiB, 64 * KiB, MiB]) {
    const input = random.subarray(0, size);
    measure(`keyed BLAKE3, ${sizeText(size)}`, size, () => hasher.hash(input));
  }
  measure('new keyed hasher', 0, () => kernel.createHasher(key));
  for (const suite of [1, 2]) measureAead(kernel, suite);
  for (const level of [-1, 1, 3]) measureCompressor(kernel, level);
  measure('HKDF-SHA-256, 32 B', 0, () => kernel.hkdf(key, key, additional, 32));
  measure('HMAC-SHA-256, 80 B', 0, () => kernel.hmacSha256(key, additional));
  const signature = kernel.ed25519Sign(key, additional);
  const publicKey = kernel.ed25519PublicKey(key);
  measure('Ed25519 sign', 0, () => kernel.ed25519Sign(key, additional));
  measure('Ed25519 verify', 0, () => kernel.ed25519Verify(publicKey, additional, signature));
}

function measureCutter(kernel) {
  const window = kernel.name === 'fast' ? 64 * MiB : 8 * MiB;
  const gear = new BigUint64Array(random.buffer.slice(0, 2048));
  const cutter = kernel.createCutter(gear, window);
  cutter.memory.set(random.subarray(0, window));
  for (const [minKiB, averageKiB, maxKiB] of [[128, 512, 2048], [512, 2048, 8192], [2, 8, 32]]) {
    const parameters = { minBytes: minKiB * KiB, averageBytes: averageKiB * KiB, maxBytes: maxKiB * KiB };
    measure(`cut ${minKiB}K/${averageKiB}K/${maxKiB}K, skip counted`, window, () => {
      for (let at = 0; at < window;) at += cutter.cut(at, window, true, parameters);
    });
  }
}

function measureAead(kernel, suite) {
  const name = suite === 1 ? 'AES-256-GCM' : 'ChaCha20-Poly1305';
  const aead = kernel.createAead(suite, key);
  for (const size of [4 * KiB, 256 * KiB, MiB]) {
    const input = random.subarray(0, size);
    const sealed = aead.seal(nonce, additional, input);
    measure(`${name} seal, ${sizeText(size)}`, size, () => aead.seal(nonce, additional, input));
    measure(`${name} open, ${sizeText(size)}`, size, () => aead.open(nonce, additional, sealed));
  }
}

function measureCompressor(kernel, level) {
  const compressor = kernel.createCompressor(level);
  for (const [kind, input] of [['text', text], ['random', random]]) {
    for (const size of [4 * KiB, 256 * KiB]) {
      const raw = input.subarray(0, size);
      const frame = compressor.compress(raw, Infinity).slice();
      measure(`zstd ${level}, ${kind} ${sizeText(size)} -> ${frame.length}`, size, () => compressor.compress(raw, Infinity));
      if (kind === 'text') measure(`zstd ${level}, decompress`, size, () => kernel.decompress(frame, size));
    }
  }
}

/** Prints the time of one call, in µs, and the throughput when `bytes` is not 0. */
function measure(label, bytes, call) {
  const once = timeOf(call, 1);
  const count = Math.max(1, Math.min(100_000, Math.round(ROUND_MS / once)));
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) best = Math.min(best, timeOf(call, count) / count);
  const speed = bytes === 0 ? '' : (bytes / best / 1e6).toFixed(3);
  console.log(`${label.padEnd(40)}${(best * 1000).toFixed(2).padStart(12)}${speed.padStart(10)}`);
}

function timeOf(call, count) {
  const start = performance.now();
  for (let i = 0; i < count; i++) call();
  return performance.now() - start;
}

/** The same bytes on every machine: AES-CTR of zeros under a zero key. */
function randomBytes(count) {
  const cipher = createCipheriv('aes-128-ctr', new Uint8Array(16), new Uint8Array(16));
  return new Uint8Array(cipher.update(new Uint8Array(count)));
}

/** The source of the AssemblyScript compiler, repeated as needed: ordinary program text. */
function textBytes(count) {
  const source = readFileSync(new URL('../../node_modules/assemblyscript/dist/assemblyscript.js', import.meta.url));
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count; at += source.length) bytes.set(source.subarray(0, count - at), at);
  return bytes;
}

function sizeText(size) {
  return size >= MiB ? `${size / MiB} MiB` : size >= KiB ? `${size / KiB} KiB` : `${size} B`;
}
