#!/usr/bin/env node
/**
 * Measures what chunk sizes cost and bring on series of versions: stored bytes, chunks, time.
 *
 *   node bench/chunk-sizes.mjs NAME=FOLDER [NAME=FOLDER ...]
 *
 * FOLDER holds one entry (folder or file) per version, in the order of their names. Each version is backed up into one
 * repository per parameter set, in a folder of its own, so that file names and times play no part.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock, systemRandom } from '../dist/base/ambient.js';
import { Secret } from '../dist/base/secret.js';
import { openLocalBackend } from '../dist/backend/local.js';
import { openMemoryCache } from '../dist/cache/memory-cache.js';
import { openKnownChunks } from '../dist/cache/known-chunks.js';
import { createInlineEngine } from '../dist/engine/inline-engine.js';
import { nativeFileSystem } from '../dist/base/native-filesystem.js';
import { createFastKernel } from '../dist/kernel/fast.js';
import { createRepository } from '../dist/repository/create-repository.js';
import { openRepository } from '../dist/repository/open-repository.js';
import { openFileTree } from '../dist/sources/files.js';
import { backup } from '../dist/usecases/backup/backup.js';

const KiB = 1024;
const SETS = [[16, 64, 256], [32, 128, 512], [64, 256, 1024], [128, 512, 2048], [256, 1024, 4096], [512, 2048, 8192]];
const environment = { kernel: createFastKernel(), clock: systemClock, random: systemRandom };
const credential = { kind: 'keyfile', key: new Secret(new Uint8Array(32)) };
const utf8 = text => new TextEncoder().encode(text);
const engines = { capacity: 1, open: () => createInlineEngine({ kernel: environment.kernel, native: nativeFileSystem(), openKnownChunks, random: systemRandom }) };
const owner = { host: 'bench', hostId: '00'.repeat(16), user: 'bench', processId: 1, program: 'snap bench' };

for (const argument of process.argv.slice(2)) {
  const [name, folder] = argument.split('=');
  const versions = readdirSync(folder).sort();
  for (const [min, average, max] of SETS) {
    const place = mkdtempSync(join(tmpdir(), 'snap-chunks-'));
    const backend = await openLocalBackend(place, { clock: systemClock, random: systemRandom, create: true });
    const chunker = { algorithm: 'gear', minBytes: min * KiB, averageBytes: average * KiB, maxBytes: max * KiB };
    await createRepository(backend, environment, { credential, suite: 1, chunker, label: 'bench' });
    const repository = await openRepository(backend, credential, environment, async () => openMemoryCache());
    let [raw, stored, chunks, first] = [0, 0, 0, 0];
    const cpu = process.cpuUsage();
    for (const [i, version] of versions.entries()) {
      const report = await backup(repository, openFileTree([utf8(join(folder, version))], { cwd: utf8('/') }), {
        engines, owner, kind: 'full', series: version, tags: [], dryRun: false, skipIfUnchanged: false, allowEmpty: true, ignoreInode: false, compressionLevel: 1, grouping: true,
      });
      raw += report.bytesTotal;
      stored += report.bytesAddedStored;
      chunks += report.dataChunksAdded;
      if (i === 0) first = report.bytesAddedStored;
    }
    const { user, system } = process.cpuUsage(cpu);
    console.log(`${name.padEnd(10)} ${`${min}/${average}/${max}`.padEnd(14)} raw ${(raw / 1e6).toFixed(0).padStart(6)} MB  first ${(first / 1e6).toFixed(1).padStart(7)} MB  all ${(stored / 1e6).toFixed(1).padStart(7)} MB  `
      + `chunks ${String(chunks).padStart(7)}  cpu ${((user + system) / 1e6).toFixed(1)} s`);
    await repository.cache.close();
    rmSync(place, { recursive: true, force: true });
  }
}
