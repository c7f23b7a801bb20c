"""A plot of a logbook on the user's axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from deap import tools

from deap_nn.core.logbooks import rows_of

USUAL = ("min", "avg", "max", "train_error", "val_error")
"""The columns that are plotted by default, if the logbook has them."""


def plot_logbook(logbook: tools.Logbook, axes: Any = None, *, columns: Sequence[str] | None = None) -> Any:
    """Plot fitness and errors by generation.

    Parameters
    ----------
    logbook : deap.tools.Logbook
        A logbook of `evolve` or of one of DEAP's loops, with at least one record.
    axes : matplotlib.axes.Axes, optional
        The axes to plot on, by default new ones of pyplot, which a notebook shows.
    columns : sequence of str, optional
        The columns to plot, a chapter's named ``chapter.column``. By default those of ``min``, ``avg``, ``max``,
        ``train_error`` and ``val_error`` that the logbook has, or if it has none of them all numbers but ``nevals``.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, with a line for each column. Fitness and errors are in their own units: nats for a cross-entropy, a
        share of the samples for an error.

    Raises
    ------
    ValueError
        If the logbook is empty, or lacks a column.

    Examples
    --------
    >>> from deap import tools
    >>> logbook = tools.Logbook()
    >>> logbook.record(gen=0, min=2.0, avg=2.5)
    >>> logbook.record(gen=1, min=1.0, avg=2.0)
    >>> [line.get_label() for line in plot_logbook(logbook).get_lines()]
    ['min', 'avg']
    """
    rows = rows_of(logbook)
    if not rows:
        raise ValueError("logbook must have a record, it is empty")
    first = {name: np.asarray(value) for name, value in rows[0].items()}
    numbers = [name for name, value in first.items() if value.size == 1 and value.dtype.kind in "biuf"]
    if columns is None:
        others = [name for name in numbers if name not in ("gen", "nevals")]
        columns = [name for name in USUAL if name in numbers] or others or ["nevals"]
    for name in columns:
        if name not in numbers:
            raise ValueError(f"columns: the logbook has no numbers {name!r}, it has {', '.join(numbers)}")
    from deap_nn.report.style import COLOURS, shown_axes

    axes = shown_axes() if axes is None else axes
    generations = [row.get("gen", place) for place, row in enumerate(rows)]
    for place, name in enumerate(columns):
        values = [float(np.reshape(row.get(name, np.nan), -1)[0]) for row in rows]  # DEAP's statistics may be arrays
        axes.plot(generations, values, color=COLOURS[place % len(COLOURS)], label=name)
    axes.set_xlabel("generation")
    axes.legend(frameon=False)
    return axes
