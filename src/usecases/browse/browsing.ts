/** What the use cases that look into snapshots share: a session for a while, and damage that must not hide the rest. */
import type { CallOptions } from '../../base/call-options.ts';
import { SnapError } from '../../base/errors.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { ReadingSession } from '../../repository/reading-session.ts';
import type { SessionOwner } from '../../repository/registration.ts';
import type { SnapshotRecord } from '../../repository/snapshots.ts';
import type { OnDamage, TreeReadOptions } from '../../repository/tree-reader.ts';
import type { Entry } from '../../format/tree-node.ts';
import { lossOf } from '../reading/damaged-entry.ts';
import { isolated, type JobContext } from '../events.ts';
import { displayPath } from '../path-bytes.ts';
import type { Place } from '../reading/snapshot-tree.ts';

export interface BrowseOptions {
  readonly owner: SessionOwner;
}

/** What of a snapshot is looked at: everything, or what lies at an absolute path. */
export interface SnapshotPart {
  readonly snapshot: SnapshotRecord;
  readonly path?: Uint8Array | undefined;
}

/** Runs a generator of results within a session, which ends however the generator ends. */
export async function* withSession<Result>(
  repository: OpenRepository, { owner }: BrowseOptions, records: readonly SnapshotRecord[], context: JobContext,
  work: (session: ReadingSession, damage: SeenDamage) => AsyncGenerator<Result>,
): AsyncGenerator<Result> {
  const damage = new SeenDamage(context);
  const session = await ReadingSession.begin(repository, owner, records, { ...damage.call, onDamagedObject: (name, error) => { damage.add(undefined, `'${name}'`, error); } });
  try {
    yield* work(session, damage);
    damage.check();
  } finally {
    await session.end();
  }
}

/** Parts of trees that cannot be read are reported as they are met; the job fails only at its end, when it has shown the rest. */
export class SeenDamage {
  readonly call: CallOptions;
  readonly #emit: ReturnType<typeof isolated>;
  readonly #context: JobContext;
  #first: SnapError | undefined;
  #count = 0;

  constructor(context: JobContext) {
    this.#context = context;
    this.#emit = isolated(context.onEvent);
    this.call = { signal: context.signal };
  }

  /** `path` is for the event, `what` for the message. */
  add(path: Uint8Array | undefined, what: string, error: SnapError): void {
    this.#count++;
    this.#first ??= new SnapError('DAMAGE_FOUND', `Cannot read ${what}: ${error.message}`, { cause: error, hint: 'Run `snap verify` to see what is hit' });
    if (this.#context.counters !== undefined) this.#context.counters.problems++;
    this.#emit({ type: 'problem-found', path, during: 'list', code: error.code, message: error.message });
  }

  /** Of an entry of which parts are known to be missing: said, and no failure. */
  note(path: Uint8Array, entry: Entry): void {
    const loss = lossOf(entry);
    if (loss === undefined) return;
    if (this.#context.counters !== undefined) this.#context.counters.problems++;
    this.#emit({ type: 'problem-found', path, during: 'list', code: loss.code, message: loss.message });
  }

  /** For walks: the directory that is being read. */
  readOptions(current: () => Place | undefined): TreeReadOptions {
    const onDamage: OnDamage = (_, error) => {
      const path = current()?.path;
      this.add(path, path === undefined ? 'a directory' : `all of '${displayPath(path)}'`, error);
    };
    return { ...this.call, onDamage };
  }

  /** @throws DAMAGE_FOUND */
  check(): void {
    if (this.#first === undefined) return;
    if (this.#count === 1) throw this.#first;
    throw new SnapError('DAMAGE_FOUND', `${this.#first.message}; ${this.#count} directories are hit`, { cause: this.#first, hint: this.#first.hint });
  }
}
