"""Mask crossover and Gaussian mutation in one compiled pass over a genome."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deap_nn.weights import Shape, Vector

_BLOCK = 1 << 14
"""So many weights are bred at a time, a multiple of 8: their mask stays in the processor's cache."""

_NOTHING = np.empty(0, dtype=np.float32)


def _pass(
    out: Vector,
    twin: Vector,
    first: Vector,
    second: Vector,
    octets: NDArray[np.uint8],
    spread: NDArray[np.uint64],
    noise: Vector,
    twin_noise: Vector,
    factors: Vector,
    ends: NDArray[np.int64],
) -> None:
    room = np.empty(_BLOCK // 8, dtype=np.uint64)
    exchanged = room.view(np.bool_)
    matrix = 0
    for start in range(0, out.size, _BLOCK):
        end = min(out.size, start + _BLOCK)
        for i in range((end - start + 7) // 8):
            room[i] = spread[octets[start // 8 + i]]
        begin = start
        while begin < end:
            while ends[matrix] <= begin:
                matrix += 1
            stop = min(end, ends[matrix])
            factor = factors[matrix]
            a, b, m = first[begin:stop], second[begin:stop], exchanged[begin - start : stop - start]
            child, step = out[begin:stop], noise[begin:stop]
            if twin.size:
                other_child, other_step = twin[begin:stop], twin_noise[begin:stop]
                for k in range(stop - begin):
                    mine = a[k]
                    other = b[k]
                    exchange = m[k]
                    child[k] = (other if exchange else mine) + factor * step[k]
                    other_child[k] = (mine if exchange else other) + factor * other_step[k]
            else:
                for k in range(stop - begin):
                    mine = a[k]
                    other = b[k]
                    child[k] = (other if m[k] else mine) + factor * step[k]
            begin = stop


@lru_cache(maxsize=1)
def _compiled() -> Any:
    """Compile for the processor at hand: no fast-math and no fused multiply-add, so that all give the same bits."""
    import numba

    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(_pass)
    except RuntimeError:  # nowhere to keep the compiled code
        return numba.njit(nogil=True, error_model="numpy")(_pass)


@lru_cache(maxsize=1)
def _spread() -> NDArray[np.uint64]:
    """Return eight bytes of 0 or 1 for each octet: its bits, the lowest first in memory; shape (256,)."""
    octets = np.arange(256, dtype=np.uint8)
    return np.unpackbits(octets, bitorder="little").view(np.uint64)


@lru_cache(maxsize=16)
def _ends(shapes: tuple[Shape, ...]) -> NDArray[np.int64]:
    """Return where each matrix ends in a genome."""
    return np.array(list(accumulate(prod(shape) for shape in shapes)), dtype=np.int64)


def cross_and_mutate(
    outs: Sequence[Vector],
    first: Vector,
    second: Vector,
    octets: NDArray[np.uint8],
    noises: Sequence[Vector],
    factors: Sequence[np.float32],
    shapes: Sequence[Shape],
) -> None:
    """Write the child or both children that `cxMask` and then `mutGaussianAdaptive` make of two parents, bit for bit.

    Both at once cost less than one after the other, since what is read of the parents is read once.

    Parameters
    ----------
    outs : sequence of numpy.ndarray
        Where one or two children go, each of shape (n,), float32.
    first, second : numpy.ndarray
        The parent whose place the first child takes, and the other; shape (n,), float32, left unchanged.
    octets : numpy.ndarray
        Eight bits of the mask each, the lowest first: where the first child takes the other parent's weight, and the
        second child the first parent's; shape at least ((n + 7) // 8,), uint8.
    noises : sequence of numpy.ndarray
        Standard normal numbers for each child, each of shape (n,), float32.
    factors : sequence of numpy.float32
        What the noise of each matrix is multiplied by.
    shapes : sequence of tuple of int
        The shapes of the matrices.

    Raises
    ------
    ValueError
        If a size does not fit the shapes: the compiled pass does not check its bounds.
    """
    ends = _ends(tuple(shapes))
    size = int(ends[-1]) if len(ends) else 0
    vectors = (*outs, first, second, *noises)
    if len(outs) not in (1, 2) or len(noises) != len(outs) or len(factors) != len(ends):
        raise ValueError(f"{len(outs)} children, {len(noises)} noises and {len(factors)} factors do not fit together")
    if any(vector.shape != (size,) or vector.dtype != np.float32 for vector in vectors) or octets.size * 8 < size:
        raise ValueError(f"children, parents and noise must be float32 vectors of {size} weights, with a bit for each")
    if not size:
        return
    twin, twin_noise = (outs[1], noises[1]) if len(outs) == 2 else (_NOTHING, _NOTHING)
    strengths = np.array(factors, dtype=np.float32)
    _compiled()(outs[0], twin, first, second, octets, _spread(), noises[0], twin_noise, strengths, ends)
