import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compareBytes, concatBytes, utf8, type Bytes } from '../../src/base/bytes.ts';
import { CACHE_DIRECTORY_MARKER, compileExcludes, parseMarker, parsePatternFile } from '../../src/sources/exclude.ts';
import { foldCase, Glob, nameText } from '../../src/sources/glob.ts';
import { compilePatterns } from '../../src/sources/path-patterns.ts';

function excludes(patterns: string | readonly string[], path: string | Bytes, isDirectory = false, ignoreCase = false): boolean {
  const list = typeof patterns === 'string' ? [patterns] : patterns;
  const matcher = compileExcludes({ patterns: list.map(text => ({ text, ignoreCase })) });
  return matcher.excludes(typeof path === 'string' ? utf8(path) : path, isDirectory);
}

describe('patterns', () => {
  // Pattern, path, and whether it is excluded. A trailing slash of the path says that it is a directory.
  const cases: [pattern: string, path: string, isExcluded: boolean][] = [
    // Without a slash in front a pattern may start anywhere; whole components only.
    ['foo', '/foo', true], ['foo', '/a/foo', true], ['foo', '/a/foo/b', true], ['foo', '/foobar', false], ['foo', '/a/barfoo', false],
    ['a/b', '/a/b', true], ['a/b', '/x/a/b', true], ['a/b', '/x/a/b/c', true], ['a/b', '/x/a/c/b', false], ['a/b', '/xa/b', false],
    // Anchored.
    ['/foo', '/foo', true], ['/foo', '/a/foo', false], ['/a/*/c', '/a/b/c', true], ['/a/*/c', '/a/c', false], ['/a/*/c', '/a/b/b/c', false],
    // Wildcards stay inside a component.
    ['*.o', '/x/a.o', true], ['*.o', '/x/.o', true], ['*.o', '/x/a.oo', false], ['*.o', '/a.o/x', true], ['*.tar.gz', '/a.tar.gz', true],
    ['*.tar.gz', '/a.gz', false], ['a*c', '/abc', true], ['a*c', '/a/c', false], ['?', '/a', true], ['?', '/ab', false], ['a?c', '/a/c', false],
    ['?', '/ä', true], ['??', '/ä', false], ['?', '/😀', true], ['*', '/.hidden', true], ['a**c', '/abbc', true], ['a**c', '/a/c', false],
    // ** stands for any number of components.
    ['/a/**/z', '/a/z', true], ['/a/**/z', '/a/b/z', true], ['/a/**/z', '/a/b/c/z', true], ['/a/**/z', '/b/z', false], ['/a/**/z', '/a/zz', false],
    ['**/z', '/z', true], ['**/z', '/a/b/z', true], ['/**/z', '/a/z', true], ['a/**/**/b', '/a/b', true], ['/a/**/b/**/c', '/a/x/b/y/z/c', true],
    ['/a/**/b/**/c', '/a/c/b', false],
    // At the end it means the content.
    ['/a/**', '/a/', false], ['/a/**', '/a/b', true], ['/a/**', '/a/b/c', true], ['a/**', '/x/a', false], ['**', '/a', true], ['/**', '/a', true],
    // A slash at the end: directories only.
    ['foo/', '/foo/', true], ['foo/', '/foo', false], ['foo/', '/foo/bar', true], ['/a/*/', '/a/b/', true], ['/a/*/', '/a/b', false],
    ['a/b/', '/x/a/b/', true], ['a/b/', '/x/a/b', false],
    // Classes.
    ['[a-c]', '/b', true], ['[a-c]', '/d', false], ['[!a-c]', '/d', true], ['[^a-c]', '/b', false], ['[]a]', '/]', true], ['[!]a]', '/]', false],
    ['[a-]', '/-', true], ['[-a]', '/-', true], ['[\\]x]', '/]', true], ['[a\\-c]', '/b', false], ['[ä-ü]', '/ö', true], ['[*]', '/*', true], ['[*]', '/a', false],
    ['x[0-9][0-9]', '/x42', true], ['[!-]', '/-', false], ['[a-c-e]', '/-', true],
    // Escapes.
    ['\\*', '/*', true], ['\\*', '/a', false], ['a\\b', '/ab', true], ['\\\\', '/\\', true], ['\\[a]', '/[a]', true], ['\\!a', '/!a', true], ['\\?', '/?', true],
    // Superfluous slashes and dots.
    ['./foo', '/a/foo', true], ['//a///b', '/a/b', true], ['/a/./b', '/a/b', true], ['...', '/...', true], ['..a', '/..a', true],
    // Case counts.
    ['Foo', '/foo', false], ['*.JPG', '/a.jpg', false],
  ];
  test.each(cases)('%j on %j: %j', (pattern, path, isExcluded) => {
    expect(excludes(pattern, path, path.endsWith('/'))).toBe(isExcluded);
  });

  test.each([
    ['foo', '/FOO', true], ['FOO', '/foo', true], ['*.JPG', '/a.jpg', true], ['*.jpg', '/A.JPG', true], ['[a-c]', '/B', true], ['[A-C]', '/b', true],
    ['[!a]', '/A', false], ['ÄRGER', '/ärger', true], ['σ', '/Σ', true], ['ς', '/Σ', true], ['straße', '/STRASSE', false], ['a/B/c', '/A/b/C', true], ['foo', '/fo', false],
    ['?x', '/ÄX', true], ['А', '/а', true],
  ] as const)('without regard to case, %j on %j: %j', (pattern, path, isExcluded) => {
    expect(excludes(pattern, path, false, true)).toBe(isExcluded);
  });

  test('later patterns win, but not below an excluded directory', () => {
    expect(excludes(['*.o', '!keep.o'], '/a/keep.o')).toBe(false);
    expect(excludes(['!keep.o', '*.o'], '/a/keep.o')).toBe(true);
    expect(excludes(['*.o', '!keep.o', 'keep.*'], '/a/keep.o')).toBe(true);
    expect(excludes(['/a', '!/a/keep'], '/a/keep')).toBe(true);
    expect(excludes(['/a/**', '!/a/keep'], '/a/keep')).toBe(false);
    expect(excludes(['/a/**', '!/a/keep'], '/a/keep/below')).toBe(true);
    expect(excludes(['/a/*', '!/a/keep'], '/a/keep/below')).toBe(false);
    expect(excludes(['/a/*', '!/a/keep'], '/a/other/below')).toBe(true);
    expect(excludes(['*', '!*/'], '/a/b/', true)).toBe(false);
    expect(excludes(['*', '!*/'], '/a/b/file')).toBe(true);
    expect(excludes(['x', 'X'], '/x', false, true)).toBe(true);
  });

  test('each byte that is not UTF-8 is a character of its own', () => {
    const name = (...bytes: number[]): Bytes => concatBytes([utf8('/'), Uint8Array.from(bytes)]);
    expect(excludes('?', name(0xff))).toBe(true);
    expect(excludes('??', name(0xff, 0xfe))).toBe(true);
    expect(excludes('?', name(0xe2, 0x82)), 'a sequence that is cut off').toBe(false);
    expect(excludes('*', name(0x80))).toBe(true);
    const pattern = compilePatterns([{ text: Uint8Array.of(0x2a, 0xff) }]);
    expect(pattern.selects(name(0x61, 0xff), false)).toBe(true);
    expect(pattern.selects(name(0x61, 0xfe), false)).toBe(false);
    // The emoji's second half is the text of the byte 0x80: it must not be found inside it.
    expect(compilePatterns([{ text: Uint8Array.of(0x2a, 0x80) }]).selects(utf8('/\u{1f480}'), false)).toBe(false);
  });

  test.each([
    ['', 'names nothing'], ['/', 'names nothing'], ['.', 'names nothing'], ['!', 'names nothing'], ['!/', 'names nothing'], ['[a', "'[' without its ']'"],
    ['x/[', "'[' without its ']'"], ['[]', "'[' without its ']'"], ['[!]', "'[' without its ']'"], ['[z-a]', 'backwards'], ['a\\', 'backslash'],
    ['a\\/b', 'backslash'], ['../a', "contains '..'"], ['a/../b', "contains '..'"], ['a\0b', 'NUL'], ['[a/b]', "'[' without its ']'"],
  ])('%j is refused as wrong usage', (pattern, reason) => {
    expect(() => compilePatterns([{ text: pattern }])).toThrow(expect.objectContaining({ code: 'USAGE', message: expect.stringContaining(reason), hint: expect.any(String) }));
  });

  test('a message about a pattern obeys no terminal', () => {
    expect(() => compilePatterns([{ text: '\x1b[31m\n[' }])).toThrow("The pattern '\\x1b[31m\\x0a[' has a '['");
  });

  test('matching cannot be made slow', () => {
    const started = performance.now();
    expect(excludes(`${'*a'.repeat(60)}*b`, `/${'a'.repeat(255)}`)).toBe(false);
    expect(excludes(`/${'**/a/'.repeat(40)}b`, '/a'.repeat(300))).toBe(false);
    expect(performance.now() - started).toBeLessThan(2000);
  });
});

