/** Chunk records as sorted streams, one block in memory each, and the merge of several streams into one. */
import type { Bytes } from '../base/bytes.ts';
import { compareIds, RECORD_BYTES } from './chunk-record.ts';

/** A stretch of records in memory of its own, at the start of `bytes`. */
export class RecordBlock {
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  words: Uint32Array<ArrayBuffer> = new Uint32Array(0);
  view: DataView<ArrayBuffer> = new DataView(new ArrayBuffer(0));

  /** Makes room for `byteLength` bytes; keeps what is there. */
  reserve(byteLength: number): void {
    if (byteLength <= this.bytes.length) return;
    const bytes = new Uint8Array(RECORD_BYTES * Math.ceil((byteLength * 1.5) / RECORD_BYTES));
    bytes.set(this.bytes);
    this.bytes = bytes;
    this.words = new Uint32Array(bytes.buffer);
    this.view = new DataView(bytes.buffer);
  }

  /** Copies one record word by word: faster than a `set` of 48 bytes. */
  copyRecord(to: number, source: RecordBlock, from: number): void {
    const target = this.words;
    const words = source.words;
    let out = to >>> 2;
    let at = from >>> 2;
    for (const end = at + RECORD_BYTES / 4; at < end; at++, out++) target[out] = words[at]!;
  }
}

/** Fills the block with the next records and returns their bytes; 0 at the end. */
export type RecordSource = (block: RecordBlock) => number;

/** Stands on one record of a stream. */
export class RecordCursor {
  readonly block: RecordBlock = new RecordBlock();
  /** Position of the record in the block. */
  at = 0;
  /** The first 48 bits of its ID, as a number. */
  head = 0;
  readonly #source: RecordSource;
  #end = 0;

  constructor(source: RecordSource) {
    this.#source = source;
  }

  /** Goes to the next record; at first to the first one. False at the end. */
  advance(): boolean {
    this.at += RECORD_BYTES;
    if (this.at >= this.#end) {
      this.#end = this.#source(this.block);
      this.at = 0;
      if (this.#end === 0) return false;
    }
    const { view } = this.block;
    this.head = view.getUint32(this.at) * 0x1_0000 + view.getUint16(this.at + 4);
    return true;
  }
}

/** Merges sorted streams; records with the same ID follow each other. */
export class MergedRecords {
  readonly #cursors: RecordCursor[];
  #current: RecordCursor | undefined;

  constructor(sources: readonly RecordSource[]) {
    this.#cursors = sources.map(source => new RecordCursor(source)).filter(cursor => cursor.advance());
  }

  /** A cursor on the smallest record that was not given yet; valid until the next call. */
  next(): RecordCursor | undefined {
    const cursors = this.#cursors;
    if (this.#current !== undefined && !this.#current.advance()) cursors.splice(cursors.indexOf(this.#current), 1);
    let smallest = cursors[0];
    for (let i = 1; i < cursors.length; i++) {
      const cursor = cursors[i]!;
      if (cursor.head < smallest!.head || (cursor.head === smallest!.head && isBefore(cursor, smallest!))) smallest = cursor;
    }
    this.#current = smallest;
    return smallest;
  }
}

function isBefore(a: RecordCursor, b: RecordCursor): boolean {
  return compareIds(a.block.bytes, a.at, b.block.bytes, b.at) < 0;
}

/** Bytes that a source reads at once where it can choose. */
const STRETCH_BYTES = 1024 * RECORD_BYTES;

/** Copies consecutive stretches of `records` and lets `accept` change each one; it returns how many bytes it kept. */
export function stretchesOf(records: Bytes, accept: (block: RecordBlock, byteLength: number) => number): RecordSource {
  let position = 0;
  return block => {
    while (position < records.length) {
      const stretch = records.subarray(position, position + STRETCH_BYTES);
      position += stretch.length;
      block.reserve(stretch.length);
      block.bytes.set(stretch);
      const kept = accept(block, stretch.length);
      if (kept > 0) return kept;
    }
    return 0;
  };
}
