"""Weights of a network in files: ``.npz`` by the names of a layout, and Keras models."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deap_nn.core.files import ALWAYS_READ, SLACK, UNREADABLE, arrays_in
from deap_nn.genome.layout import Layout
from deap_nn.genome.vectors import Matrix


class WeightsError(ValueError):
    """A file holds no weights, or others than are wanted; the message is one line and names it."""


def checked_weights(weights: Sequence[ArrayLike], layout: Layout, argument: str) -> list[Matrix]:
    """Return weights as float32 matrices of a layout's shapes.

    Raises
    ------
    ValueError
        If shapes differ, or a weight is not finite or no real number.
    """
    if any(np.iscomplexobj(matrix) for matrix in weights):
        raise ValueError(f"{argument} must be real numbers")
    matrices = [np.array(matrix, dtype=np.float32) for matrix in weights]
    shapes = tuple(matrix.shape for matrix in matrices)
    if shapes != layout.shapes:
        raise ValueError(f"{argument} must have the shapes {layout.shapes}, got {shapes}")
    if not all(np.isfinite(matrix).all() for matrix in matrices):
        raise ValueError(f"{argument} must be finite")
    return matrices


def read_weights(path: str | os.PathLike[str], layout: Layout) -> list[Matrix]:
    """Read the weights of a network from a file.

    Parameters
    ----------
    path : path-like
        An ``.npz`` with a matrix by each of the layout's names, as ``best.npz`` of a run is, or a ``.keras`` model
        whose trainable weights are taken in their order. So are an ``.npz``'s whose names differ from the layout's by
        numbers of Keras' own alone, which counts on where a model is built again ("dense_2" for "dense").
    layout : Layout
        Of the network that they are for.

    Returns
    -------
    list of numpy.ndarray
        A float32 matrix for each of the layout's.

    Raises
    ------
    WeightsError
        If the file is missing or damaged, or holds other weights.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path}: no such file")
    if path.suffix not in (".keras", ".npz"):
        raise WeightsError(f"{path}: must end in .npz or .keras")
    found = _of_keras(path) if path.suffix == ".keras" else _of_npz(path, layout)
    try:
        return checked_weights(found, layout, "its weights")
    except ValueError as error:
        raise WeightsError(f"{path}: {error}") from error


def _of_keras(path: Path) -> list[NDArray[Any]]:
    from deap_nn.models.reference import load_model

    try:
        return [np.asarray(variable) for variable in load_model(path).trainable_variables]
    except ValueError as error:
        raise WeightsError(str(error)) from error


def _of_npz(path: Path, layout: Layout) -> list[NDArray[Any]]:
    try:
        with open(path, "rb") as file:
            found = arrays_in(file, max(ALWAYS_READ, SLACK * 4 * layout.size))
    except UNREADABLE as error:
        raise WeightsError(f"{path}: damaged, or no file of weights ({error})") from error
    if found.keys() == set(layout.names):
        return [found[name] for name in layout.names]
    if [*map(_without_number, found)] == [*map(_without_number, layout.names)]:
        return [*found.values()]
    raise WeightsError(f"{path}: must hold {', '.join(layout.names)}, got {', '.join(found)}")


def _without_number(name: str) -> str:
    """Return a weight's name without the numbers of layers that Keras has named: by their class, as "dense_2"."""
    from deap_nn.models.tensorflow import keras

    *parts, last = name.split("/")
    bare = [re.sub(r"_\d+$", "", part) for part in parts]
    own = {"sequential", "functional", *(kind.lower() for kind in vars(keras.layers) if kind[0].isupper())}
    known = [one if one.replace("_", "") in own else part for one, part in zip(bare, parts, strict=True)]
    return "/".join([*known, last])
