// Archives are read back by programs of others: tar, python3 and unzip.
import { execFileSync } from 'node:child_process';
import { createWriteStream, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Bytes, utf8 } from '../../src/base/bytes.ts';
import type { Entry } from '../../src/format/tree-node.ts';
import { ARCHIVE_FORMATS, type ArchiveFormat, createArchiveWriter } from '../../src/targets/archive.ts';
import { describeTree } from '../support/describe-tree.ts';
import { writeToStream } from '../../src/targets/stream.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { directoryEntry, fileEntry, freshPath, isRoot, symlinkEntry } from './fixture.ts';

interface Member {
  readonly path: string | Bytes;
  readonly entry: Entry;
  readonly content?: readonly Bytes[];
}

async function* iterate(pieces: readonly Bytes[]): AsyncGenerator<Bytes> {
  yield* pieces;
}

const bytesOf = (path: string | Bytes): Bytes => (typeof path === 'string' ? utf8(path) : path);

/** Writes an archive into a file; returns its path and what was left out. */
async function archive(format: ArchiveFormat, members: readonly Member[]): Promise<{ file: string; left: (string | undefined)[] }> {
  const file = `${freshPath()}.${format}`;
  const pieces: Bytes[] = [];
  const writer = createArchiveWriter(format, async bytes => { pieces.push(bytes); });
  const left: (string | undefined)[] = [];
  for (const { path, entry, content } of members) left.push(await writer.entry(bytesOf(path), entry, content === undefined ? undefined : iterate(content)));
  await writer.finish();
  writeFileSync(file, Buffer.concat(pieces));
  return { file, left };
}

function file(path: string | Bytes, content: readonly Bytes[] | string, fields: Partial<Entry> = {}): Member {
  const pieces = typeof content === 'string' ? [utf8(content)] : content;
  const size = pieces.reduce((total, piece) => total + piece.length, 0);
  return { path, entry: fileEntry('x', size, { uid: process.getuid!(), gid: process.getgid!(), ...fields }), content: pieces };
}

/** Unpacks with tar, which must not complain except of times it finds strange and of the POSIX keyword for names that are not UTF-8. */
function untar(archiveFile: string, ...options: string[]): string {
  const directory = join(dirname(archiveFile), 'unpacked');
  mkdirSync(directory);
  const stderr = execFileSync('sh', ['-c', 'exec "$@" 2>&1', 'sh', 'tar', '--warning=no-timestamp', '--warning=no-unknown-keyword', '-xp', ...options, '-f', archiveFile, '-C', directory], { encoding: 'utf8' });
  expect(stderr).toBe('');
  return directory;
}

/** Members of a tar or zip as python3 reads them. */
function pythonTar(archiveFile: string): Record<string, unknown>[] {
  const script = `
import json, sys, tarfile
with tarfile.open(sys.argv[1], 'r:', encoding='utf-8', errors='surrogateescape') as archive:
    for member in archive:
        content = archive.extractfile(member).read() if member.isreg() else b''
        print(json.dumps({'name': member.name.encode('utf-8', 'surrogateescape').decode('latin-1'), 'type': member.type.decode(), 'mode': member.mode,
            'uid': member.uid, 'gid': member.gid, 'uname': member.uname, 'gname': member.gname, 'mtime': member.pax_headers.get('mtime', str(member.mtime)),
            'size': member.size, 'link': member.linkname.encode('utf-8', 'surrogateescape').decode('latin-1'), 'device': [member.devmajor, member.devminor], 'content': content.hex()}))
`;
  const text = execFileSync('python3', ['-c', script, archiveFile], { encoding: 'utf8', maxBuffer: 2 ** 28 });
  return text.trimEnd().split('\n').map(line => JSON.parse(line) as Record<string, unknown>);
}

