/** Names, times and texts from outside made safe to show and, in JSON, lossless. */
import { isUtf8 } from 'node:buffer';
import { StringDecoder } from 'node:string_decoder';
import type { Bytes } from '../base/bytes.ts';

/**
 * What a terminal would obey or hide: C0 and C1 controls, DEL, line separators, and the marks that reverse text
 * (Unicode TR 36, section 2.1). A name that contains them could repaint the screen or pose as another name.
 */
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/g;
const SHORT_ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\u001b': '\\e' };

function escapeUnsafe(character: string): string {
  const code = character.codePointAt(0)!;
  return SHORT_ESCAPES[character] ?? (code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`);
}

/** Text with everything unsafe made visible, on one line. */
export function printable(text: string): string {
  return text.replace(UNSAFE, escapeUnsafe);
}

/** The same, but line breaks and tabs stay: for messages of several lines. */
export function printableLines(text: string): string {
  return text.replace(UNSAFE, character => (character === '\n' || character === '\t' ? character : escapeUnsafe(character)));
}

/** A name or path for people: bytes that are not UTF-8 appear as `\xNN`. */
export function printableName(name: Bytes): string {
  return printable(isUtf8(name) ? asText(name) : escapeInvalid(name, text => text));
}

/**
 * A name or path for programs. Valid UTF-8 stands for itself. Otherwise invalid bytes appear as `\xNN`, each backslash of
 * the name is doubled, and `bytes` holds the whole name in base64.
 */
export function jsonName(name: Bytes): { readonly text: string; readonly bytes: string | undefined } {
  if (isUtf8(name)) return { text: asText(name), bytes: undefined };
  return { text: escapeInvalid(name, text => text.replaceAll('\\', '\\\\')), bytes: asBuffer(name).toString('base64') };
}

function asBuffer(bytes: Bytes): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function asText(bytes: Bytes): string {
  return asBuffer(bytes).toString('utf8');
}

/** Splits into valid stretches and single invalid bytes. */
function escapeInvalid(bytes: Bytes, escapeValid: (text: string) => string): string {
  let result = '';
  let at = 0;
  while (at < bytes.length) {
    const length = validSequenceLength(bytes, at);
    if (length === 0) {
      result += `\\x${bytes[at]!.toString(16).padStart(2, '0')}`;
      at++;
    } else {
      result += escapeValid(asText(bytes.subarray(at, at + length)));
      at += length;
    }
  }
  return result;
}

function validSequenceLength(bytes: Bytes, at: number): number {
  const first = bytes[at]!;
  const length = first < 0x80 ? 1 : first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xf0 && first < 0xf5 ? 4 : 0;
  return length > 0 && at + length <= bytes.length && isUtf8(bytes.subarray(at, at + length)) ? length : 0;
}

/** The first digits of an ID, as tables show it. */
export function shortId(id: string): string {
  return id.slice(0, 8);
}

/** Decodes a stream of UTF-8 pieces; a character may be split between them. */
export function newTextDecoder(): (piece: Bytes) => string {
  const decoder = new StringDecoder('utf8');
  return piece => decoder.write(asBuffer(piece));
}

/** RFC 3339 in UTC, from milliseconds since 1970. Times beyond the calendar of JavaScript are shown as seconds. */
export function jsonTime(ms: number): string {
  return jsonMoment([Math.floor(ms / 1000), Math.round((ms - Math.floor(ms / 1000) * 1000) * 1e6)]);
}

/** RFC 3339 in UTC with nanoseconds. */
export function jsonMoment([seconds, nanoseconds]: readonly [number, number]): string {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return `@${seconds}.${String(nanoseconds).padStart(9, '0')}`;
  const fraction = String(nanoseconds).padStart(9, '0').replace(/0+$/, '');
  return `${date.toISOString().slice(0, -5)}${fraction === '' ? '' : `.${fraction}`}Z`;
}

/** `2026-05-31 14:00:00` in local time. */
export function localTime([seconds]: readonly [number, number]): string {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return `@${seconds}`;
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${String(date.getFullYear()).padStart(4, '0')}-${two(date.getMonth() + 1)}-${two(date.getDate())} `
    + `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** Cells that a terminal uses for the text: wide East Asian characters and emoji take two, combining marks none. */
export function displayWidth(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const character of text) width += characterWidth(character);
  return width;
}

function characterWidth(character: string): number {
  if (/\p{Mark}|\u200d|\p{Variation_Selector}/u.test(character)) return 0;
  return /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u.test(character) ? 2 : 1;
}

/** The text, shortened in the middle to at most `width` cells. */
export function shortened(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  if (width < 3) return '';
  const characters = [...text];
  let head = '';
  let tail = '';
  let left = width - 1;
  for (let i = 0; i < characters.length; i++) {
    const fromHead = i % 2 === 0;
    const next = fromHead ? characters[i / 2]! : characters[characters.length - (i + 1) / 2]!;
    left -= characterWidth(next);
    if (left < 0) break;
    if (fromHead) head += next;
    else tail = next + tail;
  }
  return `${head}…${tail}`;
}
