/** The built program on an SSH server. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { snap } from '../support/snap-cli.ts';
import { SshServer } from '../support/ssh-server.ts';
import { dailyRound } from './daily-round.ts';

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