describe('selecting', () => {
  const selection = compilePatterns(['/home/*/docs', '!*.tmp', '*.jpg', '/home/ann/docs/keep.tmp'].map(text => ({ text })));
  const selects = (path: string, isDirectory = false): boolean => selection.selects(utf8(path), isDirectory);

  test('takes what matches and everything below it, and the nearest verdict counts', () => {
    expect(selects('/home/ann/docs', true)).toBe(true);
    expect(selects('/home/ann/docs/a/b')).toBe(true);
    expect(selects('/home/ann/docs/a/b.tmp')).toBe(false);
    expect(selects('/home/ann/docs/keep.tmp')).toBe(true);
    expect(selects('/home/ann', true)).toBe(false);
    expect(selects('/x/picture.jpg')).toBe(true);
    expect(selects('/x')).toBe(false);
  });

  test('says where the walk has to go', () => {
    const anchored = compilePatterns([{ text: '/home/*/docs' }]);
    const below = (path: string): boolean => anchored.maySelectBelow(utf8(path));
    expect([below('/'), below('/home'), below('/home/ann'), below('/home/ann/docs'), below('/home/ann/docs/deep')]).toEqual([true, true, true, true, true]);
    expect([below('/etc'), below('/home/ann/music')]).toEqual([false, false]);
    expect(selection.maySelectBelow(utf8('/anywhere')), 'a pattern that may start anywhere').toBe(true);
    expect(compilePatterns([]).maySelectBelow(utf8('/'))).toBe(false);
  });

  test('a cursor inside a directory gives the verdicts of whole paths', () => {
    const cursor = selection.cursorAt(utf8('/home/ann'));
    expect(cursor.verdict('docs', true)).toBe('matched');
    expect(cursor.enter('docs').verdict('x.tmp', false)).toBe('taken-back');
    expect(cursor.verdict('music', true)).toBe('none');
  });
});

