/** What a worker does with its messages: one request after the other, each run to completion. */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { Random } from '../base/ambient.ts';
import { cancelled, invariant } from '../base/errors.ts';
import type { NativeFileSystem } from '../base/native-filesystem.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { ClaimTable } from './claim-table.ts';
import type { PackGrant } from './engine.ts';
import { Extract } from './extract.ts';
import { Ingest, type OpenedKnownChunks, type OpenKnownChunks, type StopCheck } from './ingest.ts';
import {
  encodeError, type FromWorker, GRANT_SIGNAL, type Parcel, parcelFrames, parcelReply, releaseRequest, type Reply, type Request, STOP_SIGNALS, type ToWorker,
  type WorkerStart,
} from './messages.ts';

export interface WorkerParts {
  readonly kernel: Kernel;
  readonly native: NativeFileSystem;
  readonly random: Random;
  readonly openKnownChunks: OpenKnownChunks;
}

type BeginIngest = Request & { readonly kind: 'begin-ingest' };

export class WorkerService {
  readonly #parts: WorkerParts;
  readonly #port: MessagePort;
  readonly #grantPort: MessagePort;
  readonly #signals: Int32Array;
  readonly #spareGrants: PackGrant[] = [];
  #grantsTaken = 0;
  #knownChunks: OpenedKnownChunks | undefined;
  #ingest: Ingest | undefined;
  #extract: Extract | undefined;

  constructor(start: WorkerStart, port: MessagePort, parts: WorkerParts) {
    this.#parts = parts;
    this.#port = port;
    this.#grantPort = start.grants;
    this.#signals = new Int32Array(start.signals);
    // A request that does not wait is answered before the next message is taken.
    port.on('message', (message: ToWorker) => void this.#receive(message));
  }

  async #receive(message: ToWorker): Promise<void> {
    if (message.kind === 'close') return this.#close();
    let reply: Reply;
    try {
      reply = message.request.kind === 'begin-ingest' ? await this.#beginIngest(message.request) : this.#answer(message.request);
    } catch (error) {
      this.#post({ message: { kind: 'error', id: message.id, error: encodeError(error) }, transfer: [] });
      return;
    } finally {
      releaseRequest(message.request);
    }
    this.#post(parcelReply(message.id, reply));
  }

  #answer(request: Exclude<Request, BeginIngest>): Reply {
    switch (request.kind) {
      case 'ingest': {
        invariant(this.#ingest !== undefined, 'A batch arrived before the setup');
        this.#spareGrants.push(...request.grants);
        const result = this.#ingest.run(request.batch, this.#stopCheck(request.slot));
        return { kind: 'ingested', result, grantsTaken: this.#grantsTaken };
      }
      case 'end-ingest':
        this.#ingest?.end();
        this.#wipeGrants();
        return { kind: 'nothing' };
      case 'begin-extract':
        this.#extract = new Extract(this.#parts.kernel, request.keys);
        request.keys.data.fill(0);
        request.keys.tree.fill(0);
        return { kind: 'nothing' };
      case 'extract': {
        invariant(this.#extract !== undefined, 'Frames arrived before the keys');
        const frames = this.#extract.run(request.batch, this.#stopCheck(request.slot));
        request.batch.frameKey.fill(0);
        return { kind: 'extracted', frames };
      }
    }
  }

  async #beginIngest({ setup, index, claims, openPacks }: BeginIngest): Promise<Reply> {
    const { kernel, native, random, openKnownChunks } = this.#parts;
    this.#knownChunks = await openKnownChunks(index);
    this.#ingest = new Ingest(setup, {
      kernel, native, random, openPacks,
      knownChunks: this.#knownChunks,
      claims: new ClaimTable(claims),
      takeGrant: () => this.#takeGrant(),
      sink: {
        frames: frames => this.#post(parcelFrames(frames)),
        packFull: pack => this.#post({ message: { kind: 'pack-full', pack }, transfer: [] }),
      },
    });
    setup.idKey.fill(0);
    return { kind: 'nothing' };
  }

  #stopCheck(slot: number): StopCheck {
    return () => {
      if (Atomics.load(this.#signals, STOP_SIGNALS + slot) !== 0) throw cancelled();
    };
  }

  /** A spare grant, or one more from the pool, for which this thread waits in the middle of its batch. */
  #takeGrant(): PackGrant {
    this.#grantsTaken++;
    const spare = this.#spareGrants.shift();
    if (spare !== undefined) return spare;
    const seen = Atomics.load(this.#signals, GRANT_SIGNAL);
    this.#post({ message: { kind: 'grant-wanted' }, transfer: [] });
    Atomics.wait(this.#signals, GRANT_SIGNAL, seen);
    const received = receiveMessageOnPort(this.#grantPort);
    invariant(received !== undefined, 'No grant came with the signal');
    return received.message as PackGrant;
  }

  async #close(): Promise<void> {
    this.#ingest?.wipe();
    this.#wipeGrants();
    await this.#knownChunks?.close();
    this.#grantPort.close();
    this.#port.close();
  }

  #wipeGrants(): void {
    for (const grant of this.#spareGrants.splice(0)) grant.frameKey.fill(0);
  }

  #post({ message, transfer }: Parcel<FromWorker>): void {
    this.#port.postMessage(message, transfer);
  }
}
