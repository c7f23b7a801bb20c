"""A keyframe: the weights of some members in one file, so that they need not be recomputed from the seeds."""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from deap_nn.core.files import sync_folder
from deap_nn.genome.vectors import Vector

MAGIC = b"deap_nn keyframe 1\n"

_PAGE = 4096
_HEAD = struct.Struct("<I16s")


class KeyframeError(ValueError):
    """A file that is no whole keyframe."""


def _digest(content: bytes | memoryview) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


class Keyframe:
    """The weights in a file, mapped into memory.

    Parameters
    ----------
    path : path-like
        The file.

    Raises
    ------
    KeyframeError
        If it is not whole.
    OSError
        If it cannot be read.

    Attributes
    ----------
    generation : int
        The generation after which it was made: it holds the parents of that generation's members.
    history : str
        The history of its run, as given to `write_keyframe`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        with open(path, "rb") as file:
            start = file.read(len(MAGIC) + _HEAD.size)
            if len(start) < len(MAGIC) + _HEAD.size or not start.startswith(MAGIC):
                raise KeyframeError(f"{path} is no keyframe of this version")
            length, digest = _HEAD.unpack(start[len(MAGIC) :])
            text = file.read(length)
            if len(text) != length or _digest(text) != digest:
                raise KeyframeError(f"{path}: its head is damaged")
            try:
                head = json.loads(text)
                self.generation, self.history = int(head["generation"]), str(head["history"])
                self._size = int(head["weights"])
                self._digests = {int(key): bytes.fromhex(found) for key, found in head["members"]}
            except (ValueError, TypeError, LookupError, OverflowError, RecursionError) as error:
                raise KeyframeError(f"{path}: its head is not a keyframe's") from error
            begin = -(-file.tell() // _PAGE) * _PAGE
            if self._size < 0 or os.fstat(file.fileno()).st_size != begin + 4 * self._size * len(self._digests):
                raise KeyframeError(f"{path} has another size than it says")
            empty = not self._digests or not self._size
            mapping = b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._genomes = {
            key: np.frombuffer(mapping, np.dtype("<f4"), self._size, 0 if empty else begin + 4 * self._size * i)
            for i, key in enumerate(self._digests)
        }
        self._checked: set[int] = set()

    def find(self, key: int) -> Vector | None:
        """Return the weights of a member, always the same view; None if they are missing or damaged."""
        genome = self._genomes.get(key)
        if genome is not None and key not in self._checked:
            if _digest(genome.data) != self._digests[key]:
                del self._genomes[key]
                return None
            self._checked.add(key)
        return genome


def write_keyframe(
    path: str | os.PathLike[str], generation: int, history: str, keys: Sequence[int], weights: Callable[[int], Vector]
) -> None:
    """Write a keyframe, whole and on the disk, or not at all.

    Parameters
    ----------
    path : path-like
        The file; an older one is replaced.
    generation : int
        The generation after which it is made.
    history : str
        Identifies the run: members of other runs have the same ids.
    keys : sequence of int
        The ids of its members.
    weights : callable
        Returns the weights of a member, shape (n,), float32, with the same n for all. They must not change later.
    """
    digests = dict.fromkeys(keys, "0" * 32)
    partial = Path(f"{os.fspath(path)}.partial")
    try:
        partial.unlink(missing_ok=True)
        with open(partial, "xb") as file:
            size = 0
            for number, key in enumerate(keys):
                genome = weights(key).astype("<f4", copy=False)
                if not number:
                    size = genome.size
                    # Room for the start, which is written last: only then the digests are known.
                    file.write(bytes(len(_start(generation, history, size, digests))))
                digests[key] = _digest(genome.data).hex()
                file.write(genome.data)
            file.seek(0)
            file.write(_start(generation, history, size, digests))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        sync_folder(partial.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def _start(generation: int, history: str, size: int, digests: Mapping[int, str]) -> bytes:
    """Return the bytes before the weights; their number does not depend on the digests."""
    head = {"generation": generation, "history": history, "weights": size, "members": list(digests.items())}
    text = json.dumps(head, separators=(",", ":")).encode()
    start = MAGIC + _HEAD.pack(len(text), _digest(text)) + text
    return start.ljust(-(-len(start) // _PAGE) * _PAGE, b"\0")  # whole pages: the mapped weights are aligned
