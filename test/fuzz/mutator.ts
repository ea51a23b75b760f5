/** Hostile bytes from valid ones, the same for the same seed. */
import type { SeededRandom } from '../support/seeded-random.ts';

const INTERESTING_BYTES = [0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff];
/** Lengths and counts that nothing can have, little-endian and as CBOR heads (big-endian, by their first byte). */
const INTERESTING_WORDS = [
  [0xff, 0xff, 0xff, 0xff], [0xff, 0xff, 0xff, 0x7f], [0x00, 0x00, 0x00, 0x80], [0x00, 0x00, 0x00, 0x40], [0xf0, 0xff, 0xff, 0xff],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], [0, 0, 0, 0, 0, 0, 0, 0x20], [0, 0, 0, 0, 1, 0, 0, 0],
  [0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], [0x9b, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff], [0xbb, 0, 0x20, 0, 0, 0, 0, 0, 0],
  [0x5a, 0xff, 0xff, 0xff, 0xff], [0x9a, 0x7f, 0xff, 0xff, 0xff], [0xba, 0x10, 0, 0, 0], [0x9f], [0xbf], [0x5f], [0xf6], [0xfb, 0, 0, 0, 0, 0, 0, 0, 0],
];

/** Some changes of one of the seeds, or in one of eight cases bytes that come from nowhere. */
export function mutated(seeds: readonly Uint8Array[], random: SeededRandom): Uint8Array<ArrayBuffer> {
  if (seeds.length === 0 || random.oneIn(8)) return random.bytes(random.below(random.oneIn(4) ? 5000 : 200));
  let bytes = new Uint8Array(seeds[random.below(seeds.length)]!);
  for (let changes = 1 + random.below(4); changes > 0; changes--) bytes = change(bytes, seeds, random);
  return bytes;
}

function change(bytes: Uint8Array<ArrayBuffer>, seeds: readonly Uint8Array[], random: SeededRandom): Uint8Array<ArrayBuffer> {
  // Headers and counts stand in front, so most changes are made there.
  const at = random.below(Math.max(1, random.oneIn(2) ? Math.min(bytes.length, 100) : bytes.length));
  switch (random.below(8)) {
    case 0: return overwritten(bytes, at, [(bytes[at] ?? 0) ^ (1 << random.below(8))]);
    case 1: return overwritten(bytes, at, [INTERESTING_BYTES[random.below(INTERESTING_BYTES.length)]!]);
    case 2: return overwritten(bytes, at, INTERESTING_WORDS[random.below(INTERESTING_WORDS.length)]!);
    case 3: return overwritten(bytes, at, random.bytes(1 + random.below(8)));
    case 4: return bytes.slice(0, at);
    case 5: return joined(bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + 1 + random.below(40))));
    case 6: return joined(bytes.subarray(0, at), bytes.subarray(at, at + 1 + random.below(40)), bytes.subarray(at));
    default: {
      const other = seeds[random.below(seeds.length)]!;
      return joined(bytes.subarray(0, at), other.subarray(random.below(Math.max(1, other.length))));
    }
  }
}

function overwritten(bytes: Uint8Array<ArrayBuffer>, at: number, values: ArrayLike<number>): Uint8Array<ArrayBuffer> {
  const copy = bytes.slice();
  for (let i = 0; i < values.length && at + i < copy.length; i++) copy[at + i] = values[i]!;
  return copy;
}

function joined(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat(parts));
}
