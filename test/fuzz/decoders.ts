/** Every decoder of stored bytes, with valid bytes to begin with: those of the golden repositories where they have them. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock, systemRandom } from '../../src/base/ambient.ts';
import { concatBytes, toHex, utf8, viewOf, type Bytes } from '../../src/base/bytes.ts';
import { readCacheState, STATE_FILE } from '../../src/cache/cache-state-file.ts';
import type { ChunkLocation } from '../../src/cache/cache.ts';
import { decodeMemory, encodeMemory } from '../../src/cache/host-memory.ts';
import { isNoDatabase } from '../../src/cache/lmdb-header.ts';
import { openMemoryCache } from '../../src/cache/memory-cache.ts';
import { readClaims } from '../../src/cache/segment-reader.ts';
import { CborReader } from '../../src/format/cbor-reader.ts';
import { decodeConfig } from '../../src/format/config.ts';
import { decodePayload } from '../../src/format/frame.ts';
import { decodeDone, decodePlan, decodeSweep, encodeDone, encodePlan, encodeSweep, packPackIds, unpackPackIds } from '../../src/format/gc-documents.ts';
import { decodeHeader, encodeHeader, HEADER_BYTES, OBJECT_TYPES } from '../../src/format/header.ts';
import { idBytes, parseLedgerId, parsePackId, parseRepositoryId, parseRunId, parseSessionId, parseSlotId, type PackId } from '../../src/format/ids.ts';
import { decodeIndexSegment, unpackSegment } from '../../src/format/index-segment.ts';
import { deriveXObjectKey } from '../../src/format/key-derivation.ts';
import { decodeSlotParameters, decodeSlotSecrets, parseKeySlot } from '../../src/format/key-slot.ts';
import { decodeKeyring } from '../../src/format/keyring.ts';
import { decodeReplicaRecord, encodeReplicaRecord, type ReplicaRecord } from '../../src/format/replica-record.ts';
import { decodeLedger, encodeLedger, ledgerRecords } from '../../src/format/ledger.ts';
import { parseObjectName } from '../../src/format/object-names.ts';
import { openPackHead, openPackTail, packHeadBytes, packTailBytes } from '../../src/format/pack.ts';
import { decodeParityHead, encodeParityHead, parityHeadBytes } from '../../src/format/parity.ts';
import { decodePackTable, encodePackTable, findDuplicateChunks, firstChunks } from '../../src/format/pack-table.ts';
import { openObject, padPayload, sealBytes, splitSigned, unpadPayload } from '../../src/format/sealed-object.ts';
import { decodeHeartbeat, decodeSession, encodeHeartbeat, encodeSession } from '../../src/format/session.ts';
import { decodeSnapshot } from '../../src/format/snapshot.ts';
import { decodeForgotten, decodeTombstone, encodeForgotten, encodeTombstone } from '../../src/format/tombstone.ts';
import { decodeNode } from '../../src/format/tree-node.ts';
import { openRepository } from '../../src/repository/open-repository.ts';
import type { OpenRepository } from '../../src/repository/opened-repository.ts';
import { PackReader } from '../../src/repository/pack-reader.ts';
import { tableOptions } from '../../src/repository/pack-tables.ts';
import { toSegmentContent } from '../../src/repository/segment-content.ts';
import { establishView } from '../../src/repository/session-view.ts';
import { decodeRecord, encodeRecord } from '../../src/usecases/backup/directory-records.ts';
import { goldenBackend, goldenCredential, goldenRecord } from '../support/golden.ts';
import { kernel, OWNER } from '../support/memory-repository.ts';

export interface Decoder {
  readonly name: string;
  readonly seeds: readonly Uint8Array[];
  /** A value, or an error that says "corrupt" or "unsupported". */
  decode(bytes: Uint8Array<ArrayBuffer>): unknown;
}

/** @param folder for the decoders of local files */
export async function allDecoders(folder: string): Promise<Decoder[]> {
  const record = goldenRecord('format-1-suite-1');
  const backend = goldenBackend('format-1-suite-1');
  const repository = await openRepository(backend, goldenCredential(record), { kernel, clock: systemClock, random: systemRandom }, async () => openMemoryCache());
  await establishView(repository);
  const stored = new Map([...backend.snapshotState()].map(([name, { bytes }]) => [name, bytes]));
  return [...envelopes(repository, stored), ...bodies(repository, stored), ...await packs(repository, stored), ...localFiles(repository, folder)];
}

