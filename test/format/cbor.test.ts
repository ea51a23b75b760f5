import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../../src/base/bytes.ts';
import { CborReader } from '../../src/format/cbor-reader.ts';
import { CborWriter } from '../../src/format/cbor-writer.ts';
import { decodeHostile, expectKind } from './samples.ts';

function written(write: (writer: CborWriter) => void): string {
  const writer = new CborWriter(16);
  write(writer);
  return toHex(writer.finish());
}

function reading<Value>(hex: string, read: (reader: CborReader) => Value): Value {
  const reader = new CborReader(fromHex(hex), 'sample');
  const value = read(reader);
  reader.end();
  return value;
}

describe('CBOR writer', () => {
  // RFC 8949, appendix A.
  it.each([
    [0, '00'], [23, '17'], [24, '1818'], [255, '18ff'], [256, '190100'], [65535, '19ffff'], [65536, '1a00010000'],
    [4294967295, '1affffffff'], [4294967296, '1b0000000100000000'], [1000000000000, '1b000000e8d4a51000'],
    [Number.MAX_SAFE_INTEGER, '1b001fffffffffffff'], [18446744073709551615n, '1bffffffffffffffff'], [5n, '05'],
  ])('writes the unsigned integer %s as %s', (value, hex) => {
    expect(written(writer => writer.uint(value))).toBe(hex);
    expect(reading(hex, reader => reader.bigUint())).toBe(typeof value === 'bigint' && value < 100n ? Number(value) : value);
  });

  it.each([[-1, '20'], [-24, '37'], [-25, '3818'], [-1000, '3903e7'], [10, '0a'], [-Number.MAX_SAFE_INTEGER, '3b001ffffffffffffe']])(
    'writes the integer %s as %s', (value, hex) => {
      expect(written(writer => writer.int(value))).toBe(hex);
      expect(reading(hex, reader => reader.int())).toBe(value);
    });

  it.each([['', '60'], ['IETF', '6449455446'], ['\u00fc', '62c3bc'], ['\ud800\udd51', '64f0908591']])('writes the text "%s" as %s', (text, hex) => {
    expect(written(writer => writer.text(text))).toBe(hex);
    expect(reading(hex, reader => reader.text())).toBe(text);
  });

  it('writes byte strings, arrays, maps and booleans in their one form', () => {
    expect(written(writer => { writer.map(1); writer.uint(1); writer.array(3); writer.bytes(Uint8Array.of(7)); writer.bool(true); writer.bool(false); })).toBe('a101834107f5f4');
  });

  it('refuses fractions, negative and too large numbers, and lone surrogates', () => {
    const writer = new CborWriter();
    for (const value of [1.5, -1, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY]) expect(() => writer.uint(value)).toThrow(RangeError);
    expect(() => writer.uint(2n ** 64n)).toThrow(RangeError);
    expect(() => writer.text('a\ud800')).toThrow(RangeError);
  });

  it('can be truncated and reset', () => {
    const writer = new CborWriter();
    writer.uint(1);
    writer.bytes(new Uint8Array(5000));
    writer.truncate(1);
    expect(toHex(writer.finish())).toBe('01');
    writer.reset();
    expect(writer.length).toBe(0);
    expect(() => writer.truncate(1)).toThrow(RangeError);
  });
});

