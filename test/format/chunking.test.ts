import { describe, expect, it } from 'vitest';
import { concatBytes, toHex, utf8 } from '../../src/base/bytes.ts';
import { chooseProfile, chunkerFault, deriveGearTable, PROFILE_PROBE_BYTES, PROFILES } from '../../src/format/chunking.ts';
import { createPortableKernel } from '../../src/kernel/portable.ts';
import { kernel, seeded } from './samples.ts';

const MiB = 1024 * 1024;

describe('chunking profiles', () => {
  it('have legal parameters', () => {
    for (const parameters of Object.values(PROFILES)) expect(chunkerFault(parameters)).toBeUndefined();
  });

  it.each([
    ['sizes out of order', { ...PROFILES.default, minBytes: 1024 * 1024 }], ['a minimum below 64 bytes', { ...PROFILES.default, minBytes: 63 }],
    ['a maximum above a frame', { ...PROFILES.default, maxBytes: 16 * MiB + 1 }], ['an average that is no power of two', { ...PROFILES.default, averageBytes: 500_000 }],
    ['a fixed size with different limits', { ...PROFILES.pages, minBytes: 64 }],
  ])('with %s are refused', (_, parameters) => expect(chunkerFault(parameters)).toBeDefined());

  const probe = (at: number, magic: Uint8Array): Uint8Array => concatBytes([new Uint8Array(at).fill(0x20), magic, new Uint8Array(PROFILE_PROBE_BYTES)]).subarray(0, PROFILE_PROBE_BYTES);

  it.each([
    ['SQLite', 0, utf8('SQLite format 3\0')], ['qcow2', 0, Uint8Array.of(0x51, 0x46, 0x49, 0xfb)], ['a GPT disk', 512, utf8('EFI PART')],
    ['ext4', 1080, Uint8Array.of(0x53, 0xef)], ['NTFS', 3, utf8('NTFS    ')],
  ])('of %s are pages at any size', (_, at, magic) => {
    expect(chooseProfile(probe(at, magic), 10_000)).toBe('pages');
    expect(chooseProfile(probe(at, magic), 100 * MiB)).toBe('pages');
  });

  it.each([
    ['JPEG', 0, Uint8Array.of(0xff, 0xd8, 0xff, 0xe0)], ['PNG', 0, Uint8Array.of(0x89, 0x50, 0x4e, 0x47)], ['MP4', 4, utf8('ftypisom')],
    ['Matroska', 0, Uint8Array.of(0x1a, 0x45, 0xdf, 0xa3)], ['zip', 0, Uint8Array.of(0x50, 0x4b, 3, 4)], ['gzip', 0, Uint8Array.of(0x1f, 0x8b, 8)],
    ['xz', 0, Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0)], ['zstd', 0, Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd)], ['7z', 0, Uint8Array.of(0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c)],
  ])('of %s are media from 8 MiB on', (_, at, magic) => {
    expect(chooseProfile(probe(at, magic), 8 * MiB)).toBe('media');
    expect(chooseProfile(probe(at, magic), 8 * MiB - 1)).toBe('default');
  });

  it('of everything else are the default, also for few or no bytes', () => {
    for (const bytes of [new Uint8Array(0), utf8('S'), utf8('SQLite format 3'), seeded('noise', 4096), new Uint8Array(4096)]) {
      expect(chooseProfile(bytes, 100 * MiB)).toBe('default');
    }
  });

  it('follow a configured suggestion', () => {
    expect(chooseProfile(utf8('text'), 1, 'media')).toBe('media');
    expect(chooseProfile(probe(0, utf8('SQLite format 3\0')), 1, 'default')).toBe('default');
  });
});

describe('Gear table', () => {
  it('is 256 little-endian numbers of HKDF(chunker key, "snap/1/gear" 00), the same in both kernels', () => {
    const key = seeded('chunker', 32);
    const table = deriveGearTable(kernel, key);
    expect(table).toHaveLength(256);
    const bytes = kernel.hkdf(key, new Uint8Array(0), utf8('snap/1/gear\0'), 2048);
    expect(toHex(new Uint8Array(table.buffer))).toBe(toHex(bytes));
    expect(deriveGearTable(createPortableKernel(), key)).toEqual(table);
  });
});
