"""A run on disk: its settings, its records, and reading them back."""

from typing import Any

from deap_nn.core.optional import lazy

_PLACES = {
    "LARGEST_PICTURE": "runs.run",
    "Run": "runs.run",
    "SHOWN": "runs.run",
    "Trace": "runs.run",
    "is_run": "runs.run",
    "read_run": "runs.run",
}

__all__ = sorted(_PLACES)


def __getattr__(name: str) -> Any:
    return lazy(__name__, _PLACES, name)
