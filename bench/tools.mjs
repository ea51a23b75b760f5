/** The programs that are compared, with the same settings of safety and a comparable compression. */
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';

const SNAP = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));

/** Each: environment, and the arguments of init, backup, restore, verify. `place` holds repository and cache. */
export const TOOLS = {
  snap: place => ({
    repository: join(place, 'snap'),
    env: { SNAP_REPOSITORY: join(place, 'snap'), SNAP_PASSWORD: 'bench', SNAP_CACHE_DIR: join(place, 'snap-cache') },
    init: [process.execPath, [SNAP, 'init']],
    backup: path => [process.execPath, [SNAP, 'backup', '-q', path]],
    restore: target => [process.execPath, [SNAP, 'restore', '-q', 'latest', '--target', target]],
    verify: [process.execPath, [SNAP, 'verify', '-q', '--read-data']],
    clear: () => { for (const each of ['snap', 'snap-cache']) rmSync(join(place, each), { recursive: true, force: true }); },
  }),
  restic: place => ({
    repository: join(place, 'restic'),
    env: { RESTIC_REPOSITORY: join(place, 'restic'), RESTIC_PASSWORD: 'bench', RESTIC_CACHE_DIR: join(place, 'restic-cache') },
    init: ['restic', ['init', '--repository-version', '2']],
    backup: path => ['restic', ['backup', '-q', path]],
    restore: target => ['restic', ['restore', '-q', 'latest', '--target', target]],
    verify: ['restic', ['check', '-q', '--read-data']],
    clear: () => { for (const each of ['restic', 'restic-cache']) rmSync(join(place, each), { recursive: true, force: true }); },
  }),
  borg: place => {
    let archives = 0;
    return {
      repository: join(place, 'borg'),
      env: { BORG_REPO: join(place, 'borg'), BORG_PASSPHRASE: 'bench', BORG_BASE_DIR: join(place, 'borg-base'), BORG_RELOCATED_REPO_ACCESS_IS_OK: 'yes' },
      init: ['borg', ['init', '-e', 'repokey-blake2']],
      backup: path => ['borg', ['create', '-C', 'zstd,1', `::a${++archives}`, path]],
      restore: target => ['sh', ['-c', `cd '${target}' && exec borg extract ::a${archives}`]],
      verify: ['borg', ['check', '--verify-data']],
      clear: () => { for (const each of ['borg', 'borg-base']) rmSync(join(place, each), { recursive: true, force: true }); },
    };
  },
};
