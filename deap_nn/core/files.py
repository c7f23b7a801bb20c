"""Files that appear whole or not at all, and reading files of arrays."""

from __future__ import annotations

import contextlib
import csv
import errno
import json
import math
import os
import secrets
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    EOFError,
    MemoryError,
    RuntimeError,
    csv.Error,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""The errors that NumPy, zipfile, csv and json raise for files that are damaged, encrypted or otherwise unreadable."""


def open_append(path: str | os.PathLike[str]) -> IO[bytes]:
    """Open a file for unbuffered appending, new or existing; OSError if it is a link."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    return os.fdopen(handle, "ab", buffering=0)


def printable(text: str) -> str:
    r"""Return text with its control characters escaped, so that a terminal does not obey them.

    Examples
    --------
    >>> print(printable("digit.png" + chr(27) + "[2J"))
    digit.png\x1b[2J
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Flush a folder's entries to the disk, if the user's permissions and the file system allow it."""
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP):
            raise


def plain(value: Any) -> Any:
    """Return `value` with NumPy numbers and arrays converted to Python numbers and lists."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def finite(value: Any) -> Any:
    """Return `value` with NaN and infinity replaced by None, which JSON writes as null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return value


@contextmanager
def replacing(path: str | os.PathLike[str], *, durable: bool = False) -> Iterator[Path]:
    """Yield a new file beside `path`, which replaces `path` if the body succeeds, and is removed otherwise.

    With `durable` its content and its name are flushed to the disk. Without it a power cut may leave an empty file,
    even if `path` had content before.
    """
    target = Path(path)
    # Libraries go by the suffix; a long one is none of theirs, and no name may be over 255 bytes.
    partial = target.parent / f".{secrets.token_hex(8)}{target.suffix if len(target.suffix) < 16 else ''}"
    try:
        try:
            # The system applies the umask, which `mkstemp` does not, and which no thread can read without setting it.
            os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error
        yield partial
        if durable:
            with open(partial, "rb") as file:
                os.fsync(file.fileno())
        partial.replace(target)
    except BaseException:  # an interrupt may come before the name of a file just made is known to be there
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
    if durable:
        sync_folder(target.parent)


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a file to write for a path that the user names, which is replaced as by `replacing`.

    A link is followed, other than in a run's folder, and a device or a pipe is written to itself.
    """
    named = Path(path)
    if named.exists() and not (named.is_file() or named.is_dir()):
        yield named
        return
    with replacing(os.path.realpath(named) if named.is_symlink() else named) as partial:
        yield partial


def write_text(path: str | os.PathLike[str], text: str, *, durable: bool = False) -> None:
    """Write a text file whole or not at all; `durable` as for `replacing`."""
    with replacing(path, durable=durable) as partial:
        partial.write_text(text, encoding="utf-8")


def append_text(path: str | os.PathLike[str], text: str) -> None:
    """Append to a text file, the whole text or nothing, such as on a full disk."""
    data = text.encode()
    with open_append(path) as file:
        size = file.seek(0, os.SEEK_END)
        try:
            if file.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        except OSError:
            file.truncate(size)
            raise


def write_json(path: str | os.PathLike[str], value: Any, *, durable: bool = False) -> None:
    """Write a JSON file whole or not at all; NumPy numbers become numbers, NaN and infinity null."""
    write_text(path, json_text(value) + "\n", durable=durable)


def json_text(value: Any) -> str:
    """Return a value as JSON; NumPy numbers become numbers, NaN and infinity null."""
    return json.dumps(finite(plain(value)), indent=1, allow_nan=False)


def write_with(path: str | os.PathLike[str], write: Callable[[Path], object], *, durable: bool = False) -> None:
    """Call `write` to make a file, whole or not at all; `durable` as for `replacing`."""
    with replacing(path, durable=durable) as partial:
        write(partial)


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, Any], *, durable: bool = False) -> None:
    """Write an ``.npz`` file whole or not at all, whatever the suffix; `durable` as for `replacing`."""
    # NumPy appends ".npz" to a name that lacks it, and nothing to an open file.
    with replacing(path, durable=durable) as partial, open(partial, "wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


_BLOCK = 1 << 20


def claim(descriptor: int, size: int) -> None:
    """Extend an empty file to `size` bytes, with disk space for all of them, or raise OSError."""
    # ``os.ftruncate`` takes no space: on a full disk a later write to the mapped file would end the process by SIGBUS.
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
        return
    for start in range(0, size, _BLOCK):  # macOS has no posix_fallocate
        os.pwrite(descriptor, bytes(min(_BLOCK, size - start)), start)


def appear(path: Path, size: int, write: Callable[[int], object]) -> bool:
    """Create a whole file of `size` bytes, with disk space for all; return False if there is no space or no folder.

    Parameters
    ----------
    path : Path
        The file. If another process has created it first, that process' file stays.
    size : int
        Its size in bytes.
    write : callable
        Gets the open file's descriptor and writes the parts that are not zero.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent) as file:
            claim(file.fileno(), size)
            write(file.fileno())
            with contextlib.suppress(FileExistsError):  # a rename would replace the file of a faster process
                os.link(file.name, path)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.ENOENT):
            raise
        return False
    return True


def write_all(descriptor: int, data: Any) -> None:
    """Write bytes of any size to an open file: a single call of the system writes less than 2 GiB."""
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)


def arrays_in(path: str | os.PathLike[str], names: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
    """Return the arrays of an ``.npz`` file: all, or those of `names` that it has.

    Raises
    ------
    One of ``UNREADABLE``
        If it is not an ``.npz`` file.
    """
    with open(path, "rb") as file:  # NumPy leaves a damaged file open that it has opened itself
        archive = np.load(file, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("is not an .npz file")
        with archive:
            return {name: archive[name] for name in archive.files if not names or name in names}
