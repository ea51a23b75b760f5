import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ERROR_CATALOGUE, type SnapErrorCode } from '../../src/base/errors.ts';
import { EXIT_CODES, exitCodeOfError } from '../../src/cli/outcome.ts';
import { newCounters } from '../../src/usecases/events.ts';

/** Rows of all tables of a page, cells trimmed. */
function rows(page: string): string[][] {
  return readFileSync(page, 'utf8').split('\n').filter(line => line.startsWith('| ') && !line.startsWith('| ---'))
    .map(line => line.slice(1, -1).split('|').map(cell => cell.trim()));
}
const withTicks = (text: string): string[] => [...text.matchAll(/`([^`]+)`/g)].map(match => match[1]!);

describe('docs/errors.md', () => {
  const errors = rows('docs/errors.md').filter(row => row.length === 5 && row[0] !== 'Code');

  test('lists every error code with kind, exit code and meaning, in the order of the catalogue', () => {
    const expected = Object.entries(ERROR_CATALOGUE).map(([code, { kind, meaning }]) =>
      [`\`${code}\``, kind, String(exitCodeOfError(code as SnapErrorCode, kind)), meaning]);
    expect(errors.map(row => row.slice(0, 4))).toEqual(expected);
  });

  test('says what to do about each', () => {
    for (const row of errors) expect(row[4]!.length, row[0]).toBeGreaterThan(10);
  });

  test('lists every exit code', () => {
    const exits = rows('docs/errors.md').filter(row => row.length === 2 && row[0] !== 'Exit');
    expect(exits).toEqual(EXIT_CODES.map(([code, meaning]) => [String(code), meaning]));
  });
});

describe('docs/events.md', () => {
  const source = readFileSync('src/usecases/events.ts', 'utf8');
  const declared = [...source.matchAll(/^\s*\| \{ readonly type: '([a-z-]+)'(.*)\}/gm)]
    .map(([, type, fields]) => ({ type: type!, fields: [...fields!.matchAll(/readonly (\w+)\??:/g)].map(match => match[1]!) }));

  test('lists every event with its fields', () => {
    expect(declared.length).toBeGreaterThan(5);
    const documented = rows('docs/events.md').filter(row => row.length === 3 && withTicks(row[0]!).some(name => declared.some(event => event.type === name)))
      .map(row => ({ type: withTicks(row[0]!)[0], fields: withTicks(row[2]!) }));
    expect(documented).toEqual(declared);
  });

  test('names every counter', () => {
    const section = readFileSync('docs/events.md', 'utf8').split('## Counters')[1]!.split('##')[0]!;
    expect(withTicks(section)).toEqual(Object.keys(newCounters()));
  });

  test('lists every message type and field that the command line prints', () => {
    const page = readFileSync('docs/events.md', 'utf8').split('## JSON lines')[1]!;
    const words = new Set(withTicks(page).flatMap(text => text.split(/[^\w]+/)));
    const files = readdirSync('src/cli', { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.ts'));
    const sources = files.map(name => readFileSync(`src/cli/${name}`, 'utf8')).join('\n');
    const printed = sources.split('\n').filter(line => /message_type|^ {4,}\w+: |_\w+: /.test(line)).join('\n');
    for (const [, type] of sources.matchAll(/message_type: '(\w+)'/g)) expect(words, type).toContain(type);
    for (const [, field] of printed.matchAll(/[{,]\s*([a-z]+(?:_[a-z]+)+): /g)) expect([...words, 'message_type'], field).toContain(field);
  });
});
