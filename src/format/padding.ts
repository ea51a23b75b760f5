/**
 * Padmé: sizes that leak O(log log L) bits about L at a cost of at most 12 %, falling with L (Nikitin et al., "Reducing
 * Metadata Leakage from Encrypted Files and Communication with PURBs", PoPETs 2019; repository design, section 13.3).
 */

/** The smallest Padmé size that is at least `length`; `length` and the result are below 2^53. Idempotent. */
export function padmeSize(length: number): number {
  if (length < 2) return length;
  const exponent = floorLog2(length);
  const kept = floorLog2(exponent) + 1;
  // Division instead of shifts: sizes may exceed 32 bits.
  const step = 2 ** Math.max(0, exponent - kept);
  return Math.ceil(length / step) * step;
}

function floorLog2(value: number): number {
  if (value < 2) return 0;
  if (value < 2 ** 32) return 31 - Math.clz32(value);
  return 63 - Math.clz32(Math.floor(value / 2 ** 32));
}
