#!/usr/bin/env node
/** Compares snap with restic and BorgBackup: whole processes, interleaved, medians. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { changeTree, changingTree, insertBytes, linuxTree, randomFile, rewritePages, smallFiles, varyTree } from './datasets.mjs';
import { median, run, spread } from './measure.mjs';
import { TOOLS } from './tools.mjs';

const USAGE = `Compares snap with restic and BorgBackup, as far as they are installed.

  node bench/compare.mjs [--runs N] [--place DIR] [--tools snap,restic,borg] [SCENARIO ...]

Scenarios: tree unchanged restore verify random rewritten inserted prune small tenfold. Without names all of them run. The last
is about the memory of snap alone: the tree in a repository ten times as big. Data and repositories lie below --place (default: a folder of the system's temporary directory) and stay there for the next call.`;
const MiB = 1024 * 1024;
const BIG = 2048 * MiB;
/** Of which the older half goes in the scenario `prune`. */
const SNAPSHOTS = 100;
const options = { runs: 5, place: join(tmpdir(), 'snap-bench'), tools: ['snap', 'restic', 'borg'] };
const wanted = [];
for (let i = 2; i < process.argv.length; i++) {
  const word = process.argv[i];
  if (word === '--runs') options.runs = Number(process.argv[++i]);
  else if (word === '--place') options.place = process.argv[++i];
  else if (word === '--tools') options.tools = process.argv[++i].split(',');
  else if (word === '--help') {
    console.log(USAGE);
    process.exit(0);
  } else wanted.push(word);
}
const data = join(options.place, 'data');
const rows = [];
const needs = name => wanted.length === 0 || wanted.includes(name);

