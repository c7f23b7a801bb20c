"""The generational loop."""

from typing import Any

from deap_nn.core.optional import lazy

_PLACES = {
    "COLUMNS": "algorithms.loop",
    "Callback": "callbacks.base",
    "Evolution": "callbacks.base",
    "PROGRESS_SECONDS": "algorithms.loop",
    "WORST": "core.errors",
    "evolve": "algorithms.evolving",
    "vary": "breeding.reproduction",
}

__all__ = sorted(_PLACES)


def __getattr__(name: str) -> Any:
    return lazy(__name__, _PLACES, name)
