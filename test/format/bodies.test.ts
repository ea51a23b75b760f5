import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Bytes } from '../../src/base/bytes.ts';
import { CborReader } from '../../src/format/cbor-reader.ts';
import { CborWriter } from '../../src/format/cbor-writer.ts';
import { CHUNKING_PROFILES, PROFILES } from '../../src/format/chunking.ts';
import { type Config, decodeConfig, encodeConfig } from '../../src/format/config.ts';
import {
  decodeDone, decodePlan, decodeSweep, encodeDone, encodePlan, encodeSweep, type GcDone, type GcPlan, type GcSweep, packPackIds, unpackPackIds,
} from '../../src/format/gc-documents.ts';
import type { RepositoryId, RunId } from '../../src/format/ids.ts';
import { decodeKeyring, encodeKeyring, extendsKeyring, findEpochSecret, type Keyring, openAdminSeed, sealAdminSeed } from '../../src/format/keyring.ts';
import { decodeHeartbeat, decodeSession, encodeHeartbeat, encodeSession, type Heartbeat, type Pin, type Session } from '../../src/format/session.ts';
import { type Component, decodeSnapshot, encodeSnapshot, type Snapshot } from '../../src/format/snapshot.ts';
import { decodeForgotten, decodeTombstone, encodeForgotten, encodeTombstone, type Forgotten, type Tombstone } from '../../src/format/tombstone.ts';
import {
  bytesOf, chunkIds, counts, decodeHostile, expectKind, hostIds, kernel, mutations, packIds, repositoryId, rootEntries, seeded, sessionIds, texts, times,
} from './samples.ts';

