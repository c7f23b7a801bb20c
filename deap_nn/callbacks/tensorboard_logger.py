"""A callback that writes a run as events for TensorBoard."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deap_nn.callbacks.base import Callback, Evolution
from deap_nn.core.arguments import check_count
from deap_nn.core.logbooks import Row, rows_of
from deap_nn.core.optional import optional
from deap_nn.core.registered import Traits

EVERY = 25
"""Generations between two histograms of the best member's weights."""

MOST_WEIGHTS = 100_000
"""The most weights of a matrix in a histogram: for millions TensorFlow takes some seconds and a gigabyte."""

MOST_FILTERS = 64
"""The largest number of filters in an image; they are the first ones."""

SMALLEST_SIDE = 4
"""The least side of an image, in pixels: a dense layer with fewer inputs than its square reads no images."""


class TensorBoardLogger(Callback):
    """Write a run as events for TensorBoard (``tensorboard --logdir PATH``).

    Each column of the logbook is a scalar by generation with a description; the name of a chapter's is
    ``chapter.column``. ``min``, ``avg``, ``std`` and ``max`` of the fitness are in nats for a cross-entropy, and shares
    of the samples for an error. ``train_error`` and ``val_error`` are those of the best member on the mini-batch and on
    validation samples, ``sigma`` is in units of a weight, and ``nevals`` and ``best_pairs`` are counts.

    Every `every` generations, and at the end, there is a histogram of each matrix of the best member, and an image of
    its first layer's filters if that layer reads images. Such filters are the kernel of a convolution of 1 or 3
    channels, or the weights of each unit of a dense layer with a square number of inputs. A resumed run writes into the
    same folder, and writes no generation twice.

    Parameters
    ----------
    path : path-like
        A folder without the events of another run.
    every : int
        Generations between two histograms and images, at least 1; 0 for none.

    Raises
    ------
    ImportError
        If TensorBoard is not installed: ``pip install -c constraints.txt -e '.[tensorboard]'``.
    """

    def __init__(self, path: str | os.PathLike[str], *, every: int = EVERY) -> None:
        with optional("tensorboard"):
            import tensorboard  # noqa: F401  (TensorFlow's writer uses it)
        self.path = Path(path)
        self.every = check_count(every, "every", 0)
        self._writer: Any = None
        self._written = -1
        self._there: set[tuple[str, int]] = set()
        self._described: dict[str, str] = {}

    def on_start(self, evolution: Evolution) -> None:
        """Forget the previous run."""
        self._writer, self._written, self._there = None, -1, set()

    def restore(self, evolution: Evolution, states: Sequence[Mapping[str, Any]]) -> None:
        """Read the folder's events, and write missing scalars of earlier generations."""
        self._open(evolution)
        there = dict(written_in(self.path))
        self._there, rows = set(there), rows_of(evolution.logbook)
        for row in rows:
            for name, value in row.items():
                found = there.get((name, row["gen"]))
                if found is not None and not np.array_equal(found, np.float32(value), equal_nan=True):
                    raise ValueError(_OTHERS.format(self.path))
        for row in rows[:-1]:
            self._write_scalars(row)
            self._written = row["gen"]

    def on_generation(self, evolution: Evolution) -> None:
        """Write the generation, and every `every` generations the weights."""
        self._catch_up(evolution)

    def on_end(self, evolution: Evolution) -> None:
        """Write the last generation, if the run was interrupted before ``on_generation``."""
        self._catch_up(evolution)
        if self._writer is not None:
            self._writer.close()

    def _open(self, evolution: Evolution) -> None:
        from deap_nn.models.tensorflow import configure_tensorflow, tf

        # TensorFlow fixes its number of threads at its first computation, and a writer computes.
        problem = Traits(evolution.toolbox.evaluate).problem
        self._described = descriptions(problem)
        configure_tensorflow(getattr(problem, "threads", 1), getattr(problem, "device", "cpu"))
        self._writer = tf.summary.create_file_writer(str(self.path))

    def _catch_up(self, evolution: Evolution) -> None:
        if not evolution.logbook or evolution.row["gen"] != self._written + 1:
            return  # no new row, or the run ended before `restore`
        if self._writer is None:
            check_new_log(self.path)
            self._open(evolution)
        row = evolution.flat_row
        self._write_scalars(row)
        due = self.every and (row["gen"] % self.every == 0 or evolution.last or evolution.error is not None)
        if due:
            self._write_weights(evolution, row["gen"])
        self._writer.flush()
        self._written = row["gen"]

    def _write_scalars(self, row: Row) -> None:
        from deap_nn.models.tensorflow import tf

        with self._writer.as_default(step=row["gen"]):
            for name, value in row.items():
                if name != "gen" and isinstance(value, int | float) and (name, row["gen"]) not in self._there:
                    described = self._described.get(name, f"{name} of the run's statistics")
                    tf.summary.scalar(name, value, description=described)

    def _write_weights(self, evolution: Evolution, generation: int) -> None:
        from deap_nn.models.tensorflow import tf

        weights = evolution.best_weights
        first = next(iter(weights), "")
        sheet = filter_sheet(weights[first]) if weights else None
        with self._writer.as_default(step=generation):
            for name, matrix in weights.items():
                tag = f"weights/{name}"
                if (tag, generation) not in self._there:
                    tf.summary.histogram(tag, matrix.ravel()[:: math.ceil(matrix.size / MOST_WEIGHTS)])
            tag = f"filters/{first}"
            if sheet is not None and (tag, generation) not in self._there:
                tf.summary.image(tag, sheet[None])


