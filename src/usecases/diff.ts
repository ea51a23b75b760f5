/** What differs between two places of snapshots. */
export {};
