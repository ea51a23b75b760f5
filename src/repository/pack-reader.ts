/** Reads frames of packs: finds the keys of a pack in its header, keeps opened frames of small chunks for the next look. */
import { SnapError } from '../base/errors.ts';
import { equalBytes, type Bytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import { MiB } from '../base/units.ts';
import type { ChunkLocation, PackNumber, PackRecord } from '../cache/cache.ts';
import { corrupt } from '../format/decode-error.ts';
import { encodeFramePrefix, FrameCipher, frameRecordAt, openFrame, type FrameRecord } from '../format/frame.ts';
import { decodeHeader, HEADER_BYTES } from '../format/header.ts';
import { toHex } from '../base/bytes.ts';
import { packObjectType, type PackIdentity } from '../format/key-derivation.ts';
import { packName } from '../format/object-names.ts';
import { TRAILER_BYTES } from '../format/pack-table.ts';
import type { AeadSuite, Hasher } from '../kernel/kernel.ts';
import type { OpenRepository } from './opened-repository.ts';
import { isDamage } from './damage.ts';
import { eitherEnd } from './pack-tables.ts';

/** Plaintext of opened frames that is kept. */
const FRAME_CACHE_BYTES = 24 * MiB;
/** Frames between wanted ones are read with them when the gap is at most this; one read is at most so long, unless one frame is longer. */
const MAX_GAP_BYTES = MiB / 2;
const MAX_READ_BYTES = 4 * MiB;
const CIPHER_CACHE = 4096;

export class PackReader {
  readonly #repository: OpenRepository;
  readonly #ciphers = { front: new Map<PackNumber, FrameCipher>(), back: new Map<PackNumber, FrameCipher>() };
  readonly #frames = new Map<string, Bytes>();
  #frameBytes = 0;
  #dataHasher: Hasher | undefined;

  constructor(repository: OpenRepository) {
    this.#repository = repository;
  }

  /** The bytes of one chunk, checked against its ID. @throws CHUNK_CORRUPT, FRAME_CORRUPT, OBJECT_NOT_FOUND, INVALID_RANGE */
  async chunk(id: Bytes, location: ChunkLocation, options: CallOptions = {}): Promise<Bytes> {
    const { keys, kernel } = this.#repository;
    const record = this.#recordOf(location.pack);
    const plaintext = await this.#frame(record, location.frame, options);
    const bytes = plaintext.subarray(location.offset, location.offset + location.length);
    this.#dataHasher ??= kernel.createHasher(keys.content.idKeyData);
    const hasher = record.type === 'tree' ? keys.treeHasher : this.#dataHasher;
    if (bytes.length !== location.length || !equalBytes(hasher.hash(bytes), id)) {
      throw new SnapError('CHUNK_CORRUPT', `Chunk ${toHex(id)} in pack '${packName(record.type, record.id)}' does not match its ID`, {
        hint: 'Run `snap verify --read-data` to see what else is hit', context: { chunk: toHex(id), pack: record.id, frame: location.frame },
      });
    }
    return bytes;
  }

  /**
   * Plaintexts of several frames of one pack, each once, neighbours read together. Chunks in them are not checked yet. A frame that
   * cannot be read comes with its error, which is damage or OBJECT_NOT_FOUND; every other error is thrown.
   */
  async frames(pack: PackNumber, numbers: readonly number[], deliver: (frame: number, content: Bytes | SnapError) => void, options: CallOptions = {}): Promise<void> {
    const record = this.#recordOf(pack);
    const wanted: NumberedFrame[] = [];
    for (const number of numbers) {
      const kept = this.#kept(`${pack}/${number}`);
      if (kept === undefined) wanted.push({ ...frameRecordAt(record.frames, number), number });
      else deliver(number, kept);
    }
    for (const run of runsOf(wanted)) {
      const start = run[0]!.offset;
      const end = run.at(-1)!.offset + run.at(-1)!.storedLength;
      const name = packName(record.type, record.id);
      let stored: Promise<Bytes> | undefined;
      const read = (): Promise<Bytes> => stored ??= this.#repository.backend.read(name, { offset: start, length: end - start }, options);
      for (const frame of run) {
        const at = frame.offset - start;
        try {
          const content = await this.#openStored(record, frame.number, frame, async () => (await read()).subarray(at, at + frame.storedLength), options);
          this.#keep(`${pack}/${frame.number}`, content);
          deliver(frame.number, content);
        } catch (error) {
          if (!isDamage(error)) throw error;
          deliver(frame.number, error);
        }
      }
    }
  }

  #recordOf(number: PackNumber): PackRecord {
    const record = this.#repository.cache.chunks.pack(number);
    if (record === undefined) throw new SnapError('INTERNAL', `The cache has no record of pack ${number}`);
    return record;
  }

  async #frame(record: PackRecord, number: number, options: CallOptions): Promise<Bytes> {
    const key = `${record.number}/${number}`;
    const kept = this.#kept(key);
    if (kept !== undefined) return kept;
    const frame = frameRecordAt(record.frames, number);
    const range = { offset: frame.offset, length: frame.storedLength };
    const plaintext = await this.#openStored(record, number, frame, () => this.#repository.backend.read(packName(record.type, record.id), range, options), options);
    this.#keep(key, plaintext);
    return plaintext;
  }

  #kept(key: string): Bytes | undefined {
    const kept = this.#frames.get(key);
    if (kept === undefined) return undefined;
    this.#frames.delete(key); // moves it to the young end
    this.#frames.set(key, kept);
    return kept;
  }

  async #openStored(record: PackRecord, number: number, frame: FrameRecord, read: () => Promise<Bytes>, options: CallOptions): Promise<Bytes> {
    const { kernel } = this.#repository;
    const name = packName(record.type, record.id);
    try {
      const stored = await read();
      const { rawLength, codec, flags } = frame;
      // Copied at once: what the decompressor gives is overwritten by the next frame, which may be opened before this one is awaited.
      const openBy = async (end: 'front' | 'back'): Promise<Bytes> =>
        openFrame(kernel, await this.#cipher(record, end, options), { number, rawLength, codec, flags }, stored).slice();
      return await eitherEnd(() => openBy('front'), () => openBy('back'));
    } catch (error) {
      if (!(error instanceof SnapError) || (error.kind !== 'corrupt' && error.kind !== 'not-found')) throw error;
      throw new SnapError(error.code, `Cannot read frame ${number} of pack '${name}': ${error.message}`, {
        hint: 'Run `snap verify --read-data` to see what is hit', cause: error, context: { ...error.context, pack: record.id, frame: number },
      });
    }
  }

  /** Salt and suite in the header decide the key; the trailer begins with a copy of it. @throws OBJECT_NOT_FOUND, PACK_CORRUPT */
  async #cipher(record: PackRecord, end: 'front' | 'back', options: CallOptions): Promise<FrameCipher> {
    const known = this.#ciphers[end].get(record.number);
    if (known !== undefined) return known;
    const { kernel, keys } = this.#repository;
    const identity = await this.#readIdentity(record, end === 'front' ? 0 : record.sizeBytes - TRAILER_BYTES, options);
    const cipher = new FrameCipher(kernel.createAead(identity.suite, keys.packKeys(identity).frameKey), encodeFramePrefix(identity, keys.repositoryId));
    if (this.#ciphers[end].size >= CIPHER_CACHE) this.#ciphers[end].clear();
    this.#ciphers[end].set(record.number, cipher);
    return cipher;
  }

  async #readIdentity(record: PackRecord, offset: number, options: CallOptions): Promise<PackIdentity> {
    const name = packName(record.type, record.id);
    const header = decodeHeader(await this.#repository.backend.read(name, { offset, length: HEADER_BYTES }, options));
    const isOfPack = header.type === packObjectType(record.type) && toHex(header.objectId) === record.id;
    if (!isOfPack || header.suite === 3 || header.suite !== record.suite || header.epoch !== record.epoch) {
      throw corrupt('pack', 'its header does not fit the index', { name }, 'PACK_CORRUPT');
    }
    return { type: record.type, suite: header.suite as AeadSuite, epoch: header.epoch, id: record.id, salt: header.random };
  }

  #keep(key: string, plaintext: Bytes): void {
    if (plaintext.length > FRAME_CACHE_BYTES / 4) return;
    this.#frameBytes += plaintext.length - (this.#frames.get(key)?.length ?? 0);
    this.#frames.set(key, plaintext);
    for (const [oldest, bytes] of this.#frames) {
      if (this.#frameBytes <= FRAME_CACHE_BYTES) break;
      this.#frames.delete(oldest);
      this.#frameBytes -= bytes.length;
    }
  }
}

interface NumberedFrame extends FrameRecord {
  readonly number: number;
}

/** Neighbouring frames together, in the order of the pack. */
function runsOf(frames: readonly NumberedFrame[]): NumberedFrame[][] {
  const runs: NumberedFrame[][] = [];
  let start = 0;
  let end = 0;
  for (const frame of [...frames].sort((a, b) => a.offset - b.offset)) {
    const frameEnd = frame.offset + frame.storedLength;
    const run = runs.at(-1);
    if (run !== undefined && frame.offset <= end + MAX_GAP_BYTES && frameEnd - start <= MAX_READ_BYTES) run.push(frame);
    else {
      runs.push([frame]);
      start = frame.offset;
    }
    end = frameEnd;
  }
  return runs;
}
