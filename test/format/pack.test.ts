import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concatBytes, equalBytes, toHex, viewOf } from '../../src/base/bytes.ts';
import { decodePayload, encodeFramePrefix, FrameCipher, frameCheck, frameRecordAt, openFrame, TABLE_FRAME_BYTES } from '../../src/format/frame.ts';
import { parsePackId, parseRepositoryId, parseSessionId } from '../../src/format/ids.ts';
import { derivePackKeys, type PackIdentity } from '../../src/format/key-derivation.ts';
import {
  assemblePack, MIN_DATA_PACK_BYTES, openPackHead, openPackTail, type OpenTableOptions, type PackFrame, packHeadBytes, packTailBytes,
} from '../../src/format/pack.ts';
import { checkSameTables, checkTableSize, decodePackTable, encodePackTable, findDuplicateChunks, firstChunks, indexFrames, type PackTable, tableFrameAt } from '../../src/format/pack-table.ts';
import { padmeSize } from '../../src/format/padding.ts';
import { chunkRecord, decodeHostile, expectKind, kernel, mutations, repositoryId, seeded } from './samples.ts';

const pack: PackIdentity = { type: 'data', suite: 1, epoch: 2, id: parsePackId('5a'.repeat(16)), salt: seeded('salt', 32) };
const root = seeded('data root', 32);
const sessionId = parseSessionId('77'.repeat(16));

/** Chunks as one plaintext each; sealed raw or compressed like a writer does. */
function makeFrame(cipher: FrameCipher, number: number, chunks: readonly Uint8Array[], codec: 0 | 1): PackFrame {
  const plaintext = concatBytes(chunks);
  const payload = codec === 0 ? plaintext : kernel.createCompressor(3).compress(plaintext, plaintext.length)!;
  return {
    stored: cipher.seal({ number, rawLength: plaintext.length, codec, flags: 0 }, payload), rawLength: plaintext.length, codec,
    chunks: concatBytes(chunks.map(chunk => chunkRecord(kernel.blake3(chunk), chunk.length))),
  };
}

function cipherOf(identity: PackIdentity = pack): FrameCipher {
  return new FrameCipher(kernel.createAead(identity.suite, derivePackKeys(kernel, root, identity, repositoryId).frameKey), encodeFramePrefix(identity, repositoryId));
}

function sampleFrames(identity: PackIdentity = pack): PackFrame[] {
  const cipher = cipherOf(identity);
  return [
    makeFrame(cipher, 0, [seeded('big', 8000)], 0),
    makeFrame(cipher, 1, [new Uint8Array(3000).fill(1), new Uint8Array(500).fill(2), Uint8Array.of(9)], 1),
    makeFrame(cipher, 2, [seeded('other', 5000)], 0),
  ];
}

function assemble(identity: PackIdentity = pack, frames: readonly PackFrame[] = sampleFrames(identity), layout?: readonly number[]): { bytes: Uint8Array; table: PackTable } {
  const { parts, table } = assemblePack({ kernel, pack: identity, repositoryId, root, sessionId, createdAt: 1_700_000_000_000, frames, layout });
  return { bytes: concatBytes(parts), table };
}

function options(bytes: Uint8Array, change: Partial<OpenTableOptions> = {}): OpenTableOptions {
  return { kernel, repositoryId, type: pack.type, id: pack.id, sizeBytes: bytes.length, rootOf: epoch => epoch === pack.epoch ? root : undefined, ...change };
}

