import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/ambient.ts';
import { MemoryBackend } from '../../src/backend/memory.ts';
import { forgetSnapshot } from '../../src/repository/forget.ts';
import { ReadingSession } from '../../src/repository/reading-session.ts';
import { loadSnapshots } from '../../src/repository/snapshots.ts';
import { backupPath, makeRepository, OWNER, reopen, temporaryDirectory } from '../support/memory-repository.ts';
import { RecordingBackend, type RecordedOperation } from '../support/recording-backend.ts';

const SNAPSHOTS = 40;

/** A read takes a turn of the event loop, as everywhere but in memory. */
class UnhurriedBackend extends MemoryBackend {
  override async read(...args: Parameters<MemoryBackend['read']>): Promise<Uint8Array<ArrayBuffer>> {
    await new Promise(resolve => { setImmediate(resolve); });
    return super.read(...args);
  }
}

async function withSnapshots(): Promise<MemoryBackend> {
  const backend = new UnhurriedBackend({ clock: systemClock });
  const repository = await makeRepository(backend);
  const root = temporaryDirectory();
  for (let i = 0; i < SNAPSHOTS; i++) {
    writeFileSync(join(root, 'file'), `state ${i}`);
    await backupPath(repository, root);
  }
  return backend;
}

const isAt = (prefix: string, verbs: string[]) => ({ verb, name }: RecordedOperation): boolean => verbs.includes(verb) && name.startsWith(prefix);
const last = (operations: readonly RecordedOperation[]): number => Math.max(...operations.map(each => each.finishedAt!));
const first = (operations: readonly RecordedOperation[]): number => Math.min(...operations.map(each => each.startedAt));

describe('A reading session', () => {
  test('pins first, then looks at its snapshots several at once, and only then at index and packs', async () => {
    const repository = await reopen(await withSnapshots());
    const { snapshots } = await loadSnapshots(repository);
    const recording = new RecordingBackend(repository.backend, { clock: systemClock });
    const reading = await reopen(recording);
    const before = recording.operations.length;
    await (await ReadingSession.begin(reading, OWNER, snapshots)).end();
    const operations = recording.operations.slice(before);
    const pins = operations.filter(isAt('sessions/', ['create', 'createIfAbsent']));
    const looks = operations.filter(isAt('snapshots/', ['read', 'stat']));
    const views = operations.filter(({ verb, name }) => verb === 'list' && /^(gc|index|packs)\//.test(name));
    expect(new Set(looks.map(each => each.name)).size).toBe(SNAPSHOTS);
    expect(last(pins)).toBeLessThan(first(looks));
    expect(last(looks)).toBeLessThan(first(views));
    const mostAtOnce = Math.max(...looks.map(each => looks.filter(other => other.startedAt <= each.startedAt && other.finishedAt! > each.startedAt).length));
    expect(mostAtOnce).toBeGreaterThan(4);
    expect(mostAtOnce).toBeLessThanOrEqual(16);
  });

  test('does not begin when one of many snapshots was forgotten in the meantime, and leaves no pin', async () => {
    const backend = await withSnapshots();
    const repository = await reopen(backend);
    const { snapshots } = await loadSnapshots(repository);
    await forgetSnapshot(repository, snapshots[SNAPSHOTS / 2]!.id, 'test');
    await expect(ReadingSession.begin(repository, OWNER, snapshots)).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' });
    const sessions: string[] = [];
    for await (const { name } of backend.list('sessions/')) sessions.push(name);
    expect(sessions).toEqual([]);
  });
});
