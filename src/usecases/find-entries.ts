/** Searches snapshots for entries. */
export {};