describe('pack', () => {
  it.each([1, 2] as const)('tells the same from either end under suite %i', suite => {
    const identity = { ...pack, suite };
    const { bytes, table } = assemble(identity, undefined, [2, 0, 1]);
    const front = openPackHead(bytes.subarray(0, packHeadBytes(bytes)), options(bytes));
    const back = openPackTail(bytes.subarray(bytes.length - packTailBytes(bytes)), options(bytes));
    checkSameTables(front, back);
    expect(front).toEqual(table);
    expect([front.sessionId, front.createdAt, front.chunkCount]).toEqual([sessionId, 1_700_000_000_000, 5]);
  });

  it('keeps frames in the given layout under their numbers, and each opens to its chunks', () => {
    const { bytes, table } = assemble(pack, undefined, [2, 0, 1]);
    const offsets = [0, 1, 2].map(number => tableFrameAt(table, number).offset);
    expect(offsets[2]! < offsets[0]! && offsets[0]! < offsets[1]!).toBe(true);
    const first = firstChunks(table);
    const contents = [[seeded('big', 8000)], [new Uint8Array(3000).fill(1), new Uint8Array(500).fill(2), Uint8Array.of(9)], [seeded('other', 5000)]];
    contents.forEach((chunks, number) => {
      const record = tableFrameAt(table, number);
      const stored = bytes.subarray(record.offset, record.offset + record.storedLength);
      expect(frameCheck(kernel, stored)).toBe(record.check);
      const plaintext = openFrame(kernel, cipherOf(), { number, ...record }, stored);
      expect(equalBytes(plaintext, concatBytes(chunks))).toBe(true);
      expect(first[number + 1]! - first[number]!).toBe(chunks.length);
    });
  });

  it('is padded to a Padmé size of at least 64 KiB by one frame of zeros', () => {
    const { bytes, table } = assemble();
    expect(bytes.length).toBe(MIN_DATA_PACK_BYTES);
    const padding = tableFrameAt(table, 3);
    expect([table.frameCount, padding.flags, padding.chunkCount, padding.codec]).toEqual([4, 1, 0, 0]);
    const plaintext = openFrame(kernel, cipherOf(), { number: 3, ...padding }, bytes.subarray(padding.offset, padding.offset + padding.storedLength));
    expect(plaintext.every(byte => byte === 0)).toBe(true);
  });

  it('of any content has a Padmé size, also where the gap is too small for a frame', () => {
    const identity: PackIdentity = { ...pack, type: 'tree' };
    const sizes = new Set<number>();
    for (let length = 24_300; length < 24_700; length++) {
      const frame = { stored: new Uint8Array(length + 16), rawLength: length, codec: 0, chunks: chunkRecord(seeded('id', 32), length) };
      const { bytes, table } = assemble(identity, [frame]);
      expect(padmeSize(bytes.length)).toBe(bytes.length);
      sizes.add(bytes.length);
      if (table.frameCount === 1) expect(bytes.length).toBe(64 + 2 * 4112 + 80 + length + 16);
    }
    expect([...sizes]).toEqual([32_768, 34_816]);
  });

  it('refuses to write what a reader would refuse', () => {
    const frames = sampleFrames();
    const wrong = (change: Partial<PackFrame>): void => { assemble(pack, [{ ...frames[0]!, ...change }]); };
    expect(() => wrong({ rawLength: 7999 })).toThrow(RangeError);
    expect(() => wrong({ codec: 1 })).toThrow(RangeError);
    expect(() => wrong({ chunks: new Uint8Array(0) })).toThrow(RangeError);
    expect(() => wrong({ chunks: new Uint8Array(35) })).toThrow(/not whole/);
    expect(() => assemble(pack, [])).toThrow(/at least one frame/);
    for (const layout of [[0, 1], [0, 1, 1], [0, 1, 3], [0, 1, 2, 2]]) expect(() => assemble(pack, frames, layout)).toThrow(/layout/);
  });

  it('shows any change in the header, in both tables and in the trailer', () => {
    const { bytes, table } = assemble();
    const head = packHeadBytes(bytes);
    const frontOf = (changed: Uint8Array): unknown => decodeHostile(() => openPackHead(changed.subarray(0, head), options(bytes)));
    const backOf = (changed: Uint8Array): unknown => decodeHostile(() => openPackTail(changed.subarray(changed.length - 80 - table.tableBytes), options(bytes)));
    for (let at = 0; at < 80; at++) {
      const changed = bytes.slice();
      changed[at]! ^= 1;
      changed[bytes.length - 1 - at]! ^= 1;
      expect(frontOf(changed), `byte ${at}`).toBeUndefined();
      expect(backOf(changed), `byte −${at}`).toBeUndefined();
    }
    expect(frontOf(bytes)).toBeDefined();
    expect(backOf(bytes)).toBeDefined();
  });

  it('that is cut off, swapped, of another repository, type or size is refused (faults 20, 40)', () => {
    const { bytes } = assemble();
    expectKind(() => openPackHead(bytes.subarray(0, 4000), options(bytes)), 'corrupt', /cut off/);
    expectKind(() => openPackTail(bytes.subarray(bytes.length - 4000), options(bytes)), 'corrupt', /cut off/);
    expectKind(() => openPackTail(bytes.subarray(bytes.length - 79), options(bytes)), 'corrupt', /end is missing/);
    expectKind(() => openPackTail(bytes, options(bytes, { sizeBytes: bytes.length + 1 })), 'corrupt', /size/);
    for (const open of [openPackHead, openPackTail]) {
      expectKind(() => open(bytes, options(bytes, { id: parsePackId('00'.repeat(16)) })), 'corrupt', /another name/);
      expectKind(() => open(bytes, options(bytes, { type: 'tree' })), 'corrupt', /it is a data pack/);
      expectKind(() => open(bytes, options(bytes, { repositoryId: parseRepositoryId('ff'.repeat(16)) })), 'corrupt', /seal/);
      expectKind(() => open(bytes, options(bytes, { rootOf: () => undefined })), 'unsupported', /epoch 2/);
    }
    expectKind(() => openPackHead(bytes, options(bytes, { sizeBytes: 300 * 1024 * 1024 })), 'corrupt');
    expectKind(() => openPackHead(bytes, options(bytes, { sizeBytes: bytes.length + 1 })), 'corrupt');
  });

  it('with tables that both open but differ is refused (fault 48)', () => {
    const { bytes, table } = assemble();
    const back = openPackTail(bytes, options(bytes));
    checkSameTables(table, back);
    const other = assemblePack({ kernel, pack, repositoryId, root, sessionId, createdAt: 5, frames: sampleFrames() });
    const mixed = concatBytes([...other.parts.slice(0, 2), ...assemblePack({ kernel, pack, repositoryId, root, sessionId, createdAt: 6, frames: sampleFrames() }).parts.slice(2)]);
    const front = openPackHead(mixed, options(mixed));
    expectKind(() => checkSameTables(front, openPackTail(mixed, options(mixed))), 'corrupt', /differ/);
  });

  it('with table A in the place of table B, or a front header unlike the trailer, is refused (fault 48)', () => {
    const { bytes, table } = assemble();
    const swapped = bytes.slice();
    swapped.set(bytes.subarray(64, 64 + table.tableBytes), bytes.length - 80 - table.tableBytes);
    expectKind(() => openPackTail(swapped, options(bytes)), 'corrupt', /back table/);
    const salted = bytes.slice();
    salted[40]! ^= 1;
    expectKind(() => openPackHead(salted, options(bytes)), 'corrupt');
    openPackTail(salted, options(bytes));
  });

  it('reports a chunk that it holds twice (fault 21)', () => {
    const cipher = cipherOf();
    const { bytes } = assemble(pack, [makeFrame(cipher, 0, [seeded('twin', 700)], 0), makeFrame(cipher, 1, [seeded('twin', 700), seeded('single', 60)], 0)]);
    const table = openPackHead(bytes, options(bytes));
    expect(findDuplicateChunks(table).map(toHex)).toEqual([toHex(kernel.blake3(seeded('twin', 700)))]);
    expect(findDuplicateChunks(assemble().table)).toEqual([]);
  });
});

