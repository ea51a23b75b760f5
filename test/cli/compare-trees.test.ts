import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { compareTrees, type Comparison } from '../../src/cli/compare-trees.ts';

let folder: string;
const at = (...parts: string[]): string => join(folder, ...parts);

function makeTree(side: string): void {
  mkdirSync(at(side, 'sub'), { recursive: true });
  const files: [Buffer, string | Buffer][] = [
    [Buffer.from(at(side, 'big')), Buffer.alloc(2_500_000, 'xy')], [Buffer.from(at(side, 'sub/small')), 'small'],
    [Buffer.concat([Buffer.from(at(side, 'odd')), Buffer.of(0xff)]), 'odd'],
  ];
  for (const [path, content] of files) {
    writeFileSync(path, content);
    utimesSync(path, 1000, 1000);
  }
  symlinkSync('big', at(side, 'link'));
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'snap-compare-'));
  makeTree('a');
  makeTree('b');
});
afterEach(() => rmSync(folder, { recursive: true }));

function compare(isIgnored: (path: Uint8Array) => boolean = () => false, signal = new AbortController().signal): Promise<Comparison> {
  return compareTrees(Buffer.from(at('a')), Buffer.from(at('b')), { signal, isIgnored, onEntry: () => undefined });
}
const found = async (): Promise<string[]> => (await compare()).differences.map(({ path, what }) => `${Buffer.from(path).toString('latin1').slice(folder.length + 3)} ${what}`);

test('equal trees have no differences and all bytes were compared', async () => {
  expect(await compare()).toEqual({ files: 3, directories: 2, others: 1, bytes: 2_500_008, differences: [] });
});

test.each([
  ['one byte late in a file', () => writeFileSync(at('b/big'), Buffer.concat([Buffer.alloc(2_400_000, 'xy'), Buffer.from('z'), Buffer.alloc(99_999, 'yx')])), 'content differs at byte 2400000'],
  ['a file that ends early', () => truncateSync(at('b/sub/small'), 3), 'sub/small content differs at byte 3'],
  ['a missing file', () => rmSync(at('b/sub/small')), 'sub/small is missing'],
  ['a missing folder', () => rmSync(at('b/sub'), { recursive: true }), 'sub is missing'],
  ['a file too many', () => writeFileSync(at('b/more'), ''), 'more was restored but is not there'],
  ['another type', () => { rmSync(at('b/link')); writeFileSync(at('b/link'), 'big'); }, 'link is a symlink, was restored as a file'],
  ['another link target', () => { rmSync(at('b/link')); symlinkSync('sub', at('b/link')); }, 'link points elsewhere'],
  ['other permissions', () => chmodSync(at('b/sub'), 0o700), 'sub has other permissions'],
  ['another time', () => utimesSync(at('b/big'), 1000, 1001), 'big has another time'],
])('%s is found', async (_name, change, expected) => {
  change();
  expect((await found()).join('\n')).toContain(expected);
});

test('what is ignored is left out of both trees', async () => {
  mkdirSync(at('a/.snap-try'));
  expect((await compare(path => Buffer.from(path).toString('latin1').endsWith('.snap-try'))).differences).toEqual([]);
});

test('an interrupt ends it', async () => {
  await expect(compare(undefined, AbortSignal.abort())).rejects.toMatchObject({ code: 'CANCELLED' });
});