describe('A tar archive', () => {
  test('is unpacked by tar to the same tree', async () => {
    const random = new SeededRandom(1);
    const large = [random.bytes(300_000), new Uint8Array(500_000), random.bytes(7)];
    const { file: archiveFile, left } = await archive('tar', [
      { path: '', entry: directoryEntry('', { mode: 0o751 }) },
      { path: 'directory', entry: directoryEntry('directory', { mode: 0o2750, mtime: [-2, 500_000_000] }) },
      file('directory/empty', ''), file('directory/file', 'content', { mode: 0o4755, mtime: [-1, 999_999_999] }),
      file('large', large, { mtime: [4_294_967_297, 5] }), file('old', 'x', { mtime: [-1000, 0] }),
      { path: 'link', entry: symlinkEntry('link', 'nowhere\xe4/'.repeat(20)) },
      { path: 'fifo', entry: { ...symlinkEntry('fifo', 'x'), type: 'fifo', linkTarget: undefined, mode: 0o640 } },
      { path: 'socket', entry: { ...symlinkEntry('socket', 'x'), type: 'socket', linkTarget: undefined } },
    ]);
    expect(left.map(reason => reason !== undefined)).toEqual([false, false, false, false, false, false, false, false, true]);
    const directory = untar(archiveFile);
    const tree = await describeTree(directory);
    expect([...tree.keys()]).toEqual(['', 'directory', 'directory/empty', 'directory/file', 'fifo', 'large', 'link', 'old']);
    expect(tree.get('')).toMatchObject({ mode: 0o751 });
    expect(tree.get('directory')).toMatchObject({ mode: 0o2750, mtime: '-1500000000' });
    expect(tree.get('directory/file')).toMatchObject({ mode: 0o4755, mtime: '-1', size: 7 });
    expect(tree.get('large')).toMatchObject({ mtime: '4294967297000000005' });
    expect(tree.get('old')).toMatchObject({ mtime: '-1000000000000' });
    expect(tree.get('link')).toMatchObject({ type: 'symlink', target: Buffer.from('nowhere\xe4/'.repeat(20)).toString('latin1') });
    expect(tree.get('fifo')).toMatchObject({ type: 'fifo', mode: 0o640, mtime: '1600000000123456789' });
    expect(Buffer.compare(readFileSync(join(directory, 'large')), Buffer.concat(large))).toBe(0);
  });

  test('keeps names of every length and of any bytes', async () => {
    const lengths = [1, 98, 99, 100, 101, 154, 155, 156, 250, 255, 256, 257, 300, 1000];
    const long = lengths.map((length, i) => `${i}${'x'.repeat(98)}/`.repeat(Math.ceil(length / 100)).slice(0, length).replace(/\/$/, 'x'));
    const odd: Bytes[] = [utf8('umlaut ä'), Buffer.from([0xff, 0xfe, 0x41]), utf8('new\nline'), utf8('a\\b'), Buffer.concat([Buffer.from('x'.repeat(120)), Buffer.from([0x80])])];
    const members = [...long.map(path => file(path, 'x')), ...odd.map(path => file(path, 'y', { userName: 'ü'.repeat(20), groupName: 'g'.repeat(40) }))];
    const { file: archiveFile } = await archive('tar', members);
    const expected = [...long.map(path => utf8(path)), ...odd].map(path => Buffer.from(path).toString('latin1'));
    expect(pythonTar(archiveFile).map(member => member['name'])).toEqual(expected);
    const tree = await describeTree(untar(archiveFile, '--no-same-owner'));
    expect(expected.filter(path => tree.get(path)?.type !== 'file')).toEqual([]);
  });

  test('keeps numbers beyond the plain header', async () => {
    const { file: archiveFile } = await archive('tar', [
      file('owner', 'x', { uid: 4_294_967_294, gid: 2_097_152, userName: 'u'.repeat(31), groupName: 'g'.repeat(33) }),
      file('time', 'x', { mtime: [2 ** 40, 1] }),
      { path: 'device', entry: { ...fileEntry('x', 0), type: 'block-device', sizeBytes: undefined, device: [7, 99] } },
      { path: 'null', entry: { ...fileEntry('x', 0), type: 'character-device', sizeBytes: undefined, device: [1, 3] } },
    ]);
    expect(pythonTar(archiveFile)).toMatchObject([
      { uid: 4_294_967_294, gid: 2_097_152, uname: 'u'.repeat(31), gname: 'g'.repeat(33) },
      { mtime: `${2 ** 40}.000000001` }, { type: '4', device: [7, 99] }, { type: '3', device: [1, 3] },
    ]);
  });

  test('announces a file of more than 8 GiB by an extended header', async () => {
    const sizeBytes = 9 * 2 ** 30 + 1;
    let headers = Buffer.alloc(0);
    const writer = createArchiveWriter('tar', async bytes => { if (headers.length < 4096) headers = Buffer.concat([headers, bytes]); });
    const piece = new Uint8Array(2 ** 26);
    async function* content(): AsyncGenerator<Bytes> {
      for (let left = sizeBytes; left > 0; left -= piece.length) yield piece.subarray(0, Math.min(left, piece.length));
    }
    await writer.entry(utf8('large'), fileEntry('x', sizeBytes), content());
    expect(headers.toString('latin1', 512, 1024)).toContain(` size=${sizeBytes}\n`);
  });

  test('keeps extended attributes, also names with "=" and values of any bytes', async () => {
    const xattrs = [{ name: utf8('user.a=b%'), value: utf8('v') }, { name: utf8('user.binary'), value: Uint8Array.from({ length: 256 }, (_, i) => i) }];
    const { file: archiveFile } = await archive('tar', [file('file', 'x', { xattrs }), file(Buffer.from('\xff', 'latin1'), 'x', { xattrs })]);
    const tree = await describeTree(untar(archiveFile, '--xattrs', '--xattrs-include=user.*'));
    const expected = { 'user.a=b%': '76', 'user.binary': Buffer.from(xattrs[1]!.value).toString('hex') };
    expect([tree.get('file')!.xattrs, tree.get('\xff')!.xattrs]).toEqual([expected, expected]);
  });

  test('makes equal members of a group hard links, and reads their content once', async () => {
    const hardLinkGroup = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
    const entry = fileEntry('x', 7, { hardLinkGroup });
    let reads = 0;
    const content: AsyncIterable<Bytes> = { [Symbol.asyncIterator]: () => {
      reads++;
      return iterate([utf8('content')]);
    } };
    const pieces: Bytes[] = [];
    const writer = createArchiveWriter('tar', async bytes => { pieces.push(bytes); });
    const longPath = `${'d'.repeat(90)}/${'f'.repeat(90)}`;
    for (const path of [longPath, 'second']) await writer.entry(utf8(path), entry, content);
    await writer.entry(utf8('other time'), { ...entry, mtime: [1, 0] }, content);
    await writer.finish();
    expect(reads).toBe(2);
    const archiveFile = `${freshPath()}.tar`;
    writeFileSync(archiveFile, Buffer.concat(pieces));
    const tree = await describeTree(untar(archiveFile));
    expect([tree.get('second')!.linkedTo, tree.get('other time')!.linkedTo]).toEqual([longPath, 'other time']);
  });

  test('any path, time and content come back as python3 reads them', async () => {
    const name = fc.uint8Array({ minLength: 1, maxLength: 120 }).map(bytes => bytes.map(byte => (byte === 0 || byte === 0x2f || byte === 0x2e ? 0x5f : byte)));
    const member = fc.record({
      path: fc.array(name, { minLength: 1, maxLength: 4 }).map(parts => Buffer.concat(parts.flatMap((part, i) => (i === 0 ? [part] : [utf8('/'), part])))),
      seconds: fc.integer({ min: -(2 ** 33), max: 2 ** 33 }), nanoseconds: fc.nat(999_999_999), content: fc.uint8Array({ maxLength: 2000 }),
    });
    const members = fc.sample(member, { numRuns: 150, seed: 7 });
    const { file: archiveFile } = await archive('tar', members.map(each => file(each.path, [each.content], { mtime: [each.seconds, each.nanoseconds] })));
    const found = pythonTar(archiveFile);
    expect(found.length).toBe(members.length);
    members.forEach((each, i) => {
      expect(found[i]!['name']).toBe(each.path.toString('latin1'));
      expect(found[i]!['content']).toBe(Buffer.from(each.content).toString('hex'));
      const nanoseconds = BigInt(each.seconds) * 1_000_000_000n + BigInt(each.nanoseconds);
      const [whole, fraction = ''] = (found[i]!['mtime'] as string).replace('-', '').split('.');
      const read = BigInt(whole!) * 1_000_000_000n + BigInt(fraction.padEnd(9, '0'));
      expect((found[i]!['mtime'] as string).startsWith('-') ? -read : read).toBe(nanoseconds);
    });
  });
});