describe('pack table', () => {
  const { table } = assemble();

  /** Decodes the sample table after a change of one number, as if a writer had sealed it like that. */
  function decodeChanged(at: number, write: (view: DataView, at: number) => void): PackTable {
    const plaintext = encodePackTable(table);
    write(viewOf(plaintext), at);
    return decodePackTable(plaintext, pack, table.sizeBytes);
  }
  const frameAt = (number: number, field: number): number => 40 + TABLE_FRAME_BYTES * number + field;
  const chunkLengthAt = (chunk: number): number => 40 + TABLE_FRAME_BYTES * table.frameCount + 36 * chunk + 32;
  const set32 = (value: number) => (view: DataView, at: number): void => view.setUint32(at, value, true);
  const add32 = (delta: number) => (view: DataView, at: number): void => view.setUint32(at, view.getUint32(at, true) + delta, true);
  const set8 = (value: number) => (view: DataView, at: number): void => view.setUint8(at, value);

  it('comes back from its plaintext', () => {
    expect(decodeChanged(0, () => undefined)).toEqual(table);
  });

  it('whose frames overlap, leave a gap, or reach beyond the frame region is refused (fault 45)', () => {
    expectKind(() => decodeChanged(frameAt(1, 0), add32(-1)), 'corrupt', /overlap|gap/);
    expectKind(() => decodeChanged(frameAt(1, 0), add32(1)), 'corrupt', /overlap|gap/);
    expectKind(() => decodeChanged(frameAt(0, 0), set32(64)), 'corrupt');
    expectKind(() => decodeChanged(frameAt(3, 0), set32(2 ** 32 - 1)), 'corrupt', /beyond its region/);
    expectKind(() => decodeChanged(frameAt(3, 4), add32(16)), 'corrupt');
    expectKind(() => decodePackTable(encodePackTable(table), pack, table.sizeBytes + 16), 'corrupt');
    expectKind(() => decodePackTable(encodePackTable(table), pack, table.sizeBytes - 16), 'corrupt');
  });

  it('whose chunk lengths do not add up to the raw length is refused (fault 46)', () => {
    expectKind(() => decodeChanged(chunkLengthAt(1), add32(1)), 'corrupt', /chunks of/);
    expectKind(() => decodeChanged(chunkLengthAt(1), set32(2 ** 32 - 1)), 'corrupt');
    expectKind(() => decodeChanged(frameAt(1, 8), add32(1)), 'corrupt');
  });

  it('with a chunk of length 0 is refused (fault 46)', () => {
    expectKind(() => decodeChanged(chunkLengthAt(3), set32(0)), 'corrupt', /length 0/);
  });

  it('with chunks in a padding frame, or none in another frame, is refused (fault 46)', () => {
    expectKind(() => decodeChanged(frameAt(3, 12), set8(1)), 'corrupt', /padding/);
    expectKind(() => decodeChanged(frameAt(0, 12), set8(0)), 'corrupt', /without chunks/);
    expectKind(() => decodeChanged(frameAt(3, 15), set8(0)), 'corrupt');
    expectKind(() => decodeChanged(frameAt(0, 15), set8(1)), 'corrupt');
  });

  it('whose counts do not fit together is refused (fault 38)', () => {
    for (const at of [4, 8]) for (const value of [0, 3, 5, 1_000_000, 2 ** 32 - 1]) {
      if (at === 4 && value === 4) continue;
      if (at === 8 && value === 5) continue;
      expectKind(() => decodeChanged(at, set32(value)), 'corrupt');
    }
    expectKind(() => decodeChanged(frameAt(1, 12), set8(2)), 'corrupt');
    expectKind(() => decodeChanged(frameAt(1, 12), set8(4)), 'corrupt');
    expectKind(() => decodeChanged(8, set32(6)), 'corrupt', /without a frame/);
    expectKind(() => decodeChanged(4, set32(65_537)), 'corrupt', /65537 frames/);
    expectKind(() => decodeChanged(8, set32(262_145)), 'corrupt', /262145 chunks/);
    for (const length of [0, 15, 40, 4095]) expectKind(() => decodePackTable(new Uint8Array(length), pack, table.sizeBytes), 'corrupt', /too short/);
  });

  it('with a group frame above 256 KiB is refused (fault 38)', () => {
    const half = 131_073;
    const frames = [{ stored: new Uint8Array(2 * half + 16), rawLength: 2 * half, codec: 0, chunks: concatBytes([chunkRecord(seeded('a', 32), half), chunkRecord(seeded('b', 32), half)]) }];
    expect(() => assemble(pack, frames)).toThrow(RangeError);
  });

  it('with a frame of no or too much raw length, or a compressed padding frame, is refused (faults 38, 46)', () => {
    expectKind(() => decodeChanged(frameAt(0, 8), set32(0)), 'corrupt', /raw length of 0/);
    expectKind(() => decodeChanged(frameAt(0, 8), set32(2 ** 24 + 1)), 'corrupt', /raw length of 16777217/);
    expectKind(() => decodeChanged(frameAt(3, 14), set8(1)), 'corrupt', /a padding frame that is compressed/);
  });

  it('in a pack of an impossible size is refused before it is opened (fault 38)', () => {
    checkTableSize(65_536, 4112);
    expectKind(() => checkTableSize(2 ** 28 + 1, 4112), 'corrupt', /256 MiB/);
    for (const tableBytes of [0, 16, 4111, 4113, 2 ** 24 + 17, 2 ** 25 + 16]) expectKind(() => checkTableSize(2 ** 28, tableBytes), 'corrupt', /length of its table/);
    expectKind(() => checkTableSize(64 + 2 * 4112 + 80, 4112), 'corrupt', /do not fit/);
  });

  it('whose raw or compressed lengths contradict the codec is refused (fault 47)', () => {
    expectKind(() => decodeChanged(frameAt(0, 14), set8(1)), 'corrupt', /smaller/);
    expectKind(() => decodeChanged(frameAt(1, 14), set8(0)), 'corrupt', /disagree/);
  });

  it('of an unknown version, codec or frame flag is unsupported (fault 52)', () => {
    expectKind(() => decodeChanged(0, set32(2)), 'unsupported', /version 2/);
    expectKind(() => decodeChanged(frameAt(0, 14), set8(2)), 'unsupported', /codec 2/);
    expectKind(() => decodeChanged(frameAt(0, 15), set8(2)), 'unsupported', /flags 2/);
  });

  it('with reserved bytes or padding that is not zero is refused', () => {
    expectKind(() => decodeChanged(12, set8(1)), 'corrupt', /reserved/);
    expectKind(() => decodeChanged(encodePackTable(table).length - 1, set8(1)), 'corrupt', /padding/);
    expectKind(() => decodeChanged(39, set8(1)), 'corrupt', /time/);
  });

  it('survives arbitrary changes and arbitrary bytes (fuzz)', () => {
    const run = (plaintext: Uint8Array): void => {
      decodeHostile(() => decodePackTable(plaintext, pack, table.sizeBytes));
    };
    const plaintext = encodePackTable(table);
    const used = 40 + 20 * table.frameCount + 36 * table.chunkCount;
    const changes = fc.array(fc.tuple(fc.nat(used - 1), fc.nat(255)), { maxLength: 4 });
    fc.assert(fc.property(changes, list => {
      const changed = plaintext.slice();
      for (const [at, value] of list) changed[at] = value;
      run(changed);
    }), { numRuns: 500 });
    fc.assert(fc.property(mutations(plaintext), run), { numRuns: 100 });
    fc.assert(fc.property(fc.uint8Array({ maxLength: 5000, minLength: 4000 }), run), { numRuns: 100 });
  });

  it('gives index records without checks', () => {
    const records = indexFrames(table);
    expect(records).toHaveLength(16 * table.frameCount);
    expect(toHex(records.subarray(16, 32))).toBe(toHex(table.frames.subarray(20, 36)));
    const { check: _, ...record } = tableFrameAt(table, 1);
    expect(frameRecordAt(records, 1)).toEqual(record);
    for (const index of [-1, table.frameCount]) expect(() => frameRecordAt(records, index)).toThrow(/No frame record/);
  });
});

