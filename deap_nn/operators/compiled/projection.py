"""The projection of a step onto the inputs of dense layers, in compiled passes over their kernels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from deap_nn.genome.layer_inputs import unpacked_inputs
from deap_nn.genome.vectors import Matrix, Shape, Vector
from deap_nn.operators.compiled.common import compiled, in_parts

RIDGE = 0.01
"""What is added to the diagonal of the inner products of the scaled samples, as a share of its mean.

Directions in which these hardly differ then get less of a step."""

STRIDE = 2.0
"""How many times as far as the projected step the centroid of a genetic algorithm moves."""

_BLOCK, _ROWS = 128, 64
"""The numbers of columns and rows of a product that are computed at a time: they stay in the nearest cache."""


@compiled
def _multiply(left: Matrix, right: Matrix, out: Matrix, begin: int, end: int) -> None:
    """Add the product of the transposed `left` and some columns of `right` to `out`; rows of both ascending."""
    for start in range(begin, end, _BLOCK):
        stop = min(start + _BLOCK, end)
        for first in range(0, out.shape[0], _ROWS):
            for i in range(0, left.shape[0], 4):  # four rows at a time: the sums are read and written once for them
                a, b = right[i, start:stop], right[i + 1, start:stop]
                c, d = right[i + 2, start:stop], right[i + 3, start:stop]
                for k in range(first, min(first + _ROWS, out.shape[0])):
                    va, vb, vc, vd = left[i, k], left[i + 1, k], left[i + 2, k], left[i + 3, k]
                    sums = out[k, start:stop]
                    for j in range(stop - start):
                        sums[j] = (((sums[j] + va * a[j]) + vb * b[j]) + vc * c[j]) + vd * d[j]


@compiled
def _solve(inner: NDArray[np.float64], values: NDArray[np.float64]) -> None:
    """Solve for `values` in place, by the Cholesky decomposition of `inner`, which is overwritten by it."""
    count = inner.shape[0]
    for i in range(count):
        for j in range(i + 1):
            total = inner[i, j]
            for k in range(j):
                total -= inner[i, k] * inner[j, k]
            inner[i, j] = np.sqrt(total) if i == j else total / inner[j, j]
    for i in range(count):
        for k in range(i):
            for j in range(values.shape[1]):
                values[i, j] -= inner[i, k] * values[k, j]
        for j in range(values.shape[1]):
            values[i, j] /= inner[i, i]
    for i in range(count - 1, -1, -1):
        for k in range(i + 1, count):
            for j in range(values.shape[1]):
                values[i, j] -= inner[k, i] * values[k, j]
        for j in range(values.shape[1]):
            values[i, j] /= inner[i, i]


def project(moved: Vector, centre: Vector, shapes: Sequence[Shape], inputs: bytes, *, stride: float = 1.0) -> None:
    r"""Project the step from a centre, in the kernels of dense layers, onto the inputs of a mini-batch.

    With the inputs :math:`X` of a layer (a row for each sample, less their mean and scaled to the same largest value,
    see `packed_inputs`), the step :math:`S` of its kernel becomes :math:`X^\top (X X^\top + \lambda I)^{-1} X S`, with
    :math:`\lambda` the `RIDGE` times the mean of the diagonal. The rest of the step changes no output on the
    mini-batch: it is noise for all other samples. A large kernel is written by one thread on each processor; their
    number changes no bit.

    Parameters
    ----------
    moved : numpy.ndarray
        The genome after the step, shape (n,), float32; modified in place.
    centre : numpy.ndarray
        The genome before the step, shape (n,), float32.
    shapes : sequence of tuple
        The shapes of the matrices.
    inputs : bytes
        The inputs of some layers, from `packed_inputs`; nothing is projected without any.
    stride : float
        The factor on the projected step.

    Raises
    ------
    ValueError
        If a size or the inputs do not fit the shapes.
    """
    size = sum(map(math.prod, shapes))
    if moved.size != size or centre.size != size:
        raise ValueError(f"a genome must have {size} weights, got {moved.size} and {centre.size}")
    starts = np.cumsum([0, *map(math.prod, shapes)])
    for place, rows in unpacked_inputs(inputs, shapes).items():
        after, before = (genome[starts[place] : starts[place + 1]].reshape(shapes[place]) for genome in (moved, centre))
        exact = rows.astype(np.float64)
        inner = exact @ exact.T  # sums of products of integers below 2**53: each order gives the same
        ridge = RIDGE * np.trace(inner) / max(1, len(rows))
        if not ridge > 0:  # the layer has the same inputs for all samples
            after[...] = before
            continue
        inner[np.diag_indices_from(inner)] += ridge
        # Whole fours of inputs and samples: zeros in the places of missing ones change no bit.
        columns = np.zeros([-(-count // 4) * 4 for count in rows.T.shape], np.float32)
        columns[: rows.shape[1], : len(rows)] = rows.T
        step, sums = (np.zeros((count, after.shape[1]), np.float32) for count in columns.shape)
        np.subtract(after, before, out=step[: len(after)])
        in_parts(partial(_multiply, columns, step, sums), after.shape[1], weights=after.size)
        shares = stride * sums[: len(rows)].astype(np.float64)
        _solve(inner, shares)
        sums[...] = step[...] = 0
        sums[: len(rows)] = shares
        in_parts(partial(_multiply, columns.T.copy(), sums, step), after.shape[1], weights=after.size)
        np.add(before, step[: len(after)], out=after)
