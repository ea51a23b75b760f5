import { expect, test } from 'vitest';
import { BytesGate } from '../../src/base/bytes-gate.ts';

test('lets holders in while they fit together, first come, first served, and a larger one alone', async () => {
  const gate = new BytesGate(10);
  const entered: string[] = [];
  const enter = (name: string, bytes: number): Promise<void> => gate.acquire(bytes).then(() => { entered.push(name); });
  const settle = async (): Promise<void> => { for (let i = 0; i < 5; i++) await Promise.resolve(); };
  await Promise.all([enter('a', 6), enter('b', 4)]);
  const late = [enter('large', 50), enter('small', 1)];
  await settle();
  expect(entered).toEqual(['a', 'b']);
  gate.release(4);
  await settle();
  expect(entered).toEqual(['a', 'b']); // the small one would fit, but does not overtake
  gate.release(6);
  await settle();
  expect(entered).toEqual(['a', 'b', 'large']);
  gate.release(50);
  await Promise.all(late);
  expect(entered).toEqual(['a', 'b', 'large', 'small']);
});
