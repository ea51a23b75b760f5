/**
 * Keys of the cache. One unnamed LMDB database holds everything; the first byte of a key is its key space. Numbers in keys
 * are big-endian, so that LMDB's byte order is their order. Buckets come last: a new run, with a number above all others,
 * is then appended at the end of the tree.
 */
import type { Bytes } from '../base/bytes.ts';

export const KEY_SPACE = {
  meta: 1,
  /** 16-byte segment ID -> u32 pack numbers it lists. */
  segment: 2,
  /** u32 pack number -> pack record. */
  pack: 3,
  /** 16-byte pack ID -> u32 pack number. */
  packNumber: 4,
  /** u32 pack number whose chunk records may still lie in runs -> u32 how many. */
  deadPack: 5,
  /** u32 run number that is not in the run table -> when it was last worked on, and its size. */
  unlistedRun: 6,
  /** u32 run number, u32 part -> part of its Bloom filter. */
  filter: 7,
  /** 32-byte key -> directory record. */
  file: 8,
  /** Name -> bytes of an object. */
  object: 9,
  /** Name -> u32 seconds of last use, u32 size. */
  objectUse: 10,
  /** u32 run number, u32 bucket -> chunk records. */
  bucket: 240,
} as const;

export type KeySpace = (typeof KEY_SPACE)[keyof typeof KEY_SPACE];

export function bytesKey(space: KeySpace, bytes: Bytes): Uint8Array {
  const key = new Uint8Array(1 + bytes.length);
  key[0] = space;
  key.set(bytes, 1);
  return key;
}

/** For an ID of hexadecimal digits. */
export function idKey(space: KeySpace, id: string): Uint8Array {
  return bytesKey(space, Buffer.from(id, 'hex'));
}

export function numberKey(space: KeySpace, ...numbers: readonly number[]): Uint8Array {
  const key = new Uint8Array(1 + 4 * numbers.length);
  key[0] = space;
  const view = new DataView(key.buffer);
  numbers.forEach((number, i) => view.setUint32(1 + 4 * i, number));
  return key;
}

export function metaKey(name: string): Uint8Array {
  return bytesKey(KEY_SPACE.meta, Buffer.from(name, 'latin1'));
}

/** Makes bucket keys, each in the memory of the one before. */
export function bucketKeys(): (run: number, bucket: number) => Uint8Array {
  const key = numberKey(KEY_SPACE.bucket, 0, 0);
  const view = new DataView(key.buffer);
  return (run, bucket) => {
    view.setUint32(1, run);
    view.setUint32(5, bucket);
    return key;
  };
}
