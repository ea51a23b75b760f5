import { formatSize } from '../../base/units.ts';
import { cacheFolders, cachesDirectory, removeRepositoryCache } from '../compose.ts';
import type { CACHE_FLAGS } from '../upkeep-flags.ts';
import { runJob } from '../job.ts';
import { jsonTime, localTime, printable } from '../printable.ts';
import { formatTable } from '../text-table.ts';
import type { RunVerb, VerbContext } from '../verb.ts';

export const runCache: RunVerb<typeof CACHE_FLAGS> = context => runJob(context, async job => {
  if (context.flags.remove) await remove(context, removed => job.note(removed));
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
