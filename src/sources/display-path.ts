/** Names and paths of any bytes as text for messages: one line, nothing that a terminal would obey. */
import type { Bytes } from '../base/bytes.ts';
import { nameText } from './glob.ts';

export function displayPath(path: Bytes): string {
  return displayText(nameText(path));
}

/** The same for text from `nameText`: control characters and bytes that are not UTF-8 become `\xNN` (C1 and format controls `\u{...}`). */
export function displayText(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, character => {
    const code = character.codePointAt(0)!;
    if (code < 0x80) return `\\x${code.toString(16).padStart(2, '0')}`;
    return code >= 0xdc80 && code <= 0xdcff ? `\\x${(code - 0xdc00).toString(16)}` : `\\u{${code.toString(16)}}`;
  });
}
