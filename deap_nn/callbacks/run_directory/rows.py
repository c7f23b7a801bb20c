"""The files of a run that grow by a row each generation: ``logbook.csv`` and ``timing.csv``."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterable, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

from deap_nn.callbacks.base import Evolution
from deap_nn.core.files import append_text, write_text
from deap_nn.core.logbooks import Row, format_row

TIMING_COLUMNS = ("gen", "seconds", "evaluations_per_second", "peak_memory_mib")


def _peak_memory() -> float:
    """Return the largest memory that this process has held, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _is_number(value: Any) -> bool:
    """Return whether a value is a number or missing: ``logbook.csv`` has a column for it."""
    return value is None or (isinstance(value, Real) and not isinstance(value, bool))


class Rows:
    """The rows of a run in its two CSV files, which grow by whole rows.

    Parameters
    ----------
    folder : Path
        The run's folder.

    Attributes
    ----------
    written : int
        The number of generations that are written.
    timing : list of float
        The last row of ``timing.csv``.
    """

    def __init__(self, folder: Path) -> None:
        self._logbook, self._timings = folder / "logbook.csv", folder / "timing.csv"
        self.written = 0
        self.timing: Sequence[float] = []
        self._first: Row = {}  # the first value of each column of the logbook
        self._columns: list[str] = []

    def restore(self, rows: Sequence[Row], timings: Sequence[Sequence[float]]) -> None:
        """Write a row for each timing again: after a crash the last ones may be missing or torn.

        The columns are those of all rows: a resumed run may have kept a row before its new column was refused.
        """
        for row in rows:
            self._add_columns(row)
        self.written = len(timings)
        self._write(map(self._line, rows[: self.written]), timings)

    def append(self, evolution: Evolution) -> None:
        """Append the rows of the last generation to both files or to none; the first ones replace the files."""
        row = evolution.flat_row
        rate, memory = row["nevals"] / evolution.seconds, _peak_memory()
        timing = [row["gen"], round(evolution.seconds, 4), round(rate, 2), round(memory, 1)]
        if not self.written:
            self._add_columns(row)
            self._write([self._line(row)], [timing])
        else:
            line, size = self._line(row), self._logbook.stat().st_size
            append_text(self._logbook, line)
            try:
                append_text(self._timings, format_row(timing))
            except OSError:
                os.truncate(self._logbook, size)
                raise
        self.timing = timing
        self.written += 1

    def _add_columns(self, row: Row) -> None:
        for name, value in row.items():
            self._first.setdefault(name, value)
        self._columns = [name for name, value in self._first.items() if _is_number(value)]

    def _write(self, lines: Iterable[str], timings: Sequence[Sequence[float]]) -> None:
        heads = (format_row(self._columns), format_row(TIMING_COLUMNS)) if timings else ("", "")
        write_text(self._logbook, "".join([heads[0], *lines]))
        write_text(self._timings, "".join([heads[1], *map(format_row, timings)]))

    def _line(self, row: Row) -> str:
        """Return a row of the logbook as a line of CSV; a missing value is empty."""
        if new := [name for name in row if name not in self._first]:
            raise ValueError(f"logbook.csv has no column {new[0]}: all columns must be there in the first generation")
        return format_row([row.get(name) for name in self._columns])
