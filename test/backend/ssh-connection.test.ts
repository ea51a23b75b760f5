import { execFileSync, spawn } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { systemClock, systemRandom } from '../../src/base/ambient.ts';
import type { SnapError } from '../../src/base/errors.ts';
import { parseLocation, type SftpLocation } from '../../src/backend/location.ts';
import { openSftpBackend } from '../../src/backend/sftp.ts';
import type { SshSettings } from '../../src/backend/ssh-connection.ts';
import { makeKey, SshServer } from '../support/ssh-server.ts';

let server: SshServer;
let ssh: string;
let key: string;
beforeAll(async () => {
  server = await SshServer.start({ hostKeys: ['ed25519', 'rsa'] });
  ssh = `${server.home}/.ssh`;
  key = `${ssh}/id_ed25519`;
});
afterAll(() => server.stop());
beforeEach(() => {
  server.writeKnownHosts();
  writeFileSync(`${ssh}/config`, '');
});

/** 'open', or code, message and hint of the failure. */
async function outcomeOf(settings: SshSettings = {}, location = server.location()): Promise<string> {
  try {
    const backend = await openSftpBackend(parseLocation(location) as SftpLocation, {
      clock: systemClock, random: systemRandom, create: true, settings: { ...server.settings, ...settings },
    });
    await backend.close();
    return 'open';
  } catch (error) {
    const { code, message, hint } = error as SnapError;
    return `${code}: ${message} (${hint})`;
  }
}

describe('the key of the server', () => {
  const known = (): string => readFileSync(`${ssh}/known_hosts`, 'utf8');
  const wrongKey = (): string => {
    rmSync(`${server.folder}/wrong`, { force: true });
    rmSync(`${server.folder}/wrong.pub`, { force: true });
    makeKey(`${server.folder}/wrong`, 'ed25519');
    return readFileSync(`${server.folder}/wrong.pub`, 'utf8').split(' ').slice(0, 2).join(' ');
  };

  test('that is known lets everything go on', async () => expect(await outcomeOf()).toBe('open'));
  test('of which another type is known is asked for', async () => {
    server.writeKnownHosts(`[127.0.0.1]:${server.port} ${server.hostKey('rsa')}\n`);
    expect(await outcomeOf()).toBe('open');
  });
  test('that is not known is refused, with its fingerprint and how to add it', async () => {
    server.writeKnownHosts('');
    const outcome = await outcomeOf();
    expect(outcome).toMatch(/^DENIED: .*SHA256:[\w+/]{43}.*ssh-keyscan -p \d+ 127\.0\.0\.1.*--sftp-accept-new-host-key/);
    expect(outcome).toContain(execFileSync('ssh-keygen', ['-l', '-f', `${server.folder}/host_ed25519.pub`]).toString().split(' ')[1]);
    expect(known()).toBe('');
  });
  test('that is not known is added when that is wanted, and known from then on', async () => {
    server.writeKnownHosts('');
    expect(await outcomeOf({ acceptNewHostKey: true })).toBe('open');
    expect(known()).toContain(`[127.0.0.1]:${server.port} ${server.hostKey()}`);
    expect(await outcomeOf()).toBe('open');
  });
  test('is added once, however often the connection changes its keys', async () => {
    server.writeKnownHosts('');
    const backend = await openSftpBackend(parseLocation(server.location()) as SftpLocation, {
      clock: systemClock, random: systemRandom, create: true, settings: { ...server.settings, acceptNewHostKey: true },
    });
    const name = `packs/d/00/${process.pid}`;
    await backend.create(name, [new Uint8Array(20_000_000)]);
    expect((await backend.read(name)).length).toBe(20_000_000);
    await backend.close();
    expect(known().trim().split('\n')).toHaveLength(1);
  });
  test('is added as a hash where the configuration says so', async () => {
    server.writeKnownHosts('');
    writeFileSync(`${ssh}/config`, 'HashKnownHosts yes\n');
    expect(await outcomeOf({ acceptNewHostKey: true })).toBe('open');
    expect(known()).toMatch(/^\|1\|/);
    expect(await outcomeOf()).toBe('open');
  });
  test.each([false, true])('that has changed is refused, whatever is wanted: %s', async acceptNewHostKey => {
    server.writeKnownHosts(`[127.0.0.1]:${server.port} ${wrongKey()}\n`);
    const before = known();
    expect(await outcomeOf({ acceptNewHostKey })).toMatch(/^DENIED: .*is not the known one.*ssh-keygen -R/);
    expect(known()).toBe(before);
  });
  test('that is revoked is refused', async () => {
    server.writeKnownHosts(`[127.0.0.1]:${server.port} ${server.hostKey()}\n@revoked * ${server.hostKey()}\n`);
    expect(await outcomeOf({ acceptNewHostKey: true })).toMatch(/^DENIED: .*revoked/);
  });
  test('that cannot be added is not trusted', async () => {
    writeFileSync(`${ssh}/config`, `UserKnownHostsFile ${server.folder}/sshd_config/known_hosts\n`);
    expect(await outcomeOf({ acceptNewHostKey: true })).toMatch(/^DENIED: .*cannot be added/);
  });
});

