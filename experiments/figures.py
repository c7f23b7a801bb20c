"""Figures of an experiment's results: lines, points, images, a family tree, a study, in the style of the reports."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, ScalarFormatter
from numpy.typing import ArrayLike, NDArray

from deap_nn.report.figures import COLOURS, new_axes, save_figure

_LINES = ("solid", "dashed", "dotted", "dashdot", (0, (5, 1, 1, 1, 1, 1)))


@dataclass
class Panel:
    """A part of a picture with axes of its own.

    Parameters
    ----------
    xlabel, ylabel : str
        The quantities on the axes, with their units.
    lines, points : mapping of str to pair of array_like
        Places on both axes by name: joined, or each a dot.
    bands : mapping of str to (array_like, array_like, array_like)
        Places, lower and upper ends of an area, by the name of the line that it belongs to.
    marks : sequence of float
        Places on the horizontal axis that get a dotted line from bottom to top.
    title : str
        Stands above, if there is one.
    log : bool
        Whether the vertical axis is logarithmic.
    zero : bool
        Whether the vertical axis begins at 0.
    """

    xlabel: str
    ylabel: str
    lines: Mapping[str, tuple[ArrayLike, ArrayLike]] = field(default_factory=dict)
    points: Mapping[str, tuple[ArrayLike, ArrayLike]] = field(default_factory=dict)
    bands: Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike]] = field(default_factory=dict)
    marks: Sequence[float] = ()
    title: str = ""
    log: bool = False
    zero: bool = False


def draw_panels(panels: Sequence[Panel], path: str | os.PathLike[str]) -> None:
    """Draw panels side by side.

    Parameters
    ----------
    panels : sequence of Panel
        At least one.
    path : path-like
        The picture, a PNG.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "lines.png")
    >>> draw_panels([Panel("generation", "error rate", lines={"best": ([0, 1], [0.9, 0.5])})], path)
    >>> path.stat().st_size > 1000
    True
    """
    figure = Figure(figsize=(7 if len(panels) == 1 else 4.6 * len(panels), 4.2), layout="constrained")
    for place, panel in enumerate(panels, 1):
        _fill(new_axes(figure, 1, len(panels), place), panel)
    save_figure(figure, path)


def _fill(axes: Any, panel: Panel) -> None:
    colours = dict(zip([*panel.lines, *panel.points], COLOURS * 8, strict=False))
    for name, (x, low, high) in panel.bands.items():
        axes.fill_between(x, low, high, color=colours[name], alpha=0.2, linewidth=0)
    for name, (x, y) in panel.lines.items():
        axes.plot(x, y, color=colours[name], label=name)
    for i, (name, (x, y)) in enumerate(panel.points.items()):
        axes.plot(x, y, marker="os^D*X"[i % 6], linestyle="none", color=colours[name], alpha=0.8, label=name)
    for mark in panel.marks:
        axes.axvline(mark, color="grey", linestyle="dotted", linewidth=0.9)
    axes.set(xlabel=panel.xlabel, ylabel=panel.ylabel, title=panel.title)
    if panel.log:
        axes.set_yscale("log")
    elif panel.zero:
        axes.set_ylim(bottom=0)
    if len(panel.lines) + len(panel.points) > 1:
        axes.legend(frameon=False, fontsize="small")


def draw_images(
    panel: Panel, images: Sequence[ArrayLike], path: str | os.PathLike[str], *, title: str, names: Sequence[str]
) -> None:
    """Draw a panel, and beside it a grid of small images in black and white.

    Parameters
    ----------
    panel : Panel
        The left half.
    images : sequence of array_like
        Of the same shape (rows, columns); the lowest value is black, the highest white.
    path : path-like
        The picture, a PNG.
    title : str
        The subject of the images.
    names : sequence of str
        A name for each image.
    """
    figure = Figure(figsize=(9.2, 4.2), layout="constrained")
    halves: Any = figure.subfigures(1, 2, width_ratios=(1, 1.1))
    left, right = halves
    _fill(new_axes(left, 1, 1, 1), panel)
    right.suptitle(title, fontsize="medium")
    columns = int(np.ceil(np.sqrt(len(images))))
    rows = -(-len(images) // columns)
    for place, image in enumerate(images):
        axes = right.add_subplot(rows, columns, place + 1)
        axes.imshow(image, cmap="gray", interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.set_title(names[place], fontsize="small", pad=2)
    save_figure(figure, path)


def draw_genealogy(
    generations: Mapping[int, int],
    parents: Mapping[int, Sequence[int]],
    path: str | os.PathLike[str],
    *,
    best: int,
) -> None:
    """Draw a family tree: each individual a dot at its generation, below its parents.

    Parameters
    ----------
    generations : mapping of int to int
        The generation of each individual, by its number.
    parents : mapping of int to sequence of int
        The parents of each, those that are drawn among them; founders have none.
    path : path-like
        The picture, a PNG.
    best : int
        The individual whose family is drawn, by its number.
    """
    rows: dict[int, list[int]] = {}
    for number, generation in sorted(generations.items()):
        rows.setdefault(generation, []).append(number)
    places: dict[int, float] = {}
    for generation in sorted(rows):
        # Below the middle of its parents each crosses the fewest lines.
        row = sorted(rows[generation], key=lambda n: (float(np.mean([places[p] for p in parents[n]] or [0])), n))
        places |= {number: (place + 0.5) / len(row) for place, number in enumerate(row)}
    height = max(3.2, 0.42 * len(rows) + 1.2)
    figure = Figure(figsize=(7, height), layout="constrained")
    axes = new_axes(figure)
    for number, own in parents.items():
        for parent in own:
            ends = [places[parent], places[number]], [generations[parent], generations[number]]
            axes.plot(*ends, color="grey", linewidth=0.8, alpha=0.7, zorder=1)
    for name, colour, size, numbers in (
        ("founder", COLOURS[0], 40, [n for n in generations if not parents[n]]),
        ("ancestor", COLOURS[5], 40, [n for n in generations if parents[n] and n != best]),
        ("best", COLOURS[1], 130, [best]),
    ):
        at = [places[n] for n in numbers], [generations[n] for n in numbers]
        axes.scatter(*at, color=colour, s=size, marker="*" if name == "best" else "o", label=name, zorder=2)
    axes.set(xticks=[], ylabel="generation", xlim=(0, 1))
    axes.spines["bottom"].set_visible(False)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.invert_yaxis()
    figure.legend(frameon=False, loc="outside upper center", ncols=3)
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


AXES = {
    "gen": "generations",
    "evaluations": "evaluations after the initial population",
}
"""What stands on the horizontal axis, by the column of the rows."""


def draw_study(rows: Sequence[Mapping[str, str]], path: str | os.PathLike[str], *, by: str = "evaluations") -> None:
    """Draw the validation error of each setting of a study: the median of its seeds, and the quartiles.

    The error is that of the mean of the parents if a row has it, else of the best member.

    Parameters
    ----------
    rows : sequence of mapping
        Rows of ``experiments/sweep.py``: ``setting``, ``evaluations``, ``gen``, ``best`` and ``mean``; rows without an
        error are left out.
    path : path-like
        The picture, a PNG.
    by : str
        The column of `AXES` for the horizontal axis.
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
    axes.set(xlabel=AXES[by], ylabel="error on all validation samples", yscale="log")
    axes.yaxis.set_minor_locator(LogLocator(subs=(2, 3, 4, 6)))  # more would be written over each other
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(ScalarFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 2.5, 5, 10)))
    names = sorted(last, key=last.__getitem__, reverse=True)  # as the lines end, from above
    handles = [lines[name] for name in names]
    figure.set_figheight(max(figure.get_figheight(), LEGEND_INCHES * len(names)))
    figure.legend(handles, names, frameon=False, loc="outside right upper", fontsize="small")
    save_figure(figure, path)


def draw_rungs(errors: Mapping[str, Sequence[float]], path: str | os.PathLike[str]) -> None:
    """Draw the errors of settings from above, each a dot, on a logarithmic axis, with the medians in numbers.

    Parameters
    ----------
    errors : mapping of str to sequence of float
        The errors of a setting's seeds, by its name; a name that begins with "beside" has a second colour.
    path : path-like
        The picture, a PNG.
    """
    figure = Figure(figsize=(7, 0.3 * len(errors) + 0.8), layout="constrained")
    axes, rungs = new_axes(figure), range(len(errors))
    for rung, (name, values) in enumerate(errors.items()):
        axes.plot(values, [rung] * len(values), "o", color=COLOURS[name.startswith("beside")])
        axes.annotate(f"{np.median(values):.3f}", (max(values), rung), (8, 0), textcoords="offset points", va="center")
    axes.set(xscale="log", xlabel="test error", xlim=(0.014, 1), yticks=rungs, yticklabels=errors)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axes.invert_yaxis()
    save_figure(figure, path)