function named(stored: ReadonlyMap<string, Uint8Array<ArrayBuffer>>, prefix: string): (readonly [name: string, bytes: Uint8Array<ArrayBuffer>])[] {
  return [...stored].filter(([name]) => name.startsWith(prefix));
}

// --- what is around the bodies ---

function envelopes(repository: OpenRepository, stored: ReadonlyMap<string, Uint8Array<ArrayBuffer>>): Decoder[] {
  const slots = named(stored, 'keys/').map(([, bytes]) => bytes);
  const slotId = parseSlotId(named(stored, 'keys/')[0]![0].slice('keys/'.length));
  const parameters = slots.map(bytes => bytes.slice(HEADER_BYTES + 4, HEADER_BYTES + 4 + viewOf(bytes).getUint32(HEADER_BYTES, true)));
  const text = [...stored.keys()].map(utf8);
  const [snapshotName, snapshot] = named(stored, 'snapshots/')[0]!;
  return [
    { name: 'header', seeds: [...stored.values()].map(bytes => bytes.slice(0, HEADER_BYTES)), decode: decodeHeader },
    { name: 'sealed object', seeds: [snapshot], decode: bytes => repository.objects.open(snapshotName, bytes) },
    { name: 'plaintext of a seal', seeds: [padPayload(utf8('payload')), padPayload(new Uint8Array(5000))], decode: bytes => unpadPayload('sample', bytes) },
    { name: 'sealed and compressed payload', seeds: compressedPayloads(), decode: bytes => openSealed(repository, bytes) },
    { name: 'signed payload', seeds: [repository.objects.open('config', stored.get('config')!).payload], decode: bytes => splitSigned(bytes, OBJECT_TYPES.config) },
    { name: 'key slot', seeds: slots.slice(0, 1), decode: bytes => parseKeySlot(bytes, slotId) },
    { name: 'key slot parameters', seeds: parameters, decode: decodeSlotParameters },
    { name: 'object name', seeds: text, decode: bytes => parseObjectName(Buffer.from(bytes).toString()) },
    { name: 'CBOR', seeds: [repository.objects.openSigned('config', stored.get('config')!).body], decode: bytes => new CborReader(bytes, 'sample').unknown(64) },
    { name: 'zstd frame', seeds: compressedPayloads().map(bytes => bytes.slice(4)), decode: bytes => decodePayload(kernel, { number: 0, rawLength: 3000, codec: 1, flags: 0 }, bytes) },
  ];
}

/** u32 raw length ‖ zstd frame, as in a sealed object. */
function compressedPayloads(): Uint8Array<ArrayBuffer>[] {
  const compressor = kernel.createCompressor(3);
  return [utf8('abcdefgh'.repeat(375)), new Uint8Array(3000)].map(content => {
    const frame = compressor.compress(content, content.length)!;
    const bytes = new Uint8Array(4 + frame.length);
    viewOf(bytes).setUint32(0, content.length, true);
    bytes.set(frame, 4);
    return bytes;
  });
}

/** What somebody with the keys could write: the seal is right, the payload is not. */
function openSealed({ keys }: OpenRepository, payload: Bytes): unknown {
  const objectId = new Uint8Array(16).fill(7);
  const [type, secret] = [OBJECT_TYPES.snapshot, keys.secretOf(1)!];
  const plaintext = padPayload(payload);
  const header = encodeHeader({ type, suite: 3, isCompressed: true, epoch: 1, objectId, random: new Uint8Array(24), sealedBytes: plaintext.length + 16 });
  const additional = concatBytes([header, idBytes(keys.repositoryId)]);
  const sealed = sealBytes(kernel, 3, deriveXObjectKey(kernel, secret, type, keys.repositoryId), new Uint8Array(24), additional, plaintext);
  return openObject({ kernel, bytes: concatBytes([header, sealed]), repositoryId: keys.repositoryId, types: [type], objectId, secretOf: () => secret });
}