const optional = <Value>(arbitrary: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> => fc.option(arbitrary, { nil: undefined });
const packLists = fc.array(packIds, { maxLength: 6 }).map(packPackIds);
const chunkers = fc.constantFrom(...CHUNKING_PROFILES);

const configs: fc.Arbitrary<Config> = fc.record<Config>({
  repositoryId: sessionIds as fc.Arbitrary<string> as fc.Arbitrary<RepositoryId>, createdSeconds: counts, chunkIdAlgorithm: fc.constant(1 as const),
  defaultSuite: fc.constantFrom(1 as const, 2 as const), chunker: chunkers.map(name => PROFILES[name]), paddingRule: fc.constant(1 as const),
  adminKeyId: bytesOf(8), storeMode: fc.constantFrom('create-only' as const, 'fallback' as const), stalenessMs: counts,
});

const keyrings: fc.Arbitrary<Keyring> = fc.record<Keyring>({
  epochs: fc.uniqueArray(fc.integer({ min: 1, max: 0xffff_ffff }), { minLength: 1, maxLength: 4 })
    .map(list => list.sort((a, b) => a - b).map(epoch => ({ epoch, secret: seeded(`epoch ${epoch}`, 32) }))),
  dedupSecret: bytesOf(32),
  adminKeys: fc.array(fc.record({ keyId: bytesOf(8), publicKey: bytesOf(32), validFrom: counts }), { minLength: 1, maxLength: 3 }),
  sealedAdminSeed: bytesOf(72),
});

const pins: fc.Arbitrary<Pin> = fc.record<Pin>({
  snapshotId: sessionIds, rootNodes: fc.array(chunkIds, { maxLength: 3 }), dataChunks: optional(fc.array(chunkIds, { minLength: 1, maxLength: 3 })),
});

const sessions: fc.Arbitrary<Session> = fc.record<Session>({
  kind: fc.constantFrom('writer' as const, 'reader' as const, 'copy' as const), host: texts, hostId: hostIds, user: texts, processId: counts, startedAt: counts,
  program: texts, pins: fc.array(pins, { maxLength: 3 }),
}).map(session => session.kind === 'writer' ? { ...session, pins: [] } : session);

const components: fc.Arbitrary<readonly Component[]> = fc.uniqueArray(fc.record<Component>({
  name: texts, isConfiguration: fc.boolean(), sourcePath: fc.uint8Array({ maxLength: 20 }), root: rootEntries, profile: optional(chunkers),
}), { minLength: 1, maxLength: 3, selector: component => component.name });

const snapshots: fc.Arbitrary<Snapshot> = fc.record<Snapshot>({
  id: sessionIds, kind: fc.constantFrom('full' as const, 'incremental' as const, 'config' as const), parent: optional(sessionIds), startedAt: times, finishedAt: times,
  host: texts, hostId: hostIds, user: texts, series: texts, tags: fc.uniqueArray(texts, { maxLength: 3 }), components,
  statistics: fc.record({ files: counts, directories: counts, bytes: counts, bytesAddedRaw: counts, bytesAddedStored: counts, chunksAdded: counts, sourceErrors: counts }),
  program: texts, chunkers: fc.array(chunkers.map(profile => ({ profile, ...PROFILES[profile] })), { maxLength: 3 }), gcNumber: counts,
  previous: optional(fc.record({ id: sessionIds, digest: bytesOf(32) })), originalId: optional(sessionIds), description: optional(texts), protected: fc.boolean(),
  hostPublicKey: optional(bytesOf(32)), hostSignature: optional(bytesOf(64)),
});

interface Body<Value> {
  readonly values: fc.Arbitrary<Value>;
  encode(value: Value): Uint8Array<ArrayBuffer>;
  decode(bytes: Bytes): Value;
}

function bodies(): Record<string, Body<unknown>> {
  const body = <Value>(values: fc.Arbitrary<Value>, encode: (value: Value) => Uint8Array<ArrayBuffer>, decode: (bytes: Bytes) => Value): Body<unknown> =>
    ({ values, encode: value => encode(value as Value), decode });
  return {
    config: body(configs, encodeConfig, decodeConfig),
    keyring: body(keyrings, encodeKeyring, decodeKeyring),
    session: body(sessions, encodeSession, decodeSession),
    heartbeat: body(fc.record<Heartbeat>({ count: counts, createdAt: counts, seenGc: optional(counts) }), encodeHeartbeat, decodeHeartbeat),
    'gc plan': body(fc.record<GcPlan>({ packs: packLists, createdAt: counts, runId: sessionIds as fc.Arbitrary<string> as fc.Arbitrary<RunId> }), encodePlan, decodePlan),
    'gc sweep': body(fc.record<GcSweep>({ packs: packLists, planDigest: bytesOf(32), createdAt: counts }), encodeSweep, decodeSweep),
    'gc done': body(fc.record<GcDone>({ createdAt: counts }), encodeDone, decodeDone),
    tombstone: body(fc.record<Tombstone>({ planNumber: counts, createdAt: counts }), encodeTombstone, decodeTombstone),
    forgotten: body(fc.record<Forgotten>({ reason: texts, createdAt: counts, recordDigest: optional(bytesOf(32)) }), encodeForgotten, decodeForgotten),
    snapshot: body(snapshots, encodeSnapshot, decodeSnapshot),
  };
}

type Write = (writer: CborWriter) => void;

function written(write: Write): Uint8Array {
  const writer = new CborWriter();
  write(writer);
  return writer.finish();
}

function fromTheFuture(writer: CborWriter): void {
  writer.array(1);
  writer.text('from the future');
}

/** The body with one more field at its end. */
function withField(encoded: Uint8Array, key: number, write: Write = fromTheFuture): Uint8Array {
  return written(writer => {
    writer.map(new CborReader(encoded, 'sample').map() + 1);
    writer.raw(encoded.subarray(1)); // bodies here have fewer than 24 fields, so the head is one byte
    writer.uint(key);
    write(writer);
  });
}

/** The bytes with the one place of `from` replaced, which has the same length as `to`. */
function replaced(bytes: Uint8Array, from: Uint8Array, to: Uint8Array): Uint8Array {
  const copy = Buffer.from(bytes);
  const at = copy.indexOf(from);
  expect(at).toBeGreaterThanOrEqual(0);
  expect(copy.indexOf(from, at + 1)).toBe(-1);
  copy.set(to, at);
  return copy;
}

it('a forgotten marker may carry a snapshot, in a field that earlier programs skip', () => {
  const markers = fc.record<Forgotten>({ reason: texts, createdAt: counts, recordDigest: optional(bytesOf(32)), snapshot: fc.uint8Array({ maxLength: 40 }) });
  fc.assert(fc.property(markers, marker => {
    const bytes = encodeForgotten(marker);
    expect(decodeForgotten(bytes)).toEqual(marker);
    const reader = new CborReader(bytes, 'marker');
    const keys: number[] = [];
    for (let left = reader.map(); left > 0; left--) {
      keys.push(reader.key(keys.at(-1) ?? -1));
      if (keys.at(-1) === 64) reader.unknown(64);
      else if (keys.at(-1) === 3) reader.bytes();
      else if (keys.at(-1) === 2) reader.uint();
      else reader.text();
    }
    expect(keys.at(-1)).toBe(64);
  }));
});

describe.each(Object.entries(bodies()))('body of a %s', (_, { values, encode, decode }) => {
  it('comes back as it was encoded', () => {
    fc.assert(fc.property(values, value => {
      expect(decode(encode(value))).toEqual(value);
    }), { numRuns: 60 });
  });

  it('has one encoding: what is accepted encodes to the same bytes (fault 51)', () => {
    const changed = fc.gen();
    fc.assert(fc.property(values, changed, (value, gen) => {
      const bytes = gen(mutations, encode(value));
      const decoded = decodeHostile(() => decode(bytes));
      if (decoded !== undefined) expect(Buffer.from(encode(decoded)).equals(bytes)).toBe(true);
    }), { numRuns: 100 });
  });

  it('ignores unknown fields from 64 on and calls others unsupported', () => {
    const value = fc.sample(values, { numRuns: 1, seed: 7 })[0];
    expect(decode(withField(encode(value), 65))).toEqual(value);
    expectKind(() => decode(withField(encode(value), 63)), 'unsupported', /field 63/);
  });

  it('without its first field, or with bytes after it, is damaged', () => {
    const encoded = encode(fc.sample(values, { numRuns: 1, seed: 7 })[0]);
    expectKind(() => decode(Uint8Array.of(0xa0)), 'corrupt', /missing/);
    expectKind(() => decode(new Uint8Array([...encoded, 0])), 'corrupt', /after the end/);
  });

  it('survives arbitrary bytes (fuzz)', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 120 }), bytes => {
      decodeHostile(() => decode(bytes));
    }), { numRuns: 300 });
  });
});

