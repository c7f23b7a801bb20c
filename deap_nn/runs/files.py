"""The files of a run: reading one, checked, its settings, and copies of the files that they name."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from deap_nn.core.errors import InputError
from deap_nn.core.files import UNREADABLE, arrays_in, write_with
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


def read_columns(path: Path, *names: str) -> dict[str, list[float]]:
    """Return the columns of a CSV file, or raise `InputError` if it cannot be read or lacks one of `names`."""
    with _naming(path):
        columns = read_csv(path)
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
ANSWERS_FILE, MEMBERS_FILE = "answers-by-generation.npz", "members.npz"


FILES = {"keras": "model", "init_weights": "init"}
"""The settings that name a file, with the stem of the run's own copy; ``NAME_sha256`` beside it is the digest."""


def digest_of(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copies(folder: Path, settings: Mapping[str, Any]) -> dict[str, Path]:
    named = {name: settings[name] for name in FILES if isinstance(settings.get(name), str)}
    ends = {name: ".weights.h5" if path.endswith(".weights.h5") else Path(path).suffix for name, path in named.items()}
    return {name: folder / f"{FILES[name]}{end}" for name, end in ends.items()}


def keep_files(folder: Path, settings: Mapping[str, Any]) -> None:
    """Copy the files that settings name into a run's folder, which is then complete without the originals."""
    for name, copy in _copies(folder, settings).items():
        write_with(copy, partial(shutil.copyfile, settings[name]), durable=True)


def kept_files(folder: str | os.PathLike[str], settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings that name a file, each with the path of the whole copy in a run's folder, if it has one."""
    copies = _copies(Path(folder), settings)
    return {
        name: str(copy)
        for name, copy in copies.items()
        if copy.is_file() and digest_of(copy) == settings.get(f"{name}_sha256")
    }


def read_config(path: str | os.PathLike[str], option: str) -> dict[str, Any]:
    """Return the ``config.json`` of the run that a command's `option` names, or raise `InputError`."""
    file = Path(path, "config.json")
    if not Path(path).is_dir():
        raise InputError(f"argument {option}: {path} is not a folder")
    if not file.exists():
        raise InputError(f"argument {option}: {path} has no config.json, so it is not the folder of a run")
    try:
        return read_json(file, "versions")
    except InputError as error:
        raise InputError(f"argument {option}: {error}") from error


def read_status(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return a run's ``status.json``, or an empty dictionary if it cannot be read: a killed run may leave none."""
    with contextlib.suppress(InputError):
        return read_json(Path(path, "status.json"))
    return {}


def requested_generations(path: str | os.PathLike[str], config: Mapping[str, Any]) -> int:
    """Return the number of generations of a run: that of its settings, or a larger one that was requested later."""
    later = read_status(path).get("asked_generations")
    return max(int(config["generations"]), later if isinstance(later, int) else 0)
