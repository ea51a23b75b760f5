import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/ambient.ts';
import { utf8 } from '../../src/base/bytes.ts';
import { MemoryBackend } from '../../src/backend/memory.ts';
import { backendConformance, codeOf, listedNames } from '../conformance/backend.ts';
import { FaultyBackend, type PlannedFault } from './faulty-backend.ts';
import { RecordingBackend } from './recording-backend.ts';
import { TestClock } from './test-clock.ts';

const abilities = { createIfAbsent: 'atomic', canRemove: true, clockToleranceMs: 10_000 } as const;
backendConformance('FaultyBackend without faults', async () => {
  const memory = new MemoryBackend({ clock: systemClock });
  return { open: async () => new FaultyBackend(memory), dispose: async () => undefined };
}, abilities);
backendConformance('RecordingBackend', async () => {
  const memory = new MemoryBackend({ clock: systemClock });
  return { open: async () => new RecordingBackend(memory, { clock: systemClock }), dispose: async () => undefined };
}, abilities);

describe('FaultyBackend', () => {
  const make = async (...faults: PlannedFault[]): Promise<{ memory: MemoryBackend; faulty: FaultyBackend }> => {
    const memory = new MemoryBackend({ clock: new TestClock() });
    await memory.create('index/1', [new Uint8Array(10)]);
    return { memory, faulty: new FaultyBackend(memory, faults) };
  };
  test('fails before the effect', async () => {
    const { memory, faulty } = await make({ verb: 'create', effect: 'fail-before' }, { verb: 'remove', effect: 'fail-before', code: 'DENIED' });
    expect(await codeOf(faulty.create('a', [utf8('x')]))).toBe('UNAVAILABLE');
    expect(await codeOf(faulty.remove('index/1'))).toBe('DENIED');
    expect(await listedNames(memory)).toEqual(['index/1']);
    faulty.assertAllHit();
  });
  test('fails after the effect and says so', async () => {
    const { memory, faulty } = await make({ verb: 'createIfAbsent', effect: 'fail-after' });
    await expect(faulty.createIfAbsent('a', utf8('x'))).rejects.toMatchObject({ code: 'UNAVAILABLE', context: { effectUnknown: 1 } });
    expect(await memory.read('a')).toEqual(utf8('x'));
  });
  test('has no space', async () => {
    const { faulty } = await make({ verb: 'create', effect: 'no-space', name: /^packs\// });
    await faulty.create('a', [utf8('x')]);
    expect(await codeOf(faulty.create('packs/d/3f/1', [utf8('x')]))).toBe('NO_SPACE');
  });
  test('truncates and flips what is read, not what is stored', async () => {
    const { memory, faulty } = await make({ verb: 'read', effect: 'truncate', keepBytes: 3 }, { verb: 'read', effect: 'flip', byte: 2, bit: 7 });
    expect(await faulty.read('index/1')).toHaveLength(3);
    expect([...await faulty.read('index/1')]).toEqual([0, 0, 128, 0, 0, 0, 0, 0, 0, 0]);
    expect(await faulty.read('index/1')).toEqual(await memory.read('index/1'));
  });
  test('strikes the planned call as often as planned', async () => {
    const { faulty } = await make({ verb: 'stat', effect: 'fail-before', name: 'index/1', after: 1, times: 2 });
    const codes: string[] = [];
    for (let i = 0; i < 4; i++) codes.push(await codeOf(faulty.stat('index/1')));
    expect(codes).toEqual(['no error', 'UNAVAILABLE', 'UNAVAILABLE', 'no error']);
  });
  test('a fault that never struck fails the test', async () => {
    const { faulty } = await make({ verb: 'list', effect: 'fail-before', name: 'packs/' });
    await listedNames(faulty, 'index/');
    expect(() => faulty.assertAllHit()).toThrow(/fail-before of list 'packs\/': 1 left/);
  });
  test('damage is planned for reads only', async () => expect(make({ verb: 'create', effect: 'flip' })).rejects.toThrow(TypeError));
});

describe('RecordingBackend', () => {
  const record = async (): Promise<RecordingBackend> => {
    const clock = new TestClock();
    const memory = new MemoryBackend({ clock });
    await memory.create('config', [utf8('config')]);
    const faulty = new FaultyBackend(memory, [{ verb: 'createIfAbsent', effect: 'fail-after', name: 'gc/2' }, { verb: 'create', effect: 'fail-before', name: 'lost' }]);
    const recording = new RecordingBackend(faulty, { clock, initial: memory.snapshotState() });
    await recording.create('index/1', [utf8('a'), utf8('b')]);
    await recording.createIfAbsent('gc/1', utf8('first'));
    await recording.createIfAbsent('gc/1', utf8('second'));
    await codeOf(recording.createIfAbsent('gc/2', utf8('doubt')));
    await codeOf(recording.create('lost', [utf8('x')]));
    await recording.read('index/1');
    await listedNames(recording, 'gc/');
    await recording.remove('index/1');
    return recording;
  };
  test('writes down every operation, its bytes, order and outcome', async () => {
    const { operations } = await record();
    expect(operations.map(({ verb, name, sizeBytes, outcome }) => [verb, name, sizeBytes, outcome])).toEqual([
      ['create', 'index/1', 2, 'done'], ['createIfAbsent', 'gc/1', 5, 'created'], ['createIfAbsent', 'gc/1', 6, 'exists'],
      ['createIfAbsent', 'gc/2', 5, 'unknown'], ['create', 'lost', 1, 'failed'], ['read', 'index/1', 2, 'done'], ['list', 'gc/', 0, 'done'],
      ['remove', 'index/1', 0, 'done'],
    ]);
    expect(operations[0]!.bytes).toEqual(utf8('ab'));
    expect(operations.every(({ startedAt, finishedAt }) => finishedAt === startedAt + 1)).toBe(true);
  });
  test('replays every prefix', async () => {
    const recording = await record();
    const replays = await Promise.all([0, 1, 2, 3].map(async count => listedNames(await recording.replayPrefix(count))));
    expect(replays).toEqual([['config'], ['config', 'index/1'], ['config', 'gc/1', 'index/1'], ['config', 'gc/1']]);
    expect(await (await recording.replayPrefix(2)).read('gc/1')).toEqual(utf8('first'));
    await expect(recording.replayPrefix(4)).rejects.toThrow(RangeError);
  });
  test('knows what was in flight and can replay it too', async () => {
    const recording = await record();
    expect(recording.inFlightAfter(2)).toEqual([]);
    expect(recording.inFlightAfter(3).map(each => each.name)).toEqual(['gc/2']);
    expect(await listedNames(await recording.replayPrefix(3, recording.inFlightAfter(3)))).toEqual(['config', 'gc/1', 'gc/2']);
  });
  test('operations at once are in flight for each other', async () => {
    const clock = new TestClock();
    const recording = new RecordingBackend(new MemoryBackend({ clock }), { clock });
    await Promise.all(['a', 'b', 'c'].map(name => recording.create(name, [utf8(name)])));
    expect(recording.changes.map(each => each.name)).toEqual(['a', 'b', 'c']);
    expect(recording.inFlightAfter(1).map(each => each.name)).toEqual(['b', 'c']);
    expect(recording.inFlightAfter(3)).toEqual([]);
  });
});
