"""Reading one file of a run: what it holds, checked, and an error that names the file otherwise."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from deap_nn.core.errors import InputError
from deap_nn.core.files import LARGEST_BYTES, SMALL_BYTES, open_plain, read_plain
from deap_nn.core.logbooks import read_csv

Columns = Mapping[str, Sequence[float]]

ALWAYS_READ = 64 << 20
"""A file is read that has no more bytes, unpacked, whatever the settings say."""

SLACK = 4
"""A file is read up to so many times the size that the run's settings or the file's own size imply."""

LARGEST_HEAD = 1 << 16
"""The head of an array, which says its shape, is read up to so many bytes."""

LARGEST_TABLE = 512 << 20
"""No table of numbers is read that is larger: it takes several times as much as objects."""

TABLE_ALWAYS_READ = 4 << 20
"""A table of numbers is read that has no more bytes, however few generations the settings have."""

COLUMN_BYTES, MOST_COLUMNS = 26, 100
"""So long is a number with its comma at most, and so many columns have the statistics of a run."""


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Raise `InputError`, which names the file, for what goes wrong in the body."""
    try:
        yield
    except (
        OSError,
        ValueError,
        TypeError,
        AttributeError,
        EOFError,
        MemoryError,
        RecursionError,
        csv.Error,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        reason = getattr(error, "strerror", None) or str(error).removeprefix(f"{path}: ")
        raise InputError(f"{path}: cannot be read ({reason})") from error


def read_json(path: Path, *needed: str) -> dict[str, Any]:
    """Return the object of a JSON file, or raise `InputError` where it cannot be read or lacks a key."""
    with _naming(path):
        found = json.loads(read_plain(path, SMALL_BYTES).decode())
        if not isinstance(found, dict):
            raise ValueError("is no object")
        _check_names(found, needed)
    return found


def read_columns(path: Path, *names: str, integers: bool = False) -> dict[str, list[float]]:
    """Return the columns of a CSV file of numbers, of which it must have some, or raise `InputError`.

    The file may be four times as large as the run has generations for, by the settings beside it.
    """
    with _naming(path):
        generations = _generations(path.parent)
        implied = SLACK * (generations or 0) * MOST_COLUMNS * COLUMN_BYTES
        most = min(LARGEST_TABLE, max(ALWAYS_READ if generations is None else TABLE_ALWAYS_READ, implied))
        columns: dict[str, list[float]] = read_csv(path, integers=integers, most=most)
        _check_names(columns, names)
    return columns


def _generations(folder: Path) -> int | None:
    """Return how many generations the settings and the status of a run tell of, None where they do not."""
    told = []
    for name in ("config.json", "status.json"):
        if os.path.lexists(folder / name):
            found = read_json(folder / name)
            told += [found.get(key) for key in ("generations", "asked_generations")]
    return max((value for value in told if isinstance(value, int)), default=None)


def read_arrays(path: Path, *names: str, most: int | None = None) -> dict[str, NDArray[Any]]:
    """Return all arrays of an ``.npz`` file, of which it must have some, or raise `InputError`.

    They may take at most `most` bytes; left out, as many as `arrays_in` reads.
    """
    with _naming(path), open_plain(path) as file:
        found = arrays_in(file, most)
        _check_names(found, names)
    return found


def arrays_in(file: IO[bytes], most: int | None = None) -> dict[str, NDArray[Any]]:
    """Return all arrays of an open ``.npz`` file.

    They may take at most `most` bytes; left out, four times the file's size, or ``ALWAYS_READ``: a small file may else
    unpack to all memory there is.

    Raises
    ------
    ValueError, OSError, zipfile.BadZipFile, zlib.error, EOFError
        If it is none, or one that takes more.
    """
    size = os.fstat(file.fileno()).st_size
    if size > LARGEST_BYTES:
        raise ValueError(f"has {size:,} bytes, at most {LARGEST_BYTES:,} are read")
    most = max(ALWAYS_READ, SLACK * size) if most is None else most
    with np.load(file, allow_pickle=False) as archive:
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("is no .npz file")
        left, found = most, {}
        for name in archive.files:
            left -= _unpacked(archive, name)
            if left < 0:
                raise ValueError(f"unpacks to more than {most:,} bytes")
            found[name] = archive[name]
    return found


def _unpacked(archive: Any, name: str) -> int:
    """Return how many bytes an array of an archive takes, by its own head, which is small."""
    if archive.files.count(name) > 1:
        raise ValueError(f"has two arrays {name}")
    with archive.zip.open(f"{name}.npy" if f"{name}.npy" in archive.zip.namelist() else name) as member:
        version = np.lib.format.read_magic(member)
        start = member.read(2 if version == (1, 0) else 4)
        length = int.from_bytes(start, "little")
        if length > LARGEST_HEAD:
            raise ValueError(f"has an array {name} with a head of {length:,} bytes")
        head = io.BytesIO(start + member.read(length))
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(head)
    return math.prod(shape) * dtype.itemsize


def _check_names(found: Mapping[str, Any], names: Sequence[str]) -> None:
    missing = [name for name in names if name not in found]
    if missing:
        raise ValueError(f"has no {missing[0]}")


FILTERS_FILE, ANSWERS_FILE = "filters.npz", "answers.npz"