// --- bodies ---

function bodies(repository: OpenRepository, stored: ReadonlyMap<string, Uint8Array<ArrayBuffer>>): Decoder[] {
  const { objects } = repository;
  const open = (prefix: string): Uint8Array[] => named(stored, prefix).map(([name, bytes]) => objects.open(name, bytes).payload);
  const keyring = splitSigned(objects.open('keyring/0000000001', stored.get('keyring/0000000001')!).payload, OBJECT_TYPES.keyring).body;
  const segment = open('index/')[0]!;
  const session = { ...OWNER, startedAt: 1 };
  const pins = [{ snapshotId: parseSessionId('ab'.repeat(16)), rootNodes: [] }];
  const ledgerId = parseLedgerId('55'.repeat(16));
  const checks = ['11', '22'].map(digits => ({ packId: parsePackId(digits.repeat(16)), checkedAt: 2 ** 41, result: 'good', detail: 'data' } as const));
  const packIds = packPackIds(['11'.repeat(16), '22'.repeat(16)] as PackId[]);
  return [
    { name: 'config', seeds: [objects.openSigned('config', stored.get('config')!).body], decode: decodeConfig },
    { name: 'keyring', seeds: [keyring], decode: decodeKeyring },
    { name: 'key slot secrets', seeds: [], decode: decodeSlotSecrets },
    { name: 'session', seeds: [encodeSession({ ...session, kind: 'writer', pins: [] }), encodeSession({ ...session, kind: 'reader', pins })], decode: decodeSession },
    { name: 'heartbeat', seeds: [encodeHeartbeat({ count: 3, createdAt: 2 ** 40 })], decode: decodeHeartbeat },
    { name: 'gc plan', seeds: [encodePlan({ packs: packIds, createdAt: 5, runId: parseRunId('33'.repeat(16)) })], decode: bytes => [...unpackPackIds(decodePlan(bytes).packs)] },
    { name: 'gc sweep', seeds: [encodeSweep({ packs: packIds, planDigest: new Uint8Array(32), createdAt: 5 })], decode: decodeSweep },
    { name: 'gc done', seeds: [encodeDone({ createdAt: 5 })], decode: decodeDone },
    { name: 'tombstone', seeds: [encodeTombstone({ planNumber: 1, createdAt: 5 })], decode: decodeTombstone },
    { name: 'forgotten marker', seeds: [encodeForgotten({ reason: 'policy', createdAt: 5, recordDigest: new Uint8Array(32) }), encodeForgotten({ reason: 'policy', createdAt: 5, snapshot: new Uint8Array(9) })], decode: decodeForgotten },
    { name: 'ledger', seeds: [encodeLedger([ledgerId], checks), encodeLedger([], [])], decode: bytes => [...ledgerRecords(decodeLedger(bytes))] },
    { name: 'replica record', seeds: [encodeReplicaRecord(REPLICA)], decode: decodeReplicaRecord },
    { name: 'snapshot', seeds: open('snapshots/'), decode: decodeSnapshot },
    { name: 'head of a parity', seeds: parityHeads(), decode: decodeParityHead },
    { name: 'header of a parity', seeds: [parityHeader()], decode: parityHeadBytes },
    { name: 'index segment', seeds: open('index/'), decode: bytes => unpackSegment(decodeIndexSegment(bytes)) },
    { name: 'segment in the cache', seeds: [decodeIndexSegment(segment).chunks], decode: bytes => readClaims(segmentWith(segment, bytes)) },
  ];
}

const REPLICA: ReplicaRecord = {
  location: 's3://bucket/off-site', targetId: parseRepositoryId('77'.repeat(16)), label: 'off-site', host: 'h', attemptedAt: 2 ** 41, succeededAt: 2 ** 40,
  error: { code: 'UNAVAILABLE', message: 'down', at: 2 ** 41 }, known: new Uint8Array(16), snapshots: 1, bytes: 9, verified: { at: 1, packs: 1, bytes: 2, ofBytes: 3 },
  selection: { host: ['h'], series: ['s'], kind: ['full'], tags: [['a', 'b']], paths: [new Uint8Array(3)], latest: 3, withinMs: 9 },
};

