/** Registers a session in the store, keeps it alive with heartbeats, and removes it (repository design, W1, W5, W9, R1). */
import { SnapError } from '../base/errors.ts';
import type { CallOptions } from '../base/call-options.ts';
import { OBJECT_TYPES } from '../format/header.ts';
import { sessionIdFromBytes, type HostId, type SessionId } from '../format/ids.ts';
import { heartbeatName, sessionName } from '../format/object-names.ts';
import { encodeHeartbeat, encodeSession, type Pin, type SessionKind } from '../format/session.ts';
import { assertDecidesRaces } from './commit.ts';
import type { OpenRepository } from './opened-repository.ts';
import { createSettled } from './settled-write.ts';

export const HEARTBEAT_MS: number = 15 * 60 * 1000;

/** Who runs the session, for people who look at the repository. */
export interface SessionOwner {
  readonly host: string;
  readonly hostId: HostId;
  readonly user: string;
  readonly processId: number;
  readonly program: string;
}

export class Registration {
  readonly id: SessionId;
  readonly #repository: OpenRepository;
  readonly #stopHeartbeat: () => void;
  #heartbeats = 0;
  #beating: Promise<void> = Promise.resolve();
  #failure: unknown;

  private constructor(repository: OpenRepository, id: SessionId) {
    this.id = id;
    this.#repository = repository;
    this.#stopHeartbeat = repository.clock.every(HEARTBEAT_MS, () => { this.#beating = this.#beat(); });
  }

  /** Resolves when the session is durably there: only now may anything be read. */
  static async register(
    repository: OpenRepository, kind: SessionKind, owner: SessionOwner, pins: readonly Pin[] = [], options: CallOptions = {},
  ): Promise<Registration> {
    const { backend, objects, clock, random } = repository;
    const id = sessionIdFromBytes(random.bytes(16));
    const body = encodeSession({ ...owner, kind, startedAt: clock.now(), pins });
    const bytes = objects.seal(sessionName(id), OBJECT_TYPES.session, body);
    if (await createSettled(backend, sessionName(id), bytes, options) === 'exists') {
      throw new SnapError('OBJECT_CONFLICT', `A session with the new random ID '${id}' exists already`);
    }
    // An adapter may learn by its first write what the store cannot do; better now than at the commit.
    const registration = new Registration(repository, id);
    if (kind === 'writer') await registration.#endUnlessRacesAreDecided();
    return registration;
  }

  async #endUnlessRacesAreDecided(): Promise<void> {
    const { backend, config } = this.#repository;
    try {
      assertDecidesRaces(backend, config.storeMode);
    } catch (error) {
      await this.end();
      throw error;
    }
  }

  async #beat(): Promise<void> {
    const { backend, objects, clock } = this.#repository;
    const count = this.#heartbeats++;
    const name = heartbeatName(this.id, count);
    try {
      await objects.save(backend, name, OBJECT_TYPES.heartbeat, encodeHeartbeat({ count, createdAt: clock.now() }));
    } catch (error) {
      this.#failure ??= error;
    }
  }

  /** A heartbeat that could not be written is a repository error like any other. @throws the first failure */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** No more signs of life, but the session stays in the store: the next prune decides what becomes of it. */
  async leave(): Promise<void> {
    this.#stopHeartbeat();
    await this.#beating;
  }

  /**
   * Best effort, as the protocol allows: an administrator or the next prune removes what stays. Returns the error of a
   * store that refused, for the report.
   */
  async end(): Promise<unknown> {
    await this.leave();
    const { backend } = this.#repository;
    if (!backend.capabilities.canRemove) return undefined;
    try {
      for (let count = 0; count < this.#heartbeats; count++) await backend.remove(heartbeatName(this.id, count));
      await backend.remove(sessionName(this.id));
      return undefined;
    } catch (error) {
      return error;
    }
  }
}