describe('frame', () => {
  const cipher = cipherOf();
  const content = new Uint8Array(2000).fill(7);
  const compressed = kernel.createCompressor(3).compress(content, 2000)!.slice();
  const sealed = (payload: Uint8Array, rawLength = content.length, codec = 1): Uint8Array => cipher.seal({ number: 4, rawLength, codec, flags: 0 }, payload);
  const open = (stored: Uint8Array, rawLength = content.length, codec = 1): Uint8Array => openFrame(kernel, cipher, { number: 4, rawLength, codec, flags: 0 }, stored);

  it('opens only under its own number, lengths, codec and flags (fault 50)', () => {
    const stored = sealed(compressed);
    expect(equalBytes(open(stored), content)).toBe(true);
    const identity = { number: 4, rawLength: 2000, codec: 1, flags: 0 };
    for (const change of [{ number: 5 }, { number: 2 ** 32 - 1 }, { rawLength: 1999 }, { codec: 0 }, { flags: 1 }]) {
      expect(cipher.open({ ...identity, ...change }, stored)).toBeUndefined();
    }
  });

  it('of another pack, type, epoch or repository does not open (fault 50)', () => {
    const stored = sealed(compressed);
    const identity = { number: 4, rawLength: 2000, codec: 1, flags: 0 };
    for (const other of [{ id: parsePackId('00'.repeat(16)) }, { type: 'tree' as const }, { salt: seeded('other salt', 32) }]) {
      expect(cipherOf({ ...pack, ...other }).open(identity, stored)).toBeUndefined();
    }
    const { frameKey } = derivePackKeys(kernel, root, pack, repositoryId);
    const prefix = encodeFramePrefix({ ...pack, epoch: 3 }, repositoryId);
    expect(new FrameCipher(kernel.createAead(1, frameKey), prefix).open(identity, stored)).toBeUndefined();
  });

  it('with a content size that is missing, smaller or larger, two zstd frames, or trailing bytes is damaged (fault 47)', () => {
    const without = Uint8Array.from(Buffer.from('28b52ffd0058' + '0100000161', 'hex'));
    for (const payload of [without, concatBytes([compressed, compressed]), concatBytes([compressed, Uint8Array.of(0)]), compressed.subarray(0, compressed.length - 1), new Uint8Array(0)]) {
      expectKind(() => open(sealed(payload)), 'corrupt', /raw length/);
    }
    for (const rawLength of [1999, 2001]) expectKind(() => open(sealed(compressed, rawLength), rawLength), 'corrupt', /raw length/);
    expectKind(() => open(sealed(content, 1999, 0), 1999, 0), 'corrupt');
  });

  it('that declares more than 16 MiB is refused before decompression (fault 38)', () => {
    const bomb = kernel.createCompressor(3).compress(new Uint8Array(2 ** 25), 2 ** 20)!.slice();
    expect(decodePayload(kernel, { number: 0, rawLength: 2 ** 25, codec: 1, flags: 0 }, bomb)).toBeUndefined();
  });

  it('of an unknown codec is unsupported (fault 52)', () => {
    expectKind(() => open(sealed(compressed, 2000, 7), 2000, 7), 'unsupported');
  });

  it('shorter than a tag does not open', () => {
    expect(() => new FrameCipher(kernel.createAead(1, root), new Uint8Array(75))).toThrow(/76 bytes/);
    expectKind(() => open(new Uint8Array(15)), 'corrupt');
  });
});
