/** What a check says of parity and of older keyrings, which nothing else reads. */
import { expect, test } from 'vitest';
import type { Bytes } from '../../../src/base/bytes.ts';
import { keyringName, parityName } from '../../../src/format/object-names.ts';
import type { PackId } from '../../../src/format/ids.ts';
import { rotateKeyring } from '../../../src/repository/key-rotation.ts';
import { addParity } from '../../../src/usecases/parity.ts';
import { reopen } from '../../support/memory-repository.ts';
import { damage, namesOf, replaceObject, runVerify, verifySample, warnings } from '../../support/verify-jobs.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

test('parity that is whole is no finding, damaged parity is a warning of a check that reads data', async () => {
  const { backend, repository } = await verifySample();
  await addParity(repository, { share: 0.05, verify: false, dryRun: false });
  expect((await runVerify(await reopen(backend), { readData: true })).findings).toEqual([]);
  const name = namesOf(backend, 'parity/')[0]!;
  await replaceObject(backend, name, (bytes: Bytes) => bytes.subarray(0, bytes.length - 4096));
  const report = await runVerify(await reopen(backend), { readData: true });
  expect([damage(report), warnings(report).map(each => each.name)]).toEqual([[], [name]]);
  expect((await runVerify(await reopen(backend))).findings).toEqual([]);
});

test('parity of a pack that is not there is left over after a day', async () => {
  const { backend, repository } = await verifySample();
  const name = parityName('ab'.repeat(16) as PackId);
  await backend.create(name, [new Uint8Array(4096)]);
  expect((await runVerify(repository, { level: 'structure' })).findings).toEqual([]);
  const clock = { ...repository.clock, now: () => repository.clock.now() + 2 * DAY_MS };
  const report = await runVerify({ ...repository, clock }, { level: 'structure' });
  expect(warnings(report).filter(({ object }) => object === 'parity').map(each => each.name)).toEqual([name]);
});

test('an older keyring that is damaged is a warning, since the newest one holds everything', async () => {
  const { backend, repository } = await verifySample();
  await rotateKeyring(repository);
  expect((await runVerify(await reopen(backend), { level: 'structure' })).findings).toEqual([]);
  await replaceObject(backend, keyringName(1), (bytes: Bytes) => bytes.map((byte, i) => (i === 70 ? byte ^ 1 : byte)));
  const report = await runVerify(await reopen(backend), { level: 'structure' });
  expect([damage(report), warnings(report).map(each => each.name)]).toEqual([[], [keyringName(1)]]);
});
