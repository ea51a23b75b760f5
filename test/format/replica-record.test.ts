import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseRepositoryId, parseSessionId } from '../../src/format/ids.ts';
import { decodeReplicaRecord, encodeReplicaRecord, type ReplicaRecord } from '../../src/format/replica-record.ts';
import { packIds } from '../../src/usecases/replicate/replica-lag.ts';
import { decodeHostile, expectKind, mutations } from './samples.ts';

const RECORD: ReplicaRecord = {
  location: 'sftp://backup@host:22/snap', targetId: parseRepositoryId('77'.repeat(16)), label: 'cellar', host: 'web', attemptedAt: 20, succeededAt: 10,
  error: { code: 'UNAVAILABLE', message: 'The server is down', at: 20 },
  selection: { host: ['web'], series: ['home'], kind: ['full', 'config'], tags: [['a', 'b']], paths: [new Uint8Array([47, 255])], latest: 3, withinMs: 9 },
  known: packIds(['bb', 'aa'].map(digits => parseSessionId(digits.repeat(16)))), snapshots: 2, bytes: 77, verified: { at: 9, packs: 1, bytes: 70, ofBytes: 77 },
};
const LEAST: ReplicaRecord = {
  location: '/mnt/usb', targetId: undefined, label: undefined, host: '', attemptedAt: 0, succeededAt: undefined, error: undefined, selection: undefined,
  known: new Uint8Array(), snapshots: 0, bytes: 0, verified: undefined,
};

describe('replica record', () => {
  it('comes back from its bytes', () => {
    for (const record of [RECORD, LEAST]) expect(decodeReplicaRecord(encodeReplicaRecord(record))).toEqual(record);
  });

  it('leaves out what is not there', () => {
    expect(Buffer.from(encodeReplicaRecord(LEAST)).toString('hex')).toBe('a601682f6d6e742f7573620460050009400a000b00');
  });

  it('refuses IDs that are not whole, twice, or not in order', () => {
    for (const known of [new Uint8Array(15), new Uint8Array(32), new Uint8Array([...new Uint8Array(16).fill(2), ...new Uint8Array(16).fill(1)])]) {
      expect(() => encodeReplicaRecord({ ...LEAST, known })).toThrow(RangeError);
    }
    const bytes = encodeReplicaRecord(RECORD);
    const at = Buffer.from(bytes).indexOf(Buffer.alloc(16, 0xaa));
    bytes.fill(0xcc, at, at + 16);
    expectKind(() => decodeReplicaRecord(bytes), 'corrupt', /not in order/);
  });

  it('takes an unknown kind of snapshot or field for one of a newer snap', () => {
    const bytes = encodeReplicaRecord({ ...LEAST, selection: { host: [], series: [], kind: ['full'], tags: [], paths: [] } });
    bytes[Buffer.from(bytes).indexOf(Buffer.from([0xa1, 3, 0x81, 1])) + 3] = 9;
    expectKind(() => decodeReplicaRecord(bytes), 'unsupported');
  });

  it('survives hostile bytes', () => {
    fc.assert(fc.property(mutations(encodeReplicaRecord(RECORD)), bytes => { decodeHostile(() => decodeReplicaRecord(bytes)); }));
  });
});