UNITS = {"error": "a share of the samples", "cross_entropy": "in nats"}
"""The unit of an objective by its kind; an objective of any other kind has its own."""


def descriptions(problem: Any) -> dict[str, str]:
    """Return the meaning and the unit of each column of the logbook of a run.

    Parameters
    ----------
    problem : Problem, optional
        The problem of the run's evaluation; None for a user's own function.
    """
    fitness = UNITS.get(getattr(problem, "fitness", None) or "", "in the unit of the fitness")
    measure = problem.measure if problem is not None else None
    error = "error" if measure is None else measure.name.replace("_", " ")
    unit = UNITS.get(getattr(measure, "kind", ""), "in its unit, less is better")
    return {
        "nevals": "number of members scored in the generation",
        "min": f"lowest fitness of the generation, {fitness}",
        "avg": f"mean fitness of the generation, {fitness}",
        "std": f"standard deviation of the fitness of the generation, {fitness}",
        "max": f"highest fitness of the generation, {fitness}",
        "train_error": f"{error} of the best member on the mini-batch, {unit}",
        "val_error": f"{error} of the best member on validation samples, {unit}",
        "sigma": "standard deviation of the mutation's noise, in units of a weight, before the factor of its matrix",
        "best_pairs": "number of groups of parents that have the best member of the generation before",
    }


def filter_sheet(matrix: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Return a picture of a layer's filters side by side, or None if the layer reads no images.

    Parameters
    ----------
    matrix : numpy.ndarray
        The layer's weights: shape (height, width, channels, filters) with 1 or 3 channels, or (inputs, filters) with a
        square number of inputs.

    Returns
    -------
    numpy.ndarray
        Shape (height, width, channels), from 0 to 1: half for a weight of 0, black lines between the filters.

    Examples
    --------
    >>> filter_sheet(np.ones((5, 5, 1, 4), np.float32)).shape
    (13, 13, 1)
    """
    if matrix.ndim == 2:
        side = math.isqrt(len(matrix))
        if side < SMALLEST_SIDE or side * side != len(matrix):
            return None
        matrix = matrix.reshape(side, side, 1, -1)
    if matrix.ndim != 4 or matrix.shape[2] not in (1, 3):
        return None
    filters = np.moveaxis(matrix[..., :MOST_FILTERS], -1, 0)
    largest = float(np.abs(filters).max()) or 1.0
    tiles = np.pad(0.5 + filters / (2 * largest), ((0, 0), (1, 0), (1, 0), (0, 0)))
    columns = math.ceil(math.sqrt(len(tiles)))
    tiles = np.concatenate([tiles, np.zeros((-len(tiles) % columns, *tiles.shape[1:]))])
    lines = [np.concatenate(list(line), axis=1) for line in tiles.reshape(-1, columns, *tiles.shape[1:])]
    sheet: NDArray[np.float32] = np.pad(np.concatenate(lines), ((0, 1), (0, 1), (0, 0))).astype(np.float32)
    return sheet


_OTHERS = "{} has the events of another run: give each run its own folder"


def event_files(path: Path) -> list[Path]:
    """Return the files with events in a folder."""
    return sorted(path.glob("events.out.tfevents.*"))


def check_new_log(path: Path) -> None:
    """Raise ValueError if a folder has events already."""
    if event_files(path):
        raise ValueError(_OTHERS.format(path))


def written_in(path: Path) -> Iterator[tuple[tuple[str, int], float | None]]:
    """Yield the tag and the step of each event in a folder, with its value if that is a scalar.

    Events after damage in a file are left out.
    """
    from deap_nn.models.tensorflow import tf

    for file in event_files(path):
        try:
            for record in tf.data.TFRecordDataset(str(file)):
                event = tf.compat.v1.Event.FromString(record.numpy())
                for value in event.summary.value:
                    is_scalar = value.metadata.plugin_data.plugin_name == "scalars"
                    yield (value.tag, event.step), float(tf.make_ndarray(value.tensor)) if is_scalar else None
        except tf.errors.DataLossError:
            continue
