/** Data for the benchmarks, made from a seed, so that another machine measures the same bytes. */
import { createCipheriv } from 'node:crypto';
import { closeSync, cpSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, readSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { join, relative } from 'node:path';

const MiB = 1024 * 1024;

/** Incompressible bytes: the key stream of AES-256-CTR under a fixed key. */
function keyStream(seed) {
  const cipher = createCipheriv('aes-256-ctr', Buffer.alloc(32, seed), Buffer.alloc(16));
  return bytes => cipher.update(Buffer.alloc(bytes));
}

/** One file of incompressible bytes. */
export function randomFile(folder, name, sizeBytes, seed = 1) {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, name);
  if (existsSync(path)) return path;
  const next = keyStream(seed);
  const fd = openSync(path, 'w');
  for (let at = 0; at < sizeBytes; at += 4 * MiB) writeSync(fd, next(Math.min(4 * MiB, sizeBytes - at)));
  closeSync(fd);
  return path;
}

/** Overwrites a share of the 4 KiB pages of a file in place, evenly spread by a seed. */
export function rewritePages(path, sizeBytes, share, seed) {
  const next = keyStream(seed);
  const pages = Math.floor(sizeBytes / 4096);
  const fd = openSync(path, 'r+');
  for (let i = 0; i < pages * share; i++) {
    const page = next(8).readUIntLE(0, 6) % pages;
    writeSync(fd, next(4096), 0, 4096, page * 4096);
  }
  closeSync(fd);
}

/** Writes a copy of a file with bytes inserted at a position. */
export function insertBytes(from, to, position, count, seed) {
  const next = keyStream(seed);
  const [source, target] = [openSync(from, 'r'), openSync(to, 'w')];
  const buffer = Buffer.alloc(4 * MiB);
  let at = 0;
  for (let read = readSync(source, buffer, 0, position, 0); read > 0; read = readSync(source, buffer, 0, buffer.length, at)) {
    writeSync(target, buffer, 0, read);
    if (at === 0) writeSync(target, next(count));
    at += read;
  }
  closeSync(source);
  closeSync(target);
}

/** Many files of 1 to 8 KiB in folders of 100, of half compressible text. */
export function smallFiles(folder, count, seed = 7) {
  if (existsSync(folder)) return folder;
  const next = keyStream(seed);
  for (let i = 0; i < count; i++) {
    const path = join(folder, String(Math.floor(i / 10_000)), String(Math.floor(i / 100) % 100));
    if (i % 100 === 0) mkdirSync(path, { recursive: true });
    const size = 1024 + next(2).readUInt16LE(0) % 7168;
    writeFileSync(join(path, `file-${i}.txt`), next(size).toString('base64').slice(0, size));
  }
  return folder;
}

/** A Linux source tree, from Debian's linux-source package. */
export function linuxTree(folder) {
  const tree = join(folder, 'linux-source-6.1');
  if (existsSync(tree)) return tree;
  const archive = '/usr/src/linux-source-6.1.tar.xz';
  if (!existsSync(archive)) throw new Error(`${archive} is missing: apt-get install linux-source-6.1`);
  mkdirSync(folder, { recursive: true });
  execFileSync('tar', ['xf', archive, '-C', folder]);
  return tree;
}

/** A part of that tree, to be changed: some 22,000 files. */
export function changingTree(folder, tree) {
  const copy = join(folder, 'changing');
  rmSync(copy, { recursive: true, force: true });
  for (const part of ['fs', 'kernel', 'include', 'drivers/net', 'Documentation']) cpSync(join(tree, part), join(copy, part), { recursive: true });
  return copy;
}

/** As a day of work does: changes a line in a share of the files, replaces some others, by a seed. */
export function changeTree(folder, share, seed) {
  const next = keyStream(seed);
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(each => each.isFile()).map(each => join(each.parentPath, each.name)).sort();
  for (let i = 0; i < files.length * share; i++) {
    const path = files[next(6).readUIntLE(0, 6) % files.length];
    const content = readFileSync(path);
    const at = content.length === 0 ? 0 : next(6).readUIntLE(0, 6) % content.length;
    const line = next(i % 8 === 0 ? 24_576 : 48).toString('base64');
    writeFileSync(path, Buffer.concat([content.subarray(0, at), Buffer.from(line), content.subarray(at)]));
  }
}

/** Another tree of the same names and sizes, but for one more line at the start of every file, so that nearly no chunk is the same. */
export function varyTree(tree, copy, seed) {
  const next = keyStream(seed);
  rmSync(copy, { recursive: true, force: true });
  for (const each of readdirSync(tree, { recursive: true, withFileTypes: true })) {
    if (!each.isFile()) continue;
    const folder = join(copy, relative(tree, each.parentPath));
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, each.name), Buffer.concat([Buffer.from(`${next(24).toString('base64')}\n`), readFileSync(join(each.parentPath, each.name))]));
  }
  return copy;
}
