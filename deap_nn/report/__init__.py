"""A run as a page, as figures, and in a browser."""

from typing import Any

from deap_nn.core.optional import lazy

_PLACES = {
    "draw_fitness": "report.figures",
    "draw_run": "report.figures",
    "draw_weights": "report.figures",
    "main": "report.__main__",
    "parse_arguments": "report.__main__",
}

__all__ = sorted(_PLACES)


def __getattr__(name: str) -> Any:
    return lazy(__name__, _PLACES, name)
