/**
 * Writes the content of files into a target: collects references in a window, reads and opens each frame of the window once,
 * and gives its chunks to all files that want them. A file of one chunk is written in one call, others range by range.
 */
import { releaseMemory } from '../../base/release-memory.ts';
import { JobGroup } from '../../base/concurrency.ts';
import { toHex, type Bytes } from '../../base/bytes.ts';
import type { CallOptions } from '../../base/call-options.ts';
import { SnapError } from '../../base/errors.ts';
import { ENTRY_SPARSE, type ByteSpan, type ContentItem, type Entry } from '../../format/tree-node.ts';
import { CHUNK_ID_BYTES } from '../../format/ids.ts';
import { isDamage } from '../../repository/damage.ts';
import type { ReadingSession } from '../../repository/reading-session.ts';
import { isTargetProblem, type TargetHandle, type TargetProblem, type TreeTarget, type WholeFile } from '../../targets/target.ts';
import { salvageChunk } from '../reading/chunk-salvage.ts';
import { FrameChunks, type FrameLoader, type LoadedFrame } from '../reading/frame-loader.ts';
import type { HardLinks } from './hard-links.ts';
import { joinPath } from '../path-bytes.ts';
import { planReads, RestoreWindow, type PlannedRead } from './restore-plan.ts';
import type { RestoreTally } from './restore-tally.ts';
import type { Place } from '../reading/snapshot-tree.ts';

/** Attribute values that the entries of one window may hold. */
const WINDOW_VALUE_BYTES = 32 * 1024 * 1024;

/** Ranges of one file that are remembered for its finding. */
const KEPT_LOSSES = 64;

/** A file on its way into the target. */
export interface FileTask {
  readonly directory: Place;
  readonly parent: TargetHandle;
  readonly entry: Entry;
  readonly action: 'created' | 'updated';
  /** In `HardLinks`; -1 when the file has no other names. */
  readonly linkSlot: number;
  /** One chunk is the whole content: it is written in one call, unless content at the target is used again. */
  readonly isSingle: boolean;
  /** Some of the content is right at the target already and stays. */
  reusesContent: boolean;
  hasZeros: boolean;
  /** References that are not done yet, and whether all have been added. */
  pending: number;
  isListed: boolean;
  handle: TargetHandle | undefined;
  /** Why the target does not take it; then the rest of its content is passed over. */
  isRefused: boolean;
  /** The first ranges that cannot be restored, and how many there are. */
  losses: ByteSpan[];
  lossCount: number;
  firstLoss: { readonly id: string; readonly error: SnapError } | undefined;
  /** Number in the present window; -1 when it is not in it. */
  number: number;
}

export interface RestoreFilesParts {
  readonly session: ReadingSession;
  readonly loader: FrameLoader;
  readonly target: TreeTarget;
  readonly tally: RestoreTally;
  readonly links: HardLinks;
  /** Runs of zeros become holes in all files; otherwise only where the source had some. */
  readonly makesHoles: boolean;
  readonly signal: AbortSignal | undefined;
  /** Files that are whole at the target now; called when everything of a window is written, before the next one begins. */
  readonly onWritten: (completed: readonly FileTask[]) => Promise<void>;
}

export class RestoreFiles {
  readonly #parts: RestoreFilesParts;
  readonly #options: CallOptions;
  readonly #window: RestoreWindow;
  readonly #chunks = new FrameChunks();
  #tasks: FileTask[] = [];
  #completed: FileTask[] = [];
  #valueBytes = 0;

  constructor(parts: RestoreFilesParts, windowReferences?: number) {
    this.#parts = parts;
    this.#options = { signal: parts.signal };
    this.#window = new RestoreWindow(windowReferences);
  }

  /** True when `flush` should be called before the next file is begun. */
  get isFull(): boolean {
    return this.#window.isFull || this.#valueBytes >= WINDOW_VALUE_BYTES;
  }

  begin(directory: Place, parent: TargetHandle, entry: Entry, action: FileTask['action'], linkSlot: number): FileTask {
    for (const { value } of entry.xattrs ?? []) this.#valueBytes += value.length;
    return {
      directory, parent, entry, action, linkSlot, isSingle: entry.content?.length === 1 && entry.content[0]!.id !== undefined,
      reusesContent: false, hasZeros: false, pending: 0, isListed: false, handle: undefined, isRefused: false, losses: [], lossCount: 0, firstLoss: undefined,
      number: -1,
    };
  }

