"""Reading one file of a run: what it holds, checked, and an error that names the file otherwise."""

from __future__ import annotations

import csv
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deap_nn.commands import InputError
from deap_nn.logbooks import read_csv

Columns = Mapping[str, Sequence[float]]


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
        csv.Error,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        reason = getattr(error, "strerror", None) or str(error).removeprefix(f"{path}: ")
        raise InputError(f"{path}: cannot be read ({reason})") from error


def read_json(path: Path, *needed: str) -> dict[str, Any]:
    """Return the object of a JSON file, or raise `InputError` where it cannot be read or lacks a key."""
    with _naming(path):
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("is no object")
        _check_names(found, needed)
    return found


def read_columns(path: Path, *names: str, integers: bool = False) -> dict[str, list[float]]:
    """Return the columns of a CSV file of numbers, of which it must have some, or raise `InputError`."""
    with _naming(path):
        columns: dict[str, list[float]] = read_csv(path, integers=integers)
        _check_names(columns, names)
    return columns


def read_arrays(path: Path, *names: str) -> dict[str, NDArray[Any]]:
    """Return all arrays of an ``.npz`` file, of which it must have some, or raise `InputError`."""
    with _naming(path), open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("is no .npz file")
        found = {name: archive[name] for name in archive.files}
        _check_names(found, names)
    return found


def _check_names(found: Mapping[str, Any], names: Sequence[str]) -> None:
    missing = [name for name in names if name not in found]
    if missing:
        raise ValueError(f"has no {missing[0]}")
