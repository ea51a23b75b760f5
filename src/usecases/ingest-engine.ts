/** The engine of one round of a backup, started when the first content is to be read: an unchanged run needs none. */
import { deriveGearTable, PROFILES, type ChunkerParameters, type ProfileName } from '../format/chunking.ts';
import type { Engine, IngestBatch, IngestResult } from '../engine/engine.ts';
import type { CallOptions } from '../base/call-options.ts';
import { DATA_PACK_BYTES } from '../repository/pack-assembler.ts';
import type { WritingSession } from '../repository/writing-session.ts';

export interface EngineFactory {
  /** Batches that keep every thread busy. */
  readonly capacity: number;
  open(): Engine;
}

export interface IngestEngineOptions {
  /** zstd level. */
  readonly compressionLevel: number;
  /** False: no two chunks share a frame. */
  readonly grouping: boolean;
}

export class IngestEngine {
  readonly capacity: number;
  readonly #factory: EngineFactory;
  readonly #session: WritingSession;
  readonly #options: IngestEngineOptions;
  #engine: Promise<Engine> | undefined;

  constructor(factory: EngineFactory, session: WritingSession, options: IngestEngineOptions) {
    this.capacity = factory.capacity;
    this.#factory = factory;
    this.#session = session;
    this.#options = options;
  }

  async ingest(batch: IngestBatch, options: CallOptions): Promise<IngestResult> {
    this.#engine ??= this.#begin();
    return (await this.#engine).ingest(batch, options);
  }

  /** Every frame is with its pack when this resolves; nothing may be ingested after it. */
  async end(): Promise<void> {
    await (await this.#engine)?.endIngest();
  }

  /** Stops the threads, whatever happened before. */
  async close(): Promise<void> {
    const [outcome] = await Promise.allSettled([this.#engine]);
    if (outcome.status === 'fulfilled') await outcome.value?.close();
  }

  async #begin(): Promise<Engine> {
    const { repository, assembler } = this.#session;
    const { keys, kernel, cache, config } = repository;
    const engine = this.#factory.open();
    try {
      await engine.beginIngest({
        idKey: keys.content.idKeyData, gear: deriveGearTable(kernel, keys.content.chunkerKey), profiles: profilesOf(config.chunker),
        packTargetBytes: DATA_PACK_BYTES, index: cache.chunks.access(), grant: () => assembler.grant('data'),
        compressionLevel: this.#options.compressionLevel, grouping: this.#options.grouping,
      }, {
        frames: frames => { assembler.addFrames(frames); },
        packFull: pack => { assembler.close(pack); },
      });
    } catch (error) {
      await engine.close();
      throw error;
    }
    this.#session.listenToIndex(pack => { engine.packIndexed(pack); });
    return engine;
  }
}

/** The repository fixes the default profile; the others are the same everywhere. */
export function profilesOf(chunker: ChunkerParameters): Record<ProfileName, ChunkerParameters> {
  return { ...PROFILES, default: chunker };
}