describe('who we are', () => {
  const without = (path: string): void => {
    for (const suffix of ['', '.pub']) renameSync(path + suffix, `${path}.away${suffix}`);
    onTestFinished(() => { for (const suffix of ['', '.pub']) renameSync(`${path}.away${suffix}`, path + suffix); });
  };

  test('is proved by a key that the configuration names, under an alias', async () => {
    without(key);
    writeFileSync(`${ssh}/config`, `Host vault\n  HostName 127.0.0.1\n  Port ${server.port}\n  User ${server.user}\n  IdentityFile ~/.ssh/id_ed25519.away\n`);
    expect(await outcomeOf({}, `sftp://vault${server.path()}`)).toBe('open');
  });
  test('is not proved by a key that the server does not know', async () => {
    without(key);
    makeKey(`${ssh}/id_ecdsa`, 'ecdsa');
    onTestFinished(() => { for (const suffix of ['', '.pub']) rmSync(`${ssh}/id_ecdsa${suffix}`); });
    expect(await outcomeOf()).toMatch(/^DENIED: .*does not let '.*' in \(tried: key '.*id_ecdsa'\).*authorized_keys/);
  });
  test('needs something to try', async () => {
    without(key);
    expect(await outcomeOf()).toMatch(/^DENIED: .*there was nothing to try/);
  });
  test('is not proved by a wrong password of the location, which nobody gets to see', async () => {
    without(key);
    const outcome = await outcomeOf({}, server.location().replace('@', ':hunter2@'));
    expect(outcome).toMatch(/^DENIED: .*password/);
    expect(outcome).not.toContain('hunter2');
  });
  test('is not asked for when a key has a passphrase: the agent has it', async () => {
    without(key);
    const locked = `${ssh}/id_ed25519`;
    makeKey(locked, 'ed25519', 'secret words');
    appendFileSync(`${server.folder}/authorized_keys`, readFileSync(`${locked}.pub`));
    onTestFinished(() => { for (const suffix of ['', '.pub']) rmSync(locked + suffix, { force: true }); });
    expect(await outcomeOf()).toMatch(/^DENIED: .*passphrase.*ssh-add/);

    const socket = `${server.folder}/agent`;
    const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' });
    onTestFinished(() => { agent.kill(); });
    while (!existsSync(socket)) await new Promise(resolve => { setTimeout(resolve, 5); });
    // More keys than the server tries: the one that the file names has to come first.
    for (let i = 0; i < 8; i++) {
      makeKey(`${server.folder}/more-${i}`, 'ed25519');
      execFileSync('ssh-add', ['-q', `${server.folder}/more-${i}`], { env: { ...process.env, SSH_AUTH_SOCK: socket }, stdio: 'ignore' });
    }
    writeFileSync(`${server.folder}/askpass`, '#!/bin/sh\necho secret words\n', { mode: 0o755 });
    const env = { ...process.env, SSH_AUTH_SOCK: socket, SSH_ASKPASS: `${server.folder}/askpass`, SSH_ASKPASS_REQUIRE: 'force' };
    execFileSync('ssh-add', ['-q', locked], { env, stdio: 'ignore' });
    expect(await outcomeOf({ environment: { SSH_AUTH_SOCK: socket } })).toBe('open');
  });
  test('is proved by a key although the agent is gone', async () =>
    expect(await outcomeOf({ environment: { SSH_AUTH_SOCK: `${server.folder}/no-agent` } })).toBe('open'));
});

describe('the way to the server', () => {
  test('may lead over a jump host, whose key is checked as well', async () => {
    const jump = await SshServer.start();
    onTestFinished(() => jump.stop());
    writeFileSync(`${jump.folder}/authorized_keys`, readFileSync(`${key}.pub`));
    writeFileSync(`${ssh}/config`, `Host vault\n  HostName 127.0.0.1\n  Port ${server.port}\n  User ${server.user}\n  ProxyJump ${jump.user}@127.0.0.1:${jump.port}\n`);
    const location = `sftp://vault${server.path()}`;
    expect(await outcomeOf({}, location)).toMatch(new RegExp(`^DENIED: .*\\[127\\.0\\.0\\.1\\]:${jump.port}`));
    appendFileSync(`${ssh}/known_hosts`, `[127.0.0.1]:${jump.port} ${jump.hostKey()}\n`);
    expect(await outcomeOf({}, location)).toBe('open');
  });
  test('that nobody answers on is UNAVAILABLE, and says where', async () =>
    expect(await outcomeOf({}, 'sftp://me@127.0.0.1:1/x')).toMatch(/^UNAVAILABLE: .*'127\.0\.0\.1' port 1.*ECONNREFUSED/));
  test('to a host that has no address is UNAVAILABLE', async () =>
    expect(await outcomeOf({}, 'sftp://me@server.invalid/x')).toMatch(/^UNAVAILABLE: .*server\.invalid/));
  test('to a server without SFTP is DENIED', async () => {
    const bare = await SshServer.start({ hasSftp: false });
    onTestFinished(() => bare.stop());
    writeFileSync(`${bare.folder}/authorized_keys`, readFileSync(`${key}.pub`));
    server.writeKnownHosts(`[127.0.0.1]:${bare.port} ${bare.hostKey()}\n`);
    expect(await outcomeOf({}, bare.location())).toMatch(/^DENIED: .*offers no SFTP/);
  });
});
