/**
 * A real S3 server on this machine: one-node Ceph (monitor, one store in memory) with its gateway. It checks signatures, and its
 * create-only writes are decided by the same code as in large installations.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createWriteStream, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

const PROGRAMS = ['ceph', 'ceph-authtool', 'ceph-mon', 'ceph-osd', 'monmaptool', 'radosgw', 'radosgw-admin'];
const WITHOUT_AUTHENTICATION = ['client', 'cluster', 'service'].map(part => `--auth-${part}-required=none`);
const START_MS = 120_000;

export class CephServer {
  readonly endpoint: string;
  readonly accessKeyId = 'snapkey';
  readonly secretAccessKey = 'snapsecret';
  readonly #folder: string;
  readonly #gateway: ChildProcess;

  private constructor(folder: string, endpoint: string, gateway: ChildProcess) {
    this.#folder = folder;
    this.endpoint = endpoint;
    this.#gateway = gateway;
  }

  /** @throws an error that says which programs are missing, or what the server said */
  static async start(port = 7480): Promise<CephServer> {
    const missing = PROGRAMS.filter(name => !(process.env['PATH'] ?? '').split(delimiter).some(folder => existsSync(join(folder, name))));
    if (missing.length > 0) {
      throw new Error(`Ceph is not complete, missing: ${missing.join(', ')} (Debian: apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-common)`);
    }
    const folder = mkdtempSync(join(tmpdir(), 'snap-ceph-'));
    for (const name of ['mon', 'osd', 'log', 'run']) mkdirSync(join(folder, name));
    const clusterId = randomUUID();
    writeFileSync(join(folder, 'ceph.conf'), configuration(folder, clusterId, port));
    const run = (program: string, ...words: string[]): string =>
      execFileSync(program, words, { env: { ...process.env, CEPH_CONF: join(folder, 'ceph.conf') }, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: START_MS });
    run('ceph-authtool', '--create-keyring', join(folder, 'rgw.keyring'), '--gen-key', '-n', 'client.rgw');
    run('monmaptool', '--create', '--clobber', '--fsid', clusterId, '--addv', 'a', `[v2:127.0.0.1:${port + 1},v1:127.0.0.1:${port + 2}]`, join(folder, 'monmap'));
    run('ceph-mon', '--id', 'a', '--mkfs', '--monmap', join(folder, 'monmap'), '--keyring', '/dev/null');
    run('ceph-mon', '--id', 'a');
    run('ceph', 'osd', 'create');
    run('ceph', 'osd', 'crush', 'add', 'osd.0', '1', 'root=default', 'host=localhost');
    run('ceph-osd', '--id', '0', '--mkfs');
    run('ceph-osd', '--id', '0');
    const gateway = spawn('radosgw', ['-n', 'client.rgw', '-f', ...WITHOUT_AUTHENTICATION], {
      env: { ...process.env, CEPH_CONF: join(folder, 'ceph.conf') }, stdio: ['ignore', 'pipe', 'pipe'],
    });
    const log = createWriteStream(join(folder, 'log/gateway.out'));
    gateway.stdout.pipe(log);
    gateway.stderr.pipe(log);
    const server = new CephServer(folder, `http://127.0.0.1:${port}`, gateway);
    try {
      await server.#untilReady();
      run('radosgw-admin', 'user', 'create', '--uid=snap', '--display-name=snap', `--access-key=${server.accessKeyId}`, `--secret-key=${server.secretAccessKey}`, ...WITHOUT_AUTHENTICATION);
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  location(bucket: string, prefix: string): string {
    return `s3:${this.endpoint.replace('//', `//${this.accessKeyId}:${this.secretAccessKey}@`)}/${bucket}/${prefix}`;
  }

  /** The gateway keeps its connections open and does nothing. */
  pause(): void {
    this.#gateway.kill('SIGSTOP');
  }

  resume(): void {
    this.#gateway.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    this.resume();
    const ended = new Promise(resolve => { this.#gateway.once('exit', resolve); });
    if (this.#gateway.exitCode === null && this.#gateway.signalCode === null) {
      this.#gateway.kill('SIGKILL'); // all of it is in memory
      await ended;
    }
    for (const daemon of ['osd.0', 'mon.a']) await endDaemon(join(this.#folder, 'run', `${daemon}.pid`));
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #untilReady(): Promise<void> {
    for (const end = Date.now() + START_MS; Date.now() < end;) {
      if (await fetch(this.endpoint).then(answer => answer.ok, () => false)) return;
      await pause(250);
    }
    throw new Error(`The gateway of Ceph did not start: ${readFileSync(join(this.#folder, 'log/gateway.out'), 'utf8').slice(-2000)}`);
  }
}

async function endDaemon(pidFile: string): Promise<void> {
  const pid = existsSync(pidFile) ? Number(readFileSync(pidFile, 'utf8')) : 0;
  if (!(pid > 1)) return;
  try {
    process.kill(pid, 'SIGKILL');
    for (;;) {
      await pause(50);
      process.kill(pid, 0);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => { setTimeout(resolve, ms); });
}

function configuration(folder: string, clusterId: string, port: number): string {
  return `[global]
fsid = ${clusterId}
mon host = [v2:127.0.0.1:${port + 1},v1:127.0.0.1:${port + 2}]
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
ms client mode = crc
ms cluster mode = crc
ms service mode = crc
ms mon cluster mode = crc
ms mon service mode = crc
osd pool default size = 1
osd pool default min size = 1
osd crush chooseleaf type = 0
osd pool default pg num = 4
osd pool default pgp num = 4
mon allow pool size one = true
mon data avail crit = 1
mon data avail warn = 2
log file = ${folder}/log/$name.log
pid file = ${folder}/run/$name.pid
admin socket = ${folder}/run/$name.asok
run dir = ${folder}/run
[mon.a]
mon data = ${folder}/mon
mon initial members = a
[osd.0]
osd data = ${folder}/osd
osd objectstore = memstore
memstore device bytes = 4294967296
[client.rgw]
keyring = ${folder}/rgw.keyring
rgw frontends = beast endpoint=127.0.0.1:${port} tcp_nodelay=1
`;
}
