import { afterAll, beforeAll, expect, test } from 'vitest';
import { Workplace } from './cli.ts';

let place: Workplace;
beforeAll(async () => {
  place = new Workplace();
  place.write('source/a', 'content');
  await place.run(['init']);
});
afterAll(() => { place.remove(); });

test('exit codes are 0, 1 and 2, in text and JSON', async () => {
  const init = await place.run(['status']);
  expect([init.code, init.out]).toEqual([2, expect.stringContaining('There is no snapshot')]);
  expect((await place.run(['backup', 'source'])).code).toBe(0);
  const warned = await place.run(['status', '--json']);
  expect(warned.code).toBe(1);
  expect(warned.messages()).toMatchObject([{ message_type: 'repository_status', level: 'warning', snapshots: 1, three_two_one: { met: false, copies: 2 } }]);
  const well = await place.run(['status', '--no-three-two-one']);
  expect([well.code, well.err]).toEqual([0, '']);
  const late = await place.run(['status', '-q', '--no-three-two-one', '--max-age', '0', '--critical-age', '1s']);
  expect([late.code, late.out]).toEqual([expect.toSatisfy(code => code === 1 || code === 2), expect.stringContaining('freshness')]);
});

test('thresholds and places stand in the configuration', async () => {
  place.write('snap.yaml', `status:\n  max-used: 100%\n  critical-used: 100%\n  three-two-one: false\n  places:\n    - location: ${place.path('repo')}\n      medium: tape\n      off-site: true\n`);
  const { code, messages } = await place.run(['status', '--json']);
  expect(code).toBe(0);
  expect(messages()[0]).toMatchObject({ three_two_one: { media: 2, off_site: 1 } });
  place.write('snap.yaml', 'status:\n  places:\n    - location: /x\n');
  const wrong = await place.run(['status']);
  expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining("line 3: 'places' has an item that says nothing")]);
});

test('a repository that cannot be looked at is critical, a wrong call is a wrong call', async () => {
  place.write('snap.yaml', '');
  const gone = await place.run(['status', '-r', place.path('none'), '--json']);
  expect([gone.code, gone.messages()]).toEqual([2, [expect.objectContaining({ level: 'critical', checks: [expect.objectContaining({ name: 'reachable' })] })]]);
  place.write('other-key', 'x'.repeat(32));
  const locked = await place.run(['status', '--json', '--key-file', place.path('other-key')]);
  expect(locked.code).toBe(2);
  const nothing = await place.run(['status'], { env: { SNAP_REPOSITORY: '' } });
  expect([nothing.code, nothing.err]).toEqual([2, expect.stringContaining('No repository was named')]);
});
