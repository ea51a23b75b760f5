/**
 * The chunk index alone: build, look-ups of present and of new chunks, the worker view, re-opening, memory.
 *
 *   node --expose-gc bench/micro/index.mjs [records ...]      default: 1000000
 *
 * Synthetic segments of one million records each (the limit of the format), 4,096 chunks to a pack, IDs from a counter
 * under AES, so that a present ID can be named again without keeping it. `chunks`: in a temporary folder that is removed.
 * Figures for 100 million are extrapolated: filter and disk linearly, a look-up as one with the same number of runs.
 */
import { createCipheriv, randomFillSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLmdbCache } from '../../dist/cache/lmdb-cache.js';
import { openKnownChunks } from '../../dist/cache/known-chunks.js';

const SEGMENT_RECORDS = 1_000_000;
const PACK_CHUNKS = 4096;
const LOOKUPS = 300_000;
const random = { bytes: count => randomFillSync(new Uint8Array(count)), below: bound => Math.floor(Math.random() * bound) };
const MiB = 1024 * 1024;

const stamp = () => performance.now();
const report = (what, value, unit) => console.log(`${what.padEnd(44)}${value.padStart(12)} ${unit}`);

/** 32 bytes that look random, different for every number. */
const cipher = createCipheriv('aes-128-ecb', Buffer.alloc(16, 7), null).setAutoPadding(false);
function idsOf(first, count) {
  const counters = Buffer.alloc(32 * count);
  for (let i = 0; i < count; i++) {
    counters.writeDoubleLE(first + i, 32 * i);
    counters.writeDoubleLE(first + i, 32 * i + 16);
    counters[32 * i + 31] = 1;
  }
  return cipher.update(counters);
}

function segment(number, count) {
  const ids = idsOf(number * SEGMENT_RECORDS, count);
  const heads = new Float64Array(count);
  for (let i = 0; i < count; i++) heads[i] = ids.readUIntBE(32 * i, 4) * 2 ** 20 + i; // 2^20 > count: sorts by ID, keeps the index
  heads.sort();
  const idAt = i => ids.subarray(32 * (heads[i] % 2 ** 20), 32 * (heads[i] % 2 ** 20) + 32);
  for (let i = 1; i < count; i++) { // the few that share 32 bits
    if (Buffer.compare(idAt(i - 1), idAt(i)) > 0) [heads[i - 1], heads[i]] = [heads[i], heads[i - 1]];
  }
  const chunks = Buffer.alloc(48 * count);
  for (let i = 0; i < count; i++) {
    const index = heads[i] % 2 ** 20;
    ids.copy(chunks, 48 * i, 32 * index, 32 * index + 32);
    chunks.writeUInt32LE(Math.floor(index / PACK_CHUNKS), 48 * i + 32);
    chunks.writeUInt32LE((index % PACK_CHUNKS) >>> 3, 48 * i + 36);
    chunks.writeUInt32LE((index & 7) * 8192, 48 * i + 40);
    chunks.writeUInt32LE(8192, 48 * i + 44);
  }
  const packs = Array.from({ length: Math.ceil(count / PACK_CHUNKS) }, (_, i) => ({
    id: Buffer.from(random.bytes(16)).toString('hex'), sessionId: '00'.repeat(16), type: 'data', suite: 1, epoch: 1,
    sizeBytes: 32 * MiB, chunkCount: Math.min(PACK_CHUNKS, count - i * PACK_CHUNKS), frames: new Uint8Array(16 * (PACK_CHUNKS / 8)),
  }));
  return { id: Buffer.from(random.bytes(16)).toString('hex'), supersedes: [], packs, chunks };
}

function memory() {
  globalThis.gc?.();
  const status = readFileSync('/proc/self/status', 'utf8');
  const field = name => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) / 1024;
  return { all: field('VmRSS'), anonymous: field('RssAnon') + field('RssShmem'), peak: field('VmHWM') };
}

