/** What differs between a snapshot and a live tree. */
export {};
