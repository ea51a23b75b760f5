/** The engine of a job that reads content, started when the first frame is to be opened: much is answered without any. */
import type { CallOptions } from '../../base/call-options.ts';
import type { Engine, ExtractBatch, OpenedFrame } from '../../engine/engine.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import type { EngineFactory } from '../ingest-engine.ts';

export class ExtractEngine {
  /** Batches that keep every thread busy. */
  readonly capacity: number;
  readonly #factory: EngineFactory;
  readonly #repository: OpenRepository;
  #engine: Promise<Engine> | undefined;

  constructor(factory: EngineFactory, repository: OpenRepository) {
    this.capacity = factory.capacity;
    this.#factory = factory;
    this.#repository = repository;
  }

  /** Starts the threads at once, beside other work. A failure is thrown by the first `extract`. */
  prepare(): void {
    this.#engine ??= this.#begin();
    this.#engine.catch(() => undefined);
  }

  async extract(batch: ExtractBatch, options: CallOptions): Promise<readonly OpenedFrame[]> {
    this.#engine ??= this.#begin();
    return (await this.#engine).extract(batch, options);
  }

  /** Stops the threads, whatever happened before. */
  async close(): Promise<void> {
    const [outcome] = await Promise.allSettled([this.#engine]);
    if (outcome.status === 'fulfilled') await outcome.value?.close();
  }

  async #begin(): Promise<Engine> {
    const { idKeyData, idKeyTree } = this.#repository.keys.content;
    const engine = this.#factory.open();
    try {
      await engine.beginExtract({ data: idKeyData.slice(), tree: idKeyTree.slice() });
      return engine;
    } catch (error) {
      await engine.close();
      throw error;
    }
  }
}
