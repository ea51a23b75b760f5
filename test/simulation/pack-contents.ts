/** What lies in a stored pack, opened and hashed with the codecs of the format. */
import { equalBytes, toHex, viewOf, type Bytes } from '../../src/base/bytes.ts';
import { encodeFramePrefix, FrameCipher, openFrame } from '../../src/format/frame.ts';
import type { ObjectRef } from '../../src/format/object-names.ts';
import { openPackHead } from '../../src/format/pack.ts';
import { TABLE_CHUNK_BYTES, tableFrameAt } from '../../src/format/pack-table.ts';
import { decodeNode, type Entry } from '../../src/format/tree-node.ts';
import type { OpenRepository } from '../../src/repository/opened-repository.ts';

/** 'data:' or 'tree:' and the ID in hexadecimal digits. */
export type ChunkKey = string;

export type PackRef = ObjectRef & { readonly kind: 'pack' };

export interface StoredChunk {
  readonly key: ChunkKey;
  /** The content has the ID that the table says. */
  readonly isRight: boolean;
  /** What a tree node refers to. */
  readonly children: readonly ChunkKey[];
}

/** Uses the keys of the repository only. @throws PACK_CORRUPT, FRAME_CORRUPT */
export function chunksOfPack({ kernel, keys }: OpenRepository, { type, id }: PackRef, bytes: Bytes): StoredChunk[] {
  const table = openPackHead(bytes, { kernel, repositoryId: keys.repositoryId, type, id, sizeBytes: bytes.length, rootOf: epoch => keys.packRoot(type, epoch) });
  const cipher = new FrameCipher(kernel.createAead(table.suite, keys.packKeys(table).frameKey), encodeFramePrefix(table, keys.repositoryId));
  const hasher = type === 'tree' ? keys.treeHasher : kernel.createHasher(keys.content.idKeyData);
  const records = viewOf(table.chunks);
  const found: StoredChunk[] = [];
  for (let number = 0; number < table.frameCount; number++) {
    const frame = tableFrameAt(table, number);
    const content = openFrame(kernel, cipher, { ...frame, number }, bytes.subarray(frame.offset, frame.offset + frame.storedLength)).slice();
    let at = 0;
    for (let left = frame.chunkCount; left > 0; left--) {
      const record = found.length * TABLE_CHUNK_BYTES;
      const stated = table.chunks.subarray(record, record + 32);
      const chunk = content.subarray(at, at += records.getUint32(record + 32, true));
      const isRight = equalBytes(hasher.hash(chunk), stated);
      found.push({ key: `${type}:${toHex(stated)}`, isRight, children: isRight && type === 'tree' ? nodeChildren(chunk) : [] });
    }
  }
  return found;
}

export function entryChildren({ content = [], contentNode, directoryNode, xattrs = [] }: Entry): ChunkKey[] {
  const values = xattrs.flatMap(({ value }) => value instanceof Uint8Array ? [] : value);
  return [
    ...[...content, ...values].flatMap(({ id }) => id === undefined ? [] : [dataKey(id)]),
    ...[contentNode, directoryNode].flatMap(id => id === undefined ? [] : [treeKey(id)]),
  ];
}

function nodeChildren(node: Bytes): ChunkKey[] {
  const decoded = decodeNode(node);
  switch (decoded.kind) {
    case 'leaf': return decoded.entries.flatMap(entryChildren);
    case 'content-leaf': return decoded.items.flatMap(({ id }) => id === undefined ? [] : [dataKey(id)]);
    default: return decoded.children.map(({ id }) => treeKey(id));
  }
}

const dataKey = (id: Bytes): ChunkKey => `data:${toHex(id)}`;
const treeKey = (id: Bytes): ChunkKey => `tree:${toHex(id)}`;
