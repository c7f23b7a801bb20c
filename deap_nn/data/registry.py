"""Data sets by their digests, by which tasks name them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NAMES = ("auto", "mnist", "mnist5k", "fashion-mnist")
"""What `load_dataset` knows by name."""


@dataclass(frozen=True)
class DataReference:
    """A name for a data set that is small enough to send with every task.

    Parameters
    ----------
    name, path : str
        What `load_dataset` is given to load it again; `path` is empty for a data set known by name, and both
        are of no use for one made of arrays, which a process finds by its digest alone.
    sha256 : str
        The digest of the arrays.
    """

    name: str
    path: str
    sha256: str


@dataclass
class Held:
    """A data set that this process holds, and how it came to.

    Parameters
    ----------
    data : Dataset or Samples
        The data set.
    times : int
        How often `remember` was given it, less how often `forget` was.
    is_loaded : bool
        Whether it was loaded by a name or a path, by which another process can load it too.
    is_unnamed : bool
        Whether arrays without either were remembered that are the same.
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
    """Let `find_dataset` find, in this process, what has a ``reference``, until it is forgotten as often."""
    reference: DataReference = data.reference
    held = HELD.setdefault(reference.sha256, Held(data))
    held.data, held.times = data, held.times + 1
    if not reference.path and reference.name not in NAMES:
        held.is_unnamed = True


def mark_loaded(data: Any) -> None:
    """Note that a data set was loaded by its name or path."""
    HELD.setdefault(data.reference.sha256, Held(data)).is_loaded = True


def forget(reference: DataReference) -> None:
    """Let this process let go of a data set that `remember` was given, unless it was given another like it."""
    held = HELD[reference.sha256]
    held.times -= 1
    if held.times <= 0:
        del HELD[reference.sha256]


def made_of_arrays() -> dict[str, Any]:
    """Return by digest the data sets of this process that no other finds by a name or a path."""
    return {digest: held.data for digest, held in HELD.items() if held.is_unnamed or not held.is_loaded}


def lend(data: Mapping[str, Any]) -> None:
    """Let `find_dataset` find what `made_of_arrays` has returned elsewhere, and let go of what was lent before."""
    for digest, held in list(HELD.items()):
        if held.is_lent and digest not in data:
            held.is_lent = False
            if not held.times:
                del HELD[digest]
    for digest in data.keys() - HELD.keys():
        HELD[digest] = Held(data[digest], is_lent=True)
