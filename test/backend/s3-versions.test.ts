import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { systemClock, systemRandom } from '../../src/base/ambient.ts';
import { utf8 } from '../../src/base/bytes.ts';
import type { Backend, ObjectHistory } from '../../src/backend/backend.ts';
import { openBackend } from '../../src/backend/open.ts';
import { codeOf, listedNames } from '../conformance/backend.ts';
import { FakeS3 } from '../support/fake-s3.ts';

const ambient = { clock: systemClock, random: systemRandom };
let server: FakeS3;
let backend: Backend;
let history: ObjectHistory;

/** A moment with nothing at its sides. */
async function moment(): Promise<number> {
  await systemClock.sleep(15);
  const now = Date.now();
  await systemClock.sleep(15);
  return now;
}

async function open(options: Parameters<typeof FakeS3.start>[0]): Promise<void> {
  server = await FakeS3.start({ versions: true, pageSize: 3, ...options });
  onTestFinished(() => server.close());
  const opened = await openBackend(server.location(), ambient);
  onTestFinished(() => opened.backend.close());
  backend = opened.backend;
  history = opened.history!;
}

beforeEach(() => open({}));

const past = async (asOf: number): Promise<Backend> => {
  const { backend: view } = await openBackend(server.location(), { ...ambient, asOf });
  onTestFinished(() => view.close());
  return view;
};

async function changes(time: number): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for await (const { name, kind } of history.changesSince(time)) found[name] = kind;
  return found;
}

describe('a bucket with versions', () => {
  test('shows every object as it was, however often it was removed and replaced since', async () => {
    for (const name of ['index/a', 'index/b', 'index/c', 'packs/d/00/1']) await backend.create(name, [utf8(name)]);
    const before = await moment();
    await backend.remove('index/a');
    await backend.create('index/d', [utf8('new')]);
    server.plant('prefix/index/b', 'not seen'); // without a version: as another program would, before versions were kept
    await backend.remove('index/c');
    await backend.create('index/c', [utf8('other')]);
    for (let i = 0; i < 5; i++) {
      await backend.remove('packs/d/00/1');
      await backend.create('packs/d/00/1', [utf8(`again ${i}`)]);
    }
    const view = await past(before);
    expect(await listedNames(view, '')).toEqual(expect.arrayContaining(['index/a', 'index/b', 'index/c', 'packs/d/00/1']));
    expect((await listedNames(view, '')).length).toBe(4);
    expect((await listedNames(view, 'index/')).sort()).toEqual(['index/a', 'index/b', 'index/c']);
    for (const name of ['index/a', 'index/b', 'index/c', 'packs/d/00/1']) expect(await view.read(name)).toEqual(utf8(name));
    expect(await codeOf(view.read('index/d'))).toBe('OBJECT_NOT_FOUND');
    expect(await view.read('packs/d/00/1', { offset: 2, length: 3 })).toEqual(utf8('cks'));
    expect(await view.read('packs/d/00/1', { offset: 2, length: 0 })).toEqual(utf8(''));
    expect(await codeOf(view.read('packs/d/00/1', { offset: 2, length: 300 }))).toBe('INVALID_RANGE');
    expect(await view.stat('index/a')).toMatchObject({ name: 'index/a', sizeBytes: 7 });
  });

  test('a view reads without having listed, and an object that was removed at that time is not there', async () => {
    await backend.create('index/a', [utf8('a')]);
    await backend.create('index/ab', [utf8('ab')]);
    const before = await moment();
    await backend.remove('index/a');
    const between = await moment();
    await backend.create('index/a', [utf8('later')]);
    expect(await (await past(before)).read('index/a')).toEqual(utf8('a'));
    expect(await codeOf((await past(between)).read('index/a'))).toBe('OBJECT_NOT_FOUND');
    expect(await listedNames(await past(between), 'index/')).toEqual(['index/ab']);
  });

  test('a view cannot be changed', async () => {
    const view = await past(await moment());
    for (const call of [view.create('a', [utf8('x')]), view.createIfAbsent('a', utf8('x')), view.remove('a')]) expect(await codeOf(call)).toBe('DENIED');
    expect(view.capabilities.canRemove).toBe(false);
    expect(view.location).toContain('as of 20');
  });

  test('what changed since is told, and put back as a new version, once', async () => {
    for (const name of ['index/a', 'index/b', 'index/c']) await backend.create(name, [utf8(name)]);
    const before = await moment();
    await backend.remove('index/a');
    await backend.remove('index/b');
    await backend.create('index/b', [utf8('forged')]);
    await backend.create('index/new', [utf8('new')]);
    await systemClock.sleep(15);
    expect(await changes(before)).toEqual({ 'index/a': 'missing', 'index/b': 'other', 'index/new': 'new' });
    for (const name of ['index/a', 'index/b']) await history.putBack(name, before);
    expect(await backend.read('index/a')).toEqual(utf8('index/a'));
    expect(await backend.read('index/b')).toEqual(utf8('index/b'));
    expect(await changes(before)).toEqual({ 'index/new': 'new' });
    expect(await codeOf(history.putBack('index/new', before))).toBe('OBJECT_NOT_FOUND');
  });

  test('an interrupted or wrong answer is no past', async () => {
    await backend.create('index/a', [utf8('a')]);
    const before = await moment();
    server.plan({ on: 'LIST', effect: 'portal' }, { on: 'LIST', effect: 'answer', status: 503, code: 'SlowDown' });
    expect(await listedNames(await past(before), '')).toEqual(['index/a']);
    server.assertAllHit();
  });
});

test('a bucket without versions is refused clearly', async () => {
  await open({ versions: false });
  await expect(past(Date.now())).rejects.toMatchObject({ code: 'UNSUPPORTED_STORE', message: expect.stringContaining('keeps no versions') });
  await expect(changes(Date.now())).rejects.toMatchObject({ code: 'UNSUPPORTED_STORE' });
});

test('so is a folder', async () => {
  await expect(openBackend('/tmp', { ...ambient, asOf: 1 })).rejects.toMatchObject({ code: 'UNSUPPORTED_STORE', hint: expect.stringContaining('snapshots of its file system') });
});
