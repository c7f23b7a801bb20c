"""The style that all pictures share."""

from __future__ import annotations

import os
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from deap_nn.core.files import write_with

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
