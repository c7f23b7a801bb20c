"""A run on disk: settings, statistics as they come, and the result."""

from __future__ import annotations

import atexit
import os
import platform
import resource
import sys
import time
import traceback
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deap_nn import parallel
from deap_nn.algorithms import Callback, Evolution
from deap_nn.callbacks import READOUT_EVERY
from deap_nn.commands import InputError
from deap_nn.logbooks import format_row, to_json, write_json, write_with
from deap_nn.seeding import Purpose, stream
from deap_nn.weights import Layout

TRACED = 100
"""How many weights of the best member are kept for each generation."""

TIMING_COLUMNS = ("gen", "seconds", "evaluations_per_second", "peak_memory_mib")


def versions() -> dict[str, str]:
    """Return the versions of Python, the system and the packages that results depend on."""
    packages = ("deap-nn", "deap", "numpy", "tensorflow", "keras", "scoop")
    found = {"python": platform.python_version(), "system": platform.platform()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def traced_places(layout: Layout, seed: int) -> NDArray[np.int64]:
    """Return which weights are traced: ``TRACED`` places of the flat vector, sorted, shared out evenly.

    Each matrix has the same share; what a small one lacks goes to those that have more.
    """
    rng = stream(seed, Purpose.TRACE)
    places: list[NDArray[np.int64]] = []
    wanted = min(TRACED, layout.size)
    by_size = sorted(range(len(layout)), key=lambda i: layout.sizes[i])
    for done, i in enumerate(by_size):
        share = min(layout.sizes[i], round(wanted / (len(layout) - done)))
        wanted -= share
        places.append(layout.offsets[i] + rng.choice(layout.sizes[i], share, replace=False))
    return np.sort(np.concatenate(places))


def _peak_memory() -> float:
    """Return the largest memory that this process has held, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


class RunDirectory(Callback):
    """Write a run into a new folder, as it goes.

    ``logbook.csv`` and ``timing.csv`` grow by whole rows; every other file appears whole or not at all. As a context
    manager it writes a ``status.json`` of "failed" or "interrupted" when an exception leaves the body.

    Parameters
    ----------
    path : path-like
        The folder, which must not exist.

    Raises
    ------
    OSError
        If the folder exists or cannot be made.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.path.mkdir(parents=True)
        self.status: dict[str, Any] = {"state": "running"}
        self._begun = time.perf_counter()
        self._places: NDArray[np.int64] | None = None
        self._names: list[str] = []
        self._trace: list[NDArray[np.float32]] = []
        self._written = 0
        self._write_status()
        atexit.register(self._note_an_early_end)

    @classmethod
    def create(cls, path: str | os.PathLike[str], option: str) -> RunDirectory:
        """Make the folder that a command's `option` names, or raise `InputError`."""
        try:
            return cls(path)
        except OSError as error:
            raise InputError(f"argument {option}: {path} cannot be made ({error.strerror})") from error

    def _note_an_early_end(self) -> None:
        """Write that the run failed, if the program ends and nobody has said how, as where SCOOP itself fails."""
        if self.status["state"] == "running" and self.path.is_dir():
            self.close("failed", error="the program ended before the run did")

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self.status["state"] != "running":
            return
        if isinstance(error, Exception):
            lines = "".join(traceback.format_exception(error))
            self.close("failed", error=f"{type(error).__name__}: {error}", traceback=lines)
        elif error is not None:
            self.close("interrupted")

    def trace_weights(self, layout: Layout, seed: int) -> None:
        """Choose the weights of the best member that ``trace.npz`` follows."""
        places = self._places = traced_places(layout, seed)
        matrices = np.searchsorted(np.array(layout.offsets), places, side="right") - 1
        self._names = [layout.names[i] for i in matrices]

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write ``config.json``: the settings, and the versions of what runs."""
        write_json(self.path / "config.json", {**config, "versions": versions()})

    def on_generation(self, evolution: Evolution) -> None:
        """Append the generation's rows, and rewrite the other statistics when it is time."""
        self._catch_up(evolution)
        if evolution.generation % READOUT_EVERY == 0:
            self._write_statistics(evolution)

    def on_end(self, evolution: Evolution) -> None:
        """Rewrite the statistics that do not grow by rows."""
        self._catch_up(evolution)
        self._write_statistics(evolution)

    def _catch_up(self, evolution: Evolution) -> None:
        """Append what is logged and not yet written, all of it or nothing when the run is interrupted."""
        if self._written == len(evolution.logbook):
            return
        traced = evolution.best.flat[self._places] if self._places is not None else None
        with parallel.holding_signals():
            self._append_rows(evolution)
            if traced is not None:
                self._trace.append(traced)
            self._written += 1

    def _append_rows(self, evolution: Evolution) -> None:
        row = evolution.row
        self._append("logbook.csv", list(row), list(row.values()))
        timing = [
            row["gen"],
            round(evolution.seconds, 4),
            round(row["nevals"] / evolution.seconds, 2),
            round(_peak_memory(), 1),
        ]
        self._append("timing.csv", TIMING_COLUMNS, timing)
        self.status.update(generations=row["gen"], evaluations=evolution.evaluations)
        if evolution.stop is not None:
            self.status["stopped_by"] = evolution.stop

    def _append(self, name: str, columns: Any, values: Any) -> None:
        text = "" if self._written else format_row(columns)
        with open(self.path / name, "a", encoding="utf-8") as file:
            file.write(text + format_row(values))

    def _write_statistics(self, evolution: Evolution) -> None:
        to_json(evolution.logbook, self.path / "logbook.json")
        if self._places is not None and self._trace:
            arrays: dict[str, NDArray[Any]] = {
                "weights": np.stack(self._trace),
                "places": self._places,
                "matrices": np.array(self._names),
            }
            write_with(self.path / "trace.npz", lambda partial: np.savez(partial, allow_pickle=False, **arrays))

    def write_weights(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """Write ``best.npz``: matrices by name, and nothing else."""
        write_with(self.path / "best.npz", lambda partial: np.savez(partial, allow_pickle=False, **weights))

    def write_model(self, model: Any) -> None:
        """Write ``best.keras``."""
        write_with(self.path / "best.keras", model.save)

    def close(self, state: str, **result: Any) -> None:
        """Write the last ``status.json``: the `state` ("finished", "interrupted" or "failed") and the result."""
        seconds = round(time.perf_counter() - self._begun, 3)
        self.status.update(result, state=state, seconds=seconds)
        self._write_status()

    def _write_status(self) -> None:
        write_json(self.path / "status.json", self.status)
