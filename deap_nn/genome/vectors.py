"""Contiguous float32 vectors, the matrices that are views of them, and the layout of these."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

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


BIASES, GAINS = ("bias", "beta"), ("gamma", "scale")
"""The last part of the names of biases, and of the gains of normalisation layers."""


def last_part(name: str) -> str:
    """Return the last part of a name of matrices, such as "bias" of ``gru/bias_2``."""
    return re.sub(r"_\d+$", "", name.rpartition("/")[2])


@dataclass(frozen=True)
class Layout:
    """The names and shapes of a genome's matrices.

    Parameters
    ----------
    names : tuple of str
        The name of each matrix, all different.
    shapes : tuple of tuple of int
        The shape of each matrix, every dimension at least 1.

    Raises
    ------
    ValueError
        If names and shapes differ in number, a name comes twice, or a dimension is less than 1.

    Examples
    --------
    >>> layout = Layout(("kernel", "bias"), ((3, 2), (2,)))
    >>> layout.size, layout.offsets
    (8, (0, 6))
    >>> layout.pack(layout.unpack(range(8)))
    array([0., 1., 2., 3., 4., 5., 6., 7.], dtype=float32)
    """

    names: tuple[str, ...]
    shapes: tuple[Shape, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(str(name) for name in self.names))
        object.__setattr__(self, "shapes", tuple(tuple(int(d) for d in shape) for shape in self.shapes))
        if len(self.names) != len(self.shapes):
            raise ValueError(f"names and shapes must be equal in number, got {len(self.names)} and {len(self.shapes)}")
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"names must differ, got {self.names}")
        if any(dimension < 1 for shape in self.shapes for dimension in shape):
            raise ValueError(f"shapes must have dimensions of at least 1, got {self.shapes}")

    @classmethod
    def of(cls, matrices: Iterable[ArrayLike]) -> Layout:
        """Return the layout of `matrices`, named ``matrix_0``, ``matrix_1`` and so on."""
        shapes = tuple(np.shape(matrix) for matrix in matrices)
        return cls(tuple(f"matrix_{i}" for i in range(len(shapes))), shapes)

    def __len__(self) -> int:
        return len(self.shapes)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """The number of weights in each matrix."""
        return tuple(prod(shape) for shape in self.shapes)

    @cached_property
    def size(self) -> int:
        """The number of weights in all matrices."""
        return sum(self.sizes)

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """The place in the flat vector at which each matrix begins, in elements."""
        return tuple(sum(self.sizes[:i]) for i in range(len(self)))

    @cached_property
    def fan_ins(self) -> tuple[int, ...]:
        """The number of values that each unit of a matrix sums: the product of all dimensions but the last.

        For a dense kernel that is its rows, for a convolution's kernel height x width x channels, and for a
        vector, such as a bias, 1. It is too large for embeddings, for depthwise convolutions and for the kernels that
        project to several attention heads.
        """
        return tuple(prod(shape[:-1]) for shape in self.shapes)

    @cached_property
    def vectors(self) -> tuple[bool, ...]:
        """For each matrix, whether it is a bias or a gain: it has one dimension, or Keras' name for one.

        The last part of the name decides, without a number at its end: "bias", "beta", "gamma" or "scale".
        """
        return tuple(
            len(shape) < 2 or last_part(name) in BIASES + GAINS
            for name, shape in zip(self.names, self.shapes, strict=True)
        )

    def pack(self, matrices: Sequence[ArrayLike]) -> Vector:
        """Return the weights of an individual as one new vector, shape (size,), float32.

        Raises
        ------
        ValueError
            If the matrices have other shapes.
        """
        shapes = tuple(map(np.shape, matrices))
        if shapes != self.shapes:
            raise ValueError(f"matrices must have the shapes {self.shapes}, got {shapes}")
        return np.concatenate([np.ravel(matrix) for matrix in matrices], dtype=np.float32, casting="same_kind")

    def unpack(self, vector: ArrayLike) -> list[Matrix]:
        """Return new matrices, float32, of a vector of all weights; the inverse of `pack`.

        Raises
        ------
        ValueError, TypeError
            If `vector` has another shape than (size,), or is not of real numbers.
        """
        return self.views(np.asarray(vector).astype(np.float32, casting="same_kind"))

    def views(self, flat: Vector) -> list[Matrix]:
        """Return the matrices as views of `flat`.

        Raises
        ------
        ValueError
            If `flat` is not one vector of ``size`` elements.
        """
        if flat.shape != (self.size,):
            raise ValueError(f"flat must have the shape ({self.size},), got {flat.shape}")
        return split_vector(flat, self.shapes)
