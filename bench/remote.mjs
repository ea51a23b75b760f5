#!/usr/bin/env node
/** Compares snap with restic on a real S3 server on this machine: one-node Ceph, in memory. Requests of snap are counted. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { randomFile } from './datasets.mjs';
import { median, run, spread } from './measure.mjs';

const USAGE = `Compares snap with restic on an S3 server.

  node bench/remote.mjs --start COMMAND [--runs N] [--gigabytes N] [--place DIR] [SCENARIO ...]
  node bench/remote.mjs [--runs N] ...            with AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY set

Scenarios: first unchanged restore replicate. Without names all of them run. COMMAND starts a server of its own and prints its
environment as 'export NAME=VALUE ...' lines; with 'stop' instead of 'start' in it, it ends it. Data: half of it files of 256 KiB that compress
by half, half one file that does not (default 1 GB; the goal is stated for 5). Buckets are named bench-TOOL-NUMBER and stay.`;
const SNAP = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const MiB = 1024 * 1024;
const options = { runs: 3, gigabytes: 1, place: join(tmpdir(), 'snap-bench-remote'), start: undefined };
const wanted = [];
for (let i = 2; i < process.argv.length; i++) {
  const word = process.argv[i];
  if (word === '--runs' || word === '--gigabytes') options[word.slice(2)] = Number(process.argv[++i]);
  else if (word === '--place' || word === '--start') options[word.slice(2)] = process.argv[++i];
  else if (word === '--help') {
    console.log(USAGE);
    process.exit(0);
  } else wanted.push(word);
}
const needs = name => wanted.length === 0 || wanted.includes(name);

function startServer() {
  if (options.start === undefined) return process.env;
  const printed = execFileSync('sh', ['-c', options.start], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  const given = [...printed.matchAll(/([A-Z_]+)=(\S+)/g)].map(([, name, value]) => [name, value]);
  return { ...process.env, ...Object.fromEntries(given) };
}

const server = startServer();
if (server.AWS_ENDPOINT_URL === undefined) throw new Error('There is no server: give --start COMMAND, or set AWS_ENDPOINT_URL');
const started = Date.now();
let made = 0;
let bucket = '';
let replica = '';

const TOOLS = {
  snap: {
    env: () => ({ SNAP_REPOSITORY: `s3://${bucket}/r`, SNAP_PASSWORD: 'bench', SNAP_CACHE_DIR: join(options.place, 'snap-cache'), SNAP_TO_PASSWORD: 'bench', SNAP_FROM_PASSWORD: 'bench' }),
    init: () => [process.execPath, [SNAP, 'init']],
    first: path => [process.execPath, [SNAP, 'backup', '--json', '-v', '--no-progress', path]],
    restore: target => [process.execPath, [SNAP, 'restore', '--json', '-v', '--no-progress', 'latest', '--target', target]],
    prepareReplica: () => [process.execPath, [SNAP, 'init', '-r', `s3://${replica}/r`, '--from', `s3://${bucket}/r`]],
    replicate: () => [process.execPath, [SNAP, 'replicate', '--json', '-v', '--no-progress', '--to', `s3://${replica}/r`]],
  },
  restic: {
    env: () => ({ RESTIC_REPOSITORY: `s3:${server.AWS_ENDPOINT_URL}/${bucket}/r`, RESTIC_PASSWORD: 'bench', RESTIC_CACHE_DIR: join(options.place, 'restic-cache'), RESTIC_FROM_PASSWORD: 'bench' }),
    init: () => ['restic', ['init', '--repository-version', '2']],
    first: path => ['restic', ['backup', '-q', path]],
    restore: target => ['restic', ['restore', '-q', 'latest', '--target', target]],
    prepareReplica: () => ['restic', ['init', '-r', `s3:${server.AWS_ENDPOINT_URL}/${replica}/r`, '--from-repo', `s3:${server.AWS_ENDPOINT_URL}/${bucket}/r`, '--copy-chunker-params']],
    replicate: () => ['restic', ['copy', '-q', '-r', `s3:${server.AWS_ENDPOINT_URL}/${replica}/r`, '--from-repo', `s3:${server.AWS_ENDPOINT_URL}/${bucket}/r`]],
  },
};

async function must(tool, [command, args]) {
  const result = await run(command, args, { env: { ...server, ...tool.env() } });
  if (result.code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${result.code}:\n${result.output}`);
  return result;
}

/** Of snap; the repository and its replica have a line each. */
function requestsOf({ output }) {
  const lines = output.split('\n').filter(line => line.includes('"storage_requests"')).map(line => JSON.parse(line));
  return lines.map(({ put, get, head, list, remove }) => `${put} PUT ${get} GET ${head} HEAD ${list} LIST ${remove} DELETE`).join(' + ');
}