const sample = <Value>(values: fc.Arbitrary<Value>): Value => fc.sample(values, { numRuns: 1, seed: 11 })[0]!;

describe('config', () => {
  it('with an unknown algorithm, suite, padding rule or store mode is unsupported (fault 52)', () => {
    const value = sample(configs);
    const change = (key: number, to: number): Uint8Array => {
      const bytes = encodeConfig({ ...value, createdSeconds: 0 });
      const at = Buffer.from(bytes).indexOf(Buffer.from(key === 3 ? [3, 1, 4] : key === 6 ? [6, 1, 7] : [8, value.storeMode === 'fallback' ? 2 : 1, 9]));
      bytes[at + 1] = to;
      return bytes;
    };
    for (const key of [3, 6, 8]) expectKind(() => decodeConfig(change(key, 9)), 'unsupported');
  });

  it('with chunk sizes out of order is damaged, with another chunking algorithm unsupported', () => {
    const bytes = encodeConfig({ ...sample(configs), chunker: { algorithm: 'gear', minBytes: 131_072, averageBytes: 524_288, maxBytes: 2_097_152 } });
    const sizes = (algorithm: number, min: number): Uint8Array => written(writer => [algorithm, min, 524_288, 2_097_152].forEach(size => writer.uint(size)));
    expectKind(() => decodeConfig(replaced(bytes, sizes(1, 131_072), sizes(1, 1_048_576))), 'corrupt', /out of order/);
    expectKind(() => decodeConfig(replaced(bytes, sizes(1, 131_072), sizes(3, 131_072))), 'unsupported', /algorithm 3/);
  });

  it('with illegal values is not encoded', () => {
    const value = sample(configs);
    expect(() => encodeConfig({ ...value, adminKeyId: new Uint8Array(7) })).toThrow(/7 bytes/);
    expect(() => encodeConfig({ ...value, chunker: { ...PROFILES.default, minBytes: 1 } })).toThrow(/out of range/);
    expect(() => encodeConfig({ ...value, defaultSuite: 3 as 1 })).toThrow(/default suite/);
  });
});

