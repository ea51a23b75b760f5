/** Passwords and key files: from a file, a command, the environment or a prompt; never from the command line itself. */
import { spawn } from 'node:child_process';
import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { systemRandom } from '../base/ambient.ts';
import { SnapError, cancelled } from '../base/errors.ts';
import { toHex } from '../base/bytes.ts';
import { Secret } from '../base/secret.ts';
import type { Environment } from './config-place.ts';
import type { GlobalValues } from './flags.ts';
import type { ToValues } from './replicate-flags.ts';
import type { FromValues, NewCredentialValues } from './upkeep-flags.ts';
import { printable } from './printable.ts';
import type { Terminal } from './terminal.ts';

/** What opens a key slot. */
export type Credential =
  | { readonly kind: 'password'; readonly password: Secret<string> }
  | { readonly kind: 'keyfile'; readonly key: Secret<Uint8Array> };

export interface SecretContext {
  readonly environment: Environment;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

/** Where the credential of a repository may come from. */
export interface CredentialContext extends SecretContext {
  readonly globals: GlobalValues;
  /** Whether a flag names the credential; then SNAP_PASSWORD does not count. */
  readonly credentialOrigin: 'flags' | 'elsewhere';
}

/** A password file holds one line; more than this is another file given by mistake. */
const MAX_PASSWORD_BYTES = 64 * 1024;
const KEY_BYTES = 32;

const MISSING_HINT = 'Set SNAP_PASSWORD, SNAP_PASSWORD_FILE or SNAP_PASSWORD_COMMAND, or give --password-file or --password-command';

/** For a repository that exists. Flags beat the environment, the environment beats the configuration file. @throws PASSWORD_MISSING, USAGE */
export async function readCredential(context: CredentialContext): Promise<Credential> {
  const given = await givenCredential(context);
  return given ?? passwordCredential(await prompt('Password: ', context, MISSING_HINT));
}

/** For a new repository: a prompt asks twice, and a key file that does not exist is made. @throws PASSWORD_MISSING, USAGE */
export async function readFirstCredential(context: CredentialContext): Promise<Credential> {
  const { keyFile } = context.globals;
  if (keyFile !== undefined && !usesEnvironmentPassword(context) && !exists(keyFile)) return createKeyFile(keyFile);
  const given = await givenCredential(context);
  return given ?? passwordCredential(await promptTwice('Password for the new repository: ', context, MISSING_HINT));
}

/** For `key add` and `key passwd`. @throws PASSWORD_MISSING, USAGE */
export async function readNewCredential(flags: NewCredentialValues, context: SecretContext): Promise<Credential> {
  const { newPasswordFile, newPasswordCommand, newKeyFile } = flags;
  if (newKeyFile !== undefined) return createKeyFile(newKeyFile);
  if (newPasswordFile !== undefined) return passwordCredential(readPasswordFile(newPasswordFile));
  const fromEnvironment = context.environment['SNAP_NEW_PASSWORD'] ?? '';
  if (fromEnvironment !== '') return passwordCredential(fromEnvironment);
  if (newPasswordCommand !== undefined) return passwordCredential(await runPasswordCommand(newPasswordCommand, context));
  return passwordCredential(await promptTwice('New password: ', context, 'Set SNAP_NEW_PASSWORD, or give --new-password-file, --new-password-command or --new-key-file'));
}

/** Of another repository that is read beside the one of `main`: by flags, SNAP_FROM_PASSWORD, else the same. @throws USAGE */
export async function readFromCredential(flags: FromValues, main: Credential, context: SecretContext): Promise<Credential> {
  const { fromPasswordFile, fromPasswordCommand, fromKeyFile } = flags;
  if (fromKeyFile !== undefined) return readKeyFile(fromKeyFile);
  if (fromPasswordFile !== undefined) return passwordCredential(readPasswordFile(fromPasswordFile));
  const fromEnvironment = context.environment['SNAP_FROM_PASSWORD'] ?? '';
  if (fromEnvironment !== '') return passwordCredential(fromEnvironment);
  return fromPasswordCommand === undefined ? main : passwordCredential(await runPasswordCommand(fromPasswordCommand, context));
}

/** Of replica number `i`: by flags, SNAP_TO_PASSWORD, else the same as here. A flag that is given once is for all. @throws USAGE */
export async function readToCredential(flags: ToValues, i: number, main: Credential, context: SecretContext): Promise<Credential> {
  const own = (values: readonly string[]): string | undefined => (values.length === 1 ? values[0] : values[i]);
  const [keyFile, passwordFile, passwordCommand] = [flags.toKeyFile, flags.toPasswordFile, flags.toPasswordCommand].map(own);
  if (keyFile !== undefined && keyFile !== '') return readKeyFile(keyFile);
  if (passwordFile !== undefined && passwordFile !== '') return passwordCredential(readPasswordFile(passwordFile));
  const fromEnvironment = context.environment['SNAP_TO_PASSWORD'] ?? '';
  if (fromEnvironment !== '') return passwordCredential(fromEnvironment);
  return passwordCommand === undefined || passwordCommand === '' ? main : passwordCredential(await runPasswordCommand(passwordCommand, context));
}

/** Whether nobody has to be asked. */
export function hasGivenCredential(context: CredentialContext): boolean {
  const { passwordFile, passwordCommand, keyFile } = context.globals;
  return usesEnvironmentPassword(context) || (passwordFile ?? passwordCommand ?? keyFile) !== undefined;
}

function usesEnvironmentPassword({ credentialOrigin, environment }: CredentialContext): boolean {
  return credentialOrigin === 'elsewhere' && (environment['SNAP_PASSWORD'] ?? '') !== '';
}

async function givenCredential(context: CredentialContext): Promise<Credential | undefined> {
  if (usesEnvironmentPassword(context)) return passwordCredential(context.environment['SNAP_PASSWORD']!);
  const { passwordFile, passwordCommand, keyFile } = context.globals;
  if (passwordFile !== undefined) return passwordCredential(readPasswordFile(passwordFile));
  if (passwordCommand !== undefined) return passwordCredential(await runPasswordCommand(passwordCommand, context));
  return keyFile === undefined ? undefined : readKeyFile(keyFile);
}

function passwordCredential(password: string): Credential {
  return { kind: 'password', password: new Secret(password) };
}

function readSecretFile(path: string, what: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new SnapError('USAGE', `Cannot read the ${what} '${printable(path)}'`, { cause: error });
  }
}

