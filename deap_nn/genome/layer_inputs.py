"""The inputs of dense layers on a mini-batch, and the step that its samples ask for, packed into bytes.

A recipe and a checkpoint hold them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deap_nn.genome.vectors import Matrix, Shape

_FIRST = struct.Struct("<d")
"""The running mean of the spread of the losses, see `deap_nn.operators.cases.step_by_cases`."""

_HEAD = struct.Struct("<IIII")
"""The index of a kernel among the matrices, 0 for inputs or 1 for changes, and the numbers of samples and of values."""

_MOST = 127
"""The largest absolute value in a pack: each sample has a scale of its own."""

DAMPING = 0.1
"""What is added to the norm of a sample's inputs before they are divided by it, as a share of the mean norm."""


class LayerStep(NamedTuple):
    """The step of a dense layer's kernel on a mini-batch.

    Parameters
    ----------
    inputs : numpy.ndarray
        The directions of the layer's inputs, shape (samples, inputs), float32.
    changes : numpy.ndarray, optional
        The change along each sample's inputs, shape (samples, units), float32, if samples ask for one by their losses.
    """

    inputs: Matrix
    changes: Matrix | None = None


def directions(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return inputs, shape (samples, inputs), less their mean over the samples and divided by their norms.

    They are then divided by their largest singular value: few inputs of many samples would else add up to long steps. A
    sample with a value that is not finite becomes zeros.
    """
    rows, sound = np.zeros(values.shape), np.isfinite(values).all(axis=1)
    if sound.any():
        found = values[sound] - values[sound].astype(np.float64).mean(axis=0)
        norms = np.linalg.norm(found, axis=1, keepdims=True)
        damped = norms + DAMPING * norms.mean()
        found /= np.where(damped > 0, damped, 1)
        rows[sound] = found / (np.linalg.norm(found @ found.T, 2) ** 0.5 or 1.0)
    return rows


def _part(place: int, kind: int, rows: NDArray[np.float64]) -> bytes:
    """Return rows as integers of 8 bits, after a float32 scale for each."""
    scales = (np.abs(rows).max(axis=1, initial=0.0) / _MOST).astype("<f4")
    whole = np.rint(rows / np.where(scales > 0, scales, 1)[:, None]).astype(np.int8)
    return b"".join([_HEAD.pack(place, kind, *rows.shape), scales.tobytes(), whole.tobytes()])


def packed_inputs(inputs: Mapping[int, NDArray[Any]]) -> bytes:
    """Return the `directions` of the inputs of layers as bytes, an integer of 8 bits for each.

    Parameters
    ----------
    inputs : mapping of int to numpy.ndarray
        By the index of a layer's kernel among the matrices: its inputs, shape (samples, inputs).
    """
    parts = [_part(place, 0, directions(inputs[place])) for place in sorted(inputs)]
    return b"".join([_FIRST.pack(0.0), *parts]) if parts else b""


def with_changes(inputs: bytes, changes: Mapping[int, NDArray[np.float64]], spread: float) -> bytes:
    """Return packed inputs with the changes, shape (samples, units), that the samples ask for in each layer."""
    return _FIRST.pack(spread) + inputs[_FIRST.size :] + b"".join(_part(place, 1, changes[place]) for place in changes)


def spread_in(content: bytes) -> float:
    """Return the running mean of the spread of the losses in a pack; 0 if there is none."""
    return float(_FIRST.unpack_from(content)[0]) if content else 0.0


def orthonormal(rows: Matrix) -> NDArray[np.float64]:
    """Return rows of length 1 at right angles that span the same space, and zeros if they are more than it has."""
    _, spreads, found = np.linalg.svd(rows.astype(np.float64), full_matrices=False)
    return found * (spreads > 0.01 * spreads[:1])[:, None]


def inputs_of_centre(
    layer_inputs: Callable[..., Any], centre: Any, generation: int, map: Callable[..., Any], *, by_cases: bool
) -> bytes:
    """Return what a toolbox's ``layer_inputs`` answers, by rank with orthonormal rows; raise an error if it is none."""
    answer, shapes = layer_inputs(centre, generation, map=map), centre.shapes
    if not isinstance(answer, bytes):
        raise TypeError(f"layer_inputs must return the bytes of packed_inputs, got {type(answer).__name__}")
    if not (layers := unpacked_inputs(answer, shapes)):
        raise ValueError("projected: no dense layer has one row of inputs for each sample")
    if by_cases:
        return answer
    return _FIRST.pack(0.0) + b"".join(_part(place, 0, orthonormal(one.inputs)) for place, one in layers.items())


def unpacked_inputs(content: bytes, shapes: Sequence[Shape]) -> dict[int, LayerStep]:
    """Return the packed inputs of each layer by the index of its kernel, with the changes if there are any.

    Raises
    ------
    ValueError
        If they do not fit kernels of these shapes.
    """
    found: dict[int, LayerStep] = {}
    start = _FIRST.size
    try:
        while start < len(content):
            place, kind, samples, width = _HEAD.unpack_from(content, start)
            wanted = shapes[place][kind] if len(shapes[place]) == 2 and kind < 2 else None
            known = found.get(place)
            if width != wanted or bool(kind) != (known is not None and known.changes is None):
                raise ValueError(f"{samples} samples of {width} values for matrix {place}")
            start += _HEAD.size
            scales = np.frombuffer(content, "<f4", samples, start)
            start += scales.nbytes
            whole = np.frombuffer(content, np.int8, samples * width, start).reshape(samples, width)
            start += whole.nbytes
            rows = whole * scales[:, None]
            found[place] = LayerStep(rows) if known is None else known._replace(changes=rows)
            if known is not None and len(known.inputs) != samples:
                raise ValueError(f"changes of {samples} samples for {len(known.inputs)}")
    except (struct.error, IndexError, ValueError) as error:
        raise ValueError(f"layer inputs do not fit dense layers of these shapes: {error}") from error
    return found
