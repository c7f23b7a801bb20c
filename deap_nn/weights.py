"""The genome: a DEAP list of float32 matrices that share one contiguous buffer."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deap_nn.markup import genome

Matrix = NDArray[np.float32]
"""A matrix of weights of any number of dimensions."""
Vector = NDArray[np.float32]
Vectors = Sequence[Vector] | NDArray[np.float32]
"""All weights of a genome in one dimension."""
Halves = NDArray[np.uint16]
"""The bits of its weights as bfloat16 numbers, which NumPy has no type for."""
Shape = tuple[int, ...]
_Number = TypeVar("_Number", bound=np.generic)

if TYPE_CHECKING:
    _MatrixList = list[Matrix]
else:
    _MatrixList = list

LARGEST_WEIGHT = float(np.finfo(np.float32).max)

ALIGNMENT = 64
"""Bytes: TensorFlow reads a buffer that starts on such a boundary without copying it."""

TOGETHER_BYTES = 3 << 20
"""Small genomes are bred and scored so many bytes at a time, which stay in the processor's cache,"""

MOST_TOGETHER = 256
"""and no more of them."""


def empty_vector(size: int) -> Vector:
    """Return an uninitialised float32 vector of `size` elements that starts on a 64-byte boundary."""
    padded = np.empty(size + ALIGNMENT // 4, dtype=np.float32)
    start = -padded.ctypes.data % ALIGNMENT // 4
    return padded[start : start + size]


def empty_halves(size: int) -> Halves:
    """Return room for the bits of `size` bfloat16 numbers that starts on a 64-byte boundary."""
    return empty_vector(-(-size // 2)).view(np.uint16)[:size]


def split_vector(flat: NDArray[_Number], shapes: Sequence[Shape]) -> list[NDArray[_Number]]:
    """Return views of consecutive parts of `flat`, one of each shape."""
    views = []
    start = 0
    for shape in shapes:
        stop = start + prod(shape)
        views.append(flat[start:stop].reshape(shape))
        start = stop
    return views


BIASES, GAINS = ("bias", "beta"), ("gamma", "scale")
"""How the last part of the name of a bias and of a normalisation's gain ends."""


def last_part(name: str) -> str:
    """Return the last part of a name of matrices, such as "bias" of ``gru/bias_2``."""
    return re.sub(r"_\d+$", "", name.rpartition("/")[2])


@dataclass(frozen=True)
class Layout:
    """The names and shapes of a genome's matrices.

    Parameters
    ----------
    names : tuple of str
        A name for each matrix, each once.
    shapes : tuple of tuple of int
        The shape of each matrix, every dimension at least 1.

    Raises
    ------
    ValueError
        If names and shapes differ in number, a name comes twice, or a dimension is less than 1.

    Examples
    --------
    >>> layout = Layout(("kernel", "bias"), ((3, 2), (2,)))
    >>> layout.size, layout.offsets
    (8, (0, 6))
    """

    names: tuple[str, ...]
    shapes: tuple[Shape, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(str(name) for name in self.names))
        object.__setattr__(self, "shapes", tuple(tuple(int(d) for d in shape) for shape in self.shapes))
        if len(self.names) != len(self.shapes):
            raise ValueError(f"names and shapes must be as many, got {len(self.names)} and {len(self.shapes)}")
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"names must differ, got {self.names}")
        if any(dimension < 1 for shape in self.shapes for dimension in shape):
            raise ValueError(f"shapes must have dimensions of at least 1, got {self.shapes}")

    @classmethod
    def of(cls, matrices: Iterable[ArrayLike]) -> Layout:
        """Return the layout of `matrices`, named ``matrix_0``, ``matrix_1`` and so on."""
        shapes = tuple(np.shape(matrix) for matrix in matrices)
        return cls(tuple(f"matrix_{i}" for i in range(len(shapes))), shapes)

    def __len__(self) -> int:
        return len(self.shapes)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """The number of weights in each matrix."""
        return tuple(prod(shape) for shape in self.shapes)

    @cached_property
    def size(self) -> int:
        """The number of weights in all matrices."""
        return sum(self.sizes)

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Where each matrix begins in the flat vector, in elements."""
        return tuple(sum(self.sizes[:i]) for i in range(len(self)))

    @cached_property
    def fan_ins(self) -> tuple[int, ...]:
        """How many values each unit of a matrix sums: the product of all dimensions but the last.

        For a dense kernel that is its rows, for a convolution's kernel height x width x channels, and for a
        vector, such as a bias, 1. It is more than a unit sums for embeddings, for depthwise convolutions and for the
        kernels by which attention makes several heads.
        """
        return tuple(prod(shape[:-1]) for shape in self.shapes)

    @cached_property
    def vectors(self) -> tuple[bool, ...]:
        """Which of the matrices are biases or gains: they have one dimension, or are named as Keras names such.

        The last part of the name counts, without a number behind it: "bias", "beta", "gamma" or "scale".
        """
        return tuple(
            len(shape) < 2 or last_part(name) in BIASES + GAINS
            for name, shape in zip(self.names, self.shapes, strict=True)
        )

    def views(self, flat: Vector) -> list[Matrix]:
        """Return the matrices as views of `flat`.

        Raises
        ------
        ValueError
            If `flat` is not one vector of ``size`` elements.
        """
        if flat.shape != (self.size,):
            raise ValueError(f"flat must have the shape ({self.size},), got {flat.shape}")
        return split_vector(flat, self.shapes)


class WeightList(_MatrixList):
    """A list of float32 matrices that are views of one contiguous vector, ``flat``.

    It is meant as the base of a DEAP individual, ``creator.create("Individual", WeightList,
    fitness=creator.FitnessMin)``, and behaves as a list in every DEAP operator. Comparisons answer one bool.
    Whoever rebinds an element, as DEAP's crossovers do, makes ``flat`` a new vector at its next reading.

    Parameters
    ----------
    matrices : iterable of array_like
        Copied, as float32.

    Examples
    --------
    >>> a = WeightList([[[1, 2], [3, 4]], [5, 6]])
    >>> a.flat
    array([1., 2., 3., 4., 5., 6.], dtype=float32)
    >>> a == WeightList(a), a in [WeightList([[0.0]])]
    (True, False)
    >>> a[1] = np.zeros(2)
    >>> a.flat
    array([1., 2., 3., 4., 0., 0.], dtype=float32)
    """

    _flat: Vector
    _views: tuple[Matrix, ...]

    def __init__(self, matrices: Iterable[ArrayLike] = ()) -> None:
        super().__init__()
        self._pack([_as_weights(matrix) for matrix in matrices])

    @classmethod
    def from_flat(cls, flat: ArrayLike, shapes: Sequence[Shape]) -> WeightList:
        """Return a whole individual, with a fitness of its own if the class has one, whose weights are a vector.

        Parameters
        ----------
        flat : array_like
            Shape (n,). A contiguous float32 array is wrapped and not copied.
        shapes : sequence of tuple of int
            The shapes of the matrices, `n` weights in all.

        Raises
        ------
        ValueError, TypeError
            If `flat` is not one vector of this number of weights, or not of real numbers.
        """
        vector = np.ascontiguousarray(_as_weights(flat))
        size = sum(map(math.prod, shapes))
        if np.ndim(flat) != 1 or vector.size != size:
            raise ValueError(f"flat must have the shape ({size},), got {np.shape(flat)}")
        new = cls(())
        new._adopt(vector, shapes)
        return new

    @classmethod
    def _wrapped(cls, flat: Vector, shapes: Sequence[Shape]) -> WeightList:
        """Wrap `flat` without calling ``__init__``: whoever calls this gives it what else an individual has."""
        new = cls.__new__(cls)
        new._adopt(flat, shapes)
        return new

    def _adopt(self, flat: Vector, shapes: Sequence[Shape]) -> None:
        self._flat = flat
        self._views = tuple(split_vector(flat, shapes))
        super().__setitem__(slice(None), self._views)

    def _pack(self, matrices: Sequence[Matrix]) -> None:
        flat = empty_vector(sum(matrix.size for matrix in matrices))
        start = 0
        for matrix in matrices:
            flat[start : start + matrix.size] = matrix.ravel()
            start += matrix.size
        self._adopt(flat, [matrix.shape for matrix in matrices])

    @property
    def flat(self) -> Vector:
        """All weights, shape (n,), float32, contiguous; writing to it writes to the matrices."""
        views = self._views
        if len(self) != len(views) or any(mine is not view for mine, view in zip(self, views, strict=True)):
            self._pack([np.asarray(matrix, dtype=np.float32) for matrix in self])
        return self._flat

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The shape of each matrix."""
        return tuple(np.shape(matrix) for matrix in self)

    def transient(self) -> WeightList:
        """Return an individual with these weights to read: this one; of a lazy member one that it does not keep."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> WeightList:
        source = self.flat
        flat = empty_vector(source.size)
        np.copyto(flat, source)
        new = self._wrapped(flat, self.shapes)
        memo[id(self)] = new
        for name, value in self._extras().items():
            setattr(new, name, copy.deepcopy(value, memo))
        return new

    def __copy__(self) -> WeightList:
        new = self.__class__.__new__(self.__class__)
        new.__dict__.update(self.__dict__)
        list.extend(new, self)
        return new

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.flat, self.shapes), self._extras()

    def _extras(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_flat", "_views")}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} matrices, {sum(np.size(m) for m in self):,} weights>"

    def _repr_html_(self) -> str:
        return genome(type(self).__name__, self.shapes, getattr(self, "fitness", None))

    __hash__ = None  # mutable, as every list

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, list):
            return NotImplemented
        return len(self) == len(other) and all(map(np.array_equal, self, other))

    def __ne__(self, other: object) -> bool:
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    def _precedes(self, other: list[Matrix], *, if_equal: bool) -> bool:
        """Compare as lists of flattened matrices do, by the first weight that differs."""
        for mine, theirs in zip(self, other, strict=False):
            a, b = np.ravel(mine), np.ravel(theirs)
            shared = min(a.size, b.size)
            differing = np.flatnonzero(a[:shared] != b[:shared])
            if differing.size:
                return bool(a[differing[0]] < b[differing[0]])
            if a.size != b.size:
                return a.size < b.size
        return if_equal if len(self) == len(other) else len(self) < len(other)

    def __lt__(self, other: list[Matrix]) -> bool:
        return self._precedes(other, if_equal=False)

    def __le__(self, other: list[Matrix]) -> bool:
        return self._precedes(other, if_equal=True)

    def __gt__(self, other: list[Matrix]) -> bool:
        return not self._precedes(other, if_equal=True)

    def __ge__(self, other: list[Matrix]) -> bool:
        return not self._precedes(other, if_equal=False)

    def index(self, value: Any, start: SupportsIndex = 0, stop: SupportsIndex | None = None) -> int:
        """Return the first place of a matrix equal to `value`; ValueError where there is none."""
        places = range(*slice(start, stop).indices(len(self)))
        for place in places:
            if np.array_equal(self[place], value):
                return place
        raise ValueError("no matrix of this WeightList equals the value")

    def count(self, value: Any) -> int:
        """Return how many matrices equal `value`."""
        return sum(np.array_equal(matrix, value) for matrix in self)

    def __contains__(self, value: Any) -> bool:
        return self.count(value) > 0

    def remove(self, value: Any) -> None:
        """Remove the first matrix equal to `value`; ValueError where there is none."""
        del self[self.index(value)]


def _rebuild(cls: type[WeightList], flat: Vector, shapes: Sequence[Shape]) -> WeightList:
    return cls._wrapped(flat, shapes)


def _as_weights(matrix: ArrayLike) -> Matrix:
    """Return an array as float32, or raise TypeError if that would lose an imaginary part, a mask, or is no number."""
    found = np.asanyarray(matrix)
    if isinstance(found, np.ma.MaskedArray) or found.dtype.kind not in "biuf":
        kind = "a masked array" if isinstance(found, np.ma.MaskedArray) else f"{found.dtype}"
        raise TypeError(f"weights must be real numbers, got {kind}")
    return np.asarray(found, dtype=np.float32)


def check_pair(ind1: WeightList, ind2: WeightList) -> tuple[Vector, Vector]:
    """Return the flat vectors of two genomes of the same shapes.

    Raises
    ------
    TypeError
        If one is no `WeightList`.
    ValueError
        If their shapes differ.
    """
    flat1, flat2 = check_genome(ind1, "ind1"), check_genome(ind2, "ind2")
    if ind1.shapes != ind2.shapes:
        raise ValueError(f"ind1 and ind2 must have the same shapes, got {ind1.shapes} and {ind2.shapes}")
    return flat1, flat2


def check_genome(individual: WeightList, name: str = "individual") -> Vector:
    """Return the flat vector of a genome, or raise TypeError naming the argument."""
    if not isinstance(individual, WeightList):
        raise TypeError(f"{name} must be a WeightList, got {type(individual).__name__}")
    flat = individual.flat
    if not flat.flags.writeable:
        raise ValueError(f"{name} must be writable")
    return flat


def check_generator(rng: np.random.Generator) -> None:
    """Raise TypeError where `rng` is no ``numpy.random.Generator``."""
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng must be a numpy.random.Generator, got {type(rng).__name__}")


def check_number(value: float, name: str) -> float:
    """Return a number as a float, or raise TypeError where it is none; NaN and infinity are numbers."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    return float(value)


def check_count(value: object, name: str, minimum: int = 1) -> int:
    """Return an integer of at least `minimum`, or raise ValueError naming it."""
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < minimum:
        raise ValueError(f"{name} must be an integer of at least {minimum}, got {value!r}")
    return int(value)


def check_probability(value: float, name: str) -> None:
    """Raise ValueError where `value` is not between 0 and 1, and TypeError where it is no number."""
    if not 0.0 <= check_number(value, name) <= 1.0:
        raise ValueError(f"{name} must be between 0 and 1, got {value!r}")
