import { expect, test } from 'vitest';
import { systemClock } from '../../src/base/ambient.ts';
import { utf8 } from '../../src/base/bytes.ts';
import { MemoryBackend } from '../../src/backend/memory.ts';
import { parseSessionId } from '../../src/format/ids.ts';
import { commitRecord } from '../../src/repository/commit.ts';
import { Registration } from '../../src/repository/registration.ts';
import { codeOf, listedNames } from '../conformance/backend.ts';
import { makeRepository, memoryBackend, OWNER, reopen } from '../support/memory-repository.ts';

/** The same objects through something that does not decide races, such as an SFTP server without hard links. */
function weaker(backend: MemoryBackend): MemoryBackend {
  return MemoryBackend.fromState(backend.snapshotState(), { clock: systemClock, createIfAbsent: 'none' });
}

test('a writer does not begin where races are not decided any more, and leaves no session', async () => {
  const backend = memoryBackend();
  await makeRepository(backend);
  const weak = weaker(backend);
  expect(await codeOf(Registration.register(await reopen(weak), 'writer', OWNER))).toBe('UNSUPPORTED_STORE');
  expect(await listedNames(weak, 'sessions/')).toEqual([]);
});
test('a reader does', async () => {
  const backend = memoryBackend();
  await makeRepository(backend);
  const registration = await Registration.register(await reopen(weaker(backend)), 'reader', OWNER);
  expect(await registration.end()).toBeUndefined();
});
test('nothing is committed there', async () => {
  const weak = weaker(memoryBackend());
  expect(await codeOf(commitRecord(weak, 'create-only', parseSessionId('5e'.repeat(16)), utf8('record')))).toBe('UNSUPPORTED_STORE');
  expect(await listedNames(weak)).toEqual([]);
});
test('a repository that was made there works there', async () => {
  const backend = new MemoryBackend({ clock: systemClock, createIfAbsent: 'none' });
  const registration = await Registration.register(await makeRepository(backend), 'writer', OWNER);
  await registration.end();
  expect(await commitRecord(backend, 'fallback', parseSessionId('5e'.repeat(16)), utf8('record'))).toBe('committed');
});
