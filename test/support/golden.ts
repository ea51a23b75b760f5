/** The golden repositories, as they were recorded when they were made, and as backends in memory. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../src/base/ambient.ts';
import { Secret } from '../../src/base/secret.ts';
import { MemoryBackend, type MemoryState } from '../../src/backend/memory.ts';
import type { Credential } from '../../src/repository/opened-repository.ts';
import type { RecordedTree } from '../golden/generate/record-tree.mjs';

const FOLDER = fileURLToPath(new URL('../golden/repositories', import.meta.url));

export interface GoldenSnapshot {
  readonly startedAt: readonly [number, number];
  readonly kind: string;
  readonly tags: readonly string[];
  readonly description?: string;
  readonly tree: RecordedTree;
}

export interface GoldenRecord {
  readonly id: string;
  readonly suite: number;
  readonly password: string;
  /** Key file, hexadecimal. */
  readonly key: string;
  readonly sourcePath: string;
  /** User and group ID of every entry. */
  readonly owner: number;
  /** By path and name; hexadecimal. */
  readonly xattrs: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** SHA-256 of every file by its name. */
  readonly objects: Readonly<Record<string, string>>;
  /** Oldest first. */
  readonly snapshots: readonly GoldenSnapshot[];
}

export const GOLDEN_NAMES = ['format-1-suite-1', 'format-1-suite-2'] as const;
export type GoldenName = (typeof GOLDEN_NAMES)[number];

export function goldenFolder(name: GoldenName): string {
  return join(FOLDER, name);
}

export function goldenRecord(name: GoldenName): GoldenRecord {
  return JSON.parse(readFileSync(`${goldenFolder(name)}.json`, 'utf8')) as GoldenRecord;
}

export function goldenCredential({ key }: GoldenRecord): Credential {
  return { kind: 'keyfile', key: new Secret(new Uint8Array(Buffer.from(key, 'hex'))) };
}

/** Every file below a folder, relative to it, sorted. */
export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name).slice(folder.length + 1)).sort();
}

export function digestsBelow(folder: string): Record<string, string> {
  return Object.fromEntries(filesBelow(folder).map(name => [name, createHash('sha256').update(readFileSync(join(folder, name))).digest('hex')]));
}

export function goldenState(name: GoldenName): MemoryState {
  const folder = goldenFolder(name);
  // The time of storage of a checked out file says nothing.
  const storedAt = systemClock.now();
  return new Map(filesBelow(folder).map(file => [file, { bytes: new Uint8Array(readFileSync(join(folder, file))), storedAt }]));
}

export function goldenBackend(name: GoldenName): MemoryBackend {
  return MemoryBackend.fromState(goldenState(name), { clock: systemClock });
}
