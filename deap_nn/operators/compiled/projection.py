"""Steps of dense layers along the inputs of a mini-batch, in compiled passes over their kernels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from deap_nn.genome.layer_inputs import unpacked_inputs
from deap_nn.genome.vectors import Matrix, Shape, Vector
from deap_nn.operators.compiled.common import compiled, in_parts

_BLOCK, _ROWS = 1024, 64
"""The numbers of columns and rows of a product that are computed at a time: they stay in the near caches."""


@compiled
def _multiply(left: Matrix, right: Matrix, out: Matrix, begin: int, end: int) -> None:
    """Write some rows of the product of the transposed `left` and `right`; rows of both ascending."""
    out[begin:end] = 0
    for start in range(0, out.shape[1], _BLOCK):
        stop = min(start + _BLOCK, out.shape[1])
        for first in range(begin, end, _ROWS):
            for i in range(0, left.shape[0], 4):  # four rows at a time: the sums are read and written once for them
                a, b = right[i, start:stop], right[i + 1, start:stop]
                c, d = right[i + 2, start:stop], right[i + 3, start:stop]
                for k in range(first, min(first + _ROWS, end)):
                    va, vb, vc, vd = left[i, k], left[i + 1, k], left[i + 2, k], left[i + 3, k]
                    sums = out[k, start:stop]
                    for j in range(stop - start):
                        sums[j] = (((sums[j] + va * a[j]) + vb * b[j]) + vc * c[j]) + vd * d[j]


def _product(left: Matrix, right: Matrix, out: Matrix) -> None:
    """Write the product of the transposed `left` and `right` into `out`, summed over their rows in ascending order.

    That of large matrices is written by one thread on each processor; their number changes no bit.
    """
    missing = -len(left) % 4  # zeros in the places of missing rows change no bit
    columns, rows = (np.pad(each, ((0, missing), (0, 0))) for each in (left, right))
    in_parts(partial(_multiply, columns, rows, out), len(out), weights=max(rows.size, out.size))


def project(moved: Vector, centre: Vector, shapes: Sequence[Shape], inputs: bytes) -> None:
    r"""Move the kernels of dense layers along the inputs of a mini-batch only.

    With `orthonormal` rows :math:`U` that span a layer's inputs, the step :math:`S` of its kernel becomes
    :math:`U^\top U S`: the rest of the step changes no output on the mini-batch, so it is noise for others. If the
    samples ask for changes :math:`T` of the layer's outputs along their `directions` :math:`U` (`step_by_cases`), it
    becomes :math:`U^\top T`.

    Parameters
    ----------
    moved : numpy.ndarray
        The genome after the step, shape (n,), float32; modified in place.
    centre : numpy.ndarray
        The genome before the step, shape (n,), float32.
    shapes : sequence of tuple
        The shapes of the matrices.
    inputs : bytes
        The inputs of some layers, from `packed_inputs`, or with changes from `with_changes`.

    Raises
    ------
    ValueError
        If a size or the inputs do not fit the shapes.
    """
    size = sum(map(math.prod, shapes))
    if moved.size != size or centre.size != size:
        raise ValueError(f"a genome must have {size} weights, got {moved.size} and {centre.size}")
    starts = np.cumsum([0, *map(math.prod, shapes)])
    for place, (rows, changes) in unpacked_inputs(inputs, shapes).items():
        after, before = (genome[starts[place] : starts[place + 1]].reshape(shapes[place]) for genome in (moved, centre))
        if changes is None:
            changes = np.empty((len(rows), shapes[place][1]), np.float32)
            _product(np.ascontiguousarray(rows.T), after - before, changes)
        _product(rows, changes, after)
        after += before
