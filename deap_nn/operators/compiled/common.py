"""Common parts of the compiled passes over genomes: the compiler, random numbers, and the order of writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import accumulate, pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deap_nn.core.environment import processors, without_collections
from deap_nn.core.seeding import Purpose
from deap_nn.genome.noise import LARGEST_TABLE
from deap_nn.genome.vectors import Shape, Vector

with without_collections():
    import numba
    from llvmlite import ir
    from numba.core import types
    from numba.core.registry import cpu_target
    from numba.extending import intrinsic

    # What the first call of a compiled function does: most of numba's modules are imported only then.
    cpu_target.typing_context.refresh()
    cpu_target.target_context.refresh()

LARGE = 1_000_000
"""The number of weights from which a child is larger than the caches, and is written past them."""

LOW = np.uint64(0xFFFFFFFF)
_MUTATE = np.uint64(Purpose.MUTATE)


def compiled(function: Callable[..., Any]) -> Any:
    """Compile for this processor, without fast-math or fused multiply-add: all processors give the same bits."""
    # By NumPy's error model a division by zero raises nothing: no branch for it hinders the vectorisation of a loop.
    # Without the global lock, threads breed ancestors and parts of a centre at the same time.
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # numba finds no folder for its cache
        return numba.njit(nogil=True, error_model="numpy")(function)


def in_parts(function: Callable[[int, int], Any], size: int, *, weights: int | None = None) -> None:
    """Call a function with the begin and the end of each part of a vector: a large one is divided among the processors.

    The function writes each weight from a sum of its own, so the number of threads changes no bit. `weights` is
    their number if `size` counts something else.
    """
    parts = processors() if (size if weights is None else weights) >= LARGE else 1
    bounds = [size * part // parts for part in range(parts + 1)]
    if parts == 1:
        function(*bounds)
        return
    with ThreadPoolExecutor(parts) as threads:
        for done in [threads.submit(function, *part) for part in pairwise(bounds)]:
            done.result()


def _multiply(context: Any, a: Any, b: Any) -> Any:
    """Return the upper 64 bits of the product of two 64-bit numbers."""

    # numba has no integers of 128 bits.
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(argument, wide) for argument in arguments))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return numba.uint64(numba.uint64, numba.uint64), generate


_high_product: Any = intrinsic(_multiply)


def _order(context: Any) -> Any:
    """Make writes past the caches visible to other processes before any later write."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return numba.void(), generate


fence: Any = intrinsic(_order)

_FLOATS, _OCTETS = ir.VectorType(ir.FloatType(), 16), ir.VectorType(ir.IntType(8), 16)
"""16 weights, or bytes: they are instructions of LLVM, since loops are not always compiled to these.

numba caches the callers of such functions: remove ``__pycache__`` after a change of one."""


def _breed(context: Any, out: Any, parents: Any, step: Any, turns: Any, noise: Any, factor: Any, k: Any) -> Any:
    """Breed 16 weights from place k on, each of one of some parents by `turns`; None for no step, or no turns.

    ``out[k]`` must begin a line of 64 bytes: the weights are stored past the caches, since a large child does not fit
    into them.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        out, parents, step, turns, noise, factor, k = arguments

        def at(array: Any, vector: Any, kind: Any = signature.args[0]) -> Any:
            data = context.make_array(kind)(context, builder, array).data
            return builder.bitcast(builder.gep(data, [k]), ir.PointerType(vector))

        def floats(array: Any) -> Any:
            # Only the output is aligned for certain: a slice of noise begins at any number of the table.
            return builder.load(at(array, _FLOATS), align=4)

        child, *others = (floats(builder.extract_value(parents, i)) for i in range(len(signature.args[1])))
        for number, other in enumerate(others, start=1):
            turn = builder.load(at(turns, _OCTETS, signature.args[3]), align=1)
            chosen = builder.icmp_unsigned("==", turn, ir.Constant(_OCTETS, [number] * 16))
            child = builder.select(chosen, other, child)
        if signature.args[2] != types.none:
            child = builder.fadd(child, floats(step))
        none, lanes = ir.Constant(_FLOATS, ir.Undefined), ir.VectorType(ir.IntType(32), 16)
        one = builder.insert_element(none, factor, ir.Constant(ir.IntType(32), 0))
        factors = builder.shuffle_vector(one, none, ir.Constant(lanes, [0] * 16))
        # `fmul` and `fadd` without flags: LLVM must not fuse them, so the bits are those of NumPy's two operations.
        made = builder.fadd(child, builder.fmul(factors, floats(noise)))
        store = builder.store(made, at(out, _FLOATS), align=64)
        store.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
        return context.get_dummy_value()

    return numba.void(out, parents, step, turns, noise, factor, k), generate


breed_16: Any = intrinsic(_breed)


def _spread(context: Any, exchanged: Any, k: Any, word: Any) -> Any:
    """Write 64 bits, the lowest first, as 64 bytes of 0 or 1 from place k on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits, octets = ir.VectorType(ir.IntType(1), 64), ir.VectorType(ir.IntType(8), 64)
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        place = builder.bitcast(builder.gep(data, [arguments[1]]), ir.PointerType(octets))
        builder.store(builder.zext(builder.bitcast(arguments[2], bits), octets), place, align=1)
        return context.get_dummy_value()

    return numba.void(exchanged, k, word), generate


