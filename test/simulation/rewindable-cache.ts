/** A cache in memory that can be set back to an earlier state, or to that of another host, as copies of disks are. */
import type { Cache } from '../../src/cache/cache.ts';
import { openMemoryCache } from '../../src/cache/memory-cache.ts';

/** What of each part changes its lasting state. The set of usable packs is none: every session makes its own. */
const LASTING = {
  chunks: ['addSegment', 'dropSegments', 'reservePack'],
  files: ['put'],
  objects: ['put', 'delete'],
  cache: ['remember'],
} as const;

type Part = keyof typeof LASTING;

interface Change {
  readonly part: Part;
  readonly method: string;
  readonly values: readonly unknown[];
}

export class RewindableCache {
  #changes: Change[] = [];
  #inner: Cache = openMemoryCache();

  get changes(): readonly Change[] {
    return this.#changes;
  }

  /** The cache as a process opens it; what it writes stays for the next one. */
  open(): Cache {
    const inner = this.#inner;
    return {
      chunks: this.#recorded('chunks', inner.chunks),
      files: this.#recorded('files', inner.files),
      objects: this.#recorded('objects', inner.objects),
      memory: () => inner.memory(),
      replaceMemory: memory => inner.replaceMemory(memory),
      remember: memory => {
        this.#changes.push({ part: 'cache', method: 'remember', values: [memory] });
        return inner.remember(memory);
      },
      describe: () => inner.describe(),
      close: async () => undefined,
    };
  }

  /** Goes to the state after these changes. */
  become(changes: readonly Change[]): void {
    this.#inner = openMemoryCache();
    this.#changes = [...changes];
    for (const { part, method, values } of changes) {
      const target: object = part === 'cache' ? this.#inner : this.#inner[part];
      const call = Reflect.get(target, method) as (...values: unknown[]) => unknown;
      void call.apply(target, [...values]);
    }
  }

  #recorded<T extends object>(part: Exclude<Part, 'cache'>, target: T): T {
    const lasting: readonly string[] = LASTING[part];
    return new Proxy(target, {
      get: (_, key) => {
        const method: unknown = Reflect.get(target, key, target);
        if (typeof method !== 'function') return method;
        if (!lasting.includes(String(key))) return method.bind(target) as unknown;
        return (...values: unknown[]): unknown => {
          this.#changes.push({ part, method: String(key), values });
          return method.apply(target, values) as unknown;
        };
      },
    });
  }
}
