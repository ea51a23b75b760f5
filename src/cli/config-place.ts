/** Where the configuration file lies. Apart from its parser, which costs a tenth of a small command's time and mostly is not needed. */
import { readFileSync, statSync, type Stats } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { SnapError } from '../base/errors.ts';
import { printable } from './printable.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** The file that was asked for, or the first one that exists in the usual places. @throws USAGE */
export function findConfigFile(asked: string | undefined, environment: Environment): { path: string; text: string } | undefined {
  if (asked !== undefined) return { path: resolve(asked), text: readText(asked) };
  for (const path of usualPlaces(environment)) {
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats === undefined || !stats.isFile()) continue;
    checkOwner(path, stats);
    return { path, text: readText(path) };
  }
  return undefined;
}

export function usualPlaces(environment: Environment): string[] {
  const user = environment['XDG_CONFIG_HOME'] ?? '';
  return [resolve('snap.yaml'), join(user === '' ? join(homedir(), '.config') : user, 'snap', 'snap.yaml'), '/etc/snap/snap.yaml'];
}

/** A file that merely lies in the current folder can run commands (`password-command`), so it must not be a stranger's. */
function checkOwner(path: string, stats: Stats): void {
  const { uid } = userInfo();
  if (uid < 0 || stats.uid === 0 || stats.uid === uid) return;
  throw new SnapError('USAGE', `The configuration file '${printable(path)}' belongs to another user`, {
    hint: `Name it with --config if you trust it, or run snap in another folder`,
  });
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new SnapError('USAGE', `Cannot read the configuration file '${printable(path)}'`, { cause: error });
  }
}
