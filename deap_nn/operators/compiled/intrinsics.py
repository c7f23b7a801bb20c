"""Operations on 16 weights at a time as LLVM instructions, since loops are not always compiled to these.

numba caches the compiled callers of these functions: remove ``__pycache__`` after a change here.
"""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba.extending import intrinsic

_FLOATS, _OCTETS = ir.VectorType(ir.FloatType(), 16), ir.VectorType(ir.IntType(8), 16)


class _Lanes:
    """The arguments of an operation: the output, other arrays, and at the end the noise, a factor and a place k."""

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        self._context, self._builder, self._signature, self._arguments = context, builder, signature, arguments

    def _at(self, i: int, vector: Any) -> Any:
        """Return the address of the place k in an array."""
        data = self._context.make_array(self._signature.args[i])(self._context, self._builder, self._arguments[i]).data
        return self._builder.bitcast(self._builder.gep(data, [self._arguments[-1]]), ir.PointerType(vector))

    def floats(self, i: int) -> Any:
        """Return 16 weights of an array."""
        # Only the output is aligned for certain: a slice of noise begins at any number of the table.
        return self._builder.load(self._at(i, _FLOATS), align=4)

    def octets(self, i: int) -> Any:
        """Return 16 bytes of an array."""
        return self._builder.load(self._at(i, _OCTETS), align=1)

    def of_four(self, turn: Any) -> Any:
        """Return 16 weights, each of one of the arrays 1 to 4 by 16 bytes of 0 to 3."""
        child, *others = (self.floats(i) for i in (1, 2, 3, 4))
        for number, other in enumerate(others, start=1):
            chosen = self._builder.icmp_unsigned("==", turn, ir.Constant(_OCTETS, [number] * 16))
            child = self._builder.select(chosen, other, child)
        return child

    def write(self, child: Any) -> Any:
        """Add the factor times the noise, and store past the caches, since a large child does not fit into them."""
        builder, count = self._builder, len(self._arguments)
        # `fmul` and `fadd` without flags: LLVM must not fuse them, so the bits are those of NumPy's two operations.
        noise, factor = self.floats(count - 3), self._arguments[count - 2]
        none, lanes = ir.Constant(_FLOATS, ir.Undefined), ir.VectorType(ir.IntType(32), 16)
        one = builder.insert_element(none, factor, ir.Constant(ir.IntType(32), 0))
        factors = builder.shuffle_vector(one, none, ir.Constant(lanes, [0] * 16))
        store = builder.store(builder.fadd(child, builder.fmul(factors, noise)), self._at(0, _FLOATS), align=64)
        store.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
        return self._context.get_dummy_value()


def _shift(context: Any, out: Any, centre: Any, noise: Any, factor: Any, k: Any) -> Any:
    """Mutate 16 weights from place k on; ``out[k]`` must begin a line of 64 bytes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = _Lanes(context, builder, signature, arguments)
        return lanes.write(lanes.floats(1))

    return numba.void(out, centre, noise, factor, k), generate


shift_16: Any = intrinsic(_shift)


def _breed(context: Any, out: Any, mine: Any, other: Any, exchanged: Any, noise: Any, factor: Any, k: Any) -> Any:
    """Breed 16 weights of two parents, those of `other` if `exchanged` is not 0; aligned as in `_shift`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = _Lanes(context, builder, signature, arguments)
        chosen = builder.icmp_unsigned("!=", lanes.octets(3), ir.Constant(_OCTETS, [0] * 16))
        return lanes.write(builder.select(chosen, lanes.floats(2), lanes.floats(1)))

    return numba.void(out, mine, other, exchanged, noise, factor, k), generate


breed_16: Any = intrinsic(_breed)


def _breed_moved(
    context: Any, out: Any, mine: Any, other: Any, step: Any, exchanged: Any, noise: Any, factor: Any, k: Any
) -> Any:
    """Breed 16 weights as `_breed` does, and add a step before the noise."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = _Lanes(context, builder, signature, arguments)
        chosen = builder.icmp_unsigned("!=", lanes.octets(4), ir.Constant(_OCTETS, [0] * 16))
        child = builder.select(chosen, lanes.floats(2), lanes.floats(1))
        return lanes.write(builder.fadd(child, lanes.floats(3)))

    return numba.void(out, mine, other, step, exchanged, noise, factor, k), generate


breed_moved_16: Any = intrinsic(_breed_moved)


def _scan(context: Any, out: Any, a: Any, b: Any, c: Any, d: Any, turns: Any, noise: Any, factor: Any, k: Any) -> Any:
    """Breed 16 weights, each of one of four parents by `turns`; aligned as in `_shift`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = _Lanes(context, builder, signature, arguments)
        return lanes.write(lanes.of_four(lanes.octets(5)))

    return numba.void(out, a, b, c, d, turns, noise, factor, k), generate


scan_16: Any = intrinsic(_scan)


def _scan_moved(
    context: Any, out: Any, a: Any, b: Any, c: Any, d: Any, step: Any, turns: Any, noise: Any, factor: Any, k: Any
) -> Any:
    """Breed 16 weights as `_scan` does, and add a step before the noise."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = _Lanes(context, builder, signature, arguments)
        return lanes.write(builder.fadd(lanes.of_four(lanes.octets(6)), lanes.floats(5)))

    return numba.void(out, a, b, c, d, step, turns, noise, factor, k), generate


scan_moved_16: Any = intrinsic(_scan_moved)


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
