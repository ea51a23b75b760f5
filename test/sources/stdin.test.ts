import { PassThrough, Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { concatBytes, utf8, type Bytes } from '../../src/base/bytes.ts';
import { openStdin } from '../../src/sources/stdin.ts';

const name = utf8('dump.sql');

async function all(pieces: AsyncIterable<Bytes>): Promise<Bytes> {
  const parts: Bytes[] = [];
  for await (const piece of pieces) parts.push(piece);
  return concatBytes(parts);
}

describe('a stream', () => {
  test('is delivered to its end, byte for byte', async () => {
    const bytes = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7) % 251);
    const source = openStdin(Readable.from([Buffer.from(bytes.subarray(0, 3)), Buffer.alloc(0), Buffer.from(bytes.subarray(3))], { objectMode: false }), name);
    expect([source.kind, source.name]).toEqual(['stream', name]);
    expect(Buffer.compare(await all(source.content()), bytes)).toBe(0);
    await source.finish();
  });

  test('may be empty', async () => {
    const source = openStdin(Readable.from([], { objectMode: false }), name);
    expect(await all(source.content())).toEqual(new Uint8Array(0));
    await source.finish();
  });

  test('is not finished before it was read to its end', async () => {
    const source = openStdin(Readable.from([Buffer.from('a'), Buffer.from('b')], { objectMode: false }), name);
    await expect(source.finish()).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
    for await (const piece of source.content()) {
      expect(piece.length).toBeGreaterThan(0);
      break;
    }
    await expect(source.finish()).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
  });

  test('that breaks fails, with its error as the cause', async () => {
    const input = new PassThrough();
    const source = openStdin(input, name);
    input.write('start');
    const reading = all(source.content());
    await setImmediate();
    input.destroy(new Error('broken pipe'));
    await expect(reading).rejects.toMatchObject({ code: 'SOURCE_FAILED', cause: { message: 'broken pipe' } });
    await expect(source.finish()).rejects.toMatchObject({ code: 'SOURCE_FAILED', cause: { message: 'broken pipe' } });
  });

  test('stops on its signal, also while it waits for bytes', async () => {
    const input = new PassThrough();
    const source = openStdin(input, name);
    const abort = new AbortController();
    const reading = all(source.content({ signal: abort.signal }));
    await setImmediate();
    abort.abort(new Error('interrupted'));
    await expect(reading).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(input.destroyed).toBe(true);
    await expect(source.finish()).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
  });

  test('is read once', async () => {
    const source = openStdin(Readable.from([Buffer.from('a')], { objectMode: false }), name);
    await all(source.content());
    await expect(all(source.content())).rejects.toMatchObject({ code: 'INTERNAL' });
  });

  test.each(['', '.', '..', 'a/b', 'a\0'])('%j is no name for it', text => {
    expect(() => openStdin(new PassThrough(), utf8(text))).toThrow(RangeError);
  });
});
