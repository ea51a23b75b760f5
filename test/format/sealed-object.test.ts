import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concatBytes, equalBytes, toHex, utf8 } from '../../src/base/bytes.ts';
import { OBJECT_TYPES, type ObjectType, saltOrNonceBytes, type Suite } from '../../src/format/header.ts';
import { idBytes, parseRepositoryId } from '../../src/format/ids.ts';
import { deriveXObjectKey } from '../../src/format/key-derivation.ts';
import { MAX_SMALL_OBJECT_BYTES } from '../../src/format/limits.ts';
import {
  adminKeyId, type OpenObjectOptions, openObject, padPayload, readRepositoryId, sealBytes, sealObject, type SealObjectOptions, signBody, splitSigned,
  unpadPayload, verifySigned,
} from '../../src/format/sealed-object.ts';
import { encodeHeader } from '../../src/format/header.ts';
import { createPortableKernel } from '../../src/kernel/portable.ts';
import { decodeHostile, expectKind, kernel, mutations, repositoryId, seeded, u32 } from './samples.ts';

const secret = seeded('meta root', 32);
const objectId = seeded('object', 16);
const otherRepository = parseRepositoryId('ff'.repeat(16));

function sealSample(change: Partial<SealObjectOptions> = {}): Uint8Array<ArrayBuffer> {
  const suite = change.suite ?? 3;
  return sealObject({
    kernel, type: OBJECT_TYPES.indexSegment, epoch: 2, objectId, suite, secret, repositoryId, payload: utf8('some payload'),
    random: seeded('random', saltOrNonceBytes(suite)), ...change,
  });
}

function open(bytes: Uint8Array, change: Partial<OpenObjectOptions> = {}): Uint8Array {
  return openObject({ kernel, bytes, repositoryId, types: [OBJECT_TYPES.indexSegment], objectId, secretOf: epoch => epoch === 2 ? secret : undefined, ...change }).payload;
}

describe('sealed object', () => {
  it.each([1, 2, 3] as const)('comes back under suite %i, compressed or not, with both kernels', suite => {
    const payload = utf8('repetition '.repeat(500));
    for (const compressor of [undefined, kernel.createCompressor(3)]) {
      const bytes = sealSample({ suite, payload, compressor });
      expect(bytes[7]).toBe(compressor === undefined ? 0 : 1);
      if (compressor !== undefined) expect(bytes.length).toBeLessThan(400);
      expect(equalBytes(open(bytes), payload)).toBe(true);
      expect(equalBytes(open(bytes, { kernel: createPortableKernel() }), payload)).toBe(true);
    }
  });

  it('stays uncompressed when compression does not help', () => {
    const bytes = sealSample({ payload: seeded('noise', 1000), compressor: kernel.createCompressor(3) });
    expect(bytes[7]).toBe(0);
    expect(open(bytes)).toEqual(seeded('noise', 1000));
  });

  it('has a Padmé size, so that near payload lengths look the same', () => {
    const sizes = [1000, 1010, 1016, 1020].map(length => sealSample({ payload: new Uint8Array(length) }).length);
    expect(sizes).toEqual([1024 + 80, 1024 + 80, 1024 + 80, 1024 + 80]);
  });

  it('shows any change of any byte', () => {
    for (const suite of [1, 2, 3] as const) {
      const bytes = sealSample({ suite });
      for (let at = 0; at < bytes.length; at++) {
        const changed = bytes.slice();
        changed[at]! ^= 1;
        expect(decodeHostile(() => open(changed)), `byte ${at}`).toBeUndefined();
      }
    }
  });

  it('shows truncation and extension', () => {
    const bytes = sealSample();
    for (let length = 0; length < bytes.length; length++) expectKind(() => open(bytes.subarray(0, length)), 'corrupt', /too few|header says/);
    expectKind(() => open(concatBytes([bytes, new Uint8Array(1)])), 'corrupt', /header says/);
  });

  it('survives arbitrary changes (fuzz)', () => {
    fc.assert(fc.property(mutations(sealSample()), bytes => {
      const payload = decodeHostile(() => open(bytes));
      if (payload !== undefined) expect(toHex(payload)).toBe(toHex(utf8('some payload')));
    }), { numRuns: 400 });
  });

  it('of another repository does not open (fault 40)', () => {
    for (const suite of [1, 3] as const) expectKind(() => open(sealSample({ suite }), { repositoryId: otherRepository }), 'corrupt', /seal/);
  });

  it('under another name, or in the place of another type, is refused as swapped (fault 20)', () => {
    expectKind(() => open(sealSample(), { objectId: seeded('other', 16) }), 'corrupt', /another name/);
    expectKind(() => open(sealSample(), { types: [OBJECT_TYPES.snapshot] }), 'corrupt', /does not belong/);
  });

  it('of an epoch that the keyring lacks is unsupported, not damaged (fault 52)', () => {
    expectKind(() => open(sealSample({ epoch: 3 })), 'unsupported', /epoch 3/);
  });

  it('larger than its type allows is refused before decompression (fault 38)', () => {
    const type = OBJECT_TYPES.session;
    const seal = (payload: Uint8Array, isCompressed: boolean): Uint8Array => {
      const random = seeded('nonce', 24);
      const plaintext = padPayload(payload);
      const header = encodeHeader({ type, suite: 3, isCompressed, epoch: 2, objectId, random, sealedBytes: plaintext.length + 16 });
      const key = deriveXObjectKey(kernel, secret, type, repositoryId);
      return concatBytes([header, sealBytes(kernel, 3, key, random, concatBytes([header, idBytes(repositoryId)]), plaintext)]);
    };
    const bomb = kernel.createCompressor(3).compress(new Uint8Array(64 * 1024 * 1024), 1 << 20)!.slice();
    const types = [type];
    expectKind(() => open(seal(concatBytes([u32(64 * 1024 * 1024), bomb]), true), { types }), 'corrupt', /at most 65536/);
    expectKind(() => open(seal(concatBytes([u32(1000), bomb]), true), { types }), 'corrupt', /decompressed/);
    expectKind(() => open(seal(new Uint8Array(3), true), { types }), 'corrupt');
    expectKind(() => open(seal(new Uint8Array(MAX_SMALL_OBJECT_BYTES + 1), false), { types }), 'corrupt', /at most 65536/);
    expectKind(() => open(seal(new Uint8Array(MAX_SMALL_OBJECT_BYTES + 9000), false), { types }), 'corrupt', /sealed bytes/);
    expect(() => sealSample({ type, payload: new Uint8Array(MAX_SMALL_OBJECT_BYTES + 1) })).toThrow(RangeError);
  });

  it('accepts one padding only', () => {
    const padded = padPayload(new Uint8Array(13));
    expect(padded).toHaveLength(18);
    expect(unpadPayload('sample', padded)).toHaveLength(13);
    const dirty = padded.slice();
    dirty[17] = 1;
    expectKind(() => unpadPayload('sample', dirty), 'corrupt');
    expectKind(() => unpadPayload('sample', concatBytes([padded, new Uint8Array(2)])), 'corrupt');
    expectKind(() => unpadPayload('sample', concatBytes([u32(2 ** 32 - 1), new Uint8Array(14)])), 'corrupt', /length of the payload/);
    expectKind(() => unpadPayload('sample', new Uint8Array(3)), 'corrupt', /length of the payload/);
  });

  it('tells the repository ID of a config before any key is known', () => {
    const config = sealSample({ type: OBJECT_TYPES.config, epoch: 0, objectId: idBytes(repositoryId) });
    expect(readRepositoryId(config)).toBe(repositoryId);
    expectKind(() => readRepositoryId(sealSample()), 'corrupt');
  });

  it('uses a key of its own for every type', () => {
    const types: ObjectType[] = [OBJECT_TYPES.session, OBJECT_TYPES.heartbeat, OBJECT_TYPES.snapshot];
    expect(new Set(types.map(type => toHex(deriveXObjectKey(kernel, secret, type, repositoryId)))).size).toBe(3);
  });

  it('refuses suites 1 and 2 for everything but index segments, key slots, and nonces of a wrong length', () => {
    expect(() => sealSample({ type: OBJECT_TYPES.keySlot, epoch: 0 })).toThrow(/envelope/);
    expect(() => sealBytes(kernel, 3, secret, new Uint8Array(12), objectId, objectId)).toThrow(/24 bytes/);
    for (const suite of [1, 2] as Suite[]) expect(() => sealSample({ type: OBJECT_TYPES.session, suite })).toThrow(RangeError);
  });
});

