import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toHex, utf8 } from '../../src/base/bytes.ts';
import { decodeHeader, encodeHeader, type Header, OBJECT_TYPES } from '../../src/format/header.ts';
import { chunkIdFromBytes, chunkIdFromKey, chunkIdKey, idBytes, isIdText, packIdFromBytes, parsePackId, parseSessionId } from '../../src/format/ids.ts';
import {
  configName, forgottenName, gcDoneName, gcPlanName, gcSweepName, heartbeatName, keyringName, numberedObjectId, objectIdOf, type ObjectRef, objectTypesOf,
  ledgerName, packName, parityName, parseObjectName, probeName, quarantineName, rejectedName, replicaRecordName, revokedName, segmentName, sessionName, slotName, snapshotName,
} from '../../src/format/object-names.ts';
import { parseLedgerId, parseReplicaRecordId, parseSegmentId, parseSlotId } from '../../src/format/ids.ts';
import { padmeSize } from '../../src/format/padding.ts';
import { chunkIds, expectKind, packIds, seeded } from './samples.ts';

const HEX = '0123456789abcdef0123456789abcdef';

describe('IDs', () => {
  it('are 32 lowercase hexadecimal digits or 16 bytes', () => {
    expect(idBytes(parsePackId(HEX))).toHaveLength(16);
    for (const text of ['', HEX.toUpperCase(), HEX.slice(1), `${HEX}0`, `${HEX.slice(0, 31)}g`]) {
      expect(isIdText(text)).toBe(false);
      expect(() => parsePackId(text)).toThrow(RangeError);
    }
    expect(() => packIdFromBytes(new Uint8Array(15))).toThrow(RangeError);
    expect(() => chunkIdFromBytes(new Uint8Array(31))).toThrow(RangeError);
  });

  it('come back from bytes, and chunk IDs from map keys', () => {
    fc.assert(fc.property(packIds, chunkIds, (pack, chunk) => {
      expect(packIdFromBytes(idBytes(pack))).toBe(pack);
      expect(toHex(chunkIdFromKey(chunkIdKey(chunk)))).toBe(toHex(chunk));
    }));
  });
});

function formatRef(ref: ObjectRef): string {
  switch (ref.kind) {
    case 'config': return configName;
    case 'slot': return slotName(ref.id);
    case 'keyring': return keyringName(ref.number, ref.suffix);
    case 'pack': return packName(ref.type, ref.id);
    case 'segment': return segmentName(ref.id);
    case 'session': return sessionName(ref.id);
    case 'heartbeat': return heartbeatName(ref.id, ref.count);
    case 'snapshot': return snapshotName(ref.id);
    case 'forgotten': return forgottenName(ref.id);
    case 'revoked': return revokedName(ref.id);
    case 'rejected': return rejectedName(ref.id);
    case 'gc-plan': return gcPlanName(ref.number, ref.suffix);
    case 'gc-sweep': return gcSweepName(ref.number, ref.suffix);
    case 'gc-done': return gcDoneName(ref.number, ref.suffix);
    case 'parity': return parityName(ref.id);
    case 'ledger': return ledgerName(ref.id);
    case 'replica': return replicaRecordName(ref.id);
    case 'quarantine': return quarantineName(ref.id);
    case 'probe': return probeName(ref.random);
  }
}

