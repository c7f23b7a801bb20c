"""Some weights of the best member, generation by generation."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deap_nn.callbacks.base import Evolution
from deap_nn.core.files import write_arrays
from deap_nn.core.seeding import Purpose, stream
from deap_nn.genome.layout import Layout

TRACED = 100
"""The number of weights of the best member that are kept for each generation."""


def traced_places(layout: Layout, seed: int) -> NDArray[np.int64]:
    """Return the places of the traced weights in the flat vector, sorted: ``TRACED``, or all if there are fewer.

    Each matrix has the same share. If a small matrix has fewer weights, the larger ones share the rest.
    """
    rng = stream(seed, Purpose.TRACE)
    places: list[NDArray[np.int64]] = []
    wanted = min(TRACED, layout.size)
    by_size = sorted(range(len(layout)), key=lambda i: layout.sizes[i])
    for done, i in enumerate(by_size):
        share = min(layout.sizes[i], round(wanted / (len(layout) - done)))
        wanted -= share
        places.append(layout.offsets[i] + rng.choice(layout.sizes[i], share, replace=False))
    return np.sort(np.concatenate(places))


class WeightTrace:
    """A row of weights for each generation, in a temporary file: in memory they would take more than the logbook.

    Parameters
    ----------
    folder : Path
        The folder of that file. It has no name there, so that a killed run leaves no file behind.

    Attributes
    ----------
    last : bytes
        The last row, float32 with the least significant byte first; empty until weights are chosen.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115  (open as long as the run)
        self._places: NDArray[np.int64] | None = None
        self._names: list[str] = []
        self.last = b""

    @property
    def is_chosen(self) -> bool:
        """Whether the traced weights are chosen."""
        return self._places is not None

    @property
    def is_closed(self) -> bool:
        """Whether the rows are released."""
        return self._file.closed

    def choose(self, layout: Layout, seed: int) -> None:
        """Choose the traced weights."""
        self._places = traced_places(layout, seed)
        matrices = np.searchsorted(np.array(layout.offsets), self._places, side="right") - 1
        self._names = [layout.names[i] for i in matrices]

    def row_of(self, evolution: Evolution) -> bytes:
        """Return the row of a run's best member."""
        if self._places is None:
            return b""
        return np.asarray(evolution.look(evolution.best)[self._places], "<f4").tobytes()

    def append(self, row: bytes) -> None:
        """Add a row.

        Raises
        ------
        OSError
            If the disk is full.
        """
        if self._file.write(row) != len(row):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._folder))
        self.last = row

    @contextlib.contextmanager
    def whole_or_nothing(self) -> Iterator[None]:
        """Remove the rows that were added in the body, if the body fails."""
        end = self._file.tell()
        try:
            yield
        except BaseException:
            self._file.truncate(end)
            self._file.seek(end)
            raise

    def write(self, path: Path) -> None:
        """Write all rows into an ``.npz`` file.

        It has ``weights``, shape (generations, weights), float32; their ``places`` in the flat vector; and
        ``matrices``, the name of each weight's matrix. Without a row no file is written.
        """
        if self._places is None or not self.last:
            return
        arrays: dict[str, NDArray[Any]] = {
            "weights": np.memmap(self._file, "<f4", "r").reshape(-1, len(self._names)),  # mapped, not read into memory
            "places": self._places,
            "matrices": np.array(self._names),
        }
        write_arrays(path, arrays)

    def close(self) -> None:
        """Release the rows."""
        self._file.close()
