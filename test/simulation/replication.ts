/** Copies of snapshots in a second repository of the simulated world: how it is made, and what a process does that copies. */
import type { Backend } from '../../src/backend/backend.ts';
import { createReplica, createRepository } from '../../src/repository/create-repository.ts';
import type { Environment, OpenRepository } from '../../src/repository/opened-repository.ts';
import { replicate } from '../../src/usecases/replicate/replicate.ts';
import { KEY, SMALL_CHUNKS } from '../support/memory-repository.ts';
import { BrokenPromise, mayMisread, openAs, wasAway, type Run } from './run.ts';

/** Its keys: those of the source; others, so that equal chunks have equal IDs; or nothing in common. */
export type ReplicaKind = 'same' | 'shared' | 'foreign';

export async function makeReplica(kind: ReplicaKind, backend: Backend, environment: Environment, source: OpenRepository): Promise<void> {
  if (kind === 'same') {
    await createReplica(backend, environment, { source, sourceCredential: KEY, credential: KEY, label: 'simulated' });
    return;
  }
  const dedupSecret = kind === 'shared' ? source.keys.keyring.dedupSecret : undefined;
  await createRepository(backend, environment, { credential: KEY, suite: 1, chunker: SMALL_CHUNKS, label: 'simulated', dedupSecret });
}

/** `again`: also what the replica has forgotten. Every snapshot that is told as copied was saved there. */
export async function copySnapshots(run: Run, again: boolean): Promise<string> {
  const { setting, host, process, repository: source, owner, random } = run;
  const target = await openAs(setting, host.target!, process, 'replicate');
  const { status, replicas: [replica], findings } = await replicate(source, [{ location: 'replica', repository: target }], {
    owner, selection: { host: [], series: [], kind: [], tags: [], paths: [] }, again, verify: random.oneIn(3), dryRun: false,
  });
  for (const { to } of replica!.copied) setting.promises.saved.add(to);
  const damage = findings.filter(({ severity }) => severity === 'damage');
  if (damage.length > 0 && !mayMisread(process) && !wasAway(process)) throw new BrokenPromise(`A replication found damage where there is none: ${JSON.stringify(damage).slice(0, 500)}`);
  return `${status}: copied ${replica!.copied.length}, missing ${replica!.snapshotsMissing}`;
}
