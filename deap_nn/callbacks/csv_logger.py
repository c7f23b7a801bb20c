"""A CSV file that gets a row for each generation of a run."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

from deap_nn.callbacks.base import Callback, Evolution
from deap_nn.core.files import append_text, regular, write_text
from deap_nn.core.logbooks import Row, format_row, rows_of
from deap_nn.process.signals import holding_signals


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


class CSVLogger(Callback):
    """Write a row per generation to a CSV file, which grows by whole rows.

    The columns are those of the first generation; the name of a chapter's is ``chapter.column``. A resumed run leaves
    the same file as an uninterrupted one.

    Parameters
    ----------
    path : path-like
        The file, which is replaced when a run begins. A link is followed.

    Raises
    ------
    ValueError
        If it is there and is no regular file, such as a folder or a pipe.

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
        self.path = regular(path)
        self._table = GrowingTable(self.path)

    def on_start(self, evolution: Evolution) -> None:
        """Forget the previous run."""
        self._table = GrowingTable(self.path)

    def restore(self, evolution: Evolution, states: Sequence[Mapping[str, Any]]) -> None:
        """Write the rows of all generations again."""
        self._table.restore(rows_of(evolution.logbook))

    def on_generation(self, evolution: Evolution) -> None:
        """Append a row."""
        self._catch_up(evolution)

    def on_end(self, evolution: Evolution) -> None:
        """Append the last row, if the run was interrupted before ``on_generation``."""
        self._catch_up(evolution)

    def _catch_up(self, evolution: Evolution) -> None:
        if len(evolution.logbook) != self._table.written + 1:  # no new row, or the run ended before `restore`
            return
        row = evolution.flat_row
        with holding_signals():
            self._table.append(row)
