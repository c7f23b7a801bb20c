"""A run as a CSV file that grows."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

from deap_nn.callbacks.base import Callback, Evolution
from deap_nn.core.files import append_text, write_text
from deap_nn.core.logbooks import Row, format_row, rows_of
from deap_nn.process.signals import holding_signals


class GrowingTable:
    """A CSV file that grows by whole rows, with the columns of the first one.

    Parameters
    ----------
    path : Path
        The file.
    numbers : bool
        Whether columns whose first value is no number are left out.

    Attributes
    ----------
    written : int
        The number of rows that are written.
    """

    def __init__(self, path: Path, *, numbers: bool = False) -> None:
        self.path = path
        self.written = 0
        self._numbers = numbers
        self._columns: list[str] = []
        self._left_out: set[str] = set()

    def restore(self, rows: Sequence[Row]) -> None:
        """Write rows again: of the last ones some may be lost, or torn."""
        self.written = len(rows)
        write_text(self.path, self._head(rows[0]) + "".join(map(self._line, rows)) if rows else "")

    def append(self, row: Row) -> None:
        """Append a row; the first one takes the place of what is there, which may have a second name elsewhere."""
        if self.written:
            append_text(self.path, self._line(row))
        else:
            write_text(self.path, self._head(row) + self._line(row))
        self.written += 1

    @contextlib.contextmanager
    def whole_or_nothing(self) -> Iterator[None]:
        """Take back what was appended in the body, if the body fails, as where the disk is full."""
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
        """Take the columns of the first row, and return their names as a line of CSV."""
        self._columns = [name for name, value in row.items() if not self._numbers or _is_number(value)]
        self._left_out = row.keys() - self._columns
        return format_row(self._columns)

    def _line(self, row: Row) -> str:
        """Return a row as a line of CSV; a missing value is empty."""
        new = [name for name in row if name not in self._columns and name not in self._left_out]
        if new:
            named = self.path.name if self._numbers else self.path
            raise ValueError(f"{named} has no column {new[0]}, which the first generation did not have")
        return format_row([row.get(name) for name in self._columns])


def _is_number(value: Any) -> bool:
    """Return whether a CSV file of numbers has a place for a value."""
    return value is None or (isinstance(value, Real) and not isinstance(value, bool))


class CSVLogger(Callback):
    """Write a row per generation to a CSV file, which grows by whole rows.

    The columns are those of the first generation, a chapter's named ``chapter.column``. A run that is resumed leaves
    the file that an unbroken one would.

    Parameters
    ----------
    path : path-like
        Replaced when a run begins.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from deap_nn import evolve, make_toolbox
    >>> path = pathlib.Path(tempfile.mkdtemp(), "logbook.csv")
    >>> toolbox = make_toolbox("mlp", "mnist5k", seed=1)
    >>> _ = evolve(toolbox.population(n=4), toolbox, 2, seed=1, callbacks=[CSVLogger(path)])
    >>> [line.split(",")[:2] for line in path.read_text().splitlines()]
    [['gen', 'nevals'], ['0', '4'], ['1', '4'], ['2', '4']]
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._table = GrowingTable(self.path)

    def on_start(self, evolution: Evolution) -> None:
        """Forget the run before."""
        self._table = GrowingTable(self.path)

    def restore(self, evolution: Evolution, states: Sequence[Mapping[str, Any]]) -> None:
        """Write the rows of all generations again."""
        self._table.restore(rows_of(evolution.logbook))

    def on_generation(self, evolution: Evolution) -> None:
        """Append a row."""
        self._catch_up(evolution)

    def on_end(self, evolution: Evolution) -> None:
        """Append the last row, where the run was interrupted before that was told."""
        self._catch_up(evolution)

    def _catch_up(self, evolution: Evolution) -> None:
        if len(evolution.logbook) != self._table.written + 1:  # nothing new, or it ended before this was restored
            return
        row = evolution.flat_row
        with holding_signals():
            self._table.append(row)
