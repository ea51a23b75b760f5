/** Runs seeds and says what went wrong so that it can be read and replayed. */
import type { ReplicaKind } from './replication.ts';
import { simulate, type SimulationOptions, type SimulationResult } from './simulation.ts';

/** Lines of the trace that are shown of a failure; a replay shows all. */
const SHOWN_LINES = 80;

/** Replays one seed with its whole trace when it is set. */
export const replayed: number | undefined = process.env['SNAP_SIMULATION_SEED'] === undefined ? undefined : Number(process.env['SNAP_SIMULATION_SEED']);

const REPLICAS: readonly ReplicaKind[] = ['same', 'shared', 'foreign'];

/** Every sixth seed has a replica, to which snapshots are copied meanwhile. Every fourth seed runs on a storage without create-only writes, of one kind or the other. */
export function optionsOf(seed: number): SimulationOptions {
  const conditions = seed % 4 !== 0 ? 'kept' : seed % 8 === 0 ? 'ignored' : 'refused';
  return { seed, conditions, replica: seed % 6 === 0 ? REPLICAS[(seed / 6) % 3] : undefined };
}

/** @throws Error with the seed, the broken promise and the end of the trace */
export async function expectKept(options: SimulationOptions): Promise<SimulationResult> {
  const result = await simulate(options);
  if (result.problem === undefined) return result;
  const lines = replayed === undefined ? result.trace.slice(-SHOWN_LINES) : result.trace;
  throw new Error([`Seed ${options.seed}: ${result.problem}`, `Replay: SNAP_SIMULATION_SEED=${options.seed}`, ...lines].join('\n'));
}

/** Numbers in groups, so that a test report shows how far it came. */
export function groupsOf(first: number, count: number, size: number): { from: number; to: number }[] {
  return Array.from({ length: Math.ceil(count / size) }, (_, i) => ({ from: first + i * size, to: Math.min(first + count, first + (i + 1) * size) - 1 }));
}

/** What a simulation is for: if one of these never happens, it shows nothing. */
const EVENTS: Readonly<Record<string, RegExp>> = {
  'a pack is deleted': / remove packs\//,
  'a session is revoked': /\/prune#\d+ createIfAbsent snapshots\/\w+ -> created/,
  'a commit meets its revocation': /\/(?:backup|relabel|undelete)#\d+ createIfAbsent snapshots\/\w+ -> exists/,
  'a revocation meets the commit': /\/prune#\d+ createIfAbsent snapshots\/\w+ -> exists/,
  'two prunes want one number': / createIfAbsent gc\/\d+ -> exists/,
  'a prune meets the sweep of another one': / createIfAbsent gc\/\d+\.sweep -> exists/,
  'packs are rewritten': / ends: plan \d+, \d+ dropped, [1-9]\d* rewritten/,
  'a prune has to wait': / rewritten, pending$/,
  'old gc documents are removed': / remove gc\/\d+\.done/,
  'index segments are merged': / remove index\//,
  'what a dead process sent arrives': / \(dead\) /,
  'what a process has given up arrives': / \(late\) .* -> (?:created|done)/,
  'a snapshot is brought back': / ends: brought /,
  'snapshots are copied': / ends: \w+: copied [1-9]/,
  'a pack comes into a replica as it is': /\/replicate#\d+ createIfAbsent replica:packs\/\w\/\S+ -> created/,
};

/** How often each event happened. */
export function countEvents({ trace }: SimulationResult): Map<string, number> {
  return new Map(Object.entries(EVENTS).map(([name, pattern]) => [name, trace.filter(line => pattern.test(line)).length]));
}
