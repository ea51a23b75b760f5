import { beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../src/base/ambient.ts';
import { utf8 } from '../../src/base/bytes.ts';
import { MemoryBackend } from '../../src/backend/memory.ts';
import { createSettled } from '../../src/repository/settled-write.ts';
import { codeOf } from '../conformance/backend.ts';
import { FaultyBackend } from '../support/faulty-backend.ts';

let memory: MemoryBackend;
let faulty: FaultyBackend;
beforeEach(() => {
  memory = new MemoryBackend({ clock: systemClock });
  faulty = new FaultyBackend(memory);
});

test('says who was first', async () => {
  expect(await createSettled(faulty, 'sessions/1', utf8('own'))).toBe('created');
  expect(await createSettled(faulty, 'sessions/1', utf8('other'))).toBe('exists');
});
test('an own object whose answer was lost is recognised', async () => {
  faulty.plan({ verb: 'createIfAbsent', effect: 'fail-after' });
  expect(await createSettled(faulty, 'sessions/1', utf8('own'))).toBe('created');
});
test('the object of another is never taken for an own one', async () => {
  await memory.create('sessions/1', [utf8('other')]);
  faulty.plan({ verb: 'createIfAbsent', effect: 'fail-after' });
  expect(await createSettled(faulty, 'sessions/1', utf8('own'))).toBe('exists');
});
test('what never arrived stays an error, and so does a look that fails', async () => {
  faulty.plan({ verb: 'createIfAbsent', effect: 'fail-after' });
  faulty.plan({ verb: 'read', effect: 'fail-before', code: 'DENIED' });
  expect(await codeOf(createSettled(faulty, 'sessions/1', utf8('own')))).toBe('DENIED');
  faulty.plan({ verb: 'createIfAbsent', effect: 'fail-after' });
  faulty.plan({ verb: 'read', effect: 'fail-before', code: 'OBJECT_NOT_FOUND' });
  expect(await codeOf(createSettled(faulty, 'sessions/1', utf8('own')))).toBe('UNAVAILABLE');
});
test('other failures are passed on', async () => {
  faulty.plan({ verb: 'createIfAbsent', effect: 'fail-before' });
  expect(await codeOf(createSettled(faulty, 'sessions/1', utf8('own')))).toBe('UNAVAILABLE');
  expect(await codeOf(memory.read('sessions/1'))).toBe('OBJECT_NOT_FOUND');
});
