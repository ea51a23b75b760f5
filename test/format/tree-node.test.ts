import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concatBytes, equalBytes, toHex, utf8 } from '../../src/base/bytes.ts';
import { CborWriter } from '../../src/format/cbor-writer.ts';
import type { ChunkId } from '../../src/format/ids.ts';
import { MAX_NODE_BYTES } from '../../src/format/limits.ts';
import {
  type ContentItem, createLeafEncoder, decodeNode, encodeContentInterior, encodeContentLeaf, encodeInterior, encodeLeaf, type Entry, hardLinkGroup,
  inodeFromBytes, isContentCut, isNameHashCut, isNodeCut, nameFault, nameHash, NODE_MAX_BYTES, NODE_MIN_BYTES, storableTime,
} from '../../src/format/tree-node.ts';
import { chunkIds, contentItems, decodeHostile, directories, entries, expectKind, fileEntry, kernel, mutations, names, seeded } from './samples.ts';

const id = seeded('chunk', 32) as Uint8Array as ChunkId;

/** A leaf with entries that no encoder would write: only names and the fields given as raw CBOR. */
function rawLeaf(entryList: readonly { readonly name: Uint8Array; readonly more?: (writer: CborWriter) => void; readonly fields?: number }[]): Uint8Array {
  const writer = new CborWriter();
  writer.array(2);
  writer.uint(1);
  writer.array(entryList.length);
  for (const { name, more, fields } of entryList) {
    writer.map(5 + (fields ?? 0));
    writer.uint(1);
    writer.bytes(name);
    writer.uint(2);
    writer.uint(1);
    writer.uint(3);
    writer.uint(0o644);
    writer.uint(8);
    writer.array(2);
    writer.int(5);
    writer.uint(6);
    writer.uint(10);
    writer.uint(0);
    more?.(writer);
  }
  return writer.finish();
}

