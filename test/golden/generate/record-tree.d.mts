/** By path: type, mode, mtime, and what else the type has. */
export type RecordedTree = Readonly<Record<string, Readonly<Record<string, string | number>>>>;
export declare function recordTree(root: string): RecordedTree;
