"""The files of a run that grow with it: rows, weights of the best member, and filters of its first layer."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from collections.abc import Iterable, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deap_nn.callbacks.base import Evolution
from deap_nn.core.errors import InputError
from deap_nn.core.files import append_text, write_arrays, write_text
from deap_nn.core.logbooks import Row, format_row
from deap_nn.core.seeding import Purpose, stream
from deap_nn.genome.vectors import Layout
from deap_nn.runs.files import read_arrays

TIMING_COLUMNS = ("gen", "seconds", "evaluations_per_second", "peak_memory_mib")


def _peak_memory() -> float:
    """Return the largest memory that this process has held, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _is_number(value: Any) -> bool:
    """Return whether a value is a number or missing: ``logbook.csv`` has a column for it."""
    return value is None or (isinstance(value, Real) and not isinstance(value, bool))


class Rows:
    """The rows of a run in its two CSV files, which grow by whole rows.

    Parameters
    ----------
    folder : Path
        The run's folder.

    Attributes
    ----------
    written : int
        The number of generations that are written.
    timing : list of float
        The last row of ``timing.csv``.
    """

    def __init__(self, folder: Path) -> None:
        self._logbook, self._timings = folder / "logbook.csv", folder / "timing.csv"
        self.written = 0
        self.timing: Sequence[float] = []
        self._first: Row = {}  # the first value of each column of the logbook
        self._columns: list[str] = []

    def restore(self, rows: Sequence[Row], timings: Sequence[Sequence[float]]) -> None:
        """Write a row for each timing again: after a crash the last ones may be missing or torn.

        The columns are those of all rows: a resumed run may have kept a row before its new column was refused.
        """
        for row in rows:
            self._add_columns(row)
        self.written = len(timings)
        self._write(map(self._line, rows[: self.written]), timings)

    def append(self, evolution: Evolution) -> None:
        """Append the rows of the last generation to both files or to none; the first ones replace the files."""
        row = evolution.flat_row
        rate, memory = row["nevals"] / evolution.seconds, _peak_memory()
        timing = [row["gen"], round(evolution.seconds, 4), round(rate, 2), round(memory, 1)]
        if not self.written:
            self._add_columns(row)
            self._write([self._line(row)], [timing])
        else:
            line, size = self._line(row), self._logbook.stat().st_size
            append_text(self._logbook, line)
            try:
                append_text(self._timings, format_row(timing))
            except OSError:
                os.truncate(self._logbook, size)
                raise
        self.timing = timing
        self.written += 1

    def _add_columns(self, row: Row) -> None:
        for name, value in row.items():
            self._first.setdefault(name, value)
        self._columns = [name for name, value in self._first.items() if _is_number(value)]

    def _write(self, lines: Iterable[str], timings: Sequence[Sequence[float]]) -> None:
        heads = (format_row(self._columns), format_row(TIMING_COLUMNS)) if timings else ("", "")
        write_text(self._logbook, "".join([heads[0], *lines]))
        write_text(self._timings, "".join([heads[1], *map(format_row, timings)]))

    def _line(self, row: Row) -> str:
        """Return a row of the logbook as a line of CSV; a missing value is empty."""
        if new := [name for name in row if name not in self._first]:
            raise ValueError(f"logbook.csv has no column {new[0]}: all columns must be there in the first generation")
        return format_row([row.get(name) for name in self._columns])


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
    places : numpy.ndarray
        The places of the traced weights in the flat vector; None until they are chosen.
    rows : list of bytes
        A row for each generation: float32 with the least significant byte first; empty ones until weights are chosen.
    """

    def __init__(self) -> None:
        self.rows: list[bytes] = []
        self.places: NDArray[np.int64] | None = None
        self._names: list[str] = []

    def choose(self, layout: Layout, seed: int) -> None:
        """Choose the traced weights."""
        self.places = traced_places(layout, seed)
        matrices = np.searchsorted(np.array(layout.offsets), self.places, side="right") - 1
        self._names = [layout.names[i] for i in matrices]

    def row_of(self, evolution: Evolution) -> bytes:
        """Return the row of a run's best member."""
        if self.places is None:
            return b""
        return np.asarray(evolution.look(evolution.best)[self.places], "<f4").tobytes()

    def write(self, path: Path) -> None:
        """Write all rows into an ``.npz`` file.

        It has ``weights``, shape (generations, weights), float32; their ``places`` in the flat vector; and
        ``matrices``, the name of each weight's matrix. Without a row no file is written.
        """
        if self.places is None or not self.rows:
            return
        weights = np.frombuffer(b"".join(self.rows), "<f4").reshape(-1, len(self._names))
        write_arrays(path, {"weights": weights, "places": self.places, "matrices": np.array(self._names)})


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
    elif len(shape) != 4 or max(shape[:2]) < 2 or np.any(np.greater(shape[:2], image)):
        return None
    places = np.moveaxis(places, -1, 0)
    count = max(1, min(MOST_FILTERS, MOST_NUMBERS // places[0].size))
    return layout.names[first], places[:count].copy()  # a view would keep the array of all places in memory


class RowTrace:
    """An array of the best member of some generations, in a file that is always whole.

    At most `most` generations at equal distances are kept, and the last one. The distance doubles when there would be
    more.

    Parameters
    ----------
    path : Path
        An ``.npz`` file: ``generations``, shape (rows,); their arrays by `name`, shape (rows, ...); and `more`.
    name : str
        The name of the array.
    more : mapping
        Further arrays, the same for all generations.
    most : int
        The most rows.
    """

    def __init__(self, path: Path, name: str, more: dict[str, Any], most: int) -> None:
        self.path, self._name, self._more, self._most = path, name, more, most
        self._rows: dict[int, NDArray[Any]] = {}
        self._every = 1

    def row(self, evolution: Evolution) -> NDArray[Any] | None:
        """Return the array of the best member, or None if it has none."""
        raise NotImplementedError

    def restore(self, generation: int) -> None:
        """Read the rows before a generation; a file that is missing or damaged begins again."""
        with contextlib.suppress(InputError):
            arrays = read_arrays(self.path, "generations", self._name)
            rows = zip(arrays["generations"].tolist(), arrays[self._name], strict=True)
            self._rows = {number: row for number, row in rows if number < generation}

    def keep(self, evolution: Evolution, *, last: bool = False) -> None:
        """Keep the last row, if its generation is one of the equal distances or the last of the run."""
        generation = evolution.row["gen"]
        while generation // self._every >= self._most:
            self._every *= 2
        if generation in self._rows or not (last or generation % self._every == 0):
            return
        row = self.row(evolution)
        if row is None:
            return
        self._rows = {number: kept for number, kept in sorted(self._rows.items()) if number % self._every == 0}
        self._rows[generation] = row
        generations, rows = np.array(list(self._rows)), np.stack(list(self._rows.values()))
        write_arrays(self.path, {"generations": generations, self._name: rows, **self._more})


class FilterTrace(RowTrace):
    """The first layer's filters: ``filters``, shape (rows, filters, height, width), float16, the means over channels.

    Parameters
    ----------
    path : Path
        The file, which also has ``matrix``, the name of the layer's matrix, and ``images``.
    matrix : str
        The name of the layer's matrix.
    places : numpy.ndarray
        The places of the filters in a flat vector, as `first_filters` returns them.
    images : numpy.ndarray
        Samples that the report shows to the filters, shape (images, height, width), bytes.
    """

    def __init__(self, path: Path, matrix: str, places: NDArray[np.int64], images: NDArray[np.uint8]) -> None:
        super().__init__(path, "filters", {"matrix": np.array(matrix), "images": images}, MOST_ROWS)
        self._places = places

    def row(self, evolution: Evolution) -> NDArray[np.float16]:
        """Return the filters."""
        largest = float(np.finfo(np.float16).max)
        means = np.asarray(evolution.look(evolution.best))[self._places].mean(axis=-1)
        return np.asarray(np.clip(means, -largest, largest), np.float16)