function readPasswordFile(path: string): string {
  return onePassword(readSecretFile(path, 'password file'), `The password file '${printable(path)}'`);
}

/** Everything up to the line break at the end. @throws USAGE when that is empty, not UTF-8 or several lines */
function onePassword(bytes: Buffer, origin: string): string {
  if (bytes.length > MAX_PASSWORD_BYTES) throw new SnapError('USAGE', `${origin} is too long for a password`);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch (error) {
    throw new SnapError('USAGE', `${origin} is not UTF-8 text`, { cause: error });
  }
  const password = text.replace(/\r?\n$/, '');
  if (password === '') throw new SnapError('USAGE', `${origin} gives an empty password`);
  if (/[\r\n]/.test(password)) throw new SnapError('USAGE', `${origin} has more than one line`, { hint: 'A password is one line of text' });
  return password;
}

/** 32 bytes, or 64 hexadecimal digits. */
function readKeyFile(path: string): Credential {
  const bytes = readSecretFile(path, 'key file');
  if (bytes.length === KEY_BYTES) return { kind: 'keyfile', key: new Secret(new Uint8Array(bytes)) };
  const digits = bytes.toString('latin1').trim();
  if (!/^[0-9a-f]{64}$/i.test(digits)) {
    throw new SnapError('USAGE', `'${printable(path)}' is not a key file`, { hint: 'A key file holds 32 bytes or 64 hexadecimal digits' });
  }
  return { kind: 'keyfile', key: new Secret(new Uint8Array(Buffer.from(digits, 'hex'))) };
}

function exists(path: string): boolean {
  try {
    closeSync(openSync(path, 'r'));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw new SnapError('USAGE', `Cannot read the key file '${printable(path)}'`, { cause: error });
  }
}

/** Makes the file anew, readable by its owner only, and durable before the key is used. @throws USAGE when it exists */
function createKeyFile(path: string): Credential {
  const key = systemRandom.bytes(KEY_BYTES);
  try {
    const file = openSync(path, 'wx', 0o600);
    try {
      writeSync(file, `${toHex(key)}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw new SnapError('USAGE', `Cannot make the key file '${printable(path)}'`, { cause: error, hint: 'Name a file that does not exist yet' });
  }
  return { kind: 'keyfile', key: new Secret(key) };
}

/** Runs the command by the shell; what it says on standard error reaches the person. */
async function runPasswordCommand(command: string, { terminal, signal }: SecretContext): Promise<string> {
  const child = spawn(command, { shell: true, stdio: [terminal.isInteractive ? 'inherit' : 'ignore', 'pipe', 'inherit'], signal });
  const pieces: Buffer[] = [];
  let length = 0;
  child.stdout!.on('data', (piece: Buffer) => {
    length += piece.length;
    if (length <= MAX_PASSWORD_BYTES + 1) pieces.push(piece);
  });
  const ending = await new Promise<string>((resolve, reject) => {
    child.on('error', error => reject(signal.aborted ? cancelled(signal)
      : new SnapError('USAGE', 'The password command could not be started', { cause: error })));
    child.on('close', (code, killedBy) => resolve(killedBy === null ? `exit code ${code}` : `signal ${killedBy}`));
  });
  if (ending !== 'exit code 0') throw new SnapError('USAGE', `The password command failed (${ending})`);
  return onePassword(Buffer.concat(pieces), 'The password command');
}

async function prompt(question: string, { terminal }: SecretContext, hint: string): Promise<string> {
  if (!terminal.isInteractive) throw new SnapError('PASSWORD_MISSING', 'No password was given and there is no terminal to ask on', { hint });
  const password = await terminal.askSecret(question);
  if (password === '') throw new SnapError('PASSWORD_MISSING', 'The password is empty', { hint });
  return password;
}

async function promptTwice(question: string, context: SecretContext, hint: string): Promise<string> {
  const password = await prompt(question, context, hint);
  if (await context.terminal.askSecret('Once more: ') !== password) {
    throw new SnapError('USAGE', 'The two passwords differ', { hint: 'Run the command again' });
  }
  return password;
}
