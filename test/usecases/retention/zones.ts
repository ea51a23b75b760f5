/** Offsets of local time, for tests that must not depend on the zone of the machine. */
import type { ZoneOffset } from '../../../src/usecases/retention/calendar.ts';

export const UTC: ZoneOffset = () => 0;

/** By the name of the IANA database. */
export function zoneOf(name: string): ZoneOffset {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: name, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric',
  });
  return atMs => {
    const part = Object.fromEntries(format.formatToParts(atMs).map(({ type, value }) => [type, Number(value)]));
    return Date.UTC(part['year']!, part['month']! - 1, part['day']!, part['hour']!, part['minute']!, part['second']!) - Math.floor(atMs / 1000) * 1000;
  };
}
