import { formatSize } from '../../base/units.ts';
import { SnapError } from '../../base/errors.ts';
import { fillCache } from '../../usecases/fill-cache.ts';
import { acceptRollback } from '../../usecases/rollback-check.ts';
import { cacheFolders, cachesDirectory, removeRepositoryCache, withRepository } from '../compose.ts';
import type { CACHE_FLAGS } from '../upkeep-flags.ts';
import { runJob, type Job } from '../job.ts';
import { jsonTime, localTime, printable } from '../printable.ts';
import { formatTable } from '../text-table.ts';
import type { RunVerb, VerbContext } from '../verb.ts';

export const runCache: RunVerb<typeof CACHE_FLAGS> = context => runJob(context, async job => {
  const { flags } = context;
  const asked = [flags.remove, flags.rebuild, flags.acceptRollBack].filter(Boolean).length;
  if (asked > 1) throw new SnapError('USAGE', '--remove, --rebuild and --accept-roll-back exclude each other');
  if (flags.remove) await remove(context, removed => job.note(removed));
  else if (flags.rebuild) await rebuild(context, job);
  else if (flags.acceptRollBack) await accept(context, job);
  else list(context);
  return 'complete' as const;
});

function list(context: VerbContext<typeof CACHE_FLAGS>): void {
  const { terminal, globals } = context;
  const folders = cacheFolders(context);
  if (globals.json) {
    for (const { repositoryId, location, sizeBytes, changedAt } of folders) {
      terminal.out(JSON.stringify({ message_type: 'cache', repository_id: repositoryId, location, size: sizeBytes, changed: jsonTime(changedAt) }));
    }
    return;
  }
  terminal.out(`Caches in ${printable(cachesDirectory(context))}; they may be removed at any time and are built again when needed`);
  const rows = folders.map(({ repositoryId, sizeBytes, changedAt }) =>
    [repositoryId, formatSize(sizeBytes), localTime([Math.floor(changedAt / 1000), 0])]);
  for (const line of formatTable([{ title: 'Repository' }, { title: 'Size', align: 'right' }, { title: 'Last used' }], rows)) terminal.out(line);
}

async function remove(context: VerbContext<typeof CACHE_FLAGS>, note: (text: string) => void): Promise<void> {
  const { id, location } = await removeRepositoryCache(context, { signal: context.signal });
  if (context.globals.json) context.terminal.out(JSON.stringify({ message_type: 'cache', repository_id: id, location, removed: true }));
  else note(`The cache of repository ${id} was removed`);
}

function accept(context: VerbContext<typeof CACHE_FLAGS>, job: Job): Promise<void> {
  return withRepository(context, job.context, async repository => {
    await acceptRollback(repository, { signal: context.signal });
    const { location } = repository.backend;
    if (context.globals.json) context.terminal.out(JSON.stringify({ message_type: 'cache', repository_id: repository.id, location, accepted_roll_back: true }));
    else job.note('What the repository holds now is taken for all that it should hold');
  });
}

function rebuild(context: VerbContext<typeof CACHE_FLAGS>, job: Job): Promise<void> {
  return withRepository(context, job.context, async repository => {
    const { chunks } = await fillCache(repository, { signal: context.signal });
    const { location, sizeBytes } = repository.cache.describe();
    const { repositoryId } = repository.config;
    if (context.globals.json) context.terminal.out(JSON.stringify({ message_type: 'cache', repository_id: repositoryId, location, size: sizeBytes, rebuilt: true }));
    else job.note(`The cache of repository ${repositoryId} was built again: ${chunks} chunks, ${formatSize(sizeBytes)}`);
  }, { dropsCache: true });
}
