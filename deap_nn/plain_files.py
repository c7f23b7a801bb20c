"""Files of a folder that anybody may have made: opened without following links and without waiting."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import IO

SMALL_BYTES = 16 << 20
"""The largest file of settings or of a run's status that is read."""

LARGEST_BYTES = 4 << 30
"""The largest file that is read at all."""


def open_plain(path: str | os.PathLike[str], flags: int = os.O_RDONLY) -> IO[bytes]:
    """Open a regular file to read, or with other flags to append, unbuffered.

    The opening of a named pipe would wait for its other end, for ever where none comes.

    Raises
    ------
    OSError
        If it is a link, a pipe, a device or a folder, or cannot be opened.
    """
    if Path(path).is_symlink():
        raise OSError(errno.ELOOP, "is a link, and links are not followed", str(path))
    handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "is no regular file", str(path))
    return os.fdopen(handle, "rb") if flags == os.O_RDONLY else os.fdopen(handle, "ab", buffering=0)


def read_plain(path: str | os.PathLike[str], most: int = LARGEST_BYTES) -> bytes:
    """Return the content of a regular file of at most `most` bytes.

    Raises
    ------
    OSError
        If it is larger, no regular file, or cannot be read.
    """
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise OSError(errno.EFBIG, f"has {size:,} bytes, at most {most:,} are read", str(path))
        return file.read(size)  # and no more, if it grows meanwhile


def is_plain(path: str | os.PathLike[str]) -> bool:
    """Return whether there is a regular file at a path, and no link to one."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def check_folder(path: str | os.PathLike[str]) -> None:
    """Raise OSError where there is something at a path that is no folder, such as a link to one."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode):
        what = "is a link, and links are not followed" if stat.S_ISLNK(found.st_mode) else "is no folder"
        raise OSError(errno.ENOTDIR, what, str(path))


def printable(text: str) -> str:
    r"""Return text in which control characters, which a terminal would obey, are escaped.

    Examples
    --------
    >>> print(printable("digit.png" + chr(27) + "[2J"))
    digit.png\x1b[2J
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Bring a folder's entries to the disk, where this user may, and the file system knows how to."""
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP):
            raise


def is_regular(path: Path) -> bool:
    """Return whether a path, if need be by links, is a regular file of at most ``LARGEST_BYTES``."""
    found = path.stat()
    return stat.S_ISREG(found.st_mode) and found.st_size <= LARGEST_BYTES