describe('CBOR reader', () => {
  it.each([
    ['1817', 'a number not in its shortest form'], ['1900ff', 'two bytes for one'], ['1a0000ffff', 'four bytes for two'],
    ['1b00000000ffffffff', 'eight bytes for four'], ['1b0020000000000000', 'a number of 2^53'], ['1c', 'a reserved head'],
    ['18', 'a head that is cut off'], ['', 'nothing'], ['20', 'a negative number where an unsigned one is expected'], ['0000', 'bytes after the end'],
  ])('refuses %s: %s (fault 51)', hex => {
    expectKind(() => reading(hex, reader => reader.uint()), 'corrupt');
  });

  it.each<[string, string, (reader: CborReader) => unknown, RegExp]>([
    ['a number above the limit of its field', '06', reader => reader.uint(5), /limit 5/],
    ['an integer below −2^53', '3b001fffffffffffff', reader => reader.int(), /below/],
    ['a byte string longer than its field', '420000', reader => reader.bytes(1), /at most 1/],
    ['a byte string that is too short', '4100', reader => reader.fixedBytes(2), /expected 2/],
    ['a list of another length', '8100', reader => reader.fixedArray(2), /expected 2/],
    ['a list longer than its field', '820000', reader => reader.array(1), /at most 1/],
    ['a map with more keys than bytes', 'a3010200', reader => reader.map(), /3 values in 3 bytes/],
    ['a string beyond the end', '4300', reader => reader.bytes(), /string of 3 bytes/],
    ['text beyond the end', '6361', reader => reader.text(), /string of 3 bytes/],
    ['an end before a value', '', reader => reader.uint(), /too early/],
    ['an end inside a head', '1900', reader => reader.uint(), /too early/],
    ['a reserved head', '1c', reader => reader.uint(), /reserved/],
    ['a number of 2^53', '1b0020000000000000', reader => reader.uint(), /2\^53/],
    ['an end where a boolean is expected', '', reader => reader.bool(), /boolean/],
  ])('refuses %s', (_, hex, read, message) => {
    expectKind(() => reading(hex, read), 'corrupt', message);
  });

  it('tells its own programmer when a list was not closed', () => {
    expect(() => reading('80', reader => reader.array())).toThrow(RangeError);
  });

  it('refuses indefinite lengths (fault 51)', () => {
    expectKind(() => reading('9f00ff', reader => reader.array()), 'corrupt');
    expectKind(() => reading('5f4100ff', reader => reader.bytes()), 'corrupt');
  });

  it('refuses lengths and counts beyond the bytes that are left, before it allocates (fault 38)', () => {
    expectKind(() => reading('5b7fffffffffffffff', reader => reader.bytes()), 'corrupt');
    expectKind(() => reading('5a7fffffff00', reader => reader.bytes()), 'corrupt');
    expectKind(() => reading('9a0010000000', reader => reader.array()), 'corrupt');
  });

  it('refuses map keys that are repeated or out of order (fault 51)', () => {
    const readMap = (reader: CborReader): void => {
      let key = -1;
      for (let left = reader.map(); left > 0; left--) {
        key = reader.key(key);
        reader.uint();
      }
      reader.close();
    };
    reading('a201000200', readMap);
    expectKind(() => reading('a201000100', readMap), 'corrupt');
    expectKind(() => reading('a202000100', readMap), 'corrupt');
  });

  it('refuses text that is not UTF-8, and keeps a byte order mark', () => {
    expectKind(() => reading('62c328', reader => reader.text()), 'corrupt');
    expect(reading('63efbbbf', reader => reader.text())).toBe('\ufeff');
  });

  it('refuses a nesting of 10,000 (fault 51)', () => {
    const deep = `${'81'.repeat(10_000)}00`;
    expectKind(() => reading(deep, reader => reader.unknown(64)), 'corrupt', /nested/);
  });

  it('accepts a nesting of 16 in an ignored field and refuses 17', () => {
    reading(`${'81'.repeat(16)}00`, reader => reader.unknown(64));
    expectKind(() => reading(`${'81'.repeat(17)}00`, reader => reader.unknown(64)), 'corrupt');
  });

  it('skips unknown keys from 64 on and calls lower ones unsupported', () => {
    reading('a2010218ff8241aa6161', reader => reader.unknown(64));
    expectKind(() => reading('01', reader => reader.unknown(63)), 'unsupported');
  });

  it.each(['f6', 'f7', 'f97e00', 'fb3ff199999999999a', 'c11a514b67b0', 'ff'])('refuses null, floats, tags and break also in ignored fields: %s', hex => {
    expectKind(() => reading(hex, reader => reader.unknown(99)), 'corrupt');
  });

  it('gives equal short texts from its memory without mixing them up', () => {
    const texts = ['root', 'toor', 'user', 'resu', 'root', 'a', 'b', ''];
    const writer = new CborWriter();
    texts.forEach(text => writer.text(text));
    const reader = new CborReader(writer.finish(), 'sample');
    expect(texts.map(() => reader.text())).toEqual(texts);
  });

  it('reads back every value that was written', () => {
    fc.assert(fc.property(
      fc.maxSafeInteger(), fc.maxSafeNat(), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.string({ unit: 'grapheme' }), fc.uint8Array({ maxLength: 300 }), fc.boolean(),
      (int, uint, big, text, bytes, bool) => {
        const writer = new CborWriter(16);
        writer.array(6);
        writer.int(int);
        writer.uint(uint);
        writer.uint(big);
        writer.text(text);
        writer.bytes(bytes);
        writer.bool(bool);
        const reader = new CborReader(writer.finish(), 'sample');
        reader.fixedArray(6);
        expect([reader.int(), reader.uint(), BigInt(reader.bigUint()), reader.text(), new Uint8Array(reader.bytes()), reader.bool()])
          .toEqual([int, uint, big, text, bytes, bool]);
        reader.close();
        reader.end();
      }));
  });

  it('survives arbitrary bytes in an ignored field', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), bytes => {
      decodeHostile(() => new CborReader(bytes, 'sample').unknown(64));
    }), { numRuns: 500 });
  });
});
