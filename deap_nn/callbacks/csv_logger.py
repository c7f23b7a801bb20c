"""A run as a CSV file that grows."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deap_nn.callbacks.base import Callback, Evolution
from deap_nn.core.files import append_text, write_text
from deap_nn.core.logbooks import Row, format_row, rows_of
from deap_nn.process.signals import holding_signals


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
        self._columns: list[str] = []
        self._written = 0

    def on_start(self, evolution: Evolution) -> None:
        """Forget the run before."""
        self._columns, self._written = [], 0

    def restore(self, evolution: Evolution, states: Sequence[Mapping[str, Any]]) -> None:
        """Write the rows of all generations again: of the last ones some may be lost, or torn."""
        rows = rows_of(evolution.logbook)
        self._columns, self._written = list(rows[0]), len(rows)
        write_text(self.path, format_row(self._columns) + "".join(map(self._line, rows)))

    def on_generation(self, evolution: Evolution) -> None:
        """Append a row."""
        self._catch_up(evolution)

    def on_end(self, evolution: Evolution) -> None:
        """Append the last row, where the run was interrupted before that was told."""
        self._catch_up(evolution)

    def _catch_up(self, evolution: Evolution) -> None:
        if len(evolution.logbook) != self._written + 1:  # nothing new, or it ended before this was restored
            return
        row = evolution.flat_row
        with holding_signals():
            if self._written:
                append_text(self.path, self._line(row))
            else:
                self._columns = list(row)
                write_text(self.path, format_row(self._columns) + self._line(row))
            self._written += 1

    def _line(self, row: Row) -> str:
        """Return a row as a line of CSV."""
        new = [name for name in row if name not in self._columns]
        if new:
            raise ValueError(f"{self.path} has no column {new[0]}, which the first generation did not have")
        return format_row([row.get(name) for name in self._columns])
