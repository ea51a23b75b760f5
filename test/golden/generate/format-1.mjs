/**
 * Made the golden repositories of format 1, once. They are never made again: the tests hold every file to its digest, and the
 * promise is that all later versions of snap can read and go on with these very bytes.
 *
 * Usage, as root, after `npm run build`: node test/golden/generate/format-1.mjs
 */
import { createCipheriv, createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import {
  appendFileSync, chmodSync, existsSync, ftruncateSync, linkSync, lutimesSync, mkdirSync, openSync, closeSync, readdirSync, readFileSync, rmSync,
  symlinkSync, writeFileSync, writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createFastKernel, initRepository, openBackend, Secret, systemClock, systemRandom } from '../../../dist/index.js';
import { recordTree } from './record-tree.mjs';

const PASSWORD = 'golden: known to everybody';
const KEY = Buffer.from(Array.from({ length: 32 }, (_, i) => i + 1));
/** Small enough for content nodes on several levels; the largest chunks still get frames of their own. */
const CHUNKER = { algorithm: 'gear', minBytes: 256, averageBytes: 512, maxBytes: 128 * 1024 };
/** In memory, since few file systems on disks keep long extended attributes. */
const WORKPLACE = '/dev/shm/snap-golden';
const OWNER = 12_345;
const KiB = 1024;
/** Of the file `attributes`, in hexadecimal digits; the long one is stored as chunks. */
const XATTRS = { 'user.empty': '', 'user.long': Buffer.alloc(10_240, Uint8Array.from({ length: 256 }, (_, i) => i)).toString('hex'), 'user.short': Buffer.from('value').toString('hex') };

const main = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));
const repositories = fileURLToPath(new URL('../repositories', import.meta.url));
const source = join(WORKPLACE, 'source');

/** Incompressible, and the same everywhere. */
function noise(seed, length) {
  return createCipheriv('aes-256-ctr', Buffer.alloc(32, seed), Buffer.alloc(16)).update(Buffer.alloc(length));
}

/** Words in an order that never repeats. */
function prose(seed, length) {
  const words = Array.from({ length: 64 }, (_, i) => createHash('sha256').update(`word ${i}`).digest('hex').slice(0, 3 + i % 9));
  let text = '';
  for (const byte of noise(seed, length)) {
    text += `${words[byte & 63]}${byte > 250 ? '\n' : ' '}`;
    if (text.length >= length) break;
  }
  return Buffer.from(text.slice(0, length));
}

function makeSource() {
  for (const folder of ['', 'text', 'text/links', 'empty folder', 'many links']) mkdirSync(join(source, folder));
  writeFileSync(join(source, 'empty'), '');
  writeFileSync(join(source, 'hello.txt'), 'hello\n');
  writeFileSync(join(source, 'removed.txt'), 'only in the first snapshot\n');
  writeFileSync(join(source, 'text/long.txt'), prose(1, 420 * KiB));
  writeFileSync(join(source, 'text/repeated.txt'), Buffer.alloc(300_000, 'a'));
  writeFileSync(join(source, 'noise.bin'), noise(2, 40 * KiB));
  writeFileSync(join(source, 'pages.sqlite'), Buffer.concat([Buffer.from('SQLite format 3\0'), prose(3, 150 * KiB)]));
  const sparse = openSync(join(source, 'sparse.img'), 'w');
  writeSync(sparse, noise(4, 4 * KiB), 0, 4 * KiB, 0);
  writeSync(sparse, noise(5, 4 * KiB), 0, 4 * KiB, 512 * KiB);
  ftruncateSync(sparse, 1024 * KiB);
  closeSync(sparse);
  writeFileSync(join(source, 'text/links/one name'), prose(6, 3_000));
  linkSync(join(source, 'text/links/one name'), join(source, 'text/links/other name'));
  symlinkSync('../../hello.txt', join(source, 'text/links/symlink'));
  symlinkSync('nowhere', join(source, 'text/links/dangling'));
  // A directory of several tree nodes, without many files.
  for (let i = 0; i < 80; i++) symlinkSync(`${i}/`.padEnd(3_900, `part ${i}/`), join(source, `many links/${i}`));
  execFileSync('mkfifo', [join(source, 'fifo')]);
  writeFileSync(Buffer.concat([Buffer.from(`${source}/not utf-8 `), Buffer.of(0xff, 0xfe)]), 'odd name\n');
  writeFileSync(join(source, 'program'), '#!/bin/sh\n');
  writeFileSync(join(source, 'attributes'), 'with extended attributes\n');
  for (const [name, value] of Object.entries(XATTRS)) {
    execFileSync('python3', ['-c', 'import os, sys; os.setxattr(sys.argv[1], sys.argv[2], bytes.fromhex(sys.argv[3]))', join(source, 'attributes'), name, value]);
  }
  execFileSync('chown', ['-R', '-h', `${OWNER}:${OWNER}`, source]);
  chmodSync(join(source, 'program'), 0o4755);
  chmodSync(join(source, 'empty folder'), 0o1777);
  chmodSync(join(source, 'hello.txt'), 0o640);
  setTimes();
}

