"""The checkpoint from which a run resumes: append-only, checksummed records of its generations, without pickle."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from deap_nn.core.files import open_append, sync_folder

MAGIC = b"deap_nn checkpoint 1\n"

_HEAD = struct.Struct("<I4s8s")
"""A record's length, the digest of that, and the digest of its content."""
_SIZES = struct.Struct("<III")
"""The length of a record's JSON, and the shape of its fitness values."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be read, written or resumed from."""


@dataclass(frozen=True)
class Generation:
    """The record of a generation, from which the next one is bred and scored as in an unbroken run.

    Parameters
    ----------
    number : int
        The number of the generation.
    sigma : float, optional
        The sigma (mutation step size) with which its children were bred.
    adaptation : dict
        The state of the adaptation at this generation.
    row : dict
        Its row of the logbook.
    seconds, elapsed : float
        The time that it took, and the time since the run began.
    evaluations : int
        The number of the run's evaluations so far.
    states : dict
        By callback, the result of `Callback.state` before the callback got this generation.
    history : str
        A digest that identifies the run up to this generation: of its seed, of all other numbers that decide breeding,
        and of the parents of all members.
    wvalues : numpy.ndarray
        The weighted fitness values, shape (members, objectives), float64.
    chosen : numpy.ndarray
        For each child, the parent that it replaces, of the generation before: the kind, which tells an opposite from a
        member, in the upper 4 bits, and the place; shape (members,), uint32. Neighbours were mated, as many as the run
        has mates. In generation 0 the founders' own places.
    settings : dict
        In generation 0 the settings that decide the run's numbers, by `settings_record`, and the environment of the
        process that began the run, by `environment`; empty in the others.
    inputs : bytes
        The inputs of layers onto which the step to the next centre is projected, by `packed_inputs`; empty without any.
    """

    number: int
    sigma: float | None
    adaptation: dict[str, Any]
    row: dict[str, Any]
    seconds: float
    elapsed: float
    evaluations: int
    states: dict[str, Any]
    history: str
    wvalues: NDArray[np.float64] = field(repr=False)
    chosen: NDArray[np.uint32] = field(repr=False)
    settings: dict[str, Any] = field(default_factory=dict)
    inputs: bytes = field(default=b"", repr=False)

    @property
    def bred(self) -> tuple[NDArray[np.uint32], float | None, bytes]:
        """What its genomes and the next centre are bred from besides their ancestors: `chosen`, `sigma`, `inputs`."""
        return self.chosen, self.sigma, self.inputs

    @property
    def best(self) -> int:
        """The place of the best member, the first of several equal ones."""
        return max(range(len(self.wvalues)), key=self.wvalues.tolist().__getitem__)

    @property
    def parents(self) -> int:
        """The number of different parents of its children; 0 in generation 0."""
        return len(np.unique(self.chosen)) if self.number else 0

    def to_bytes(self) -> bytes:
        """Return the content of its record."""
        values = {name: value for name, value in vars(self).items() if name not in ("wvalues", "chosen", "inputs")}
        text = json.dumps(values, separators=(",", ":")).encode()
        sizes = _SIZES.pack(len(text), *self.wvalues.shape)
        return sizes + text + self.wvalues.astype("<f8").tobytes() + self.chosen.astype("<u4").tobytes() + self.inputs

    @classmethod
    def from_bytes(cls, content: bytes) -> Generation:
        """Return the generation of a record's content."""
        length, *shape = _SIZES.unpack_from(content)
        text, arrays = content[_SIZES.size : _SIZES.size + length], content[_SIZES.size + length :]
        wvalues = np.frombuffer(arrays, "<f8", shape[0] * shape[1]).reshape(shape)
        chosen = np.frombuffer(arrays, "<u4", shape[0], wvalues.nbytes)
        inputs = arrays[wvalues.nbytes + chosen.nbytes :]
        return cls(**json.loads(text), wvalues=wvalues, chosen=chosen, inputs=inputs)


def record_of(generation: Generation) -> bytes:
    """Return the record of a generation: a head, and the content."""
    content = generation.to_bytes()
    return _head(generation.number, content) + content


def _head(number: int, content: bytes) -> bytes:
    length = len(content)
    return _HEAD.pack(length, _digest(number, length.to_bytes(4, "little"), 4), _digest(number, content, 8))


def _digest(number: int, content: bytes, size: int) -> bytes:
    # With the number as salt, so that a record in another record's place is damage.
    return hashlib.blake2b(content, digest_size=size, salt=number.to_bytes(8, "little")).digest()


def keyframes_in(folder: Path) -> list[Path]:
    """Return the keyframes in a checkpoint's folder, the newest first; there is more than one only after a kill."""
    names = [path for path in folder.glob("keyframe-*") if re.fullmatch("keyframe-[0-9]{1,18}", path.name)]
    return sorted(names, key=lambda path: int(path.name.removeprefix("keyframe-")), reverse=True)


