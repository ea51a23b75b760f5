import { displayWidth } from './printable.ts';

export interface Column {
  readonly title: string;
  /** Numbers stand at the right. */
  readonly align?: 'left' | 'right';
}

/** Lines of an aligned table: titles, a rule, one line a row. Cells are already printable. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const widths = columns.map((column, i) => Math.max(displayWidth(column.title), ...rows.map(row => displayWidth(row[i] ?? ''))));
  const line = (cells: readonly string[]): string => columns.map((column, i) => {
    const cell = cells[i] ?? '';
    const padding = ' '.repeat(widths[i]! - displayWidth(cell));
    return column.align === 'right' ? padding + cell : cell + padding;
  }).join('  ').trimEnd();
  return [line(columns.map(column => column.title)), widths.map(width => '-'.repeat(width)).join('  '), ...rows.map(line)];
}

/** `label:  value` lines with the values below each other. */
export function formatPairs(pairs: readonly (readonly [label: string, value: string])[]): string[] {
  const width = Math.max(0, ...pairs.map(([label]) => displayWidth(label)));
  return pairs.map(([label, value]) => `${label}:${' '.repeat(width - displayWidth(label) + 2)}${value}`);
}
