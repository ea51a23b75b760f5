"""Fills a directory with everything a file system may hold. Used through oddities.ts; prints what could not be made, as JSON.

Usage: oddities.py DIRECTORY ENTRIES_OF_THE_LARGE_DIRECTORY
"""
import json
import os
import socket
import stat
import sys

KiB = 1024
MiB = 1024 * KiB
TiB = 1024 * 1024 * MiB
IS_ROOT = os.geteuid() == 0
skipped = []


def attempt(what, action):
    """Runs an action that not every file system or user can do."""
    try:
        action()
    except OSError as error:
        skipped.append({'what': what, 'why': os.strerror(error.errno)})


def directory(path):
    os.mkdir(path)
    return path


def write(path, content):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    with os.fdopen(fd, 'wb') as file:
        file.write(content)


def pattern(size, seed):
    """Bytes that do not compress to nothing and differ between seeds."""
    state = (seed * 2654435761 + 1) & 0xFFFFFFFF
    block = bytearray()
    for _ in range(min(size, 8192)):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        block.append(state >> 24)
    return (bytes(block) * (size // max(1, len(block)) + 1))[:size]


def names(root):
    at = directory(os.path.join(root, b'names'))
    odd = [
        b'new\nline', b'\n', b'tab\there', b'bell\x07', b'escape\x1b[31m', b'delete\x7f', b'-leading-dash', b'--help', b' ', b' padded ',
        b'trailing space ', b'...', b'..a', b'.hidden', b'back\\slash', b'"quotes\'', b'$HOME', b'`id`', b'a*b?c[d]', b'#comment', b'!bang',
        b'~', b'%s%n', b'con', b'semi;colon', b'a|b', b'\xff\xfe invalid', b'\x80', b'cut off \xe2\x82', b'overlong \xc0\xaf',
        b'surrogate \xed\xa0\x80', 'umlaut ä'.encode(), 'umlaut a\u0308'.encode(), 'emoji 😀'.encode(), 'rtl \u202e txt'.encode(),
        'nbsp\u00a0'.encode(), 'CASE'.encode(), 'case'.encode(), b'x' * 255, b'\xff' * 255, ('ü' * 127).encode(), bytes(range(1, 47)), bytes(range(48, 256)),
    ]
    for i, name in enumerate(odd):
        write(os.path.join(at, name), b'%d' % i)
    inner = directory(os.path.join(at, b'dir\n\xff'))
    write(os.path.join(inner, b'in\nner\x80'), b'content')
    os.mkdir(os.path.join(at, b'empty directory'))
    write(os.path.join(at, b'empty directory.'), b'sorts around its neighbour')


def sizes(root):
    at = directory(os.path.join(root, b'sizes'))
    boundaries = [4 * KiB, 64 * KiB, 128 * KiB, 256 * KiB, 512 * KiB, 2 * MiB]
    for size in [0, 1, 2, 3] + [boundary + step for boundary in boundaries for step in (-1, 0, 1)]:
        write(os.path.join(at, b'%08d' % size), pattern(size, size))
    write(os.path.join(at, b'all zeros'), bytes(600 * KiB))
    write(os.path.join(at, b'all ones'), b'\xff' * (600 * KiB))
    write(os.path.join(at, b'same as 4096'), pattern(4096, 4096))


def hard_links(root):
    at = directory(os.path.join(root, b'hard links'))
    other = directory(os.path.join(at, b'other'))
    write(os.path.join(at, b'first'), pattern(300 * KiB, 7))
    os.link(os.path.join(at, b'first'), os.path.join(at, b'second'))
    os.link(os.path.join(at, b'first'), os.path.join(other, b'third'))
    write(os.path.join(other, b'empty'), b'')
    os.link(os.path.join(other, b'empty'), os.path.join(at, b'empty too'))
    os.symlink(b'first', os.path.join(at, b'link'))
    attempt('hard link of a symlink', lambda: os.link(os.path.join(at, b'link'), os.path.join(at, b'same link'), follow_symlinks=False))
    os.mkfifo(os.path.join(at, b'fifo'))
    os.link(os.path.join(at, b'fifo'), os.path.join(other, b'same fifo'))
    write(os.path.join(at, b'equal but not linked'), pattern(300 * KiB, 7))


def symlinks(root):
    at = directory(os.path.join(root, b'symlinks'))
    targets = {
        b'dangling': b'nowhere', b'self': b'self', b'loop a': b'loop b', b'loop b': b'loop a', b'to parent': b'..', b'to here': b'.',
        b'absolute': b'/etc/passwd', b'with slash': b'../sizes/', b'directory': b'../sizes', b'file': b'../sizes/00004096',
        b'invalid': b'\xff\xfe', b'newline': b'a\nb', b'long': b'x/' * 2047 + b'x',
    }
    for name, target in targets.items():
        os.symlink(target, os.path.join(at, name))


def modes(root):
    at = directory(os.path.join(root, b'modes'))
    for mode in [0o000, 0o111, 0o222, 0o400, 0o444, 0o600, 0o644, 0o755, 0o777, 0o1644, 0o2755, 0o4755, 0o6711, 0o7777]:
        write(os.path.join(at, b'file %04o' % mode), b'content')
        attempt('file of mode %o' % mode, lambda: os.chmod(os.path.join(at, b'file %04o' % mode), mode))
    for mode in [0o000, 0o111, 0o555, 0o700, 0o777, 0o1777, 0o2775, 0o3770]:
        inner = directory(os.path.join(at, b'directory %04o' % mode))
        write(os.path.join(inner, b'inside'), b'content')
        attempt('directory of mode %o' % mode, lambda: os.chmod(inner, mode))


def owners(root):
    if not IS_ROOT:
        skipped.append({'what': 'owners', 'why': 'not root'})
        return
    at = directory(os.path.join(root, b'owners'))
    for uid, gid in [(1, 1), (65534, 65534), (0, 1), (123456, 654321), (4294967294, 4294967294)]:
        path = os.path.join(at, b'%d %d' % (uid, gid))
        write(path, b'content')
        os.symlink(b'target', path + b' link')
        os.mkdir(path + b' directory')
        for owned in (path, path + b' link', path + b' directory'):
            attempt('owner %d' % uid, lambda: os.chown(owned, uid, gid, follow_symlinks=False))
    # The kernel takes the set-id bits away when the owner changes: a restore has to set the mode afterwards.
    write(os.path.join(at, b'set-id'), b'content')
    os.chown(os.path.join(at, b'set-id'), 1, 1)
    os.chmod(os.path.join(at, b'set-id'), 0o6755)


SECONDS = [0, -1, -2147483648, 2147483647, 2147483648, 4294967295, 4294967296, 10000000000, 15032385535, 951782400]


def times(root):
    at = directory(os.path.join(root, b'times'))
    for i, seconds in enumerate(SECONDS):
        nanoseconds = (0, 1, 999999999, 123456789)[i % 4]
        path = os.path.join(at, b'%d' % seconds)
        write(path, b'content')
        os.symlink(b'target', path + b' link')
        os.mkfifo(path + b' fifo')
        os.mkdir(path + b' directory')
        write(os.path.join(path + b' directory', b'inside'), b'content')
        for timed in (path, path + b' link', path + b' fifo', path + b' directory'):
            stamp = seconds * 10**9 + nanoseconds
            attempt('time %d' % seconds, lambda: os.utime(timed, ns=(stamp, stamp), follow_symlinks=False))


ACL_FILE = bytes.fromhex('02000000' '01000600ffffffff' '0200070001000000' '04000400ffffffff' '10000700ffffffff' '20000400ffffffff')


def xattrs(root):
    at = directory(os.path.join(root, b'xattrs'))

    def put(path, name, value):
        attempt('attribute %s of %d bytes' % (name, len(value)), lambda: os.setxattr(path, name, value, follow_symlinks=False))

    for name in [b'one', b'many', b'binary', b'large', b'acl', b'capability', b'trusted', b'huge']:
        write(os.path.join(at, name), name)
    put(os.path.join(at, b'one'), 'user.one', b'value')
    for i in range(40):
        put(os.path.join(at, b'many'), 'user.%02d' % i, b'v%d' % i)
    put(os.path.join(at, b'many'), 'user.' + 'n' * 200, b'long name')
    put(os.path.join(at, b'binary'), 'user.binary', bytes(range(256)))
    put(os.path.join(at, b'binary'), 'user.empty', b'')
    put(os.path.join(at, b'binary'), 'user.\u00e4', b'name not ASCII')
    put(os.path.join(at, b'large'), 'user.large', pattern(3000, 3))
    put(os.path.join(at, b'huge'), 'user.huge', pattern(64 * KiB, 5))
    put(os.path.join(at, b'acl'), 'system.posix_acl_access', ACL_FILE)
    inner = directory(os.path.join(at, b'acl directory'))
    put(inner, 'system.posix_acl_access', ACL_FILE)
    put(inner, 'system.posix_acl_default', ACL_FILE)
    put(inner, 'user.on-directory', b'value')
    os.symlink(b'one', os.path.join(at, b'link'))
    if not IS_ROOT:
        skipped.append({'what': 'trusted and security attributes', 'why': 'not root'})
        return
    put(os.path.join(at, b'trusted'), 'trusted.snap', b'for root')
    put(os.path.join(at, b'link'), 'trusted.on-link', b'of the link itself')
    put(os.path.join(at, b'capability'), 'security.capability', bytes.fromhex('0000000200040000000000000000000000000000'))


def sparse(root):
    at = directory(os.path.join(root, b'sparse'))

    def holes(name, size, *data):
        fd = os.open(os.path.join(at, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        os.ftruncate(fd, size)
        for position, content in data:
            os.pwrite(fd, content, position)
        os.close(fd)

    holes(b'only a hole', MiB)
    holes(b'one byte of hole', 1)
    holes(b'data first', MiB, (0, pattern(4 * KiB, 1)))
    holes(b'data last', MiB + 5, (MiB, b'12345'))
    holes(b'data between', 3 * MiB, (MiB, pattern(64 * KiB, 2)))
    holes(b'unaligned', 3 * MiB + 7, (MiB + 333, pattern(5000, 4)), (2 * MiB + 1, b'x'))
    holes(b'written zeros', 2 * MiB, (MiB, bytes(128 * KiB)))
    attempt('a file of 1 TiB', lambda: holes(b'one tebibyte', TiB, (0, b'start'), (TiB // 2 + 12345, pattern(70000, 9)), (TiB - 3, b'end')))


def special(root):
    at = directory(os.path.join(root, b'special'))
    os.mkfifo(os.path.join(at, b'fifo'), 0o640)
    listener = socket.socket(socket.AF_UNIX)
    here = os.open('.', os.O_RDONLY)
    os.chdir(at)  # the path of a socket has 107 bytes at most
    listener.bind(b'socket')
    os.fchdir(here)
    listener.close()
    for name, kind, major, minor in [(b'null', stat.S_IFCHR, 1, 3), (b'large numbers', stat.S_IFCHR, 511, 1048575), (b'block', stat.S_IFBLK, 7, 99)]:
        attempt('device', lambda: os.mknod(os.path.join(at, name), kind | 0o600, os.makedev(major, minor)))


def deep(root):
    """A path of more than PATH_MAX bytes, and one with many short names and entries before and after each directory."""
    at = os.open(directory(os.path.join(root, b'deep')), os.O_RDONLY)
    for name, levels, has_neighbours in [(b'n' * 200, 45, False), (b'm', 400, True)]:
        parent = os.dup(at)
        for level in range(levels):
            os.mkdir(name, 0o755, dir_fd=parent)
            inner = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=parent)
            if has_neighbours and level % 7 == 0:
                os.mkdir(b'z', 0o755, dir_fd=parent)
                os.close(os.open(b'a', os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=parent))
            os.close(parent)
            parent = inner
        fd = os.open(b'at the bottom', os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=parent)
        os.write(fd, b'deep content')
        os.close(fd)
        os.symlink(b'at the bottom', b'link', dir_fd=parent)
        os.utime(b'at the bottom', ns=(10**18 + 7, 10**18 + 7), dir_fd=parent)
        os.close(parent)
    os.close(at)


def large_directory(root, entries):
    at = os.open(directory(os.path.join(root, b'large directory')), os.O_RDONLY)
    for i in range(entries):
        if i % 100 == 99:
            os.mkdir(b'%06d directory' % i, dir_fd=at)
        else:
            fd = os.open(b'%06d' % i, os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=at)
            if i % 10 == 0:
                os.write(fd, b'%d' % i)
            os.close(fd)
    os.close(at)


def main():
    root = os.fsencode(sys.argv[1])
    os.umask(0o022)
    for make in (names, sizes, hard_links, symlinks, modes, xattrs, owners, sparse, special, deep, times):
        make(root)
    large_directory(root, int(sys.argv[2]))
    os.utime(root, ns=(-1234567891, -1234567891))
    json.dump(skipped, sys.stdout)


main()
