/** A reader with its pin, R1 to R3 (repository design, section 6.2). */
import type { Configuration } from './configurations.ts';
import { without, type Reader, type Step, type Store } from './state.ts';
import { isValid, validSnapshots } from './validity.ts';

export function newReader(index: number): Reader {
  return { kind: 'reader', index, step: 'R1', snapshot: '', chunks: '' };
}

export function readerSteps(configuration: Configuration, store: Store, reader: Reader): Step<Reader>[] {
  const isLate = configuration.mutation === 'pin-after-check';
  const name = `r${reader.index}`;
  const step = (label: string, next: Store, actor: Reader): Step<Reader> => ({ label: `R${reader.index}:${label}`, store: next, actor });
  const unpinned = { ...store, pins: without(store.pins, name) };
  const pinned = (chunks: string): Store => ({ ...store, pins: { ...store.pins, [name]: chunks } });
  switch (reader.step) {
    case 'R1':
      return Object.entries(validSnapshots(configuration, store)).filter(([sid]) => sid !== 'K').map(([sid, chunks]) => {
        const actor: Reader = { ...reader, step: 'R2', snapshot: sid, chunks };
        return isLate ? step(`check(${sid})`, store, actor) : step(`pin(${sid})`, pinned(chunks), actor);
      });
    case 'R2':
      if (isLate) return [step('pin', pinned(reader.chunks), { ...reader, step: 'R3' })];
      if (isValid(configuration, store, reader.snapshot)) return [step('check', store, { ...reader, step: 'R3' })];
      return [step('check', unpinned, { ...reader, step: 'end' })];
    case 'R3': // Restoring: every chunk is needed while the reader stays here.
      return [step('finish', unpinned, { ...reader, step: 'end' })];
    case 'end':
      return [];
  }
}
