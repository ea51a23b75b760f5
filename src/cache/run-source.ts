/** The records of a stored run, in order. */
import type { Bytes } from '../base/bytes.ts';
import { RECORD_BYTES } from './chunk-record.ts';
import { bucketKeys } from './lmdb-keys.ts';
import type { RecordSource } from './record-cursor.ts';
import type { Run } from './run-table.ts';

/** A missing bucket is taken for empty: the caller finds out in the end whether the run was still there. */
export function runSource(run: Run, read: (key: Uint8Array) => Bytes | undefined): RecordSource {
  const key = bucketKeys();
  let bucket = 0;
  return block => {
    while (bucket < run.buckets) {
      const records = read(key(run.number, bucket++));
      if (records === undefined) continue;
      const byteLength = records.length - (records.length % RECORD_BYTES);
      block.reserve(byteLength);
      block.bytes.set(records.subarray(0, byteLength));
      if (byteLength > 0) return byteLength;
    }
    return 0;
  };
}
