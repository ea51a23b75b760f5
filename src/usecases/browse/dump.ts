/** Writes the content of one file to a stream, or a directory as an archive, in order and with read-ahead. */
import type { Bytes } from '../../base/bytes.ts';
import { invariant, SnapError } from '../../base/errors.ts';
import { MiB } from '../../base/units.ts';
import type { Entry, Xattr } from '../../format/tree-node.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { ReadingSession } from '../../repository/reading-session.ts';
import type { SessionOwner } from '../../repository/registration.ts';
import type { SnapshotRecord } from '../../repository/snapshots.ts';
import { salvageValue } from '../reading/chunk-salvage.ts';
import { lossOf } from '../reading/damaged-entry.ts';
import { isolated, newCounters, type Counters, type JobContext } from '../events.ts';
import { ExtractEngine } from '../reading/extract-engine.ts';
import { FrameLoader } from '../reading/frame-loader.ts';
import type { EngineFactory } from '../ingest-engine.ts';
import { displayPath, joinPath } from '../path-bytes.ts';
import { ReadAhead, type Given, type Wanted } from '../reading/read-ahead.ts';
import { ProblemList, type Problem } from '../reports.ts';
import { SnapshotTree, type Place } from '../reading/snapshot-tree.ts';
import { TreeWalk } from '../reading/tree-walk.ts';

/** Takes bytes in order; the next call comes when it has resolved. */
export type DumpSink = (bytes: Bytes) => Promise<void>;

/** What makes an archive of entries; see the archive writers of the targets. */
export interface ArchiveReceiver {
  /** Path relative to the root of the archive, '' being the root. Resolves to why the format cannot hold the entry, if so. */
  entry(path: Bytes, entry: Entry, content: AsyncIterable<Bytes> | undefined): Promise<string | undefined>;
  finish(): Promise<void>;
}

export interface DumpOptions {
  readonly engines: EngineFactory;
  readonly owner: SessionOwner;
  readonly snapshot: SnapshotRecord;
  /** Absolute; the whole snapshot without it. */
  readonly path?: Bytes | undefined;
  readonly write: DumpSink;
  /** For anything but a regular file: the archive has the entries below the directory, by their paths relative to it. */
  readonly openArchive: (write: DumpSink) => ArchiveReceiver;
}

export interface DumpReport {
  readonly job: 'dump';
  /** 'partial': the archive format could not hold some entries, or parts of some are missing in the snapshot. */
  readonly status: 'complete' | 'partial';
  readonly kind: 'file' | 'archive';
  readonly entries: number;
  /** Content, without what the archive format adds. */
  readonly bytes: number;
  readonly problems: readonly Problem[];
  readonly problemsTotal: number;
}

const ZEROS = new Uint8Array(MiB);
const NO_PATH: Bytes = new Uint8Array(0);

/**
 * A stream cannot leave anything out, so damage ends it.
 * @throws PATH_NOT_IN_SNAPSHOT, CHUNK_MISSING, CHUNK_CORRUPT, ... and what `write` throws
 */
export async function dump(repository: OpenRepository, options: DumpOptions, context: JobContext = {}): Promise<DumpReport> {
  const session = await ReadingSession.begin(repository, options.owner, [options.snapshot], { signal: context.signal });
  const engine = new ExtractEngine(options.engines, repository);
  try {
    const tree = new SnapshotTree(session.trees, options.snapshot.snapshot);
    const place = await tree.get(options.path, { signal: context.signal });
    const run = new DumpRun(session, tree, new ReadAhead(session, new FrameLoader(repository, engine)), context);
    if (place.entry.type === 'file') await run.file(place, options.write);
    else await run.archive(place, options.openArchive(options.write));
    return run.report(place.entry.type === 'file' ? 'file' : 'archive');
  } finally {
    await engine.close();
    await session.end();
  }
}

/** An entry between the pieces of content in the stream of an archive. */
interface EntryMark {
  readonly path: Bytes;
  readonly entry: Entry;
}

class DumpRun {
  readonly #session: ReadingSession;
  readonly #tree: SnapshotTree;
  readonly #readAhead: ReadAhead;
  readonly #counters: Counters;
  readonly #signal: AbortSignal | undefined;
  readonly #problems = new ProblemList();
  readonly #emit: ReturnType<typeof isolated>;
  #entries = 0;
  #bytes = 0;

  constructor(session: ReadingSession, tree: SnapshotTree, readAhead: ReadAhead, context: JobContext) {
    this.#session = session;
    this.#tree = tree;
    this.#readAhead = readAhead;
    this.#counters = context.counters ?? newCounters();
    this.#signal = context.signal;
    this.#emit = isolated(context.onEvent);
    this.#counters.phase = 'reading';
  }

  async file({ entry, path }: Place, write: DumpSink): Promise<void> {
    this.#noteLoss(path, entry);
    this.#counters.totalBytes = entry.sizeBytes ?? 0;
    for await (const given of this.#readAhead.read(this.#contentOf(entry), { signal: this.#signal })) {
      for (const bytes of bytesOf(given)) {
        await write(bytes);
        this.#count(bytes);
      }
    }
    this.#entries = 1;
  }

