"""Data sets by their digests, by which tasks name them."""

from __future__ import annotations

from collections import Counter
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


_KNOWN: dict[str, Any] = {}
_LOADED: set[str] = set()  # the digests of what was loaded
_UNNAMED: set[str] = set()  # and of what has no name or path to load it by
_REMEMBERED: Counter[str] = Counter()
_LENT: set[str] = set()


def remember(data: Any) -> None:
    """Let `find_dataset` find, in this process, what has a ``reference``, until it is forgotten as often."""
    reference: DataReference = data.reference
    _KNOWN[reference.sha256] = data
    _REMEMBERED[reference.sha256] += 1
    if not reference.path and reference.name not in NAMES:
        _UNNAMED.add(reference.sha256)


def forget(reference: DataReference) -> None:
    """Let this process let go of a data set that `remember` was given, unless it was given another like it."""
    _REMEMBERED[reference.sha256] -= 1
    if _REMEMBERED[reference.sha256] <= 0:
        _KNOWN.pop(reference.sha256, None)
        _UNNAMED.discard(reference.sha256)
        del _REMEMBERED[reference.sha256]


def made_of_arrays() -> dict[str, Any]:
    """Return by digest the data sets of this process that no other finds by a name or a path."""
    return {digest: data for digest, data in _KNOWN.items() if digest not in _LOADED - _UNNAMED}


def lend(data: Mapping[str, Any]) -> None:
    """Let `find_dataset` find what `made_of_arrays` has returned elsewhere, and let go of what was lent before."""
    for digest in _LENT - data.keys():
        if not _REMEMBERED[digest]:
            _KNOWN.pop(digest, None)
    _LENT.intersection_update(data)
    for digest in data.keys() - _KNOWN.keys():
        _KNOWN[digest] = data[digest]
        _LENT.add(digest)
