"""Mask crossover and Gaussian mutation in one compiled pass over a genome."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deap_nn.weights import Shape, Vector, split_vector


def _child_of(
    out: Vector, first: Vector, second: Vector, exchanged: NDArray[np.bool_], noise: Vector, factor: np.float32
) -> None:
    for k in range(out.size):
        mine = first[k]
        other = second[k]
        out[k] = (other if exchanged[k] else mine) + factor * noise[k]


@lru_cache(maxsize=1)
def _compiled() -> Any:
    """Compile for the processor at hand: no fast-math and no fused multiply-add, so that all give the same bits."""
    import numba

    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(_child_of)
    except RuntimeError:  # nowhere to keep the compiled code
        return numba.njit(nogil=True, error_model="numpy")(_child_of)


def cross_and_mutate(
    out: Vector,
    first: Vector,
    second: Vector,
    exchanged: NDArray[np.bool_],
    noise: Vector,
    factors: Sequence[np.float32],
    shapes: Sequence[Shape],
) -> None:
    """Write the child that `cxMask` and then `mutGaussianAdaptive` make of two parents, bit for bit.

    Parameters
    ----------
    out : numpy.ndarray
        Where the child goes, shape (n,), float32.
    first, second : numpy.ndarray
        The parent whose place the child takes, and the other; shape (n,), float32, left unchanged.
    exchanged : numpy.ndarray
        Where the child takes the other's weight, shape (n,), bool.
    noise : numpy.ndarray
        Standard normal numbers, shape (n,), float32.
    factors : sequence of numpy.float32
        What the noise of each matrix is multiplied by.
    shapes : sequence of tuple of int
        The shapes of the matrices.
    """
    run = _compiled()
    start = 0
    for part, factor in zip(split_vector(out, shapes), factors, strict=True):
        stop = start + part.size
        stretch = slice(start, stop)
        run(out[stretch], first[stretch], second[stretch], exchanged[stretch], noise[stretch], factor)
        start = stop
