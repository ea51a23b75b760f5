/** A verb of the command line as plain data: what it takes, what it says about itself, and the module that does it. */
import type { FlagSet, ValuesOf } from './flag.ts';
import type { GlobalValues } from './flags.ts';
import type { Result } from './outcome.ts';
import type { Terminal } from './terminal.ts';

export interface Operand {
  readonly name: string;
  readonly isOptional?: boolean;
  /** Takes all remaining operands; only the last one. */
  readonly isList?: boolean;
  readonly completes?: 'file' | 'directory' | 'topic';
  readonly help: string;
}

export const SNAPSHOT: Operand = { name: 'SNAPSHOT', help: "id, its first 4 or more digits, 'latest' or 'latest~N'" };
export const SNAPSHOTS: Operand = { ...SNAPSHOT, isOptional: true, isList: true };

/** What a verb works with; the same for all, so that nothing below looks at the process. */
export interface VerbContext<Flags extends FlagSet> {
  readonly operands: readonly string[];
  readonly flags: ValuesOf<Flags>;
  readonly globals: GlobalValues;
  /** Whether a flag names the credential; then SNAP_PASSWORD does not count. */
  readonly credentialOrigin: 'flags' | 'elsewhere';
  readonly terminal: Terminal;
  /** Aborts on the first interrupt. */
  readonly signal: AbortSignal;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The whole table, for verbs that talk about verbs. */
  readonly verbs: readonly Verb[];
}

export type RunVerb<Flags extends FlagSet> = (context: VerbContext<Flags>) => Promise<Result>;

export interface Verb {
  /** One word, or two for a verb inside a group: 'key add'. */
  readonly name: string;
  readonly aliases: readonly string[];
  readonly group: VerbGroup;
  /** One line, no final period. */
  readonly summary: string;
  /** Sentences below the usage line. */
  readonly description: string;
  readonly operands: readonly Operand[];
  readonly flags: FlagSet;
  readonly examples: readonly string[];
  /** Loads the module of the verb and runs it with checked flags. */
  run(context: VerbContext<FlagSet>): Promise<Result>;
}

export type VerbGroup = 'Backup and restore' | 'Looking around' | 'Upkeep' | 'More';

interface VerbDescription<Flags extends FlagSet> {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly group: VerbGroup;
  readonly summary: string;
  readonly description?: string;
  readonly operands?: readonly Operand[];
  readonly flags?: Flags;
  readonly examples?: readonly string[];
  readonly load: () => Promise<RunVerb<Flags>>;
}

/** Ties flags and implementation together, so that the compiler checks one against the other. */
export function verb<Flags extends FlagSet = Record<never, never>>(description: VerbDescription<Flags>): Verb {
  const { load, ...rest } = description;
  return {
    aliases: [], description: '', operands: [], flags: {}, examples: [], ...rest,
    // The flags in the context were parsed from the very set above, which the type of the table no longer shows.
    run: async context => (await load())(context as VerbContext<Flags>),
  };
}
