"""The weighted mean of genomes in one pass over them, summed in float64."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from deap_nn.genome.vectors import Vector
from deap_nn.operators.compiled.common import compiled, in_parts

_BLOCK = 1 << 15
"""The number of weights that are averaged at a time: their sums stay in the processor's cache."""


@compiled
def _add_four(
    total: NDArray[np.float64],
    a: Vector,
    b: Vector,
    c: Vector,
    d: Vector,
    times_a: float,
    times_b: float,
    times_c: float,
    times_d: float,
) -> None:
    """Add four genomes one after the other: the sums are read and written once for all."""
    for k in range(total.size):
        with_two = (total[k] + times_a * np.float64(a[k])) + times_b * np.float64(b[k])
        total[k] = (with_two + times_c * np.float64(c[k])) + times_d * np.float64(d[k])


def average(genomes: Sequence[Vector], counts: Sequence[int], out: Vector) -> None:
    """Write the mean of genomes, of which each counts several times: summed in their order, rounded to float32 once.

    That of large ones is written by one thread on each processor, since the workers wait for it.

    Parameters
    ----------
    genomes : sequence of numpy.ndarray
        At least one; shape (n,), float32, not modified.
    counts : sequence of int
        The number of times that each counts, at least 1.
    out : numpy.ndarray
        The output, shape (n,), float32.
    """
    missing = -len(genomes) % 4  # zeros in the places of missing genomes change no bit
    padded, times = [*genomes, *[np.zeros_like(out)] * missing], [*map(float, counts), *[0.0] * missing]
    in_parts(partial(_average, padded, times, float(sum(counts)), out), out.size)


def _average(
    genomes: Sequence[Vector], times: Sequence[float], divisor: float, out: Vector, begin: int, stop: int
) -> None:
    """Write the weights `begin` to `stop` of the mean of genomes, four at a time."""
    sums = np.empty(min(_BLOCK, stop - begin))
    for start in range(begin, stop, _BLOCK):
        end = min(start + _BLOCK, stop)
        total = sums[: end - start]
        total[:] = 0.0
        for i in range(0, len(genomes), 4):
            _add_four(total, *(genome[start:end] for genome in genomes[i : i + 4]), *times[i : i + 4])
        np.divide(total, divisor, out=out[start:end], casting="same_kind")
