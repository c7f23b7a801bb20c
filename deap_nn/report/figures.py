"""Figures of runs and of studies."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, ScalarFormatter
from numpy.typing import NDArray

from deap_nn.report.describe import read_logbook, read_trace
from deap_nn.report.style import COLOURS, new_axes, save_figure
from deap_nn.runs.reading import Columns

_LINES = ("solid", "dashed", "dotted", "dashdot", (0, (5, 1, 1, 1, 1, 1)))
_ON_TRAINING = (0, (1, 4))


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
        A logbook by columns: ``gen``, ``min``, ``avg``, ``max`` where that is the best, and ``val_error`` if there is
        one.
    path : path-like
        The picture, a PNG.
    fitness : str
        What the fitness is, for the axis.
    measure : str
        What the validation column is; "error" is a share.
    maximised : bool
        Whether the most is the best.
    """
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = new_axes(figure)
    generations, best = columns["gen"], columns["max" if maximised else "min"]
    axes.plot(generations, columns["avg"], color=COLOURS[0], label="average")
    axes.plot(generations, best, color=COLOURS[1], label="best")
    axes.set_xlabel("generation")
    errors = columns.get("val_error")
    fitness, measure = fitness.replace("_", " "), measure.replace("_", " ")
    rates = fitness == "error"
    named = f"{fitness} (nats)" if fitness == "cross entropy" else fitness
    if errors is None:
        axes.set_ylabel(named)
    elif fitness == measure:
        axes.plot(generations, errors, color=COLOURS[2], label="validation")
        axes.set_ylabel("error rate" if rates else named)
    else:
        axes.set_ylabel(f"{fitness} on the mini-batch{named.removeprefix(fitness)}")
        right = axes.twinx()
        right.spines["top"].set_visible(False)
        right.plot(generations, errors, color=COLOURS[2], label=f"validation {measure} (right)")
        right.set_ylabel("validation error rate" if measure == "error" else f"validation {measure}")
        if measure == "error":
            right.set_ylim(0, 1)
    if not (rates or errors is None or maximised) and 0 < 50 * min(best) < max(columns["avg"]):
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


def draw_surface(columns: Columns, surface: NDArray[np.float64], path: str | os.PathLike[str]) -> None:
    """Draw a small run with two inputs: its curve, and what the best network answers on the unit square.

    Parameters
    ----------
    columns : mapping
        A logbook by columns.
    surface : numpy.ndarray
        The answers, 0 to 1, shape (n, n): rows are the second input from 0 to 1, columns the first.
    path : path-like
        The picture, a PNG.
    """
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    curve = new_axes(figure, 1, 2, 1)
    curve.plot(columns["gen"], columns["avg"], color=COLOURS[0], label="average")
    curve.plot(columns["gen"], columns["min"], color=COLOURS[1], label="best")
    curve.set_xlabel("generation")
    curve.set_ylabel("mean squared error")
    curve.set_yscale("log")
    curve.legend(frameon=False)
    square = figure.add_subplot(1, 2, 2)
    image = square.imshow(surface, origin="lower", extent=(0, 1, 0, 1), vmin=0, vmax=1, cmap="viridis")
    for x, y in ((0, 0), (0, 1), (1, 0), (1, 1)):
        square.plot(x, y, "o", color="white", markeredgecolor="black", clip_on=False)
    square.set_xlabel("first input")
    square.set_ylabel("second input")
    figure.colorbar(image, label="answer of the best network")
    save_figure(figure, path)


def _quartiles(rows: Sequence[Mapping[str, str]], by: str, *columns: str) -> tuple[list[float], NDArray[np.float64]]:
    """Return the places of rows that have a value, and the quartiles there; shape (3, places).

    A row's value is that of the first of the columns that is not empty.
    """
    found: dict[float, list[float]] = {}
    for row in rows:
        value = next((row[column] for column in columns if row[column]), "")
        if value:
            found.setdefault(float(row[by]), []).append(float(value))
    places = sorted(found)
    quartiles: NDArray[np.float64] = np.array([np.quantile(found[at], [0.25, 0.5, 0.75]) for at in places]).T
    return places, quartiles


