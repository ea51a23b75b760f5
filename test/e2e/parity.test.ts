import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SeededRandom } from '../support/seeded-random.ts';
import { Workplace } from './cli.ts';

let place: Workplace;
const random = new SeededRandom(9);
beforeEach(async () => {
  place = new Workplace();
  place.write('source/a', random.bytes(600_000));
  place.write('source/b', 'some text\n'.repeat(1000));
  expect((await place.run(['init'])).code).toBe(0);
});
afterEach(() => place.remove());

/** Paths of all objects below a folder of the repository. */
function stored(folder: string): string[] {
  const top = place.path('repo', folder);
  return readdirSync(top, { recursive: true, encoding: 'utf8' }).map(name => join(top, name)).filter(path => statSync(path).isFile());
}

function damage(path: string, at: number, length: number): void {
  const bytes = readFileSync(path);
  bytes.fill(0x55, at, at + length);
  writeFileSync(path, bytes);
}

describe('snap parity', () => {
  test('is off until it is asked for, protects everything once, and goes again', async () => {
    await place.run(['backup', 'source']);
    const packs = stored('packs').length;
    expect(readdirSync(place.path('repo'))).not.toContain('parity');
    const planned = await place.run(['parity', '-n', '--json']);
    expect(planned).toMatchObject({ code: 0, err: '' });
    expect((await place.run(['parity', '--json'])).messages()).toEqual([expect.objectContaining({
      message_type: 'parity_summary', job: 'parity', status: 'complete', exit_code: 0, share: 0.05, packs_total: packs, packs_protected: packs, packs_added: packs,
      bytes_added: planned.messages()[0]!['bytes_added'],
    })]);
    expect(stored('parity')).toHaveLength(packs);
    expect((await place.run(['parity'])).out).toContain(`Protected:  ${packs}, 0 of them new`);
    expect(await place.run(['verify', '--read-data'])).toMatchObject({ code: 0 });
    expect((await place.run(['parity', '--remove', '--verify'])).code).toBe(2);
    expect((await place.run(['parity', '--remove'])).out).toContain('All parity is removed');
    expect(stored('parity')).toEqual([]);
  });

  test('heals packs that the disk damaged', async () => {
    await place.run(['backup', 'source']);
    expect((await place.run(['parity', '--share', '10%'])).code).toBe(0);
    for (const [i, pack] of [...stored('packs/d'), ...stored('packs/t')].entries()) damage(pack, i === 0 ? 200_000 : 4300, 3000);
    expect((await place.run(['verify', '--read-data'])).code).toBe(13);
    const repaired = await place.run(['repair', 'packs']);
    expect(repaired).toMatchObject({ code: 0 });
    expect((await place.run(['verify', '--read-data'])).code).toBe(0);
    expect((await place.run(['restore', 'latest', '--target', place.path('healed')])).code).toBe(0);
    for (const file of ['a', 'b']) {
      const restored = readdirSync(place.path('healed'), { recursive: true, encoding: 'utf8' }).find(name => name.endsWith(`source/${file}`));
      expect(readFileSync(place.path('healed', restored!))).toEqual(readFileSync(place.path('source', file)));
    }
  });

  test('is added to the new packs of a backup', async () => {
    place.write('snap.yaml', 'backup:\n  parity: 10%\n');
    const first = await place.run(['backup', 'source', '--config', 'snap.yaml', '--json']);
    expect(first.code).toBe(0);
    expect(first.messages().map(({ message_type, packs_added }) => [message_type, packs_added])).toEqual([['summary', undefined], ['parity_summary', stored('packs').length]]);
    place.write('source/c', random.bytes(100_000));
    const second = await place.run(['backup', 'source', '--parity', '5', '--json']);
    expect(second.messages().at(-1)).toMatchObject({ message_type: 'parity_summary', packs_total: 2, packs_added: 2 });
    expect((await place.run(['backup', 'source', '--parity', '5', '--json', '-n'])).messages().map(each => each['message_type'])).toEqual(['summary']);
  });

  test('that fails after a backup leaves the snapshot and ends with 3', async () => {
    await place.run(['backup', 'source']);
    place.write('repo/parity', 'in the way');
    place.write('source/c', random.bytes(100_000));
    const result = await place.run(['backup', 'source', '--parity', '5%', '--json']);
    expect(result.code).toBe(3);
    expect(result.messages().map(each => each['message_type'])).toEqual(['summary', 'error']);
    expect((await place.run(['snapshots', '--json'])).messages()).toHaveLength(2);
  });

  test('names a damaged pack, gives it none, and ends with 13', async () => {
    await place.run(['backup', 'source']);
    const [pack] = stored('packs/d');
    damage(pack!, 200_000, 10);
    const result = await place.run(['parity', '--json']);
    expect(result.code).toBe(13);
    expect(result.messages()).toEqual([
      expect.objectContaining({ message_type: 'damage', object: 'pack', severity: 'damage' }), expect.objectContaining({ message_type: 'parity_summary', packs_damaged: 1, exit_code: 13 }),
    ]);
    expect(stored('parity')).toHaveLength(stored('packs').length - 1);
  });
});

describe('snap key rotate', () => {
  test('leaves everything readable, under two epochs and more', { timeout: 90_000 }, async () => {
    expect((await place.run(['backup', 'source'])).code).toBe(0);
    for (const epoch of [2, 3]) {
      const rotated = await place.run(['key', 'rotate', '--json']);
      expect(rotated.messages()).toEqual([{ message_type: 'key_rotated', outcome: 'rotated', keyring: epoch, current_epoch: epoch, packs_left: expect.any(Number), bytes_left: expect.any(Number) }]);
      place.write(`source/epoch-${epoch}`, random.bytes(50_000));
      expect((await place.run(['backup', 'source'])).code).toBe(0);
    }
    expect((await place.run(['key', 'list'])).out).toContain('Keyring 3: everything new is of epoch 3, and 2 older ones can be read\n');
    expect((await place.run(['verify', '--read-data'])).code).toBe(0);
    for (const [snapshot, files] of [['latest~2', ['a', 'b']], ['latest', ['a', 'b', 'epoch-2', 'epoch-3']]] as const) {
      const target = place.path('restored', snapshot);
      expect((await place.run(['restore', snapshot, '--target', target])).code).toBe(0);
      for (const file of files) {
        const restored = readdirSync(target, { recursive: true, encoding: 'utf8' }).find(name => name.endsWith(`source/${file}`));
        expect(readFileSync(join(target, restored!))).toEqual(readFileSync(place.path('source', file)));
      }
    }
  });
});
