"""Many groups of small genomes in one call: a call from Python takes as long as a small group."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deap_nn.genome.vectors import Shape, Vector
from deap_nn.operators.compiled.common import checked_ends, compiled
from deap_nn.operators.compiled.crossing import scanning_pass

SMALL = 1 << 14
"""The number of weights up to which groups are bred in one call: copies of their parents cost little."""


@compiled
def _scan_each(
    outs: NDArray[np.float32],
    pool: NDArray[np.float32],
    groups: NDArray[np.int64],
    table: Vector,
    factors: Vector,
    ends: NDArray[np.int64],
    run_seed: int,
    born: int,
    place: int,
) -> None:
    nothing = table[:0]
    for number in range(len(groups)):
        i = 4 * number
        a, b, c, d = groups[number]
        four = outs[i], outs[i + 1], outs[i + 2], outs[i + 3]
        parents = pool[a], pool[b], pool[c], pool[d]
        scanning_pass(*four, *parents, nothing, table, factors, ends, run_seed, born, place + i)


def scan_groups(
    outs: NDArray[np.float32],
    pool: NDArray[np.float32],
    groups: NDArray[np.int64],
    table: Vector,
    factors: Vector,
    shapes: tuple[Shape, ...],
    *,
    seed: int,
    generation: int,
    place: int,
) -> None:
    """Write the four children of each of some groups side by side, with the same bits as `scan_and_mutate`.

    Parameters
    ----------
    outs : numpy.ndarray
        The output, shape (4 * groups, n), float32.
    pool : numpy.ndarray
        The parents, shape (parents, n), float32, not modified.
    groups : numpy.ndarray
        The places in `pool` of each group's four parents, shape (groups, 4), int64.
    table, factors, shapes, seed, generation
        As `cross_and_mutate` takes them.
    place : int
        The place of the first child, a multiple of 4.

    Raises
    ------
    ValueError
        If a size does not fit the shapes, or a group has no four parents in `pool`: the compiled pass does not check.
    """
    fit = groups.ndim == 2 and groups.shape[1] == 4 and len(outs) == 4 * len(groups)
    if not fit or (groups.size and not 0 <= groups.min() <= groups.max() < len(pool)):
        raise ValueError(f"each of {len(outs) // 4} groups must have four parents among {len(pool)}")
    ends = checked_ends(list(outs[:1]), list(pool[:1]), table, factors, shapes)
    if not (outs.flags.c_contiguous and pool.flags.c_contiguous):
        raise ValueError("children and parents must have contiguous memory")
    if len(groups) and len(ends) and ends[-1]:
        _scan_each(outs, pool, groups, table, factors, ends, seed, generation, place)
