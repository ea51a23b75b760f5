/**
 * Builds what is not TypeScript into native/build/. Each step is skipped while its output is newer than its sources.
 *
 *   buildModule            native/cutter/cutter.ts          AssemblyScript     build/cutter.wasm
 *                          native/erasure/erasure.ts        the same, SIMD     build/erasure.wasm
 *   buildFilesystemHelper  native/filesystem/filesystem.cc  C++17, Node-API    build/filesystem.node
 *
 * Run it with `node native/build.mjs`. CXX names another C++ compiler than `c++`. With the argument `install`, as npm calls
 * it after the packages, it only makes sure that the helper loads: a packed one may have been built for another machine.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const NATIVE = dirname(fileURLToPath(import.meta.url));
const OUTPUT = join(NATIVE, 'build');

class BuildError extends Error {}

async function main() {
  mkdirSync(OUTPUT, { recursive: true });
  if (process.argv[2] === 'install') return installHelper();
  await buildModule('cutter');
  await buildModule('erasure', ['--enable', 'simd']);
  await buildFilesystemHelper();
}

/** native/<name>/<name>.ts as WebAssembly without memory of its own. */
async function buildModule(name, options = []) {
  const source = join(NATIVE, name, `${name}.ts`);
  await step(join(OUTPUT, `${name}.wasm`), filesIn(name), async temporary => {
    const { default: asc } = await import('assemblyscript/asc');
    const { error, stderr } = await asc.main([
      relative(NATIVE, source), '--baseDir', NATIVE, '--outFile', relative(NATIVE, temporary),
      '-O3', '--noAssert', '--runtime', 'stub', '--importMemory', '--noExportMemory', ...options,
    ]);
    if (error !== null) throw new BuildError(`AssemblyScript cannot compile ${source}: ${error.message}\n${stderr}`);
  });
}

async function buildFilesystemHelper() {
  const source = join(NATIVE, 'filesystem', 'filesystem.cc');
  if (!existsSync(source)) return;
  await step(join(OUTPUT, 'filesystem.node'), filesIn('filesystem'), async temporary => {
    const { default: nodeApi } = await import('node-api-headers');
    // Node-API symbols come from the running node binary; macOS has to be told so, Linux resolves them at load time.
    const linking = process.platform === 'darwin' ? ['-bundle', '-undefined', 'dynamic_lookup'] : ['-shared'];
    compileCxx(['-O2', '-std=c++17', '-fPIC', '-Wall', '-Wextra', ...linking, '-I', nodeApi.include_dir, source, '-o', temporary]);
  });
}

async function installHelper() {
  const helper = join(OUTPUT, 'filesystem.node');
  try {
    createRequire(import.meta.url)(helper);
  } catch {
    rmSync(helper, { force: true }); // missing, or for another system
    await buildFilesystemHelper();
  }
}

function compileCxx(compilerArguments) {
  const [compiler, ...ownArguments] = (process.env.CXX?.trim() || 'c++').split(/\s+/);
  const { error, status, signal } = spawnSync(compiler, [...ownArguments, ...compilerArguments], { stdio: 'inherit' });
  if (error?.code === 'ENOENT') {
    throw new BuildError(`The C++ compiler '${compiler}' was not found: install g++ or clang++ (Debian and Ubuntu: apt-get install g++, `
      + 'Fedora: dnf install gcc-c++, Alpine: apk add g++, macOS: xcode-select --install), or name yours in CXX.');
  }
  if (error !== undefined) throw error;
  if (status !== 0) throw new BuildError(`${compiler} ended with ${signal ?? `status ${status}`}.`);
}

/** Runs `build(temporary file)` when `output` is older than a source or this script; publishes the result by renaming. */
async function step(output, sources, build) {
  const inputs = [...sources, fileURLToPath(import.meta.url)];
  if (existsSync(output) && inputs.every(input => statSync(input).mtimeMs < statSync(output).mtimeMs)) return;
  const temporary = `${output}.${process.pid}.tmp`;
  const started = new Date();
  try {
    await build(temporary);
    // Dated to the start: a source saved during the build is newer and makes the next run build again.
    utimesSync(temporary, started, started);
    renameSync(temporary, output);
  } finally {
    rmSync(temporary, { force: true });
  }
  console.log(`built ${relative(dirname(NATIVE), output)}`);
}

function filesIn(folder) {
  return readdirSync(join(NATIVE, folder), { withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(NATIVE, folder, entry.name));
}

try {
  await main();
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