describe('keyring', () => {
  const value = sample(keyrings);

  it('with epochs out of order, repeated or zero is refused', () => {
    const epoch = (number: number): { epoch: number; secret: Uint8Array } => ({ epoch: number, secret: new Uint8Array(32) });
    expect(() => encodeKeyring({ ...value, epochs: [epoch(2 ** 32)] })).toThrow(/above/);
    const twice = { ...value, epochs: [epoch(1), epoch(2)] };
    const numbers = (first: number): Uint8Array => written(writer => { writer.array(2); writer.array(2); writer.uint(first); });
    expectKind(() => decodeKeyring(replaced(encodeKeyring(twice), numbers(1), numbers(2))), 'corrupt', /order/);
    for (const epochs of [[epoch(2), epoch(1)], [epoch(1), epoch(1)], [epoch(0)], []]) expect(() => encodeKeyring({ ...value, epochs })).toThrow(RangeError);
  });

  it('extends another one only with all its epochs, secrets and admin keys', () => {
    const next = { ...value, epochs: [...value.epochs, { epoch: 0xffff_ffff, secret: new Uint8Array(32) }] };
    expect(extendsKeyring(value, next)).toBe(true);
    expect(extendsKeyring(next, value)).toBe(false);
    expect(extendsKeyring(value, { ...next, dedupSecret: new Uint8Array(32) })).toBe(false);
    expect(extendsKeyring(value, { ...next, adminKeys: [] })).toBe(false);
    expect(extendsKeyring(value, { ...next, epochs: next.epochs.map(({ epoch }) => ({ epoch, secret: new Uint8Array(32) })) })).toBe(false);
  });

  it('finds the secret of an epoch, or says that it is missing (fault 52)', () => {
    const { epoch, secret } = value.epochs[0]!;
    expect(findEpochSecret(value, epoch)).toEqual(secret);
    expect(findEpochSecret(value, 0)).toBeUndefined();
  });

  it('keeps the admin signing seed sealed under the admin key', () => {
    const seed = seeded('seed', 32);
    const publicKey = kernel.ed25519PublicKey(seed);
    const sealed = sealAdminSeed(kernel, seeded('admin key', 32), repositoryId, seed, seeded('nonce', 24));
    expect(sealed).toHaveLength(72);
    expect(openAdminSeed(kernel, seeded('admin key', 32), repositoryId, publicKey, sealed)).toEqual(seed);
    expectKind(() => openAdminSeed(kernel, seeded('other key', 32), repositoryId, publicKey, sealed), 'corrupt');
    expectKind(() => openAdminSeed(kernel, seeded('admin key', 32), repositoryId, kernel.ed25519PublicKey(seeded('x', 32)), sealed), 'corrupt');
    expectKind(() => openAdminSeed(kernel, seeded('admin key', 32), repositoryId, publicKey, sealed.subarray(1)), 'corrupt', /71 bytes/);
    expect(() => sealAdminSeed(kernel, seeded('admin key', 32), repositoryId, seed.subarray(1), seeded('nonce', 24))).toThrow(RangeError);
  });
});

describe('gc documents', () => {
  it('hold pack IDs sorted, once each, and refuse everything else', () => {
    const ids = fc.sample(packIds, { numRuns: 5, seed: 3 });
    const packed = packPackIds([...ids, ids[0]!]);
    expect([...unpackPackIds(packed)]).toEqual([...ids].sort());
    const plan = { createdAt: 1, runId: '00'.repeat(16) as RunId };
    expect(() => encodePlan({ ...plan, packs: packed.subarray(1) })).toThrow(RangeError);
    expect(() => encodePlan({ ...plan, packs: new Uint8Array(32) })).toThrow(RangeError);
    const planOf = (list: Uint8Array): Uint8Array => written(writer => {
      writer.map(3);
      writer.uint(1);
      writer.bytes(list);
      writer.uint(2);
      writer.uint(1);
      writer.uint(3);
      writer.bytes(new Uint8Array(16));
    });
    expect(decodePlan(planOf(packed)).packs).toEqual(packed);
    expectKind(() => decodePlan(planOf(packed.subarray(1))), 'corrupt', /not whole/);
    expectKind(() => decodePlan(planOf(new Uint8Array(32))), 'corrupt', /order/);
  });
});

