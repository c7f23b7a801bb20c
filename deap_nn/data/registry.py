"""Data sets by their digests, by which tasks name them."""

from __future__ import annotations

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


@dataclass
class Held:
    """A data set that this process holds, and the ways by which it came here.

    Parameters
    ----------
    data : Dataset or Samples
        The data set.
    times : int
        The number of calls of `remember` with it, less those of `forget`.
    is_loaded : bool
        Whether it was loaded by a name or a path, so that another process can load it too.
    is_unnamed : bool
        Whether `remember` got the same arrays without a name or path.
    is_lent : bool
        Whether `lend` has brought it from another process.
    """

    data: Any
    times: int = 0
    is_loaded: bool = False
    is_unnamed: bool = False
    is_lent: bool = False


HELD: dict[str, Held] = {}
"""The data sets of this process, by digest."""


def remember(data: Any) -> None:
    """Register an object with a ``reference`` for `find_dataset` in this process; each call needs one of `forget`."""
    reference: DataReference = data.reference
    held = HELD.setdefault(reference.sha256, Held(data))
    held.data, held.times = data, held.times + 1
    if not reference.path and reference.name not in NAMES:
        held.is_unnamed = True


def mark_loaded(data: Any) -> None:
    """Note that a data set was loaded by its name or path."""
    HELD.setdefault(data.reference.sha256, Held(data)).is_loaded = True


def forget(reference: DataReference) -> None:
    """Undo one call of `remember`; after the last one this process releases the data set."""
    held = HELD[reference.sha256]
    held.times -= 1
    if held.times <= 0:
        del HELD[reference.sha256]


def made_of_arrays() -> dict[str, Any]:
    """Return by digest the data sets of this process that another process cannot load by a name or a path."""
    return {digest: held.data for digest, held in HELD.items() if held.is_unnamed or not held.is_loaded}


def lend(data: Mapping[str, Any]) -> None:
    """Register the data sets that another process' `made_of_arrays` returned, and release those lent earlier."""
    for digest, held in list(HELD.items()):
        if held.is_lent and digest not in data:
            held.is_lent = False
            if not held.times:
                del HELD[digest]
    for digest in data.keys() - HELD.keys():
        HELD[digest] = Held(data[digest], is_lent=True)