const isThere = tool => {
  try {
    execFileSync(tool, [tool === "restic" ? "version" : "--version"], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};
const tools = Object.fromEntries(options.tools.filter(name => name === 'snap' || isThere(name)).map(name => [name, TOOLS[name](options.place)]));

async function must(tool, [command, args], cwd) {
  const result = await run(command, args, { env: { ...process.env, ...tool.env }, cwd });
  if (result.code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${result.code}:\n${result.output}`);
  return result;
}

const sizeOf = folder => Number(execFileSync('du', ['-sb', folder], { encoding: 'utf8' }).split('\t')[0]);

/**
 * `prepare` is not measured; `step` gives the command that is. Tools take turns in every round. What was written to the folder
 * of `written` is flushed inside the clock, since only some tools do that themselves.
 */
async function scenario(name, prepare, step, written = () => undefined, compared = tools) {
  if (!needs(name.split(' ')[0])) return;
  const results = Object.fromEntries(Object.keys(compared).map(key => [key, []]));
  for (let round = 0; round < options.runs; round++) {
    for (const [key, tool] of Object.entries(compared)) {
      await prepare(tool, round);
      const result = await must(tool, step(tool));
      const started = performance.now();
      if (written() !== undefined) execFileSync('sync', ['-f', written()]);
      results[key].push({ ...result, wall: result.wall + (performance.now() - started) / 1000 });
    }
  }
  const base = median(results.snap.map(result => result.wall));
  for (const [key, list] of Object.entries(results)) {
    const walls = list.map(result => result.wall);
    const row = {
      scenario: name, tool: key, wall: median(walls), spread: spread(walls), cpu: median(list.map(result => result.cpu)),
      peakMiB: median(list.map(result => result.peakMiB)), repositoryMB: sizeOf(tools[key].repository) / 1e6, ratio: median(walls) / base,
    };
    rows.push(row);
    console.log(`${name.padEnd(18)} ${key.padEnd(7)} ${row.wall.toFixed(2).padStart(7)} s (${row.spread})  cpu ${row.cpu.toFixed(2).padStart(6)} s  `
      + `peak ${row.peakMiB.toFixed(0).padStart(4)} MiB  repository ${row.repositoryMB.toFixed(1).padStart(8)} MB  x${row.ratio.toFixed(2)}`);
  }
}

async function fresh(tool) {
  tool.clear();
  await must(tool, tool.init);
}

async function filled(tool, path) {
  await fresh(tool);
  await must(tool, tool.backup(path));
}

// A new folder for every restore, and on a disk none removed before the end: ext4 looks long for free inodes after many were freed.
// In memory there is no room for all of them.
const TMPFS_MAGIC = 0x01021994;
const targets = join(options.place, 'targets');
let target;
function newTarget() {
  if (statfsSync(options.place).type === TMPFS_MAGIC) rmSync(targets, { recursive: true, force: true });
  mkdirSync(targets, { recursive: true });
  target = mkdtempSync(join(targets, 'target-'));
}

console.log(`${cpus().length} x ${cpus()[0].model}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Node ${process.versions.node}, ${options.runs} runs, medians`);
mkdirSync(data, { recursive: true });
const tree = ['tree', 'unchanged', 'restore', 'verify', 'prune', 'tenfold'].some(needs) ? linuxTree(data) : undefined;
if (tree !== undefined) execFileSync('sh', ['-c', `find '${tree}' -type f -print0 | xargs -0 cat > /dev/null`]); // warm page cache

await scenario('tree', fresh, tool => tool.backup(tree));
if (['unchanged', 'restore', 'verify'].some(needs)) for (const tool of Object.values(tools)) await filled(tool, tree);
await scenario('unchanged', () => {}, tool => tool.backup(tree));
await scenario('restore', newTarget, tool => tool.restore(target), () => target);
await scenario('verify', () => {}, tool => tool.verify);

if (needs('random')) {
  const folder = join(data, 'random');
  randomFile(folder, 'random.bin', BIG);
  await scenario('random', fresh, tool => tool.backup(folder));
}
for (const [name, change] of [
  ['rewritten', (path, round) => rewritePages(path, BIG, 0.01, 100 + round)],
  ['inserted', (path, round, original) => { rmSync(path); insertBytes(original, path, 1 * MiB, 1000 + round, 200 + round); }],
]) {
  if (!needs(name)) continue;
  const original = randomFile(join(data, 'original'), 'big.bin', BIG, 3);
  const folder = join(data, name);
  const path = join(folder, 'big.bin');
  mkdirSync(folder, { recursive: true });
  let changedIn = -1;
  cpSync(original, path);
  for (const tool of Object.values(tools)) await filled(tool, folder);
  await scenario(name, (_, round) => {
    if (changedIn === round) return;
    changedIn = round;
    change(path, round, original);
  }, tool => tool.backup(folder));
}
if (needs('prune')) {
  // The repositories take long to make and are kept for the next call.
  const made = join(options.place, 'prune.made');
  const wishes = JSON.stringify({ snapshots: SNAPSHOTS, tools: Object.keys(tools) });
  if (!existsSync(made) || readFileSync(made, 'utf8') !== wishes) {
    const folder = changingTree(data, tree);
    for (const tool of Object.values(tools)) await fresh(tool);
    for (let snapshot = 0; snapshot < SNAPSHOTS; snapshot++) {
      if (snapshot > 0) changeTree(folder, 0.01, snapshot);
      for (const tool of Object.values(tools)) await must(tool, tool.backup(folder));
    }
    for (const tool of Object.values(tools)) tool.keep();
    writeFileSync(made, wishes);
  }
  await scenario('prune', tool => { tool.bringBack(); }, tool => tool.prune(SNAPSHOTS / 2));
}
if (needs('small')) {
  const folder = smallFiles(join(data, 'small'), 1_000_000);
  await scenario('small', fresh, tool => tool.backup(folder));
}
if (needs('tenfold')) {
  const { snap } = tools;
  await fresh(snap);
  const copy = join(data, 'varied');
  for (let seed = 1; seed < 10; seed++) await must(snap, snap.backup(varyTree(tree, copy, seed)));
  const measure = (name, prepare, step, written) => scenario(`tenfold ${name}`, prepare, step, written, { snap });
  await measure('new', (_, round) => { varyTree(tree, copy, 10 + round); }, tool => tool.backup(copy));
  await measure('unchanged', () => {}, tool => tool.backup(copy));
  await measure('restore', newTarget, tool => tool.restore(target), () => target);
  await measure('verify', () => {}, tool => tool.verify);
}

rmSync(targets, { recursive: true, force: true });
const results = new URL(`./results/${new Date().toISOString().slice(0, 10)}.json`, import.meta.url);
writeFileSync(results, `${JSON.stringify(rows, undefined, 1)}\n`);
