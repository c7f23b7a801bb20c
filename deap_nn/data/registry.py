"""Data sets by the references that tasks have in their place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NAMES = ("auto", "mnist", "mnist5k", "fashion-mnist")
"""The names that `load_dataset` knows."""


@dataclass(frozen=True)
class DataReference:
    """A name for a data set that is small enough to send with every task.

    Parameters
    ----------
    name, path : str
        The arguments with which `load_dataset` loads it again; `path` is empty for a data set known by name. Both are
        of no use for a data set made of arrays, which a process finds only by its digest.
    sha256 : str
        The digest of the arrays.
    """

    name: str
    path: str
    sha256: str


HELD: dict[DataReference, Any] = {}
"""The data sets that this process has made or loaded."""

LENT: dict[DataReference, Any] = {}
"""Those that `lend` has brought from another process."""

_loaded: set[DataReference] = set()
"""Those that another process can load too, by their names or paths."""

_times: Counter[DataReference] = Counter()
"""The number of calls of `remember` for each, less those of `forget`."""


def remember(data: Any) -> None:
    """Register an object with a ``reference`` for `find_dataset` in this process; each call needs one of `forget`."""
    HELD[data.reference] = data
    _times[data.reference] += 1


def mark_loaded(data: Any) -> None:
    """Note that a data set was loaded by its name or path."""
    _loaded.add(data.reference)


def forget(reference: DataReference) -> None:
    """Undo one call of `remember`; after the last one this process releases the data set."""
    _times[reference] -= 1
    if not _times[reference]:
        del HELD[reference]


def made_of_arrays() -> dict[DataReference, Any]:
    """Return the data sets of this process that another process cannot load by a name or a path."""
    return {reference: data for reference, data in HELD.items() if reference not in _loaded}


def lend(data: Mapping[DataReference, Any]) -> None:
    """Register the data sets that another process' `made_of_arrays` returned, and release those lent earlier."""
    LENT.clear()
    LENT.update(data)