  /** Content that has to be written. The promise, if any, must be awaited before the next call. */
  add(task: FileTask, position: number, { id, lengthBytes }: ContentItem): Promise<void> | undefined {
    if (task.number < 0) task.number = this.#tasks.push(task) - 1;
    task.pending++;
    if (id === undefined) task.hasZeros = true;
    this.#window.add(task.number, position, lengthBytes, id, id === undefined ? undefined : this.#locate(id, lengthBytes));
    return this.#window.isFull ? this.flush() : undefined;
  }

  /** Content whose list could not be read. */
  lose(task: FileTask, position: number, length: number, id: Bytes, error: SnapError): void {
    task.firstLoss ??= { id: toHex(id), error };
    const last = task.losses.at(-1);
    if (last !== undefined && last.offset + last.length === position) {
      task.losses[task.losses.length - 1] = { offset: last.offset, length: last.length + length };
      return;
    }
    task.lossCount++;
    if (task.losses.length < KEPT_LOSSES) task.losses.push({ offset: position, length });
  }

  /** All of the content has been added. */
  end(task: FileTask): void {
    task.isListed = true;
    if (task.pending === 0) this.#complete(task);
  }

  /** Everything added so far is written when this resolves. */
  async flush(): Promise<void> {
    const { chunks } = this.#parts.session.repository.cache;
    const plan = planReads(this.#window, number => {
      const record = chunks.pack(number);
      return record?.type === 'data' ? record : undefined;
    });
    for (const i of plan.zeros) this.#writeZeros(i);
    await this.#salvage(plan.nowhere);
    const jobs = new JobGroup(this.#parts.loader.capacity);
    try {
      for (const read of plan.reads) await jobs.add(() => this.#run(read));
      await jobs.done();
    } finally {
      await jobs.settled();
    }
    await this.#finishWindow();
  }

  async #finishWindow(): Promise<void> {
    for (const task of this.#tasks) task.number = -1;
    this.#tasks = [];
    this.#window.count = 0;
    this.#valueBytes = 0;
    const completed = this.#completed;
    this.#completed = [];
    await this.#parts.onWritten(completed);
  }

  /** An index entry of another length would be a lie; then the chunk is looked for patiently. */
  #locate(id: Uint8Array, length: number): ReturnType<ReadingSession['repository']['cache']['chunks']['find']> {
    const location = this.#parts.session.repository.cache.chunks.find(id);
    return location?.length === length ? location : undefined;
  }

  async #run(read: PlannedRead): Promise<void> {
    const { session, loader } = this.#parts;
    const record = session.repository.cache.chunks.pack(read.pack);
    const doubtful: number[] = [];
    let delivered = 0;
    const writing: Promise<void>[] = [];
    try {
      if (record === undefined) return await this.#salvage(read.references);
      await loader.load(record, read.frames, frame => {
        delivered = frame.index + 1;
        const job = this.#deliver(frame, read.references.subarray(read.starts[frame.index]!, read.starts[delivered]!), doubtful);
        job.catch(() => undefined); // it is waited for below; until then a failure must not count as unhandled
        writing.push(job);
      }, this.#options);
    } catch (error) {
      if (!isDamage(error)) throw error;
      doubtful.push(...read.references.subarray(read.starts[delivered]!));
    } finally {
      await Promise.allSettled(writing);
    }
    await Promise.all(writing);
    await this.#salvage(doubtful);
  }

