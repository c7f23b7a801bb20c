"""The weighted mean of genomes in one pass over them, summed in float64."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deap_nn.genome.vectors import Vector
from deap_nn.operators.compiled.common import compiled

_BLOCK = 1 << 15
"""The number of weights that are averaged at a time: their sums stay in the processor's cache."""


@compiled
def _add(total: NDArray[np.float64], genome: Vector, count: float) -> None:
    for k in range(total.size):
        total[k] += count * np.float64(genome[k])


def average(genomes: Sequence[Vector], counts: Sequence[int], out: Vector) -> None:
    """Write the mean of genomes, of which each counts several times: summed in their order, rounded to float32 once.

    Parameters
    ----------
    genomes : sequence of numpy.ndarray
        At least one; shape (n,), float32, not modified.
    counts : sequence of int
        The number of times that each counts, at least 1.
    out : numpy.ndarray
        The output, shape (n,), float32.
    """
    divisor, sums = float(sum(counts)), np.empty(min(_BLOCK, out.size))
    for start in range(0, out.size, _BLOCK):
        end = min(start + _BLOCK, out.size)
        total = sums[: end - start]
        total[:] = 0.0
        for genome, count in zip(genomes, counts, strict=True):
            _add(total, genome[start:end], float(count))
        np.divide(total, divisor, out=out[start:end], casting="same_kind")