describe('A zip archive', () => {
  const random = new SeededRandom(2);
  const members: Member[] = [
    { path: '', entry: directoryEntry('') }, { path: 'directory', entry: directoryEntry('directory', { mode: 0o750 }) },
    file('directory/empty', ''), file('directory/small', 'content '.repeat(100), { mode: 0o600, uid: 1000, gid: 100 }),
    file('random', [random.bytes(5000)]), file('umlaut ä 😀', 'x'), file('old', 'x', { mtime: [0, 0] }), file('future', 'x', { mtime: [2 ** 35, 0] }),
    file('large', [random.bytes(400_000), new Uint8Array(3_000_000), random.bytes(1)]), { path: 'link', entry: symlinkEntry('link', 'directory/small') },
  ];

  test('is read by python3 and unpacked by unzip to the same tree', async () => {
    const { file: archiveFile, left } = await archive('zip', [...members,
      { path: 'fifo', entry: { ...symlinkEntry('fifo', 'x'), type: 'fifo', linkTarget: undefined } },
    ]);
    expect(left.filter(reason => reason !== undefined)).toEqual(['A zip archive cannot hold a fifo']);
    expect(execFileSync('python3', ['-m', 'zipfile', '-t', archiveFile], { encoding: 'utf8' })).toContain('Done testing');
    const directory = join(dirname(archiveFile), 'unpacked');
    execFileSync('unzip', ['-q', archiveFile, '-d', directory], { env: { ...process.env, LC_ALL: 'C.UTF-8' } });
    const tree = await describeTree(directory);
    for (const { path, entry, content } of members.slice(1)) {
      const found = tree.get(Buffer.from(bytesOf(path)).toString('latin1'));
      expect(found, String(path)).toMatchObject({ type: entry.type, ...(entry.type === 'symlink' ? { target: 'directory/small' } : { mode: entry.mode }) });
      if (content !== undefined) expect(Buffer.compare(readFileSync(join(directory, path as string)), Buffer.concat(content)), String(path)).toBe(0);
    }
    expect(tree.get('directory/small')!.mtime).toBe('1600000000000000000');
    expect(tree.get('old')!.mtime).toBe('0');
  });

  test('keeps names that are not UTF-8', async () => {
    const { file: archiveFile } = await archive('zip', [file(Buffer.from([0x61, 0xff, 0xfe]), 'x')]);
    const bytes = readFileSync(archiveFile);
    expect(bytes.includes(Buffer.from([0x61, 0xff, 0xfe]))).toBe(true);
    expect(bytes.readUInt16LE(6) & (1 << 11)).toBe(0);
    expect(execFileSync('python3', ['-m', 'zipfile', '-t', archiveFile], { encoding: 'utf8' })).toContain('Done testing');
  });

  test('holds more than 65,535 entries', async () => {
    const many = Array.from({ length: 65_600 }, (_, i): Member => ({ path: `f${i}`, entry: fileEntry('x', 0), content: [] }));
    const { file: archiveFile } = await archive('zip', many);
    const count = execFileSync('python3', ['-c', 'import sys, zipfile; print(len(zipfile.ZipFile(sys.argv[1]).namelist()))', archiveFile], { encoding: 'utf8' });
    expect(Number(count)).toBe(65_600);
  });
});

