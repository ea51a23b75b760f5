/** Object Lock (repository design, section 15): what stays in a repository is locked when it is stored, and longer while it is needed. */
import { PutObjectRetentionCommand, type PutObjectCommandInput } from '@aws-sdk/client-s3';
import type { CallOptions, ObjectLocks } from './backend.ts';
import { assertObjectName } from './object-arguments.ts';
import type { Failure } from './object-errors.ts';
import type { ObjectLockSettings } from './s3-client.ts';
import type { S3Place } from './s3-versions.ts';

/** Gone within hours, or written anew and merged: a lock would only cost. */
const UNLOCKED_PREFIXES = ['sessions/', 'probe/', 'ledger/', 'replicas/'];
const DAY_MS = 24 * 60 * 60 * 1000;
const MODES = { governance: 'GOVERNANCE', compliance: 'COMPLIANCE' } as const;

/** @param now by the clock of this machine, ms since 1970 */
export function lockOf(name: string, settings: ObjectLockSettings | undefined, now: number): Pick<PutObjectCommandInput, 'ObjectLockMode' | 'ObjectLockRetainUntilDate'> {
  if (settings === undefined || UNLOCKED_PREFIXES.some(prefix => name.startsWith(prefix))) return {};
  return { ObjectLockMode: MODES[settings.mode], ObjectLockRetainUntilDate: new Date(now + settings.days * DAY_MS) };
}

export class S3Locks implements ObjectLocks {
  readonly days: number;
  readonly #place: S3Place;
  readonly #settings: ObjectLockSettings;

  constructor(place: S3Place, settings: ObjectLockSettings) {
    this.#place = place;
    this.#settings = settings;
    this.days = settings.days;
  }

  isLocked(name: string): boolean {
    return !UNLOCKED_PREFIXES.some(prefix => name.startsWith(prefix));
  }

  async extend(name: string, until: number, { signal }: CallOptions = {}): Promise<void> {
    assertObjectName(name);
    const { connection, bucket, prefix, location } = this.#place;
    const failure: Failure = { verb: 'lock', location, name };
    const retention = { Mode: MODES[this.#settings.mode], RetainUntilDate: new Date(until) };
    const command = new PutObjectRetentionCommand({ Bucket: bucket, Key: prefix + name, Retention: retention });
    await connection.request(failure, { kind: 'put', signal }, (client, send) => client.send(command, send));
  }
}
