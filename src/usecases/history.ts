/** Versions of one path over snapshots. */
export {};
