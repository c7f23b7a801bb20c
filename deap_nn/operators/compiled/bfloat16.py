"""Rounding of weights to bfloat16, in a compiled pass of its own or in that of `centre`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deap_nn.genome.vectors import Halves, Shape, Vector
from deap_nn.operators.compiled.common import compiled, ends_of


@compiled
def round_block(block: Vector, halves: Halves) -> None:
    """Round numbers to the nearest bfloat16, ties to even; NaN stays NaN."""
    bits = block.view(np.uint32)
    for k in range(halves.size):
        number = bits[k]
        # A NaN with its payload in the lower half would become infinity: setting bit 6 makes it a quiet NaN.
        if number & np.uint32(0x7FFFFFFF) > np.uint32(0x7F800000):
            halves[k] = np.uint16(number >> np.uint32(16) | np.uint32(0x40))
        else:
            # Adding half a unit less one, plus the lowest bit that is kept, rounds a tie to the even number.
            even = number >> np.uint32(16) & np.uint32(1)
            halves[k] = np.uint16((number + np.uint32(0x7FFF) + even) >> np.uint32(16))


@compiled
def _rounding_pass(flat: Vector, halves: Halves, ends: NDArray[np.int64], rounded: NDArray[np.bool_]) -> None:
    begin = 0
    for matrix in range(len(ends)):
        if rounded[matrix]:
            round_block(flat[begin : ends[matrix]], halves[begin : ends[matrix]])
        begin = ends[matrix]


def round_weights(flat: Vector, halves: Halves, shapes: tuple[Shape, ...], rounded: NDArray[np.bool_]) -> None:
    """Write some matrices of a genome as bfloat16.

    Parameters
    ----------
    flat : numpy.ndarray
        The genome, shape (n,), float32.
    halves : numpy.ndarray
        The output, shape (n,), uint16: the bits of each weight at its place. Those of other matrices stay unchanged.
    shapes : tuple of tuple of int
        The shapes of the matrices.
    rounded : numpy.ndarray
        True for the matrices to round, shape (matrices,), bool.

    Raises
    ------
    ValueError
        If a size does not fit the shapes: the compiled pass does not check.
    """
    ends = ends_of(shapes)
    size = int(ends[-1]) if len(ends) else 0
    if flat.shape != (size,) or halves.shape != (size,) or rounded.shape != (len(ends),):
        raise ValueError(
            f"a genome and its halves must have {size} weights, and a flag for each of {len(ends)} matrices"
        )
    _rounding_pass(flat, halves, ends, rounded)
