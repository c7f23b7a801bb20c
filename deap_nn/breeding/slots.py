"""The cache of a host: its processes share genomes in the slots of memory-mapped files."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import heapq
import itertools
import mmap
import os
import shutil
import tempfile
import threading
import uuid
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from deap_nn.core.files import appear, open_append
from deap_nn.genome.vectors import Vector
from deap_nn.process.workers import is_foreign, sweep_folders

_PREFIX = "deap_nn-"
_PAGE = mmap.PAGESIZE
_EMPTY = -1
SEGMENT_BYTES = 1 << 26
"""The bytes claimed at a time (64 MiB), or those of one genome if they are more."""

MOST_SLOTS = 4096
"""The most slots of a segment, so that a small cache has room for a segment of tiny genomes."""

FEWEST_SLOTS = 4
"""The fewest slots of a cache: two parents of a child, and two parents of one of them."""

PLENTY = 1 << 31
"""With this number of free bytes (2 GiB) shared memory is preferred, even if the temporary folder has more."""


def default_place() -> Path:
    """Return the folder for caches: shared memory if it has more room than the temporary folder, or `PLENTY`."""
    shared, temporary = Path("/dev/shm"), Path(tempfile.gettempdir())  # noqa: S108  (folders in it are ours)
    if not shared.is_dir() or not os.access(shared, os.W_OK):
        return temporary
    return shared if free_bytes(shared) >= min(PLENTY, free_bytes(temporary)) else temporary


def free_bytes(place: Path) -> int:
    """Return the bytes that may be claimed at a place: three quarters of the free space of its file system."""
    status = os.statvfs(place)
    return status.f_bavail * status.f_frsize * 3 // 4


def sweep(place: Path) -> None:
    """Remove the caches at a place that no living process of their runs holds."""
    sweep_folders(place, f"{_PREFIX}{os.getuid()}-*")


def _segment(weights: int) -> tuple[int, int, int]:
    """Return the bytes from one slot to the next, the number of slots, and the bytes before the first."""
    # Whole pages: each slot is aligned, so that TensorFlow reads it without a copy.
    stride = max(1, -(-weights * 4 // _PAGE)) * _PAGE
    slots = min(max(1, SEGMENT_BYTES // stride), MOST_SLOTS)
    return stride, slots, -(-slots * 8 // _PAGE) * _PAGE


def slots_in(size: int, weights: int) -> int:
    """Return the number of genomes of a number of weights that a cache of `size` bytes holds."""
    stride, slots, head = _segment(weights)
    return size // (head + slots * stride) * slots


class _Segment(NamedTuple):
    """A file of a cache: the mark of each slot, which is the id of its genome, and the genomes as views."""

    file: IO[bytes]
    marks: memoryview
    genomes: list[Vector]


class GenomeCache:
    """Slots for genomes, shared by the processes of a run on this host.

    A slot is marked with its genome's id only while it holds all of the genome, so a reader finds it whole. After
    reading it checks the mark again (`find`): the slot may have been overwritten meanwhile.

    Parameters
    ----------
    token : str
        The run's name, which its processes share.
    weights : int
        The number of weights of a genome.
    place : Path
        The folder for the cache. A host without this folder takes its `default_place`.
    """

    def __init__(self, token: str, weights: int, place: Path) -> None:
        place = place if place.is_dir() else default_place()
        self.folder = place / f"{_PREFIX}{os.getuid()}-{token}"
        self._weights = weights
        self._stride, self.per_segment, self._head = _segment(weights)
        self._segments: dict[int, _Segment] = {}
        # One open file per segment: by POSIX, closing a second one would end this process' locks on it.
        self._opening = threading.Lock()
        self.full = False
        self._lock = self._locked()

    def _locked(self) -> IO[bytes]:
        """Make the folder, and return its lock, which is held as long as the cache.

        If the name is taken by a file or folder of others, the folder gets another name, and this process shares no
        genomes. Another run's `sweep` may remove the folder before it is locked: then it is made again.
        """
        name, is_new = self.folder.name, False
        while True:
            with contextlib.suppress(FileExistsError):
                self.folder.mkdir(mode=0o700)
            path = self.folder / "lock"
            if is_foreign(self.folder):
                if is_new:  # nobody else has a folder of this name: it was just made
                    shutil.rmtree(self.folder, ignore_errors=True)
                    text = "this file system keeps no permissions: name a folder on another one by TMPDIR"
                    raise OSError(errno.EPERM, text, str(self.folder.parent))
                self.folder, is_new = self.folder.with_name(f"{name}-{uuid.uuid4().hex}"), True
                continue
            with contextlib.suppress(FileNotFoundError):
                lock = open_append(path)
                fcntl.flock(lock, fcntl.LOCK_SH)
                with contextlib.suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                        return lock
                lock.close()

    def _segment(self, number: int, *, create: bool) -> _Segment | None:
        """Return a segment, opened or, with `create`, made before; None if there is none."""
        with self._opening:
            if number not in self._segments:
                path = self.folder / f"segment{number}"
                if not path.exists() and (self.full or not create or not self._create(path)):
                    return None
                file = open(path, "r+b")  # noqa: SIM115  (kept open for its locks)
                mapping = mmap.mmap(file.fileno(), 0)
                # The marks are aligned integers of 8 bytes: another process sees a store to one whole or not at all.
                marks = memoryview(mapping)[: self.per_segment * 8].cast("q")
                shape, strides = (self.per_segment, self._weights), (self._stride, 4)
                # One object per slot: `Genomes` compares identities to learn whether a genome is still in it.
                genomes = [*np.ndarray(shape, np.float32, mapping, self._head, strides)]
                self._segments[number] = _Segment(file, marks, genomes)
            return self._segments[number]

    def _create(self, path: Path) -> bool:
        """Claim the space of a segment; return False if there is none."""
        keys = np.full(self.per_segment, _EMPTY, np.int64).tobytes()
        room = self._head + self.per_segment * self._stride
        self.full = not appear(path, room, lambda file: os.pwrite(file, keys, 0))
        return not self.full

    def find(self, slots: Mapping[int, int]) -> dict[int, Vector]:
        """Return those of some genomes that their slots hold, as views of these; `slots` are by their ids."""
        found = {}
        for key, slot in slots.items():
            number, place = divmod(slot, self.per_segment)
            segment = self._segments.get(number) or self._segment(number, create=False)
            if segment is not None and segment.marks[place] == key:
                found[key] = segment.genomes[place]
        return found

    def read(self, slot: int, key: int) -> Vector | None:
        """Return the genome `key` as a view of its slot; None if the slot does not hold it."""
        return self.find({key: slot}).get(key)

    def holds(self, slot: int, key: int) -> bool:
        """Return whether a slot holds the genome `key`."""
        return self.read(slot, key) is not None

    @contextlib.contextmanager
    def writing(self, slot: int, key: int, *, over: int | None = None) -> Iterator[Vector | None]:
        """Yield a slot's memory for a genome.

        It is None if there is no space, if a process writes there, or if the genome is there. With `over` also if the
        slot does not hold the genome of that id, from which the new one is made.
        """
        number, place = divmod(slot, self.per_segment)
        segment = self._segment(number, create=True)
        try:
            # The lock covers the slot's own mark and ends with its process, so a killed process blocks no other.
            if segment is not None:
                fcntl.lockf(segment.file, fcntl.LOCK_EX | fcntl.LOCK_NB, 8, place * 8)
        except OSError:  # another process is writing it
            segment = None
        if segment is None:
            yield None
            return
        try:
            # After a second write of it a reader would find the mark that it found before.
            if segment.marks[place] == key or over not in (None, segment.marks[place]):
                yield None
                return
            # Readers take no lock. The mark is cleared before the first write and set after the last, so a marked slot
            # is whole; after reading they check the mark again. Compiled passes write past the processor's caches and
            # end with a memory fence: their writes are visible before the mark.
            segment.marks[place] = _EMPTY
            yield segment.genomes[place]
            segment.marks[place] = key
        finally:
            fcntl.lockf(segment.file, fcntl.LOCK_UN, 8, place * 8)

    def close(self) -> None:
        """Close the files, and remove them if this process was the run's last on this host; again: nothing."""
        if self._lock.closed:
            return
        for segment in self._segments.values():
            segment.file.close()
        self._segments.clear()
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()

    def remove(self) -> None:
        """Remove the files, even if other processes use them: their mappings stay valid."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.close()


LODGED_WEIGHTS = 1_000_000
"""Children with fewer weights get no slots: breeding them a second time is cheap."""

LODGED_MATES = 3
"""Children of fewer parents get no slots: to breed only one of a pair costs just a third more than its share."""

LODGED_SHARE = 0.2
"""The largest share of the cache for the children of a generation: other runs on the host use the same memory."""


class SlotTable:
    """The assignment of slots to genomes.

    Parameters
    ----------
    count : int
        The number of slots in the cache.

    Attributes
    ----------
    held : dict
        The slot of each genome that has one, by its id.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.held: dict[int, int] = {}
        self._free: list[int] = []  # a heap: low slots are used again first, so that files of the cache stay few
        self._fresh = 0  # the first slot that was never used

    def take(self, key: int) -> bool:
        """Give a genome a slot, unless it has one, and return whether it has one now."""
        if key not in self.held:
            if self._free:
                self.held[key] = heapq.heappop(self._free)
            elif self._fresh < self.count:
                self.held[key], self._fresh = self._fresh, self._fresh + 1
        return key in self.held

    def lodge(self, children: Iterable[int], weights: int, mates: int) -> None:
        """Give children slots of their own: then children chosen as parents are not bred a second time.

        To breed only one child of four parents costs about twice its share of breeding all four siblings.

        Parameters
        ----------
        children : iterable of int
            Their ids.
        weights : int
            The number of weights of each.
        mates : int
            The number of their parents.
        """
        if weights >= LODGED_WEIGHTS and mates >= LODGED_MATES:
            for child in itertools.islice(children, int(self.count * LODGED_SHARE)):
                self.take(child)

    def pass_on(self, old: int, new: int) -> None:
        """Give the slot of a genome to another one, which is made from it there, if only the first has a slot."""
        if old in self.held and new not in self.held:
            self.held[new] = self.held.pop(old)

    def keep_only(self, needed: Container[int]) -> None:
        """Free the slots of all genomes except the needed ones."""
        for key in [key for key in self.held if key not in needed]:
            heapq.heappush(self._free, self.held.pop(key))
