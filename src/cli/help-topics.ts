/** `snap help TOPIC`: what people need at hand when there is no browser. Lists that the code knows are generated from it. */
import { PAST, PRUNE, REPAIR, REPLICATION, RETENTION, STATUS, VERIFICATION } from './help/upkeep.ts';
import {
  CONFIGURATION, CRASH_SAFETY, FIRST_BACKUP, JSON_LINES, KINDS, LIMITS, LOCATIONS, PASSWORDS, PATTERNS, REPOSITORIES, SNAPSHOT_NAMES,
} from './help/using.ts';
import { EXIT_CODES } from './outcome.ts';
import { spelling, type Flag } from './flag.ts';
import { GLOBAL_FLAGS } from './flags.ts';
import { REMOTE_FLAGS } from './remote-flags.ts';
import { formatPairs } from './text-table.ts';
import type { Verb } from './verb.ts';

interface Topic {
  readonly name: string;
  readonly summary: string;
  readonly text: (verbs: readonly Verb[]) => string;
}

/** The flags of remote repositories stand here instead of in the help of each verb. */
function locationsText(): string {
  const flags = Object.values<Flag<unknown>>(REMOTE_FLAGS).map(each => {
    const environment = each.environment === undefined ? '' : ` [${each.environment}]`;
    return [`${spelling(each)}${each.value === undefined ? '' : ` <${each.value}>`}`, each.help + environment] as const;
  });
  return [LOCATIONS, '', 'Global options, also in the configuration file:', ...formatPairs(flags).map(line => `  ${line}`)].join('\n');
}

export const TOPICS: readonly Topic[] = [
  { name: 'first-backup', summary: 'from nothing to a restored backup', text: () => FIRST_BACKUP },
  { name: 'repositories', summary: 'where backups go', text: () => REPOSITORIES },
  { name: 'locations', summary: 'S3, Azure and SFTP: addresses, credentials, settings', text: locationsText },
  { name: 'passwords', summary: 'passwords, key files and key slots', text: () => PASSWORDS },
  { name: 'snapshots', summary: 'how to name snapshots', text: () => SNAPSHOT_NAMES },
  { name: 'patterns', summary: 'what to leave out or select', text: () => PATTERNS },
  { name: 'verification', summary: 'how deep snap verify looks, and what to run when', text: () => VERIFICATION },
  { name: 'status', summary: 'whether all is as it should be, for people and monitors', text: () => STATUS },
  { name: 'repair', summary: 'from damage to a clean repository', text: () => REPAIR },
  { name: 'replication', summary: 'copies at other places', text: () => REPLICATION },
  { name: 'kinds', summary: 'full, incremental and config snapshots', text: () => KINDS },
  { name: 'retention', summary: 'which snapshots to keep', text: () => RETENTION },
  { name: 'prune', summary: 'freeing space, and what it waits for', text: () => PRUNE },
  { name: 'configuration', summary: 'the file snap.yaml', text: () => CONFIGURATION },
  { name: 'limits', summary: 'bytes per second, and at which hours', text: () => LIMITS },
  { name: 'past', summary: 'what a bucket with versions held earlier, and how to get it back', text: () => PAST },
  { name: 'environment', summary: 'environment variables', text: environmentText },
  { name: 'exit-codes', summary: 'what a script can rely on', text: exitCodesText },
  { name: 'json', summary: 'output for programs', text: () => JSON_LINES },
  { name: 'crash-safety', summary: 'what happens when a run is interrupted', text: () => CRASH_SAFETY },
  { name: 'topics', summary: 'this list', text: topicsText },
];

export function topicText(name: string, verbs: readonly Verb[]): string | undefined {
  return TOPICS.find(topic => topic.name === name)?.text(verbs);
}

function topicsText(): string {
  return ["Topics for 'snap help TOPIC':", ...formatPairs(TOPICS.map(topic => [topic.name, topic.summary])).map(line => `  ${line}`)].join('\n');
}

function exitCodesText(): string {
  const lines = EXIT_CODES.map(([code, meaning]) => `${String(code).padStart(5)}  ${meaning}`);
  return ['Exit codes. Take any other code for a failure.', ...lines].join('\n');
}

function environmentText(verbs: readonly Verb[]): string {
  const flags = [...Object.values(GLOBAL_FLAGS), ...verbs.flatMap(verb => Object.values(verb.flags))];
  const variables = new Map<string, string>([
    ['SNAP_PASSWORD', 'the password'],
    ['SNAP_NEW_PASSWORD', 'the new password, for snap key add and snap key passwd'],
  ]);
  for (const each of flags) if (each.environment !== undefined) variables.set(each.environment, `like --${each.name}`);
  return [
    'Environment variables; flags count more:', ...formatPairs([...variables]).map(line => `  ${line}`), '',
    'Also honoured: AWS_ENDPOINT_URL and the other AWS names, XDG_CONFIG_HOME, XDG_CACHE_HOME, CACHE_DIRECTORY (systemd), TMPDIR,',
    'NO_COLOR.',
  ].join('\n');
}