describe('names as text', () => {
  test('different names have different texts', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 8 }), fc.uint8Array({ maxLength: 8 }), (a, b) => {
      expect(nameText(a) === nameText(b)).toBe(compareBytes(a, b) === 0);
    }), { numRuns: 500 });
  });

  test('UTF-8 is kept as it is, and text and bytes correspond', () => {
    fc.assert(fc.property(fc.array(fc.oneof(fc.string({ unit: 'binary' }).map(utf8), fc.uint8Array({ maxLength: 3 }))), parts => {
      const bytes = concatBytes(parts);
      const back = concatBytes(Array.from(nameText(bytes), character => {
        const code = character.codePointAt(0)!;
        return code >= 0xdc80 && code <= 0xdcff ? Uint8Array.of(code - 0xdc00) : utf8(character);
      }));
      expect(compareBytes(back, bytes)).toBe(0);
    }), { numRuns: 200 });
  });

  test('folding makes texts equal that differ in case only', () => {
    for (const [a, b] of [['ABC', 'abc'], ['Ä', 'ä'], ['Σς', 'σσ'], ['ſ', 's'], ['\u212a', 'k']] as const) expect(foldCase(a)).toBe(foldCase(b));
    expect(foldCase('ß')).not.toBe(foldCase('ss'));
  });
});

/** A glob as the naive oracle sees it: what each piece may be. */
type Piece = { kind: 'star' } | { kind: 'any' } | { kind: 'one'; text: string } | { kind: 'class'; negated: boolean; low: string; high: string };
type Part = 'globstar' | readonly Piece[];
interface Rule { negated: boolean; anchored: boolean; directories: boolean; ignoreCase: boolean; parts: readonly Part[] }

const LETTERS = ['a', 'b', 'B', '.', 'ä'];

function pieceText(piece: Piece): string {
  if (piece.kind === 'star') return '*';
  if (piece.kind === 'any') return '?';
  if (piece.kind === 'one') return piece.text;
  return `[${piece.negated ? '!' : ''}${piece.low}-${piece.high}]`;
}

function ruleText({ negated, anchored, directories, parts }: Rule): string {
  const body = parts.map(part => (part === 'globstar' ? '**' : part.map(pieceText).join(''))).join('/');
  return `${negated ? '!' : ''}${anchored ? '/' : ''}${body}${directories ? '/' : ''}`;
}

