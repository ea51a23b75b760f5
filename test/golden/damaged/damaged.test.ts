/**
 * Every kind of object of a repository is damaged in every way: what verify, restore and the next backup do is compared with
 * docs/damage-matrix.md, which is made of it: `npx vitest run test/golden/damaged -u`.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/base/ambient.ts';
import { MemoryBackend } from '../../../src/backend/memory.ts';
import { openMemoryCache } from '../../../src/cache/memory-cache.ts';
import { establishView } from '../../../src/repository/session-view.ts';
import { loadSnapshots } from '../../../src/repository/snapshots.ts';
import { damagesOf, type Damage } from './damages.ts';
import { outcomeOf, verifyState, type Outcome } from './outcomes.ts';
import { repairOf, type Repair } from './repairs.ts';
import { makeBase, reopenState, victimsOf, type Base, type Victim } from './victims.ts';

const DOCUMENT = fileURLToPath(new URL('../../../docs/damage-matrix.md', import.meta.url));
const TITLES = [
  'config', 'key slot that is used', 'key slot of somebody else', 'keyring', 'data pack', 'data pack like another one', 'tree pack of older snapshots',
  'tree pack of the newest snapshot', 'index segment', 'snapshot', 'parity', 'ledger', 'session', 'gc plan that is not done', 'gc sweep', 'gc done', 'forgotten marker',
  'forgotten marker beside its snapshot', 'stray file',
] as const;

type Row<Texts> = readonly [damage: string, texts: Texts];

const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'snap-test-'));
let base: Base;
let victims: readonly Victim[];
const tables = new Map<string, { readonly outcomes: readonly Row<Outcome>[]; readonly repairs: readonly Row<Repair>[] }>();

beforeAll(async () => {
  mkdirSync(join(folder, 'source'));
  base = await makeBase(join(folder, 'source'));
  victims = victimsOf(base);
});
afterAll(() => { rmSync(folder, { recursive: true }); });

test('every victim is in the list of titles', () => expect(victims.map(({ title }) => title)).toEqual(TITLES));

describe('damage is found, named, and costs no more than it must', () => {
  test.each(TITLES)('%s', { timeout: 120_000 }, async title => {
    const victim = victims.find(each => each.title === title)!;
    const rows: Row<Outcome>[] = [];
    const repairs: Row<Repair>[] = [];
    const told = async <T>(damage: Damage, work: () => Promise<T>): Promise<T> => {
      try {
        return await work();
      } catch (error) {
        throw new Error(`${title}, ${damage.title}`, { cause: error });
      }
    };
    const alike = new Map<string, { readonly damage: Damage; readonly repair: () => Promise<Repair> }[]>();
    for (const damage of damagesOf(victim)) {
      const state = damage.apply(victim);
      if (state === undefined) continue;
      const { texts, data } = await told(damage, () => outcomeOf(base, victim, damage, state));
      rows.push([damage.title, texts]);
      const group = alike.get(JSON.stringify(texts)) ?? [];
      alike.set(JSON.stringify(texts), group);
      group.push({ damage, repair: () => told(damage, () => repairOf(base, state, data)) });
    }
    for (const group of alike.values()) repairs.push(...await repairAll(group));
    tables.set(title, { outcomes: rows, repairs });
  });
});

/** Damages that do the same: the first and the last of them are repaired, and only when that differs all. */
async function repairAll(group: readonly { readonly damage: Damage; readonly repair: () => Promise<Repair> }[]): Promise<Row<Repair>[]> {
  const first = await group[0]!.repair();
  const last = group.length === 1 ? first : await group.at(-1)!.repair();
  const isSame = JSON.stringify(first) === JSON.stringify(last);
  const rows: Row<Repair>[] = [];
  for (const { damage, repair } of group) rows.push([damage.title, isSame ? first : await repair()]);
  return rows;
}

test('docs/damage-matrix.md says what happens', async () => {
  expect(tables.size).toBe(TITLES.length);
  await expect(document()).toMatchFileSnapshot(DOCUMENT);
});

