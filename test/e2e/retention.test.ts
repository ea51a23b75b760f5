import { cpSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Workplace, type Outcome } from './cli.ts';

const DAY = 86_400_000;
/** With three full snapshots, made today and the days before; each test gets a copy. */
let template: Workplace;
let place: Workplace;
let ids: string[];
const places: Workplace[] = [];

beforeAll(async () => {
  template = place = newPlace();
  expect((await place.run(['init'])).code).toBe(0);
  ids = await backUpDaily(3, '--kind', 'full');
}, 60_000);
beforeEach(() => {
  place = newPlace();
  cpSync(template.path('repo'), place.path('repo'), { recursive: true, preserveTimestamps: true });
  cpSync(template.path('key'), place.path('key'));
});
afterAll(() => { for (const each of places) each.remove(); });

function newPlace(): Workplace {
  const made = new Workplace();
  places.push(made);
  return made;
}

/** Oldest first. */
async function backUpDaily(days: number, ...words: string[]): Promise<string[]> {
  const made: string[] = [];
  for (let i = days - 1; i >= 0; i--) {
    place.write('source/file', `day ${i}`);
    const backup = await place.run(['backup', 'source', '--json', '--time', new Date(Date.now() - i * DAY).toISOString(), ...words]);
    expect(backup.code).toBe(0);
    made.push(backup.messages().find(each => each['message_type'] === 'summary')!['snapshot_id'] as string);
  }
  return made;
}
async function listed(): Promise<unknown[]> {
  return (await place.run(['snapshots', '--json'])).messages().map(each => each['id']);
}
const ofType = (outcome: Outcome, type: string): Record<string, unknown>[] => outcome.messages().filter(each => each['message_type'] === type);

describe('forget', () => {
  test('shows in a dry run what it then does, with reasons and the bytes that a prune would free', async () => {
    const table = await place.run(['forget', '--dry-run', '--keep-last', '2']);
    expect(table).toMatchObject({ code: 0, err: '' });
    expect(table.out.split('\n').slice(2, 5).map(line => line.trim().split(/  +/).filter((_, i) => i !== 1 && i !== 3))).toEqual([
      [ids[2]!.slice(0, 8), 'full', 'keep', 'last 1 of 2, newest of its series'], [ids[1]!.slice(0, 8), 'full', 'keep', 'last 2 of 2'],
      [ids[0]!.slice(0, 8), 'full', 'forget', 'not kept by any rule'],
    ]);
    expect(table.out).toMatch(/Dry run: would keep 2 snapshots and forget 1\n[^]*would be freed/);
    expect(await listed()).toEqual(ids);

    const [promised] = ofType(await place.run(['forget', '--dry-run', '--json', '--keep-last', '2']), 'prune_summary');
    const done = await place.run(['forget', '--json', '--keep-last', '2', '--prune']);
    expect(promised!['bytes_freed']).toBeGreaterThan(0);
    expect(ofType(done, 'prune_summary')).toMatchObject([{ dry_run: false, bytes_freed: promised!['bytes_freed'], packs_dropped: promised!['packs_dropped'] }]);
    expect(ofType(done, 'forget_decision').map(each => [each['snapshot_id'], each['action'], each['reasons'], each['kind']])).toEqual([
      [ids[2], 'keep', ['last 1 of 2', 'newest of its series'], 'full'], [ids[1], 'keep', ['last 2 of 2'], 'full'],
      [ids[0], 'remove', ['not kept by any rule'], 'full'],
    ]);
    expect(ofType(done, 'forget_summary')).toMatchObject([{ exit_code: 0, dry_run: false, kept_snapshots: 2, removed_snapshots: 1, objections: [] }]);
    expect(await listed()).toEqual(ids.slice(1));
  });

  test('takes its policy from flags, variables and the configuration file, by kind', async () => {
    await backUpDaily(2, '--kind', 'config', '--series', 'settings');
    writeFileSync(place.path('snap.yaml'), 'forget:\n  keep-last: 3\n  config:\n    keep-daily: unlimited\n');
    const kept = async (words: string[], env: Record<string, string> = {}): Promise<number> =>
      Number(ofType(await place.run(['forget', '--dry-run', '--json', '--no-progress', ...words], { env }), 'forget_summary')[0]!['kept_snapshots']);
    expect(await kept([])).toBe(5);
    expect(await kept([], { SNAP_KEEP_LAST: '2' })).toBe(4);
    expect(await kept(['--keep-last', '1'], { SNAP_KEEP_LAST: '2' })).toBe(3);
    expect(await kept(['--keep-last', '1', '--kind', 'full'])).toBe(1);
  });

  test('without keep options applies the default policy and says so', async () => {
    const outcome = await place.run(['forget']);
    expect(outcome).toMatchObject({ code: 0, out: expect.stringMatching(/^No keep options were given, so the default policy applies: .*\nKept 3 snapshots, forgot 0\n$/) });
  });

  test('stops with 14 when something looks wrong, and goes on with --force', async () => {
    const words = ['forget', '--keep-last', '1', '--max-forget', '50%'];
    const stopped = await place.run(words);
    expect(stopped).toMatchObject({ code: 14, err: expect.stringMatching(/^Error: Nothing was forgotten\. 2 of 3 snapshots of series .* would go, more than 50 %\nHint: .*--force/) });
    const dry = await place.run([...words, '--dry-run', '--json']);
    expect(dry.code).toBe(14);
    expect(ofType(dry, 'forget_summary')).toMatchObject([{ exit_code: 14, dry_run: true, objections: [expect.any(String)] }]);
    expect(ofType(dry, 'exit_error')).toMatchObject([{ code: 14, error_code: 'FORGET_REFUSED' }]);
    expect(await listed()).toEqual(ids);
    expect(await place.run([...words, '--force'])).toMatchObject({ code: 0, out: expect.stringContaining('Warning: 2 of 3') });
    expect(await listed()).toEqual(ids.slice(2));
  });

  test('refuses options that keep nothing or mean nothing', async () => {
    for (const words of [['--keep-last', '0'], ['--keep-within', 'soon'], ['--group-by', 'colour'], ['--max-size', '0']]) {
      expect((await place.run(['forget', ...words])).code, words.join(' ')).toBe(2);
    }
  });

  test('of named snapshots forgets these, but not the last one', async () => {
    expect(await place.run(['forget', ids[0]!.slice(0, 8)])).toMatchObject({ code: 0, out: expect.stringContaining('Kept 2 snapshots, forgot 1') });
    expect((await place.run(['forget', 'latest', 'latest~1'])).code).toBe(14);
    expect(await listed()).toEqual(ids.slice(1));
  });
});

