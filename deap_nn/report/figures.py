"""Figures of runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from deap_nn.core.files import write_with
from deap_nn.core.logbooks import measure_of
from deap_nn.report.html import is_maximised, read_logbook, read_trace
from deap_nn.runs.files import Columns, read_json

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#f0e442")
"""The colours of Okabe and Ito, which colour-blind readers can distinguish."""


def new_axes(figure: Figure, *place: int) -> Any:
    """Return new axes of a figure in the style that all pictures share; `place` is that of ``add_subplot``."""
    return styled(figure.add_subplot(*place))


def shown_axes() -> Any:
    """Return axes of a new figure of pyplot, which a notebook or ``pyplot.show`` shows."""
    from matplotlib import pyplot

    return styled(pyplot.subplots(layout="constrained")[1])


def styled(axes: Any) -> Any:
    """Apply the style to axes, and return them."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return axes


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure as a PNG, whole or not at all."""
    write_with(path, lambda partial: figure.savefig(partial, dpi=120))


def draw_fitness(
    columns: Columns,
    path: str | os.PathLike[str],
    *,
    fitness: str = "fitness",
    measure: str = "error",
    maximised: bool = False,
) -> None:
    """Draw average and best fitness, and the validation error, by generation.

    Parameters
    ----------
    columns : mapping
        A logbook by columns: ``gen``, ``min``, ``avg``, ``max`` if the fitness is maximised, and ``val_error`` if there
        is one.
    path : path-like
        The picture, a PNG.
    fitness : str
        The name of the fitness, for the axis.
    measure : str
        The name of the validation column's measure; "error" is a share, ``-auc`` the negative of an AUC.
    maximised : bool
        Whether the largest fitness is the best.
    """
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = new_axes(figure)
    generations, best = columns["gen"], columns["max" if maximised else "min"]
    axes.plot(generations, columns["avg"], color=COLOURS[0], label="average")
    axes.plot(generations, best, color=COLOURS[1], label="best")
    axes.set_xlabel("generation")
    (fitness, _), (measure, sign) = measure_of(fitness), measure_of(measure)
    errors = [sign * error for error in columns.get("val_error", ())]
    rates = fitness == "error rate"
    named = f"{fitness} (nats)" if fitness == "cross-entropy" else fitness
    if not errors:
        axes.set_ylabel(named)
    elif fitness == measure:
        axes.plot(generations, errors, color=COLOURS[2], label="validation")
        axes.set_ylabel(named)
    else:
        axes.set_ylabel(f"{fitness} on the mini-batch{named.removeprefix(fitness)}")
        right = axes.twinx()
        right.spines["top"].set_visible(False)
        right.plot(generations, errors, color=COLOURS[2], label=f"validation {measure} (right)")
        right.set_ylabel(f"validation {measure}")
        if measure == "error rate":
            right.set_ylim(0, 1)
    if not (rates or not errors or maximised) and 0 < 50 * min(best) < max(columns["avg"]):
        axes.set_yscale("log")
    elif min(*best, *columns["avg"]) >= 0:
        axes.set_ylim(bottom=0)
    lines = [line for part in figure.axes for line in part.get_lines()]
    labels = [str(line.get_label()) for line in lines]
    figure.legend(lines, labels, frameon=False, loc="outside upper center", ncols=len(lines))
    save_figure(figure, path)


def draw_weights(weights: NDArray[np.float32], matrices: Sequence[str], path: str | os.PathLike[str]) -> None:
    """Draw some weights of the best member by generation, coloured by the matrix they belong to.

    Parameters
    ----------
    weights : numpy.ndarray
        Shape (generations, weights), float32.
    matrices : sequence of str
        The name of each weight's matrix.
    path : path-like
        The picture, a PNG.
    """
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = new_axes(figure)
    names = list(dict.fromkeys(matrices))
    for i, name in enumerate(names):
        chosen = weights[:, [matrix == name for matrix in matrices]]
        lines = axes.plot(chosen, color=COLOURS[i % len(COLOURS)], linewidth=0.7, alpha=0.8)
        lines[0].set_label(name)
    axes.set_xlabel("generation")
    axes.set_ylabel(f"value of {weights.shape[1]} weights of the best")
    legend = figure.legend(loc="outside right upper", frameon=False, fontsize="small")
    for handle in legend.get_lines():
        handle.set(linewidth=3, alpha=1)
    save_figure(figure, path)


def draw_run(folder: str | os.PathLike[str]) -> list[Path]:
    """Draw the pictures of a run directory from its files.

    Parameters
    ----------
    folder : path-like
        A run's folder with ``config.json`` and ``logbook.csv``, and ``trace.npz`` if weights were traced.

    Returns
    -------
    list of Path
        The pictures written.

    Raises
    ------
    InputError
        If a file is missing or damaged, naming it.
    """
    folder = Path(folder)
    config, columns = read_json(folder / "config.json"), read_logbook(folder / "logbook.csv")
    names = {name: str(config[name]) for name in ("fitness", "measure") if name in config}
    drawn = [folder / "fitness.png"]
    draw_fitness(columns, drawn[0], **names, maximised=is_maximised(config))
    trace = folder / "trace.npz"
    if trace.exists():
        weights, matrices = read_trace(trace)
        drawn.append(folder / "weights.png")
        draw_weights(weights, matrices, drawn[1])
    return drawn
