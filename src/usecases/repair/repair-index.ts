/**
 * Brings the index in line with the packs, whose own tables say what they hold (repository design, section 16.3). What is
 * missing in the index is written and read back first; then segments are removed that are damaged, or say something that is not
 * so, and of which everything that is right stands in another one. Packs are never touched.
 */
import type { CallOptions } from '../../base/call-options.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import type { JobContext } from '../events.ts';
import { ExtractEngine } from '../reading/extract-engine.ts';
import { IndexRebuild } from './index-rebuild.ts';
import type { EngineFactory } from '../ingest-engine.ts';
import { RepairTally, withRepairSession, type RepairOptions } from './repair-run.ts';
import type { RepairReport } from '../reports.ts';

export interface RepairIndexOptions extends RepairOptions {
  readonly engines: EngineFactory;
  /** Reads the tables of all packs, not only of those of which the index says nothing or something doubtful. */
  readonly full: boolean;
}

/**
 * Losses and what was left as it is are in the report.
 * @throws DENIED, PRUNE_UNFINISHED, UNSUPPORTED_FORMAT before anything is removed, and every error that is no damage
 */
export function repairIndex(repository: OpenRepository, options: RepairIndexOptions, context: JobContext = {}): Promise<RepairReport> {
  const tally = new RepairTally('index', options.dryRun, repository.clock, context);
  const call: CallOptions = { signal: context.signal };
  return withRepairSession(repository, options, call, async () => {
    const engine = new ExtractEngine(options.engines, repository);
    try {
      await new IndexRebuild(repository, engine, tally, { dryRun: options.dryRun, full: options.full, tellsLosses: true }, call).run();
      return tally.report();
    } finally {
      tally.counters.phase = 'finishing';
      await engine.close();
    }
  });
}
