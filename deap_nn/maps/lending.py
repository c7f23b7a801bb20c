"""Data sets that are sent to a map's workers once, not with each task."""

from __future__ import annotations

import pickle
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from deap_nn.breeding.store.slots import GenomeCache, default_place, sweep
from deap_nn.core.seeding import busy
from deap_nn.data.registry import HELD, lend, made_of_arrays
from deap_nn.maps.tasks import call


def call_with(payload: bytes, digests: Sequence[str], *data: Any) -> Any:
    """Do a task in a worker with the data sets that the main process holds as arrays, and no earlier ones."""
    with busy:  # no data set is released during a task
        lend(dict(zip(digests, data, strict=True)))
        return call(payload)


class Lending:
    """Puts each data set that the main process holds as arrays once into the memory of a cluster.

    Parameters
    ----------
    put : callable
        Called with a data set; returns a reference, which the cluster resolves as an argument of a task.
    """

    def __init__(self, put: Callable[[Any], Any]) -> None:
        self._put = put
        self._lent: dict[str, Any] = {}

    def __call__(self) -> tuple[tuple[str, ...], list[Any]]:
        """Return the digests of the data sets, and their references."""
        held = made_of_arrays()
        self._lent = {
            digest: self._lent[digest] if digest in self._lent else self._put(data) for digest, data in held.items()
        }
        return tuple(self._lent), list(self._lent.values())


class LendingByFiles:
    """Writes each data set that the main process holds as arrays into a file for the processes of its host.

    The files are in the folder of a cache, so the next run removes them if this program is killed.
    """

    def __init__(self) -> None:
        self._cache: GenomeCache | None = None
        self._files: dict[str, str] = {}

    def __call__(self) -> dict[str, str]:
        """Return the path of each data set's file by its digest."""
        held = made_of_arrays()
        for digest in self._files.keys() - held.keys():
            Path(self._files.pop(digest)).unlink()
        for digest in held.keys() - self._files.keys():
            if self._cache is None:
                sweep(default_place())
                self._cache = GenomeCache(uuid.uuid4().hex, 1, default_place())
            path = self._cache.folder / digest
            with open(path, "wb") as file:
                pickle.dump(held[digest], file, pickle.HIGHEST_PROTOCOL)
            self._files[digest] = str(path)
        return dict(self._files)

    def close(self) -> None:
        """Remove the files."""
        if self._cache is not None:
            self._cache.remove()


def _read(path: str) -> Any:
    with open(path, "rb") as file:
        return pickle.load(file)  # noqa: S301  (the main process, which started this one, has written it)


def call_lent(payload: bytes, files: Mapping[str, str]) -> Any:
    """Do a task in a worker that reads the data sets of the main process from files, unless it has them."""
    with busy:
        lend({digest: HELD[digest].data if digest in HELD else _read(path) for digest, path in files.items()})
        return call(payload)
