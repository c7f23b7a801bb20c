"""Reading one file of a run: its content, checked, or an error that names the file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from deap_nn.core.errors import InputError
from deap_nn.core.files import UNREADABLE, arrays_in
from deap_nn.core.logbooks import read_csv

Columns = Mapping[str, Sequence[float]]


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
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict):
            raise ValueError("is not an object")
        _check_names(found, needed)
    return found


def read_columns(path: Path, *names: str, integers: bool = False) -> dict[str, list[float]]:
    """Return the columns of a CSV file, or raise `InputError` if it cannot be read or lacks one of `names`."""
    with _naming(path):
        columns: dict[str, list[float]] = read_csv(path, integers=integers)
        _check_names(columns, names)
    return columns


def read_arrays(path: Path, *names: str) -> dict[str, NDArray[Any]]:
    """Return all arrays of an ``.npz`` file, or raise `InputError` if it cannot be read or lacks one of `names`."""
    with _naming(path):
        found = arrays_in(path)
        _check_names(found, names)
    return found


def _check_names(found: Mapping[str, Any], names: Sequence[str]) -> None:
    missing = [name for name in names if name not in found]
    if missing:
        raise ValueError(f"has no {missing[0]}")


FILTERS_FILE, PREDICTIONS_FILE = "filters.npz", "answers.npz"
