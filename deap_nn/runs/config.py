"""The settings of a run on disk: reading, checking, and restoring lost ones."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from deap_nn.core.errors import InputError
from deap_nn.core.files import write_json, write_with
from deap_nn.runs.generations import CheckpointError, read_first
from deap_nn.runs.reading import read_json

CONFIG = "config"
"""The name of the content of ``config.json`` in the first record of a checkpoint, in the state of a `RunDirectory`."""

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


def restore_config(path: str | os.PathLike[str]) -> None:
    """Restore the ``config.json`` of a run from the first record of its checkpoint, if it is missing or damaged.

    A power cut may leave an empty file on a disk that reports a flush too early. A warning names the file. Without such
    a record nothing is done.
    """
    file = Path(path, "config.json")
    try:
        json.loads(file.read_bytes())
        return
    except FileNotFoundError:
        reason = "is missing"
    except OSError:  # such as a folder: it is left as it is
        return
    except (ValueError, RecursionError):
        reason = "is damaged"
    try:
        first = read_first(Path(path, "checkpoint"))
    except (CheckpointError, OSError):
        return
    kept = [state.get(CONFIG) for state in first.states.values()] if first is not None else []
    kept = [config for config in kept if isinstance(config, dict)]
    if kept:
        warnings.warn(f"{file} {reason}: it is restored from the checkpoint", stacklevel=2)
        write_json(file, kept[0], durable=True)


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