function naivePiece(piece: Piece, character: string, ignoreCase: boolean): boolean {
  const variants = ignoreCase ? [character, character.toLowerCase(), character.toUpperCase()] : [character];
  if (piece.kind === 'one') return variants.some(variant => variant === piece.text);
  if (piece.kind === 'class') return variants.some(variant => variant >= piece.low && variant <= piece.high) !== piece.negated;
  return true;
}

function naiveGlob(pieces: readonly Piece[], name: readonly string[], ignoreCase: boolean): boolean {
  const [piece, ...rest] = pieces;
  if (piece === undefined) return name.length === 0;
  if (piece.kind === 'star') return naiveGlob(rest, name, ignoreCase) || (name.length > 0 && naiveGlob(pieces, name.slice(1), ignoreCase));
  return name.length > 0 && naivePiece(piece, name[0]!, ignoreCase) && naiveGlob(rest, name.slice(1), ignoreCase);
}

function naiveParts(parts: readonly Part[], names: readonly string[], ignoreCase: boolean): boolean {
  const [part, ...rest] = parts;
  if (part === undefined) return names.length === 0;
  if (part !== 'globstar') return names.length > 0 && naiveGlob(part, [...names[0]!], ignoreCase) && naiveParts(rest, names.slice(1), ignoreCase);
  if (rest[0] === 'globstar') return naiveParts(rest, names, ignoreCase);
  // At the end at least one component, elsewhere any number.
  const least = rest.length === 0 ? 1 : 0;
  return Array.from({ length: names.length + 1 }, (_, i) => i).some(i => i >= least && naiveParts(rest, names.slice(i), ignoreCase));
}

function naiveVerdict(rules: readonly Rule[], names: readonly string[], isDirectory: boolean): boolean | undefined {
  const matching = rules.filter(rule => (isDirectory || !rule.directories)
    && naiveParts(rule.anchored ? rule.parts : ['globstar', ...rule.parts], names, rule.ignoreCase));
  return matching.length === 0 ? undefined : !matching.at(-1)!.negated;
}

function naiveExcludes(rules: readonly Rule[], names: readonly string[], isDirectory: boolean): boolean {
  return names.some((_, i) => naiveVerdict(rules, names.slice(0, i + 1), isDirectory || i < names.length - 1) === true);
}

function naiveSelects(rules: readonly Rule[], names: readonly string[], isDirectory: boolean): boolean {
  const verdicts = names.map((_, i) => naiveVerdict(rules, names.slice(0, i + 1), isDirectory || i < names.length - 1));
  return verdicts.filter(verdict => verdict !== undefined).at(-1) ?? false;
}

const isDots = (text: string): boolean => text === '.' || text === '..';
const letter = fc.constantFrom(...LETTERS);
const anyPiece: fc.Arbitrary<Piece> = fc.oneof(
  { weight: 5, arbitrary: letter.map((text): Piece => ({ kind: 'one', text })) },
  { weight: 2, arbitrary: fc.constantFrom<Piece>({ kind: 'star' }, { kind: 'any' }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('class' as const), negated: fc.boolean(), low: fc.constantFrom('a', 'B'), high: fc.constantFrom('b', 'ä') }) },
);
const anyGlob = fc.array(anyPiece, { minLength: 1, maxLength: 4 })
  .filter(pieces => !isDots(pieces.map(pieceText).join('')) && pieces.map(pieceText).join('') !== '**');
const anyRule: fc.Arbitrary<Rule> = fc.record({
  negated: fc.boolean(), anchored: fc.boolean(), directories: fc.boolean(), ignoreCase: fc.boolean(),
  parts: fc.array(fc.oneof({ weight: 4, arbitrary: anyGlob as fc.Arbitrary<Part> }, { weight: 1, arbitrary: fc.constant<Part>('globstar') }), { minLength: 1, maxLength: 4 }),
});
const anyName = fc.array(letter, { minLength: 1, maxLength: 3 }).map(letters => letters.join('')).filter(name => !isDots(name));
const anyPath = fc.array(anyName, { minLength: 1, maxLength: 5 });

