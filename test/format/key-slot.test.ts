import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concatBytes } from '../../src/base/bytes.ts';
import { parseRepositoryId, parseSlotId } from '../../src/format/ids.ts';
import {
  decodeSlotParameters, decodeSlotSecrets, DEFAULT_SCRYPT, deriveKek, encodeSlotParameters, encodeSlotSecrets, isKekOf, type Kdf, openKeySlot, parseKeySlot,
  scryptFault, sealKeySlot, type SlotSecrets,
} from '../../src/format/key-slot.ts';
import { CborWriter } from '../../src/format/cbor-writer.ts';
import { bytesOf, counts, decodeHostile, expectKind, kernel, mutations, repositoryId, seeded, texts } from './samples.ts';

const slotId = parseSlotId('ab'.repeat(16));
const kek = seeded('kek', 32);
const secrets: SlotSecrets = { keyringKey: seeded('keyring key', 32), adminKey: seeded('admin key', 32), label: 'laptop', createdAt: 1_700_000_000_000 };

function seal(kdf: Kdf = { name: 'keyfile' }): Uint8Array<ArrayBuffer> {
  return sealKeySlot({ kernel, repositoryId, slotId, kek, kdf, salt: seeded('salt', 16), secrets, nonce: seeded('nonce', 24) });
}

/** The clear part with values that no encoder would write. */
function rawParameters(name: string, values: readonly number[]): Uint8Array {
  const writer = new CborWriter();
  writer.map(4);
  writer.uint(1);
  writer.text(name);
  writer.uint(2);
  writer.array(values.length);
  values.forEach(value => writer.uint(value));
  writer.uint(3);
  writer.bytes(new Uint8Array(16));
  writer.uint(4);
  writer.bytes(new Uint8Array(16));
  return writer.finish();
}

