"""Runs read back from their folders, one or several side by side."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from deap import tools
from numpy.typing import NDArray

from deap_nn.core.environment import optional
from deap_nn.core.errors import InputError
from deap_nn.core.logbooks import flattened, record, to_dataframe
from deap_nn.core.notebook import paragraph, table
from deap_nn.runs.files import Columns, read_arrays, read_columns, read_json

if TYPE_CHECKING:
    import pandas as pd

SHOWN = ("state", "generations", "evaluations", "validation_error", "test_error", "seconds", "stopped_by", "error")
"""The entries of a run's status that a notebook shows."""


class Trace(NamedTuple):
    """Some weights of the best member by generation.

    Attributes
    ----------
    weights : numpy.ndarray
        Shape (generations, weights), float32.
    places : numpy.ndarray
        The places of the weights in the flat vector, shape (weights,), int64.
    matrices : list of str
        The name of each weight's matrix.
    """

    weights: NDArray[np.float32]
    places: NDArray[np.int64]
    matrices: list[str]


class Run:
    """A run's folder as one object: each file is read at the first access, and then kept.

    An attribute of a run in progress stays as it was at its first access; call `read_run` again for newer data. A file
    that the run does not have, or not yet, gives an empty value, ``trace`` None. A file that cannot be read raises
    `InputError`, a ValueError, which names it.

    Parameters
    ----------
    path : path-like
        The folder.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"<Run {self.path}: {self.state}>"

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name

    @cached_property
    def config(self) -> dict[str, Any]:
        """Every setting: ``config.json``."""
        return self._read("config.json", read_json)

    @cached_property
    def status(self) -> dict[str, Any]:
        """The progress of the run, and how it ended: ``status.json``."""
        return self._read("status.json", read_json)

    @property
    def state(self) -> str:
        """Either "running", also after a kill, "finished", "interrupted", "failed", or "unknown" without a status."""
        return str(self.status.get("state", "unknown"))

    @cached_property
    def logbook(self) -> tools.Logbook:
        """The logbook that the run returned, as far as it is written, with its chapters."""
        logbook = tools.Logbook()
        columns = self._read("logbook.csv", read_columns)
        for values in zip(*columns.values(), strict=True):
            row = _nested(dict(zip(columns, values, strict=True)))
            logbook.header = logbook.header or list(row)
            record(logbook, row)
        return logbook

    @cached_property
    def timing(self) -> Columns:
        """The time and memory of each generation, which differ between repeats, by columns: ``timing.csv``."""
        return self._read("timing.csv", read_columns)

    @cached_property
    def readouts(self) -> Columns:
        """The errors of the candidates for the result on all validation samples, by columns: ``readouts.csv``."""
        return self._read("readouts.csv", read_columns)

    @cached_property
    def trace(self) -> Trace | None:
        """Some weights of the best member by generation: ``trace.npz``."""
        arrays = self._read("trace.npz", lambda path: read_arrays(path, *Trace._fields))
        return Trace(arrays["weights"], arrays["places"], arrays["matrices"].tolist()) if arrays else None

    @cached_property
    def weights(self) -> dict[str, NDArray[np.float32]]:
        """The matrices of the best network by name: ``best.npz``."""
        return self._read("best.npz", read_arrays)

    def to_dataframe(self) -> pd.DataFrame:
        """Return logbook, timing and errors of the candidates as one pandas DataFrame, a row per generation.

        Raises
        ------
        ImportError
            If pandas is not installed: ``pip install -c constraints.txt -e '.[pandas]'``.
        """
        frame = to_dataframe(self.logbook)
        import pandas as pd

        for name in ("timing", "readouts"):
            columns = getattr(self, name)
            if columns and len(frame):
                frame = frame.merge(pd.DataFrame(columns), on="gen", how="left", suffixes=("", f"_{name}"))
        return frame

    def _read(self, name: str, read: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
        """Return the content of a file, empty if there is no such file."""
        path = self.path / name
        return read(path) if os.path.lexists(path) else {}

    def _repr_html_(self) -> str:
        rows = [("seed", self.config["seed"])] if "seed" in self.config else []
        rows += [(name.replace("_", " "), self.status[name]) for name in SHOWN if name in self.status]
        return paragraph(self.path, strong="Run") + table(rows) + self._picture()

    def _picture(self) -> str:
        try:
            data = base64.b64encode((self.path / "fitness.png").read_bytes()).decode("ascii")
        except OSError:
            return ""
        return f'<img alt="fitness by generation" width="560" src="data:image/png;base64,{data}">'


def read_run(path: str | os.PathLike[str]) -> Run:
    """Return the run in a folder, finished or in progress.

    Parameters
    ----------
    path : path-like
        A folder that `RunDirectory` has written, with ``status.json`` or ``config.json``.

    Raises
    ------
    InputError
        A ValueError, if `path` is not a folder, or not that of a run.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise InputError(f"{folder}: is not a folder")
    if not is_run(folder):
        raise InputError(f"{folder}: is not the folder of a run, it has no status.json and no config.json")
    return Run(folder)


