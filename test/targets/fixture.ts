/** Short forms for tests of targets: entries, a fresh directory, and a restore that is begun and closed. */
import { mkdtempSync, realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { utf8 } from '../../src/base/bytes.ts';
import { type NativeFileSystem, nativeFileSystem } from '../../src/base/native-filesystem.ts';
import { FilesTarget, type FilesTargetOptions } from '../../src/targets/files.ts';
import {
  isTargetProblem, ROOT_DIRECTORY, type TargetHandle, type TargetOptions, type TargetProblem, type TreeTarget,
} from '../../src/targets/target.ts';
import type { Entry } from '../../src/format/tree-node.ts';
import { chunkIdFromBytes } from '../../src/format/ids.ts';
import { removeTree } from '../support/oddities.ts';

export const isRoot = process.getuid?.() === 0;
export const MTIME = [1_600_000_000, 123_456_789] as const;
export const OLDER = [1_500_000_000, 1] as const;
export const NODE_ID = chunkIdFromBytes(new Uint8Array(32));

/** A path that does not exist, in a directory of its own that goes away with the test. */
export function freshPath(): string {
  const parent = realpathSync(mkdtempSync(join(tmpdir(), 'snap-target-')));
  onTestFinished(() => removeTree(parent));
  return join(parent, 'target');
}

export type Fields = Partial<Entry> & { readonly name?: Uint8Array };

export function fileEntry(name: string, size: number, fields: Fields = {}): Entry {
  return { name: utf8(name), type: 'file', mode: 0o644, mtime: MTIME, flags: 0, sizeBytes: size, ...fields };
}

export function directoryEntry(name: string, fields: Fields = {}): Entry {
  return { name: utf8(name), type: 'directory', mode: 0o755, mtime: MTIME, flags: 0, directoryNode: NODE_ID, ...fields };
}

export function symlinkEntry(name: string, target: string, fields: Fields = {}): Entry {
  return { name: utf8(name), type: 'symlink', mode: 0o777, mtime: MTIME, flags: 0, linkTarget: utf8(target), ...fields };
}

/** Flushing a busy disk takes longer than all the rest of a test. */
export const unsyncedFileSystem: NativeFileSystem = { ...nativeFileSystem(), syncFileSystem: () => undefined };

export interface BegunTarget {
  readonly target: TreeTarget;
  /** Of metadata, in the order in which they were found. */
  readonly problems: TargetProblem[];
}

export async function begin(
  path: string, options: Partial<TargetOptions> = {}, more: Omit<FilesTargetOptions, 'path'> = {},
): Promise<BegunTarget> {
  const target = new FilesTarget({ path: Buffer.from(path), fileSystem: unsyncedFileSystem, ...more });
  return begun(target, options);
}

export async function begun(target: TreeTarget, options: Partial<TargetOptions> = {}): Promise<BegunTarget> {
  const problems: TargetProblem[] = [];
  await target.begin({
    overwrite: 'always', sparse: true, owner: true, dryRun: false, onProblem: problem => problems.push(problem), ...options,
  });
  onTestFinished(() => target.close());
  return { target, problems };
}

/** The handle, or the test fails with the problem. */
export function handleOf(result: TargetHandle | TargetProblem): TargetHandle {
  if (isTargetProblem(result)) throw result.error;
  return result;
}

export function codeOf(result: TargetHandle | TargetProblem | undefined): string | undefined {
  return result === undefined || !isTargetProblem(result) ? undefined : result.error.code;
}

/** One file below the root, complete; its problem if there is one. */
export function put(target: TreeTarget, name: string, content: string, fields: Fields = {}): TargetProblem | undefined {
  const bytes = utf8(content);
  return target.writeFile(ROOT_DIRECTORY, fileEntry(name, bytes.length, fields), [bytes]);
}

export async function finish(target: TreeTarget): Promise<TargetProblem[]> {
  const problems = await target.finish();
  await target.close();
  return problems;
}
