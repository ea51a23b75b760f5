import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { GLOBAL_FLAGS, type GlobalValues } from '../../src/cli/flags.ts';
import { KEY_PASSWD_FLAGS } from '../../src/cli/upkeep-flags.ts';
import { readCredential, readFirstCredential, readNewCredential, type Credential } from '../../src/cli/secrets.ts';
import { resolveFlags } from '../../src/cli/settings.ts';
import { RecordingTerminal } from './recording-terminal.ts';

let folder: string;
let terminal: RecordingTerminal;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'snap-secrets-'));
  terminal = new RecordingTerminal();
});
afterEach(() => rmSync(folder, { recursive: true }));

const globals = (given: Record<string, string[]>): GlobalValues => resolveFlags(GLOBAL_FLAGS, { given, environment: {}, file: {}, filePath: undefined });
const context = (environment: Record<string, string> = {}) => ({ environment, terminal, signal: new AbortController().signal });
const at = (values: GlobalValues, credentialOrigin: 'flags' | 'elsewhere', secrets: ReturnType<typeof context>) =>
  ({ ...secrets, globals: values, credentialOrigin });
const passwordOf = (credential: Credential): string => (credential.kind === 'password' ? credential.password.reveal() : 'key file');

function file(content: string | Buffer): string {
  const path = join(folder, 'secret');
  writeFileSync(path, content);
  return path;
}

describe('the password of a repository', () => {
  test('comes from a file, without its last line break only', async () => {
    expect(passwordOf(await readCredential(at(globals({ passwordFile: [file(' pass word \n')] }), 'flags', context())))).toBe(' pass word ');
    expect(passwordOf(await readCredential(at(globals({ passwordFile: [file('pass\r\n')] }), 'flags', context())))).toBe('pass');
  });

  test('comes from a command that the shell runs', async () => {
    expect(passwordOf(await readCredential(at(globals({ passwordCommand: ['printf "%s\\n" pa$((1+1))ss'] }), 'flags', context())))).toBe('pa2ss');
  });

  test('SNAP_PASSWORD beats files and commands that no flag names', async () => {
    const environment = { SNAP_PASSWORD: 'from environment' };
    const values = globals({ passwordFile: [file('from file')] });
    expect(passwordOf(await readCredential(at(values, 'elsewhere', context(environment))))).toBe('from environment');
    expect(passwordOf(await readCredential(at(values, 'flags', context(environment))))).toBe('from file');
  });

  test('is asked for on a terminal', async () => {
    Object.assign(terminal, { isInteractive: true, answers: ['typed'] });
    expect(passwordOf(await readCredential(at(globals({}), 'elsewhere', context())))).toBe('typed');
  });

  test('without a terminal is a clear error with a hint, not a question', async () => {
    await expect(readCredential(at(globals({}), 'elsewhere', context()))).rejects.toMatchObject({ code: 'PASSWORD_MISSING', hint: expect.stringContaining('SNAP_PASSWORD') });
    expect(terminal.questions).toEqual([]);
  });

  test.each([
    ['an empty file', () => globals({ passwordFile: [file('\n')] }), 'empty password'],
    ['two lines', () => globals({ passwordFile: [file('a\nb\n')] }), 'more than one line'],
    ['bytes that are not UTF-8', () => globals({ passwordFile: [file(Buffer.of(0xff, 0xfe))] }), 'not UTF-8'],
    ['a file that is not there', () => globals({ passwordFile: ['/nowhere/x'] }), 'Cannot read the password file'],
    ['a command that fails', () => globals({ passwordCommand: ['echo secret; exit 3'] }), 'failed (exit code 3)'],
    ['a command that prints nothing', () => globals({ passwordCommand: ['true'] }), 'empty password'],
    ['a key file of the wrong length', () => globals({ keyFile: [file('1234')] }), 'is not a key file'],
  ])('%s is wrong usage and never shows the secret', async (_name, values, message) => {
    const error = await readCredential(at(values(), 'flags', context())).catch((thrown: unknown) => thrown as Error);
    expect(error).toMatchObject({ kind: 'usage', message: expect.stringContaining(message) });
    expect(JSON.stringify(error)).not.toContain('secret"');
  });

  test('an interrupt ends a command that hangs', async () => {
    const controller = new AbortController();
    const reading = readCredential(at(globals({ passwordCommand: ['exec sleep 60'] }), 'flags', { ...context(), signal: controller.signal }));
    controller.abort();
    await expect(reading).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});

describe('a new password', () => {
  test('is asked for twice', async () => {
    Object.assign(terminal, { isInteractive: true, answers: ['a', 'a'] });
    expect(passwordOf(await readFirstCredential(at(globals({}), 'elsewhere', context())))).toBe('a');
    expect(terminal.questions).toHaveLength(2);
  });

  test('is refused when the two differ or it is empty', async () => {
    Object.assign(terminal, { isInteractive: true, answers: ['a', 'b'] });
    await expect(readFirstCredential(at(globals({}), 'elsewhere', context()))).rejects.toThrow('The two passwords differ');
    await expect(readFirstCredential(at(globals({}), 'elsewhere', context()))).rejects.toMatchObject({ code: 'PASSWORD_MISSING' });
  });

  test('for key passwd never comes from SNAP_PASSWORD', async () => {
    const flags = resolveFlags(KEY_PASSWD_FLAGS, { given: {}, environment: {}, file: {}, filePath: undefined });
    await expect(readNewCredential(flags, context({ SNAP_PASSWORD: 'old' }))).rejects.toMatchObject({ code: 'PASSWORD_MISSING' });
    expect(passwordOf(await readNewCredential(flags, context({ SNAP_NEW_PASSWORD: 'new' })))).toBe('new');
  });
});

describe('key files', () => {
  test('hold 32 bytes or 64 digits', async () => {
    const key = Buffer.alloc(32, 7);
    for (const content of [key, `${key.toString('hex')}\n`]) {
      const credential = await readCredential(at(globals({ keyFile: [file(content)] }), 'flags', context()));
      expect(credential.kind === 'keyfile' && Buffer.from(credential.key.reveal()).equals(key)).toBe(true);
    }
  });

  test('a new one is made for its owner only, and opens what it made', async () => {
    const path = join(folder, 'key');
    const made = await readFirstCredential(at(globals({ keyFile: [path] }), 'flags', context()));
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readFileSync(path, 'utf8')).toMatch(/^[0-9a-f]{64}\n$/);
    const read = await readCredential(at(globals({ keyFile: [path] }), 'flags', context()));
    expect(made.kind === 'keyfile' && read.kind === 'keyfile' && Buffer.from(made.key.reveal()).equals(read.key.reveal())).toBe(true);
  });

  test('one that exists is used, never replaced', async () => {
    const path = file(Buffer.alloc(32, 9));
    await readFirstCredential(at(globals({ keyFile: [path] }), 'flags', context()));
    expect(readFileSync(path)).toEqual(Buffer.alloc(32, 9));
    const flags = resolveFlags(KEY_PASSWD_FLAGS, { given: { newKeyFile: [path] }, environment: {}, file: {}, filePath: undefined });
    await expect(readNewCredential(flags, context())).rejects.toThrow('Cannot make the key file');
  });
});
