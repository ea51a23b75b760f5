/** The built program on an SSH server. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { temporaryDirectory } from '../support/memory-repository.ts';
import { snap } from '../support/snap-cli.ts';
import { SshServer } from '../support/ssh-server.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { dailyRound, writeFiles } from './daily-round.ts';

let server: SshServer;
beforeAll(async () => { server = await SshServer.start(); });
afterAll(() => server.stop());

test('a day with a repository on an SSH server', { timeout: 240_000 }, async () => {
  await dailyRound(server.location(), { HOME: server.home });
});

test('a server that is not known is refused, and accepted when asked to', async () => {
  server.writeKnownHosts('');
  const cli = { repository: server.location('another'), env: { HOME: server.home } };
  const refused = await snap(['init', '--json'], cli);
  expect(refused).toMatchObject({ code: 1 });
  expect(JSON.parse(refused.stdout)).toMatchObject({ message_type: 'exit_error', error_code: 'DENIED', hint: expect.stringContaining('--sftp-accept-new-host-key') as string });
  expect(await snap(['init', '--sftp-accept-new-host-key'], cli)).toMatchObject({ code: 0 });
  expect(readFileSync(`${server.home}/.ssh/known_hosts`, 'utf8')).toContain(server.hostKey());
});

test('what the cut of a connection interrupts goes on over the next one', { timeout: 240_000 }, async () => {
  const proxy = await TcpProxy.start(server.port);
  onTestFinished(() => proxy.close());
  server.writeKnownHosts(`[127.0.0.1]:* ${server.hostKey()}\n`);
  const place = temporaryDirectory();
  const source = join(place, 'source');
  const files = writeFiles(source, 3);
  const cli = { repository: server.location('cut', proxy.port), cache: join(place, 'cache'), password: '', env: { HOME: server.home, SNAP_KEY_FILE: join(place, 'key') } };
  const well = async (...words: string[]): Promise<void> => {
    const result = await snap(words, cli);
    expect(result, `${words.join(' ')}\n${result.stdout}${result.stderr}`).toMatchObject({ code: 0 });
  };
  await well('init');
  for (const [afterBytes, words] of [[3_000_000, ['backup', source]], [20_000, ['restore', `latest:${source}`, '--target', join(place, 'target')]]] as const) {
    const before = proxy.connections;
    proxy.cutAfter(afterBytes);
    await well(...words);
    expect(proxy.connections).toBeGreaterThan(before + 1);
  }
  for (const [path, bytes] of files) expect(Buffer.compare(readFileSync(join(place, 'target', path)), bytes), path).toBe(0);
});
