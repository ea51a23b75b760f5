/** The engine on the calling thread: the twin of the pool, for tests and for hosts without worker threads. */
import type { Random } from '../base/ambient.ts';
import { hasCode, invariant, SnapError, throwIfAborted } from '../base/errors.ts';
import type { NativeFileSystem } from '../base/native-filesystem.ts';
import type { CallOptions } from '../base/call-options.ts';
import type { PackNumber } from '../cache/cache.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { ClaimGenerations, ClaimTable } from './claim-table.ts';
import {
  DEFAULT_OPEN_PACKS, type Engine, type ExtractBatch, type IngestBatch, type IngestResult, type IngestSetup, type IngestSink, type OpenedFrame,
} from './engine.ts';
import { Extract, type ExtractKeys } from './extract.ts';
import { Ingest, type OpenedKnownChunks, type OpenKnownChunks } from './ingest.ts';

export interface InlineEngineOptions {
  readonly kernel: Kernel;
  readonly native: NativeFileSystem;
  readonly openKnownChunks: OpenKnownChunks;
  readonly random: Random;
  /** Packs that are filled at the same time. */
  readonly openPacks?: number;
}

export function createInlineEngine(options: InlineEngineOptions): Engine {
  return new InlineEngine(options);
}

class InlineEngine implements Engine {
  readonly capacity = 1;
  readonly #options: InlineEngineOptions;
  #generations: ClaimGenerations | undefined;
  #knownChunks: OpenedKnownChunks | undefined;
  #ingest: Ingest | undefined;
  #isIngestEnded = false;
  #extract: Extract | undefined;
  #failure: unknown;

  constructor(options: InlineEngineOptions) {
    this.#options = options;
  }

  async beginIngest(setup: IngestSetup, sink: IngestSink): Promise<void> {
    invariant(this.#ingest === undefined, 'Ingest was begun before');
    const { kernel, native, random, openKnownChunks, openPacks = DEFAULT_OPEN_PACKS } = this.#options;
    this.#knownChunks = await openKnownChunks(setup.index);
    const claims = new ClaimTable();
    const generations = this.#generations = new ClaimGenerations(claims);
    this.#ingest = new Ingest(setup, {
      kernel, native, random, openPacks, sink,
      knownChunks: this.#knownChunks,
      claims,
      takeGrant: () => {
        const grant = setup.grant();
        generations.granted(grant.pack);
        return grant;
      },
    });
  }

  async ingest(batch: IngestBatch, options?: CallOptions): Promise<IngestResult> {
    const ingest = this.#openIngest();
    return this.#guarded(() => {
      throwIfAborted(options?.signal);
      return ingest.run(batch, () => throwIfAborted(options?.signal));
    });
  }

  packIndexed(pack: PackNumber): void {
    this.#generations?.indexed(pack);
  }

  async endIngest(): Promise<void> {
    const ingest = this.#openIngest();
    this.#isIngestEnded = true;
    this.#guarded(() => ingest.end());
  }

  async beginExtract(keys: ExtractKeys): Promise<void> {
    invariant(this.#extract === undefined, 'Extract was begun before');
    this.#extract = new Extract(this.#options.kernel, keys);
  }

  async extract(batch: ExtractBatch, options?: CallOptions): Promise<readonly OpenedFrame[]> {
    const extract = this.#extract;
    invariant(extract !== undefined, 'Extract has not begun');
    return this.#guarded(() => {
      throwIfAborted(options?.signal);
      return extract.run(batch, () => throwIfAborted(options?.signal));
    });
  }

  async close(): Promise<void> {
    this.#ingest?.wipe();
    this.#failure ??= new SnapError('CANCELLED', 'The engine is closed');
    await this.#knownChunks?.close();
  }

  #openIngest(): Ingest {
    invariant(this.#ingest !== undefined && !this.#isIngestEnded, 'Ingest has not begun or has ended');
    return this.#ingest;
  }

  /** After an error other than an abort the open frames cannot be trusted to be complete, so nothing may follow. */
  #guarded<T>(work: () => T): T {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      return work();
    } catch (error) {
      if (!hasCode(error, 'CANCELLED')) this.#failure = error;
      throw error;
    }
  }
}
