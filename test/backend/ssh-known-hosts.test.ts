import { execFileSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { systemRandom } from '../../src/base/ambient.ts';
import { addKnownHost, fingerprint, KnownHosts, knownHostLine, readKnownHosts } from '../../src/backend/ssh-known-hosts.ts';
import { makeKey } from '../support/ssh-server.ts';
import { temporaryDirectory } from '../support/memory-repository.ts';

/** Public keys in the encoding of SSH that nobody has the private ones of. */
function encodedKey(type: string, fill: number): Buffer {
  const part = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from([0, 0, 0, bytes.length]), bytes]);
  return Buffer.concat([part(Buffer.from(type)), part(Buffer.alloc(32, fill))]);
}
const KEY = encodedKey('ssh-ed25519', 1);
const OTHER = encodedKey('ssh-ed25519', 2);
const RSA = encodedKey('ssh-rsa', 3);
const line = (hosts: string, key = KEY): string => `${hosts} ${key.subarray(4, 4 + key[3]!).toString()} ${key.toString('base64')} a comment`;
const verdict = (text: string, host = 'server.example', port = 22, key = KEY): string => new KnownHosts([text]).check(host, port, key);

describe('a host is known', () => {
  test.each([
    ['by its name', line('server.example'), 22], ['by one of several names', line('other,server.example,10.0.0.1'), 22],
    ['whatever the case', line('Server.Example'), 22], ['by a pattern', line('*.example'), 22], ['by one character', line('serve?.example'), 22],
    ['on another port', line('[server.example]:2222'), 2222], ['on another port by the name alone, as ssh has it', line('server.example'), 2222],
    ['among comments, empty lines and what is none', `# ${line('server.example', OTHER)}\n\nnonsense\nserver.example ssh-ed25519 !!\n${line('server.example')}\n`, 22],
    ['with keys of several types', `${line('server.example', RSA)}\n${line('server.example')}`, 22],
    ['beside authorities that are not understood', `@cert-authority ${line('*', OTHER)}\n${line('server.example')}`, 22],
  ])('%s', (_name, text, port) => expect(verdict(text, 'server.example', port)).toBe('known'));
  test('by the hash of its name', () => {
    for (const [host, port] of [['server.example', 22], ['server.example', 2222]] as const) {
      const hashed = knownHostLine(host, port, KEY, systemRandom);
      expect(hashed).toMatch(/^\|1\|/);
      expect(hashed).not.toContain('server');
      expect(verdict(hashed, host, port)).toBe('known');
      expect(verdict(hashed, 'another.example', port)).toBe('unknown');
      expect(verdict(hashed, host, 2223)).toBe(port === 22 ? 'known' : 'unknown');
    }
  });
});

describe('a host is not trusted', () => {
  test.each([
    ['when nothing is known', '', 'unknown'], ['when others are known', line('another.example'), 'unknown'], ['when a pattern excludes it', line('*.example,!server.example'), 'unknown'],
    ['when only an authority speaks for it', `@cert-authority ${line('server.example')}`, 'unknown'],
    ['when another key is known', line('server.example', OTHER), 'changed'], ['when a key of another type is known', line('server.example', RSA), 'changed'],
    ['when its key is revoked', `${line('server.example')}\n@revoked ${line('*')}`, 'revoked'],
    ['when its key is revoked for it alone', `@revoked ${line('server.example')}`, 'revoked'],
    ['when the line says another type than the key', line('server.example').replace('ssh-ed25519', 'ssh-rsa'), 'unknown'],
  ])('%s', (_name, text, expected) => expect(verdict(text)).toBe(expected));
  test('when its port has another key, whatever the name alone has', () =>
    expect(verdict(`${line('server.example')}\n${line('[server.example]:2222', OTHER)}`, 'server.example', 2222)).toBe('changed'));
  test('when a key is revoked for another host only, it still counts', () =>
    expect(verdict(`${line('server.example')}\n@revoked ${line('another.example')}`)).toBe('known'));
});

test('the types of known keys are told for the port that is asked for', () => {
  const known = new KnownHosts([`${line('server.example', RSA)}\n${line('[server.example]:2222')}`]);
  expect(known.keyTypes('server.example', 22)).toEqual(['ssh-rsa']);
  expect(known.keyTypes('server.example', 2222)).toEqual(['ssh-ed25519']);
  expect(known.keyTypes('server.example', 2223)).toEqual(['ssh-rsa']);
  expect(known.keyTypes('another.example', 22)).toEqual([]);
});

describe('files', () => {
  test('a host is added in a line of its own, in a folder that is made', () => {
    const path = `${temporaryDirectory()}/.ssh/known_hosts`;
    addKnownHost(path, line('a.example'));
    expect(statSync(path).mode & 0o777).toBe(0o600);
    writeFileSync(path, readFileSync(path, 'utf8').trimEnd());
    addKnownHost(path, line('b.example'));
    const known = new KnownHosts(readKnownHosts([path, '/nonexistent/known_hosts']));
    expect([known.check('a.example', 22, KEY), known.check('b.example', 22, KEY)]).toEqual(['known', 'known']);
  });
  test('agree with the tools of OpenSSH', () => {
    const place = temporaryDirectory();
    makeKey(`${place}/key`, 'ed25519');
    const [type, encoded] = readFileSync(`${place}/key.pub`, 'utf8').split(' ');
    const key = Buffer.from(encoded!, 'base64');
    expect(execFileSync('ssh-keygen', ['-l', '-f', `${place}/key.pub`]).toString()).toContain(fingerprint(key));
    writeFileSync(`${place}/known_hosts`, `server.example ${type} ${encoded}\n[server.example]:2222 ${type} ${encoded}\n`);
    execFileSync('ssh-keygen', ['-H', '-f', `${place}/known_hosts`], { stdio: 'ignore' });
    const hashed = readFileSync(`${place}/known_hosts`, 'utf8');
    expect(hashed).not.toContain('server');
    expect([verdict(hashed, 'server.example', 22, key), verdict(hashed, 'server.example', 2222, key)]).toEqual(['known', 'known']);
    writeFileSync(`${place}/ours`, `${knownHostLine('server.example', 2222, key, systemRandom)}\n`);
    expect(execFileSync('ssh-keygen', ['-F', '[server.example]:2222', '-f', `${place}/ours`]).toString()).toContain('found');
  });
});
