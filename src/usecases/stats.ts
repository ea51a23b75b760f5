/** Sizes of snapshots and of what they share. */
export {};
