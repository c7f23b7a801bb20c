"""Crossover and Gaussian mutation in one compiled pass over a genome, random numbers included."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deap_nn.core.seeding import Purpose
from deap_nn.genome.vectors import Shape, Vector, Vectors
from deap_nn.operators.compiled.common import (
    LARGE,
    breed_16,
    checked_ends,
    compiled,
    fence,
    philox,
    place_in_table,
    write_bits,
    write_turns,
)

_BLOCK = 1 << 14
"""The number of weights that are bred at a time, a multiple of 256: their mask stays in the cache."""

_NOTHING = np.empty(0, dtype=np.float32)
_MATE = np.uint64(Purpose.MATE)


@compiled
def _blend_each(
    child: Vector,
    mine: Vector,
    other: Vector,
    step: Vector,
    exchanged: NDArray[np.bool_],
    noise: Vector,
    factor: np.float32,
) -> None:
    """Take each weight from one of two parents; both are read, as in `_pick_each`."""
    carried = step.size > 0
    for k in range(child.size):
        a = mine[k]
        b = other[k]
        weight = b if exchanged[k] else a
        child[k] = (weight + step[k] if carried else weight) + factor * noise[k]


@compiled
def _blend(
    child: Vector,
    mine: Vector,
    other: Vector,
    step: Vector,
    exchanged: NDArray[np.bool_],
    noise: Vector,
    factor: np.float32,
    past_caches: bool,
) -> None:
    """Breed a slice of a child, within one matrix; a missing step has no weights."""
    size = child.size
    # Stores past the caches write whole lines of 64 bytes: weights before and after these are stored one by one.
    lines = min(size, -(child.ctypes.data // 4) % 16) if past_caches else size
    _blend_each(child[:lines], mine, other, step, exchanged, noise, factor)
    rest = lines + (size - lines) // 16 * 16
    if step.size:
        for k in range(lines, rest, 16):
            breed_16(child, (mine, other), step, exchanged, noise, factor, k)
    else:
        for k in range(lines, rest, 16):
            breed_16(child, (mine, other), None, exchanged, noise, factor, k)
    if rest < size:
        left = mine[rest:], other[rest:], step[rest:], exchanged[rest:], noise[rest:]
        _blend_each(child[rest:], *left, factor)


@compiled
def _pick_each(
    child: Vector,
    a: Vector,
    b: Vector,
    c: Vector,
    d: Vector,
    step: Vector,
    turns: NDArray[np.uint8],
    noise: Vector,
    factor: np.float32,
) -> None:
    """Take each weight from one of four parents; all four are read, so that the compiler can vectorise the loop."""
    carried = step.size > 0
    for k in range(child.size):
        one = a[k]
        two = b[k]
        three = c[k]
        four = d[k]
        turn = turns[k]
        low = two if turn == 1 else one
        high = four if turn == 3 else three
        weight = high if turn > 1 else low
        child[k] = (weight + step[k] if carried else weight) + factor * noise[k]


@compiled
def _pick(
    child: Vector,
    a: Vector,
    b: Vector,
    c: Vector,
    d: Vector,
    step: Vector,
    turns: NDArray[np.uint8],
    noise: Vector,
    factor: np.float32,
    past_caches: bool,
) -> None:
    """Breed a slice of a child of four parents, within one matrix."""
    size = child.size
    lines = min(size, -(child.ctypes.data // 4) % 16) if past_caches else size
    _pick_each(child[:lines], a, b, c, d, step, turns, noise, factor)
    rest = lines + (size - lines) // 16 * 16
    if step.size:
        for k in range(lines, rest, 16):
            breed_16(child, (a, b, c, d), step, turns, noise, factor, k)
    else:
        for k in range(lines, rest, 16):
            breed_16(child, (a, b, c, d), None, turns, noise, factor, k)
    if rest < size:
        left = a[rest:], b[rest:], c[rest:], d[rest:], step[rest:], turns[rest:], noise[rest:]
        _pick_each(child[rest:], *left, factor)


@compiled
def _scanning_pass(
    out: Vector,
    out1: Vector,
    out2: Vector,
    out3: Vector,
    a: Vector,
    b: Vector,
    c: Vector,
    d: Vector,
    step: Vector,
    table: Vector,
    factors: Vector,
    ends: NDArray[np.int64],
    run_seed: int,
    born: int,
    place: int,
) -> None:
    """Write one to four children of four parents; a child that is not wanted, or a missing step, has no weights."""
    seed, generation, group = np.uint64(run_seed), np.uint64(born), np.uint64(place // 4)
    size = out.size
    noise = table[place_in_table(table, out.size, run_seed, born, place) :]
    # Without a sibling the whole table takes the place of its noise, unread: numba needs one type of both branches.
    noise1 = table[place_in_table(table, out.size, run_seed, born, place + 1) :] if out1.size else table
    noise2 = table[place_in_table(table, out.size, run_seed, born, place + 2) :] if out2.size else table
    noise3 = table[place_in_table(table, out.size, run_seed, born, place + 3) :] if out3.size else table
    past_caches = size >= LARGE
    turns = np.empty(_BLOCK, dtype=np.uint8)
    counter = np.uint64(0)
    matrix = 0
    for start in range(0, size, _BLOCK):
        end = min(size, start + _BLOCK)
        for i in range(0, end - start, 32):
            counter += np.uint64(1)
            k = i
            for word in philox(seed, _MATE, generation, group, counter):
                write_turns(turns, k, word)
                k += 8
        begin = start
        while begin < end:
            while ends[matrix] <= begin:
                matrix += 1
            stop = min(end, ends[matrix])
            pa, pb, pc, pd = a[begin:stop], b[begin:stop], c[begin:stop], d[begin:stop]
            by, turn, factor = step[begin:stop], turns[begin - start : stop - start], factors[matrix]
            _pick(out[begin:stop], pa, pb, pc, pd, by, turn, noise[begin:stop], factor, past_caches)
            if out1.size:  # the parents are still in the cache
                _pick(out1[begin:stop], pb, pc, pd, pa, by, turn, noise1[begin:stop], factor, past_caches)
            if out2.size:
                _pick(out2[begin:stop], pc, pd, pa, pb, by, turn, noise2[begin:stop], factor, past_caches)
            if out3.size:
                _pick(out3[begin:stop], pd, pa, pb, pc, by, turn, noise3[begin:stop], factor, past_caches)
            begin = stop
    if past_caches:
        fence()


@compiled
def _pass(
    out: Vector,
    twin: Vector,
    first: Vector,
    second: Vector,
    step: Vector,
    table: Vector,
    factors: Vector,
    ends: NDArray[np.int64],
    run_seed: int,
    born: int,
    place: int,
    masked: bool,
) -> None:
    seed, generation, pair = np.uint64(run_seed), np.uint64(born), np.uint64(place // 2)
    noise = table[place_in_table(table, out.size, run_seed, born, place) :]
    twin_noise = table[place_in_table(table, out.size, run_seed, born, place + 1) :] if twin.size else table
    past_caches = out.size >= LARGE
    exchanged = np.zeros(_BLOCK, dtype=np.bool_)
    counter = np.uint64(0)
    matrix = 0
    for start in range(0, out.size, _BLOCK):
        end = min(out.size, start + _BLOCK)
        if masked:
            for i in range(0, end - start, 256):
                counter += np.uint64(1)
                k = i
                for word in philox(seed, _MATE, generation, pair, counter):
                    write_bits(exchanged, k, word)
                    k += 64
        begin = start
        while begin < end:
            while ends[matrix] <= begin:
                matrix += 1
            stop = min(end, ends[matrix])
            a, b, mask = first[begin:stop], second[begin:stop], exchanged[begin - start : stop - start]
            by, factor = step[begin:stop], factors[matrix]
            _blend(out[begin:stop], a, b, by, mask, noise[begin:stop], factor, past_caches)
            if twin.size:  # the parents are still in the cache
                _blend(twin[begin:stop], b, a, by, mask, twin_noise[begin:stop], factor, past_caches)
            begin = stop
    if past_caches:
        fence()


def cross_and_mutate(
    outs: Vectors,
    parents: Vectors,
    table: Vector,
    factors: Vector,
    shapes: tuple[Shape, ...],
    *,
    seed: int,
    generation: int,
    place: int,
    masked: bool = True,
    step: Vector | None = None,
) -> None:
    """Write neighbouring children of two or four parents.

    The bits are those of `cxMask` with two or `cxScanning` with four parents, and then of `mutGaussianAdaptive`.
    Several children at once cost less than one after the other, since the parents are read once.

    Parameters
    ----------
    outs : sequence of numpy.ndarray
        The outputs, one for each child, at most one for each parent; shape (n,), float32.
    parents : sequence of numpy.ndarray
        The parents, from the one at the first child's place on, in turn; shape (n,), float32, not modified.
    table : numpy.ndarray
        Standard normal numbers, of which each child uses a slice; contiguous, at least n and fewer than
        ``LARGEST_TABLE``.
    factors : numpy.ndarray
        The factor on the noise of each matrix, shape (matrices,), float32.
    shapes : tuple of tuple of int
        The shapes of the matrices.
    seed, generation, place : int
        The run's seed, and the generation and place of the first child: they key its streams.
    masked : bool
        Whether two parents exchange each locus with a probability of one half, or none.
    step : numpy.ndarray, optional
        What is added to the parents before; shape (n,), float32.

    Raises
    ------
    ValueError
        If a size does not fit the shapes: the compiled pass does not check its bounds.
    """
    moved = _NOTHING if step is None else step
    ends = checked_ends((*outs, *parents, *(() if step is None else (step,))), table, factors, shapes)
    if len(ends) and ends[-1]:
        children = [*outs, *[_NOTHING] * (len(parents) - len(outs))]
        key = (*children, *parents, moved, table, factors, ends, seed, generation, place)
        if len(parents) == 2:
            _pass(*key, masked)
        else:
            _scanning_pass(*key)
