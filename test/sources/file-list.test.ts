import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { concatBytes, utf8, type Bytes } from '../../src/base/bytes.ts';
import { parseFileList, type FileListFormat } from '../../src/sources/file-list.ts';

const parse = (content: string | Bytes, format: FileListFormat): string[] =>
  parseFileList(typeof content === 'string' ? utf8(content) : content, format).map(path => Buffer.from(path).toString('latin1'));

describe('a list of files', () => {
  test('has one path a line, with comments, empty lines and blanks around', () => {
    expect(parse('/a\n\n# comment\n  \t# also\n  /b c \t\r\n#\n/#d\n/last', 'lines')).toEqual(['/a', '/b c', '/#d', '/last']);
    expect(parse('', 'lines')).toEqual([]);
  });

  test('is taken as it is when verbatim', () => {
    expect(parse('/a \n\n# name\n /b\r\n', 'verbatim')).toEqual(['/a ', '# name', ' /b\r']);
  });

  test('ends each path with NUL when raw', () => {
    expect(parse('/a\n\0# \0', 'raw')).toEqual(['/a\n', '# ']);
    expect(parse('', 'raw')).toEqual([]);
  });

  test('raw gives back any paths', () => {
    const path = fc.uint8Array({ min: 1, minLength: 1, maxLength: 10 });
    fc.assert(fc.property(fc.array(path), paths => {
      expect(parseFileList(concatBytes(paths.flatMap(each => [each, Uint8Array.of(0)])), 'raw')).toEqual(paths);
    }));
  });

  test.each([['a\0b', 'lines'], ['a\0b', 'verbatim'], ['a\0b', 'raw'], ['a\0\0', 'raw'], ['\0', 'raw']] as const)('%j as %s is refused as wrong usage', (content, format) => {
    expect(() => parse(content, format)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });
});