describe('against a naive oracle', () => {
  test('excludes and selects the same paths', () => {
    let excluded = 0;
    fc.assert(fc.property(fc.array(anyRule, { maxLength: 6 }), fc.array(anyPath, { minLength: 1, maxLength: 6 }), fc.boolean(), (rules, paths, isDirectory) => {
      const patterns = rules.map(rule => ({ text: ruleText(rule), ignoreCase: rule.ignoreCase }));
      const matcher = compileExcludes({ patterns });
      for (const names of paths) {
        const path = utf8(`/${names.join('/')}`);
        const expected = naiveExcludes(rules, names, isDirectory);
        excluded += expected ? 1 : 0;
        expect(matcher.excludes(path, isDirectory), `${JSON.stringify(patterns)} excludes ${names.join('/')}`).toBe(expected);
        const isSelected = naiveSelects(rules, names, isDirectory);
        expect(matcher.patterns.selects(path, isDirectory), `${JSON.stringify(patterns)} selects ${names.join('/')}`).toBe(isSelected);
        if (isSelected) {
          const above = utf8(`/${names.slice(0, -1).join('/')}`);
          expect(matcher.patterns.maySelectBelow(above), 'the walk would get there').toBe(true);
        }
      }
    }), { numRuns: 1500 });
    expect(excluded, 'the property has seen enough of what it is about').toBeGreaterThan(300);
  });

  test('a single glob matches the same names', () => {
    fc.assert(fc.property(anyGlob, anyName, fc.boolean(), (pieces, name, ignoreCase) => {
      const text = pieces.map(pieceText).join('');
      expect(new Glob(text, ignoreCase).matches(name, foldCase(name)), `${text} on ${name}`).toBe(naiveGlob(pieces, [...name], ignoreCase));
    }), { numRuns: 1500 });
  });
});

describe('files of patterns', () => {
  const environment = new Map([['HOME', '/home/ann'], ['EMPTY', ''], ['A_1', 'x']]);
  const parse = (content: string | Bytes): unknown[] => parsePatternFile({ path: 'rules', content: typeof content === 'string' ? utf8(content) : content }, environment)
    .map(pattern => pattern.text);

  test('have one pattern a line, with comments, empty lines and blanks around', () => {
    expect(parse('*.o\n\n# comment\n  # also\n  foo \t\r\n\\#name\nlast\\ \nend')).toEqual(['*.o', 'foo', '\\#name', 'last\\ ', 'end']);
    expect(parse('')).toEqual([]);
    expect(parse('\ufefffirst')).toEqual(['first']);
  });

  test('expand variables; the dollar sign is written twice', () => {
    expect(parse('$HOME/cache\n${HOME}2\n$A_1-$$HOME\n\\$HOME\na$\n$1\n!$HOME/x$EMPTY')).toEqual(
      ['/home/ann/cache', '/home/ann2', 'x-$HOME', '\\$HOME', 'a$', '$1', '!/home/ann/x']);
  });

  test.each(['$UNKNOWN/x', '${UNKNOWN}', '${HOME', '${}', '${A-B}'])('%j is refused, with its line', line => {
    expect(() => parse(`ok\n${line}`)).toThrow(expect.objectContaining({ code: 'USAGE', message: expect.stringContaining("line 2 of 'rules'") }));
  });

  test('keep names that are not UTF-8', () => {
    const patterns = parsePatternFile({ path: 'rules', content: Uint8Array.of(0x61, 0xff, 0x0a, 0x62) }, environment, true);
    expect(patterns).toEqual([{ text: 'a\udcff', ignoreCase: true }, { text: 'b', ignoreCase: true }]);
    expect(compilePatterns(patterns).selects(Uint8Array.of(0x2f, 0x41, 0xff), false)).toBe(true);
  });

  test('command-line patterns are not expanded', () => {
    expect(excludes('$HOME', '/$HOME')).toBe(true);
    expect(excludes('#name', '/#name')).toBe(true);
  });
});

describe('markers', () => {
  test('are a name and a header', () => {
    expect(parseMarker('.nobackup')).toEqual({ name: utf8('.nobackup'), header: new Uint8Array(0) });
    expect(parseMarker('TAG:head:er')).toEqual({ name: utf8('TAG'), header: utf8('head:er') });
    expect(CACHE_DIRECTORY_MARKER.header.length).toBe(43);
  });

  test.each(['', ':x', 'a/b', '..', '.'])('%j is refused as wrong usage', text => {
    expect(() => parseMarker(text)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });

  test('a header that is no header but a file is refused as wrong usage', () => {
    expect(() => parseMarker(`a:${'x'.repeat(5000)}`)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });
});
