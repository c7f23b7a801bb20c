"""The filters of a model's first layer, generation by generation."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deap_nn.callbacks.base import Evolution
from deap_nn.core.errors import InputError
from deap_nn.core.files import ALWAYS_READ, write_arrays
from deap_nn.genome.layout import Layout
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


class FilterTrace:
    """The first layer's filters of the best member of some generations, in a file that is always whole.

    At most ``MOST_ROWS`` generations at equal distances are kept, and the last one. The distance doubles when there
    would be more.

    Parameters
    ----------
    path : Path
        An ``.npz`` file: ``generations``, shape (rows,); ``filters``, shape (rows, filters, height, width), float16,
        the means over the channels; and ``matrix``, the name of the layer's matrix.
    matrix : str
        The name of the layer's matrix.
    places : numpy.ndarray
        The places of the filters in a flat vector, as `first_filters` returns them.
    """

    def __init__(self, path: Path, matrix: str, places: NDArray[np.int64]) -> None:
        self.path = path
        self._matrix, self._places = matrix, places
        self._rows: dict[int, NDArray[np.float16]] = {}
        self._every = 1

    def restore(self, generation: int) -> None:
        """Read the rows before a generation; a file that is missing or damaged begins again."""
        with contextlib.suppress(InputError):
            arrays = read_arrays(self.path, "generations", "filters", most=ALWAYS_READ)
            numbers, filters = arrays["generations"], arrays["filters"]
            if numbers.dtype == np.int64 and filters.shape == (*numbers.shape, *self._places.shape[:-1]):
                rows = zip(numbers.tolist(), filters.astype(np.float16), strict=True)
                self._rows = {number: row for number, row in rows if number < generation}

    def keep(self, evolution: Evolution, *, last: bool = False) -> None:
        """Keep the last row, if its generation is one of the equal distances or the last of the run."""
        generation = evolution.row["gen"]
        while generation // self._every >= MOST_ROWS:
            self._every *= 2
        if generation in self._rows or not (last or generation % self._every == 0):
            return
        largest = float(np.finfo(np.float16).max)
        means = np.asarray(evolution.look(evolution.best))[self._places].mean(axis=-1)
        self._rows = {number: row for number, row in sorted(self._rows.items()) if number % self._every == 0}
        self._rows[generation] = np.clip(means, -largest, largest).astype(np.float16)
        arrays: dict[str, Any] = {
            "generations": np.array(list(self._rows)),
            "filters": np.stack(list(self._rows.values())),
            "matrix": np.array(self._matrix),
        }
        write_arrays(self.path, arrays)