function useNewBucket(name) {
  bucket = `bench-${name}-${started}-${made++}`;
  replica = `${bucket}-replica`;
}

async function fresh(name) {
  useNewBucket(name);
  for (const cache of ['snap-cache', 'restic-cache']) rmSync(join(options.place, cache), { recursive: true, force: true });
  await must(TOOLS[name], TOOLS[name].init());
}

const rows = [];
/** Tools take turns in each round; each has a bucket of its own that is full already, or a new one. */
async function scenario(label, prepare, step) {
  if (!needs(label)) return;
  const results = Object.fromEntries(Object.keys(TOOLS).map(name => [name, []]));
  for (let round = 0; round < options.runs; round++) {
    for (const [name, tool] of Object.entries(TOOLS)) {
      await prepare(name, tool);
      results[name].push(await must(tool, step(tool)));
    }
  }
  const base = median(results.snap.map(result => result.wall));
  for (const [name, list] of Object.entries(results)) {
    const walls = list.map(result => result.wall);
    const row = {
      scenario: label, tool: name, gigabytes: options.gigabytes, wall: median(walls), spread: spread(walls), cpu: median(list.map(result => result.cpu)),
      peakMiB: median(list.map(result => result.peakMiB)), ratio: median(walls) / base, requests: requestsOf(list.at(-1)),
    };
    rows.push(row);
    console.log(`${label.padEnd(10)} ${name.padEnd(7)} ${row.wall.toFixed(2).padStart(7)} s (${row.spread})  cpu ${row.cpu.toFixed(2).padStart(6)} s  `
      + `peak ${row.peakMiB.toFixed(0).padStart(4)} MiB  x${row.ratio.toFixed(2)}  ${row.requests}`);
  }
}

function makeData() {
  const folder = join(options.place, `data-${options.gigabytes}`);
  const half = Math.ceil((options.gigabytes * 1e9) / 2 / MiB);
  mkdirSync(join(folder, 'small'), { recursive: true });
  randomFile(folder, 'large.bin', half * MiB, 1);
  const source = execFileSync('head', ['-c', String(128 * 1024), join(folder, 'large.bin')]);
  for (let i = 0; i < half * 4; i++) {
    const bytes = Buffer.alloc(256 * 1024);
    source.copy(bytes, 0);
    bytes.writeUInt32LE(i, 0);
    // A different half of each file keeps deduplication out of the comparison.
    for (let at = 0; at < 128 * 1024; at += 4) bytes.writeUInt32LE((bytes.readUInt32LE(at) ^ Math.imul(i + 1, 2654435761 + at)) >>> 0, at);
    writeFileSync(join(folder, 'small', String(i)), bytes);
  }
  return folder;
}

console.log(`${cpus().length} x ${cpus()[0].model}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Node ${process.versions.node}, ${options.runs} runs, medians`);
try {
  const data = makeData();
  const buckets = {};
  const fill = async name => {
    await fresh(name);
    await must(TOOLS[name], TOOLS[name].first(data));
    buckets[name] = bucket;
  };
  const useFilled = name => { bucket = buckets[name]; };
  await scenario('first', fresh, tool => tool.first(data));
  if (['unchanged', 'restore', 'replicate'].some(needs)) for (const name of Object.keys(TOOLS)) await fill(name);
  await scenario('unchanged', useFilled, tool => tool.first(data));
  let target;
  await scenario('restore', name => {
    useFilled(name);
    if (target !== undefined) rmSync(target, { recursive: true, force: true });
    target = mkdtempSync(join(options.place, 'target-'));
  }, tool => tool.restore(target));
  await scenario('replicate', async (name, tool) => {
    useFilled(name);
    replica = `${bucket}-replica-${made++}`;
    await must(tool, tool.prepareReplica());
  }, tool => tool.replicate());
} finally {
  if (options.start !== undefined) execFileSync('sh', ['-c', options.start.replace(' start', ' stop')], { stdio: 'ignore' });
}
const results = new URL(`./results/remote-${new Date().toISOString().slice(0, 10)}.json`, import.meta.url);
writeFileSync(results, `${JSON.stringify(rows, undefined, 1)}\n`);
