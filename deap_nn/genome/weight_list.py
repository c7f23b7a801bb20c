"""The genome: a DEAP list of float32 matrices that share one contiguous buffer, or a sequence of numbers."""

from __future__ import annotations

import copy
import math
import reprlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
from deap import base
from numpy.typing import ArrayLike, DTypeLike, NDArray

from deap_nn.genome.vectors import Matrix, Shape, Vector, copied_vector, empty_vector, split_vector

if TYPE_CHECKING:
    _MatrixList = list[Matrix]
else:
    _MatrixList = list


class WeightList(_MatrixList):
    """A list of float32 matrices that are views of one contiguous vector, ``flat``.

    It is meant as the base of a DEAP individual, ``creator.create("Individual", WeightList,
    fitness=creator.FitnessMin)``, and behaves as a list in every DEAP operator. Comparisons return one bool.
    An assignment, as in DEAP's crossovers, binds another float32 matrix of the same shape; any other value raises
    ValueError. The next access to ``flat`` then makes a new vector.

    Parameters
    ----------
    matrices : iterable of array_like
        Copied, as float32. `from_flat` takes one vector of all weights.

    Examples
    --------
    >>> a = WeightList([[[1, 2], [3, 4]], [5, 6]])
    >>> a.flat
    array([1., 2., 3., 4., 5., 6.], dtype=float32)
    >>> a == WeightList(a), a in [WeightList([[0.0]])]
    (True, False)
    >>> a[1] = np.zeros(2, np.float32)
    >>> a.flat
    array([1., 2., 3., 4., 0., 0.], dtype=float32)
    """

    _flat: Vector
    _views: tuple[Matrix, ...]

    def __init__(self, matrices: Iterable[ArrayLike] = ()) -> None:
        super().__init__()
        matrices = list(matrices)
        if matrices and all(map(np.isscalar, matrices)):
            wanted = "toolbox.from_vector or WeightList.from_flat makes an individual of a vector"
            raise TypeError(f"matrices must be arrays, got {len(matrices)} numbers: {wanted}")
        self._pack([_as_weights(matrix) for matrix in matrices])

    @classmethod
    def from_flat(cls, flat: ArrayLike, shapes: Sequence[Shape]) -> WeightList:
        """Return a complete individual with the weights of a vector, and with its own fitness if the class has one.

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
        """Wrap `flat` without calling ``__init__``: the caller sets the individual's other attributes."""
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
        # An operator may have bound other arrays (``individual[1] = matrix``, a swap, ``append``). Then a matrix is not
        # the same object as its view, and only then are the weights copied into a new vector.
        views = self._views
        if len(self) != len(views) or any(mine is not view for mine, view in zip(self, views, strict=True)):
            self._pack([np.asarray(matrix, dtype=np.float32) for matrix in self])
        return self._flat

    def __setitem__(self, place: Any, value: Any) -> None:
        """Bind a matrix, or several to a slice; raise ValueError unless each is float32 and of the former's shape."""
        if not isinstance(place, slice):
            if value is not self[place]:  # as ``individual[1] += noise`` assigns it
                _check_alike(place, self[place], value)
            super().__setitem__(place, value)
            return
        places, values = range(*place.indices(len(self))), list(value)
        if len(values) != len(places):
            kept = f"individual keeps its {len(self)} matrices: got {len(values)} for {len(places)}"
            raise ValueError(f"{kept} (an operator that changes lengths, as cxMessyOnePoint, is for lists of numbers)")
        for at, new in zip(places, values, strict=True):
            _check_alike(at, self[at], new)
        super().__setitem__(place, values)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Return ``flat``: in arithmetic with NumPy arrays an individual is the vector of all its weights."""
        return np.array(self.flat, dtype, copy=copy)

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The shape of each matrix."""
        return tuple(np.shape(matrix) for matrix in self)

    def transient(self) -> WeightList:
        """Return an individual with these weights for reading: this one, or for a light member a new one."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> WeightList:
        new = self._wrapped(copied_vector(self.flat), self.shapes)
        memo[id(self)] = new
        for name, value in self._extras().items():
            setattr(new, name, copy.deepcopy(value, memo))
        return new

    def __copy__(self) -> WeightList:
        # Shallow, as the copy of any list: both share the matrices and the vector that these are views of.
        new = self.__class__.__new__(self.__class__)
        new.__dict__.update(self.__dict__)
        list.extend(new, self)
        return new

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        # The vector and not the matrices: these would be unpickled as separate arrays, without a common buffer.
        return type(self)._wrapped, (self.flat, self.shapes), self._extras()

    def _extras(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_flat", "_views")}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} matrices, {sum(np.size(m) for m in self):,} weights>"

    __hash__ = None  # mutable, as every list

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, list):
            return NotImplemented
        return len(self) == len(other) and all(map(np.array_equal, self, other))

    def __ne__(self, other: object) -> bool:
        # A list has its own `__ne__`, which would not use the `__eq__` above.
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    # A list compares the first items that differ, and their truth is an array's.
    def __lt__(self, other: list[Matrix]) -> bool:
        return _numbers_of(self) < _numbers_of(other)

    def __le__(self, other: list[Matrix]) -> bool:
        return _numbers_of(self) <= _numbers_of(other)

    def __gt__(self, other: list[Matrix]) -> bool:
        return _numbers_of(self) > _numbers_of(other)

    def __ge__(self, other: list[Matrix]) -> bool:
        return _numbers_of(self) >= _numbers_of(other)

    # `index`, `count`, `in` and `remove` of a list need the truth of ``matrix == value``, which is an array.
    def index(self, value: Any, start: SupportsIndex = 0, stop: SupportsIndex | None = None) -> int:
        """Return the first place of a matrix equal to `value`; raise ValueError if there is none."""
        places = range(*slice(start, stop).indices(len(self)))
        for place in places:
            if np.array_equal(self[place], value):
                return place
        raise ValueError("no matrix of this WeightList equals the value")

    def count(self, value: Any) -> int:
        """Return the number of matrices that equal `value`."""
        return sum(np.array_equal(matrix, value) for matrix in self)

    def __contains__(self, value: Any) -> bool:
        return self.count(value) > 0

    def remove(self, value: Any) -> None:
        """Remove the first matrix equal to `value`; raise ValueError if there is none."""
        del self[self.index(value)]


def _check_alike(place: SupportsIndex, former: Matrix, new: Any) -> None:
    """Raise ValueError unless a matrix to bind is float32 and has the shape of the former one."""
    dtype, shape = getattr(new, "dtype", None), getattr(new, "shape", None)
    if dtype != np.float32 or shape != np.shape(former):
        got = f"{dtype} of the shape {shape}" if shape else reprlib.repr(new)
        at = f"individual[{place}]"
        raise ValueError(
            f"{at} must be float32 of the shape {np.shape(former)}, got {got}: {at}[:] = ... writes into the matrix, "
            "and elementwise(operator) calls an operator of numbers"
        )


def _numbers_of(individual: list[Matrix]) -> list[list[float]]:
    return [np.ravel(matrix).tolist() for matrix in individual]


def _as_weights(matrix: ArrayLike) -> Matrix:
    """Return an array as float32, or raise TypeError if it is complex or not of numbers."""
    found = np.asarray(matrix)
    if found.dtype.kind not in "biuf":
        raise TypeError(f"weights must be real numbers, got {found.dtype}")
    return found.astype(np.float32, copy=False)


def check_mates(*individuals: WeightList) -> list[Vector]:
    """Return the flat vectors of genomes of the same shapes.

    Raises
    ------
    TypeError
        If one is not a `WeightList`.
    ValueError
        If their shapes differ.
    """
    flats = [check_genome(individual, f"ind{place}") for place, individual in enumerate(individuals, start=1)]
    shapes, *others = [individual.shapes for individual in individuals]
    for other in others:
        if shapes != other:
            raise ValueError(f"ind1 and ind2 must have the same shapes, got {shapes} and {other}")
    return flats


def check_genome(individual: WeightList, name: str = "individual") -> Vector:
    """Return the flat vector of a genome; raise TypeError if it is no `WeightList`, ValueError if it is read-only."""
    if not isinstance(individual, WeightList):
        raise TypeError(f"{name} must be a WeightList, got {type(individual).__name__}")
    flat = individual.flat
    if not flat.flags.writeable:
        raise ValueError(f"{name} must be writable")
    return flat


class FitnessMin(base.Fitness):  # type: ignore[misc]  # DEAP has no types
    """A fitness of one value that is minimised."""

    weights = (-1.0,)


class Individual(WeightList):
    """A genome with a `FitnessMin`; it needs no ``creator`` and pickles by its name."""

    def __init__(self, matrices: Iterable[ArrayLike] = ()) -> None:
        super().__init__(matrices)
        self.fitness = FitnessMin()


class Numbers(list[float]):
    """The weights of an individual as floats, with its other attributes."""


def elementwise(operator: Callable[..., Any], **keywords: Any) -> partial[Any]:
    """Make an operator on sequences of numbers, such as DEAP's, act on each weight and not on each matrix.

    Parameters
    ----------
    operator : callable
        A mutation or a crossover in DEAP's form; it gets each individual as a list of all its weights. The attribute
        ``strategy`` of DEAP's evolution strategies has a number for each weight: a list, an array or a `WeightList`.
    **keywords
        Keyword arguments of the operator; ``register`` takes them too. Weights beyond ``low`` and ``up``, if these are
        given, are clipped before the call, as DEAP's bounded operators need.

    Returns
    -------
    functools.partial
        An operator in DEAP's form on `WeightList` individuals of the same shapes, which are modified in place and
        returned.

    Raises
    ------
    ValueError
        When it is called, if `operator` changes the number of weights.

    Examples
    --------
    >>> from deap import tools
    >>> mutate = elementwise(tools.mutPolynomialBounded, eta=20.0, low=-1.0, up=1.0, indpb=1.0)
    >>> individual, = mutate(WeightList([[[0.0, 2.0]], [3.0]]))
    >>> individual.shapes, bool(abs(individual.flat).max() <= 1)
    (((1, 2), (1,)), True)
    """
    return partial(weight_by_weight, of_numbers=operator, **keywords)


def weight_by_weight(*members: WeightList, of_numbers: Callable[..., Any], **keywords: Any) -> tuple[WeightList, ...]:
    """Call an operator with the weights of individuals as numbers, and write its results into the individuals."""
    flats = check_mates(*members)
    words = {name: word.tolist() if isinstance(word, np.ndarray) else word for name, word in keywords.items()}
    limits = [_first(words.get(name, none), flats[0].size) for name, none in (("low", -math.inf), ("up", math.inf))]
    given = [_numbers(member, flat, limits) for member, flat in zip(members, flats, strict=True)]
    for member, flat, numbers in zip(members, flats, of_numbers(*given, **words), strict=True):
        if len(numbers) != flat.size:
            name = getattr(of_numbers, "__name__", of_numbers)
            raise ValueError(f"{name} must return the {flat.size} weights of an individual, got {len(numbers)}")
        flat[:] = numbers
        strategy, changed = _vector(getattr(member, "strategy", None)), getattr(numbers, "strategy", None)
        if strategy is not None:
            strategy[:] = changed
        elif changed is not None:
            vars(member)["strategy"] = changed
    return members


def _first(limits: Any, size: int) -> Any:
    """Return the limits of the first `size` weights, or the one limit of all weights."""
    return limits if np.ndim(limits) == 0 else limits[:size]


def _numbers(member: WeightList, flat: Vector, limits: list[Any]) -> Numbers:
    numbers = Numbers(np.clip(flat.astype(np.float64), *limits).tolist())
    vars(numbers).update(member._extras())
    strategy = _vector(getattr(member, "strategy", None))
    if strategy is not None:
        vars(numbers)["strategy"] = strategy.tolist()
    return numbers


def _vector(strategy: Any) -> Any:
    """Return the array of a strategy, or None for a list, which DEAP's operators change in place."""
    # A slice of an array is a view: DEAP's swap of two slices would lose the first one's values.
    return strategy.flat if isinstance(strategy, WeightList) else strategy if isinstance(strategy, np.ndarray) else None
