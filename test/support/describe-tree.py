"""Describes a tree to the last attribute, as JSON lines. Used through describe-tree.ts; shares no code with snap.

Usage: describe-tree.py DIRECTORY

Walks by changing into each directory and back, so that paths may have any length. Bytes are shown as latin-1 text.
"""
import errno
import hashlib
import json
import os
import stat
import sys

TYPES = {
    stat.S_IFREG: 'file', stat.S_IFDIR: 'directory', stat.S_IFLNK: 'symlink', stat.S_IFIFO: 'fifo', stat.S_IFSOCK: 'socket',
    stat.S_IFCHR: 'character device', stat.S_IFBLK: 'block device',
}
BLOCK = 4096
ZEROS = bytes(1 << 20)
first_of_inode = {}


def data_ranges(fd, size):
    at = 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            if error.errno != errno.EINVAL:
                raise
            yield at, size
            return
        at = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, at


def content_hash(name, size):
    """Hash over the blocks that are not all zero, with their positions: equal for a hole and for zeros that were written."""
    digest = hashlib.sha256(b'%d' % size)
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        for start, end in data_ranges(fd, size):
            position = start - start % BLOCK
            while position < end:
                piece = os.pread(fd, 1 << 20, position)
                if not piece:
                    break
                if piece != ZEROS[:len(piece)]:
                    for offset in range(0, len(piece), BLOCK):
                        block = piece[offset:offset + BLOCK]
                        if block != ZEROS[:len(block)]:
                            digest.update(b'%d:' % (position + offset))
                            digest.update(block)
                position += len(piece)
    finally:
        os.close(fd)
    return digest.hexdigest()


def attributes(name):
    try:
        names = os.listxattr(name, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.EOPNOTSUPP):
            return {}
        return {'': os.strerror(error.errno)}
    found = {}
    for attribute in sorted(names):
        try:
            found[os.fsencode(attribute).decode('latin-1')] = os.getxattr(name, attribute, follow_symlinks=False).hex()
        except OSError as error:
            found[os.fsencode(attribute).decode('latin-1')] = os.strerror(error.errno)
    return found


def describe(name, path):
    about = os.lstat(name)
    kind = stat.S_IFMT(about.st_mode)
    entry = {
        'path': path.decode('latin-1'), 'type': TYPES[kind], 'mode': stat.S_IMODE(about.st_mode), 'uid': about.st_uid, 'gid': about.st_gid,
        'mtime': str(about.st_mtime_ns), 'xattrs': attributes(name),
    }
    if kind != stat.S_IFDIR:
        entry['size'] = about.st_size
        entry['linkedTo'] = first_of_inode.setdefault((about.st_dev, about.st_ino), entry['path'])
        entry['linkCount'] = about.st_nlink
    if kind == stat.S_IFREG:
        entry['allocated'] = about.st_blocks * 512
        try:
            entry['content'] = content_hash(name, about.st_size)
        except OSError as error:
            entry['content'] = os.strerror(error.errno)
    if kind == stat.S_IFLNK:
        entry['target'] = os.readlink(name).decode('latin-1')
    if kind in (stat.S_IFCHR, stat.S_IFBLK):
        entry['device'] = [os.major(about.st_rdev), os.minor(about.st_rdev)]
    return entry


def walk(out):
    """The stack holds the names that are left of each directory on the way."""
    out.write(json.dumps(describe(b'.', b'')) + '\n')
    stack = [sorted(os.listdir(b'.'), reverse=True)]
    path = []
    while stack:
        if not stack[-1]:
            stack.pop()
            if stack:
                os.chdir('..')
                path.pop()
            continue
        name = stack[-1].pop()
        entry = describe(name, b'/'.join(path + [name]))
        if entry['type'] == 'directory':
            try:
                inner = None
                os.chdir(name)
                try:
                    inner = sorted(os.listdir(b'.'), reverse=True)
                except OSError as error:
                    entry['unlisted'] = os.strerror(error.errno)
                    inner = []
            except OSError as error:
                entry['unlisted'] = os.strerror(error.errno)
            if inner is not None:
                stack.append(inner)
                path.append(name)
        out.write(json.dumps(entry) + '\n')


os.chdir(os.fsencode(sys.argv[1]))
walk(sys.stdout)
