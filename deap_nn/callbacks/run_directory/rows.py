"""The files of a run that grow by a row each generation: ``logbook.csv`` and ``timing.csv``."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from collections.abc import Iterator, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

from deap_nn.callbacks.base import Evolution
from deap_nn.core.files import append_text, write_text
from deap_nn.core.logbooks import Row, format_row

TIMING_COLUMNS = ("gen", "seconds", "evaluations_per_second", "peak_memory_mib")


class GrowingTable:
    """A CSV file that grows by whole rows, with the columns of the first one.

    Parameters
    ----------
    path : Path
        The file.
    numbers : bool
        Whether to leave out columns if their first value is no number.

    Attributes
    ----------
    written : int
        The number of rows in the file.
    """

    def __init__(self, path: Path, *, numbers: bool = False) -> None:
        self.path = path
        self.written = 0
        self._numbers = numbers
        self._columns: list[str] = []
        self._left_out: set[str] = set()

    def restore(self, rows: Sequence[Row], written: int | None = None) -> None:
        """Write the first rows again, all if `written` is left out: after a crash the last ones may be missing or torn.

        The columns are those of all rows: a resumed run may have kept a row before its new column was refused.
        """
        self.written = len(rows) if written is None else written
        first: Row = {}  # the first value of each column
        for row in rows:
            for name, value in row.items():
                first.setdefault(name, value)
        lines = [self._head(first), *map(self._line, rows[: self.written])]
        write_text(self.path, "".join(lines) if self.written else "")

    def append(self, row: Row) -> None:
        """Append a row; the first one replaces the file, so that a hard link to the old file keeps its content."""
        if self.written:
            append_text(self.path, self._line(row))
        else:
            write_text(self.path, self._head(row) + self._line(row))
        self.written += 1

    @contextlib.contextmanager
    def whole_or_nothing(self) -> Iterator[None]:
        """Remove the rows that were appended in the body if the body fails, for example on a full disk."""
        written = self.written
        size = self.path.stat().st_size if written and self.path.exists() else 0
        try:
            yield
        except BaseException:
            self.written = written
            if self.path.exists():
                os.truncate(self.path, size)
            raise

    def _head(self, row: Row) -> str:
        """Set the columns to those of the first row, and return their names as a line of CSV."""
        self._columns = [name for name, value in row.items() if not self._numbers or _is_number(value)]
        self._left_out = row.keys() - self._columns
        return format_row(self._columns)

    def _line(self, row: Row) -> str:
        """Return a row as a line of CSV; a missing value is empty."""
        new = [name for name in row if name not in self._columns and name not in self._left_out]
        if new:
            named = self.path.name if self._numbers else self.path
            raise ValueError(f"{named} has no column {new[0]}: all columns must be there in the first generation")
        return format_row([row.get(name) for name in self._columns])


def _is_number(value: Any) -> bool:
    """Return whether a value is a number or missing: a CSV file of numbers has a column for it."""
    return value is None or (isinstance(value, Real) and not isinstance(value, bool))


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
