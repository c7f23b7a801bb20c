"""The filters of a model's first layer, generation by generation."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deap_nn.callbacks.base import Callback, Evolution
from deap_nn.core.errors import InputError
from deap_nn.core.files import ALWAYS_READ, write_arrays
from deap_nn.genome.layout import Layout
from deap_nn.genome.vectors import Vector
from deap_nn.runs.reading import read_arrays

MOST_ROWS = 60
"""The most generations of filters that are kept; the last generation may be one more."""

MOST_FILTERS, MOST_NUMBERS = 32, 16 * 28 * 28
"""The most filters, and the most weights of filters, that are kept of a generation; at least one filter is kept."""


def image_shape(shape: Sequence[int]) -> tuple[int, int] | None:
    """Return height and width of a sample, or None if it is no image.

    Examples
    --------
    >>> image_shape((28, 28)), image_shape((32, 32, 3)), image_shape((784,))
    ((28, 28), (32, 32), None)
    """
    if len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3)):
        return (shape[0], shape[1]) if min(shape[:2]) > 1 else None
    return None


def filters_of(path: Path, layout: Layout | None, shape: Sequence[int] | None) -> FilterTrace | None:
    """Return the callback that keeps a model's filters, or None if it reads no samples of this shape as images."""
    found = None if layout is None or shape is None else first_filters(layout, shape)
    return None if found is None else FilterTrace(path, *found)


def first_filters(layout: Layout, sample_shape: Sequence[int]) -> tuple[str, NDArray[np.int64]] | None:
    """Return the first layer's matrix and the places of its filters in a flat vector, or None if it reads no images.

    Parameters
    ----------
    layout : Layout
        Names and shapes of the weights.
    sample_shape : sequence of int
        The shape of one sample.

    Returns
    -------
    tuple of (str, numpy.ndarray) or None
        The matrix's name, and places of shape (filters, height, width, channels), int64. A dense layer's filter is the
        weights of one unit in the shape of the image.

    Examples
    --------
    >>> name, places = first_filters(Layout(("conv/kernel",), ((5, 5, 1, 32),)), (28, 28))
    >>> name, places.shape, places[1, 0, :3, 0].tolist()
    ('conv/kernel', (32, 5, 5, 1), [1, 33, 65])
    """
    image = image_shape(sample_shape)
    first = next((i for i, shape in enumerate(layout.shapes) if len(shape) > 1), None)
    if image is None or first is None:
        return None
    shape = layout.shapes[first]
    places = layout.offsets[first] + np.arange(layout.sizes[first]).reshape(shape)
    if len(shape) == 2 and shape[0] == np.prod(sample_shape):
        places = places.reshape(*image, -1, shape[1])
    elif len(shape) != 4 or max(shape[:2]) < 2:
        return None
    places = np.moveaxis(places, -1, 0)
    count = max(1, min(MOST_FILTERS, MOST_NUMBERS // places[0].size))
    return layout.names[first], places[:count].copy()  # a view would keep the array of all places in memory


class FilterTrace(Callback):
    """Keep the first layer's filters of the best member of some generations, in a file that is always whole.

    At most ``MOST_ROWS`` generations at equal distances are kept, and the last one. The distance doubles when there
    would be more.

    Parameters
    ----------
    path : path-like
        An ``.npz`` file: ``generations``, shape (rows,); ``filters``, shape (rows, filters, height, width), float16,
        the means over the channels; and ``matrix``, the name of the layer's matrix.
    matrix : str
        The name of the layer's matrix.
    places : numpy.ndarray
        The places of the filters in a flat vector, as `first_filters` returns them.
    """

    def __init__(self, path: str | os.PathLike[str], matrix: str, places: NDArray[np.int64]) -> None:
        self.path = Path(path)
        self._matrix, self._places = matrix, places
        self._rows: dict[int, NDArray[np.float16]] = {}
        self._every = 1

    def restore(self, evolution: Evolution, states: Sequence[Mapping[str, Any]]) -> None:
        """Read the rows before the last generation, for which ``on_generation`` is called again.

        Missing rows are recomputed, if the resume recomputes their generations anyway.
        """
        self._space(evolution.generation - 1)
        rows, damage = self._read()
        needed = range(0, evolution.generation, self._every)
        self._rows = {generation: rows[generation] for generation in needed if generation in rows}
        lost = [
            generation for generation in needed if generation not in rows and not self._revisit(evolution, generation)
        ]
        if damage and needed:
            since = f" from generation {max(lost) + self._every}: earlier ones would take long" if lost else ""
            warnings.warn(f"{damage}: it is recomputed{since}", stacklevel=2)

    def _read(self) -> tuple[dict[int, NDArray[np.float16]], str]:
        """Return the rows of the file by generation, and a description of any damage."""
        if not os.path.lexists(self.path):
            return {}, f"{self.path} is missing"
        try:
            arrays = read_arrays(self.path, "generations", "filters", most=ALWAYS_READ)
        except InputError as error:
            return {}, str(error)
        generations, filters = arrays["generations"], arrays["filters"]
        shape = self._places.shape[:-1]
        if (
            generations.dtype != np.int64
            or filters.dtype != np.float16
            or filters.shape != (*generations.shape, *shape)
        ):
            return {}, f"{self.path} holds other filters"
        return dict(zip(generations.tolist(), filters, strict=True)), ""

    def _revisit(self, evolution: Evolution, generation: int) -> bool:
        """Request a row of an earlier generation; return false if the resume does not recompute that generation."""

        def see(flat: Vector) -> None:
            self._rows[generation] = self._row(flat)

        return evolution.revisit is not None and evolution.revisit(generation, see)

    def _space(self, generation: int) -> None:
        """Double the distance of the rows until there are at most ``MOST_ROWS`` up to a generation."""
        while generation // self._every >= MOST_ROWS:
            self._every *= 2

    def on_generation(self, evolution: Evolution) -> None:
        """Keep a row, if the generation is one of the equal distances."""
        self._space(evolution.generation)
        if evolution.generation % self._every == 0:
            self._keep(evolution)

    def on_end(self, evolution: Evolution) -> None:
        """Keep the last generation too."""
        if evolution.logbook and evolution.row["gen"] not in self._rows:
            self._keep(evolution)

    def _keep(self, evolution: Evolution) -> None:
        kept = {generation: row for generation, row in sorted(self._rows.items()) if generation % self._every == 0}
        self._rows = kept | {evolution.row["gen"]: self._row(evolution.look(evolution.best))}
        arrays: dict[str, Any] = {
            "generations": np.array(list(self._rows)),
            "filters": np.stack(list(self._rows.values())),
            "matrix": np.array(self._matrix),
        }
        write_arrays(self.path, arrays)

    def _row(self, flat: Vector) -> NDArray[np.float16]:
        """Return the filters in a flat vector."""
        largest = float(np.finfo(np.float16).max)
        means = np.asarray(flat)[self._places].mean(axis=-1)
        found: NDArray[np.float16] = np.clip(means, -largest, largest).astype(np.float16)
        return found
