/** One call of the program: words -> verb -> settings -> use case -> exit code. */
import { SnapError } from '../base/errors.ts';
import { parseArguments, type ParsedArguments } from './arguments.ts';
import type { ConfigFile } from './config-file.ts';
import type { Environment } from './config-place.ts';
import { GLOBAL_FLAGS, type GlobalValues } from './flags.ts';
import { catchInterrupts } from './interrupts.ts';
import { newRenderer } from './job.ts';
import { withoutDirections } from './limit-timetable.ts';
import { exitCodeOfResult, failureOf } from './outcome.ts';
import { EXCLUSIVE_GLOBALS, resolveFlags } from './settings.ts';
import { ProcessTerminal, type Terminal } from './terminal.ts';
import type { Verb } from './verb.ts';
import { VERBS } from './verbs.ts';

/** @returns the exit code. Never throws: every failure is shown. */
export async function run(words: readonly string[], process: NodeJS.Process): Promise<number> {
  const terminal = new ProcessTerminal(process);
  const presumed = presumedGlobals(words);
  const interrupts = catchInterrupts(process, terminal, !presumed.json);
  let globals = presumed;
  try {
    const parsed = parseArguments(words, VERBS);
    if (parsed.kind === 'help') {
      terminal.out(parsed.text);
      return exitCodeOfResult('complete');
    }
    const settled = await settle(parsed, process.env);
    globals = settled.globals;
    const { verb, operands } = parsed;
    const result = await verb.run({
      ...settled, operands, terminal, signal: interrupts.signal, environment: process.env, verbs: VERBS,
    });
    return exitCodeOfResult(result);
  } catch (error) {
    return showFailure(error, globals, terminal);
  } finally {
    terminal.status(undefined);
    interrupts.stop();
  }
}

function showFailure(error: unknown, globals: GlobalValues, terminal: Terminal): number {
  const failure = failureOf(error);
  newRenderer(terminal, globals).failure(failure);
  return failure.exitCode;
}

interface Settled {
  readonly globals: GlobalValues;
  readonly credentialOrigin: 'flags' | 'elsewhere';
  readonly flags: Readonly<Record<string, unknown>>;
}

async function settle(parsed: Extract<ParsedArguments, { kind: 'run' }>, environment: Environment): Promise<Settled> {
  const { verb, globals: given } = parsed;
  const file = await configFileFor(verb, given['config']?.at(-1) ?? environment['SNAP_CONFIG'], environment);
  const resolved = resolveFlags(GLOBAL_FLAGS, { given, environment, file: file?.globals ?? {}, filePath: file?.path }, EXCLUSIVE_GLOBALS);
  const globals = Object.freeze({ ...resolved, limits: withoutDirections(resolved.limits, overruled(given, environment)) });
  refuseInThePast(verb, globals);
  const flags = resolveFlags(verb.flags, { given: parsed.flags, environment, file: file?.verbs[verb.name] ?? {}, filePath: file?.path });
  const namesCredential = (['passwordFile', 'passwordCommand', 'keyFile'] as const).some(key => given[key] !== undefined);
  return { globals, flags, credentialOrigin: namesCredential ? 'flags' : 'elsewhere' };
}

/** Verbs that only read, and `recover`, which is about the past. */
const READ_THE_PAST: readonly string[] = ['snapshots', 'ls', 'find', 'diff', 'history', 'stats', 'restore', 'dump', 'verify', 'recover'];

function refuseInThePast({ name }: Verb, { asOf }: GlobalValues): void {
  if (asOf === undefined || READ_THE_PAST.includes(name)) return;
  throw new SnapError('USAGE', `snap ${name} cannot work in the past`, { hint: `--as-of goes with ${READ_THE_PAST.join(', ')}` });
}

/** A limit that is given for this run counts more than a timetable. */
function overruled(given: Readonly<Record<string, readonly string[]>>, environment: Environment): { upload: boolean; download: boolean } {
  const isGiven = (key: 'limitUpload' | 'limitDownload'): boolean => given[key] !== undefined || (environment[GLOBAL_FLAGS[key].environment!] ?? '') !== '';
  return { upload: isGiven('limitUpload'), download: isGiven('limitDownload') };
}

/** Verbs that only talk about snap itself work whatever the file says. */
async function configFileFor(verb: Verb, asked: string | undefined, environment: Environment): Promise<ConfigFile | undefined> {
  if (verb.group === 'More') return undefined;
  const { findConfigFile } = await import('./config-place.ts');
  const found = findConfigFile(asked === '' ? undefined : asked, environment);
  if (found === undefined) return undefined;
  const { parseConfigFile } = await import('./config-file.ts');
  return parseConfigFile(found.text, found.path, VERBS);
}

/** How to show a failure before the words are understood. */
function presumedGlobals(words: readonly string[]): GlobalValues {
  const options = words.slice(0, words.includes('--') ? words.indexOf('--') : undefined);
  const given = options.includes('--json') ? { json: ['true'] } : {};
  return resolveFlags(GLOBAL_FLAGS, { given, environment: {}, file: {}, filePath: undefined });
}
