/** The built cache, for tests with worker threads and processes of their own: Node 20 loads no TypeScript there. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** URL of a module in `dist/cache`. `npm test` builds it. */
export function builtModule(name: string): string {
  const url = new URL(`../../dist/cache/${name}.js`, import.meta.url);
  if (!existsSync(fileURLToPath(url))) throw new Error(`'${fileURLToPath(url)}' is missing: run 'npm run build:ts'`);
  return url.href;
}
