"""The inputs of dense layers on a mini-batch, packed into bytes: a recipe and a checkpoint hold them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deap_nn.genome.vectors import Shape

_HEAD = struct.Struct("<II")
"""The index of the kernel among the matrices, and the number of samples."""

_MOST = 127
"""The largest absolute value of an input in a pack: each sample is scaled to it, which leaves its direction."""

LARGEST_SUM = (1 << 53) // _MOST**2
"""The largest number of inputs of a layer: float64 then holds the sums of their products exactly."""


def packed_inputs(inputs: Mapping[int, NDArray[Any]]) -> bytes:
    """Return the inputs of layers as bytes, an integer of 8 bits for each.

    From each input its mean over the samples is subtracted. Then each sample is scaled to the largest integer.

    Parameters
    ----------
    inputs : mapping of int to numpy.ndarray
        By the index of a layer's kernel among the matrices: its inputs, shape (samples, inputs), with fewer samples
        than inputs. A sample with a value that is not finite counts as zeros.
    """
    parts: list[bytes] = []
    for place in sorted(inputs):
        values = inputs[place].astype(np.float64)
        rows, sound = np.zeros(values.shape, np.int8), np.isfinite(values).all(axis=1)
        if sound.any():
            values = values[sound] - values[sound].mean(axis=0)
            largest = np.abs(values).max(axis=1, keepdims=True)
            rows[sound] = np.rint(values * (_MOST / np.where(largest > 0, largest, 1)))
        parts += [_HEAD.pack(place, len(rows)), rows.tobytes()]
    return b"".join(parts)


def inputs_of_centre(layer_inputs: Callable[..., Any], centre: Any, generation: int, map: Callable[..., Any]) -> bytes:
    """Return what a toolbox's ``layer_inputs`` answers, or raise an error if no step can be projected by it."""
    answer, shapes = layer_inputs(centre, generation, map=map), centre.shapes
    if not isinstance(answer, bytes):
        raise TypeError(f"layer_inputs must return the bytes of packed_inputs, got {type(answer).__name__}")
    if not unpacked_inputs(answer, shapes):
        raise ValueError("projected: no dense layer has more inputs than a mini-batch has samples")
    return answer


def unpacked_inputs(content: bytes, shapes: Sequence[Shape]) -> dict[int, NDArray[np.int8]]:
    """Return the packed inputs of each layer, shape (samples, inputs), by the index of its kernel.

    Raises
    ------
    ValueError
        If they do not fit kernels of these shapes.
    """
    found: dict[int, NDArray[np.int8]] = {}
    start = 0
    try:
        while start < len(content):
            place, samples = _HEAD.unpack_from(content, start)
            width, _ = shapes[place]
            if place in found or not samples < width <= LARGEST_SUM:
                raise ValueError(f"{samples} samples of {width} inputs for matrix {place}")
            found[place] = np.frombuffer(content, np.int8, samples * width, start + _HEAD.size).reshape(samples, width)
            start += _HEAD.size + samples * width
    except (struct.error, IndexError, ValueError) as error:
        raise ValueError(f"layer inputs do not fit dense layers of these shapes: {error}") from error
    return found