describe('signed body', () => {
  const seed = seeded('admin', 32);
  const publicKey = kernel.ed25519PublicKey(seed);
  const stranger = kernel.ed25519PublicKey(seeded('stranger', 32));
  const identity = { type: OBJECT_TYPES.plan, repositoryId, objectId };
  const body = utf8('body');
  const payload = signBody(kernel, seed, identity, body);

  it('is trusted under the key that signed it', () => {
    const verified = verifySigned(kernel, [stranger, publicKey], identity, payload);
    expect(verified.isTrusted).toBe(true);
    expect(verified.body).toEqual(body);
    expect(verified.keyId).toEqual(adminKeyId(kernel, publicKey));
    expect(splitSigned(payload, identity.type).body).toEqual(body);
  });

  it('is not trusted without the key, or for another type, object or repository (fault 41)', () => {
    const isTrusted = (keys: Uint8Array[], change: Partial<typeof identity>): boolean =>
      verifySigned(kernel, keys, { ...identity, ...change }, payload).isTrusted;
    expect(isTrusted([stranger], {})).toBe(false);
    expect(isTrusted([], {})).toBe(false);
    expect(isTrusted([publicKey], { objectId: seeded('other', 16) })).toBe(false);
    expect(isTrusted([publicKey], { repositoryId: otherRepository })).toBe(false);
    expect(verifySigned(kernel, [publicKey], { ...identity, type: OBJECT_TYPES.sweep }, payload).isTrusted).toBe(false);
    expect(verifySigned(kernel, [publicKey], { ...identity, copyId: seeded('copy', 16) }, payload).isTrusted).toBe(false);
    const forCopy = signBody(kernel, seed, { ...identity, copyId: seeded('copy', 16) }, body);
    expect([seeded('copy', 16), seeded('other copy', 16), undefined].map(copyId => verifySigned(kernel, [publicKey], { ...identity, copyId }, forCopy).isTrusted)).toEqual([true, false, false]);
  });

  it('with any changed byte is refused or not trusted', () => {
    for (let at = 0; at < payload.length; at++) {
      const changed = payload.slice();
      changed[at]! ^= 1;
      expect(decodeHostile(() => verifySigned(kernel, [publicKey], identity, changed))?.isTrusted ?? false, `byte ${at}`).toBe(false);
    }
  });
});