describe('object names', () => {
  it.each([
    [configName, { kind: 'config' }],
    [slotName(parseSlotId(HEX)), { kind: 'slot', id: HEX }],
    [keyringName(7), { kind: 'keyring', number: 7, suffix: '' }],
    [keyringName(7, 'aabbccddeeff0011'), { kind: 'keyring', number: 7, suffix: 'aabbccddeeff0011' }],
    [packName('data', parsePackId(HEX)), { kind: 'pack', type: 'data', id: HEX }],
    [packName('tree', parsePackId(HEX)), { kind: 'pack', type: 'tree', id: HEX }],
    [segmentName(parseSegmentId(HEX)), { kind: 'segment', id: HEX }],
    [sessionName(parseSessionId(HEX)), { kind: 'session', id: HEX }],
    [heartbeatName(parseSessionId(HEX), 12), { kind: 'heartbeat', id: HEX, count: 12 }],
    [snapshotName(parseSessionId(HEX)), { kind: 'snapshot', id: HEX }],
    [forgottenName(parseSessionId(HEX)), { kind: 'forgotten', id: HEX }],
    [revokedName(parseSessionId(HEX)), { kind: 'revoked', id: HEX }],
    [rejectedName(parseSessionId(HEX)), { kind: 'rejected', id: HEX }],
    [gcPlanName(3), { kind: 'gc-plan', number: 3, suffix: '' }],
    [gcSweepName(9_999_999_999), { kind: 'gc-sweep', number: 9_999_999_999, suffix: '' }],
    [gcDoneName(3, '0011223344556677'), { kind: 'gc-done', number: 3, suffix: '0011223344556677' }],
    [parityName(parsePackId(HEX)), { kind: 'parity', id: HEX }],
    [quarantineName(parsePackId(HEX)), { kind: 'quarantine', id: HEX }],
    [ledgerName(parseLedgerId(HEX)), { kind: 'ledger', id: HEX }],
    [replicaRecordName(parseReplicaRecordId(HEX)), { kind: 'replica', id: HEX }],
    [probeName(HEX), { kind: 'probe', random: HEX }],
  ])('parses %s back', (name, ref) => {
    expect(parseObjectName(name)).toEqual(ref);
  });

  it('have the layout of section 3', () => {
    expect(packName('data', parsePackId(HEX))).toBe(`packs/d/01/${HEX}`);
    expect(gcSweepName(42)).toBe('gc/0000000042.sweep');
    expect(keyringName(1)).toBe('keyring/0000000001');
    expect(heartbeatName(parseSessionId(HEX), 0)).toBe(`sessions/${HEX}.hb0`);
  });

  it.each([
    '', 'Config', 'config.tmp', '.DS_Store', 'packs/', `packs/d/02/${HEX}`, `packs/x/01/${HEX}`, `packs/d/01/${HEX}.tmp`, `index/${HEX.toUpperCase()}`,
    `sessions/${HEX}.hb01`, `sessions/${HEX}.hb`, 'gc/42', 'gc/0000000000', 'gc/0000000001.swept', 'keyring/0000000001.sweep', `gc/0000000001-${HEX}`,
    `tmp/${HEX}`, `snapshots/${HEX}\n`, `keys/../snapshots/${HEX}`,
  ])('treats "%s" as a stray file (fault 17)', name => {
    expect(parseObjectName(name)).toBeUndefined();
  });

  it('that parse are exactly the names that their meaning formats to', () => {
    const valid = [
      'config', `keys/${HEX}`, 'keyring/0000000007-aabbccddeeff0011', `packs/d/01/${HEX}`, `packs/t/01/${HEX}`, `index/${HEX}`,
      `sessions/${HEX}.hb12`, `snapshots/${HEX}`, 'gc/0000000042', 'gc/0000000042.sweep', 'gc/0000000042.done', `probe/${HEX}`,
    ];
    const characters = fc.constantFrom(...'0123456789abcdefgAF/.-dths_ \n');
    fc.assert(fc.property(fc.constantFrom(...valid), fc.nat(60), fc.nat(2), fc.string({ unit: characters, maxLength: 2 }), (name, at, removed, added) => {
      const changed = name.slice(0, at) + added + name.slice(at + removed);
      const ref = parseObjectName(changed);
      if (ref !== undefined) expect(formatRef(ref)).toBe(changed);
    }), { numRuns: 1000 });
  });

  it('give the object ID that the header must carry', () => {
    expect(toHex(numberedObjectId(258))).toBe('02010000000000000000000000000000');
    expect(toHex(numberedObjectId(1, 'aabbccddeeff0011'))).toBe('0100000000000000aabbccddeeff0011');
    expect(toHex(objectIdOf(parseObjectName(`sessions/${HEX}.hb4`)!)!)).toBe(HEX);
    expect(objectIdOf({ kind: 'config' })).toBeUndefined();
    expect(objectTypesOf(parseObjectName(`snapshots/${HEX}`)!)).toEqual([OBJECT_TYPES.snapshot, OBJECT_TYPES.tombstone]);
    expect(() => gcPlanName(0)).toThrow(RangeError);
    expect(() => gcPlanName(1, 'zz')).toThrow(RangeError);
    expect(() => heartbeatName(parseSessionId(HEX), -1)).toThrow(RangeError);
  });
});

