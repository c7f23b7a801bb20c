"""Mutation around one centre, recombination to the next, means of genomes: compiled passes, also to bfloat16."""

from __future__ import annotations

from collections.abc import Container, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from deap_nn.genome.vectors import Halves, Shape, Vector, Vectors, split_vector
from deap_nn.operators.compiled.common import LARGE, breed_16, checked_ends, compiled, fence, in_parts, place_in_table
from deap_nn.operators.ranking import counted

_BLOCK = 1 << 12
"""The number of weights of a centre that are read at a time, for two children: they stay in the L1 cache."""

_SUMMED = 1 << 11
"""The number of weights that are summed at a time: with the sums and eight children's noise they stay in that cache."""

_AVERAGED = 1 << 15
"""The number of weights that are averaged at a time: their sums stay in the cache of the next level."""

_NOTHING = np.empty(0, dtype=np.float32)
_NO_HALVES = np.empty(0, dtype=np.uint16)
_NO_FLAGS = np.empty(0, dtype=np.bool_)


@compiled
def _round(block: Vector, halves: Halves) -> None:
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
def _mutate(child: Vector, centre: Vector, noise: Vector, factor: np.float32, past_caches: bool) -> None:
    """Mutate a slice of a child, within one matrix."""
    size = child.size
    # Stores past the caches write whole lines of 64 bytes; weights before the first line are stored one by one.
    lines = min(size, -(child.ctypes.data // 4) % 16) if past_caches else size
    for k in range(lines):
        child[k] = centre[k] + factor * noise[k]
    rest = lines + (size - lines) // 16 * 16
    for k in range(lines, rest, 16):
        breed_16(child, (centre,), None, None, noise, factor, k)
    for k in range(rest, size):
        child[k] = centre[k] + factor * noise[k]


@compiled
def _mutation_pass(
    out: Vector,
    twin: Vector,
    halves: Halves,
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
    start = place_in_table(table, out.size, run_seed, born, place)
    twin_start = place_in_table(table, out.size, run_seed, born, twins)
    past_caches = out.size >= LARGE
    block = np.empty(_BLOCK, dtype=np.float32)
    begin = 0
    for matrix in range(len(ends)):
        while begin < ends[matrix]:
            stop = min(ends[matrix], begin + _BLOCK)
            factor, own = factors[matrix], centre[begin:stop]
            noise, twin_noise = table[start + begin : start + stop], table[twin_start + begin : twin_start + stop]
            if rounded.size and rounded[matrix]:
                child = block[: stop - begin]
                _mutate(child, own, noise, factor, False)
                _round(child, halves[begin:stop])
                if twin.size:  # the centre is still in the cache
                    _mutate(child, own, twin_noise, factor, False)
                    _round(child, twin_halves[begin:stop])
            else:
                _mutate(out[begin:stop], own, noise, factor, past_caches)
                if twin.size:
                    _mutate(twin[begin:stop], own, twin_noise, factor, past_caches)
            begin = stop
    if past_caches:
        fence()


@compiled
def _add_eight(
    total: NDArray[np.float64], own: Vector, noise: tuple[Vector, ...], factor: np.float32, counts: NDArray[np.float64]
) -> None:
    """Add a slice of eight children, within one matrix.

    The order of additions is that of the children, but the centre and the sum are read once.
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
    skipped: NDArray[np.bool_],
    first: int,
    last: int,
) -> None:
    """Write the weights of a centre from `first` up to `last`, but those of skipped matrices."""
    starts = np.empty(drawn.size, dtype=np.int64)
    for i in range(drawn.size):
        starts[i] = place_in_table(table, out.size, run_seed, born, drawn[i])
    total = np.empty(_SUMMED, dtype=np.float64)
    begin = first
    for matrix in range(len(ends)):
        if skipped[matrix]:
            begin = max(begin, ends[matrix])
        while begin < min(ends[matrix], last):
            stop = min(ends[matrix], begin + _SUMMED, last)
            own = centre[begin:stop]
            some = total[: stop - begin]
            some[:] = 0.0
            if kept:
                for k in range(some.size):
                    some[k] = kept * np.float64(own[k])
            factor = factors[matrix]
            for i in range(0, drawn.size, 8):
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
    ends = checked_ends((*outs, *halves, centre), table, factors, shapes)
    flags = _NO_FLAGS if rounded is None else rounded
    if len(halves) != (0 if rounded is None else len(outs)) or len(flags) not in (0, len(ends)):
        raise ValueError("each child must have its halves, and each matrix a flag in rounded")
    half, twin_half = (*halves, _NO_HALVES, _NO_HALVES)[:2]
    if len(ends) and ends[-1]:
        key = (seed, generation, places[0], places[-1])
        _mutation_pass(out, twin, half, twin_half, centre, table, factors, ends, flags, *key)


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
    """
    for chosen, block, half in zip(rounded, split_vector(flat, shapes), split_vector(halves, shapes), strict=True):
        if chosen:
            _round(block.reshape(-1), half.reshape(-1))


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
    skipped: Container[int] = (),
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
    skipped : container of int
        The indices of matrices that are not written.

    Raises
    ------
    ValueError
        If a size does not fit the shapes: the compiled pass does not check its bounds.
    """
    ends = checked_ends((out, centre), table, factors, shapes)
    if len(ends) and ends[-1]:
        missing = -len(drawn) % 8  # zeros in the places of missing children change no bit
        every, weights = np.append(drawn, [0] * missing), np.append(counts, [0.0] * missing)
        flags = np.array([matrix in skipped for matrix in range(len(ends))])
        known = (seed, generation, every, weights, kept, counted(counts, kept), step, flags)
        in_parts(partial(_recombination_pass, out, centre, table, factors, ends, *known), out.size)


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
    sums = np.empty(min(_AVERAGED, stop - begin))
    for start in range(begin, stop, _AVERAGED):
        end = min(start + _AVERAGED, stop)
        total = sums[: end - start]
        total[:] = 0.0
        for i in range(0, len(genomes), 4):
            _add_four(total, *(genome[start:end] for genome in genomes[i : i + 4]), *times[i : i + 4])
        np.divide(total, divisor, out=out[start:end], casting="same_kind")
