/** The programs that are compared, with the same settings of safety and a comparable compression. */
import { cpSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';

const SNAP = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));

/** Removal, copy and return of the folders that hold repository and cache. */
function folders(place, names) {
  const remove = suffix => { for (const name of names) rmSync(join(place, name + suffix), { recursive: true, force: true }); };
  const copy = (from, to) => {
    remove(to);
    for (const name of names) cpSync(join(place, name + from), join(place, name + to), { recursive: true, preserveTimestamps: true });
  };
  return { clear: () => { remove(''); }, keep: () => { copy('', '.kept'); }, bringBack: () => { copy('.kept', ''); } };
}

/** Each: environment, and the arguments of init, backup, restore, verify, prune. `place` holds repository and cache. */
export const TOOLS = {
  snap: place => ({
    repository: join(place, 'snap'),
    env: { SNAP_REPOSITORY: join(place, 'snap'), SNAP_PASSWORD: 'bench', SNAP_CACHE_DIR: join(place, 'snap-cache') },
    init: [process.execPath, [SNAP, 'init']],
    backup: path => [process.execPath, [SNAP, 'backup', '-q', path]],
    restore: target => [process.execPath, [SNAP, 'restore', '-q', 'latest', '--target', target]],
    verify: [process.execPath, [SNAP, 'verify', '-q', '--read-data']],
    prune: keep => [process.execPath, [SNAP, 'forget', '-q', '--keep-last', String(keep), '--prune']],
    ...folders(place, ['snap', 'snap-cache']),
  }),
  restic: place => ({
    repository: join(place, 'restic'),
    env: { RESTIC_REPOSITORY: join(place, 'restic'), RESTIC_PASSWORD: 'bench', RESTIC_CACHE_DIR: join(place, 'restic-cache') },
    init: ['restic', ['init', '--repository-version', '2']],
    backup: path => ['restic', ['backup', '-q', path]],
    restore: target => ['restic', ['restore', '-q', 'latest', '--target', target]],
    verify: ['restic', ['check', '-q', '--read-data']],
    prune: keep => ['restic', ['forget', '-q', '--keep-last', String(keep), '--prune']],
    ...folders(place, ['restic', 'restic-cache']),
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
      prune: keep => ['sh', ['-c', `borg prune --keep-last ${keep} && borg compact`]],
      ...folders(place, ['borg', 'borg-base']),
    };
  },
};