  /** Everything but the writing of whole files is done when this returns. */
  async #deliver({ content, chunks }: LoadedFrame, references: Uint32Array, doubtful: number[]): Promise<void> {
    const { offsets, lengths, ids } = this.#window;
    const wholeFiles: number[] = [];
    this.#chunks.open(chunks);
    for (const i of references) {
      const [offset, length] = [offsets[i]!, lengths[i]!];
      if (content === undefined || !this.#chunks.has(ids, i * CHUNK_ID_BYTES, offset, length)) doubtful.push(i);
      else if (isWrittenAtOnce(this.#taskOf(i))) wholeFiles.push(i);
      else this.#write(i, content.subarray(offset, offset + length));
    }
    if (content === undefined) return;
    if (wholeFiles.length > 0) await this.#writeWholeFiles(wholeFiles, content);
    releaseMemory([content]);
  }

  async #writeWholeFiles(references: readonly number[], content: Bytes): Promise<void> {
    const { offsets, lengths } = this.#window;
    const files = references.map((i): WholeFile => {
      const { parent, entry } = this.#taskOf(i);
      return { parent, entry, start: offsets[i]!, length: lengths[i]! };
    });
    const problems = await this.#parts.target.writeFiles(files, content);
    for (const [n, i] of references.entries()) {
      this.#settle(this.#taskOf(i), lengths[i]!, problems[n]);
      this.#done(this.#taskOf(i));
    }
  }

  /** One by one, with every copy: for chunks whose frame or pack gave nothing. */
  async #salvage(references: Iterable<number>): Promise<void> {
    for (const i of references) {
      const [id, length] = [this.#window.id(i), this.#window.lengths[i]!];
      const bytes = await salvageChunk(this.#parts.session, id, length, this.#options);
      if (bytes instanceof Uint8Array) this.#write(i, bytes);
      else {
        const task = this.#taskOf(i);
        this.lose(task, this.#window.positions[i]!, length, id, bytes);
        this.#done(task);
      }
    }
  }

  #taskOf(i: number): FileTask {
    return this.#tasks[this.#window.files[i]!]!;
  }

  #write(i: number, bytes: Bytes): void {
    const { target } = this.#parts;
    const task = this.#taskOf(i);
    if (isWrittenAtOnce(task)) this.#settle(task, bytes.length, target.writeFile(task.parent, task.entry, [bytes]));
    else if (this.#open(task)) this.#settle(task, bytes.length, target.write(task.handle!, bytes, this.#window.positions[i]!));
    this.#done(task);
  }

  #writeZeros(i: number): void {
    const task = this.#taskOf(i);
    const lengthBytes = this.#window.lengths[i]!;
    if (this.#open(task)) {
      const problem = this.#parts.target.writeZeros(task.handle!, this.#window.positions[i]!, lengthBytes);
      if (problem === undefined && isHole(task.entry, { id: undefined, lengthBytes }, this.#parts.makesHoles)) this.#parts.tally.madeHole(lengthBytes);
      else this.#settle(task, lengthBytes, problem);
    }
    this.#done(task);
  }

  #settle(task: FileTask, length: number, problem: TargetProblem | undefined): void {
    if (problem === undefined) this.#parts.tally.written(length);
    else this.#refuse(task, problem);
  }

  #open(task: FileTask): boolean {
    if (task.isRefused) return false;
    if (task.handle !== undefined) return true;
    // While the list of a long content is still being read, it may turn out to have zeros.
    const opened = this.#parts.target.openFile(task.parent, task.entry, { reuse: task.reusesContent, hasZeros: task.hasZeros || !task.isListed });
    if (isTargetProblem(opened)) this.#refuse(task, opened);
    else task.handle = opened;
    return !task.isRefused;
  }

  #refuse(task: FileTask, problem: TargetProblem): void {
    const { tally, links } = this.#parts;
    task.isRefused = true;
    links.fail(task.linkSlot, 'target');
    tally.targetProblem(problem);
  }

  #done(task: FileTask): void {
    task.pending--;
    if (task.pending === 0 && task.isListed) this.#complete(task);
  }

  #complete(task: FileTask): void {
    const { target, tally, links } = this.#parts;
    if (task.firstLoss === undefined && !isWrittenAtOnce(task)) this.#open(task); // also when nothing was to be written
    if (task.handle !== undefined) {
      const problem = target.closeFile(task.handle, !task.isRefused && task.firstLoss === undefined);
      if (problem !== undefined && !task.isRefused) this.#refuse(task, problem);
    }
    if (task.firstLoss !== undefined) {
      this.#reportLoss(task);
      return links.fail(task.linkSlot, 'damage');
    }
    if (task.isRefused) return;
    tally.done(task.directory, task.entry, task.action);
    this.#completed.push(task);
  }

  #reportLoss({ directory, entry, losses, lossCount, firstLoss }: FileTask): void {
    const { offset, length } = losses.toSorted((a, b) => a.offset - b.offset)[0]!;
    const more = lossCount > 1 ? ` and ${lossCount - 1} more ranges` : '';
    const message = `Bytes ${offset} to ${offset + length - 1}${more} of the file cannot be restored: ${firstLoss!.error.message}`;
    this.#parts.tally.damage('chunk', firstLoss!.id, message, joinPath(directory.path, entry.name));
  }
}

function isWrittenAtOnce({ isSingle, reusesContent }: FileTask): boolean {
  return isSingle && !reusesContent;
}

/** A sparse file of a terabyte fits where its data fits. */
export function isHole({ flags }: Entry, { id }: ContentItem, makesHoles: boolean): boolean {
  return id === undefined && (makesHoles || (flags & ENTRY_SPARSE) !== 0);
}
