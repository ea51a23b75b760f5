import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { displayWidth, jsonMoment, jsonName, jsonTime, printable, printableName, shortened } from '../../src/cli/printable.ts';
import { formatPairs, formatTable } from '../../src/cli/text-table.ts';

const bytes = (...parts: (string | number)[]): Uint8Array => Buffer.concat(parts.map(part => typeof part === 'string' ? Buffer.from(part) : Buffer.of(part)));

/** The documented rule for reading an escaped name back. */
function unescaped(text: string): Buffer {
  return Buffer.concat([...text.matchAll(/\\\\|\\x([0-9a-f]{2})|[^\\]+/g)].map(([whole, hex]) =>
    whole === '\\\\' ? Buffer.from('\\') : hex === undefined ? Buffer.from(whole) : Buffer.of(Number.parseInt(hex, 16))));
}

describe('names for people', () => {
  test('terminal escape sequences in names become visible', () => {
    expect(printableName(bytes('evil\u001b[2J\u0007\n\u202ename'))).toBe('evil\\e[2J\\x07\\n\\u{202e}name');
    expect(printableName(bytes('c1 \u009b31m'))).toBe('c1 \\x9b31m');
  });

  test('bytes that are not UTF-8 appear as \\xNN, the rest as it is', () => {
    expect(printableName(bytes('grün ', 0xff, 0xc3, ' x'))).toBe('grün \\xff\\xc3 x');
  });

  test('no printable name contains a control character', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), name => {
      expect(printableName(name)).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
    }));
  });

  test('ordinary text stays as it is', () => {
    expect(printable('Zürich 東京 🎉 a\\b')).toBe('Zürich 東京 🎉 a\\b');
  });
});

describe('names for programs', () => {
  test('a UTF-8 name stands for itself, backslashes and controls included', () => {
    expect(jsonName(bytes('a\\x41\n'))).toEqual({ text: 'a\\x41\n', bytes: undefined });
  });

  test('a name that is not UTF-8 is escaped with doubled backslashes and given in base64', () => {
    expect(jsonName(bytes('a\\', 0xfe))).toEqual({ text: 'a\\\\\\xfe', bytes: Buffer.from([0x61, 0x5c, 0xfe]).toString('base64') });
  });

  test('every name can be read back from either form', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 30 }), name => {
      const { text, bytes: base64 } = jsonName(name);
      expect(base64 === undefined ? Buffer.from(text) : Buffer.from(base64, 'base64')).toEqual(Buffer.from(name));
      if (base64 !== undefined) expect(unescaped(text)).toEqual(Buffer.from(name));
    }));
  });
});

describe('times', () => {
  test('are RFC 3339 with zone and lose no nanosecond', () => {
    expect(jsonMoment([0, 1])).toBe('1970-01-01T00:00:00.000000001Z');
    expect(jsonMoment([-1, 500_000_000])).toBe('1969-12-31T23:59:59.5Z');
    expect(jsonTime(Date.UTC(2026, 4, 31, 12))).toBe('2026-05-31T12:00:00Z');
  });

  test('beyond the calendar show their seconds', () => {
    expect(jsonMoment([1e15, 0])).toBe('@1000000000000000.000000000');
  });
});

describe('width', () => {
  test('wide characters take two cells, combining marks none', () => {
    expect(displayWidth('東京')).toBe(4);
    expect(displayWidth('e\u0301')).toBe(1);
    expect(displayWidth('🎉')).toBe(2);
  });

  test('a shortened text keeps both ends and fits', () => {
    expect(shortened('/home/me/very/long/path/file.txt', 13)).toBe('/home/…le.txt');
    fc.assert(fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), fc.nat(40), (text, width) => {
      expect(displayWidth(shortened(text, width))).toBeLessThanOrEqual(width);
    }));
  });

  test('table columns line up', () => {
    expect(formatTable([{ title: 'ID' }, { title: 'Size', align: 'right' }], [['東', '1'], ['abc', '1234']])).toEqual([
      'ID   Size', '---  ----', '東      1', 'abc  1234',
    ]);
    expect(formatPairs([['A', '1'], ['Long', '2']])).toEqual(['A:     1', 'Long:  2']);
  });
});
