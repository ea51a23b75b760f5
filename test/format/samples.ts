/** Seeded bytes, arbitraries of every stored value, and what a decoder may do with hostile bytes. */
import fc from 'fast-check';
import { expect } from 'vitest';
import { type Bytes, concatBytes, viewOf } from '../../src/base/bytes.ts';
import { SnapError } from '../../src/base/errors.ts';
import { type ChunkId, type HostId, type PackId, parseRepositoryId, type RepositoryId, type SessionId } from '../../src/format/ids.ts';
import type { ContentItem, Entry, Time, Xattr } from '../../src/format/tree-node.ts';
import { createFastKernel } from '../../src/kernel/fast.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';

export const kernel: Kernel = createFastKernel();

/** Bytes that depend on the name only. */
export function seeded(name: string, length: number): Uint8Array<ArrayBuffer> {
  const key = kernel.blake3(new TextEncoder().encode(name));
  return kernel.hkdf(key, new Uint8Array(0), new Uint8Array(0), Math.min(length, 8160)).slice(0, length);
}

export const repositoryId: RepositoryId = parseRepositoryId('00112233445566778899aabbccddeeff');

/** Runs a decoder on bytes that may be anything: a value, or a SnapError that says 'corrupt' or 'unsupported'. */
export function decodeHostile<Value>(decode: () => Value): Value | undefined {
  try {
    return decode();
  } catch (error) {
    if (!(error instanceof SnapError) || (error.kind !== 'corrupt' && error.kind !== 'unsupported')) throw error;
    return undefined;
  }
}

export function expectKind(action: () => unknown, kind: 'corrupt' | 'unsupported', message?: RegExp): void {
  let caught: unknown;
  try {
    action();
  } catch (error) {
    caught = error;
  }
  expect(caught).toBeInstanceOf(SnapError);
  expect((caught as SnapError).kind).toBe(kind);
  if (message !== undefined) expect((caught as SnapError).message).toMatch(message);
}

export function u32(value: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value, true);
  return bytes;
}

/** 36 bytes: chunk ID and length, as in a pack table. */
export function chunkRecord(id: Bytes, length: number): Uint8Array<ArrayBuffer> {
  return concatBytes([id, u32(length)]);
}

export const bytesOf = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
export const chunkIds = bytesOf(32) as fc.Arbitrary<Uint8Array> as fc.Arbitrary<ChunkId>;
const hexIds = bytesOf(16).map(bytes => Buffer.from(bytes).toString('hex'));
export const sessionIds = hexIds as fc.Arbitrary<string> as fc.Arbitrary<SessionId>;
export const packIds = hexIds as fc.Arbitrary<string> as fc.Arbitrary<PackId>;
export const hostIds = hexIds as fc.Arbitrary<string> as fc.Arbitrary<HostId>;
export const texts: fc.Arbitrary<string> = fc.string({ unit: 'grapheme', maxLength: 40 });
export const counts: fc.Arbitrary<number> = fc.oneof(fc.nat(30), fc.nat(), fc.maxSafeNat());
export const u32s: fc.Arbitrary<number> = fc.integer({ min: 0, max: 0xffff_ffff });
export const times: fc.Arbitrary<Time> = fc.tuple(fc.oneof(fc.integer(), fc.maxSafeInteger()), fc.integer({ min: 0, max: 999_999_999 }));

export const names: fc.Arbitrary<Uint8Array> = fc.uint8Array({ minLength: 1, maxLength: 30 })
  .map(bytes => bytes.map(byte => byte === 0 || byte === 0x2f ? 0x61 : byte))
  .filter(bytes => !/^\.\.?$/.test(Buffer.from(bytes).toString('latin1')));

export const contentItems: fc.Arbitrary<ContentItem> = fc.oneof(
  fc.record({ id: chunkIds, lengthBytes: fc.integer({ min: 1, max: 2 ** 24 }) }),
  fc.record({ id: fc.constant(undefined), lengthBytes: fc.integer({ min: 1, max: 2 ** 40 }) }),
);

