"""Mutation around one centre, and recombination to the next centre, in compiled passes over a genome."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deap_nn.genome.vectors import Halves, Shape, Vector, Vectors
from deap_nn.operators.compiled.bfloat16 import round_block
from deap_nn.operators.compiled.common import LARGE, checked_ends, compiled, fence, in_parts, place_in_table
from deap_nn.operators.compiled.intrinsics import shift_16
from deap_nn.operators.ranking import counted

_BLOCK = 1 << 12
"""The number of weights of a centre that are read at a time, for two children: they stay in the L1 cache."""

_SUMMED = 1 << 11
"""The number of weights that are summed at a time: with the sums and eight children's noise they stay in that cache."""

_NOTHING = np.empty(0, dtype=np.float32)
_NO_HALVES = np.empty(0, dtype=np.uint16)


@compiled
def _mutate(child: Vector, centre: Vector, noise: Vector, factor: np.float32, past_caches: bool) -> None:
    """Mutate a slice of a child, within one matrix."""
    size = child.size
    # Stores past the caches write whole lines of 64 bytes; weights before the first line are stored one by one.
    lines = min(size, -(child.ctypes.data // 4) % 16) if past_caches else size
    for k in range(lines):
        child[k] = centre[k] + factor * noise[k]
    rest = lines + (size - lines) // 16 * 16
    for k in range(lines, rest, 16):
        shift_16(child, centre, noise, factor, k)
    for k in range(rest, size):
        child[k] = centre[k] + factor * noise[k]


@compiled
def _start(table: Vector, out: Vector, run_seed: int, born: int, place: int) -> np.int64:
    """Return the place of a child's noise in the table."""
    places = np.uint64(table.size - out.size + 1)
    start: np.int64 = place_in_table(np.uint64(run_seed), np.uint64(born), np.uint64(place), places)
    return start


@compiled
def _mutation_pass(
    out: Vector,
    twin: Vector,
    centre: Vector,
    table: Vector,
    factors: Vector,
    ends: NDArray[np.int64],
    run_seed: int,
    born: int,
    place: int,
    twins: int,
) -> None:
    start = _start(table, out, run_seed, born, place)
    twin_start = _start(table, out, run_seed, born, twins)
    past_caches = out.size >= LARGE
    begin = 0
    for matrix in range(len(ends)):
        while begin < ends[matrix]:
            stop = min(ends[matrix], begin + _BLOCK)
            own, factor = centre[begin:stop], factors[matrix]
            _mutate(out[begin:stop], own, table[start + begin : start + stop], factor, past_caches)
            if twin.size:  # the centre is still in the cache
                noise = table[twin_start + begin : twin_start + stop]
                _mutate(twin[begin:stop], own, noise, factor, past_caches)
            begin = stop
    if past_caches:
        fence()


@compiled
def _mutate_rounded(halves: Halves, centre: Vector, noise: Vector, factor: np.float32, block: Vector) -> None:
    """Mutate a slice of a child, within one matrix, and keep it only as bfloat16."""
    for k in range(halves.size):
        block[k] = centre[k] + factor * noise[k]
    round_block(block, halves)


@compiled
def _rounded_mutation_pass(
    out: Vector,
    halves: Halves,
    twin: Vector,
    twin_halves: Halves,
    centre: Vector,
    table: Vector,
    factors: Vector,
    ends: NDArray[np.int64],
    rounded: NDArray[np.bool_],
    run_seed: int,
    born: int,
    place: int,
    twins: int,
) -> None:
    start = _start(table, out, run_seed, born, place)
    twin_start = _start(table, out, run_seed, born, twins)
    block = np.empty(_BLOCK, dtype=np.float32)
    begin = 0
    for matrix in range(len(ends)):
        while begin < ends[matrix]:
            stop = min(ends[matrix], begin + _BLOCK)
            factor, own = factors[matrix], centre[begin:stop]
            noise, twin_noise = table[start + begin : start + stop], table[twin_start + begin : twin_start + stop]
            if rounded[matrix]:
                _mutate_rounded(halves[begin:stop], own, noise, factor, block)
                if twin.size:
                    _mutate_rounded(twin_halves[begin:stop], own, twin_noise, factor, block)
            else:
                _mutate(out[begin:stop], own, noise, factor, False)
                if twin.size:
                    _mutate(twin[begin:stop], own, twin_noise, factor, False)
            begin = stop


@compiled
def _add_eight(
    total: NDArray[np.float64], own: Vector, noise: tuple[Vector, ...], factor: np.float32, counts: NDArray[np.float64]
) -> None:
    """Add a slice of eight children, within one matrix.

    The order of additions is that of `_add_one`, but the centre and the sum are read once.
    """
    a, b, c, d, e, f, g, h = noise
    for k in range(total.size):
        some = total[k]
        some += counts[0] * np.float64(own[k] + factor * a[k])
        some += counts[1] * np.float64(own[k] + factor * b[k])
        some += counts[2] * np.float64(own[k] + factor * c[k])
        some += counts[3] * np.float64(own[k] + factor * d[k])
        some += counts[4] * np.float64(own[k] + factor * e[k])
        some += counts[5] * np.float64(own[k] + factor * f[k])
        some += counts[6] * np.float64(own[k] + factor * g[k])
        total[k] = some + counts[7] * np.float64(own[k] + factor * h[k])


@compiled
def _add_one(total: NDArray[np.float64], own: Vector, noise: Vector, factor: np.float32, count: np.float64) -> None:
    """Add a slice of a child, within one matrix."""
    for k in range(total.size):
        total[k] += count * np.float64(own[k] + factor * noise[k])


@compiled
def _recombination_pass(
    out: Vector,
    centre: Vector,
    table: Vector,
    factors: Vector,
    ends: NDArray[np.int64],
    run_seed: int,
    born: int,
    drawn: NDArray[np.int64],
    counts: NDArray[np.float64],
    kept: float,
    divisor: float,
    step: float,
    first: int,
    last: int,
) -> None:
    """Write the weights of a centre from `first` up to `last`."""
    starts = np.empty(drawn.size, dtype=np.int64)
    for i in range(drawn.size):
        starts[i] = _start(table, out, run_seed, born, drawn[i])
    eights = drawn.size // 8 * 8
    total = np.empty(_SUMMED, dtype=np.float64)
    begin = first
    for matrix in range(len(ends)):
        while begin < min(ends[matrix], last):
            stop = min(ends[matrix], begin + _SUMMED, last)
            own = centre[begin:stop]
            some = total[: stop - begin]
            some[:] = 0.0
            if kept:
                for k in range(some.size):
                    some[k] = kept * np.float64(own[k])
            factor = factors[matrix]
            for i in range(0, eights, 8):
                eight = (  # written out, as numba has no comprehension of a tuple
                    table[starts[i] + begin : starts[i] + stop],
                    table[starts[i + 1] + begin : starts[i + 1] + stop],
                    table[starts[i + 2] + begin : starts[i + 2] + stop],
                    table[starts[i + 3] + begin : starts[i + 3] + stop],
                    table[starts[i + 4] + begin : starts[i + 4] + stop],
                    table[starts[i + 5] + begin : starts[i + 5] + stop],
                    table[starts[i + 6] + begin : starts[i + 6] + stop],
                    table[starts[i + 7] + begin : starts[i + 7] + stop],
                )
                _add_eight(some, own, eight, factor, counts[i : i + 8])
            for i in range(eights, drawn.size):
                _add_one(some, own, table[starts[i] + begin : starts[i] + stop], factor, counts[i])
            for k in range(some.size):
                mean = some[k] / divisor
                out[begin + k] = np.float32(np.float64(own[k]) + step * (mean - np.float64(own[k])))
            begin = stop


def mutate_around(
    outs: Vectors,
    centre: Vector,
    table: Vector,
    factors: Vector,
    shapes: tuple[Shape, ...],
    *,
    seed: int,
    generation: int,
    places: Sequence[int],
    halves: Sequence[Halves] = (),
    rounded: NDArray[np.bool_] | None = None,
) -> None:
    """Write one or two children of a centre, with the same bits as `mutGaussianAdaptive`.

    Parameters
    ----------
    outs : sequence of numpy.ndarray
        The outputs, one for each child; shape (n,), float32.
    centre : numpy.ndarray
        The parent, shape (n,), float32, not modified.
    table, factors, shapes, seed, generation
        As `cross_and_mutate` takes them.
    places : sequence of int
        The place of each child, at least 0, which selects its noise.
    halves, rounded
        The outputs for the matrices that are kept only as bfloat16, one for each child, and the flags of these
        matrices, as in `round_weights`. `outs` then get only the other matrices.

    Raises
    ------
    ValueError
        If a size does not fit the shapes, or there are more than two children: the compiled pass does not check.
    """
    if not 1 <= len(outs) == len(places) <= 2:
        raise ValueError(f"children must be one or two, each with a place, got {len(outs)} and {len(places)} places")
    out, twin = outs if len(outs) == 2 else (outs[0], _NOTHING)
    ends = checked_ends(outs, (centre,), table, factors, shapes)
    if not (len(ends) and ends[-1]):
        return
    if rounded is None and not halves:
        _mutation_pass(out, twin, centre, table, factors, ends, seed, generation, places[0], places[-1])
        return
    fit = [half.shape for half in halves] == [out.shape for out in outs]
    if rounded is None or len(rounded) != len(ends) or not fit:
        raise ValueError("each child must have its halves, and each matrix a flag in rounded")
    half, twin_half = halves if len(halves) == 2 else (halves[0], _NO_HALVES)
    key = (seed, generation, places[0], places[-1])
    _rounded_mutation_pass(out, half, twin, twin_half, centre, table, factors, ends, rounded, *key)


def recombine(
    out: Vector,
    centre: Vector,
    table: Vector,
    factors: Vector,
    shapes: tuple[Shape, ...],
    *,
    seed: int,
    generation: int,
    drawn: NDArray[np.int64],
    counts: NDArray[np.float64],
    step: float,
    kept: float = 0.0,
) -> None:
    """Write the next centre, bit for bit as `AroundCentre` makes it, without writing its children.

    A large one is written by one thread on each processor, since the workers wait for it.

    Parameters
    ----------
    out : numpy.ndarray
        The output, shape (n,), float32.
    centre, table, factors, shapes, seed, generation
        As `mutate_around` takes them: those of the children.
    drawn, counts : numpy.ndarray
        The places of the children that count, and their weights; shape (children,), int64 and float64. A negative
        weight moves the centre away from a child.
    step : float
        The distance to move from the centre, as a multiple of that to the mean: 1 gives the mean.
    kept : float
        The weight of the centre itself. If it is not 0, all weights must sum to 1.

    Raises
    ------
    ValueError
        If a size does not fit the shapes: the compiled pass does not check its bounds.
    """
    ends = checked_ends((out,), (centre,), table, factors, shapes)
    if len(ends) and ends[-1]:
        divisor = counted(counts, kept)
        known: tuple[Any, ...] = (
            out,
            centre,
            table,
            factors,
            ends,
            seed,
            generation,
            drawn,
            counts,
            kept,
            divisor,
            step,
        )
        in_parts(partial(_recombination_pass, *known), out.size)
