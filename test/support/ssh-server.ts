/** A real OpenSSH server on a free port of this machine, with keys of its own; nothing of the system's configuration is read. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import type { SshSettings } from '../../src/backend/ssh-connection.ts';

const PROGRAM = '/usr/sbin/sshd';
const isRoot = userInfo().uid === 0;
/** As root the server lets in somebody with fewer rights, so that permissions count. */
const USER = isRoot ? 'nobody' : userInfo().username;

export interface SshServerOptions {
  /** False: a server that offers no SFTP. */
  readonly hasSftp?: boolean;
  readonly hostKeys?: readonly ('ed25519' | 'rsa' | 'ecdsa')[];
  /** Words after `internal-sftp`. */
  readonly sftpWords?: string;
}

export class SshServer {
  readonly user = USER;
  readonly port: number;
  /** Of the server: keys and the repositories below `data`. */
  readonly folder: string;
  /** The home folder of the one who connects: `.ssh` with a key that the server takes and the server in known_hosts. */
  readonly home: string;
  readonly #process: ChildProcess;

  private constructor(port: number, folder: string, home: string, process: ChildProcess) {
    this.port = port;
    this.folder = folder;
    this.home = home;
    this.#process = process;
  }

  static async start(options: SshServerOptions = {}): Promise<SshServer> {
    if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: install OpenSSH's server (Debian: apt-get install openssh-server)`);
    const { hasSftp = true, hostKeys = ['ed25519'], sftpWords = '' } = options;
    // The server drops to its own user before it starts, and needs this directory for that.
    if (isRoot) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
    const folder = mkdtempSync(join(tmpdir(), 'snap-sshd-'));
    chmodSync(folder, 0o755);
    const home = join(folder, 'home');
    mkdirSync(join(home, '.ssh'), { recursive: true, mode: 0o700 });
    mkdirSync(join(folder, 'data'));
    if (isRoot) chownSync(join(folder, 'data'), Number(execFileSync('id', ['-u', USER])), Number(execFileSync('id', ['-g', USER])));
    const port = await freePort();
    for (const type of hostKeys) makeKey(join(folder, `host_${type}`), type);
    makeKey(join(home, '.ssh/id_ed25519'), 'ed25519');
    writeFileSync(join(folder, 'authorized_keys'), readFileSync(join(home, '.ssh/id_ed25519.pub')));
    writeFileSync(join(folder, 'sshd_config'), [
      `Port ${port}`, 'ListenAddress 127.0.0.1', ...hostKeys.map(type => `HostKey ${folder}/host_${type}`), 'PidFile none',
      `AuthorizedKeysFile ${folder}/authorized_keys`, 'StrictModes no', 'UsePAM no', 'PasswordAuthentication no', 'KbdInteractiveAuthentication no',
      ...hasSftp ? [`Subsystem sftp internal-sftp ${sftpWords}`, `ForceCommand internal-sftp ${sftpWords}`] : [], 
      // Keys change in mid-transfer, as they do on long connections.
      'RekeyLimit 4M', 'MaxStartups 100', '',
    ].join('\n'));
    const process = spawn(PROGRAM, ['-D', '-e', '-f', join(folder, 'sshd_config')], { stdio: ['ignore', 'ignore', 'pipe'] });
    let log = '';
    process.stderr!.on('data', (text: Buffer) => { log += text.toString(); });
    const server = new SshServer(port, folder, home, process);
    await server.#untilReady(() => log);
    server.writeKnownHosts();
    return server;
  }

  get settings(): SshSettings {
    return { home: this.home, configFiles: [join(this.home, '.ssh/config')], environment: {} };
  }

  location(name = 'repository', port = this.port): string {
    return `sftp://${this.user}@127.0.0.1:${port}${this.folder}/data/${name}`;
  }

  path(name = 'repository'): string {
    return join(this.folder, 'data', name);
  }

  /** Public key of the server as it stands in known_hosts. */
  hostKey(type = 'ed25519'): string {
    return readFileSync(join(this.folder, `host_${type}.pub`), 'utf8').split(' ').slice(0, 2).join(' ');
  }

  writeKnownHosts(text = `[127.0.0.1]:${this.port} ${this.hostKey()}\n`): void {
    writeFileSync(join(this.home, '.ssh/known_hosts'), text);
  }

  async stop(): Promise<void> {
    const ended = new Promise(resolve => { this.#process.once('exit', resolve); });
    this.#process.kill();
    if (this.#process.exitCode === null) await ended;
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #untilReady(log: () => string): Promise<void> {
    for (let i = 0; i < 200; i++) {
      if (this.#process.exitCode !== null) throw new Error(`sshd did not start: ${log()}`);
      if (await answers(this.port)) return;
      await new Promise(resolve => { setTimeout(resolve, 25); });
    }
    throw new Error(`sshd does not answer: ${log()}`);
  }
}

export function makeKey(path: string, type: 'ed25519' | 'rsa' | 'ecdsa', passphrase = ''): void {
  execFileSync('ssh-keygen', ['-q', '-t', type, '-N', passphrase, '-f', path, '-C', 'test']);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve); });
  const { port } = server.address() as { port: number };
  await new Promise(resolve => { server.close(resolve); });
  return port;
}

function answers(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1');
    socket.once('data', () => { socket.destroy(); resolve(true); });
    socket.once('error', () => resolve(false));
  });
}
