/** Writes content around runs of zeros, and zeros over what was there. */
import { type Bytes, isAllZero } from '../base/bytes.ts';
import type { NativeFileSystem } from '../base/native-filesystem.ts';
import { KiB, MiB } from '../base/units.ts';

/** Holes are multiples of the block of the file system, nearly always 4 KiB. */
const BLOCK_BYTES = 4 * KiB;
const ZEROS: Bytes = new Uint8Array(256 * KiB);
const COPY_BYTES = MiB;

export function writeAll(fs: NativeFileSystem, file: number, bytes: Bytes, position: number): void {
  for (let done = 0; done < bytes.length;) done += fs.write(file, bytes, done, bytes.length - done, position + done);
}

/** Into a file that is zero there: whole blocks of zeros stay holes. */
export function writeSparsely(fs: NativeFileSystem, file: number, bytes: Bytes, position: number): void {
  let start = 0;
  let at = 0;
  while (at < bytes.length) {
    const end = Math.min(bytes.length, at + BLOCK_BYTES - (position + at) % BLOCK_BYTES);
    if (end - at === BLOCK_BYTES && isAllZero(bytes.subarray(at, end))) {
      if (start < at) writeAll(fs, file, bytes.subarray(start, at), position + start);
      start = end;
    }
    at = end;
  }
  if (start < at) writeAll(fs, file, bytes.subarray(start), position + start);
}

export function writeZeros(fs: NativeFileSystem, file: number, start: number, end: number): void {
  for (let at = start; at < end; at += ZEROS.length) writeAll(fs, file, ZEROS.subarray(0, Math.min(ZEROS.length, end - at)), at);
}

/** Writes zeros only where the file has data; its holes stay. */
export function zeroData(fs: NativeFileSystem, file: number, start: number, end: number): void {
  for (let at = start; at < end;) {
    const [data, hole] = fs.nextData(file, at);
    if (data >= end || hole <= at) return;
    writeZeros(fs, file, Math.max(at, data), Math.min(end, hole));
    at = hole;
  }
}

/** The first `length` bytes, holes left out; the copy is empty before. */
export function copyData(fs: NativeFileSystem, from: number, to: number, length: number): void {
  const buffer = new Uint8Array(Math.min(COPY_BYTES, length));
  for (let at = 0; at < length;) {
    const [data, hole] = fs.nextData(from, at);
    const end = Math.min(length, hole);
    at = Math.max(at, data);
    if (at >= end) return;
    while (at < end) {
      const count = fs.read(from, buffer, 0, Math.min(buffer.length, end - at), at);
      if (count === 0) return;
      writeAll(fs, to, buffer.subarray(0, count), at);
      at += count;
    }
  }
}