describe('undelete', () => {
  test('lists what was forgotten and brings it back with its files', async () => {
    expect((await place.run(['undelete'])).out).toBe('0 forgotten snapshots can be brought back\n');
    await place.run(['forget', ids[0]!]);
    expect((await place.run(['undelete'])).out).toMatch(new RegExp(`\n${ids[0]!.slice(0, 8)}  .*  named  +complete\n1 forgotten snapshot can be brought back\n$`));
    expect(ofType(await place.run(['undelete', '--json']), 'forgotten_snapshot')).toMatchObject([{ id: ids[0], kind: 'full', reason: 'named', complete: true }]);
    const back = ofType(await place.run(['undelete', ids[0]!.slice(0, 6), '--json']), 'undeleted');
    expect(back).toEqual([{ message_type: 'undeleted', old_snapshot_id: ids[0], new_snapshot_id: expect.any(String), was_there: false }]);
    expect((await place.run(['dump', String(back[0]!['new_snapshot_id']), template.path('source/file')])).out).toBe('day 2');
    expect((await place.run(['undelete'])).out).toBe('0 forgotten snapshots can be brought back\n');
    expect((await place.run(['undelete', ids[0]!, '--host', 'x'])).code).toBe(2);
  });

  test('says that a prune was faster', async () => {
    expect((await place.run(['forget', '--keep-last', '1', '--prune', '--grace', '0s'])).code).toBe(0);
    const late = await place.run(['undelete', ids[0]!]);
    expect(late).toMatchObject({ code: 1, err: expect.stringMatching(/cannot be brought back: a prune was faster/) });
    expect((await place.run(['verify', '--read-data'])).code).toBe(0);
    expect((await place.run(['undelete'])).out).toBe('0 forgotten snapshots can be brought back, 2 not any more (-v shows them)\n');
    expect((await place.run(['undelete', '-v'])).out).toContain('not complete any more');
  });
});
