/** The engine on worker threads: spreads batches, bounds what is in flight, stops. */
import { cancelled, invariant, SnapError } from '../base/errors.ts';
import type { CallOptions } from '../base/call-options.ts';
import type { PackNumber } from '../cache/cache.ts';
import { AbortWatch } from './abort-watch.ts';
import { ClaimGenerations, ClaimTable } from './claim-table.ts';
import {
  DEFAULT_OPEN_PACKS, type Engine, type ExtractBatch, type IngestBatch, type IngestResult, type IngestSetup, type IngestSink, type OpenedFrame,
  type PackGrant,
} from './engine.ts';
import type { ExtractKeys } from './extract.ts';
import { JOBS_PER_WORKER, parcelExtract, parcelIngest, type Reply, type Request } from './messages.ts';
import { type Job, PoolWorker } from './pool-worker.ts';

export interface PoolEngineOptions {
  /** Number of threads, at least 1. */
  readonly workers: number;
  /** The built `engine/worker.js`: Node 20 cannot load TypeScript in a worker. */
  readonly workerUrl: URL;
  /** Packs that each thread fills at the same time. */
  readonly openPacks?: number;
}

export function createPoolEngine(options: PoolEngineOptions): Engine {
  return new PoolEngine(options);
}

/** Grants that a worker gets in advance of a batch; if it needs more, because a file grew or is large, it asks for each. */
const MOST_SPARE_GRANTS = 4;

interface IngestState {
  readonly setup: IngestSetup;
  readonly sink: IngestSink;
  readonly generations: ClaimGenerations;
  isEnded: boolean;
}

class PoolEngine implements Engine {
  readonly capacity: number;
  readonly #openPacks: number;
  readonly #workers: readonly PoolWorker[];
  /** Jobs for any worker. */
  readonly #waiting: Job[] = [];
  /** Where each stream that has begun is cut. */
  readonly #streams = new Map<number, PoolWorker>();
  readonly #underWay = new Set<Promise<void>>();
  readonly #aborts = new AbortWatch();
  #ingest: IngestState | undefined;
  #hasExtractKeys = false;
  #failure: { readonly error: unknown } | undefined;
  #closed: Promise<void> | undefined;

