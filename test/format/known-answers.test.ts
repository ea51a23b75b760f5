/**
 * Frozen outputs of version 1 for fixed inputs. A change here is a change of the format: existing repositories would no
 * longer open. The expected values are never regenerated.
 */
import { describe, expect, it } from 'vitest';
import { concatBytes, toHex, utf8 } from '../../src/base/bytes.ts';
import { deriveGearTable, PROFILES } from '../../src/format/chunking.ts';
import { encodeConfig } from '../../src/format/config.ts';
import { encodeFramePrefix, FrameCipher } from '../../src/format/frame.ts';
import { OBJECT_TYPES } from '../../src/format/header.ts';
import { parsePackId, parseSessionId, parseSlotId, type ChunkId } from '../../src/format/ids.ts';
import { encodeIndexSegment } from '../../src/format/index-segment.ts';
import {
  deriveAdminSeedKey, deriveConfigKey, deriveContentKeys, deriveEpochRoots, deriveKeyringKey, deriveObjectKey, derivePackKeys, deriveSlotKey,
  deriveXObjectKey, keyCheckValue, type PackIdentity,
} from '../../src/format/key-derivation.ts';
import { sealKeySlot } from '../../src/format/key-slot.ts';
import { assemblePack } from '../../src/format/pack.ts';
import { packContent } from '../../src/format/pack-table.ts';
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
    repositoryId, createdSeconds: 1_700_000_000, chunkIdAlgorithm: 1, defaultSuite: 1, chunker: PROFILES.default, paddingRule: 1, adminKeyId: ramp(0, 8),
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
  'index segment': kernel => toHex(kernel.blake3(encodeIndexSegment([], [packContent(assembled(kernel, pack).table)]))),
};

const expected: Record<string, string> = {
};

describe.each([['fast', createFastKernel()], ['portable', createPortableKernel()]] as const)('known answers of the %s kernel', (_, kernel) => {
  it.each(Object.keys(answers))('%s', name => {
    expect(answers[name]!(kernel)).toBe(expected[name]);
  });
});
