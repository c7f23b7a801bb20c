"""Reading one file of a run: its content, checked, or an error that names the file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from deap_nn.core.errors import InputError
from deap_nn.core.files import ALWAYS_READ, SLACK, SMALL_BYTES, UNREADABLE, arrays_in, open_plain, read_plain
from deap_nn.core.logbooks import read_csv

Columns = Mapping[str, Sequence[float]]

LARGEST_TABLE = 512 << 20
"""The size in bytes of the largest table of numbers that is read: as objects it takes several times this size."""

TABLE_ALWAYS_READ = 4 << 20
"""The size in bytes up to which a table of numbers is read, even if the settings have few generations."""

COLUMN_BYTES, MOST_COLUMNS = 26, 100
"""The largest length of a number with its comma, and the largest number of columns of a run's statistics."""


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn an error of the body into an `InputError` that names the file."""
    try:
        yield
    except UNREADABLE as error:
        reason = getattr(error, "strerror", None) or str(error).removeprefix(f"{path}: ")
        raise InputError(f"{path}: cannot be read ({reason})") from error


def read_json(path: Path, *needed: str) -> dict[str, Any]:
    """Return the object of a JSON file, or raise `InputError` if it cannot be read or lacks a key."""
    with _naming(path):
        found = json.loads(read_plain(path, SMALL_BYTES).decode())
        if not isinstance(found, dict):
            raise ValueError("is not an object")
        _check_names(found, needed)
    return found


def read_columns(path: Path, *names: str, integers: bool = False) -> dict[str, list[float]]:
    """Return the columns of a CSV file of numbers, or raise `InputError` if it cannot be read or lacks one of `names`.

    The file may be four times as large as the generations in the settings beside it imply.
    """
    with _naming(path):
        generations = _generations(path.parent)
        implied = SLACK * (generations or 0) * MOST_COLUMNS * COLUMN_BYTES
        most = min(LARGEST_TABLE, max(ALWAYS_READ if generations is None else TABLE_ALWAYS_READ, implied))
        columns: dict[str, list[float]] = read_csv(path, integers=integers, most=most)
        _check_names(columns, names)
    return columns


def _generations(folder: Path) -> int | None:
    """Return the largest number of generations in the settings and the status of a run, or None if they have none."""
    counts = []
    for name in ("config.json", "status.json"):
        if os.path.lexists(folder / name):
            found = read_json(folder / name)
            counts += [found.get(key) for key in ("generations", "asked_generations")]
    return max((value for value in counts if isinstance(value, int)), default=None)


def read_arrays(path: Path, *names: str, most: int | None = None) -> dict[str, NDArray[Any]]:
    """Return all arrays of an ``.npz`` file, or raise `InputError` if it cannot be read or lacks one of `names`.

    They may take at most `most` bytes, by default the limit of `arrays_in`.
    """
    with _naming(path), open_plain(path) as file:
        found = arrays_in(file, most)
        _check_names(found, names)
    return found


def _check_names(found: Mapping[str, Any], names: Sequence[str]) -> None:
    missing = [name for name in names if name not in found]
    if missing:
        raise ValueError(f"has no {missing[0]}")


FILTERS_FILE, PREDICTIONS_FILE = "filters.npz", "answers.npz"
