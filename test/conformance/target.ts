/** The contract of the port `TreeTarget`, sentence by sentence, for any target; what was restored is looked at as a directory. */
import { mkdirSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { utf8 } from '../../src/base/bytes.ts';
import { ROOT_DIRECTORY, type TargetHandle, type TreeTarget, type WholeFile } from '../../src/targets/target.ts';
import { describeTree } from '../support/describe-tree.ts';
import { begun, codeOf, directoryEntry, type Fields, fileEntry, finish, handleOf, put, symlinkEntry } from '../targets/fixture.ts';

export interface TargetPlace {
  readonly target: TreeTarget;
  /** Where the tree appears; nothing is there at first. */
  readonly path: string;
}

const KiB = 1024;
const RANGES = { reuse: false, hasZeros: false } as const;

/** `create` makes a target of its own for each test. */
export function describeTarget(name: string, create: () => TargetPlace): void {
  describe(`The contract of a target, kept by ${name}`, () => {
    let target: TreeTarget;
    let path: string;

    beforeEach(() => {
      ({ target, path } = create());
    });

    test('directories come parents first, everything else in any order', async () => {
      await begun(target);
      const directories: TargetHandle[] = [ROOT_DIRECTORY];
      for (let i = 0; i < 20; i++) directories.push(handleOf(target.directory(directories[i >> 1]!, directoryEntry(`d${i}`))));
      for (let i = 0; i < 100; i++) {
        const parent = directories[(i * 7) % directories.length]!;
        expect(target.writeFile(parent, fileEntry(`f${i}`, 3), [utf8('one')])).toBeUndefined();
      }
      expect(await finish(target)).toEqual([]);
      const names = readdirSync(path, { recursive: true }).map(String);
      expect(names.filter(each => /(^|\/)f\d+$/.test(each)).length).toBe(100);
      expect(names.filter(each => /(^|\/)d\d+$/.test(each)).length).toBe(20);
    });

    test('whole files come together, out of one content, whatever they are', async () => {
      const { problems } = await begun(target);
      const parents = [0, 1].map(i => handleOf(target.directory(ROOT_DIRECTORY, directoryEntry(`parent ${i}`))));
      expect(target.writeFile(parents[0]!, fileEntry('taken', 3), [utf8('one')])).toBeUndefined();
      const content = Buffer.from(Array.from({ length: 50_000 }, (_, i) => i * 7));
      const special: Record<number, Fields> = { 7: { flags: 2 }, 8: { xattrs: [{ name: utf8('user.note'), value: utf8('x') }] }, 9: { mode: 0o4711 }, 10: { mode: 0o400 } };
      const files = Array.from({ length: 60 }, (_, i): WholeFile => ({
        parent: parents[i % 30 < 20 ? 0 : 1]!, start: 800 * i, length: 13 * i,
        entry: fileEntry(i === 5 ? 'taken' : `file ${i}`, 13 * i, { mtime: [1_600_000_000 + i, 123_456_789], ...special[i] }),
      }));
      const answers = await target.writeFiles(files, content);
      expect(answers.map(codeOf)).toEqual(files.map((_, i) => (i === 5 ? 'TARGET_OCCUPIED' : undefined)));
      expect([await finish(target), problems]).toEqual([[], []]);
      for (const [i, { start, length }] of files.entries()) {
        if (i === 5) continue;
        const file = join(path, `parent ${i % 30 < 20 ? 0 : 1}`, `file ${i}`);
        expect(readFileSync(file)).toEqual(content.subarray(start, start + length));
        expect(statSync(file, { bigint: true })).toMatchObject({ mtimeNs: BigInt(1_600_000_000 + i) * 10n ** 9n + 123_456_789n });
        expect(statSync(file).mode & 0o7777).toBe(special[i]?.mode ?? 0o644);
      }
      expect(readFileSync(join(path, 'parent 0/taken'), 'utf8')).toBe('one');
    });

    test('the ranges of files come in any order, those of several files mixed', async () => {
      await begun(target);
      const parent = handleOf(target.directory(ROOT_DIRECTORY, directoryEntry('directory')));
      const files = Array.from({ length: 5 }, (_, i) => handleOf(target.openFile(parent, fileEntry(`file ${i}`, 40 * KiB), RANGES)));
      for (let piece = 9; piece >= 0; piece--) {
        for (const [i, file] of files.entries()) {
          expect(target.write(file, Buffer.alloc(4 * KiB, i * 16 + piece), piece * 4 * KiB)).toBeUndefined();
        }
      }
      for (const file of files) expect(target.closeFile(file, true)).toBeUndefined();
      expect(await finish(target)).toEqual([]);
      for (const i of files.keys()) {
        const content = readFileSync(join(path, 'directory', `file ${i}`));
        expect(content.length).toBe(40 * KiB);
        expect(content.every((byte, at) => byte === i * 16 + Math.floor(at / (4 * KiB)))).toBe(true);
      }
    });

    test('what is not written of a new file is zero, and the file has its full size', async () => {
      await begun(target);
      const file = handleOf(target.openFile(ROOT_DIRECTORY, fileEntry('file', 100_000), { reuse: false, hasZeros: true }));
      expect(target.write(file, utf8('x'), 50_000)).toBeUndefined();
      expect(target.writeZeros(file, 50_001, 49_999)).toBeUndefined();
      expect(target.closeFile(file, true)).toBeUndefined();
      await finish(target);
      const content = readFileSync(join(path, 'file'));
      expect([content.length, content.filter(byte => byte !== 0).length, content[50_000]]).toEqual([100_000, 1, 0x78]);
    });

    test('any pieces at any places give the same file, sparse or not', async () => {
      await begun(target);
      let i = 0;
      const piece = fc.record({ at: fc.nat(60_000), byte: fc.nat(3), length: fc.nat(9_000) });
      fc.assert(fc.property(fc.array(piece, { maxLength: 8 }), fc.boolean(), (pieces, isSparse) => {
        const expected = Buffer.alloc(70_000);
        const entry = fileEntry(`file ${i++}`, expected.length, { flags: isSparse ? 2 : 0 });
        const file = handleOf(target.openFile(ROOT_DIRECTORY, entry, { reuse: false, hasZeros: isSparse }));
        // A piece is written once, so later pieces only add where nothing was.
        for (const { at, byte, length } of pieces.sort((a, b) => a.at - b.at)) {
          const bytes = Buffer.alloc(length, byte);
          if (expected.subarray(at, at + length).some(there => there !== 0)) continue;
          bytes.copy(expected, at);
          expect(target.write(file, bytes, at)).toBeUndefined();
        }
        expect(target.closeFile(file, true)).toBeUndefined();
        expect(Buffer.compare(Buffer.from(target.readExisting(ROOT_DIRECTORY, entry, 0, expected.length)!), expected)).toBe(0);
      }), { numRuns: 40 });
    });

    test('a whole file is written in one call, from any number of pieces, also sparse', async () => {
      await begun(target);
      const pieces = [Buffer.alloc(10 * KiB, 1), Buffer.alloc(300 * KiB), Buffer.alloc(5, 2)];
      const content = Buffer.concat(pieces);
      for (const flags of [0, 2]) {
        expect(target.writeFile(ROOT_DIRECTORY, fileEntry(`flags ${flags}`, content.length, { flags }), pieces)).toBeUndefined();
        expect(Buffer.compare(readFileSync(join(path, `flags ${flags}`)), content)).toBe(0);
      }
      expect(target.writeFile(ROOT_DIRECTORY, fileEntry('empty', 0), [])).toBeUndefined();
      expect(target.writeFile(ROOT_DIRECTORY, fileEntry('only a hole', KiB * KiB, { flags: 2 }), [Buffer.alloc(KiB * KiB)])).toBeUndefined();
      expect(statSync(join(path, 'empty')).size).toBe(0);
      expect(statSync(join(path, 'only a hole'))).toMatchObject({ size: KiB * KiB, blocks: 0 });
    });

    test('metadata of directories is set at the end, so their times are right', async () => {
      await begun(target);
      const parent = handleOf(target.directory(ROOT_DIRECTORY, directoryEntry('parent', { mtime: [-5, 500_000_000] })));
      const child = handleOf(target.directory(parent, directoryEntry('child', { mode: 0o500 })));
      expect(target.writeFile(child, fileEntry('file', 1), [utf8('x')])).toBeUndefined();
      expect(target.writeFile(parent, fileEntry('file', 1, { mode: 0o444 }), [utf8('x')])).toBeUndefined();
      expect(await finish(target)).toEqual([]);
      const tree = await describeTree(path);
      expect(tree.get('parent')).toMatchObject({ mtime: '-4500000000', mode: 0o755 });
      expect(tree.get('parent/child')).toMatchObject({ mtime: '1600000000123456789', mode: 0o500 });
      expect(tree.get('parent/file')).toMatchObject({ mtime: '1600000000123456789', mode: 0o444 });
    });

    test('symlinks, fifos and sockets are made with their own metadata', async () => {
      await begun(target);
      expect(target.special(ROOT_DIRECTORY, symlinkEntry('link', '../anywhere\xff'))).toBeUndefined();
      for (const type of ['fifo', 'socket'] as const) {
        expect(target.special(ROOT_DIRECTORY, { ...symlinkEntry(type, 'x'), type, linkTarget: undefined, mode: 0o640 })).toBeUndefined();
      }
      await finish(target);
      const tree = await describeTree(path);
      expect(readlinkSync(join(path, 'link'))).toBe('../anywhere\xff');
      expect(tree.get('link')).toMatchObject({ type: 'symlink', mtime: '1600000000123456789' });
      expect(tree.get('fifo')).toMatchObject({ type: 'fifo', mode: 0o640, mtime: '1600000000123456789' });
      expect(tree.get('socket')).toMatchObject({ type: 'socket', mode: 0o640, mtime: '1600000000123456789' });
    });

    test('a hard link is a further name of an entry restored before, in any directory', async () => {
      await begun(target);
      const one = handleOf(target.directory(ROOT_DIRECTORY, directoryEntry('one')));
      const other = handleOf(target.directory(ROOT_DIRECTORY, directoryEntry('other')));
      expect(target.writeFile(one, fileEntry('file', 1), [utf8('x')])).toBeUndefined();
      expect(target.special(one, symlinkEntry('link', 'file'))).toBeUndefined();
      expect(target.hardLink(other, fileEntry('same', 1), one, utf8('file'))).toBeUndefined();
      expect(target.hardLink(other, symlinkEntry('same link', 'file'), one, utf8('link'))).toBeUndefined();
      await finish(target);
      const tree = await describeTree(path);
      expect([tree.get('other/same')!.linkedTo, tree.get('other/same link')!.linkedTo]).toEqual(['one/file', 'one/link']);
    });

    test('a hard link leads from one deep directory to another', async () => {
      await begun(target);
      const deep = (name: string): TargetHandle => {
        let at = ROOT_DIRECTORY;
        for (let i = 0; i < 6; i++) at = handleOf(target.directory(at, directoryEntry(name)));
        return at;
      };
      const [one, other] = [deep('one'), deep('other')];
      expect(target.writeFile(one, fileEntry('file', 1), [utf8('x')])).toBeUndefined();
      expect(target.hardLink(other, fileEntry('same', 1), one, utf8('file'))).toBeUndefined();
      expect(target.hardLink(one, fileEntry('again', 1), other, utf8('same'))).toBeUndefined();
      expect(await finish(target)).toEqual([]);
      expect(statSync(join(path, 'one/one/one/one/one/one/file')).nlink).toBe(3);
    });

    test('problems with single entries are returned with their path, and the rest goes on', async () => {
      await begun(target);
      const parent = handleOf(target.directory(ROOT_DIRECTORY, directoryEntry('directory')));
      const problem = target.writeFile(parent, fileEntry('..', 1), [utf8('x')]);
      expect(problem).toMatchObject({ error: { name: 'SnapError' } });
      expect(Buffer.from(problem!.path).toString()).toBe('directory/..');
      expect(codeOf(target.directory(parent, directoryEntry('a/b')))).toBe('OBJECT_CORRUPT');
      expect(target.writeFile(parent, fileEntry('next', 1), [utf8('x')])).toBeUndefined();
      expect(await finish(target)).toEqual([]);
    });

    test('what is there already is seen, kept or used again', async () => {
      mkdirSync(path, { recursive: true });
      const first = await begun(target);
      put(first.target, 'file', 'content');
      await finish(target);
      await begun(target, { overwrite: 'if-changed' });
      expect(target.inspect(ROOT_DIRECTORY, fileEntry('file', 7))).toEqual({ kind: 'file', sizeBytes: 7, matchesStat: true });
      expect(target.inspect(ROOT_DIRECTORY, symlinkEntry('file', 'x'))).toEqual({ kind: 'replace' });
      expect(target.inspect(ROOT_DIRECTORY, fileEntry('absent', 7))).toEqual({ kind: 'absent' });
      expect(target.readExisting(ROOT_DIRECTORY, fileEntry('file', 7), 1, 3)).toEqual(new Uint8Array(utf8('ont')));
      expect(target.touch(ROOT_DIRECTORY, fileEntry('file', 7, { mode: 0o600, mtime: [1, 2] }))).toBeUndefined();
      await finish(target);
      expect((await describeTree(path)).get('file')).toMatchObject({ mode: 0o600, mtime: '1000000002' });
    });

    test('without finish nothing is open any more after close', async () => {
      await begun(target);
      const before = readdirSync('/proc/self/fd').length;
      const parent = handleOf(target.directory(ROOT_DIRECTORY, directoryEntry('directory')));
      handleOf(target.openFile(parent, fileEntry('file', 5), RANGES));
      await target.close();
      expect(readdirSync('/proc/self/fd').length).toBeLessThan(before);
    });
  });
}
