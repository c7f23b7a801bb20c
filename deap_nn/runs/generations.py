"""The records of a checkpoint: their format, and reading them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGIC = b"deap_nn checkpoint 6\n"
RESUMABLE = (MAGIC, b"deap_nn checkpoint 5\n", b"deap_nn checkpoint 4\n", b"deap_nn checkpoint 3\n")
"""The versions that a run resumes from. Those before 6 have no layer inputs, those before 5 no opposites, and version 3
has no settings."""
READABLE = (*RESUMABLE, b"deap_nn checkpoint 2\n")
"""The versions that are read. Version 2 has no history and lists callbacks by place, so no run resumes from it."""

_FRAME = struct.Struct("<II8s")
"""A record's length, the checksum of its number and length, and the digest of its content."""
_SIZES = struct.Struct("<III")


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
        For each child, the place in the generation before of the parent that it replaces; shape (members,),
        uint32. Neighbours were mated, as many as the run has mates. The place of an opposite is its member's with the
        upper bit set, `OPPOSITE`. In generation 0 the founders' own places; older checkpoints have none there.
    settings : dict, optional
        In generation 0 the settings that decide the run's numbers, by `settings_record`, and the environment of the
        process that began the run, by `environment`; not in older checkpoints.
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
    settings: dict[str, Any] | None = None
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
        binary = ("wvalues", "chosen", "inputs")
        values: dict[str, Any] = {name: value for name, value in vars(self).items() if name not in binary}
        if self.settings is None:
            del values["settings"]
        if self.inputs:
            values["inputs"] = len(self.inputs)
        text = json.dumps(values, separators=(",", ":")).encode()
        sizes = _SIZES.pack(len(text), *self.wvalues.shape)
        return sizes + text + self.wvalues.astype("<f8").tobytes() + self.chosen.astype("<u4").tobytes() + self.inputs

    @classmethod
    def from_bytes(cls, content: bytes) -> Generation:
        """Return the generation of a record's content.

        Raises
        ------
        ValueError
            If the content is not that of a generation.
        """
        try:
            length, members, objectives = _SIZES.unpack_from(content)
            values = {"history": ""} | json.loads(content[_SIZES.size : _SIZES.size + length])
            rest = content[_SIZES.size + length :]
            split, size = 8 * members * objectives, values.get("inputs", 0)
            if not isinstance(size, int) or not 0 <= size <= len(rest):
                raise TypeError("its entry inputs is no number of bytes")
            rest, values["inputs"] = rest[: len(rest) - size], rest[len(rest) - size :]
            if len(rest) not in (split, split + 4 * members) or len(rest[:split]) != split:
                raise ValueError("its size differs from that in its header")
            wvalues = np.frombuffer(rest[:split], dtype="<f8").reshape(members, objectives)
            if isinstance(values.get("states"), list):  # version 2 lists them by the callbacks' places
                values["states"] = {str(place): state for place, state in enumerate(values["states"])}
            _check_record(values)
            return cls(**values, wvalues=wvalues, chosen=np.frombuffer(rest[split:], dtype="<u4"))
        except (struct.error, TypeError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"a record is not that of a generation: {error}") from error


def _check_record(values: dict[str, Any]) -> None:
    """Raise TypeError if an entry of a record has a wrong type."""
    for name in ("row", "adaptation", "states"):
        if not isinstance(values.get(name), dict):
            raise TypeError(f"its entry {name} is not an object")
    if not all(isinstance(state, dict) for state in values["states"].values()):
        raise TypeError("the state of a callback is not an object")
    if not isinstance(values.get("settings"), dict | None):
        raise TypeError("its entry settings is not an object")


def _frame(ordinal: int, content: bytes) -> bytes:
    length = len(content)
    return _FRAME.pack(length, _checksum(ordinal, length), _digest(ordinal, content))


def _checksum(ordinal: int, length: int) -> int:
    return zlib.crc32(struct.pack("<QI", ordinal, length))


def _digest(ordinal: int, content: bytes) -> bytes:
    # With the number as salt, so that a record in another record's place is damage.
    return hashlib.blake2b(content, digest_size=8, salt=ordinal.to_bytes(8, "little")).digest()


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
    path = Path(folder, "generations")
    found: list[Generation] = []
    size = path.lstat().st_size  # before reading: the file may grow meanwhile
    for end, generation in _records(path, READABLE):
        if generation is not None:
            found.append(generation)
        elif end < size:
            raise CheckpointError(f"{path} is damaged in generation {len(found)}")
    return found


def read_first(folder: str | os.PathLike[str]) -> Generation | None:
    """Return generation 0 of the checkpoint in a run's folder, or None if its record is not whole.

    Raises
    ------
    CheckpointError, OSError
        If there is no checkpoint that can be read.
    """
    return next((generation for _, generation in _records(Path(folder, "generations"), READABLE)), None)


def _records(path: Path, versions: Sequence[bytes] = RESUMABLE) -> Iterator[tuple[int, Generation | None]]:
    """Yield the byte at which each record ends and its generation, or None if it is damaged or cut off at the end."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if file.read(len(MAGIC)) not in versions:
            raise CheckpointError(f"{path} is not a checkpoint of this version")
        ordinal, place = 0, len(MAGIC)
        while place < size:
            head = file.read(_FRAME.size)
            if len(head) < _FRAME.size:
                yield size, None
                return
            length, checksum, digest = _FRAME.unpack(head)
            if checksum != _checksum(ordinal, length):
                yield place, None
                return
            if place + _FRAME.size + length > size:
                yield size, None
                return
            content = file.read(length)
            place += _FRAME.size + length
            if _digest(ordinal, content) != digest:
                yield place, None
                return
            try:
                yield place, Generation.from_bytes(content)
            except ValueError as error:
                raise CheckpointError(f"{path}: generation {ordinal}: {error}") from error
            ordinal += 1
