// The four rules of docs/architecture.md, "The import rule": imports follow the table, no cycles, time and chance only in
// base/ambient.ts, console and process only in cli. Whole-line comments are ignored; a ban inside a trailing comment counts.
import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { expect, test } from 'vitest';

// Value, type and dynamic imports, re-exports; the word "from" inside a text is none of these.
const IMPORT = /^(?:import|export)\s[^;'"=(]*?\bfrom\s*['"]([^'"]+)['"]|^import\s*['"]([^'"]+)['"]|\bimport\s*\(\s*['"]([^'"]+)['"]/gm;
const WHOLE_LINE_COMMENT = /^\s*(?:\/\/|\/?\*).*$/gm;
const TIME = new RegExp([
  String.raw`\bDate\.now\b`, String.raw`\bnew Date\(\s*\)`, String.raw`\bperformance\.now\b`, String.raw`\bhrtime\b`,
  String.raw`\bset(?:Timeout|Interval)\b`, String.raw`\bAbortSignal\.timeout\b`, String.raw`['"]node:timers`,
].join('|'));
const CHANCE = /\bMath\.random\b|\brandom(?:Bytes|UUID|Int|Fill|FillSync)\s*\(|\bgetRandomValues\b/;
const CONSOLE_OR_PROCESS = /(?<![.\w])(?:console|process)\s*[.[]|['"]node:(?:console|process)['"]/;

const ticked = (cell: string | undefined): string[] => [...(cell ?? '').matchAll(/`([^`]+)`/g)].map(match => match[1]!);
const rules = readFileSync('docs/architecture.md', 'utf8').split('<!-- import-rule -->')[1]!.split('\n')
  .filter(line => line.startsWith('| `'))
  .map(line => line.split('|'))
  .map(([, who, , mayImport, packages, builtins]) => ({
    who: ticked(who), mayImport: ticked(mayImport), packages: ticked(packages),
    isRoot: mayImport?.trim() === 'anything', hasBuiltins: builtins?.trim() === 'yes',
  }));

const files = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .map(file => file.replaceAll('\\', '/')).filter(file => file.endsWith('.ts'));
const text = new Map(files.map(file => [file, readFileSync(`src/${file}`, 'utf8').replace(WHOLE_LINE_COMMENT, '')]));
const folderOf = (file: string): string => file.split('/')[0]!;
const ruleOf = (file: string) => rules.find(rule => rule.who.includes(file)) ?? rules.find(rule => rule.who.includes(folderOf(file)));
const importsOf = (file: string): string[] => [...(text.get(file) ?? '').matchAll(IMPORT)].map(match => match[1] ?? match[2] ?? match[3]!);
const resolve = (file: string, specifier: string): string => posix.join(posix.dirname(file), specifier);

function isAllowed(file: string, specifier: string): boolean {
  const rule = ruleOf(file);
  if (rule === undefined || rule.isRoot) return rule !== undefined;
  if (specifier.startsWith('node:')) return rule.hasBuiltins;
  if (!specifier.startsWith('.')) return rule.packages.some(name => specifier === name || specifier.startsWith(`${name}/`));
  const target = resolve(file, specifier);
  return folderOf(target) === folderOf(file) || rule.mayImport.some(entry => entry === target || entry === folderOf(target));
}

const finished = new Set<string>();
function cycleFrom(file: string, path: readonly string[] = []): string[] | undefined {
  if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
  if (finished.has(file)) return undefined;
  for (const specifier of importsOf(file).filter(each => each.startsWith('.'))) {
    const cycle = cycleFrom(resolve(file, specifier), [...path, file]);
    if (cycle !== undefined) return cycle;
  }
  finished.add(file);
  return undefined;
}

const using = (pattern: RegExp, isExempt: (file: string) => boolean): string[] =>
  files.filter(file => !isExempt(file) && pattern.test(text.get(file)!));

test('there are sources and rules to check', () => expect(Math.min(files.length, rules.length)).toBeGreaterThan(0));
test('every file has a row in the table', () => expect(files.filter(file => ruleOf(file) === undefined)).toEqual([]));
test('imports follow the table', () => expect(files.flatMap(file => importsOf(file)
  .filter(specifier => !isAllowed(file, specifier)).map(specifier => `${file} -> ${specifier}`))).toEqual([]));
test('there are no cycles', () => expect(files.map(file => cycleFrom(file)).find(cycle => cycle !== undefined)).toBeUndefined());
test.each([['time', TIME], ['chance', CHANCE]])('%s comes from base/ambient.ts only', (_name, pattern) =>
  expect(using(pattern, file => file === 'base/ambient.ts')).toEqual([]));
test('console and process are used in cli only', () =>
  expect(using(CONSOLE_OR_PROCESS, file => file.startsWith('cli/'))).toEqual([]));