function changeSource() {
  rmSync(join(source, 'removed.txt'));
  const long = readFileSync(join(source, 'text/long.txt'));
  writeFileSync(join(source, 'text/long.txt'), Buffer.concat([long.subarray(0, 200_000), Buffer.from('inserted later '), long.subarray(200_000)]));
  writeFileSync(join(source, 'added.bin'), noise(7, 20 * KiB));
  appendFileSync(join(source, 'hello.txt'), 'again\n');
  lutimesSync(join(source, 'text/links/dangling'), 1, 2);
  execFileSync('chown', ['-R', '-h', `${OWNER}:${OWNER}`, source]);
  chmodSync(join(source, 'program'), 0o4755);
  setTimes();
}

/** Different for each entry, with nanoseconds; folders last, since their entries change them. */
function setTimes() {
  execFileSync('sh', ['-c', `cd "$1" && n=0 && find . -depth | sort -r | while read -r path; do
    n=$((n + 1)); touch -h -d "@$((1600000000 + n)).$(printf %09d $((n * 1234567)))" "$path"; done`, 'sh', source]);
}

function snap(repository, ...words) {
  execFileSync(process.execPath, [main, ...words], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      PATH: process.env.PATH, HOME: WORKPLACE, TZ: 'UTC', SNAP_REPOSITORY: repository, SNAP_KEY_FILE: join(WORKPLACE, 'key'),
      SNAP_CACHE_DIR: join(WORKPLACE, 'cache'), SNAP_NEW_PASSWORD: PASSWORD,
    },
  });
}

async function init(repository, suite) {
  const { backend } = await openBackend(repository, { clock: systemClock, random: systemRandom, create: true });
  const environment = { kernel: createFastKernel(), clock: systemClock, random: systemRandom };
  const credential = { kind: 'keyfile', key: new Secret(new Uint8Array(KEY)) };
  const { id } = await initRepository(backend, environment, { credential, suite, chunker: CHUNKER, label: 'golden key file' });
  await backend.close();
  return id;
}

function digests(repository) {
  return Object.fromEntries(readdirSync(repository, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name)).sort()
    .map(path => [path.slice(repository.length + 1), createHash('sha256').update(readFileSync(path)).digest('hex')]));
}

const BACKUP = ['backup', source, '--host', 'golden', '--series', 'golden', '--quiet'];

async function make(suite) {
  const name = `format-1-suite-${suite}`;
  const repository = join(repositories, name);
  if (existsSync(repository)) throw new Error(`${repository} exists: golden repositories are never made again`);
  rmSync(WORKPLACE, { recursive: true, force: true });
  mkdirSync(WORKPLACE);
  writeFileSync(join(WORKPLACE, 'key'), KEY);
  const id = await init(repository, suite);
  snap(repository, 'key', 'add', '--label', 'golden password');
  makeSource();
  snap(repository, ...BACKUP, '--time', '2026-01-02T03:04:05Z');
  const first = recordTree(source);
  changeSource();
  snap(repository, ...BACKUP, '--time', '2026-01-03T03:04:05.000000006Z', '--tag', 'golden,second', '--description', 'The second golden snapshot');
  const second = recordTree(source);
  const record = {
    id, suite, password: PASSWORD, key: KEY.toString('hex'), sourcePath: source, owner: OWNER, xattrs: { attributes: XATTRS },
    objects: digests(repository),
    snapshots: [
      { startedAt: [1767323045, 0], kind: 'full', tags: [], tree: first },
      { startedAt: [1767409445, 6], kind: 'incremental', tags: ['golden', 'second'], description: 'The second golden snapshot', tree: second },
    ],
  };
  writeFileSync(join(repositories, `${name}.json`), `${JSON.stringify(record, undefined, 1)}\n`);
  rmSync(WORKPLACE, { recursive: true });
}

for (const suite of [1, 2]) await make(suite);