describe('tree node', () => {
  it('gives its entries back', () => {
    fc.assert(fc.property(directories, list => {
      expect(decodeNode(encodeLeaf(list))).toEqual({ kind: 'leaf', entries: list });
    }), { numRuns: 80 });
  });

  it('of every other kind gives its records back', () => {
    const children = fc.uniqueArray(names, { minLength: 1, maxLength: 5, selector: toHex })
      .map(list => list.sort((a, b) => Buffer.compare(a, b)).map(lastName => ({ lastName, id })));
    fc.assert(fc.property(children, fc.array(contentItems, { minLength: 1, maxLength: 6 }), (directory, items) => {
      expect(decodeNode(encodeInterior(directory))).toEqual({ kind: 'interior', children: directory });
      expect(decodeNode(encodeContentLeaf(items))).toEqual({ kind: 'content-leaf', items });
      const content = items.map(item => ({ sizeBytes: item.lengthBytes, id }));
      expect(decodeNode(encodeContentInterior(content))).toEqual({ kind: 'content-interior', children: content });
    }), { numRuns: 100 });
  });

  it('has one encoding: what is accepted encodes to the same bytes (fault 51)', () => {
    fc.assert(fc.property(directories, fc.gen(), (list, gen) => {
      const bytes = gen(mutations, encodeLeaf(list));
      const node = decodeHostile(() => decodeNode(bytes));
      if (node?.kind === 'leaf') expect(equalBytes(encodeLeaf(node.entries), bytes)).toBe(true);
    }), { numRuns: 120 });
  });

  it('survives arbitrary bytes (fuzz)', () => {
    const shaped = fc.tuple(fc.constantFrom(1, 2, 3, 4), fc.uint8Array({ maxLength: 100 })).map(([kind, rest]) => concatBytes([Uint8Array.of(0x82, kind), rest]));
    fc.assert(fc.property(fc.oneof(fc.uint8Array({ maxLength: 100 }), shaped), bytes => {
      decodeHostile(() => decodeNode(bytes));
    }), { numRuns: 600 });
  });

  it.each([['..'], ['.'], [''], ['a/b'], ['/'], ['/etc'], ['a\0'], ['\0']])('refuses the name "%s" (fault 36)', name => {
    expect(nameFault(utf8(name))).toBeDefined();
    expectKind(() => decodeNode(rawLeaf([{ name: utf8(name) }])), 'corrupt');
    expect(() => encodeLeaf([fileEntry(name)])).toThrow(RangeError);
    expect(() => encodeInterior([{ lastName: utf8(name), id }])).toThrow(RangeError);
  });

  it('refuses names above 4,095 bytes and accepts all others, UTF-8 or not (faults 4, 36)', () => {
    expectKind(() => decodeNode(rawLeaf([{ name: new Uint8Array(4096).fill(0x61) }])), 'corrupt');
    expect(() => encodeLeaf([fileEntry('', { name: new Uint8Array(4096).fill(0x61) })])).toThrow(/4096 bytes/);
    for (const name of [new Uint8Array(4095).fill(0x61), Uint8Array.of(0xff, 0xfe, 0x0a, 0x1b), utf8('...'), utf8('..a'), utf8(' ')]) {
      const node = decodeNode(rawLeaf([{ name }]));
      expect(node.kind === 'leaf' && equalBytes(node.entries[0]!.name, name)).toBe(true);
    }
  });

  it('refuses duplicate and unsorted names (fault 36)', () => {
    const [a, b] = [utf8('a'), utf8('b')];
    decodeNode(rawLeaf([{ name: a }, { name: b }]));
    expectKind(() => decodeNode(rawLeaf([{ name: a }, { name: a }])), 'corrupt', /order/);
    expectKind(() => decodeNode(rawLeaf([{ name: b }, { name: a }])), 'corrupt', /order/);
    expect(() => encodeLeaf([fileEntry('a'), fileEntry('a')])).toThrow(RangeError);
    expect(() => encodeInterior([{ lastName: b, id }, { lastName: a, id }])).toThrow(RangeError);
  });

  it('refuses a non-canonical form of a legal entry (fault 51)', () => {
    const flagsOfZero = rawLeaf([{ name: utf8('a'), fields: 1, more: writer => { writer.uint(17); writer.uint(0); } }]);
    expectKind(() => decodeNode(flagsOfZero), 'corrupt');
    const emptySpans = rawLeaf([{ name: utf8('a'), fields: 1, more: writer => { writer.uint(18); writer.array(0); } }]);
    expectKind(() => decodeNode(emptySpans), 'corrupt', /empty list/);
    const emptyContent = rawLeaf([{ name: utf8('a'), fields: 1, more: writer => { writer.uint(11); writer.array(0); } }]);
    expectKind(() => decodeNode(emptyContent), 'corrupt');
  });

  it('with unknown flags, entry types, node kinds or critical fields is unsupported (fault 52)', () => {
    const unknownFlags = rawLeaf([{ name: utf8('a'), fields: 1, more: writer => { writer.uint(17); writer.uint(8); } }]);
    expectKind(() => decodeNode(unknownFlags), 'unsupported', /flags/);
    const unknownField = rawLeaf([{ name: utf8('a'), fields: 1, more: writer => { writer.uint(20); writer.uint(0); } }]);
    expectKind(() => decodeNode(unknownField), 'unsupported', /field 20/);
    const unknownType = rawLeaf([{ name: utf8('a') }]);
    unknownType[unknownType.indexOf(0x61) + 2] = 8;
    expectKind(() => decodeNode(unknownType), 'unsupported', /type 8/);
    unknownType[unknownType.indexOf(0x61) + 2] = 0;
    expectKind(() => decodeNode(unknownType), 'corrupt', /type 0/);
    expectKind(() => decodeNode(Uint8Array.of(0x82, 1, 0x81, 0xa1, 1, 0x41, 0x61)), 'corrupt', /lacks/);
    expectKind(() => decodeNode(Uint8Array.of(0x82, 5, 0x80)), 'unsupported', /kind 5/);
  });

  it('ignores fields from 64 on', () => {
    const node = decodeNode(rawLeaf([{ name: utf8('a'), fields: 1, more: writer => { writer.uint(64); writer.text('later'); } }]));
    expect(node.kind === 'leaf' && node.entries.length).toBe(1);
  });

  it('above 1 MiB is refused on both sides (fault 38)', () => {
    expectKind(() => decodeNode(new Uint8Array(MAX_NODE_BYTES + 1)), 'corrupt', /1048577 bytes/);
    const large = Array.from({ length: 129 }, (_, i) => ({ name: utf8(`user.${1000 + i}`), value: new Uint8Array(4096) }));
    expect(() => encodeLeaf([fileEntry('a', { xattrs: large })])).toThrow(/too large/);
    const encoder = createLeafEncoder();
    const padding = new Uint8Array(4000).fill(0x61);
    for (let i = 0; i < 300; i++) encoder.add(fileEntry('', { name: concatBytes([Uint8Array.of(0x41 + (i >> 5), 0x41 + (i & 31)), padding]) }));
    expect(() => encoder.finish()).toThrow(RangeError);
  });

  it('with an entry count of a million in a few bytes is refused (fault 38)', () => {
    expectKind(() => decodeNode(Uint8Array.of(0x82, 1, 0x9a, 0, 0x0f, 0x42, 0x40, 0xa5)), 'corrupt');
  });

  it('without records is refused, but an empty directory is legal', () => {
    for (const kind of [2, 3, 4]) expectKind(() => decodeNode(Uint8Array.of(0x82, kind, 0x80)), 'corrupt');
    expect(decodeNode(encodeLeaf([]))).toEqual({ kind: 'leaf', entries: [] });
    expect(() => encodeContentLeaf([])).toThrow(RangeError);
  });

  it('does not encode illegal lengths, nor IDs that are no chunk IDs', () => {
    const short = id.subarray(1) as Uint8Array as ChunkId;
    for (const lengthBytes of [0, -1, 1.5, 2 ** 24 + 1]) expect(() => encodeContentLeaf([{ id, lengthBytes }])).toThrow(RangeError);
    for (const sizeBytes of [0, -1, 2 ** 53]) expect(() => encodeContentInterior([{ sizeBytes, id }])).toThrow(RangeError);
    expect(() => encodeContentLeaf([{ id: short, lengthBytes: 1 }])).toThrow(/chunk ID/);
    expect(() => encodeContentInterior([{ sizeBytes: 1, id: short }])).toThrow(/chunk ID/);
    expect(() => encodeInterior([{ lastName: utf8('a'), id: short }])).toThrow(/chunk ID/);
    expect(() => encodeLeaf([fileEntry('a', { sizeBytes: 9, contentNode: short })])).toThrow(/chunk ID/);
  });

  it('refuses content items of no or too much length', () => {
    const leaf = (write: (writer: CborWriter) => void): Uint8Array => {
      const writer = new CborWriter();
      writer.array(2);
      writer.uint(3);
      writer.array(1);
      write(writer);
      return writer.finish();
    };
    const chunk = (length: number) => (writer: CborWriter): void => {
      writer.array(2);
      writer.bytes(id);
      writer.uint(length);
    };
    decodeNode(leaf(chunk(1)));
    expectKind(() => decodeNode(leaf(chunk(0))), 'corrupt');
    expectKind(() => decodeNode(leaf(chunk(2 ** 24 + 1))), 'corrupt');
    expectKind(() => decodeNode(leaf(writer => writer.uint(0))), 'corrupt');
  });

  it('of an interior kind with illegal or unsorted names, or children that cover nothing, is refused (fault 36)', () => {
    const interior = (...lastNames: string[]): Uint8Array => {
      const writer = new CborWriter();
      writer.array(2);
      writer.uint(2);
      writer.array(lastNames.length);
      for (const name of lastNames) {
        writer.array(2);
        writer.bytes(utf8(name));
        writer.bytes(id);
      }
      return writer.finish();
    };
    decodeNode(interior('a', 'b'));
    for (const name of ['..', '.', '', 'a/b', 'a\0']) expectKind(() => decodeNode(interior(name)), 'corrupt');
    expectKind(() => decodeNode(interior('b', 'a')), 'corrupt', /order/);
    expectKind(() => decodeNode(interior('a', 'a')), 'corrupt', /order/);
    const content = encodeContentInterior([{ sizeBytes: 5, id }]);
    content[content.indexOf(5)] = 0;
    expectKind(() => decodeNode(content), 'corrupt', /covered/);
    const huge = encodeContentInterior([{ sizeBytes: Number.MAX_SAFE_INTEGER, id }, { sizeBytes: 1, id }]);
    expectKind(() => decodeNode(huge), 'corrupt', /covered/);
  });

  it('leaves its encoder as it was after an illegal record', () => {
    const encoder = createLeafEncoder();
    encoder.add(fileEntry('a'));
    const before = encoder.recordBytes;
    expect(() => encoder.add(fileEntry('b', { mode: -1 }))).toThrow(RangeError);
    expect(() => encoder.add(fileEntry('a'))).toThrow(RangeError);
    expect([encoder.count, encoder.recordBytes]).toEqual([1, before]);
    encoder.add(fileEntry('b'));
    expect(encoder.finish()).toEqual(encodeLeaf([fileEntry('a'), fileEntry('b')]));
    expect(encoder.count).toBe(0);
  });
});

