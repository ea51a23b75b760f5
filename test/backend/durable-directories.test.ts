import { describe, expect, test } from 'vitest';
import { directoryOf, DurableDirectories } from '../../src/backend/durable-directories.ts';
import { errnoError } from '../../src/backend/local-filesystem.ts';
import { SimulatedFileSystem } from '../support/simulated-filesystem.ts';

/** A file system whose syncs last until the test ends them. */
class SlowSyncs extends SimulatedFileSystem {
  readonly started: { path: string; end: (error?: Error) => void }[] = [];

  override syncDirectory(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.started.push({ path, end: error => error === undefined ? resolve() : reject(error) });
    });
  }
}

const settle = (): Promise<void> => new Promise(resolve => { setImmediate(resolve); });

describe('DurableDirectories', () => {
  test('calls that come while a sync runs share one that starts after it', async () => {
    const fileSystem = new SlowSyncs();
    const directories = new DurableDirectories(fileSystem, '/r');
    const done: number[] = [];
    const sync = (id: number): Promise<void> => directories.sync('a').then(() => { done.push(id); });
    const all = [sync(0), sync(1), sync(2)];
    await settle();
    expect(fileSystem.started).toHaveLength(1);
    fileSystem.started[0]!.end();
    await settle();
    expect(done).toEqual([0]);
    all.push(sync(3));
    expect(fileSystem.started).toHaveLength(2);
    fileSystem.started[1]!.end();
    await settle();
    expect(done).toEqual([0, 1, 2]);
    fileSystem.started[2]!.end();
    await Promise.all(all);
    expect(fileSystem.started.map(each => each.path)).toEqual(['/r/a', '/r/a', '/r/a']);
  });
  test('directories do not wait for each other', async () => {
    const fileSystem = new SlowSyncs();
    const directories = new DurableDirectories(fileSystem, '/r');
    const both = [directories.sync('a'), directories.sync('b'), directories.sync('')];
    expect(fileSystem.started.map(each => each.path)).toEqual(['/r/a', '/r/b', '/r']);
    for (const each of fileSystem.started) each.end();
    await Promise.all(both);
  });
  test('a failed sync fails those who asked for it, not those who come after', async () => {
    const fileSystem = new SlowSyncs();
    const directories = new DurableDirectories(fileSystem, '/r');
    const first = directories.sync('a').catch((error: Error) => error.message);
    const second = directories.sync('a');
    fileSystem.started[0]!.end(errnoError('EIO', 'broken'));
    expect(await first).toBe('EIO: broken');
    await settle();
    fileSystem.started[1]!.end();
    await second;
  });
  test('a directory that was ensured once costs no further call', async () => {
    const fileSystem = new SimulatedFileSystem();
    const calls: string[] = [];
    const directories = new DurableDirectories(new Proxy(fileSystem, {
      get: (target, key) => (...args: unknown[]) => {
        calls.push(`${String(key)} ${args.join(' ')}`);
        return Reflect.apply(Reflect.get(target, key) as () => unknown, target, args);
      },
    }), '');
    await Promise.all([directories.ensure('packs/d'), directories.ensure('packs/d'), directories.ensure('packs')]);
    expect(calls).toEqual(['makeDirectory /packs', 'syncDirectory ', 'makeDirectory /packs/d', 'syncDirectory /packs']);
    await directories.ensure('packs/d');
    await directories.ensure('');
    expect(calls).toHaveLength(4);
  });
  test('a directory that could not be made is tried again', async () => {
    const fileSystem = new SimulatedFileSystem();
    const directories = new DurableDirectories(fileSystem, '/r');
    await expect(directories.ensure('a')).rejects.toThrow('ENOENT');
    await fileSystem.makeDirectory('/r');
    await directories.ensure('a');
    expect(await fileSystem.readDirectory('/r')).toEqual([{ name: 'a', kind: 'directory' }]);
  });
  test.each([['', ''], ['config', ''], ['gc/1', 'gc'], ['packs/d/', 'packs/d'], ['packs/d/3f', 'packs/d']])('the directory of %j is %j', (name, directory) =>
    expect(directoryOf(name)).toBe(directory));
});