describe('key slot', () => {
  it('gives its secrets back', () => {
    const slot = parseKeySlot(seal({ name: 'scrypt', ...DEFAULT_SCRYPT }), slotId);
    expect(slot.parameters.kdf).toEqual({ name: 'scrypt', N: 2 ** 17, r: 8, p: 1 });
    expect(isKekOf(kernel, kek, slot.parameters)).toBe(true);
    expect(openKeySlot(kernel, repositoryId, kek, slot)).toEqual(secrets);
  });

  it('tells a wrong password from damage (fault 43)', () => {
    const bytes = seal();
    const slot = parseKeySlot(bytes, slotId);
    expect(isKekOf(kernel, seeded('wrong', 32), slot.parameters)).toBe(false);
    bytes[bytes.length - 1]! ^= 1;
    const damaged = parseKeySlot(bytes, slotId);
    expect(isKekOf(kernel, kek, damaged.parameters)).toBe(true);
    expectKind(() => openKeySlot(kernel, repositoryId, kek, damaged), 'corrupt', /seal/);
  });

  it('of another repository does not open (fault 40)', () => {
    expectKind(() => openKeySlot(kernel, parseRepositoryId('ff'.repeat(16)), kek, parseKeySlot(seal(), slotId)), 'corrupt');
  });

  it('under another name is refused (fault 40)', () => {
    expectKind(() => parseKeySlot(seal(), parseSlotId('cd'.repeat(16))), 'corrupt', /another name/);
  });

  it('of another type, with a compressed payload, or with lengths that disagree, is refused', () => {
    const changed = (at: number, value: number): Uint8Array => {
      const bytes = seal();
      bytes[at] = value;
      return bytes;
    };
    expectKind(() => parseKeySlot(changed(6, 16), slotId), 'corrupt', /it is a config/);
    expectKind(() => parseKeySlot(changed(7, 1), slotId), 'unsupported', /compressed/);
    for (const at of [64, 65, 66, 67]) expectKind(() => parseKeySlot(changed(at, 0x7f), slotId), 'corrupt', /lengths disagree/);
    for (const bytes of [seal().subarray(0, 66), concatBytes([seal(), new Uint8Array(1)])]) expectKind(() => parseKeySlot(bytes, slotId), 'corrupt', /lengths disagree/);
  });

  it.each([
    ['64 GiB of memory', [2 ** 20, 64, 1]], ['N above 2^20', [2 ** 21, 8, 1]], ['N of 2^53', [Number.MAX_SAFE_INTEGER, 8, 1]],
    ['r of 2^40', [2 ** 17, 2 ** 40, 1]], ['more than 1 GiB', [2 ** 20, 16, 1]], ['p of a million', [2 ** 17, 8, 1_000_000]],
    ['a trivial cost', [2, 1, 1]], ['half of the floor', [2 ** 15, 8, 1]], ['N of 0', [0, 8, 1]], ['r of 0', [2 ** 17, 0, 1]], ['N that is no power of two', [100_000, 8, 1]],
    ['too few parameters', [2 ** 17, 8]], ['too many parameters', [2 ** 17, 8, 1, 1]],
  ])('refuses scrypt with %s before anything is derived (fault 39)', (_, values) => {
    expectKind(() => decodeSlotParameters(rawParameters('scrypt', values)), 'corrupt');
  });

  it('accepts the default, the floor and the ceiling of scrypt', () => {
    expect(scryptFault(DEFAULT_SCRYPT)).toBeUndefined();
    expect(scryptFault({ N: 2 ** 16, r: 8, p: 1 })).toBeUndefined();
    expect(scryptFault({ N: 2 ** 20, r: 8, p: 1 })).toBeUndefined();
    expect(decodeSlotParameters(rawParameters('scrypt', [2 ** 16, 8, 1])).kdf).toEqual({ name: 'scrypt', N: 2 ** 16, r: 8, p: 1 });
  });

  it('with an unknown derivation is unsupported', () => {
    expectKind(() => decodeSlotParameters(rawParameters('argon2id', [1, 2, 3])), 'unsupported');
    expectKind(() => decodeSlotParameters(rawParameters('keyfile', [1])), 'corrupt');
  });

  it('derives by its rule: scrypt of the password, or the key file itself', async () => {
    const salt = seeded('salt', 16);
    expect(await deriveKek(kernel, { kdf: { name: 'keyfile' }, salt }, kek)).toEqual(kek);
    await expect(deriveKek(kernel, { kdf: { name: 'keyfile' }, salt }, kek.subarray(1))).rejects.toThrow(RangeError);
    const kdf: Kdf = { name: 'scrypt', N: 2 ** 10, r: 8, p: 1 };
    expect(await deriveKek(kernel, { kdf, salt }, seeded('password', 9))).toEqual(await kernel.scrypt(seeded('password', 9), salt, kdf, 32));
  });

  it('shows any change of any byte', () => {
    const bytes = seal();
    for (let at = 0; at < bytes.length; at++) {
      const changed = bytes.slice();
      changed[at]! ^= 1;
      const opened = decodeHostile(() => {
        const slot = parseKeySlot(changed, slotId);
        return isKekOf(kernel, kek, slot.parameters) ? openKeySlot(kernel, repositoryId, kek, slot) : undefined;
      });
      expect(opened, `byte ${at}`).toBeUndefined();
    }
  });

  it('survives arbitrary changes and arbitrary bytes (fuzz)', () => {
    const run = (bytes: Uint8Array): void => {
      decodeHostile(() => parseKeySlot(bytes, slotId));
      decodeHostile(() => decodeSlotParameters(bytes));
      decodeHostile(() => decodeSlotSecrets(bytes));
    };
    fc.assert(fc.property(mutations(seal()), run), { numRuns: 300 });
    fc.assert(fc.property(mutations(rawParameters('scrypt', [2 ** 17, 8, 1])), run), { numRuns: 300 });
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), run), { numRuns: 300 });
  });

  it('keeps every legal value of both parts', () => {
    fc.assert(fc.property(bytesOf(32), fc.option(bytesOf(32), { nil: undefined }), texts, counts, (keyringKey, adminKey, label, createdAt) => {
      expect(decodeSlotSecrets(encodeSlotSecrets({ keyringKey, adminKey, label, createdAt }))).toEqual({ keyringKey, adminKey, label, createdAt });
    }));
    fc.assert(fc.property(bytesOf(16), bytesOf(16), (salt, keyCheck) => {
      const parameters = { kdf: { name: 'scrypt' as const, ...DEFAULT_SCRYPT }, salt, keyCheck };
      expect(decodeSlotParameters(encodeSlotParameters(parameters))).toEqual(parameters);
    }));
  });
});
