import { existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeDirectories } from '../../src/base/make-directories.ts';
import { memoryDirectory } from '../support/read-jobs.ts';

describe('directories are made', () => {
  test('with all that lead to them, and those that are there stay as they are', () => {
    const root = memoryDirectory();
    mkdirSync(join(root, 'there'), { mode: 0o755 });
    makeDirectories(join(root, 'there/a/b/c'), 0o700);
    makeDirectories(join(root, 'there/a/b/c'), 0o711);
    expect(['there', 'there/a', 'there/a/b/c'].map(path => statSync(join(root, path)).mode & 0o777)).toEqual([0o755, 0o700, 0o700]);
  });

  test('also below a link to a directory', () => {
    const root = memoryDirectory();
    mkdirSync(join(root, 'real'));
    symlinkSync('real', join(root, 'link'));
    makeDirectories(join(root, 'link/x'), 0o700);
    expect(existsSync(join(root, 'real/x'))).toBe(true);
  });

  test.each([['a file in the way', 'file', 'EEXIST'], ['a file on the way', 'file/x/y', 'ENOTDIR']])('not through %s', (_, path, code) => {
    const root = memoryDirectory();
    writeFileSync(join(root, 'file'), '');
    expect(() => makeDirectories(join(root, path), 0o700)).toThrow(expect.objectContaining({ code }));
  });

  test.runIf(process.platform === 'linux')('not where nothing can be made, and this is said at once', () => {
    expect(() => makeDirectories('/proc/snap/cache', 0o700)).toThrow(expect.objectContaining({ code: expect.stringMatching(/ENOENT|EACCES/) }));
  });
});