def read_generations(folder: str | os.PathLike[str]) -> list[Generation]:
    """Return the whole generations of the checkpoint in a run's folder; another process may be writing it.

    Raises
    ------
    CheckpointError
        If it is damaged before its end.
    OSError
        If there is no checkpoint that can be read.
    """
    return [generation for _, generation in records_in(Path(folder, "generations"))]


def read_first(folder: str | os.PathLike[str]) -> Generation | None:
    """Return generation 0 of the checkpoint in a run's folder, or None if its record is not whole.

    Raises
    ------
    CheckpointError, OSError
        As `read_generations`.
    """
    return next((generation for _, generation in records_in(Path(folder, "generations"))), None)


def records_in(path: Path) -> Iterator[tuple[int, Generation]]:
    """Yield each generation of a checkpoint's file after the byte at which its record ends.

    An unfinished record at the end, which a killed run may leave, is left out.

    Raises
    ------
    CheckpointError
        If the file is of another format, or damaged before its end.
    OSError
        If there is no file that can be read.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size  # before reading: the file may grow meanwhile
        start = file.read(len(MAGIC))
        if start != MAGIC[: len(start)]:
            raise CheckpointError(f"{path.parent} has no checkpoint of this version: move it away, or name another one")
        number, end = 0, len(MAGIC)
        while end + _HEAD.size <= size:
            head = file.read(_HEAD.size)
            length, of_length, _ = _HEAD.unpack(head)
            is_known = of_length == _digest(number, head[:4], 4)
            if is_known and end + _HEAD.size + length > size:
                return
            content = file.read(length) if is_known else b""
            if head != _head(number, content):
                if is_known and file.tell() == size:
                    return
                raise CheckpointError(f"{path} is damaged at byte {end}, in generation {number}")
            number, end = number + 1, file.tell()
            yield end, Generation.from_bytes(content)


SYNC_SECONDS = 1.0
"""The least time between two flushes of added generations to the disk."""


class Checkpoint:
    """The checkpoint in a run's folder, open only once at a time, in one process; ``with`` closes it.

    Parameters
    ----------
    folder : path-like
        Made if it does not exist. Its records are read, and an unfinished record, which a killed run may leave at the
        end, is cut off.

    Attributes
    ----------
    cut_off : bool
        Whether an unfinished record was cut off.

    Raises
    ------
    CheckpointError
        If another process has it open, it is of another format, or its records are damaged.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.path = Path(folder, "generations")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Open as long as the run: closing it would release the lock.
        self._file = open_append(self.path)
        self._synced = 0.0
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._cut_off_unfinished()
        except BlockingIOError:
            self._file.close()
            raise CheckpointError(f"{self.path.parent} is in use by another run") from None
        except BaseException:
            self._file.close()
            raise

    def _cut_off_unfinished(self) -> None:
        handle, whole = self._file.fileno(), len(MAGIC)
        for whole, _ in records_in(self.path):  # noqa: B007  (the last one is the end of the file)
            pass
        size = os.fstat(handle).st_size
        self.cut_off = size > whole
        if size < len(MAGIC):  # killed before the first record
            os.ftruncate(handle, 0)
            self._file.write(MAGIC)
            sync_folder(self.path.parent)
            sync_folder(self.path.parent.parent)
            return
        os.ftruncate(handle, whole)
        for path in self.path.parent.glob("keyframe-*.partial"):
            path.unlink()

    @property
    def past(self) -> list[Generation]:
        """The generations so far, read from the file."""
        return read_generations(self.path.parent)

    def append(self, generation: Generation) -> None:
        """Add the next generation: it is written at once, and flushed to the disk unless one was a moment ago.

        Raises
        ------
        OSError
            If it cannot be written or flushed to the disk.
        """
        record = record_of(generation)
        whole = os.fstat(self._file.fileno()).st_size
        try:
            while record:
                record = record[self._file.write(record) :]
        except BaseException:  # Ctrl-C too: a part of a record would be damage before the next one
            os.ftruncate(self._file.fileno(), whole)
            raise
        if time.monotonic() - self._synced > SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Flush the added generations to the disk."""
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def keyframe_path(self, generation: int) -> Path:
        """Return the path of a generation's keyframe."""
        return self.path.parent / f"keyframe-{generation}"

    def keep_newest_keyframe(self) -> None:
        """Remove all keyframes but the newest."""
        for path in keyframes_in(self.path.parent)[1:]:
            path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Flush everything to the disk, and release the lock for other processes.

        Raises
        ------
        OSError
            If it cannot be flushed.
        """
        if not self._file.closed:
            try:
                self.sync()
            finally:
                self._file.close()
