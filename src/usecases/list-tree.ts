/** Entries of a snapshot at and below a path. */
export {};
