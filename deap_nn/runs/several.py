"""Several runs side by side."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deap_nn.core.errors import InputError
from deap_nn.core.logbooks import flattened
from deap_nn.core.notebook import paragraph, table
from deap_nn.core.optional import optional
from deap_nn.runs.run import Run, is_run, read_run

if TYPE_CHECKING:
    import pandas as pd

LEFT_OUT = ("seed", "versions", "noise_sha256")
"""Settings that are not compared between runs: the seed is a column anyway, and the others follow from the rest."""

NAMED = ("run", "seed")
"""The columns that each frame has."""


class Runs(list[Run]):
    """Several runs, as one DataFrame of their generations and one of their results."""

    def to_dataframe(self) -> pd.DataFrame:
        """Return the frames of `Run.to_dataframe` of all runs, one below the other.

        Returns
        -------
        pandas.DataFrame
            Before the columns of each run it has ``run``, ``seed``, and the settings in which the runs differ. ``run``
            is the folder's name, or its path if two have the same name. A setting that shares its name with another
            column is ``config.NAME``. A logbook's column named ``run`` or ``seed`` is ``logbook.NAME``.

        Raises
        ------
        ImportError
            If pandas is not installed: ``pip install -c constraints.txt -e '.[pandas]'``.
        """
        return self._beside_settings([run.to_dataframe() for run in self], "logbook")

    def results(self) -> pd.DataFrame:
        """Return how each run ended, a row per run: ``run``, ``seed``, the settings that differ, and its status.

        An entry of the status named ``run`` or ``seed`` is ``status.run`` or ``status.seed``.

        Raises
        ------
        ImportError
            If pandas is not installed: ``pip install -c constraints.txt -e '.[pandas]'``.
        """
        with optional("pandas"):
            import pandas as pd
        shown = [{name: value for name, value in run.status.items() if name != "traceback"} for run in self]
        return self._beside_settings([pd.DataFrame([status]) for status in shown], "status")

    def _beside_settings(self, frames: list[pd.DataFrame], kind: str) -> pd.DataFrame:
        with optional("pandas"):
            import pandas as pd
        names, settings = [run.name for run in self], [_flat_settings(run.config) for run in self]
        differing = [
            name
            for name in dict.fromkeys(name for each in settings for name in each)
            if len({json.dumps(each.get(name)) for each in settings}) > 1
        ]
        frames = [frame.rename(columns={name: f"{kind}.{name}" for name in NAMED}) for frame in frames]
        taken = {*NAMED, *(name for frame in frames for name in frame)}
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