function parityHeads(): Uint8Array[] {
  const head = { code: 'cauchy', packType: 'data', blockBytes: 4096 } as const;
  const checks = (blocks: number): Uint8Array => new Uint8Array(16 * blocks).fill(blocks);
  return [encodeParityHead({ ...head, packBytes: 65_536, dataChecks: checks(16), parityChecks: checks(1) }), encodeParityHead({ ...head, packBytes: 9000, dataChecks: checks(3), parityChecks: checks(9) })];
}

function parityHeader(): Uint8Array {
  return encodeHeader({ type: OBJECT_TYPES.parity, suite: 3, isCompressed: false, epoch: 1, objectId: new Uint8Array(16).fill(7), random: new Uint8Array(24), sealedBytes: 400 });
}

function segmentWith(payload: Bytes, chunks: Bytes): ReturnType<typeof toSegmentContent> {
  return { ...toSegmentContent('44'.repeat(16) as Parameters<typeof toSegmentContent>[0], decodeIndexSegment(payload)), chunks };
}

// --- packs and trees ---

async function packs(repository: OpenRepository, stored: ReadonlyMap<string, Uint8Array<ArrayBuffer>>): Promise<Decoder[]> {
  const [name, bytes] = named(stored, 'packs/t/')[0]!;
  const options = tableOptions(repository, { type: 'tree', id: name.slice(-32) as PackId, sizeBytes: bytes.length });
  const table = openPackHead(bytes.slice(0, packHeadBytes(bytes)), options);
  const decodeTable = (plaintext: Bytes): unknown => {
    const decoded = decodePackTable(plaintext, table, table.sizeBytes);
    return [findDuplicateChunks(decoded), firstChunks(decoded)];
  };
  return [
    { name: 'front of a pack', seeds: [bytes.slice(0, packHeadBytes(bytes))], decode: head => [packHeadBytes(head), openPackHead(head, options)] },
    { name: 'back of a pack', seeds: [bytes.slice(-packTailBytes(bytes))], decode: tail => openPackTail(tail, options) },
    { name: 'pack table', seeds: [encodePackTable(table)], decode: decodeTable },
    { name: 'tree node', seeds: await treeNodes(repository), decode: decodeNode },
  ];
}

async function treeNodes(repository: OpenRepository): Promise<Uint8Array[]> {
  const { chunks } = repository.cache;
  const reader = new PackReader(repository);
  const nodes: Uint8Array[] = [];
  for (const { id, location } of [...chunks.entries()] as { id: Uint8Array; location: ChunkLocation }[]) {
    // The largest ones would take all the time.
    if (chunks.pack(location.pack)?.type === 'tree' && location.length < 20_000) nodes.push((await reader.chunk(id, location)).slice());
  }
  return nodes;
}

// --- local files ---

function localFiles(repository: OpenRepository, folder: string): Decoder[] {
  const [node, fingerprint] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
  const directory = encodeRecord({ fingerprint, node: node as Parameters<typeof encodeRecord>[0]['node'], files: 3, bytes: 4000, children: [node as never], packs: [1, 2] });
  const state = utf8(JSON.stringify({ generation: toHex(node.subarray(0, 16)), reservations: 3, sizeBytes: 4096 }).padEnd(255));
  const lmdbHead = new Uint8Array(8192);
  for (const page of [0, 4096]) {
    viewOf(lmdbHead).setUint32(page + 24, 0xbeefc0de, true);
    viewOf(lmdbHead).setUint32(page + 48, 4096, true);
  }
  const written = <T>(name: string, read: (folder: string) => T) => (bytes: Bytes): T => {
    writeFileSync(join(folder, name), bytes);
    return read(folder);
  };
  return [
    { name: 'directory record', seeds: [directory], decode: decodeRecord },
    { name: 'state file of the cache', seeds: [state], decode: written(STATE_FILE, readCacheState) },
    { name: 'host memory', seeds: [encodeMemory({ highestGc: 3, highestKeyring: 1, lastSnapshot: repository.id, seen: [repository.id] })], decode: decodeMemory },
    { name: 'head of the LMDB file', seeds: [lmdbHead], decode: written('data.mdb', isNoDatabase) },
  ];
}
