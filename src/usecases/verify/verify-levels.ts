/** How deep a check goes; apart from the check, since the command line knows them for every verb. */

/** 0 to 4 of repository design, section 16.2. */
export const VERIFY_LEVELS = ['structure', 'metadata', 'tables', 'sample', 'data'] as const;
export type VerifyLevel = (typeof VERIFY_LEVELS)[number];
