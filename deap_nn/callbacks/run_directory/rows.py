"""The files of a run that grow by a row each generation: ``logbook.csv`` and ``timing.csv``."""

from __future__ import annotations

import contextlib
import resource
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from deap_nn.callbacks.base import Evolution
from deap_nn.callbacks.csv_logger import GrowingTable
from deap_nn.core.logbooks import Row

TIMING_COLUMNS = ("gen", "seconds", "evaluations_per_second", "peak_memory_mib")


def _peak_memory() -> float:
    """Return the largest memory that this process has held, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


class Rows:
    """The rows of a run in its two CSV files.

    Parameters
    ----------
    folder : Path
        The run's folder.

    Attributes
    ----------
    timing : list of float
        The last row of ``timing.csv``.
    """

    def __init__(self, folder: Path) -> None:
        self._logbook = GrowingTable(folder / "logbook.csv", numbers=True)
        self._timings = GrowingTable(folder / "timing.csv")
        self.timing: list[float] = []

    @property
    def written(self) -> int:
        """The number of generations that are written."""
        return self._logbook.written

    def restore(self, rows: Sequence[Row], timings: Sequence[Sequence[float]]) -> None:
        """Write a row for each timing again, with the columns of all rows."""
        self._logbook.restore(rows, len(timings))
        self._timings.restore([dict(zip(TIMING_COLUMNS, timing, strict=True)) for timing in timings])

    def append(self, evolution: Evolution) -> None:
        """Append the rows of the last generation."""
        row = evolution.flat_row
        rate, memory = row["nevals"] / evolution.seconds, _peak_memory()
        self.timing = [row["gen"], round(evolution.seconds, 4), round(rate, 2), round(memory, 1)]
        self._logbook.append(row)
        self._timings.append(dict(zip(TIMING_COLUMNS, self.timing, strict=True)))

    @contextlib.contextmanager
    def whole_or_nothing(self) -> Iterator[None]:
        """Remove the rows that were appended in the body, if the body fails."""
        with self._logbook.whole_or_nothing(), self._timings.whole_or_nothing():
            yield
