/**
 * Frozen outputs of version 1 for fixed inputs. A change here is a change of the format: existing repositories would no
 * longer open. The expected values are never regenerated.
 */
import { createDecipheriv, hkdfSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { concatBytes, toHex, utf8 } from '../../src/base/bytes.ts';
import { deriveGearTable } from '../../src/format/chunking.ts';
import { encodeConfig } from '../../src/format/config.ts';
import { encodeFramePrefix, FrameCipher } from '../../src/format/frame.ts';
import { OBJECT_TYPES } from '../../src/format/header.ts';
import { parsePackId, parseSessionId, parseSlotId, type ChunkId } from '../../src/format/ids.ts';
import { encodeIndexSegment, packContent } from '../../src/format/index-segment.ts';
import {
  deriveAdminSeedKey, deriveConfigKey, deriveContentKeys, deriveEpochRoots, deriveKeyringKey, deriveObjectKey, derivePackKeys, deriveSlotKey,
  deriveXObjectKey, keyCheckValue, type PackIdentity,
} from '../../src/format/key-derivation.ts';
import { sealKeySlot } from '../../src/format/key-slot.ts';
import { assemblePack } from '../../src/format/pack.ts';
import { assembleParity, encodeParityHead } from '../../src/format/parity.ts';
import { sealObject, signBody } from '../../src/format/sealed-object.ts';
import { encodeContentInterior, encodeContentLeaf, encodeInterior, encodeLeaf, hardLinkGroup, nameHash } from '../../src/format/tree-node.ts';
import { createFastKernel } from '../../src/kernel/fast.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { createPortableKernel } from '../../src/kernel/portable.ts';
import { chunkRecord, fileEntry, repositoryId } from './samples.ts';

/** 0, 1, 2, ... from a start, so that another implementation can repeat the vectors. */
const ramp = (start: number, length: number): Uint8Array<ArrayBuffer> => Uint8Array.from({ length }, (_, i) => start + i);
const secret = ramp(0, 32);
const pack: PackIdentity = { type: 'data', suite: 1, epoch: 7, id: parsePackId(toHex(ramp(0x40, 16))), salt: ramp(0x80, 32) };
const chunkId = ramp(0xa0, 32) as Uint8Array as ChunkId;

function assembled(kernel: Kernel, identity: PackIdentity): ReturnType<typeof assemblePack> {
  const { frameKey } = derivePackKeys(kernel, secret, identity, repositoryId);
  const cipher = new FrameCipher(kernel.createAead(identity.suite, frameKey), encodeFramePrefix(identity, repositoryId));
  const contents = [ramp(0, 200), ramp(5, 100)];
  const frames = contents.map((content, number) => ({
    stored: cipher.seal({ number, rawLength: content.length, codec: 0, flags: 0 }, content), rawLength: content.length, codec: 0,
    chunks: number === 0 ? chunkRecord(kernel.blake3(content), 200) : concatBytes([chunkRecord(ramp(1, 32), 60), chunkRecord(ramp(2, 32), 40)]),
  }));
  return assemblePack({ kernel, pack: identity, repositoryId, root: secret, sessionId: parseSessionId('01'.repeat(16)), createdAt: 1_700_000_000_123, frames, layout: [1, 0] });
}

const answers: Record<string, (kernel: Kernel) => string> = {
  'slot key': kernel => toHex(deriveSlotKey(kernel, secret, repositoryId, parseSlotId('22'.repeat(16)))),
  'config key': kernel => toHex(deriveConfigKey(kernel, secret, repositoryId)),
  'keyring key': kernel => toHex(deriveKeyringKey(kernel, secret, repositoryId)),
  'admin seed key': kernel => toHex(deriveAdminSeedKey(kernel, secret, repositoryId)),
  'content keys': kernel => toHex(kernel.blake3(concatBytes(Object.values(deriveContentKeys(kernel, secret))))),
  'data ID key': kernel => toHex(deriveContentKeys(kernel, secret).idKeyData),
  'epoch roots': kernel => toHex(kernel.blake3(concatBytes(Object.values(deriveEpochRoots(kernel, secret))))),
  'frame key': kernel => toHex(derivePackKeys(kernel, secret, pack, repositoryId).frameKey),
  'table key': kernel => toHex(derivePackKeys(kernel, secret, pack, repositoryId).tableKey),
  'object key': kernel => toHex(deriveObjectKey(kernel, secret, ramp(0x80, 32), OBJECT_TYPES.indexSegment, repositoryId, ramp(0x40, 16))),
  'xobject key': kernel => toHex(deriveXObjectKey(kernel, secret, OBJECT_TYPES.snapshot, repositoryId)),
  'key-check value': kernel => toHex(keyCheckValue(kernel, secret)),
  'gear table': kernel => toHex(kernel.blake3(new Uint8Array(deriveGearTable(kernel, secret).buffer))),
  'name hash': kernel => toHex(nameHash(kernel.createHasher(secret), utf8('file.txt'))),
  'hard-link group': kernel => toHex(hardLinkGroup(kernel.createHasher(secret), ramp(0, 8), ramp(8, 8))),
  'sealed session': kernel => toHex(kernel.blake3(sealObject({
    kernel, type: OBJECT_TYPES.session, epoch: 1, objectId: ramp(0x40, 16), suite: 3, secret, repositoryId, payload: utf8('payload'), random: ramp(0x80, 24),
  }))),
  'sealed segment, suite 2': kernel => toHex(kernel.blake3(sealObject({
    kernel, type: OBJECT_TYPES.indexSegment, epoch: 1, objectId: ramp(0x40, 16), suite: 2, secret, repositoryId, payload: utf8('payload'), random: ramp(0x80, 32),
  }))),
  'signed body': kernel => toHex(kernel.blake3(signBody(kernel, secret, { type: OBJECT_TYPES.plan, repositoryId, objectId: ramp(0x40, 16) }, utf8('body')))),
  'key slot': kernel => toHex(kernel.blake3(sealKeySlot({
    kernel, repositoryId, slotId: parseSlotId('22'.repeat(16)), kek: secret, kdf: { name: 'scrypt', N: 2 ** 17, r: 8, p: 1 }, salt: ramp(0, 16),
    secrets: { keyringKey: ramp(1, 32), adminKey: ramp(2, 32), label: 'slot', createdAt: 1_700_000_000_000 }, nonce: ramp(0x80, 24),
  }))),
  'config body': () => toHex(encodeConfig({
    repositoryId, createdSeconds: 1_700_000_000, chunkIdAlgorithm: 1, defaultSuite: 1, chunker: { algorithm: 'gear', minBytes: 131_072, averageBytes: 524_288, maxBytes: 2_097_152 }, paddingRule: 1, adminKeyId: ramp(0, 8),
    storeMode: 'create-only', stalenessMs: 0,
  })),
  'directory leaf': () => toHex(encodeLeaf([
    fileEntry('a', { uid: 1000, gid: 100, userName: 'u', groupName: 'g', mtime: [-1, 5], ctime: [2 ** 33, 0], sizeBytes: 12, content: [{ id: chunkId, lengthBytes: 10 }, { id: undefined, lengthBytes: 2 }], inode: 5, flags: 2 }),
    { name: utf8('b'), type: 'symlink', mode: 0o777, mtime: [0, 0], flags: 0, linkTarget: utf8('a') },
  ])),
  'interior node': () => toHex(encodeInterior([{ lastName: utf8('b'), id: chunkId }])),
  'content leaf': () => toHex(encodeContentLeaf([{ id: chunkId, lengthBytes: 300 }, { id: undefined, lengthBytes: 70_000 }])),
  'content interior': () => toHex(encodeContentInterior([{ sizeBytes: 70_300, id: chunkId }])),
  'pack, suite 1': kernel => toHex(kernel.blake3(concatBytes(assembled(kernel, pack).parts))),
  'tree pack, suite 2': kernel => toHex(kernel.blake3(concatBytes(assembled(kernel, { ...pack, type: 'tree', suite: 2 }).parts))),
  'erasure code': kernel => toHex(kernel.blake3(concatBytes(kernel.createErasureCode(5, 3).encode([ramp(0, 200), ramp(9, 200), ramp(77, 200), ramp(3, 200), ramp(50, 120)], 200)))),
  'head of a parity': () => toHex(encodeParityHead({ code: 'cauchy', packType: 'tree', packBytes: 9_000, blockBytes: 4_096, dataChecks: ramp(0, 48), parityChecks: ramp(48, 16) })),
  'parity': kernel => toHex(kernel.blake3(concatBytes(assembleParity(sealObject({
    kernel, type: OBJECT_TYPES.parity, epoch: 1, objectId: ramp(0x40, 16), suite: 3, secret, repositoryId, payload: utf8('payload'), random: ramp(0x80, 24),
  }), [ramp(0, 100), ramp(1, 100)])))),
  'index segment': kernel => toHex(kernel.blake3(encodeIndexSegment([], [packContent(assembled(kernel, pack).table)]))),
};

const expected: Record<string, string> = {
  'slot key': '599f041610f8d7f5fb8e9846ea09f6eca7fb5afa30bdd964cc957477364a7965',
  'config key': '265d3a47bd496c72ac37a7fad99a3b2e6f4d60d0ff0851d02a344f9014ffa47d',
  'keyring key': '70719f22b95a9726e8d6fc2c0c7fcd678c113384d6bd986bb0475a53b7b22b90',
  'admin seed key': 'e602a365d6b14789a1de31cf9e5d1446fef3f0370647fa0c94f420de091929ce',
  'content keys': '5e6ddeef515226fe7278caa6879cf6a56286540fadd19382d325334eb0ca224f',
  'data ID key': '85749f2965e8f0fc207a4a09a1fb1c866fc46fbc42514c02323ef2bd79f068a9',
  'epoch roots': '896b144674fcb0ca4ac17befc2337b7307ba7126a3adfb3b26d0837b6aeb2460',
  'frame key': 'df02add2ad586378bd4aaa5bd8557b61efce2086bd191b0342350780d71b3358',
  'table key': '641eb226585d26b308c01cc90bcd5710ca3fe268a31642dcd5d9d9eb8b494ea2',
  'object key': 'c58e8295b98a9914e1d0651b139cc7766e1cbcfb1c8ad572bed60e91f66ba6bd',
  'xobject key': '80dd8e43f9c2081d665443cb3df2fb57f67dc2ef2eb7a8f27533c95795828158',
  'key-check value': '38890cfb9b694748cfb535215e4830cd',
  'gear table': '2d0540313c9d3300fabc1c384bb469bd88ccc2ec989c397ddcc6006c995f0e44',
  'name hash': 'b0a081462e83576810b0a732eb32e5eb93b81409d621f491d3c9dbf6f49dbeb1',
  'hard-link group': '2c94efc571842040',
  'sealed session': '3ff6cd4f89db224e6912acb146376e147206f716d069cc6f78c7dd18668fd263',
  'sealed segment, suite 2': '7ec2924a20aea3d4306bb971741269ee2c143ca9983ecf2dbf2050646f6389a5',
  'signed body': 'a5bd25b03ef1a97f3066bb37ef6acee959d3e35e5dbc40959e03fa6ac4d8ffc5',
  'key slot': '0200ce953d13b54703c2484095789bb4364ef66f95b01e16b01483828bed9e1a',
  'config body': 'a9015000112233445566778899aabbccddeeff021a6553f100030104010584011a000200001a000800001a0020000006010748000102030405060708010900',
  'directory leaf': '820182ad0141610201031901a4041903e80518640661750761670882200509821b0000000200000000000a0c0b82825820a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf0a0211021305a50141620203031901ff088200000d4161',
  'interior node': '8202818241625820a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf',
  'content leaf': '820382825820a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf19012c1a00011170',
  'content interior': '820481821a0001129c5820a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf',
  'pack, suite 1': '75cb842d06fea07154887aa2a0e6ca5c53aeb36efff9719768684a9d034253e7',
  'tree pack, suite 2': '2edbcf29cc5f8b0cec872478659887729ead1824fb73177f48c3ee7e2747f635',
  // Computed by another program, too, from section 7.4 of the format alone.
  'erasure code': '1c11e2aff2e8797c712a954b94085d7539b0152fcaf7b35297780fa904e89f54',
  'head of a parity': 'a6010102020319232804191000055830000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f0650303132333435363738393a3b3c3d3e3f',
  'parity': '4a23a0a885d4b401e176e4e86086bda016671397ed8e204f0fca683e9658128a',
  'index segment': '199f6311f9314c806684c9815aa461a716c2b5b63a5d0ede9c7251f8a1f239cb',
};

describe.each([['fast', createFastKernel()], ['portable', createPortableKernel()]] as const)('known answers of the %s kernel', (_, kernel) => {
  it.each(Object.keys(answers))('%s', name => {
    expect(answers[name]!(kernel)).toBe(expected[name]);
  });
});

describe('a second reader, written from the document with Node\'s crypto alone', () => {
  const derive = (salt: Uint8Array, label: string): Uint8Array => new Uint8Array(hkdfSync('sha256', secret, salt,
    Buffer.concat([Buffer.from(`${label}\0`), Uint8Array.of(1), Buffer.from(repositoryId, 'hex'), Buffer.from(pack.id, 'hex')]), 32));
  const open = (key: Uint8Array, nonce: number, additional: Uint8Array, sealed: Buffer): Buffer => {
    const iv = Buffer.alloc(12);
    iv.writeUInt32LE(nonce);
    const decipher = createDecipheriv('aes-256-gcm', key, iv);
    decipher.setAAD(additional);
    decipher.setAuthTag(sealed.subarray(-16));
    return Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]);
  };
  const number = (value: number, width: number): Buffer => {
    const bytes = Buffer.alloc(width);
    bytes.writeUIntLE(value, 0, width);
    return bytes;
  };

  it('opens both tables and every frame of a pack', () => {
    const bytes = Buffer.concat(assembled(createFastKernel(), pack).parts);
    const repository = Buffer.from(repositoryId, 'hex');
    const tableBytes = bytes.readUInt32LE(60);
    const header = bytes.subarray(0, 64);
    expect(bytes.subarray(-80, -16).equals(header)).toBe(true);
    expect([Number(bytes.readBigUInt64LE(bytes.length - 16)), bytes.subarray(-8).toString()]).toEqual([bytes.length, 'snap-end']);
    const tableKey = derive(pack.salt, 'snap/1/table');
    const front = open(tableKey, 0, Buffer.concat([header, repository, Uint8Array.of(0)]), bytes.subarray(64, 64 + tableBytes));
    const back = open(tableKey, 1, Buffer.concat([header, repository, Uint8Array.of(1)]), bytes.subarray(-80 - tableBytes, -80));
    expect(front.equals(back)).toBe(true);
    expect([0, 4, 8, 12].map(at => front.readUInt32LE(at))).toEqual([1, 3, 3, 0]);
    const frameKey = derive(pack.salt, 'snap/1/frame');
    const contents = [0, 1, 2].map(frame => {
      const at = 40 + 20 * frame;
      const [offset, stored, raw] = [0, 4, 8].map(field => front.readUInt32LE(at + field)) as [number, number, number];
      const additional = Buffer.concat([header.subarray(0, 60), repository, number(frame, 4), number(raw, 4), front.subarray(at + 14, at + 16)]);
      return open(frameKey, frame, additional, bytes.subarray(offset, offset + stored));
    });
    expect(contents[0]!.equals(ramp(0, 200))).toBe(true);
    expect(contents[1]!.equals(ramp(5, 100))).toBe(true);
    expect(contents[2]!.every(byte => byte === 0)).toBe(true);
  });
});