write_bits: Any = intrinsic(_spread)


def _quarter(context: Any, turns: Any, k: Any, word: Any) -> Any:
    """Write the upper two bits of each of 8 bytes, the lowest byte first, as bytes of 0 to 3 from place k on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # `rotations` multiplies a byte by 4 and drops the lower 8 bits: its upper two bits are left.
        octets = ir.VectorType(ir.IntType(8), 8)
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        place = builder.bitcast(builder.gep(data, [arguments[1]]), ir.PointerType(octets))
        upper = builder.lshr(builder.bitcast(arguments[2], octets), ir.Constant(octets, [6] * 8))
        builder.store(upper, place, align=1)
        return context.get_dummy_value()

    return numba.void(turns, k, word), generate


write_turns: Any = intrinsic(_quarter)


@compiled
def philox(
    seed: np.uint64, purpose: np.uint64, generation: np.uint64, index: np.uint64, block: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    """Return four numbers of the stream that `seeding.stream` makes: NumPy's Philox with 1 as the first block."""
    # Philox4x64-10 of J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011, with its
    # multipliers and Weyl constants. Repeated here because compiled code cannot call NumPy's.
    a, b, c, d = block, np.uint64(0), index, generation
    key, other_key = seed, purpose
    for turn in range(10):
        if turn:
            key += np.uint64(0x9E3779B97F4A7C15)
            other_key += np.uint64(0xBB67AE8584CAA73B)
        high, low = _high_product(np.uint64(0xD2E7470EE14C6C93), a), np.uint64(0xD2E7470EE14C6C93) * a
        other_high, other_low = _high_product(np.uint64(0xCA5A826395121157), c), np.uint64(0xCA5A826395121157) * c
        a, b, c, d = other_high ^ b ^ key, other_low, high ^ d ^ other_key, low
    return a, b, c, d


@compiled
def place_in_table(table: Vector, size: int, run_seed: int, born: int, index: int) -> np.int64:
    """Return the first ``integers(places)`` of a mutation's stream, where its slice of a table of noise begins."""
    # D. Lemire, "Fast random integer generation in an interval", TOMACS 29, 2019, algorithm 5.
    places = np.uint64(table.size - size + 1)
    if places <= np.uint64(1):
        return np.int64(0)
    # NumPy draws from 32 bits if the range fits: each 64-bit word gives two numbers, the lower half first.
    unfair = (LOW - (places - np.uint64(1))) % places
    block = np.uint64(0)
    while True:
        block += np.uint64(1)
        for word in philox(np.uint64(run_seed), _MUTATE, np.uint64(born), np.uint64(index), block):
            for half in (word & LOW, word >> np.uint64(32)):
                product = half * places
                if (product & LOW) >= unfair:
                    return np.int64(product >> np.uint64(32))


@lru_cache(maxsize=16)
def ends_of(shapes: tuple[Shape, ...]) -> NDArray[np.int64]:
    """Return the end of each matrix in a genome."""
    return np.array(list(accumulate(prod(shape) for shape in shapes)), dtype=np.int64)


def checked_ends(
    vectors: Sequence[Any], table: Vector, factors: Vector, shapes: tuple[Shape, ...]
) -> NDArray[np.int64]:
    """Return the end of each matrix, or raise ValueError if a size does not fit or memory is not contiguous."""
    ends = ends_of(shapes)
    size = int(ends[-1]) if len(ends) else 0
    if {vector.size for vector in vectors} - {size} or len(factors) != len(ends):
        raise ValueError(
            f"children and parents must have {size} weights, and a factor for each of {len(ends)} matrices"
        )
    if not size <= table.size < LARGEST_TABLE:
        raise ValueError(f"the table of noise must have {size} to {LARGEST_TABLE - 1} numbers, got {table.size}")
    if {vector.flags.c_contiguous for vector in (*vectors, table, factors)} != {True}:
        raise ValueError("children, parents, the table of noise and factors must have contiguous memory")
    return ends
