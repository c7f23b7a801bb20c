"""Contiguous float32 vectors, and the matrices that are views of them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_Number = TypeVar("_Number", bound=np.generic)

Matrix = NDArray[np.float32]
"""A matrix of weights of any number of dimensions."""
Vector = NDArray[np.float32]
"""All weights of a genome in one dimension."""
Vectors = Sequence[Vector] | NDArray[np.float32]
Halves = NDArray[np.uint16]
"""The bits of a genome's weights as bfloat16 numbers, for which NumPy has no type."""
Shape = tuple[int, ...]

LARGEST_WEIGHT = float(np.finfo(np.float32).max)

ALIGNMENT = 64
"""In bytes: TensorFlow reads a buffer that starts on this boundary without copying it."""

_BLOCK = 1 << 16
"""The number of weights that are mirrored at a time: the temporary array stays in the processor's cache."""

TOGETHER_BYTES = 3 << 20
"""The bytes of small genomes that are bred and scored together: they stay in the processor's cache."""

MOST_TOGETHER = 256
"""The largest number of genomes that are bred and scored together."""


def most_together(weights: int) -> int:
    """Return the number of genomes of `weights` weights that are bred and scored together, at least 1."""
    return max(1, min(MOST_TOGETHER, TOGETHER_BYTES // (4 * max(1, weights))))


def empty_vector(size: int) -> Vector:
    """Return an uninitialised float32 vector of `size` elements that starts on a 64-byte boundary."""
    # NumPy promises only 16 bytes: a few more elements are allocated, and those before the boundary are left out.
    padded = np.empty(size + ALIGNMENT // 4, dtype=np.float32)
    start = -padded.ctypes.data % ALIGNMENT // 4
    return padded[start : start + size]


def copied_vector(vector: Vector) -> Vector:
    """Return a copy of a vector that starts on a 64-byte boundary."""
    made = empty_vector(vector.size)
    np.copyto(made, vector)
    return made


def empty_halves(size: int) -> Halves:
    """Return an uninitialised vector for the bits of `size` bfloat16 numbers that starts on a 64-byte boundary."""
    return empty_vector(-(-size // 2)).view(np.uint16)[:size]


def mirror(vector: Vector, centre: Vector) -> None:
    """Mirror a vector at a centre, in place: ``2 * centre - vector``, rounded to float32 once; shape (n,) each."""
    for start in range(0, vector.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        np.subtract(2 * centre[part], vector[part], out=vector[part])  # twice a float32 is exact


def moved_along(vector: Vector, step: Vector) -> Vector:
    """Return the sum of a vector and a step as a new one that starts on a 64-byte boundary; shape (n,) each."""
    made = empty_vector(vector.size)
    np.add(vector, step, out=made)
    return made


def split_vector(flat: NDArray[_Number], shapes: Sequence[Shape]) -> list[NDArray[_Number]]:
    """Return views of consecutive parts of `flat`, one of each shape."""
    views = []
    start = 0
    for shape in shapes:
        stop = start + prod(shape)
        views.append(flat[start:stop].reshape(shape))
        start = stop
    return views
