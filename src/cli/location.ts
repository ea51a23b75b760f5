import { readFileSync } from 'node:fs';
import { SnapError } from '../base/errors.ts';
import type { GlobalValues } from './flags.ts';
import { printable } from './printable.ts';

/** The location of the repository that was asked for. @throws USAGE when there is none */
export function repositoryLocation(globals: GlobalValues): string {
  if (globals.repo !== undefined) return globals.repo;
  if (globals.repositoryFile === undefined) {
    throw new SnapError('USAGE', 'No repository was named', {
      hint: "Give -r LOCATION or set SNAP_REPOSITORY; 'snap help repositories' explains locations, 'snap try PATH' needs none",
    });
  }
  const path = globals.repositoryFile;
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw new SnapError('USAGE', `Cannot read the repository file '${printable(path)}'`, { cause: error });
  }
  if (text === '' || text.includes('\n')) throw new SnapError('USAGE', `The repository file '${printable(path)}' does not hold one location`);
  return text;
}
