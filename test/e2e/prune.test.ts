import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SeededRandom } from '../support/seeded-random.ts';
import { Workplace } from './cli.ts';

let place: Workplace;
let kept: string;
const random = new SeededRandom(21);

/** Sum of the sizes of all packs, from the file system itself. */
function packBytes(): number {
  return readdirSync(place.path('repo/packs'), { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile()).reduce((sum, { parentPath, name }) => sum + statSync(`${parentPath}/${name}`).size, 0);
}

beforeAll(async () => {
  place = new Workplace();
  place.write('source/stays.bin', random.bytes(700_000));
  for (let i = 0; i < 5; i++) place.write(`source/folder/goes-${i}.bin`, random.bytes(600_000));
  expect((await place.run(['init'])).code).toBe(0);
  expect((await place.run(['backup', 'source'])).code).toBe(0);
  rmSync(place.path('source/folder'), { recursive: true });
  place.write('source/new.txt', 'hello\n');
  const second = await place.run(['backup', 'source', '--json']);
  kept = second.messages().find(message => message['message_type'] === 'summary')!['snapshot_id'] as string;
});
afterAll(() => place.remove());

describe('prune', () => {
  test('frees nothing while every snapshot is kept', async () => {
    const { code, out } = await place.run(['prune']);
    expect(code).toBe(0);
    expect(out).toContain('There is nothing to free');
  });

  test('frees exactly what its dry run says, and what is kept restores to the byte', async () => {
    const first = (await place.run(['snapshots', '--json'])).messages()[0]!['id'] as string;
    expect((await place.run(['forget', first, '--force'])).code).toBe(0);
    const before = packBytes();
    const dry = (await place.run(['prune', '--dry-run', '--json'])).messages().at(-1)!;
    expect(packBytes()).toBe(before);
    const { code, messages } = await place.run(['gc', '--json']);
    const real = messages().at(-1)!;
    expect([code, real['message_type'], dry['dry_run'], real['dry_run']]).toEqual([0, 'prune_summary', true, false]);
    for (const figure of ['packs_total', 'bytes_total', 'packs_dropped', 'packs_rewritten', 'bytes_written', 'bytes_freed', 'unused_bytes_left', 'pending']) expect(real[figure], figure).toEqual(dry[figure]);
    expect(real['bytes_freed']).toBeGreaterThan(2_500_000);
    expect(packBytes()).toBe(before - (real['bytes_freed'] as number));
    expect((await place.run(['restore', kept, '--target', 'out'])).code).toBe(0);
    const restored = readdirSync(place.path('out'), { recursive: true, withFileTypes: true }).find(({ name }) => name === 'stays.bin')!;
    expect(readFileSync(`${restored.parentPath}/stays.bin`)).toEqual(readFileSync(place.path('source/stays.bin')));
    expect((await place.run(['verify', '--read-data'])).code).toBe(0);
    expect((await place.run(['prune'])).out).toContain('There is nothing to free');
  });

  test('waits out a grace period when it is told to, and says so', async () => {
    place.write('source/big.bin', random.bytes(900_000));
    expect((await place.run(['backup', 'source'])).code).toBe(0);
    const [newest] = (await place.run(['snapshots', 'latest', '--json'])).messages();
    expect((await place.run(['forget', newest!['id'] as string, '--force'])).code).toBe(0);
    const pending = await place.run(['prune', '--grace', '1h']);
    expect(pending.code).toBe(0);
    expect(pending.out).toContain('Nothing is deleted yet: packs are deleted 1 h 0 min after they were condemned');
    expect((await place.run(['prune', '--close-plan'])).out).toContain('Closed plan');
    expect((await place.run(['prune'])).out).toMatch(/Freed \d/);
  });

  test('refuses what makes no sense', async () => {
    for (const words of [['--max-unused', '120%'], ['--grace', 'soon'], ['--max-repack', '-1']]) expect((await place.run(['prune', ...words])).code, words.join(' ')).toBe(2);
  });
});
