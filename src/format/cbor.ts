/**
 * The subset of CBOR that bodies use: the core deterministic encoding of RFC 8949, section 4.2.1, with integers, byte and
 * text strings, arrays, booleans, and maps whose keys are unsigned integers. No floats, no tags, no null.
 */

/** Major types, as the upper three bits of the first byte of a value. */
export const UNSIGNED = 0x00;
export const NEGATIVE = 0x20;
export const BYTES = 0x40;
export const TEXT = 0x60;
export const ARRAY = 0x80;
export const MAP = 0xa0;

/** Simple values. */
export const FALSE = 0xf4;
export const TRUE = 0xf5;

/** An unknown map key below this makes an object unsupported; from here on it is skipped. */
export const FIRST_OPTIONAL_KEY = 64;