const xattrs: fc.Arbitrary<readonly Xattr[]> = fc.uniqueArray(fc.record<Xattr>({
  name: names,
  value: fc.oneof(fc.uint8Array({ maxLength: 60 }), fc.array(contentItems, { minLength: 1, maxLength: 3 })),
}), { minLength: 1, maxLength: 3, selector: xattr => Buffer.from(xattr.name).toString('hex') })
  .map(list => list.sort((a, b) => Buffer.compare(a.name, b.name)));

interface EntryParts {
  readonly name: Uint8Array;
  readonly mode: number;
  readonly mtime: Time;
  readonly flags: number;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly userName: string | undefined;
  readonly groupName: string | undefined;
  readonly ctime: Time | undefined;
  readonly xattrs: readonly Xattr[] | undefined;
  readonly inode: number | bigint | undefined;
}

const commonParts: fc.Arbitrary<EntryParts> = fc.record({
  name: names, mode: fc.nat(0o7777), mtime: times, flags: fc.nat(7),
  uid: fc.option(u32s, { nil: undefined }), gid: fc.option(u32s, { nil: undefined }),
  userName: fc.option(texts, { nil: undefined }), groupName: fc.option(texts, { nil: undefined }),
  ctime: fc.option(times, { nil: undefined }), xattrs: fc.option(xattrs, { nil: undefined }),
  inode: fc.option(fc.oneof(counts, fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n })), { nil: undefined }),
});

const NO_TYPE_FIELDS = {
  sizeBytes: undefined, content: undefined, contentNode: undefined, directoryNode: undefined, linkTarget: undefined,
  device: undefined, hardLinkGroup: undefined, damagedSpans: undefined,
};

function fileFields(items: readonly ContentItem[]): Partial<Entry> {
  const sizeBytes = items.reduce((sum, item) => sum + item.lengthBytes, 0);
  return { type: 'file', sizeBytes, content: items.length === 0 ? undefined : items, damagedSpans: sizeBytes > 9 ? [{ offset: 2, length: 3 }, { offset: 6, length: 1 }] : undefined };
}

const typeParts: fc.Arbitrary<Partial<Entry>> = fc.oneof(
  fc.array(contentItems, { maxLength: 4 }).map(fileFields),
  fc.record({ type: fc.constant('file' as const), sizeBytes: fc.integer({ min: 1, max: 2 ** 50 }), contentNode: chunkIds, hardLinkGroup: bytesOf(8) }),
  fc.record({ type: fc.constant('directory' as const), directoryNode: chunkIds }),
  fc.record({ type: fc.constant('symlink' as const), linkTarget: names, hardLinkGroup: bytesOf(8) }),
  fc.record({ type: fc.constantFrom('fifo' as const, 'socket' as const) }),
  fc.record({ type: fc.constantFrom('character-device' as const, 'block-device' as const), device: fc.tuple(u32s, u32s) }),
);

/** Legal entries with every field present as a property, as the decoder gives them. */
export const entries: fc.Arbitrary<Entry> = fc.tuple(commonParts, typeParts)
  .map(([common, typed]) => ({ ...NO_TYPE_FIELDS, ...common, ...typed }) as Entry);

export const rootEntries: fc.Arbitrary<Entry> = entries.map(entry => ({ ...entry, name: new Uint8Array(0) }));

/** Entries of one directory: sorted, without duplicates. */
export const directories: fc.Arbitrary<readonly Entry[]> = fc.uniqueArray(entries, { maxLength: 8, selector: entry => Buffer.from(entry.name).toString('hex') })
  .map(list => list.sort((a, b) => Buffer.compare(a.name, b.name)));

export function fileEntry(name: string, fields: Partial<Entry> = {}): Entry {
  return { name: new TextEncoder().encode(name), type: 'file', mode: 0o644, mtime: [1, 2], flags: 0, sizeBytes: 0, ...fields };
}

/** A few changes of single bytes, a cut or an extension of valid bytes: what fuzzers find most with. */
export function mutations(valid: Bytes): fc.Arbitrary<Uint8Array> {
  const change = fc.tuple(fc.nat(Math.max(0, valid.length - 1)), fc.nat(255));
  return fc.tuple(fc.array(change, { maxLength: 3 }), fc.integer({ min: -12, max: 4 })).map(([changes, extra]) => {
    const bytes = new Uint8Array(Math.max(0, valid.length + extra));
    bytes.set(valid.subarray(0, bytes.length));
    for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
    return bytes;
  });
}
