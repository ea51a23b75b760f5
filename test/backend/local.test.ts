import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { expect, test } from 'vitest';
import { systemClock, systemRandom } from '../../src/base/ambient.ts';
import { openLocalBackend } from '../../src/backend/local.ts';
import { backendConformance } from '../conformance/backend.ts';

backendConformance('LocalBackend', async () => {
  const path = await mkdtemp(`${tmpdir()}/snap-local-`);
  return {
    open: () => openLocalBackend(path, { clock: systemClock, random: systemRandom }),
    dispose: () => rm(path, { recursive: true }),
  };
}, { createIfAbsent: 'atomic', canRemove: true, clockToleranceMs: 10_000 });
