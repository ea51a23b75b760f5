/** Documents are kept true: links lead somewhere, and the commands of the README do what it says. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../support/memory-repository.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const documents = [
  ...['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'bench/README.md', 'native/README.md'],
  ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.md')).map(name => `docs/${name}`),
];

test.each(documents)('every link in %s leads to a file of the project', document => {
  const text = readFileSync(join(ROOT, document), 'utf8');
  const targets = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(match => match[1]!).filter(target => !/^(?:https?:|mailto:|#)/.test(target));
  expect(targets.filter(target => !existsSync(join(ROOT, normalize(join(dirname(document), target.split('#')[0]!)))))).toEqual([]);
});

describe('the five minutes of the README', () => {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const block = /## Five minutes\n\n```sh\n([\s\S]*?)```/.exec(readme)![1]!;

  test('work as they stand, in a home folder of their own', { timeout: 60_000 }, () => {
    const place = temporaryDirectory();
    const home = join(place, 'home');
    mkdirSync(join(home, 'Documents'), { recursive: true });
    writeFileSync(join(home, 'Documents/letter.txt'), 'Dear reader');
    writeFileSync(join(home, '.snap-password'), 'correct horse\n', { mode: 0o600 });
    mkdirSync(join(place, 'bin'));
    writeFileSync(join(place, 'bin/snap'), `#!/bin/sh\nexec '${process.execPath}' '${join(ROOT, 'dist/cli/main.js')}' "$@"\n`, { mode: 0o755 });
    const script = block.replace(/^npm install.*$/m, '').replaceAll('/mnt/backup/repo', join(place, 'repo')).replaceAll('/tmp/', `${place}/out-`);
    const { status, stdout, stderr } = spawnSync('sh', ['-eu', '-c', script], {
      cwd: place, encoding: 'utf8', env: { PATH: `${place}/bin:${process.env['PATH']}`, HOME: home, LANG: 'C.UTF-8' },
    });
    // As an ordinary user some files of /etc are unreadable: that is exit code 3, and said.
    expect({ status, stderr }).toMatchObject({ status: expect.toSatisfy((code: number) => code === 0 || (code === 3 && process.getuid!() !== 0)) });
    if (status === 0) {
      expect(readFileSync(join(place, 'out-back', home, 'Documents/letter.txt'), 'utf8')).toBe('Dear reader');
      expect(existsSync(join(place, 'out-etc/passwd'))).toBe(true);
      expect(stdout).toContain('No damage found');
    }
  });
});