def is_run(folder: Path) -> bool:
    """Return whether a folder is that of a run."""
    return (folder / "status.json").is_file() or (folder / "config.json").is_file()


def _nested(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with columns ``chapter.column`` as `Logbook.record` takes it, without the NaN of chapters.

    A dot between digits, as in ``q0.9``, is of the name of a statistic, and no chapter's.
    """
    record: dict[str, Any] = {}
    for name, value in row.items():
        *chapters, column = re.split(r"(?<!\d)\.|\.(?!\d)", name)
        if chapters and np.isnan(value):
            continue
        inner = record
        for chapter in chapters:
            inner = inner.setdefault(chapter, {})
        inner[column] = value
    return record


LEFT_OUT = ("seed", "versions", "noise_sha256")
"""Settings that are not compared between runs: the seed is a column anyway, and the others follow from the rest."""


class Runs(list[Run]):
    """Several runs, as one DataFrame of their generations and one of their results."""

    def to_dataframe(self) -> pd.DataFrame:
        """Return the frames of `Run.to_dataframe` of all runs, one below the other.

        Returns
        -------
        pandas.DataFrame
            Before the columns of each run it has ``run``, ``seed``, and the settings in which the runs differ. ``run``
            is the folder's name, or its path if two have the same name. A setting that shares its name with another
            column is ``config.NAME``.

        Raises
        ------
        ImportError
            If pandas is not installed: ``pip install -c constraints.txt -e '.[pandas]'``.
        """
        return self._beside_settings([run.to_dataframe() for run in self])

    def results(self) -> pd.DataFrame:
        """Return how each run ended, a row per run: ``run``, ``seed``, the settings that differ, and its status.

        Raises
        ------
        ImportError
            If pandas is not installed: ``pip install -c constraints.txt -e '.[pandas]'``.
        """
        with optional("pandas"):
            import pandas as pd
        shown = [{name: value for name, value in run.status.items() if name != "traceback"} for run in self]
        return self._beside_settings([pd.DataFrame([status]) for status in shown])

    def _beside_settings(self, frames: list[pd.DataFrame]) -> pd.DataFrame:
        with optional("pandas"):
            import pandas as pd
        names, settings = [run.name for run in self], [_flat_settings(run.config) for run in self]
        differing = [
            name
            for name in dict.fromkeys(name for each in settings for name in each)
            if len({json.dumps(each.get(name)) for each in settings}) > 1
        ]
        taken = {"run", *(name for frame in frames for name in frame)}
        made = []
        for run, frame, each in zip(self, frames, settings, strict=True):
            named = {
                "run": run.name if names.count(run.name) == 1 else str(run.path),
                "seed": run.config.get("seed"),
                **{f"config.{name}" if name in taken else name: each.get(name) for name in differing},
            }
            if len(frame):
                beside = pd.DataFrame([named] * len(frame), index=frame.index)
                made.append(pd.concat([beside, frame], axis=1))
        return pd.concat(made, ignore_index=True) if made else pd.DataFrame(columns=["run", "seed"])

    def _repr_html_(self) -> str:
        columns = ("state", "generations", "validation_error", "test_error")
        rows = [(run.name, run.config.get("seed", ""), *(run.status.get(name, "") for name in columns)) for run in self]
        head = ("run", "seed", *(name.replace("_", " ") for name in columns))
        return paragraph(f"{len(self):,}", strong="Runs") + table(rows, head)


def read_runs(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> Runs:
    """Return the runs in some folders.

    Parameters
    ----------
    paths : path-like or iterable of path-like
        Folders of runs, or folders that contain those of runs, such as a sweep's; the latter are sorted by name.

    Raises
    ------
    InputError
        A ValueError, if one is not a folder, or is neither.
    """
    found = Runs()
    for path in map(Path, [paths] if isinstance(paths, str | os.PathLike) else paths):
        inside = sorted(filter(is_run, path.iterdir())) if path.is_dir() and not is_run(path) else [path]
        if not inside:
            raise InputError(f"{path}: is not the folder of a run, and has none in it")
        found += map(read_run, inside)
    return found


def _flat_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings by name, those of the data as ``data.NAME``; beside a ``schedule`` the adaptation is left out."""
    left_out = (*LEFT_OUT, "adaptation") if "schedule" in config else LEFT_OUT
    return flattened({name: value for name, value in config.items() if name not in left_out})
