import { mkdirSync, writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { type SshHostConfig, sshHostConfig, type SshTarget } from '../../src/backend/ssh-config.ts';
import { codeOf } from '../conformance/backend.ts';
import { temporaryDirectory } from '../support/memory-repository.ts';

let home: string;
beforeEach(() => {
  home = temporaryDirectory();
  mkdirSync(`${home}/.ssh/config.d`, { recursive: true });
});

function configOf(text: string, target: Partial<SshTarget> = {}, environment: Record<string, string> = {}): SshHostConfig {
  writeFileSync(`${home}/.ssh/config`, text);
  return sshHostConfig({ host: 'backup', user: undefined, port: 22, ...target }, {
    home, localUser: 'me', configFiles: [`${home}/.ssh/config`, `${home}/.ssh/system`], environment,
  });
}

test('without a file everything is as usual', () =>
  expect(configOf('')).toEqual({
    hostName: 'backup', user: 'me', port: 22, identityFiles: undefined, identitiesOnly: false, agent: undefined,
    knownHostsFiles: [`${home}/.ssh/known_hosts`, `${home}/.ssh/known_hosts2`],
    globalKnownHostsFiles: ['/etc/ssh/ssh_known_hosts', '/etc/ssh/ssh_known_hosts2'], hostKeyAlias: undefined, hashesKnownHosts: false, jumps: [],
  }));
test('an alias stands for host, user, port and keys', () =>
  expect(configOf(`
    # comment
    Host other
      HostName wrong.example
    Host backup vault
      HostName = "vault.example"
      user keeper
      Port=2222
      IdentityFile ~/.ssh/one
      IdentityFile %d/keys/%h-%r
      IdentitiesOnly yes
      HostKeyAlias vault-key
      UserKnownHostsFile ~/a ~/b
      HashKnownHosts yes
  `)).toMatchObject({
    hostName: 'vault.example', user: 'keeper', port: 2222, identityFiles: [`${home}/.ssh/one`, `${home}/keys/vault.example-keeper`], identitiesOnly: true,
    hostKeyAlias: 'vault-key', knownHostsFiles: [`${home}/a`, `${home}/b`], hashesKnownHosts: true,
  }));
test('the location counts more than the file', () =>
  expect(configOf('Host backup\nUser keeper\nPort 2222', { user: 'root', port: 2022 })).toMatchObject({ user: 'root', port: 2022 }));
test('the first value counts, in the order of the files', () => {
  writeFileSync(`${home}/.ssh/system`, 'User system\nPort 99\n');
  expect(configOf('Host backup\nUser first\nHost *\nUser second\n')).toMatchObject({ user: 'first', port: 99 });
});
test.each([
  ['backup', true], ['back*', true], ['b?ckup', true], ['BACKUP', true], ['*', true], ['* !backup', false], ['!other *', true], ['!other', false], ['back', false],
])('the pattern %s matches: %s', (pattern, isMatched) => expect(configOf(`Host ${pattern}\nUser matched`).user).toBe(isMatched ? 'matched' : 'me'));
test.each([
  ['all', true], ['host vault.example', true], ['host backup', false], ['originalhost backup', true], ['originalhost backup user me', true], ['user you', false],
  ['localuser me', true], ['exec true', false], ['final all', false],
])('Match %s counts: %s', (criteria, isMatched) =>
  expect(configOf(`HostName vault.example\nMatch ${criteria}\nPort 2222`).port).toBe(isMatched ? 2222 : 22));
test('files are included, also by pattern, within their block', () => {
  writeFileSync(`${home}/.ssh/config.d/a.conf`, 'User included\n');
  writeFileSync(`${home}/.ssh/config.d/b.txt`, 'Port 1\n');
  expect(configOf('Include config.d/*.conf ~/nothing')).toMatchObject({ user: 'included', port: 22 });
  expect(configOf('Host other\nInclude config.d/*.conf\nHost backup\nPort 7')).toMatchObject({ user: 'me', port: 7 });
});
test('a circle of files is refused', async () => {
  writeFileSync(`${home}/.ssh/again`, 'Include again\n');
  expect(await codeOf((async () => configOf('Include again'))())).toBe('USAGE');
});
describe('the agent', () => {
  const environment = { SSH_AUTH_SOCK: '/run/agent', MY_AGENT: '/run/mine' };
  test.each([
    ['', '/run/agent'], ['IdentityAgent none', undefined], ['IdentityAgent SSH_AUTH_SOCK', '/run/agent'], ['IdentityAgent $MY_AGENT', '/run/mine'],
    ['IdentityAgent ${MY_AGENT}', '/run/mine'], ['IdentityAgent "/run/an agent"', '/run/an agent'],
  ])('%j', (text, agent) => expect(configOf(text, {}, environment).agent).toBe(agent));
  test('is none when nobody names one', () => expect(configOf('', {}, { SSH_AUTH_SOCK: '' }).agent).toBeUndefined());
});
test('jump hosts are named in their order', () => {
  expect(configOf('ProxyJump first,me@second:2222').jumps).toEqual(['first', 'me@second:2222']);
  expect(configOf('ProxyJump none').jumps).toEqual([]);
});
test('a ProxyCommand is refused with a hint', () => {
  expect(() => configOf('ProxyCommand nc %h %p')).toThrow(expect.objectContaining({ code: 'USAGE', hint: expect.stringContaining('ProxyJump') as string }));
  expect(configOf('ProxyCommand none').jumps).toEqual([]);
});
