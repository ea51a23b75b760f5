/** What a reader checks before it allocates (repository design, section 4.7). All sizes in bytes of plaintext unless said otherwise. */
import { KiB, MiB } from '../base/units.ts';

/** Stored bytes of a whole pack. */
export const MAX_PACK_BYTES: number = 256 * MiB;
export const MAX_PACK_FRAMES = 65_536;
export const MAX_PACK_CHUNKS = 262_144;
export const MAX_TABLE_BYTES: number = 16 * MiB;

/** Raw length of a frame; stored it has at most 16 bytes more. */
export const MAX_FRAME_BYTES: number = 16 * MiB;
/** A group frame is a frame with more than one chunk. */
export const MAX_GROUP_FRAME_BYTES: number = 256 * KiB;
export const MAX_GROUP_FRAME_CHUNKS = 4_096;
/** A chunk of at least this size gets a frame of its own. */
export const OWN_FRAME_BYTES: number = 128 * KiB;

export const MAX_SEGMENT_BYTES: number = 64 * MiB;
export const MAX_SEGMENT_CHUNKS = 1_048_576;

export const MAX_NODE_BYTES: number = 1 * MiB;
/** Interior nodes above the leaves of one directory or one file. */
export const MAX_NODE_DEPTH = 8;
export const MAX_DIRECTORY_DEPTH = 65_536;

export const MAX_SNAPSHOT_BYTES: number = 16 * MiB;
/** It carries the snapshot. */
export const MAX_FORGOTTEN_BYTES: number = MAX_SNAPSHOT_BYTES + 64 * KiB;
export const MAX_GC_DOCUMENT_BYTES: number = 64 * MiB;
export const MAX_KEYRING_BYTES: number = 1 * MiB;
/** What was verified when: some 700,000 packs. */
export const MAX_LEDGER_BYTES: number = 16 * MiB;
/** Half a million snapshots that a replica holds or held. */
export const MAX_REPLICA_RECORD_BYTES: number = 8 * MiB;
/** Data and parity blocks of one pack: an erasure code over GF(2^8) has no more. */
export const MAX_PARITY_BLOCKS = 255;
export const MAX_PARITY_BLOCK_BYTES: number = 8 * MiB;
/** Config, session, heartbeat, head of a parity and every other kind of marker. */
export const MAX_SMALL_OBJECT_BYTES: number = 64 * KiB;
export const MAX_KEY_SLOT_BYTES: number = 4 * KiB;

export const MAX_CBOR_NESTING = 16;

export const MAX_NAME_BYTES = 4_095;
export const MAX_LINK_TARGET_BYTES = 65_535;
/** Longer values of extended attributes are stored as chunks. */
export const MAX_INLINE_XATTR_BYTES: number = 4 * KiB;
/** Longer content lists go into content nodes. */
export const MAX_INLINE_ITEMS = 128;
export const MAX_CONTENT_NODE_ITEMS = 2_048;
/** One encoded entry; with a node cut at 256 KiB at the latest, no leaf then exceeds `MAX_NODE_BYTES`. */
export const MAX_ENTRY_BYTES: number = 512 * KiB;
