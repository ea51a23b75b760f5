/** The packed answers of a batch, item by item: buffers that are used again, no object per chunk. */
import { type Bytes, viewOf } from '../base/bytes.ts';
import { CHUNK_ID_BYTES } from '../format/ids.ts';
import { type IngestResult, ITEM_BYTES, ITEM_PARTLY_UNREADABLE, REFERENCE_BYTES, REFERENCE_ZEROS } from './engine.ts';

export interface Damage {
  readonly item: number;
  readonly offset: number;
  readonly length: number;
  readonly errno: number;
}

/** One item answer, decoded. */
export interface ItemAnswer {
  readonly errno: number;
  readonly flags: number;
  readonly referenceCount: number;
  readonly sizeBytes: number;
}

const LENGTH_AT = 32;
const PACK_AT = 40;
const KIND_AT = 44;

export function readItem(items: Bytes, i: number): ItemAnswer {
  const view = viewOf(items);
  const at = i * ITEM_BYTES;
  return {
    errno: view.getUint32(at, true),
    flags: view.getUint32(at + 4, true),
    referenceCount: view.getUint32(at + 8, true),
    sizeBytes: readU64(view, at + 16),
  };
}

/** Packed references, read in place. */
export class ReferenceList {
  readonly bytes: Bytes;
  readonly #view: DataView;

  constructor(bytes: Bytes) {
    this.bytes = bytes;
    this.#view = viewOf(bytes);
  }

  get count(): number {
    return this.bytes.length / REFERENCE_BYTES;
  }

  id(i: number): Bytes { return this.bytes.subarray(i * REFERENCE_BYTES, i * REFERENCE_BYTES + CHUNK_ID_BYTES); }
  length(i: number): number { return readU64(this.#view, i * REFERENCE_BYTES + LENGTH_AT); }
  /** Pack number of a chunk; chunk length of a zero run. */
  pack(i: number): number { return this.#view.getUint32(i * REFERENCE_BYTES + PACK_AT, true); }
  kind(i: number): number { return this.#view.getUint32(i * REFERENCE_BYTES + KIND_AT, true); }
}

export class AnswerWriter {
  #items = new Uint8Array(256 * ITEM_BYTES);
  #itemView = viewOf(this.#items);
  #itemCount = 0;
  #references = new Uint8Array(512 * REFERENCE_BYTES);
  #referenceView = viewOf(this.#references);
  #referenceCount = 0;
  #damage: Damage[] = [];
  /** Of the item that is being written. */
  #firstReference = 0;
  #sizeBytes = 0;

  begin(): void {
    this.#itemCount = 0;
    this.#referenceCount = 0;
    this.#damage = [];
    this.#firstReference = 0;
    this.#sizeBytes = 0;
  }

  /** Bytes of the item so far. */
  get itemBytes(): number {
    return this.#sizeBytes;
  }

  chunk(id: Bytes, length: number, pack: number, kind: number): void {
    const at = this.#addReference(length, pack, kind);
    this.#references.set(id, at);
  }

  /**
   * `length` zero bytes in chunks of `chunkBytes`, joined with a run just before. A chunk of zeros has always the same
   * length but at the end of the data, so only a shorter last one may follow in the same run.
   */
  zeros(length: number, chunkBytes: number): void {
    if (length === 0) return;
    const last = (this.#referenceCount - 1) * REFERENCE_BYTES;
    if (this.#referenceCount > this.#firstReference && this.#referenceView.getUint32(last + KIND_AT, true) === REFERENCE_ZEROS) {
      const runBytes = readU64(this.#referenceView, last + LENGTH_AT);
      const runChunkBytes = this.#referenceView.getUint32(last + PACK_AT, true);
      const fits = chunkBytes === runChunkBytes || (length < runChunkBytes && chunkBytes === length);
      if (runBytes % runChunkBytes === 0 && fits) {
        writeU64(this.#referenceView, last + LENGTH_AT, runBytes + length);
        this.#sizeBytes += length;
        return;
      }
    }
    const at = this.#addReference(length, chunkBytes, REFERENCE_ZEROS);
    this.#references.fill(0, at, at + CHUNK_ID_BYTES);
  }

  /** A range of the current item that could not be read. */
  damage(offset: number, length: number, errno: number): void {
    this.#damage.push({ item: this.#itemCount, offset, length, errno });
  }

  /** Takes back the references of the current item. */
  discardReferences(): void {
    this.#referenceCount = this.#firstReference;
    this.#sizeBytes = 0;
  }

  endItem(flags: number): void {
    const isDamaged = this.#damage.length > 0 && this.#damage[this.#damage.length - 1]!.item === this.#itemCount;
    this.#addItem(0, isDamaged ? flags | ITEM_PARTLY_UNREADABLE : flags);
  }

  /** Ends an item of which nothing counts. */
  failItem(errno: number): void {
    this.discardReferences();
    while (this.#damage.length > 0 && this.#damage[this.#damage.length - 1]!.item === this.#itemCount) this.#damage.pop();
    this.#addItem(errno, 0);
  }

  /** The answer in memory of its own. `from` and `to` as in `IngestResult`. */
  finish(from: number, to: number): IngestResult {
    return {
      items: this.#items.slice(0, this.#itemCount * ITEM_BYTES),
      references: this.#references.slice(0, this.#referenceCount * REFERENCE_BYTES),
      from,
      to,
      damage: this.#damage,
    };
  }

  #addReference(length: number, pack: number, kind: number): number {
    const at = this.#referenceCount * REFERENCE_BYTES;
    if (at + REFERENCE_BYTES > this.#references.length) {
      this.#references = doubled(this.#references);
      this.#referenceView = viewOf(this.#references);
    }
    writeU64(this.#referenceView, at + LENGTH_AT, length);
    this.#referenceView.setUint32(at + PACK_AT, pack, true);
    this.#referenceView.setUint32(at + KIND_AT, kind, true);
    this.#referenceCount++;
    this.#sizeBytes += length;
    return at;
  }

  #addItem(errno: number, flags: number): void {
    const at = this.#itemCount * ITEM_BYTES;
    if (at + ITEM_BYTES > this.#items.length) {
      this.#items = doubled(this.#items);
      this.#itemView = viewOf(this.#items);
    }
    this.#itemView.setUint32(at, errno, true);
    this.#itemView.setUint32(at + 4, flags, true);
    this.#itemView.setUint32(at + 8, this.#referenceCount - this.#firstReference, true);
    this.#itemView.setUint32(at + 12, 0, true);
    writeU64(this.#itemView, at + 16, this.#sizeBytes);
    this.#itemCount++;
    this.#firstReference = this.#referenceCount;
    this.#sizeBytes = 0;
  }
}

function readU64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
}

function writeU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % 2 ** 32, true);
  view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
}

function doubled(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(2 * bytes.length);
  larger.set(bytes);
  return larger;
}
