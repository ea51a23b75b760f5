/**
 * Azurite, Microsoft's emulator of Azure Storage, on this machine, in memory. It is no dependency of the project (it brings 200
 * packages): the test installs it from the registry into a folder of its own. SNAP_AZURITE may name a folder that has it already.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const VERSION = '3.37.0';
const INSTALL_MS = 600_000;
const START_MS = 60_000;
/** Known to everybody; source: Azurite's documentation. */
export const AZURITE_ACCOUNT = 'devstoreaccount1';
export const AZURITE_KEY = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==';

export class AzuriteServer {
  readonly endpoint: string;
  readonly #folder: string;
  readonly #process: ChildProcess;

  private constructor(folder: string, port: number, process: ChildProcess) {
    this.#folder = folder;
    this.endpoint = `http://127.0.0.1:${port}/${AZURITE_ACCOUNT}`;
    this.#process = process;
  }

  /** @throws an error that says why Azurite could not be installed or started */
  static async start(): Promise<AzuriteServer> {
    const folder = mkdtempSync(join(tmpdir(), 'snap-azurite-'));
    const prefix = process.env['SNAP_AZURITE'] ?? install(folder);
    const program = join(prefix, 'node_modules/azurite/dist/src/blob/main.js');
    if (!existsSync(program)) throw new Error(`Azurite is not complete: '${program}' is missing`);
    const port = await freePort();
    const words = [program, '--blobHost', '127.0.0.1', '--blobPort', String(port), '--inMemoryPersistence', '--skipApiVersionCheck', '--disableTelemetry', '--silent'];
    const server = new AzuriteServer(folder, port, spawn(process.execPath, words, { stdio: 'ignore', cwd: folder }));
    try {
      await server.#untilReady();
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  async stop(): Promise<void> {
    const ended = new Promise(resolve => { this.#process.once('exit', resolve); });
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      this.#process.kill('SIGKILL'); // all of it is in memory
      await ended;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #untilReady(): Promise<void> {
    for (const end = Date.now() + START_MS; Date.now() < end;) {
      // Any answer will do: without a signature it is a refusal.
      if (await fetch(this.endpoint).then(() => true, () => false)) return;
      await new Promise(resolve => { setTimeout(resolve, 200); });
    }
    throw new Error(`Azurite did not answer within ${START_MS / 1000} s`);
  }
}

function install(folder: string): string {
  try {
    execFileSync('npm', ['install', '--prefix', folder, '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error', `azurite@${VERSION}`], {
      encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: INSTALL_MS, cwd: folder,
    });
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw new Error(`Azurite ${VERSION} cannot be installed from the npm registry, which these tests need (or set SNAP_AZURITE): ${String((error as { stderr?: string }).stderr ?? error)}`);
  }
  return folder;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve); });
  const { port } = server.address() as AddressInfo;
  await new Promise(resolve => { server.close(resolve); });
  return port;
}
