/** Real trees, there and back: what this machine has in /etc and /usr, and a Linux source tree where Debian's package is installed. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { compareTrees, describeTree } from '../support/describe-tree.ts';
import { temporaryDirectory } from '../support/memory-repository.ts';
import { snap } from '../support/snap-cli.ts';

const KERNEL = '/usr/src/linux-source-6.1.tar.xz';
/** All of /usr takes minutes; the short form takes its programs and headers. */
const isLong = Number(process.env['SNAP_SLOW_ROUNDS'] ?? 1) > 1;

async function roundTrip(source: string): Promise<void> {
  const place = temporaryDirectory();
  const cli = { repository: join(place, 'repository'), cache: join(place, 'cache') };
  expect(await snap(['init'], cli)).toMatchObject({ code: 0 });
  const saved = await snap(['backup', source], cli);
  expect(saved, saved.stderr).toMatchObject({ code: 0 });
  const restored = await snap(['restore', `latest:${source}`, '--target', join(place, 'target')], cli);
  expect(restored, restored.stderr).toMatchObject({ code: 0 });
  expect(compareTrees(await describeTree(source), await describeTree(join(place, 'target')), { holes: true })).toEqual([]);
  const verified = await snap(['verify', '--read-data'], cli);
  expect(verified, verified.stdout).toMatchObject({ code: 0 });
}

// Without root some files of these trees cannot be read, and owners cannot be restored.
const isRoot = process.getuid!() === 0;
test.skipIf(!isRoot).each(isLong ? ['/etc', '/usr'] : ['/etc', '/usr/bin', '/usr/include'])('%s is restored to the last attribute (needs root)', roundTrip);

test.skipIf(!existsSync(KERNEL) || !isLong)('a Linux source tree is restored to the last attribute (needs linux-source-6.1)', async () => {
  const place = temporaryDirectory();
  execFileSync('tar', ['xf', KERNEL, '-C', place]);
  await roundTrip(join(place, 'linux-source-6.1'));
});
