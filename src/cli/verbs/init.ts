import { SnapError } from '../../base/errors.ts';
import { PROFILES } from '../../format/chunking.ts';
import { initRepository } from '../../usecases/init.ts';
import { existingRepository, newEnvironment, sessionOwner, withBackend } from '../compose.ts';
import type { INIT_FLAGS } from '../flags.ts';
import { runJob } from '../job.ts';
import type { Result } from '../outcome.ts';
import { hasGivenCredential, readFirstCredential } from '../secrets.ts';
import type { RunVerb } from '../verb.ts';

const SUITES = { 'aes-256-gcm': 1, 'chacha20-poly1305': 2 } as const;

export const runInit: RunVerb<typeof INIT_FLAGS> = context => runJob(context, async job => {
  const { flags, globals, terminal, signal } = context;
  const existing = hasGivenCredential(context) ? undefined : await existingRepository(context, job.context);
  if (existing !== undefined) {
    throw new SnapError('REPOSITORY_EXISTS', `There is already a repository at '${existing}'`, { hint: 'Use it, or choose another place' });
  }
  const owner = sessionOwner(context);
  // Before the place is made: without a password nothing should be left behind.
  const credential = await readFirstCredential(context);
  return withBackend(context, job.context, { create: true }, async (backend): Promise<Result> => {
    const { id, slotId } = await initRepository(backend, newEnvironment(), {
      credential, suite: SUITES[flags.suite ?? 'aes-256-gcm'],
      chunker: { ...PROFILES.default, ...flags.chunker }, label: flags.label ?? `${owner.user}@${owner.host}`, signal,
    });
    if (globals.json) terminal.out(JSON.stringify({ message_type: 'initialized', id, repository: backend.location, key_slot: slotId }));
    else {
      if (!globals.quiet) terminal.out(`Repository ${id} made at ${backend.location}`);
      job.note('Keep the password or key file at another place than this machine: without it nobody can read the repository.');
    }
    return 'complete';
  });
});