describe('session', () => {
  it('of a writer with pins is refused', () => {
    const value = { ...sample(sessions), kind: 'writer' as const, pins: [sample(pins)] };
    expect(() => encodeSession(value)).toThrow(RangeError);
    const writing = encodeSession({ ...value, pins: [] });
    const pin: Write = writer => {
      writer.array(1);
      writer.array(2);
      writer.bytes(new Uint8Array(16));
      writer.array(0);
    };
    expectKind(() => decodeSession(withField(writing, 8, pin)), 'corrupt', /writer has pins/);
  });

  it('has pins of two values, or of three when the roots name data chunks themselves', () => {
    const reading = { ...sample(sessions), kind: 'reader' as const, pins: [] };
    const pinOf = (...lists: readonly number[]): Write => writer => {
      writer.array(1);
      writer.array(1 + lists.length);
      writer.bytes(new Uint8Array(16));
      for (const count of lists) {
        writer.array(count);
        for (let i = 0; i < count; i++) writer.bytes(new Uint8Array(32));
      }
    };
    const decoded = (...lists: readonly number[]): Session => decodeSession(withField(encodeSession(reading), 8, pinOf(...lists)));
    const snapshotId = '00'.repeat(16);
    const chunk = new Uint8Array(32);
    expect(decoded(1).pins).toEqual([{ snapshotId, rootNodes: [chunk] }]);
    expect(decoded(0, 2).pins).toEqual([{ snapshotId, rootNodes: [], dataChunks: [chunk, chunk] }]);
    expectKind(() => decoded(1, 0), 'corrupt', /empty list of data chunks/);
    expectKind(() => decoded(), 'corrupt', /1 values/);
    expectKind(() => decoded(1, 1, 1), 'corrupt', /at most 3/);
  });

  it('with an empty list of pins, or of an unknown kind, is refused', () => {
    const value = { ...sample(sessions), pins: [] };
    expectKind(() => decodeSession(withField(encodeSession(value), 8, writer => writer.array(0))), 'corrupt', /empty list/);
    expect(() => encodeSession({ ...value, kind: 'other' as 'writer' })).toThrow(/Not one of/);
    const bytes = encodeSession(value);
    bytes[2] = 9;
    expectKind(() => decodeSession(bytes), 'unsupported', /kind 9/);
  });
});

describe('snapshot', () => {
  const value = sample(snapshots);

  it('without components, with two of one name, or with a tag twice is refused', () => {
    expect(() => encodeSnapshot({ ...value, components: [] })).toThrow(RangeError);
    expect(() => encodeSnapshot({ ...value, components: [value.components[0]!, value.components[0]!] })).toThrow(RangeError);
    expect(() => encodeSnapshot({ ...value, tags: ['a', 'a'] })).toThrow(RangeError);
  });

  it('does not give a name to the root entry of a component', () => {
    const named = { ...value.components[0]!, root: { ...value.components[0]!.root, name: Uint8Array.of(0x61) } };
    expect(() => encodeSnapshot({ ...value, components: [named] })).toThrow(RangeError);
  });

  it('protected by an explicit false, or with unknown component flags, is refused', () => {
    const plain = { ...value, protected: false, hostPublicKey: undefined, hostSignature: undefined };
    expectKind(() => decodeSnapshot(withField(encodeSnapshot(plain), 19, writer => writer.bool(false))), 'corrupt', /false/);
    const one = encodeSnapshot({ ...plain, components: [{ ...value.components[0]!, name: 'unique name', isConfiguration: true }] });
    const named = (flags: number): Uint8Array => written(writer => { writer.text('unique name'); writer.uint(2); writer.uint(flags); });
    expectKind(() => decodeSnapshot(replaced(one, named(1), named(2))), 'unsupported', /flags 2/);
  });

  it('of an unknown kind is unsupported (fault 23)', () => {
    const bytes = encodeSnapshot(value);
    expect(bytes[19]).toBe(2);
    bytes[20] = 9;
    expectKind(() => decodeSnapshot(bytes), 'unsupported', /kind 9/);
  });
});
