/**
 * What of a tree does not depend on the machine: path (bytes as latin-1 text) to a record. Shares no code with snap; used when
 * the golden repositories were made, and by the tests on what they restore.
 */
import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';

const TYPES = [['isFile', 'file'], ['isDirectory', 'directory'], ['isSymbolicLink', 'symlink'], ['isFIFO', 'fifo'], ['isSocket', 'socket']];

const sha256 = bytes => createHash('sha256').update(bytes).digest('hex');

/** @param {string} root @returns {Record<string, Record<string, unknown>>} */
export function recordTree(root) {
  const tree = {};
  const firstOfInode = new Map();
  const visit = (path, name) => {
    const stat = lstatSync(path, { bigint: true });
    const type = TYPES.find(([is]) => stat[is]())?.[1] ?? 'other';
    const record = { type, mode: `0${(Number(stat.mode) & 0o7777).toString(8)}`, mtime: String(stat.mtimeNs) };
    if (type === 'file') Object.assign(record, { size: Number(stat.size), sha256: sha256(readFileSync(path)) });
    if (type === 'symlink') record.target = sha256(readlinkSync(path, { encoding: 'buffer' }));
    if (type !== 'directory' && stat.nlink > 1n) {
      const inode = String(stat.ino);
      if (!firstOfInode.has(inode)) firstOfInode.set(inode, name);
      record.linkedTo = firstOfInode.get(inode);
    }
    tree[name] = record;
    if (type !== 'directory') return;
    const names = readdirSync(path, { encoding: 'buffer' }).sort(Buffer.compare);
    for (const each of names) visit(Buffer.concat([path, Buffer.from('/'), each]), name === '' ? each.toString('latin1') : `${name}/${each.toString('latin1')}`);
  };
  visit(Buffer.from(root), '');
  return tree;
}
