import { describe, expect, test } from 'vitest';
import { systemRandom } from '../../src/base/ambient.ts';
import { probeBackend } from '../../src/repository/probe.ts';
import { FaultyBackend } from '../support/faulty-backend.ts';
import { memoryBackend } from '../support/memory-repository.ts';

describe('a probe of a store', () => {
  test('tells that create-only writes decide races, and leaves nothing behind', async () => {
    const backend = memoryBackend();
    expect(await probeBackend(backend, systemRandom)).toMatchObject({ createIfAbsent: 'atomic' });
    expect(backend.snapshotState().size).toBe(0);
  });

  test('reports the error of the store, not that of cleaning up after it', async () => {
    const faulty = new FaultyBackend(memoryBackend(), [{ verb: 'createIfAbsent', effect: 'no-space' }, { verb: 'remove', effect: 'fail-before', code: 'DENIED' }]);
    await expect(probeBackend(faulty, systemRandom)).rejects.toMatchObject({ code: 'NO_SPACE' });
  });

  test('notices a store that ignores the condition of a create-only write in silence', async () => {
    class Ignoring extends FaultyBackend {
      override async createIfAbsent(name: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
        await this.remove(name);
        return super.createIfAbsent(name, bytes);
      }
    }
    expect(await probeBackend(new Ignoring(memoryBackend()), systemRandom)).toMatchObject({ createIfAbsent: 'none' });
  });
});
