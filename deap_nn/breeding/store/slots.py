"""The genomes that a host's processes share: slots in memory-mapped files."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import shutil
import tempfile
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from deap_nn.core.files import appear, is_plain, open_plain
from deap_nn.genome.vectors import Vector
from deap_nn.process.private_folders import is_foreign, sweep_folders

_PREFIX = "deap_nn-"
_PAGE = mmap.PAGESIZE
_EMPTY = -1
SEGMENT_BYTES = 1 << 26
"""How much is claimed at a time, if that is room for a genome or more."""


MOST_SLOTS = 4096
"""A segment of tiny genomes has no more, so that a small cache has room for one."""

FEWEST_SLOTS = 4
"""Two parents of a child, and two of one of them."""

PLENTY = 1 << 31
"""So much room in shared memory is enough to prefer it."""


def default_place() -> Path:
    """Return where caches are made: in shared memory if it has room for more than the temporary folder, or a lot."""
    shared, temporary = Path("/dev/shm"), Path(tempfile.gettempdir())  # noqa: S108  (folders in it are ours)
    if not shared.is_dir() or not os.access(shared, os.W_OK):
        return temporary
    return shared if free_bytes(shared) >= min(PLENTY, free_bytes(temporary)) else temporary


def free_bytes(place: Path) -> int:
    """Return how much may be claimed at a place: three quarters of what its file system has free."""
    status = os.statvfs(place)
    return status.f_bavail * status.f_frsize * 3 // 4


def sweep(place: Path) -> None:
    """Remove the caches at a place that no living process of their runs holds."""
    sweep_folders(place, f"{_PREFIX}{os.getuid()}-*")


def _segment(weights: int) -> tuple[int, int, int]:
    """Return the bytes from one slot to the next, the slots of a segment, and the bytes before the first."""
    stride = max(1, -(-weights * 4 // _PAGE)) * _PAGE
    slots = min(max(1, SEGMENT_BYTES // stride), MOST_SLOTS)
    return stride, slots, -(-slots * 8 // _PAGE) * _PAGE


def segment_bytes(weights: int) -> int:
    """Return the size of each file of a cache for genomes of so many weights."""
    stride, slots, head = _segment(weights)
    return head + slots * stride


def slots_in(size: int, weights: int) -> int:
    """Return how many genomes of so many weights a cache of `size` bytes holds."""
    _, slots, _ = _segment(weights)
    return size // segment_bytes(weights) * slots


class GenomeCache:
    """Slots for genomes, shared by the processes of a run on this host.

    A slot says which genome it holds only while it holds all of it, so what is read is whole. Who reads asks again
    after reading (`holds`): a slot that was used again meanwhile says so.

    Parameters
    ----------
    token : str
        The run's name, which its processes share.
    weights : int
        How many weights a genome has.
    place : Path
        Where to keep the files. A host that does not have it takes its `default_place`.
    """

    def __init__(self, token: str, weights: int, place: Path) -> None:
        place = place if place.is_dir() else default_place()
        self.folder = place / f"{_PREFIX}{os.getuid()}-{token}"
        self._weights = weights
        self._stride, self.per_segment, self._head = _segment(weights)
        self._segments: dict[int, tuple[IO[bytes], memoryview, mmap.mmap, dict[int, Vector]]] = {}
        self._opening = threading.Lock()  # a file opened twice loses its locks when one is closed
        self.full = False
        self._lock = self._locked()

    def _locked(self) -> IO[bytes]:
        """Make the folder, and return its lock, held as long as the cache; another run's `sweep` may come between.

        If something else is there by that name, the folder has another: this process shares no genomes then.
        """
        name = self.folder.name
        while True:
            with contextlib.suppress(FileExistsError):
                self.folder.mkdir(mode=0o700)
            path = self.folder / "lock"
            if is_foreign(self.folder) or (os.path.lexists(path) and not is_plain(path)):
                self.folder = self.folder.with_name(f"{name}-{uuid.uuid4().hex}")
                continue
            with contextlib.suppress(FileNotFoundError):
                lock = open_plain(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
                fcntl.flock(lock, fcntl.LOCK_SH)
                with contextlib.suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                        return lock
                lock.close()

    def _open(self, number: int, *, create: bool) -> bool:
        with self._opening:
            return number in self._segments or self._open_now(number, create=create)

    def _open_now(self, number: int, *, create: bool) -> bool:
        path = self.folder / f"segment{number}"
        if not path.exists() and (self.full or not create or not self._create(path)):
            return False
        file = open(path, "r+b")  # noqa: SIM115  (kept open for its locks)
        mapping = mmap.mmap(file.fileno(), 0)
        # The marks are aligned integers of 8 bytes: another process sees such a store whole or not at all.
        keys = memoryview(mapping)[: self.per_segment * 8].cast("q")
        self._segments[number] = file, keys, mapping, {}
        return True

    def _view(self, number: int, place: int) -> Vector:
        """Return a slot's memory as an array, always the same one."""
        *_, mapping, views = self._segments[number]
        # One object for a slot: `Ancestors` compares identities to learn whether it was given to another genome.
        found = views.get(place)
        if found is None:
            start = self._head + place * self._stride
            found = views.setdefault(place, np.frombuffer(mapping, np.float32, self._weights, start))
        return found

    def _create(self, path: Path) -> bool:
        """Claim the room of a segment; false where there is none."""
        keys = np.full(self.per_segment, _EMPTY, np.int64).tobytes()
        room = self._head + self.per_segment * self._stride
        self.full = not appear(path, room, lambda file: os.pwrite(file, keys, 0))
        return not self.full

    def read(self, slot: int, key: int) -> Vector | None:
        """Return the genome `key` as a view of its slot, or None where the slot does not hold it."""
        number, place = divmod(slot, self.per_segment)
        if number not in self._segments and not self._open(number, create=False):
            return None
        keys = self._segments[number][1]
        return self._view(number, place) if keys[place] == key else None

    def holds(self, slot: int, key: int) -> bool:
        """Return whether a slot holds the genome `key`."""
        return self.read(slot, key) is not None

    @contextlib.contextmanager
    def writing(self, slot: int, key: int) -> Iterator[Vector | None]:
        """Give the slot's memory to write the genome `key` into; None where it cannot be had at once."""
        number, place = divmod(slot, self.per_segment)
        if not self._open(number, create=True):
            yield None
            return
        file, keys, *_ = self._segments[number]
        # The lock covers the slot's own mark and ends with its process, so a killed one blocks no other.
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 8, place * 8)
        except OSError:  # another process is writing it
            yield None
            return
        try:
            # Readers take no lock. The mark goes first and comes back last, so what they find is whole; after reading
            # they look at the mark once more (`holds`). Compiled passes fence what they wrote past the caches.
            keys[place] = _EMPTY
            yield self._view(number, place)
            keys[place] = key
        finally:
            fcntl.lockf(file, fcntl.LOCK_UN, 8, place * 8)

    def close(self) -> None:
        """Let go of the files, and remove them if this was the run's last process here."""
        for file, *_ in self._segments.values():
            file.close()
        self._segments.clear()
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(self.folder, ignore_errors=True)
        except BlockingIOError:
            pass
        self._lock.close()

    def remove(self) -> None:
        """Remove the files, whoever uses them: mappings stay valid until their processes let go of them."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.close()
