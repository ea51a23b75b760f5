/** Body of `config`: identity and fixed parameters of a repository, signed, written once and never changed. */
import type { Bytes } from '../base/bytes.ts';
import type { AeadSuite } from '../kernel/kernel.ts';
import { bodyCodec, type BodyCodec, fixedBytes, id, mapOf, optional, required, uint, type ValueCodec } from './body-codec.ts';
import { chunkerParameters, type ChunkerParameters } from './chunking.ts';
import { unsupported } from './decode-error.ts';
import { ID_BYTES, type RepositoryId } from './ids.ts';
import { KEY_ID_BYTES } from './sealed-object.ts';

/** 1: BLAKE3 keyed, 256 bit. */
export const CHUNK_ID_ALGORITHM = 1;
/** 1: Padmé. */
export const PADDING_RULE = 1;

/** How commits and revocations exclude each other: by create-only writes, or by the fallback of section 10.1. */
export type StoreMode = 'create-only' | 'fallback';

export interface Config {
  readonly repositoryId: RepositoryId;
  /** Seconds since 1970. */
  readonly createdSeconds: number;
  readonly chunkIdAlgorithm: 1;
  /** Suite of new packs and index segments. */
  readonly defaultSuite: AeadSuite;
  readonly chunker: ChunkerParameters;
  readonly paddingRule: 1;
  /** Key ID of the first admin key: 8 bytes. */
  readonly adminKeyId: Bytes;
  readonly storeMode: StoreMode;
  /** Bound of staleness Δ of the store; 0 for a strongly consistent one. */
  readonly stalenessMs: number;
  /** 16 random bytes of a replica that has ID and keys of its source; see `SignedIdentity`. */
  readonly copyId?: Bytes | undefined;
}

/** A number that must be one of a few; others belong to a newer format. */
function known<Value extends number>(values: readonly Value[], what: string): ValueCodec<Value> {
  return {
    write(writer, value) {
      if (!values.includes(value)) throw new RangeError(`Not a known ${what}: ${value}`);
      writer.uint(value);
    },
    read(reader) {
      const number = reader.uint();
      const value = values.find(candidate => candidate === number);
      if (value === undefined) throw unsupported('config', `${what} ${number}`, { number });
      return value;
    },
  };
}

const storeModeNumber = known([1, 2], 'store mode');
const storeMode: ValueCodec<StoreMode> = {
  write: (writer, value) => storeModeNumber.write(writer, value === 'create-only' ? 1 : 2),
  read: reader => storeModeNumber.read(reader) === 1 ? 'create-only' : 'fallback',
};

const body: BodyCodec<Config> = bodyCodec('config', mapOf<Config>({
  repositoryId: required(1, id<RepositoryId>()),
  createdSeconds: required(2, uint()),
  chunkIdAlgorithm: required(3, known([CHUNK_ID_ALGORITHM], 'chunk ID algorithm')),
  defaultSuite: required(4, known<AeadSuite>([1, 2], 'default suite')),
  chunker: required(5, chunkerParameters),
  paddingRule: required(6, known([PADDING_RULE], 'padding rule')),
  adminKeyId: required(7, fixedBytes(KEY_ID_BYTES)),
  storeMode: required(8, storeMode),
  stalenessMs: required(9, uint()),
  copyId: optional(10, fixedBytes(ID_BYTES)),
}));

/** @throws RangeError for values that the decoder would refuse */
export const encodeConfig: (config: Config) => Uint8Array<ArrayBuffer> = body.encode;
/** @throws OBJECT_CORRUPT, UNSUPPORTED_FORMAT. The caller checks `repositoryId` against the header. */
export const decodeConfig: (bytes: Bytes) => Config = body.decode;
