/**
 * What a prune of a large repository takes before it stores or removes anything: listing packs, marking, planning.
 *
 *   node --expose-gc bench/micro/prune.mjs [chunks]      default: 1000000
 *
 * A synthetic index in a temporary folder that is removed: half of the chunks in packs of 64 large ones, each in a frame of its own, as of
 * large files; half in packs of 4,096 small ones, eight to a frame. Every second pack is needed to a part of nine tenths, the others
 * wholly; each chunk is named twice, the second time soon after the first. Marking here is what comes after reading a tree node: look the chunk up,
 * mark it. The measuring process is another one than that which builds the index. Own memory is anonymous and shared memory; the rest
 * of RSS is pages of the LMDB file, which the system takes back when it needs them.
 */
import { spawnSync } from 'node:child_process';
import { createCipheriv, randomFillSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openLmdbCache } from '../../dist/cache/lmdb-cache.js';
import { loadPackView } from '../../dist/repository/pack-view.js';
import { FindingList } from '../../dist/usecases/findings.js';
import { Mark } from '../../dist/usecases/reach/mark.js';
import { planPrune } from '../../dist/usecases/prune/prune-plan.js';

const MiB = 1024 * 1024;
const SEGMENT_RECORDS = 400_000;
const KINDS = [{ chunks: 64, perFrame: 1, bytes: 256 * 1024 }, { chunks: 4096, perFrame: 8, bytes: 8192 }];
const random = { bytes: count => randomFillSync(new Uint8Array(count)), below: bound => Math.floor(Math.random() * bound) };
const report = (what, value, unit) => console.log(`${what.padEnd(52)}${String(value).padStart(12)} ${unit}`);

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

/** Packs with consecutive chunk numbers, from `first` on. */
function segment(first, packCount, kind) {
  const count = packCount * kind.chunks;
  const ids = idsOf(first, count);
  const order = Array.from({ length: count }, (_, i) => ({ id: ids.subarray(32 * i, 32 * i + 32), i })).sort((a, b) => Buffer.compare(a.id, b.id));
  const chunks = Buffer.alloc(48 * count);
  order.forEach(({ id, i }, place) => {
    const inPack = i % kind.chunks;
    id.copy(chunks, 48 * place);
    chunks.writeUInt32LE(Math.floor(i / kind.chunks), 48 * place + 32);
    chunks.writeUInt32LE(Math.floor(inPack / kind.perFrame), 48 * place + 36);
    chunks.writeUInt32LE((inPack % kind.perFrame) * kind.bytes, 48 * place + 40);
    chunks.writeUInt32LE(kind.bytes, 48 * place + 44);
  });
  const frameCount = kind.chunks / kind.perFrame;
  const frames = Buffer.alloc(16 * frameCount);
  for (let i = 0; i < frameCount; i++) {
    frames.writeUInt32LE(4096 + i * kind.perFrame * kind.bytes, 16 * i);
    frames.writeUInt32LE(kind.perFrame * kind.bytes + 16, 16 * i + 4);
    frames.writeUInt32LE(kind.perFrame * kind.bytes, 16 * i + 8);
    frames.writeUInt16LE(kind.perFrame, 16 * i + 12);
  }
  const packs = Array.from({ length: packCount }, () => ({
    id: Buffer.from(random.bytes(16)).toString('hex'), sessionId: '00'.repeat(16), type: 'data', suite: 1, epoch: 1, sizeBytes: 16 * MiB, chunkCount: kind.chunks, frames,
  }));
  return { id: Buffer.from(random.bytes(16)).toString('hex'), supersedes: [], packs, chunks };
}

/** Numbers of chunks and packs, as `build` makes them. */
function* plan(total) {
  let first = 0;
  for (const kind of KINDS) {
    const packs = Math.ceil(total / 2 / kind.chunks);
    const step = Math.max(1, Math.floor(SEGMENT_RECORDS / kind.chunks));
    for (let done = 0; done < packs; done += step) {
      const count = Math.min(step, packs - done);
      yield { first, packs: count, kind };
      first += count * kind.chunks;
    }
  }
}

