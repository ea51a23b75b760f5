/**
 * Whatever is stored, a decoder gives a value or says that it is damaged or unsupported, in little time and memory. More
 * rounds: `SNAP_FUZZ_ROUNDS=100000 npx vitest run test/fuzz`; another course: `SNAP_FUZZ_SEED`. The slow tests run for long.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SnapError } from '../../src/base/errors.ts';
import { allDecoders, type Decoder } from './decoders.ts';
import { fuzz } from './fuzz.ts';

const ROUNDS = Number(process.env['SNAP_FUZZ_ROUNDS'] ?? 150);
const SEED = Number(process.env['SNAP_FUZZ_SEED'] ?? 1);

const NAMES = [
  'header', 'sealed object', 'plaintext of a seal', 'sealed and compressed payload', 'signed payload', 'key slot', 'key slot parameters', 'object name', 'CBOR',
  'zstd frame', 'config', 'keyring', 'key slot secrets', 'session', 'heartbeat', 'gc plan', 'gc sweep', 'gc done', 'tombstone', 'forgotten marker', 'ledger', 'replica record', 'snapshot', 'head of a parity', 'header of a parity',
  'index segment', 'segment in the cache', 'front of a pack', 'back of a pack', 'pack table', 'tree node', 'directory record', 'state file of the cache',
  'host memory', 'head of the LMDB file',
];

describe('the fuzzer notices', () => {
  const failsWith = (decode: Decoder['decode']): (() => unknown) => () => fuzz({ name: 'sample', seeds: [], decode }, 5, 1);

  test('errors of the wrong kind', () => {
    expect(failsWith(() => { throw new RangeError('Invalid array length'); })).toThrow(/sample, seed 1, round 0/);
    expect(failsWith(() => { throw new SnapError('INTERNAL', 'A broken invariant'); })).toThrow(/round 0/);
    expect(failsWith(() => { throw new SnapError('OBJECT_CORRUPT', 'Damaged'); })).not.toThrow();
  });

  test('memory that does not fit the input', () => expect(failsWith(() => new Uint8Array(2 ** 27))).toThrow(/134\d+ bytes/));
});

describe('hostile bytes', () => {
  const folder = mkdtempSync(join(tmpdir(), 'snap-test-'));
  let decoders: Decoder[];
  beforeAll(async () => {
    decoders = await allDecoders(folder);
  });
  afterAll(() => { rmSync(folder, { recursive: true }); });

  test('are given to every decoder', () => expect(decoders.map(({ name }) => name)).toEqual(NAMES));

  test.each(NAMES)('as %s', { timeout: 30_000 + ROUNDS * 20 }, name => {
    const { accepted, refused } = fuzz(decoders.find(each => each.name === name)!, ROUNDS, SEED);
    expect(accepted + refused).toBe(ROUNDS);
  });
});
