import { errnoOf, type FileSystem } from './local-filesystem.ts';

/** One running sync, and the one that starts after it for everybody who came meanwhile. */
interface SyncQueue {
  readonly running: Promise<void>;
  next: Promise<void> | undefined;
}

/** The directories below one root: made when first needed, and synced with as few calls as durability allows. */
export class DurableDirectories {
  readonly #fileSystem: FileSystem;
  readonly #root: string;
  /** Directories whose own names are durable, or are about to be. */
  readonly #known = new Map<string, Promise<void>>();
  readonly #queues = new Map<string, SyncQueue>();

  constructor(fileSystem: FileSystem, root: string) {
    this.#fileSystem = fileSystem;
    this.#root = root;
  }

  /** The absolute path of a name below the root; '' is the root. */
  pathOf(name: string): string {
    return name === '' ? this.#root : `${this.#root}/${name}`;
  }

  /** Resolves when the directory is there and its name, and those of its parents, survive a power cut. */
  ensure(directory: string): Promise<void> {
    if (directory === '') return Promise.resolve();
    const known = this.#known.get(directory);
    if (known !== undefined) return known;
    const made = this.#make(directory).catch((error: unknown) => {
      this.#known.delete(directory);
      throw error;
    });
    this.#known.set(directory, made);
    return made;
  }

  /** Somebody else removed directories: look again at each. */
  forget(): void {
    this.#known.clear();
  }

  /**
   * Makes all names durable that the directory has at the time of the call. Calls that arrive while a sync runs share the next
   * one: it starts after all of their changes (group commit, as database logs have it).
   */
  sync(directory: string): Promise<void> {
    const queue = this.#queues.get(directory);
    if (queue === undefined) return this.#start(directory);
    queue.next ??= queue.running.then(() => this.#start(directory), () => this.#start(directory));
    return queue.next;
  }

  #start(directory: string): Promise<void> {
    const running = this.#fileSystem.syncDirectory(this.pathOf(directory));
    const queue: SyncQueue = { running, next: undefined };
    this.#queues.set(directory, queue);
    const release = (): void => {
      if (queue.next === undefined && this.#queues.get(directory) === queue) this.#queues.delete(directory);
    };
    running.then(release, release);
    return running;
  }

  async #make(directory: string): Promise<void> {
    const parent = directoryOf(directory);
    await this.ensure(parent);
    try {
      await this.#fileSystem.makeDirectory(this.pathOf(directory));
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
    }
    // Also for a directory that was there: whoever made it may not have come to its sync.
    await this.sync(parent);
  }
}

/** The part before the last slash; '' when there is none. */
export function directoryOf(name: string): string {
  return name.slice(0, Math.max(0, name.lastIndexOf('/')));
}
