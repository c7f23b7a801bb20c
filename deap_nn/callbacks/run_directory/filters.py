"""The filters of a model's first layer, generation by generation."""

from __future__ import annotations

import os
import warnings
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deap_nn.callbacks.base import Callback, Evolution
from deap_nn.core.files import open_plain, write_with
from deap_nn.genome.layout import Layout

MOST_ROWS = 60
"""So many generations of filters are kept at most, and one more at the end."""

MOST_FILTERS, MOST_NUMBERS = 32, 16 * 28 * 28
"""So many filters are kept of a generation, and fewer where they would have more numbers."""


def image_shape(shape: Sequence[int]) -> tuple[int, int] | None:
    """Return height and width of a sample that is an image, or None where it is none.

    Examples
    --------
    >>> image_shape((28, 28)), image_shape((32, 32, 3)), image_shape((784,))
    ((28, 28), (32, 32), None)
    """
    if len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3)):
        return (shape[0], shape[1]) if min(shape[:2]) > 1 else None
    return None


def first_filters(layout: Layout, sample_shape: Sequence[int]) -> tuple[str, NDArray[np.int64]] | None:
    """Return the first layer's matrix and the places of its filters in a flat vector, or None where it has no images.

    Parameters
    ----------
    layout : Layout
        Names and shapes of the weights.
    sample_shape : sequence of int
        The shape of one sample.

    Returns
    -------
    tuple of (str, numpy.ndarray) or None
        The matrix' name, and places of shape (filters, height, width, channels), int64. A dense layer's filter is what
        leads into one unit, laid out as the image is.

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
    return layout.names[first], places[:count].copy()  # a view would hold all places


class FilterTrace(Callback):
    """Keep the first layer's filters of the best member, of some generations, in a file that is always whole.

    At most ``MOST_ROWS`` generations are kept, at equal distances, which double when there would be more, and the last.

    Parameters
    ----------
    path : path-like
        An ``.npz`` file: ``generations``, shape (rows,), ``filters``, shape (rows, filters, height, width), float16,
        the mean of the channels, and ``matrix``, the name of what they are of.
    layout : Layout
        Names and shapes of the weights.
    sample_shape : sequence of int
        The shape of one sample; nothing is kept where it is no image.
    """

    def __init__(self, path: str | os.PathLike[str], layout: Layout, sample_shape: Sequence[int]) -> None:
        self.path = Path(path)
        self._found = first_filters(layout, sample_shape)
        self._rows: dict[int, NDArray[np.float16]] = {}
        self._every = 1

    def restore(self, evolution: Evolution, states: Sequence[Mapping[str, Any]]) -> None:
        """Take the rows of the file that come before the last generation, which is told again."""
        try:
            with open_plain(self.path) as file, np.load(file, allow_pickle=False) as arrays:
                rows = dict(zip(arrays["generations"].tolist(), arrays["filters"], strict=True))
        except FileNotFoundError:
            return
        except (OSError, ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            again = f"it is made again from generation {evolution.generation} on"
            warnings.warn(f"{self.path} cannot be read ({reason}): {again}", stacklevel=2)
            return
        self._rows = {generation: row for generation, row in rows.items() if generation < evolution.generation}

    def on_generation(self, evolution: Evolution) -> None:
        """Keep a row, when it is time."""
        if self._found is None:
            return
        while evolution.generation // self._every >= MOST_ROWS:
            self._every *= 2
        if evolution.generation % self._every == 0:
            self._keep(evolution)

    def on_end(self, evolution: Evolution) -> None:
        """Keep the last generation too."""
        if self._found is not None and evolution.logbook and evolution.row["gen"] not in self._rows:
            self._keep(evolution)

    def _keep(self, evolution: Evolution) -> None:
        if self._found is None:
            return
        name, places = self._found
        found = np.asarray(evolution.look(evolution.best))[places].mean(axis=-1)
        largest = float(np.finfo(np.float16).max)
        self._rows = {generation: row for generation, row in self._rows.items() if generation % self._every == 0}
        self._rows[evolution.row["gen"]] = np.clip(found, -largest, largest).astype(np.float16)
        arrays: dict[str, Any] = {
            "generations": np.array(list(self._rows)),
            "filters": np.stack(list(self._rows.values())),
            "matrix": np.array(name),
        }
        write_with(self.path, lambda partial: np.savez(partial, allow_pickle=False, **arrays))
