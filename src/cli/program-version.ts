import { readFileSync } from 'node:fs';

/** The version of the package; `package.json` lies two folders up, seen from `src/cli` as from `dist/cli`. */
export function programVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
