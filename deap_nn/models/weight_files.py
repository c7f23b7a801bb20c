"""Weights of a network in files: ``.npz`` by the names of a layout, and Keras' files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deap_nn.core.files import UNREADABLE, arrays_in
from deap_nn.genome.vectors import Layout, Matrix

if TYPE_CHECKING:
    from deap_nn.models.reference import ModelReference
    from deap_nn.models.tensorflow import keras

SUFFIXES = (".npz", ".keras", ".weights.h5")
"""The suffixes of the files that `read_weights` reads."""


class WeightsError(ValueError):
    """A file holds no weights, or the weights of another network; the message is one line and names the file."""


def checked_weights(weights: Sequence[ArrayLike], layout: Layout, argument: str) -> list[Matrix]:
    """Return weights as float32 matrices of a layout's shapes.

    Raises
    ------
    ValueError, TypeError
        If shapes differ, a weight is not finite, or `weights` is no sequence.
    """
    if isinstance(weights, str | bytes) or not isinstance(weights, Iterable):
        raise TypeError(f"{argument} must hold a matrix for each of {layout.names}, got {type(weights).__name__}")
    matrices = [np.asarray(matrix).astype(np.float32) for matrix in weights]  # Keras' variables take no `copy`
    shapes = tuple(matrix.shape for matrix in matrices)
    if shapes != layout.shapes:
        raise ValueError(f"{argument} must have the shapes {layout.shapes}, got {shapes}")
    if not all(np.isfinite(matrix).all() for matrix in matrices):
        raise ValueError(f"{argument} must be finite")
    return matrices


def first_weights(init: Any, layout: Layout, model: ModelReference) -> list[Matrix]:
    """Return the weights around which `make_toolbox` starts: from a Keras model, a file or matrices.

    Raises
    ------
    ValueError, TypeError
        If they do not fit the layout.
    """
    from deap_nn.models.tensorflow import keras

    if isinstance(init, str | os.PathLike):
        return read_weights(init, layout, model=model)
    if isinstance(init, keras.Model):
        if not init.built:
            raise ValueError(f"init: model {init.name!r} must be built: give it an Input or call build()")
        init = init.trainable_variables
    return checked_weights(init, layout, "init")


def read_weights(
    path: str | os.PathLike[str], layout: Layout, *, model: str | keras.Model | ModelReference | None = None
) -> list[Matrix]:
    """Read the weights of a network from a file.

    Parameters
    ----------
    path : path-like
        An ``.npz`` with a matrix for each name of the layout, such as the ``best.npz`` of a run; a ``.keras`` model,
        with its trainable weights in their order; or a ``.weights.h5`` of Keras' ``save_weights``, which needs `model`.
        The matrices of an ``.npz`` are also taken in their order if its names differ from the layout's only by the
        numbers that Keras counts in each process ("dense_2" for "dense").
    layout : Layout
        The layout of the network that gets the weights.
    model : str or keras.Model, optional
        The network; it is not changed.

    Returns
    -------
    list of numpy.ndarray
        A float32 matrix for each matrix of the layout.

    Raises
    ------
    WeightsError
        If the file is missing or damaged, or its weights do not fit the layout.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path}: no such file")
    if not path.name.endswith(SUFFIXES):
        raise WeightsError(f"{path}: must end in .npz, .keras or .weights.h5")
    if path.suffix == ".h5":
        found = _of_h5(path, model)
    else:
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


def _of_h5(path: Path, model: str | keras.Model | ModelReference | None) -> list[NDArray[Any]]:
    from deap_nn.models.outputs import reason_of
    from deap_nn.models.reference import ModelReference, new_model, reference_of

    if model is None:
        raise WeightsError(f"{path}: has its weights by layer, without a model: give read_weights(..., model=model)")
    reference = model if isinstance(model, ModelReference) else reference_of(model)
    try:
        network = new_model(reference)
        network.load_weights(path)
    except Exception as error:  # HDF5 and Keras raise many types
        raise WeightsError(f"{path}: cannot be loaded ({type(error).__name__}: {reason_of(error)})") from error
    return [np.asarray(variable) for variable in network.trainable_variables]


def _of_npz(path: Path, layout: Layout) -> list[NDArray[Any]]:
    try:
        found = arrays_in(path)
    except UNREADABLE as error:
        raise WeightsError(f"{path}: damaged, or no file of weights ({error})") from error
    if found.keys() == set(layout.names):
        return [found[name] for name in layout.names]
    if [*map(_without_number, found)] == [*map(_without_number, layout.names)]:
        return [*found.values()]
    raise WeightsError(f"{path}: must hold {', '.join(layout.names)}, got {', '.join(found)}")


def _without_number(name: str) -> str:
    """Return a weight's name without the numbers that Keras gives layers, such as "dense_2"."""
    return re.sub(r"_\d+(?=/)", "", name)