  /** The writer pulls the content of each file, and the walk runs ahead of it. */
  async archive(place: Place, archive: ArchiveReceiver): Promise<void> {
    const given = this.#readAhead.read(this.#entriesOf(place), { signal: this.#signal });
    try {
      for (let next = await given.next(); next.done !== true; next = await given.next()) {
        invariant(next.value.kind === 'mark', 'Content came without its entry');
        await this.#archiveEntry(archive, next.value.mark, given);
      }
    } finally {
      await given.return(undefined);
    }
    await archive.finish();
  }

  report(kind: DumpReport['kind']): DumpReport {
    const { list, total } = this.#problems;
    return { job: 'dump', status: total > 0 ? 'partial' : 'complete', kind, entries: this.#entries, bytes: this.#bytes, problems: list, problemsTotal: total };
  }

  async #archiveEntry(archive: ArchiveReceiver, { path, entry }: EntryMark, given: AsyncGenerator<Given<EntryMark>>): Promise<void> {
    this.#counters.currentPath = path;
    const sizeBytes = entry.sizeBytes ?? 0;
    const content = entry.type === 'file' ? new Pull(given, sizeBytes, bytes => this.#count(bytes)) : undefined;
    const refusal = await archive.entry(path, await this.#withValues(entry), content?.pieces());
    await content?.drain(); // also when the archive did without it
    this.#entries++;
    this.#counters.entriesDone++;
    this.#noteLoss(path, entry);
    if (refusal !== undefined) this.#problem({ path, during: 'archive', code: 'TARGET_FAILED', message: refusal });
  }

  /** The stream is as the snapshot has it, with zeros where something is missing, and that is said. */
  #noteLoss(path: Bytes, entry: Entry): void {
    const loss = lossOf(entry);
    if (loss !== undefined) this.#problem({ path, during: 'read', code: loss.code, message: loss.message });
  }

  #problem(problem: Problem): void {
    this.#problems.add(problem);
    this.#counters.problems++;
    this.#emit({ type: 'problem-found', ...problem });
  }

  #count(bytes: Bytes): void {
    this.#bytes += bytes.length;
    this.#counters.bytesDone += bytes.length;
  }

  async *#contentOf(entry: Entry): AsyncGenerator<Wanted<EntryMark>> {
    for await (const items of this.#session.trees.content(entry, { signal: this.#signal })) for (const item of items) yield { kind: 'content', item };
  }

  async *#entriesOf(root: Place): AsyncGenerator<Wanted<EntryMark>> {
    if (root.entry.type !== 'directory') {
      yield { kind: 'mark', mark: { path: root.entry.name, entry: root.entry } };
      return;
    }
    if (root.isStored) yield { kind: 'mark', mark: { path: NO_PATH, entry: root.entry } };
    const paths: Bytes[] = [NO_PATH];
    for await (const step of new TreeWalk(this.#tree, { signal: this.#signal }).steps(root)) {
      if (step.kind === 'leave') {
        paths.pop();
        continue;
      }
      const entry = step.kind === 'enter' ? step.place.entry : step.entry;
      const parent = paths.at(-1)!;
      const path = parent.length === 0 ? entry.name : joinPath(parent, entry.name);
      if (step.kind === 'enter') paths.push(path);
      yield { kind: 'mark', mark: { path, entry } };
      if (entry.type === 'file') yield* this.#contentOf(entry);
    }
  }

  async #withValues(entry: Entry): Promise<Entry> {
    if (entry.xattrs?.some(({ value }) => !(value instanceof Uint8Array)) !== true) return entry;
    const xattrs: Xattr[] = [];
    for (const { name, value } of entry.xattrs) {
      const loaded = value instanceof Uint8Array ? value : await salvageValue(this.#session, value, { signal: this.#signal });
      if (!(loaded instanceof Uint8Array)) {
        throw new SnapError(loaded.code, `Cannot read an extended attribute of '${displayPath(entry.name)}': ${loaded.message}`, { cause: loaded, hint: loaded.hint });
      }
      xattrs.push({ name, value: loaded });
    }
    return { ...entry, xattrs };
  }
}

/** The content of one file out of the common stream. */
class Pull {
  readonly #given: AsyncGenerator<Given<EntryMark>>;
  readonly #onBytes: (bytes: Bytes) => void;
  #left: number;

  constructor(given: AsyncGenerator<Given<EntryMark>>, sizeBytes: number, onBytes: (bytes: Bytes) => void) {
    this.#given = given;
    this.#left = sizeBytes;
    this.#onBytes = onBytes;
  }

  async *pieces(): AsyncGenerator<Bytes> {
    while (this.#left > 0) {
      for (const bytes of bytesOf(await this.#next())) {
        yield bytes;
        this.#onBytes(bytes);
      }
    }
  }

  async drain(): Promise<void> {
    while (this.#left > 0) await this.#next();
  }

  async #next(): Promise<Given<EntryMark>> {
    const { done, value } = await this.#given.next();
    invariant(done !== true && value.kind !== 'mark', 'The content of a file ends before its size');
    this.#left -= value.kind === 'bytes' ? value.bytes.length : value.lengthBytes;
    return value;
  }
}

function* bytesOf(given: Given<unknown>): Generator<Bytes> {
  if (given.kind === 'bytes') yield given.bytes;
  if (given.kind !== 'zeros') return;
  for (let left = given.lengthBytes; left > 0; left -= ZEROS.length) yield left < ZEROS.length ? ZEROS.subarray(0, left) : ZEROS;
}