describe('header', () => {
  const packHeader: Header = {
    type: OBJECT_TYPES.dataPack, suite: 1, isCompressed: false, epoch: 3, objectId: seeded('id', 16), random: seeded('salt', 32), sealedBytes: 4112,
  };
  const objectHeader: Header = {
    type: OBJECT_TYPES.snapshot, suite: 3, isCompressed: true, epoch: 1, objectId: seeded('id', 16), random: seeded('nonce', 24), sealedBytes: 99,
  };

  it('comes back from its 64 bytes', () => {
    for (const header of [packHeader, objectHeader]) {
      const bytes = encodeHeader(header);
      expect(bytes).toHaveLength(64);
      expect(decodeHeader(bytes)).toEqual(header);
    }
  });

  it('has its fields at the offsets of section 4.2', () => {
    expect(toHex(encodeHeader(packHeader))).toBe(`736e706b01010100${'03000000'}${toHex(packHeader.objectId)}${toHex(packHeader.random)}10100000`);
    expect(toHex(encodeHeader(objectHeader))).toBe(`736e6f6201031401${'01000000'}${toHex(objectHeader.objectId)}${toHex(objectHeader.random)}${'00'.repeat(8)}63000000`);
  });

  const changed = (header: Header, at: number, value: number): Uint8Array => {
    const bytes = encodeHeader(header);
    bytes[at] = value;
    return bytes;
  };

  it('of an unknown version, suite, type or flag is unsupported, not damaged (fault 52)', () => {
    expectKind(() => decodeHeader(changed(objectHeader, 4, 2)), 'unsupported', /version 2/);
    expectKind(() => decodeHeader(changed(objectHeader, 5, 4)), 'unsupported', /suite 4/);
    expectKind(() => decodeHeader(changed(objectHeader, 6, 99)), 'unsupported', /type 99/);
    expectKind(() => decodeHeader(changed(objectHeader, 7, 2)), 'unsupported', /flags 2/);
  });

  it('with a wrong magic, a wrong epoch for its type, or reserved bytes is damaged', () => {
    expectKind(() => decodeHeader(changed(objectHeader, 0, 0x53)), 'corrupt');
    expectKind(() => decodeHeader(changed(objectHeader, 3, 0x6b)), 'corrupt');
    const packMagic = encodeHeader(objectHeader);
    packMagic.set(utf8('snpk'));
    expectKind(() => decodeHeader(packMagic), 'corrupt', /magic bytes and type/);
    const suite3 = encodeHeader({ ...packHeader, random: new Uint8Array(32) });
    suite3[5] = 3;
    expectKind(() => decodeHeader(suite3), 'corrupt', /suite 3/);
    expectKind(() => decodeHeader(changed(objectHeader, 59, 1)), 'corrupt');
    expectKind(() => decodeHeader(changed(objectHeader, 8, 0)), 'corrupt');
    expectKind(() => decodeHeader(changed(objectHeader, 5, 1)), 'corrupt');
    expectKind(() => decodeHeader(changed(packHeader, 7, 1)), 'corrupt');
    expectKind(() => decodeHeader(encodeHeader(packHeader).subarray(0, 63)), 'corrupt');
  });

  it.each<[string, Partial<Header>]>([
    ['an ID of another length', { objectId: new Uint8Array(15) }], ['a salt of another length', { random: new Uint8Array(24) }],
    ['a fraction as epoch', { epoch: 1.5 }], ['an epoch above 32 bits', { epoch: 2 ** 32 }], ['a length above 32 bits', { sealedBytes: 2 ** 32 }],
    ['suite 3 in a pack', { suite: 3, random: new Uint8Array(24) }], ['epoch 0 in a pack', { epoch: 0 }],
  ])('with %s is not encoded', (_, change) => {
    expect(() => encodeHeader({ ...packHeader, ...change })).toThrow(RangeError);
  });
});

describe('Padmé', () => {
  it.each([[0, 0], [1, 1], [9, 10], [10, 10], [100, 104], [4096, 4096], [4097, 4352], [65_536, 65_536], [1_000_000, 1_015_808], [33_554_433, 34_603_008], [2 ** 40 + 1, 2 ** 40 + 2 ** 34]])(
    'rounds %i up to %i', (length, size) => expect(padmeSize(length)).toBe(size));

  it('is idempotent, monotonic, and adds at most 12 %', () => {
    fc.assert(fc.property(fc.nat(2 ** 31 - 1), fc.nat(100), (length, more) => {
      const size = padmeSize(length);
      expect(size).toBeGreaterThanOrEqual(length);
      expect(padmeSize(size)).toBe(size);
      expect(padmeSize(length + more)).toBeGreaterThanOrEqual(size);
      expect(size - length).toBeLessThanOrEqual(Math.max(1, 0.12 * length));
    }));
  });
});
