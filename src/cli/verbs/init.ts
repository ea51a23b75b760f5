import { SnapError } from '../../base/errors.ts';
import { PROFILES } from '../../format/chunking.ts';
import { initReplica, initRepository } from '../../usecases/init.ts';
import { existingRepository, newEnvironment, sessionOwner, withBackend, withOtherRepository, type OpenRepository } from '../compose.ts';
import type { ValuesOf } from '../flag.ts';
import type { INIT_FLAGS } from '../flags.ts';
import { runJob } from '../job.ts';
import type { Result } from '../outcome.ts';
import { hasGivenCredential, readFirstCredential, readFromCredential, type Credential } from '../secrets.ts';
import type { RunVerb } from '../verb.ts';

const SUITES = { 'aes-256-gcm': 1, 'chacha20-poly1305': 2 } as const;

export const runInit: RunVerb<typeof INIT_FLAGS> = context => runJob(context, async job => {
  const { flags, globals, terminal, signal } = context;
  checkFlags(flags);
  const existing = hasGivenCredential(context) ? undefined : await existingRepository(context, job.context);
  if (existing !== undefined) {
    throw new SnapError('REPOSITORY_EXISTS', `There is already a repository at '${existing}'`, { hint: 'Use it, or choose another place' });
  }
  const owner = sessionOwner(context);
  // Before the place is made: without a password nothing should be left behind.
  const credential = await readFirstCredential(context);
  const label = flags.label ?? `${owner.user}@${owner.host}`;
  const make = async (source?: { readonly repository: OpenRepository; readonly credential: Credential }): Promise<Result> =>
    withBackend(context, job.context, { create: true }, async (backend): Promise<Result> => {
      const suite = flags.suite === undefined ? undefined : SUITES[flags.suite];
      const { id, slotId } = source !== undefined && !flags.newKeys
        ? await initReplica(backend, newEnvironment(), { source: source.repository, sourceCredential: source.credential, credential, suite, label, signal })
        : await initRepository(backend, newEnvironment(), {
          credential, suite: suite ?? source?.repository.config.defaultSuite ?? SUITES['aes-256-gcm'], label, signal,
          chunker: { ...source?.repository.config.chunker ?? PROFILES.default, ...flags.chunker }, dedupSecret: source?.repository.keys.keyring.dedupSecret,
        });
      if (globals.json) terminal.out(JSON.stringify({ message_type: 'initialized', id, repository: backend.location, key_slot: slotId }));
      else {
        const what = source !== undefined && !flags.newKeys ? 'Replica of repository' : 'Repository';
        if (!globals.quiet) terminal.out(`${what} ${id} made at ${backend.location}`);
        job.note('Keep the password or key file at another place than this machine: without it nobody can read the repository.');
      }
      return 'complete';
    });
  if (flags.from === undefined) return make();
  const fromCredential = await readFromCredential(flags, credential, context);
  const from = { location: flags.from, credential: fromCredential };
  return withOtherRepository(context, job.context, from, repository => make({ repository, credential: fromCredential }));
});

/** @throws USAGE */
function checkFlags({ from, newKeys, chunker }: ValuesOf<typeof INIT_FLAGS>): void {
  if (newKeys && from === undefined) throw new SnapError('USAGE', '--new-keys goes with --from');
  if (chunker !== undefined && from !== undefined) {
    throw new SnapError('USAGE', '--chunker and --from exclude each other', { hint: 'Equal content is found only with the chunk sizes of the other repository' });
  }
}
