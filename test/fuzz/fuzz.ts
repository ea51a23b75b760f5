import { SnapError } from '../../src/base/errors.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import type { Decoder } from './decoders.ts';
import { mutated } from './mutator.ts';

/** The largest things that a decoder may make of little input: a frame of 16 MiB, an index that is taken apart. */
const MAX_ALLOCATED_BYTES = 64 * 1024 * 1024;
const MAX_MS = 2_000;

/** @throws when a decoder does anything else than giving a value or refusing, with the input that made it do so */
export function fuzz({ name, seeds, decode }: Decoder, rounds: number, seed: number): { accepted: number; refused: number } {
  const counts = { accepted: 0, refused: 0 };
  const random = new SeededRandom(seed);
  for (const bytes of seeds) decode(new Uint8Array(bytes)); // what is valid is accepted
  for (let round = 0; round < rounds; round++) {
    const bytes = mutated(seeds, random);
    const before = allocatedBytes();
    const started = performance.now();
    try {
      decode(bytes);
      counts.accepted++;
    } catch (error) {
      if (!(error instanceof SnapError) || (error.kind !== 'corrupt' && error.kind !== 'unsupported')) {
        throw new Error(`${name}, seed ${seed}, round ${round}: ${Buffer.from(bytes).toString('hex').slice(0, 4000)}`, { cause: error });
      }
      counts.refused++;
    }
    const [allocated, ms] = [allocatedBytes() - before, performance.now() - started];
    if (allocated > MAX_ALLOCATED_BYTES || ms > MAX_MS) throw new Error(`${name}, seed ${seed}, round ${round}: ${allocated} bytes and ${ms} ms for ${bytes.length} bytes`);
  }
  return counts;
}

function allocatedBytes(): number {
  const { heapUsed, external } = process.memoryUsage(); // array buffers are part of what is external
  return heapUsed + external;
}