LEGEND_INCHES = 0.19
"""The height of a line of a legend."""


def draw_study(
    rows: Sequence[Mapping[str, str]],
    path: str | os.PathLike[str],
    *,
    by: Literal["evaluations", "gen"] = "evaluations",
    known: Mapping[str, tuple[float, float]] | None = None,
) -> None:
    """Draw the validation error of each setting of a study: the median of its seeds, and the quartiles.

    The error is that of the mean of the parents where a row has it, and else of the best member. Where rows have a
    ``mean_training`` or ``best_training`` a dotted line shows the median error on training samples.

    Parameters
    ----------
    rows : sequence of mapping
        What ``experiments/sweep.py`` writes: ``setting``, ``evaluations``, ``gen``, ``best`` and ``mean``, and maybe
        ``best_training`` and ``mean_training``; rows without an error are left out.
    path : path-like
        The picture, a PNG.
    by : {"evaluations", "gen"}
        The column of the horizontal axis.
    known : mapping of str to (float, float), optional
        Points to draw beside the lines, each a place on the horizontal axis and an error, by their names.
    """
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = new_axes(figure)
    lines: dict[str, Any] = {}
    last: dict[str, float] = {}
    for i, name in enumerate(dict.fromkeys(row["setting"] for row in rows)):
        own = [row for row in rows if row["setting"] == name]
        places, (low, middle, high) = _quartiles(own, by, "mean", "best")
        colour, line = COLOURS[i % len(COLOURS)], _LINES[i // len(COLOURS) % len(_LINES)]
        lines[name] = axes.plot(places, middle, color=colour, linestyle=line)[0]
        last[name] = float(middle[-1])
        axes.fill_between(places, low, high, color=colour, alpha=0.2, linewidth=0)
        if any(row.get("best_training") for row in own):
            places, (_, middle, _) = _quartiles(own, by, "mean_training", "best_training")
            axes.plot(places, middle, color=colour, linestyle=_ON_TRAINING)
    for i, (name, (where, reached)) in enumerate((known or {}).items()):
        lines[name] = axes.plot(where, reached, marker="*XsD"[i % 4], color="black", linestyle="none", markersize=9)[0]
        last[name] = reached
    axes.set_xlabel("generations" if by == "gen" else "evaluations after the initial population")
    axes.set_ylabel("error on all validation samples")
    axes.set_yscale("log")
    axes.yaxis.set_minor_locator(LogLocator(subs=(2, 3, 4, 6)))  # more would be written over each other
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(ScalarFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(5))
    names = sorted(last, key=last.__getitem__, reverse=True)  # as the lines end, from above
    handles = [lines[name] for name in names]
    if any(row.get("best_training") for row in rows):
        handles += axes.plot([], [], color="black", linestyle=_ON_TRAINING)
        names.append("on training samples")
    figure.set_figheight(max(figure.get_figheight(), LEGEND_INCHES * len(names)))
    figure.legend(handles, names, frameon=False, loc="outside right upper", fontsize="small")
    save_figure(figure, path)


def draw_run(
    folder: str | os.PathLike[str], *, fitness: str = "fitness", measure: str = "error", maximised: bool = False
) -> list[Path]:
    """Draw the pictures of a run directory from its files.

    Parameters
    ----------
    folder : path-like
        With ``logbook.csv``, and ``trace.npz`` if weights were traced.
    fitness : str
        What the fitness is; taken from ``config.json`` by the command.
    measure : str
        What its errors are, likewise; "error", a share, where that does not tell.
    maximised : bool
        Whether the most fitness is the best, likewise.

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
    columns = read_logbook(folder / "logbook.csv")
    drawn = [folder / "fitness.png"]
    draw_fitness(columns, drawn[0], fitness=fitness, measure=measure, maximised=maximised)
    trace = folder / "trace.npz"
    if trace.exists():
        weights, matrices = read_trace(trace)
        drawn.append(folder / "weights.png")
        draw_weights(weights, matrices, drawn[1])
    return drawn
