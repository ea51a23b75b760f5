/** One worker thread as the pool sees it: requests and their answers, jobs in slots, grants. */
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { cancelled, SnapError } from '../base/errors.ts';
import type { IngestSink, PackGrant } from './engine.ts';
import {
  decodeError, type FromWorker, GRANT_SIGNAL, JOBS_PER_WORKER, moveGrant, type Parcel, type Reply, type Request, SIGNAL_WORDS, STOP_SIGNALS,
  type ToWorker, type WorkerStart,
} from './messages.ts';

/** A batch under way. */
export interface Job {
  /** Made when a worker is free for it, with the slot and what the worker needs beside the batch. */
  readonly parcel: (worker: PoolWorker, slot: number) => Parcel<Request>;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: unknown) => void;
  readonly signal: AbortSignal | undefined;
  /** Called when the signal aborts; the worker that starts the job replaces it. */
  abort: () => void;
}

export interface PoolWorkerEvents {
  readonly sink: () => IngestSink;
  readonly grant: () => PackGrant;
  /** A slot became free. */
  readonly idle: (worker: PoolWorker) => void;
  /** The pool is of no further use. */
  readonly failed: (error: unknown) => void;
}

interface Pending {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: unknown) => void;
}

/** A worker holds small objects only; its large buffers do not count here. */
const RESOURCE_LIMITS = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 128 };

export class PoolWorker {
  /** Jobs that only this worker may do, in order. */
  readonly pinned: Job[] = [];
  readonly #events: PoolWorkerEvents;
  readonly #worker: Worker;
  readonly #grantPort: MessagePort;
  readonly #signals: Int32Array;
  readonly #pending = new Map<number, Pending>();
  readonly #slots: (Job | undefined)[] = new Array<Job | undefined>(JOBS_PER_WORKER).fill(undefined);
  readonly #exited: Promise<void>;
  #nextId = 0;
  #grantsSent = 0;
  #grantsTaken = 0;
  #isClosing = false;

  constructor(url: URL, events: PoolWorkerEvents) {
    this.#events = events;
    const { port1, port2 } = new MessageChannel();
    this.#grantPort = port1;
    const signals = new SharedArrayBuffer(SIGNAL_WORDS * Int32Array.BYTES_PER_ELEMENT);
    this.#signals = new Int32Array(signals);
    const start: WorkerStart = { signals, grants: port2 };
    this.#worker = new Worker(url, {
      workerData: start, transferList: [port2], env: {}, argv: [], execArgv: [], resourceLimits: RESOURCE_LIMITS,
    });
    this.#worker.on('message', (message: FromWorker) => this.#receive(message));
    this.#worker.on('messageerror', error => this.#fail('sent a message that cannot be read', error));
    this.#worker.on('error', error => this.#fail('threw an error', error));
    this.#exited = new Promise(resolve => this.#worker.once('exit', code => {
      if (!this.#isClosing) this.#fail(`ended with code ${code}`, undefined);
      this.#grantPort.close();
      resolve();
    }));
  }

  get jobCount(): number {
    return this.#slots.filter(job => job !== undefined).length;
  }

  get hasFreeSlot(): boolean {
    return this.jobCount < JOBS_PER_WORKER;
  }

  /** As many new grants as bring the spare ones of the worker to `count`. */
  freshGrants(count: number): PackGrant[] {
    const grants: PackGrant[] = [];
    while (this.#grantsSent + grants.length - this.#grantsTaken < count) grants.push(moveGrant(this.#events.grant()));
    this.#grantsSent += grants.length;
    return grants;
  }

  request({ message, transfer }: Parcel<Request>): Promise<Reply> {
    return new Promise((resolve, reject) => this.#send({ message, transfer }, { resolve, reject }));
  }

  /** Needs a free slot. @throws what making the parcel throws, after the job was rejected with it */
  start(job: Job): void {
    const slot = this.#slots.indexOf(undefined);
    const parcel = this.#parcelOf(job, slot);
    this.#slots[slot] = job;
    Atomics.store(this.#signals, STOP_SIGNALS + slot, 0);
    job.abort = () => { Atomics.store(this.#signals, STOP_SIGNALS + slot, 1); };
    this.#send(parcel, {
      resolve: reply => {
        this.#slots[slot] = undefined;
        if (reply.kind === 'ingested') this.#grantsTaken = reply.grantsTaken;
        job.resolve(reply);
        this.#events.idle(this);
      },
      reject: error => {
        this.#slots[slot] = undefined;
        job.reject(job.signal?.aborted === true ? cancelled(job.signal) : error);
        if (!this.#isClosing) this.#events.idle(this);
      },
    });
  }

  /** Ends the thread after what it does now, with its keys wiped. */
  async close(): Promise<void> {
    this.#isClosing = true;
    for (let slot = 0; slot < JOBS_PER_WORKER; slot++) Atomics.store(this.#signals, STOP_SIGNALS + slot, 1);
    this.#post({ kind: 'close' }, []);
    await this.#exited;
  }

  /** Ends the thread at once and fails everything that waits for it. */
  terminate(error: unknown): Promise<void> {
    this.#isClosing = true;
    this.rejectAll(error);
    void this.#worker.terminate();
    return this.#exited;
  }

  rejectAll(error: unknown): void {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of pending) reject(error);
    for (const job of this.pinned.splice(0)) job.reject(error);
  }

  #parcelOf(job: Job, slot: number): Parcel<Request> {
    try {
      return job.parcel(this, slot);
    } catch (error) {
      job.reject(error);
      throw error;
    }
  }

  #send({ message, transfer }: Parcel<Request>, pending: Pending): void {
    const id = this.#nextId++;
    this.#pending.set(id, pending);
    this.#post({ kind: 'request', id, request: message }, transfer);
  }

  #post(message: ToWorker, transfer: Parcel<Request>['transfer']): void {
    this.#worker.postMessage(message, transfer);
    if (message.kind !== 'request' || message.request.kind !== 'ingest') return;
    for (const grant of message.request.grants) grant.frameKey.fill(0);
  }

  #receive(message: FromWorker): void {
    try {
      this.#handle(message);
    } catch (error) {
      // The caller's sink or grant failed: frames would be lost, so nothing may go on.
      this.#events.failed(error);
    }
  }

  #handle(message: FromWorker): void {
    switch (message.kind) {
      case 'frames': return this.#events.sink().frames(message.frames);
      case 'pack-full': return this.#events.sink().packFull(message.pack);
      case 'grant-wanted': return this.#sendGrant();
      case 'reply': return this.#take(message.id)?.resolve(message.reply);
      case 'error': {
        const error = decodeError(message.error);
        if (error.code !== 'CANCELLED') this.#events.failed(error);
        this.#take(message.id)?.reject(error);
      }
    }
  }

  #sendGrant(): void {
    const grant = moveGrant(this.#events.grant());
    this.#grantsSent++;
    this.#grantPort.postMessage(grant);
    grant.frameKey.fill(0);
    Atomics.add(this.#signals, GRANT_SIGNAL, 1);
    Atomics.notify(this.#signals, GRANT_SIGNAL);
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }

  #fail(what: string, cause: unknown): void {
    this.#events.failed(new SnapError('WORKER_FAILED', `A worker thread ${what}`, {
      cause, hint: 'Run the command again: what was stored is found and not stored twice',
    }));
  }
}