  constructor({ workers, workerUrl, openPacks = DEFAULT_OPEN_PACKS }: PoolEngineOptions) {
    if (!Number.isInteger(workers) || workers < 1) throw new RangeError(`Workers: expected at least 1, found ${workers}`);
    this.capacity = workers * JOBS_PER_WORKER;
    this.#openPacks = openPacks;
    this.#workers = Array.from({ length: workers }, () => new PoolWorker(workerUrl, {
      sink: () => this.#ingestState().sink,
      grant: () => this.#grant(),
      idle: () => this.#startWaiting(),
      failed: error => this.#fail(error),
    }));
  }

  async beginIngest(setup: IngestSetup, sink: IngestSink): Promise<void> {
    invariant(this.#ingest === undefined, 'Ingest was begun before');
    const claims = new ClaimTable();
    this.#ingest = { setup, sink, generations: new ClaimGenerations(claims), isEnded: false };
    const { grant: _, index, ...parameters } = setup;
    const gear = setup.gear.slice();
    await this.#askAll(() => ({
      kind: 'begin-ingest', setup: { ...parameters, gear, idKey: setup.idKey.slice() }, index, claims: claims.memory, openPacks: this.#openPacks,
    }));
  }

  async ingest(batch: IngestBatch, options?: CallOptions): Promise<IngestResult> {
    invariant(this.#ingestState().isEnded === false, 'Ingest has ended');
    const packs = Math.ceil(batch.sizeBytes / this.#ingestState().setup.packTargetBytes);
    const spare = Math.max(this.#openPacks, Math.min(packs, MOST_SPARE_GRANTS));
    const parcel: Job['parcel'] = (worker, slot) => parcelIngest(slot, batch, worker.freshGrants(spare));
    const reply = await this.#run(parcel, options?.signal, batch.kind === 'stream' ? this.#workerOfStream(batch.piece) : undefined);
    invariant(reply.kind === 'ingested', 'A worker gave the wrong answer');
    return reply.result;
  }

  packIndexed(pack: PackNumber): void {
    this.#ingest?.generations.indexed(pack);
  }

  async endIngest(): Promise<void> {
    const state = this.#ingestState();
    invariant(!state.isEnded, 'Ingest has ended');
    state.isEnded = true;
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
    await this.#askAll(() => ({ kind: 'end-ingest' }));
  }

  async beginExtract(keys: ExtractKeys): Promise<void> {
    invariant(!this.#hasExtractKeys, 'Extract was begun before');
    this.#hasExtractKeys = true;
    await this.#askAll(() => ({ kind: 'begin-extract', keys: { data: keys.data.slice(), tree: keys.tree.slice() } }));
  }

  async extract(batch: ExtractBatch, options?: CallOptions): Promise<readonly OpenedFrame[]> {
    invariant(this.#hasExtractKeys, 'Extract has not begun');
    const reply = await this.#run((_, slot) => parcelExtract(slot, batch), options?.signal, undefined);
    invariant(reply.kind === 'extracted', 'A worker gave the wrong answer');
    return reply.frames;
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  // --- jobs ---

  #run(parcel: Job['parcel'], signal: AbortSignal | undefined, worker: PoolWorker | undefined): Promise<Reply> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error);
    if (signal?.aborted === true) return Promise.reject(cancelled(signal));
    const queue = worker?.pinned ?? this.#waiting;
    let forget = (): void => undefined;
    const promise = new Promise<Reply>((resolve, reject) => {
      // Until it starts, an aborted job only leaves its queue; later it is up to the worker.
      const abort = (): void => {
        queue.splice(queue.indexOf(job), 1);
        reject(cancelled(signal));
      };
      const job: Job = { parcel, resolve, reject, signal, abort };
      forget = this.#aborts.add(signal, () => job.abort());
      queue.push(job);
      this.#startWaiting();
    });
    const settled = promise.then(() => undefined, () => undefined).finally(() => {
      forget();
      this.#underWay.delete(settled);
    });
    this.#underWay.add(settled);
    return promise;
  }

  #startWaiting(): void {
    try {
      for (const worker of this.#workers) {
        while (worker.hasFreeSlot && worker.pinned.length > 0) worker.start(worker.pinned.shift()!);
      }
      while (this.#waiting.length > 0) {
        const worker = this.#leastBusy();
        if (!worker.hasFreeSlot) return;
        worker.start(this.#waiting.shift()!);
      }
    } catch (error) {
      // The caller's grant failed, or the batch cannot be sent.
      this.#fail(error);
    }
  }

  #leastBusy(): PoolWorker {
    return this.#workers.reduce((best, worker) => worker.jobCount < best.jobCount ? worker : best);
  }

  #workerOfStream({ stream, isLast }: { readonly stream: number; readonly isLast: boolean }): PoolWorker {
    const worker = this.#streams.get(stream) ?? this.#leastBusy();
    if (isLast) this.#streams.delete(stream);
    else this.#streams.set(stream, worker);
    return worker;
  }

  async #askAll(request: () => Request): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.error;
    await Promise.all(this.#workers.map(worker => worker.request({ message: request(), transfer: [] })));
  }

  #ingestState(): IngestState {
    invariant(this.#ingest !== undefined, 'Ingest has not begun');
    return this.#ingest;
  }

  #grant(): PackGrant {
    const { setup, generations } = this.#ingestState();
    const grant = setup.grant();
    generations.granted(grant.pack);
    return grant;
  }

  // --- ends ---

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = { error };
    this.#rejectWaiting(error);
    for (const worker of this.#workers) void worker.terminate(error);
  }

  async #close(): Promise<void> {
    const wasFailed = this.#failure !== undefined;
    const error = new SnapError('CANCELLED', 'The engine is closed');
    this.#failure ??= { error };
    this.#rejectWaiting(error);
    await Promise.all(this.#workers.map(worker => wasFailed ? worker.terminate(error) : worker.close()));
    for (const worker of this.#workers) worker.rejectAll(error);
  }

  #rejectWaiting(error: unknown): void {
    for (const job of this.#waiting.splice(0)) job.reject(error);
  }
}