function memory() {
  globalThis.gc?.();
  const status = readFileSync('/proc/self/status', 'utf8');
  const field = name => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) / 1024;
  return `${(field('RssAnon') + field('RssShmem')).toFixed(0)} / ${field('VmRSS').toFixed(0)} / ${field('VmHWM').toFixed(0)}`;
}

async function build(total, directory) {
  const cache = await openLmdbCache({ directory, repositoryId: '11'.repeat(16), random });
  for (const { first, packs, kind } of plan(total)) await cache.chunks.addSegment(segment(first, packs, kind));
  await cache.close();
}

async function measure(total, directory) {
  const seconds = start => ((performance.now() - start) / 1000).toFixed(2);
  const cache = await openLmdbCache({ directory, repositoryId: '11'.repeat(16), random });
  const backend = {
    async *list() {
      for (const { id, sizeBytes } of cache.chunks.packs()) yield { name: `packs/d/${id.slice(0, 2)}/${id}`, sizeBytes, storedAt: 0 };
    },
  };
  const repository = { cache, backend, keys: {}, kernel: {} };
  report('opened: own memory / RSS / peak', memory(), 'MiB');
  let start = performance.now();
  const view = await loadPackView(repository, { plans: [], highestNumber: 0, ignored: [] }, new Set());
  report(`${view.packs.toLocaleString('en')} packs listed`, seconds(start), 's');
  report('listed: own memory / RSS / peak', memory(), 'MiB');
  const rules = { condemned: view.condemned, doubtful: new Set(), fresh: new Set() };
  const mark = new Mark(repository, rules, { findings: new FindingList() }, async () => rules);
  let named = 0;
  let missing = 0;
  start = performance.now();
  for (const { first, packs, kind } of plan(total)) {
    const ids = idsOf(first, packs * kind.chunks);
    for (let i = 0; i < packs * kind.chunks; i++) {
      if (Math.floor(i / kind.chunks) % 2 === 1 && i % 10 === 0) continue;
      const id = ids.subarray(32 * i, 32 * i + 32);
      if (!mark.data(id, kind.bytes)) missing++;
      mark.data(id, kind.bytes);
      named += 2;
    }
  }
  const marking = performance.now() - start;
  if (missing > 0) throw new Error(`${missing} chunks were not found`);
  report(`${mark.chunks.toLocaleString('en')} chunks marked`, (marking / 1000).toFixed(2), 's');
  report('references a second', Math.round(named / marking * 1000).toLocaleString('en'), '');
  report('marked: own memory / RSS / peak', memory(), 'MiB');
  start = performance.now();
  const usages = function* () {
    for (const number of view.found) {
      const record = cache.chunks.pack(number);
      yield { id: record.id, number, type: record.type, epoch: record.epoch, sizeBytes: record.sizeBytes, isHeld: false, ...mark.sharesOf(record) };
    }
  };
  const planned = planPrune(usages(), { maxUnusedShare: 0, repackSmall: true, currentEpoch: 1, targetBytes: { data: 16 * MiB, tree: 4 * MiB } });
  report(`planned: ${planned.rewrite.length.toLocaleString('en')} packs to store anew`, seconds(start), 's');
  report('planned: own memory / RSS / peak', memory(), 'MiB');
  await cache.close();
}

const [mode, ...words] = process.argv.slice(2);
if (mode === 'build') await build(Number(words[0]), words[1]);
else if (mode === 'measure') await measure(Number(words[0]), words[1]);
else {
  const total = Number(mode ?? 1_000_000);
  const directory = mkdtempSync(join(tmpdir(), 'snap-prune-'));
  try {
    console.log(`${total.toLocaleString('en')} chunks`);
    for (const step of ['build', 'measure']) {
      const { status } = spawnSync(process.execPath, ['--expose-gc', fileURLToPath(import.meta.url), step, String(total), directory], { stdio: 'inherit' });
      if (status !== 0) process.exitCode = 1;
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
