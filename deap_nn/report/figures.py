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
from deap_nn.runs.files import PREDICTIONS_FILE, Columns, read_arrays, read_json

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
    kept: tuple[int, float] | None = None,
    classes: int = 0,
) -> None:
    """Draw the validation error, and below it average and best fitness, by generation.

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
    kept : tuple of (int, float), optional
        The generation of the network that the run kept, and its measure on validation samples.
    classes : int
        The number of classes, for the error rate of chance; 0 if there are none.
    """
    (fitness, _), (measure, sign) = measure_of(fitness), measure_of(measure)
    errors = [sign * error for error in columns.get("val_error", ())]
    figure = Figure(figsize=(7, 6.5 if errors else 4.2), layout="constrained")
    generations = columns["gen"]
    if errors:
        axes = new_axes(figure, 2, 1, 1)
        axes.plot(generations, errors, color=COLOURS[2], alpha=0.4, linewidth=0.8, label="best member")
        smooth = [float(np.median(errors[max(0, i - 9) : i + 1])) for i in range(len(errors))]
        axes.plot(generations, smooth, color=COLOURS[2], label="its median of ten generations")
        if classes and measure == "error rate":
            axes.axhline(1 - 1 / classes, color="0.4", linestyle=":", label="chance")
        if kept is not None:
            axes.plot(kept[0], sign * kept[1], "ko", fillstyle="none", label=f"kept: {sign * kept[1]:.4g}")
        axes.set_ylabel(f"validation {measure}")
        axes.set_yscale("log" if min(errors) > 0 else "linear")
        axes.legend(frameon=False)
    axes = new_axes(figure, *((2, 1, 2) if errors else (1, 1, 1)))
    axes.plot(generations, columns["avg"], color=COLOURS[0], label="average")
    axes.plot(generations, columns["max" if maximised else "min"], color=COLOURS[1], label="best")
    axes.set_xlabel("generation")
    axes.set_ylabel(f"{fitness} (nats)" if fitness == "cross-entropy" else fitness)
    axes.set_yscale("log" if min(*columns["min"], *columns["avg"]) > 0 else "linear")
    axes.legend(frameon=False)
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
    status = read_json(folder / "status.json") if (folder / "status.json").exists() else {}
    kept = (status["generation"], status["validation_error"]) if "readout" in status else None
    answers = read_arrays(folder / PREDICTIONS_FILE) if (folder / PREDICTIONS_FILE).exists() else {}
    classes = len(answers.get("confusion", ()))
    draw_fitness(columns, drawn[0], **names, maximised=is_maximised(config), kept=kept, classes=classes)
    trace = folder / "trace.npz"
    if trace.exists():
        weights, matrices = read_trace(trace)
        drawn.append(folder / "weights.png")
        draw_weights(weights, matrices, drawn[1])
    return drawn
