"""Some weights of the best member, generation by generation."""

from __future__ import annotations

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
    """Some weights of the best member of each generation.

    Attributes
    ----------
    rows : list of bytes
        A row for each generation: float32 with the least significant byte first; empty ones until weights are chosen.
    """

    def __init__(self) -> None:
        self.rows: list[bytes] = []
        self._places: NDArray[np.int64] | None = None
        self._names: list[str] = []

    @property
    def is_chosen(self) -> bool:
        """Whether the traced weights are chosen."""
        return self._places is not None

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

    def write(self, path: Path) -> None:
        """Write all rows into an ``.npz`` file.

        It has ``weights``, shape (generations, weights), float32; their ``places`` in the flat vector; and
        ``matrices``, the name of each weight's matrix. Without a row no file is written.
        """
        if self._places is None or not self.rows:
            return
        arrays: dict[str, NDArray[Any]] = {
            "weights": np.frombuffer(b"".join(self.rows), "<f4").reshape(-1, len(self._names)),
            "places": self._places,
            "matrices": np.array(self._names),
        }
        write_arrays(path, arrays)