describe('entry', () => {
  const content: ContentItem[] = [{ id, lengthBytes: 10 }, { id: undefined, lengthBytes: 90 }];

  it.each<[string, Partial<Entry>]>([
    ['a file whose content is shorter than its size', { sizeBytes: 101, content }],
    ['a file with a size but no content', { sizeBytes: 1 }],
    ['a file without size', { sizeBytes: undefined }],
    ['a negative size', { sizeBytes: -1, contentNode: id }],
    ['a size beyond 2^53', { sizeBytes: 2 ** 53, contentNode: id }],
    ['content given twice', { sizeBytes: 100, content, contentNode: id }],
    ['an empty file with content', { sizeBytes: 0, contentNode: id }],
    ['more than 128 inline items', { sizeBytes: 129, content: Array.from({ length: 129 }, () => ({ id, lengthBytes: 1 })) }],
    ['a directory without node', { type: 'directory', sizeBytes: undefined }],
    ['a directory with a size', { type: 'directory', directoryNode: id, sizeBytes: 0 }],
    ['a directory in a hard-link group', { type: 'directory', directoryNode: id, sizeBytes: undefined, hardLinkGroup: new Uint8Array(8) }],
    ['a file with a directory node', { directoryNode: id }],
    ['a symlink without target', { type: 'symlink', sizeBytes: undefined }],
    ['a symlink with a NUL in its target', { type: 'symlink', sizeBytes: undefined, linkTarget: Uint8Array.of(0x61, 0) }],
    ['a fifo with a target', { type: 'fifo', sizeBytes: undefined, linkTarget: utf8('x') }],
    ['a device without numbers', { type: 'block-device', sizeBytes: undefined }],
    ['a device number above 32 bits', { type: 'block-device', sizeBytes: undefined, device: [2 ** 32, 0] }],
    ['a mode above 0o7777', { mode: 0o10000 }],
    ['an owner above 32 bits', { uid: 2 ** 32 }],
    ['nanoseconds of a whole second', { mtime: [0, 1_000_000_000] }],
    ['negative nanoseconds', { mtime: [0, -1] }],
    ['seconds beyond 2^53', { mtime: [2 ** 53, 0] }],
    ['unknown flags', { flags: 8 }],
    ['an empty list of extended attributes', { xattrs: [] }],
    ['extended attributes out of order', { xattrs: [{ name: utf8('b'), value: id }, { name: utf8('a'), value: id }] }],
    ['an inline extended attribute above 4 KiB', { xattrs: [{ name: utf8('b'), value: new Uint8Array(4097) }] }],
    ['an extended attribute without name', { xattrs: [{ name: utf8(''), value: id }] }],
    ['damaged spans that overlap', { sizeBytes: 100, content, damagedSpans: [{ offset: 0, length: 5 }, { offset: 4, length: 2 }] }],
    ['a damaged span beyond the file', { sizeBytes: 100, content, damagedSpans: [{ offset: 99, length: 2 }] }],
    ['a damaged span of length 0', { sizeBytes: 100, content, damagedSpans: [{ offset: 9, length: 0 }] }],
  ])('with %s is not encoded', (_, fields) => {
    expect(() => encodeLeaf([fileEntry('name', fields)])).toThrow(RangeError);
  });

  it('keeps times before 1970 and beyond 2^32 seconds, and inodes above 2^53 (fault 11)', () => {
    const extreme = [[-1, 999_999_999], [-(2 ** 40), 0], [2 ** 33, 1], [Number.MAX_SAFE_INTEGER, 0]] as const;
    const list = extreme.map((mtime, i) => fileEntry(`f${i}`, { mtime, inode: 2n ** 64n - BigInt(i + 1) }));
    const node = decodeNode(encodeLeaf(list));
    expect(node.kind === 'leaf' && node.entries.map(entry => [entry.mtime, entry.inode])).toEqual(list.map(entry => [entry.mtime, entry.inode]));
    expect(storableTime(2 ** 63, 7)).toEqual([Number.MAX_SAFE_INTEGER, 7]);
    expect(inodeFromBytes(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0x80))).toBe(2n ** 63n + 1n);
    expect(inodeFromBytes(Uint8Array.of(1, 0, 0, 0, 1, 0, 0, 0))).toBe(2 ** 32 + 1);
  });

  it('of any legal shape can be encoded alone', () => {
    fc.assert(fc.property(entries, entry => {
      expect(decodeNode(encodeLeaf([entry]))).toEqual({ kind: 'leaf', entries: [entry] });
    }), { numRuns: 100 });
  });
});

