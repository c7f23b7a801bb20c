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

from deap_nn.core.files import open_plain

MAGIC = b"deap_nn checkpoint 4\n"
GONE_ON_WITH = (MAGIC, b"deap_nn checkpoint 3\n")
"""Version 3 has no settings."""
READABLE = (*GONE_ON_WITH, b"deap_nn checkpoint 2\n")
"""Version 2 knows no history, and callbacks by their places: it is read, and not gone on with."""

LARGEST_RECORD = 1 << 30
"""The largest record that is read: of a generation of some eighty million members."""

_FRAME = struct.Struct("<II8s")
"""A record's length, a checksum of that and its number, and the digest of its content."""
_SIZES = struct.Struct("<III")


class CheckpointError(ValueError):
    """A checkpoint that cannot be read, written or gone on with."""


@dataclass(frozen=True)
class Generation:
    """What is kept of a generation: enough to breed and score the next one as if nothing had happened.

    Parameters
    ----------
    number : int
        Which generation.
    sigma : float, optional
        The strength of mutation that its children were bred with.
    adaptation : dict
        The state of the adaptation that it came from.
    row : dict
        Its row of the logbook.
    seconds, elapsed : float
        What it took, and since the run began.
    evaluations : int
        The run's evaluations with it.
    states : dict
        By callback, what `Callback.state` returned before it saw this generation.
    history : str
        What tells the run, up to this generation, from others: a digest of its seed, of all other numbers that
        breeding goes by, and of who descends from whom.
    wvalues : numpy.ndarray
        The weighted fitness values, shape (members, objectives), float64.
    chosen : numpy.ndarray
        The place of the parent, in the generation before, whose place each child takes; shape (members,), uint32, or
        (0,) in generation 0. Places 2i and 2i+1 were mated; the last ones, of elites, are their own.
    settings : dict, optional
        Of generation 0: what decides the run's numbers, as `settings_record` tells of it; not in older checkpoints.
    environment : dict, optional
        Of generation 0, likewise: what of the process that began the run decides the last bits, and the version of this
        package there.
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
    environment: dict[str, Any] | None = None

    @property
    def best(self) -> int:
        """The place of the best member, the first of several."""
        return max(range(len(self.wvalues)), key=self.wvalues.tolist().__getitem__)

    def parents(self, elites: int) -> int:
        """Return how many different parents its children have, those that live on themselves at its end left out."""
        return len(np.unique(self.chosen[: max(0, len(self.chosen) - elites)]))

    def to_bytes(self) -> bytes:
        """Return a record's content."""
        values = {name: value for name, value in vars(self).items() if name not in ("wvalues", "chosen")}
        for name in ("settings", "environment"):
            if values[name] is None:
                del values[name]
        text = json.dumps(values, separators=(",", ":")).encode()
        sizes = _SIZES.pack(len(text), *self.wvalues.shape)
        return sizes + text + self.wvalues.astype("<f8").tobytes() + self.chosen.astype("<u4").tobytes()

    @classmethod
    def from_bytes(cls, content: bytes) -> Generation:
        """Return the generation of a record's content.

        Raises
        ------
        ValueError
            If it is none.
        """
        try:
            length, members, objectives = _SIZES.unpack_from(content)
            values = {"history": ""} | json.loads(content[_SIZES.size : _SIZES.size + length])
            rest = content[_SIZES.size + length :]
            split = 8 * members * objectives
            if len(rest) not in (split, split + 4 * members) or len(rest[:split]) != split:
                raise ValueError("it has another size than it says")
            wvalues = np.frombuffer(rest[:split], dtype="<f8").reshape(members, objectives)
            if isinstance(values.get("states"), list):  # of version 2, by the callbacks' places
                values["states"] = {str(place): state for place, state in enumerate(values["states"])}
            _check_record(values)
            return cls(**values, wvalues=wvalues, chosen=np.frombuffer(rest[split:], dtype="<u4"))
        except (struct.error, TypeError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"a record is no generation: {error}") from error


def _check_record(values: dict[str, Any]) -> None:
    """Raise TypeError where an entry of a record is of another kind than it should be."""
    for name in ("row", "adaptation", "states"):
        if not isinstance(values.get(name), dict):
            raise TypeError(f"its {name} are no object")
    if not all(isinstance(state, dict) for state in values["states"].values()):
        raise TypeError("the state of a callback is no object")
    if not isinstance(values.get("settings"), dict | None):
        raise TypeError("its settings are no object")
    known = values.get("environment")
    if known is None:
        return
    parts = {"variables": dict, "versions": dict, "threads": list | None, "processor": str}
    if not isinstance(known, dict) or not all(isinstance(known.get(part, 0), kind) for part, kind in parts.items()):
        raise TypeError("its environment is none")
    if not isinstance(known.get("package", ""), str):  # older ones have no such entry
        raise TypeError("its environment is none")
    threads = known["threads"]
    if threads is not None and not (len(threads) == 2 and all(isinstance(number, int) for number in threads)):
        raise TypeError("its threads are no two numbers")


def _frame(ordinal: int, content: bytes) -> bytes:
    length = len(content)
    return _FRAME.pack(length, _checksum(ordinal, length), _digest(ordinal, content))


def _checksum(ordinal: int, length: int) -> int:
    return zlib.crc32(struct.pack("<QI", ordinal, length))


def _digest(ordinal: int, content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=8, salt=ordinal.to_bytes(8, "little")).digest()


def keyframes_in(folder: Path) -> list[Path]:
    """Return the keyframes in a checkpoint's folder, the newest first; there is more than one only after a kill."""
    names = [path for path in folder.glob("keyframe-*") if re.fullmatch("keyframe-[0-9]{1,18}", path.name)]
    return sorted(names, key=lambda path: int(path.name.removeprefix("keyframe-")), reverse=True)


def read_generations(folder: str | os.PathLike[str]) -> list[Generation]:
    """Return the whole generations of the checkpoint in a run's folder, which another process may be writing.

    Raises
    ------
    CheckpointError
        If it is damaged before its end.
    OSError
        If there is none that can be read.
    """
    path = Path(folder, "generations")
    found: list[Generation] = []
    size = path.lstat().st_size  # before it is read: it may grow meanwhile
    for end, generation in _records(path, READABLE):
        if generation is not None:
            found.append(generation)
        elif end < size:
            raise CheckpointError(f"{path} is damaged in generation {len(found)}")
    return found


def read_first(folder: str | os.PathLike[str]) -> Generation | None:
    """Return generation 0 of the checkpoint in a run's folder, or None where its record is not whole.

    Raises
    ------
    CheckpointError, OSError
        If there is no checkpoint that can be read.
    """
    return next((generation for _, generation in _records(Path(folder, "generations"), READABLE)), None)


def _records(path: Path, versions: Sequence[bytes] = GONE_ON_WITH) -> Iterator[tuple[int, Generation | None]]:
    """Yield where each record ends and its generation; None for one that is damaged, or cut off at the end."""
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        if file.read(len(MAGIC)) not in versions:
            raise CheckpointError(f"{path} is no checkpoint of this version")
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
            if length > LARGEST_RECORD:
                raise CheckpointError(f"{path}: generation {ordinal} has {length:,} bytes, too many to be read")
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
