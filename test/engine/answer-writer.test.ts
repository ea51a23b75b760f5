import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AnswerWriter } from '../../src/engine/answer-writer.ts';
import { ITEM_CHANGED, ITEM_PARTLY_UNREADABLE, REFERENCE_CHUNK, REFERENCE_CLAIMED } from '../../src/engine/engine.ts';
import { itemsOf, referencesOf } from './ingest-harness.ts';

function writer(): AnswerWriter {
  const answer = new AnswerWriter();
  answer.begin();
  return answer;
}

const id = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);
const hex = (byte: number): string => byte.toString(16).padStart(2, '0').repeat(32);

describe('An answer', () => {
  test('gives back items and references of any number, and is reused without a trace', () => {
    const answer = new AnswerWriter();
    const reference = fc.record({ byte: fc.nat(255), length: fc.integer({ min: 1, max: 2 ** 40 }), pack: fc.nat(2 ** 31), kind: fc.constantFrom(REFERENCE_CHUNK, REFERENCE_CLAIMED) });
    fc.assert(fc.property(fc.array(fc.record({ errno: fc.constantFrom(0, 0, 2, 13), references: fc.array(reference, { maxLength: 40 }) }), { maxLength: 60 }), items => {
      answer.begin();
      for (const { errno, references } of items) {
        for (const { byte, length, pack, kind } of references) answer.chunk(id(byte), length, pack, kind);
        if (errno === 0) answer.endItem(ITEM_CHANGED);
        else answer.failItem(errno);
      }
      const result = answer.finish(1, 2);
      expect([result.from, result.to, result.damage]).toEqual([1, 2, []]);
      expect(itemsOf(result)).toEqual(items.map(({ errno, references }) => errno === 0
        ? { errno, flags: ITEM_CHANGED, referenceCount: references.length, sizeBytes: references.reduce((sum, { length }) => sum + length, 0) }
        : { errno, flags: 0, referenceCount: 0, sizeBytes: 0 }));
      items.forEach(({ errno, references }, i) => expect(referencesOf(result, i)).toEqual(
        errno === 0 ? references.map(({ byte, length, pack, kind }) => ({ what: hex(byte), length, pack, kind })) : []));
    }), { numRuns: 60 });
  });

  test('joins zeros of whole chunks and one shorter chunk at the end, within one item', () => {
    const answer = writer();
    answer.zeros(100, 100);
    answer.zeros(300, 100);
    answer.zeros(7, 7);
    answer.zeros(100, 100);
    answer.endItem(0);
    answer.zeros(100, 100);
    answer.chunk(id(1), 5, 1, REFERENCE_CHUNK);
    answer.zeros(100, 100);
    answer.endItem(0);
    const result = answer.finish(0, 0);
    const runs = (item: number): (readonly [number, number])[] => referencesOf(result, item).map(({ length, pack }) => [length, pack]);
    expect(runs(0)).toEqual([[407, 100], [100, 100]]);
    expect(runs(1)).toEqual([[100, 100], [5, 1], [100, 100]]);
  });

  test('flags damaged items and drops the damage of failed ones', () => {
    const answer = writer();
    answer.damage(5, 10, 5);
    answer.endItem(0);
    answer.damage(6, 10, 5);
    answer.failItem(5);
    answer.endItem(0);
    const result = answer.finish(0, 0);
    expect(itemsOf(result).map(({ flags }) => flags)).toEqual([ITEM_PARTLY_UNREADABLE, 0, 0]);
    expect(result.damage).toEqual([{ item: 0, offset: 5, length: 10, errno: 5 }]);
  });

  test('is in memory of its own', () => {
    const answer = writer();
    answer.chunk(id(1), 5, 1, REFERENCE_CHUNK);
    answer.endItem(0);
    const { items, references } = answer.finish(0, 0);
    for (const bytes of [items, references]) expect(bytes.byteLength).toBe(bytes.buffer.byteLength);
    answer.begin();
    answer.chunk(id(9), 5, 1, REFERENCE_CHUNK);
    expect(references[0]).toBe(1);
  });
});
