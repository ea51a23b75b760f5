/**
 * Compares two trees of the file system byte by byte. For `snap try`: it shares no code with backup and restore, so that a
 * fault of theirs cannot hide itself.
 */
import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync, type BigIntStats } from 'node:fs';
import { hasCode, throwIfAborted } from '../base/errors.ts';
import type { Bytes } from '../base/bytes.ts';

export interface Difference {
  /** In the first tree. */
  readonly path: Bytes;
  /** 'is missing', 'content differs at byte 17', ... */
  readonly what: string;
}

export interface Comparison {
  readonly files: number;
  readonly directories: number;
  readonly others: number;
  readonly bytes: number;
  readonly differences: readonly Difference[];
}

export interface CompareOptions {
  readonly signal: AbortSignal;
  /** Left out of both trees, by its path in the first one. */
  readonly isIgnored: (path: Bytes) => boolean;
  /** Called before each entry. */
  readonly onEntry: (path: Bytes, bytesDone: number) => void;
}

const PIECE_BYTES = 1024 * 1024;
/** An entry costs about as much time as this many bytes of content. */
const ENTRY_COST_BYTES = 16 * 1024;
/** About 10 ms of work. */
const BREATH_BYTES = 16 * 1024 * 1024;

/** @param restored the tree that should equal `original` */
export function compareTrees(original: Bytes, restored: Bytes, options: CompareOptions): Promise<Comparison> {
  return new TreeComparison(options).run(Buffer.from(original), Buffer.from(restored));
}

class TreeComparison {
  readonly #options: CompareOptions;
  readonly #pieces = [Buffer.allocUnsafe(PIECE_BYTES), Buffer.allocUnsafe(PIECE_BYTES)] as const;
  readonly #differences: Difference[] = [];
  #sinceBreath = BREATH_BYTES;
  readonly #counts = { files: 0, directories: 0, others: 0, bytes: 0 };

  constructor(options: CompareOptions) {
    this.#options = options;
  }

  async run(original: Buffer, restored: Buffer): Promise<Comparison> {
    // A list instead of recursion: trees may be deeper than the stack.
    const pending: [Buffer, Buffer][] = [[original, restored]];
    for (let pair = pending.pop(); pair !== undefined; pair = pending.pop()) {
      await this.#breathe(ENTRY_COST_BYTES);
      this.#options.onEntry(pair[0], this.#counts.bytes);
      pending.push(...await this.#entry(...pair));
    }
    return { ...this.#counts, differences: this.#differences };
  }

  /** Compares two entries of one name; returns the entries below. */
  async #entry(a: Buffer, b: Buffer): Promise<[Buffer, Buffer][]> {
    try {
      const [x, y] = [lstatSync(a, { bigint: true }), statIfThere(b)];
      if (y === undefined) return this.#differs(a, 'is missing');
      if (typeOf(x) !== typeOf(y)) return this.#differs(a, `is a ${typeOf(x)}, was restored as a ${typeOf(y)}`);
      if (typeOf(x) !== 'symlink' && x.mode !== y.mode) this.#differs(a, 'has other permissions');
      if (x.isDirectory()) return this.#directory(a, b);
      if (x.isFile()) await this.#file(a, b, x, y);
      else {
        this.#counts.others++;
        if (x.isSymbolicLink() && !readlinkSync(a, { encoding: 'buffer' }).equals(readlinkSync(b, { encoding: 'buffer' }))) this.#differs(a, 'points elsewhere');
      }
      return [];
    } catch (error) {
      if (hasCode(error, 'CANCELLED')) throw error;
      return this.#differs(a, `cannot be compared: ${(error as Error).message}`);
    }
  }

  #directory(a: Buffer, b: Buffer): [Buffer, Buffer][] {
    this.#counts.directories++;
    const names = new Set([...readdirSync(a, { encoding: 'buffer' }), ...readdirSync(b, { encoding: 'buffer' })].map(name => name.toString('latin1')));
    const pairs: [Buffer, Buffer][] = [];
    for (const text of [...names].sort().reverse()) {
      const name = Buffer.from(text, 'latin1');
      const [x, y] = [child(a, name), child(b, name)];
      if (this.#options.isIgnored(x)) continue;
      if (statIfThere(x) === undefined) this.#differs(x, 'was restored but is not there');
      else pairs.push([x, y]);
    }
    return pairs;
  }

  async #file(a: Buffer, b: Buffer, x: BigIntStats, y: BigIntStats): Promise<void> {
    this.#counts.files++;
    if (x.mtimeNs !== y.mtimeNs) this.#differs(a, 'has another time');
    const at = await this.#firstDifference(a, b);
    if (at !== undefined) this.#differs(a, `content differs at byte ${at}`);
  }

  async #firstDifference(a: Buffer, b: Buffer): Promise<number | undefined> {
    const x = openSync(a, 'r');
    try {
      const y = openSync(b, 'r');
      try {
        return await this.#compareOpen(x, y);
      } finally {
        closeSync(y);
      }
    } finally {
      closeSync(x);
    }
  }

  async #compareOpen(x: number, y: number): Promise<number | undefined> {
    const [first, second] = this.#pieces;
    for (let at = 0; ;) {
      await this.#breathe(PIECE_BYTES);
      const read = readFully(x, first, at);
      const other = readFully(y, second, at);
      this.#counts.bytes += read;
      const same = Math.min(read, other);
      if (first.compare(second, 0, same, 0, same) !== 0) {
        let i = 0;
        while (first[i] === second[i]) i++;
        return at + i;
      }
      if (read !== other) return at + same;
      if (read < PIECE_BYTES) return undefined;
      at += read;
    }
  }

  /** Lets signals and the progress line have their turn now and then; everything else here is synchronous. */
  async #breathe(cost: number): Promise<void> {
    this.#sinceBreath += cost;
    if (this.#sinceBreath < BREATH_BYTES) return;
    this.#sinceBreath = 0;
    await new Promise<void>(resolve => void setImmediate(resolve));
    throwIfAborted(this.#options.signal);
  }

  #differs(path: Buffer, what: string): [] {
    this.#differences.push({ path, what });
    return [];
  }
}

function child(directory: Buffer, name: Buffer): Buffer {
  return Buffer.concat([directory, Buffer.from('/'), name]);
}

function statIfThere(path: Buffer): BigIntStats | undefined {
  return lstatSync(path, { bigint: true, throwIfNoEntry: false });
}

function typeOf(stats: BigIntStats): string {
  return stats.isFile() ? 'file' : stats.isDirectory() ? 'folder' : stats.isSymbolicLink() ? 'symlink' : stats.isFIFO() ? 'fifo'
    : stats.isSocket() ? 'socket' : stats.isBlockDevice() ? 'block device' : 'character device';
}

/** Reads until the buffer is full or the file ends. */
function readFully(file: number, target: Buffer, position: number): number {
  let filled = 0;
  while (filled < target.length) {
    const read = readSync(file, target, filled, target.length - filled, position + filled);
    if (read === 0) break;
    filled += read;
  }
  return filled;
}
