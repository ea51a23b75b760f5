/** Where requests cost, a host keeps the slot and the keyring that it has opened; what is stored counts all the same. */
import { expect, test } from 'vitest';
import type { Backend } from '../../src/backend/backend.ts';
import { openMemoryCache } from '../../src/cache/memory-cache.ts';
import type { Cache } from '../../src/cache/cache.ts';
import { codeOf } from '../conformance/backend.ts';
import { makeRepository, memoryBackend, reopen } from '../support/memory-repository.ts';

const NONE = { put: 0, get: 0, head: 0, list: 0, remove: 0 };

/** The memory backend as one that counts, with the names that were read. */
function counted(): { backend: Backend; reads: string[]; cache: Cache } {
  const inner = memoryBackend();
  const reads: string[] = [];
  const backend: Backend = Object.assign(Object.create(inner) as Backend, {
    requests: NONE,
    read: (name: string, ...rest: []) => {
      reads.push(name.split('/')[0]!);
      return inner.read(name, ...rest);
    },
    list: inner.list.bind(inner), stat: inner.stat.bind(inner), create: inner.create.bind(inner),
    createIfAbsent: inner.createIfAbsent.bind(inner), remove: inner.remove.bind(inner), close: async () => undefined,
  });
  Object.defineProperty(backend, 'capabilities', { value: inner.capabilities });
  Object.defineProperty(backend, 'location', { value: inner.location });
  return { backend, reads, cache: openMemoryCache() };
}

async function namesOf(backend: Backend): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of backend.list('key')) names.push(name);
  return names;
}

test('the second opening reads only the configuration', async () => {
  const { backend, reads, cache } = counted();
  await makeRepository(backend, { cache: async () => cache });
  expect(reads.slice(-3)).toEqual(['config', 'keys', 'keyring']);
  reads.length = 0;
  await reopen(backend, { cache: async () => cache });
  expect(reads).toEqual(['config']);
});

test('copies that are damaged are read again, and replaced', async () => {
  const { backend, reads, cache } = counted();
  await makeRepository(backend, { cache: async () => cache });
  for (const name of await namesOf(backend)) cache.objects.put(name, new Uint8Array(100));
  reads.length = 0;
  await reopen(backend, { cache: async () => cache });
  await reopen(backend, { cache: async () => cache });
  expect(reads).toEqual(['config', 'keys', 'keyring', 'config']);
});

test('a slot or a keyring that is stored no more opens nothing through its copy', async () => {
  for (const kind of ['keys/', 'keyring/']) {
    const { backend, cache } = counted();
    await makeRepository(backend, { cache: async () => cache });
    for (const name of await namesOf(backend)) if (name.startsWith(kind)) await backend.remove(name);
    expect(await codeOf(reopen(backend, { cache: async () => cache }))).not.toBe('no error');
  }
});