function timeLookups(look, ids) {
  const times = [];
  for (let round = 0; round < 3; round++) {
    const start = stamp();
    let found = 0;
    for (let i = 0; i < LOOKUPS; i++) if (look(ids.subarray(32 * i, 32 * i + 32))) found++;
    times.push({ micros: ((stamp() - start) * 1000) / LOOKUPS, found });
  }
  return times.sort((a, b) => a.micros - b.micros)[1];
}

function presentIds(records) {
  const picked = Buffer.alloc(32 * LOOKUPS);
  for (let i = 0; i < LOOKUPS; i++) idsOf(Math.floor(Math.random() * records), 1).copy(picked, 32 * i);
  return picked;
}

async function measure(records, directory) {
  const options = { directory, repositoryId: '11'.repeat(16), random };
  let cache = await openLmdbCache(options);
  let buildMs = 0;
  let slowestMs = 0;
  for (let done = 0; done < records; done += SEGMENT_RECORDS) {
    const content = segment(done / SEGMENT_RECORDS, Math.min(SEGMENT_RECORDS, records - done));
    const start = stamp();
    await cache.chunks.addSegment(content);
    buildMs += stamp() - start;
    slowestMs = Math.max(slowestMs, stamp() - start);
  }
  console.log(`\n${records.toLocaleString('en')} records`);
  report('build, merges included', (buildMs / 1000).toFixed(2), 's');
  report('slowest segment', (slowestMs / 1000).toFixed(2), 's');
  report('on disk, free pages after merges included', (cache.describe().sizeBytes / MiB).toFixed(0), 'MiB');
  const afterBuild = memory();
  report('after build: anonymous / RSS / peak RSS', `${afterBuild.anonymous.toFixed(0)} / ${afterBuild.all.toFixed(0)} / ${afterBuild.peak.toFixed(0)}`, 'MiB');
  await cache.close();

  let start = stamp();
  cache = await openLmdbCache(options);
  report('open again', (stamp() - start).toFixed(1), 'ms');
  start = stamp();
  cache.chunks.setUsable(Array.from({ length: cache.chunks.highestPackNumber() }, (_, i) => i + 1));
  cache.chunks.find(random.bytes(32));
  report('first look-up, filters loaded', (stamp() - start).toFixed(1), 'ms');
  const before = memory();
  const present = presentIds(records);
  const absent = Buffer.from(random.bytes(32 * LOOKUPS));
  const known = await openKnownChunks(cache.chunks.access());
  for (const [name, look] of [['main thread', id => cache.chunks.find(id) !== undefined], ['worker view', id => known.find(id) !== 0]]) {
    const hit = timeLookups(look, present);
    const miss = timeLookups(look, absent);
    if (hit.found !== LOOKUPS || miss.found !== 0) throw new Error(`wrong answers: ${hit.found} of ${LOOKUPS}, ${miss.found} of 0`);
    report(`look-up, ${name}: present / absent`, `${hit.micros.toFixed(2)} / ${miss.micros.toFixed(2)}`, 'µs');
  }
  const after = memory();
  report('before look-ups: anonymous / RSS', `${before.anonymous.toFixed(0)} / ${before.all.toFixed(0)}`, 'MiB');
  report('after look-ups: anonymous / RSS', `${after.anonymous.toFixed(0)} / ${after.all.toFixed(0)}`, 'MiB');
  const factor = 100e6 / records;
  report('extrapolated to 100 M: filters / disk / build', ` ${(100e6 * 1.25 / MiB).toFixed(0)} MiB / ${((cache.describe().sizeBytes * factor) / 2 ** 30).toFixed(1)} GiB / ${((buildMs * factor) / 1000).toFixed(0)} s`, '');
  await known.close();
  await cache.close();
}

const sizes = process.argv.slice(2).map(Number);
for (const records of sizes.length > 0 ? sizes : [1_000_000]) {
  const directory = mkdtempSync(join(tmpdir(), 'snap-index-'));
  try {
    await measure(records, directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
