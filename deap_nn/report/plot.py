"""A plot of a logbook on the user's axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

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
        If the logbook is empty, lacks a column, or has no numbers.

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
    numbers = [name for name, value in rows[0].items() if _number(value) is not None]
    if columns is None:
        others = [name for name in numbers if name != "gen"]
        columns = [name for name in USUAL if name in numbers] or [name for name in others if name != "nevals"] or others
    if not columns:
        raise ValueError("logbook has no numbers beside gen")
    for name in columns:
        if name not in numbers:
            raise ValueError(f"columns: the logbook has no numbers {name!r}, it has {', '.join(numbers)}")
    from deap_nn.report.figures import COLOURS, shown_axes

    axes = shown_axes() if axes is None else axes
    generations = [row.get("gen", place) for place, row in enumerate(rows)]
    for place, name in enumerate(columns):
        values = [math.nan if (number := _number(row.get(name))) is None else number for row in rows]
        axes.plot(generations, values, color=COLOURS[place % len(COLOURS)], label=name)
    axes.set_xlabel("generation")
    axes.legend(frameon=False)
    return axes


def _number(value: Any) -> float | None:
    """Return a number, also of a list of one, as the rows of DEAP's statistics of tuples have it; else None."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return float(value) if isinstance(value, int | float) else None