describe('cut rules', () => {
  const hasher = kernel.createHasher(seeded('aux', 32));

  it('hash names and inodes with the auxiliary key', () => {
    expect(toHex(nameHash(hasher, utf8('file')))).toBe(toHex(hasher.hash(utf8('name\0file'))));
    const [device, inode] = [seeded('device', 8), seeded('inode', 8)];
    expect(toHex(hardLinkGroup(hasher, device, inode))).toBe(toHex(hasher.hash(concatBytes([utf8('hardlink\0'), device, inode]))).slice(0, 16));
    expect(() => hardLinkGroup(hasher, device, new Uint8Array(4))).toThrow(RangeError);
  });

  it('cut a directory node by its own word of the name hash for every level', () => {
    const hash = new Uint8Array(32).fill(0xff);
    hash.set([0, 0x02, 0xff, 0xff], 8);
    expect([0, 1, 2, 3].map(level => isNameHashCut(hash, level))).toEqual([false, false, true, false]);
    hash.set([0, 0x01], 8);
    expect(isNameHashCut(hash, 2)).toBe(false);
    expect(() => isNameHashCut(hash, 8)).toThrow(RangeError);
  });

  it('never cut below 64 KiB and always at 256 KiB', () => {
    const hits = Array.from({ length: 3000 }, (_, i) => utf8(`n${i}`)).filter(name => isNodeCut(NODE_MIN_BYTES, 0, hasher, name));
    expect(hits.length).toBeGreaterThan(0);
    expect(hits.length).toBeLessThan(20); // 3,000 names at 1 in 512
    expect(isNodeCut(NODE_MIN_BYTES - 1, 0, hasher, hits[0]!)).toBe(false);
    expect(isNodeCut(NODE_MAX_BYTES, 0, hasher, utf8('no hit'))).toBe(true);
  });

  it('cut content nodes after an ID that ends in 00 and at 2,048 items', () => {
    fc.assert(fc.property(chunkIds, fc.integer({ min: 1, max: 2047 }), (chunkId, count) => {
      expect(isContentCut(count, chunkId)).toBe(chunkId[31] === 0);
    }));
    const ending = Uint8Array.from(id);
    ending[31] = 0;
    expect(isContentCut(1, ending as Uint8Array as ChunkId)).toBe(true);
    expect(isContentCut(2047, undefined)).toBe(false);
    expect(isContentCut(2048, undefined)).toBe(true);
  });
});
