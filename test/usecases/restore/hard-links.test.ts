import { describe, expect, test } from 'vitest';
import { utf8 } from '../../../src/base/bytes.ts';
import type { Entry } from '../../../src/format/tree-node.ts';
import { HardLinks } from '../../../src/usecases/restore/hard-links.ts';
import { kernel } from '../../support/memory-repository.ts';

const hasher = kernel.createHasher(new Uint8Array(32).fill(3));
const chunk = (byte: number): never => new Uint8Array(32).fill(byte) as never;

function file(group: number, changes: Partial<Entry> = {}): Entry {
  const hardLinkGroup = new Uint8Array(8);
  new DataView(hardLinkGroup.buffer).setUint32(0, group);
  return { name: utf8(`name-${group}`), type: 'file', mode: 0o644, mtime: [7, 8], flags: 0, sizeBytes: 10, content: [{ id: chunk(1), lengthBytes: 10 }], hardLinkGroup, ...changes };
}

describe('hard links of a restore', () => {
  test('lead to the first name of the group', () => {
    const links = new HardLinks(hasher);
    expect(links.find(file(1))).toBeUndefined();
    const slot = links.add(file(1), 42);
    expect(links.find(file(1, { name: utf8('another') }))).toMatchObject({ slot, parent: 42, name: utf8('name-1') });
    expect(links.find(file(2))).toBeUndefined();
  });

  test.each([
    ['type', { type: 'fifo' as const, sizeBytes: undefined, content: undefined }],
    ['size', { sizeBytes: 11, content: [{ id: chunk(1), lengthBytes: 11 }] }],
    ['time', { mtime: [7, 9] as const }],
    ['negative time', { mtime: [-7, 8] as const }],
    ['content', { content: [{ id: chunk(2), lengthBytes: 10 }] }],
    ['zeros for content', { content: [{ id: undefined, lengthBytes: 10 }] }],
    ['content in two chunks', { content: [{ id: chunk(1), lengthBytes: 4 }, { id: chunk(1), lengthBytes: 6 }] }],
    ['content node', { content: undefined, contentNode: chunk(1) }],
    ['target', { type: 'symlink' as const, sizeBytes: undefined, content: undefined, linkTarget: utf8('x') }],
  ])('are not made when the %s differs', (_, changes) => {
    const links = new HardLinks(hasher);
    links.add(file(1), 42);
    expect(links.find(file(1, changes))).toBeUndefined();
    links.add(file(1, changes), 43);
    expect(links.find(file(1))!.parent).toBe(42);
    expect(links.find(file(1, changes))!.parent).toBe(43);
  });

  test('remember thousands of groups and which of them failed', () => {
    const links = new HardLinks(hasher);
    for (let i = 0; i < 5000; i++) expect(links.add(file(i), i)).toBe(i);
    links.fail(77, 'target');
    links.fail(78, 'damage');
    links.fail(78, 'target');
    links.fail(-1, 'damage');
    for (let i = 0; i < 5000; i++) {
      expect(links.find(file(i))).toMatchObject({ slot: i, parent: i, name: utf8(`name-${i}`) });
      expect(links.failureOf(i)).toBe(i === 77 ? 'target' : i === 78 ? 'damage' : undefined);
    }
  });

  test('count the groups for which there is no room', () => {
    const links = new HardLinks(hasher, 2);
    expect([links.add(file(1), 1), links.add(file(2), 2), links.add(file(3), 3)]).toEqual([0, 1, -1]);
    expect(links.overflow).toBe(1);
    expect(links.find(file(3))).toBeUndefined();
  });
});