test.each(['data pack', 'tree pack of older snapshots', 'index segment', 'snapshot'])('a cache from before the damage hides nothing of it: %s', async title => {
  const victim = victims.find(each => each.title === title)!;
  for (const damage of damagesOf(victim).filter(each => !each.title.startsWith('bit flipped') || /frame|version|content/.test(each.title))) {
    const state = damage.apply(victim);
    if (state === undefined) continue;
    const cache = openMemoryCache();
    const before = await reopenState(MemoryBackend.fromState(victim.state, { clock: systemClock }), cache);
    await establishView(before);
    await loadSnapshots(before);
    const [warm, cold] = [await verifyState(state, true, backend => reopenState(backend, cache)), await verifyState(state, true)];
    expect(warm.exitCode === 0, damage.title).toBe(cold.exitCode === 0);
  }
});

const HEADINGS = ['Damage', '`verify`', '`verify --read-data`', '`restore`', 'next `backup`', '`verify --read-data` after it'] as const;

const REPAIR_HEADINGS = ['Damage', 'found first by', 'repaired by `snap repair`', '`verify --read-data` after it', 'and after the next `backup`'] as const;

function document(): string {
  const lines = [
    '# What damage does', '',
    'Made by `test/golden/damaged` and compared with it in every test run: a golden repository with three snapshots (two older ones and one of the tree',
    'that is backed up again), one object damaged at a time, no local cache. The snapshot that is restored needs the object, if any does.', '',
    'Cells begin with the [exit code](errors.md). Then follow what the findings name, how many entries of all snapshots are hit, or the error that ended the run. "Entries lost" counts',
    'files, links and folders that were not restored as they were; each is named, itself or by its folder.', '',
    'What to read out of it: `verify` looks at structure and metadata, so a frame with content that changed in place is found by `--read-data` only. Header and',
    'table of a pack stand at both ends, so one of each may be lost. A backup stores again what is missing or of another size, and the trees that it came upon',
    'damaged; content it cannot know to be damaged without reading it. Older versions of files that are gone from the source stay lost. A damaged',
    'index segment or unfinished gc document stops backups, not restores: what they say cannot be guessed.', '',
    'The second table of each kind says which level of `verify` (0 structure, 1 metadata, 2 tables, 4 data) notices it first, what of `snap repair index` and',
    '`snap repair packs --read-data`, run in this order and without a copy of the repository, changed something, and what is found afterwards. What could be read',
    'before can be read after every repair, and `snap repair snapshots --forget` then leaves nothing that concerns packs, index or trees. Objects never change, so',
    'none can be replaced by an older state of itself; a whole repository can, which `verify` notices by what this host remembers.',
  ];
  for (const [title, { outcomes, repairs }] of tables) {
    lines.push('', `## ${title.charAt(0).toUpperCase()}${title.slice(1)}`, '', ...heading(HEADINGS));
    for (const [damages, { verify, readData, restore, backup, after }] of merged(outcomes)) {
      lines.push(`| ${damages.join(', ')} | ${verify} | ${readData} | ${restore} | ${backup} | ${after} |`);
    }
    lines.push('', ...heading(REPAIR_HEADINGS));
    for (const [damages, { found, by, after, backup }] of merged(repairs)) lines.push(`| ${damages.join(', ')} | ${found} | ${by} | ${after} | ${backup} |`);
  }
  return `${lines.join('\n')}\n`;
}

function heading(titles: readonly string[]): string[] {
  return [`| ${titles.join(' | ')} |`, `|${' --- |'.repeat(titles.length)}`];
}

/** Damages of one outcome in one row. */
function merged<Texts>(rows: readonly Row<Texts>[]): (readonly [string[], Texts])[] {
  const byOutcome = new Map<string, readonly [string[], Texts]>();
  for (const [damage, outcome] of rows) {
    const key = JSON.stringify(outcome);
    const row = byOutcome.get(key);
    const isFlip = damage.startsWith('bit flipped: ');
    if (row === undefined) byOutcome.set(key, [[damage], outcome]);
    else row[0].push(isFlip && row[0].some(each => each.startsWith('bit flipped: ')) ? damage.slice('bit flipped: '.length) : damage);
  }
  return [...byOutcome.values()];
}
