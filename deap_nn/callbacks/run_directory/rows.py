"""The files of a run that grow by a row each generation: ``logbook.csv`` and ``timing.csv``."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

from deap_nn.callbacks.base import Evolution
from deap_nn.core.files import append_text, write_text
from deap_nn.core.logbooks import format_row

TIMING_COLUMNS = ("gen", "seconds", "evaluations_per_second", "peak_memory_mib")


def _peak_memory() -> float:
    """Return the largest memory that this process has held, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _is_number(value: Any) -> bool:
    """Return whether a CSV file of numbers has a place for a value."""
    return value is None or (isinstance(value, Real) and not isinstance(value, bool))


class Rows:
    """The rows of a run.

    Parameters
    ----------
    folder : Path
        The run's.

    Attributes
    ----------
    written : int
        The number of generations that are written.
    timing : list of float
        The last row of ``timing.csv``.
    """

    def __init__(self, folder: Path) -> None:
        self._paths = folder / "logbook.csv", folder / "timing.csv"
        self._columns: list[str] = []
        self._left_out: Collection[str] = ()
        self.written = 0
        self.timing: list[float] = []

    def restore(self, rows: Sequence[Mapping[str, Any]], timings: Sequence[Sequence[float]]) -> None:
        """Write the rows of the generations before again: of the last ones some may be lost, or torn."""
        self.written = len(rows)
        self._take_columns(rows[0] if rows else {})
        logbook = [self._line(row) for row in rows]
        for path, columns, lines in zip(
            self._paths, (self._columns, TIMING_COLUMNS), (logbook, map(format_row, timings)), strict=True
        ):
            write_text(path, "".join([*([format_row(columns)] if rows else []), *lines]))

    def append(self, evolution: Evolution) -> None:
        """Append the rows of the last generation."""
        row = evolution.flat_row
        if not self.written:
            self._take_columns(row)
        rate, memory = row["nevals"] / evolution.seconds, _peak_memory()
        self.timing = [row["gen"], round(evolution.seconds, 4), round(rate, 2), round(memory, 1)]
        lines = self._line(row), format_row(self.timing)
        for path, columns, line in zip(self._paths, (self._columns, TIMING_COLUMNS), lines, strict=True):
            if self.written:
                append_text(path, line)
            else:  # in the place of what is there, which may have a second name elsewhere
                write_text(path, format_row(columns) + line)

    @contextlib.contextmanager
    def whole_or_nothing(self) -> Iterator[None]:
        """Take back what was appended in the body, if the body fails, as where the disk is full."""
        sizes = [path.stat().st_size if self.written and path.exists() else 0 for path in self._paths]
        try:
            yield
        except BaseException:
            for path, size in zip(self._paths, sizes, strict=True):
                if path.exists():
                    os.truncate(path, size)
            raise

    def _take_columns(self, row: Mapping[str, Any]) -> None:
        """Let the columns of ``logbook.csv`` be those that are numbers in the first row."""
        self._columns = [name for name, value in row.items() if _is_number(value)]
        self._left_out = row.keys() - self._columns

    def _line(self, row: Mapping[str, Any]) -> str:
        """Return a row of the logbook as a line of the columns that are numbers; a missing one is empty."""
        new = [name for name in row if name not in self._columns and name not in self._left_out]
        if new:
            raise ValueError(f"logbook.csv has no column {new[0]}, which the first generation did not have")
        return format_row([row.get(name) for name in self._columns])
