"""What a report shows and no other file of a run has: filters of the first layer, answers of the result."""

from __future__ import annotations

import os
import warnings
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from deap import base
from numpy.typing import NDArray

from deap_nn.evolution import Callback, Evolution
from deap_nn.logbooks import write_with
from deap_nn.plain_files import open_plain
from deap_nn.weights import Layout

FILTERS_FILE, ANSWERS_FILE = "filters.npz", "answers.npz"

MOST_ROWS = 60
"""So many generations of filters are kept at most, and one more at the end."""

MOST_FILTERS, MOST_NUMBERS = 32, 16 * 28 * 28
"""So many filters are kept of a generation, and fewer where they would have more numbers."""

MOST_CLASSES = 2_000
"""Answers of more classes are not kept: their confusion matrix would be larger than what is read of a run."""

MOST_MISREAD = 48
"""So many misread samples are kept with their images."""


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


def write_answers(
    path: str | os.PathLike[str], toolbox: base.Toolbox, individual: Any, *, size: int | None = None
) -> None:
    """Write what a network answers to validation samples, and some that it misreads.

    Nothing is written where it has no classes, or more than ``MOST_CLASSES``.

    Parameters
    ----------
    path : path-like
        An ``.npz`` file: ``confusion``, shape (classes, classes), how often a class (row) was taken for another
        (column); and of at most ``MOST_MISREAD`` misread samples, the surest of each class in turn, ``samples`` (their
        places in the validation part), ``labels``, ``answers``, ``probabilities`` (that of the answer and that of the
        label, shape (misread, 2)) and ``images``, bytes, if they are images.
    toolbox : deap.base.Toolbox
        As `make_toolbox` wires it, of labelled data, or of a `KerasProblem` with "error" or "cross_entropy" of a single
        output and with validation samples.
    individual : WeightList
        The network.
    size : int, optional
        How many of the samples, the first ones, at least 1; all if left out.
    """
    answered = _answered(getattr(toolbox, "problem", None), individual, size)
    if answered is None:
        return
    x, y, probabilities = answered
    if probabilities.shape[1] > MOST_CLASSES:
        return
    answers = probabilities.argmax(axis=1)
    confusion = np.zeros((probabilities.shape[1],) * 2, np.int64)
    np.add.at(confusion, (y, answers), 1)
    sure = probabilities.max(axis=1)
    chosen = _in_turn(y, sure, np.flatnonzero(answers != y))[:MOST_MISREAD]
    arrays: dict[str, Any] = {
        "confusion": confusion,
        "samples": chosen,
        "labels": y[chosen],
        "answers": answers[chosen],
        "probabilities": np.stack([sure[chosen], probabilities[chosen, y[chosen]]], axis=1),
    }
    if x is not None and image_shape(x.shape[1:]) is not None:
        arrays["images"] = _as_bytes(x[chosen], x)
    write_with(path, lambda partial: np.savez_compressed(partial, allow_pickle=False, **arrays), durable=True)


def _answered(problem: Any, individual: Any, size: int | None) -> tuple[Any, NDArray[Any], NDArray[Any]] | None:
    """Return validation samples, None where a sample has several inputs, their classes, and how probable each is."""
    from deap_nn.datasets import Dataset, find_dataset

    if problem is None:
        return None
    data = find_dataset(problem.data)
    if isinstance(data, Dataset):
        from deap_nn.evaluation import CHUNK, Answers
        from deap_nn.scorers import stretches

        x, y = (part[:size] for part in data.part("validation"))
        tasks = stretches(problem, individual, "validation", len(y), CHUNK)
        return x, y, np.concatenate(list(map(Answers(problem), tasks)))
    from deap_nn.scoring import class_probabilities

    if not data.size("validation"):
        return None
    found = class_probabilities(problem, individual, size)
    if found is None:
        return None
    inputs = data.part("validation")[0]
    return (inputs[0][:size] if len(inputs) == 1 else None), *found


def _in_turn(labels: NDArray[Any], sure: NDArray[Any], misread: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the misread samples: the surest of each class, then the next of each."""
    order = sorted(misread.tolist(), key=lambda i: -sure[i])
    seen: dict[int, int] = {}
    turns = []
    for i in order:
        label = int(labels[i])
        turns.append((seen.setdefault(label, 0), label, i))
        seen[label] += 1
    return np.array([i for _, _, i in sorted(turns)], dtype=np.intp)


def _as_bytes(images: NDArray[Any], among: NDArray[Any]) -> NDArray[np.uint8]:
    """Return images as bytes, shape (images, height, width); what is no bytes is scaled by the range of all."""
    if images.dtype != np.uint8:
        low, high = float(among.min()), float(among.max())
        images = (images - low) * (255 / (high - low or 1))
    grey = images if images.ndim == 3 else images.mean(axis=-1)
    return grey.round().astype(np.uint8)
