/** The real file system with one property changed: names that fold, calls that fail. */
import { type NativeFileSystem, nativeFileSystem } from '../../src/base/native-filesystem.ts';

type Names = { readonly [Call in keyof NativeFileSystem]?: readonly (readonly [directory: number, name: number])[] };

/** Positions of the arguments that are a directory and a name in it. */
const NAME_ARGUMENTS: Names = {
  openDirectoryAt: [[0, 1]], openFileAt: [[0, 1]], readLinkAt: [[0, 1]], makeDirectoryAt: [[0, 1]], makeSymlinkAt: [[1, 2]],
  makeLinkAt: [[0, 1], [2, 3]], makeNodeAt: [[0, 1]], renameAt: [[0, 1], [2, 3]], unlinkAt: [[0, 1]], setOwnerAt: [[0, 1]],
  setModeAt: [[0, 1]], setTimesAt: [[0, 1]], setXattrAt: [[0, 1]], removeXattrAt: [[0, 1]],
};

/** Takes names for equal that differ by case or Unicode form, as the default file systems of macOS and Windows do. */
export function foldingFileSystem(): NativeFileSystem {
  const real = nativeFileSystem();
  const spelled = (directory: number, name: Uint8Array): Uint8Array => {
    const folded = fold(name);
    for (const each of Buffer.from(real.names(directory)).toString('latin1').split('\0')) {
      const there = Buffer.from(each, 'latin1');
      if (there.length > 0 && fold(there) === folded) return there;
    }
    return name;
  };
  return replacing((call, args, original) => {
    if (call === 'writeNewFiles') {
      const [directory, packed, ...rest] = args as [number, Uint8Array, ...unknown[]];
      const names = Buffer.from(packed).toString('latin1').split('\0').slice(0, -1).map(name => spelled(directory, Buffer.from(name, 'latin1')));
      return original(directory, Buffer.concat(names.flatMap(name => [name, Buffer.of(0)])), ...rest);
    }
    if (call === 'stats' || call === 'xattrs') {
      const [directory, packed] = args as [number, Uint8Array];
      return original(directory, Buffer.concat([spelled(directory, packed.subarray(0, -1)), Buffer.of(0)]));
    }
    const given = [...args];
    for (const [directory, name] of NAME_ARGUMENTS[call] ?? []) given[name] = spelled(args[directory] as number, args[name] as Uint8Array);
    return original(...given);
  });
}

const fold = (name: Uint8Array): string => Buffer.from(name).toString('utf8').normalize('NFC').toLowerCase();

/** `fail` may throw for a call, or let it through. */
export function failingFileSystem(fail: (call: keyof NativeFileSystem, args: readonly unknown[]) => void): NativeFileSystem {
  return replacing((call, args, original) => {
    fail(call, args);
    return original(...args);
  });
}

/** What the addon throws. */
export function nativeError(code: string, errno: number, syscall = 'test'): Error {
  return Object.assign(new Error(`${code}, ${syscall}`), { code, errno, syscall });
}

function replacing(
  replace: (call: keyof NativeFileSystem, args: readonly unknown[], original: (...args: unknown[]) => unknown) => unknown,
): NativeFileSystem {
  const real = nativeFileSystem();
  const calls = Object.entries(real).map(([call, original]) => [
    call, (...args: unknown[]) => replace(call as keyof NativeFileSystem, args, original as (...args: unknown[]) => unknown),
  ]);
  return Object.fromEntries(calls) as NativeFileSystem;
}