describe.each(ARCHIVE_FORMATS)('A %s archive', format => {
  test('refuses paths that lead elsewhere', async () => {
    const writer = createArchiveWriter(format, async () => undefined);
    for (const path of ['..', '../x', 'a/../b', '/etc/passwd', 'a//b', 'a/', './a', 'a\0b']) {
      await expect(writer.entry(utf8(path), fileEntry('x', 1), iterate([utf8('x')])), path).rejects.toMatchObject({ code: 'OBJECT_CORRUPT' });
    }
    await expect(writer.entry(utf8(''), fileEntry('x', 0), iterate([]))).rejects.toThrow(RangeError);
  });

  test.each([['longer', 3], ['shorter', 5]])('does not take content that is %s than the size', async (_what, size) => {
    for (const factor of [1, 200_000]) {
      const writer = createArchiveWriter(format, async () => undefined);
      const content = iterate([new Uint8Array(4 * factor)]);
      await expect(writer.entry(utf8('file'), fileEntry('x', size * factor), content)).rejects.toMatchObject({ code: 'INTERNAL' });
    }
  });

  test('passes on what reading the content throws', async () => {
    async function* failing(): AsyncGenerator<Bytes> {
      yield new Uint8Array(400_000);
      throw new Error('cannot read');
    }
    const writer = createArchiveWriter(format, async () => undefined);
    await expect(writer.entry(utf8('file'), fileEntry('x', 900_000), failing())).rejects.toThrow('cannot read');
  });

  test('waits for its sink, and is written in large pieces', async () => {
    let isBusy = false;
    const sizes: number[] = [];
    const writer = createArchiveWriter(format, async bytes => {
      expect(isBusy).toBe(false);
      isBusy = true;
      sizes.push(bytes.length);
      await new Promise(resolve => setImmediate(resolve));
      isBusy = false;
    });
    const random = new SeededRandom(3).bytes(1000);
    for (let i = 0; i < 1000; i++) await writer.entry(utf8(`file ${i}`), fileEntry('x', 1000), iterate([random]));
    await writer.entry(utf8('large'), fileEntry('x', 10 * 2 ** 20), iterate(Array.from({ length: 10 }, () => new Uint8Array(2 ** 20))));
    await writer.finish();
    expect(sizes.slice(0, 5).every(size => size > 60_000)).toBe(true);
  });

  test.each([1, 4_000, 60_000, 65_537, 100_000, 131_073, 200_000])('keeps the order of pieces of %i bytes, and of what its compressor joins', async size => {
    const random = new SeededRandom(size);
    const content = Array.from({ length: Math.ceil(500_000 / (size + 5_000)) }, () => random.bytes(size));
    const pieces: Bytes[] = [];
    const writer = createArchiveWriter(format, async bytes => {
      pieces.push(bytes);
      for (let i = 0; i < 5; i++) await new Promise(resolve => setImmediate(resolve));
    });
    for (let i = 0; i < 3; i++) {
      await writer.entry(utf8(`file ${i}`), fileEntry('x', size * content.length), iterate(content));
      await writer.entry(utf8(`small ${i}`), fileEntry('x', size), iterate(content.slice(0, 1)));
    }
    await writer.finish();
    const archiveFile = `${freshPath()}.${format}`;
    writeFileSync(archiveFile, Buffer.concat(pieces));
    const directory = join(dirname(archiveFile), 'unpacked');
    mkdirSync(directory);
    execFileSync(format === 'tar' ? 'tar' : 'unzip', format === 'tar' ? ['-xf', archiveFile, '-C', directory] : ['-q', archiveFile, '-d', directory]);
    for (let i = 0; i < 3; i++) {
      expect(Buffer.compare(readFileSync(join(directory, `file ${i}`)), Buffer.concat(content))).toBe(0);
      expect(Buffer.compare(readFileSync(join(directory, `small ${i}`)), Buffer.from(content[0]!))).toBe(0);
    }
  });

  test('goes through a stream', async () => {
    const path = `${freshPath()}.${format}`;
    const stream = createWriteStream(path);
    const outcome = await writeToStream(stream, async sink => {
      const writer = createArchiveWriter(format, sink);
      await writer.entry(utf8('file'), fileEntry('x', 7), iterate([utf8('content')]));
      await writer.finish();
    });
    await new Promise(resolve => stream.end(resolve));
    expect(outcome).toBe('complete');
    expect(statSync(path).size).toBeGreaterThan(100);
    rmSync(path);
  });
});

test.runIf(isRoot)('tar gives owners and devices back', async () => {
  const { file: archiveFile } = await archive('tar', [
    file('file', 'x', { uid: 123456, gid: 654321 }),
    { path: 'null', entry: { ...fileEntry('x', 0), type: 'character-device', sizeBytes: undefined, device: [1, 3] } },
  ]);
  const tree = await describeTree(untar(archiveFile));
  expect(tree.get('file')).toMatchObject({ uid: 123456, gid: 654321 });
  expect(tree.get('null')).toMatchObject({ type: 'character device', device: [1, 3] });
});
