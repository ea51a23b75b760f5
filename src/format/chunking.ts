/** Cut parameters by content, and the keyed Gear table (repository design, section 13.1). */
import { type Bytes, equalBytes, utf8, viewOf } from '../base/bytes.ts';
import { KiB, MiB } from '../base/units.ts';
import type { CutParameters, GearTable, Kernel } from '../kernel/kernel.ts';
import { type ValueCodec } from './body-codec.ts';
import { unsupported } from './decode-error.ts';
import { deriveKey } from './key-derivation.ts';
import { MAX_FRAME_BYTES } from './limits.ts';

/** In the order of their numbers on disk, from 1. */
export const CHUNKING_PROFILES = ['default', 'pages', 'media'] as const;
export type ProfileName = (typeof CHUNKING_PROFILES)[number];

/** In the order of their numbers on disk, from 1. 'gear': content-defined; 'fixed': all three sizes are equal. */
export const CHUNKING_ALGORITHMS = ['gear', 'fixed'] as const;
export type ChunkingAlgorithm = (typeof CHUNKING_ALGORITHMS)[number];

export interface ChunkerParameters extends CutParameters {
  readonly algorithm: ChunkingAlgorithm;
}

/** Starting values; readers do not need them, so they may change at the price of deduplication across the change. */
export const PROFILES: Readonly<Record<ProfileName, ChunkerParameters>> = {
  default: { algorithm: 'gear', minBytes: 64 * KiB, averageBytes: 256 * KiB, maxBytes: 1 * MiB }, // decision 0005
  pages: { algorithm: 'fixed', minBytes: 64 * KiB, averageBytes: 64 * KiB, maxBytes: 64 * KiB },
  media: { algorithm: 'gear', minBytes: 512 * KiB, averageBytes: 2 * MiB, maxBytes: 8 * MiB },
};

export const GEAR_ENTRIES = 256;

/** 256 numbers of 64 bit, little-endian, from HKDF(chunker key, "snap/1/gear", 2,048 bytes). */
export function deriveGearTable(kernel: Kernel, chunkerKey: Bytes): GearTable {
  const view = viewOf(deriveKey(kernel, chunkerKey, new Uint8Array(0), 'snap/1/gear', [], 8 * GEAR_ENTRIES));
  return BigUint64Array.from({ length: GEAR_ENTRIES }, (_, i) => view.getBigUint64(8 * i, true));
}

/** Why parameters are not legal; undefined when they are. */
export function chunkerFault(parameters: ChunkerParameters): string | undefined {
  const { algorithm, minBytes, averageBytes, maxBytes } = parameters;
  if (!(minBytes >= 64 && minBytes <= averageBytes && averageBytes <= maxBytes && maxBytes <= MAX_FRAME_BYTES)) {
    return 'chunk sizes are out of order or out of range';
  }
  if (algorithm === 'fixed' && minBytes !== maxBytes) return 'a fixed chunk size with different limits';
  if (algorithm === 'gear' && 2 ** (31 - Math.clz32(averageBytes)) !== averageBytes) return 'the average chunk size is not a power of two';
  return undefined;
}

/** `[algorithm, min, average, max]`, in config and snapshots. */
export const chunkerParameters: ValueCodec<ChunkerParameters> = {
  write(writer, value) {
    const fault = chunkerFault(value);
    if (fault !== undefined) throw new RangeError(`Chunker parameters: ${fault}`);
    writer.array(4);
    writer.uint(CHUNKING_ALGORITHMS.indexOf(value.algorithm) + 1);
    writer.uint(value.minBytes);
    writer.uint(value.averageBytes);
    writer.uint(value.maxBytes);
  },
  read(reader) {
    reader.fixedArray(4);
    const number = reader.uint();
    const algorithm = CHUNKING_ALGORITHMS[number - 1];
    if (algorithm === undefined) throw unsupported(reader.what, `chunking algorithm ${number}`, { algorithm: number });
    const value = { algorithm, minBytes: reader.uint(), averageBytes: reader.uint(), maxBytes: reader.uint() };
    reader.close();
    const fault = chunkerFault(value);
    if (fault !== undefined) throw reader.fail(fault);
    return value;
  },
};

/** Below this size the larger chunks of media would only cost deduplication. */
const MEDIA_MIN_BYTES = 8 * MiB;
/** The first bytes of a file that `chooseProfile` looks at. */
export const PROFILE_PROBE_BYTES: number = 4 * KiB;

type Magic = readonly [offset: number, bytes: Bytes];

/** Files that are changed in place, page by page: databases and disk images. */
const PAGE_MAGICS: readonly Magic[] = [
  [0, utf8('SQLite format 3\0')],
  [0, Uint8Array.of(0x51, 0x46, 0x49, 0xfb)], // qcow2
  [0, utf8('KDMV')], // VMDK
  [0, utf8('vhdxfile')],
  [0, utf8('conectix')], // VHD
  [0x40, Uint8Array.of(0x7f, 0x10, 0xda, 0xbe)], // VDI
  [512, utf8('EFI PART')], // disk with a GUID partition table
  [3, utf8('NTFS    ')],
  [0, utf8('XFSB')],
  [1080, Uint8Array.of(0x53, 0xef)], // ext2, ext3, ext4
];

/** Content that is compressed already, so an edit changes the rest of the file anyway. */
const MEDIA_MAGICS: readonly Magic[] = [
  [0, Uint8Array.of(0xff, 0xd8, 0xff)], // JPEG
  [0, Uint8Array.of(0x89, 0x50, 0x4e, 0x47)], // PNG
  [0, utf8('GIF8')],
  [8, utf8('WEBP')],
  [8, utf8('AVI ')],
  [4, utf8('ftyp')], // MP4, QuickTime, HEIF
  [0, Uint8Array.of(0x1a, 0x45, 0xdf, 0xa3)], // Matroska, WebM
  [0, utf8('OggS')],
  [0, utf8('fLaC')],
  [0, utf8('ID3')], // MP3
  [0, Uint8Array.of(0x50, 0x4b, 0x03, 0x04)], // zip
  [0, Uint8Array.of(0x1f, 0x8b, 0x08)], // gzip
  [0, utf8('BZh')],
  [0, Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00)], // xz
  [0, Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd)], // zstd
  [0, Uint8Array.of(0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c)], // 7z
  [0, Uint8Array.of(0x52, 0x61, 0x72, 0x21, 0x1a, 0x07)], // RAR
];

/**
 * The profile of a file by its first bytes (up to `PROFILE_PROBE_BYTES`) and its size; a configured suggestion wins. Never
 * by its path: a renamed file keeps its chunks.
 */
export function chooseProfile(firstBytes: Bytes, sizeBytes: number, suggestion?: ProfileName): ProfileName {
  if (suggestion !== undefined) return suggestion;
  if (PAGE_MAGICS.some(magic => hasMagic(firstBytes, magic))) return 'pages';
  if (sizeBytes >= MEDIA_MIN_BYTES && MEDIA_MAGICS.some(magic => hasMagic(firstBytes, magic))) return 'media';
  return 'default';
}

function hasMagic(firstBytes: Bytes, [offset, magic]: Magic): boolean {
  return firstBytes.length >= offset + magic.length && equalBytes(firstBytes.subarray(offset, offset + magic.length), magic);
}
