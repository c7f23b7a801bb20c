"""Light members of a population: a fitness and a recipe, and an individual to whoever looks at the weights."""

from __future__ import annotations

import copy
import functools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any, SupportsIndex

import numpy as np
from deap import base

from deap_nn.crossover import further
from deap_nn.markup import genome
from deap_nn.recipes import Recipe, Weigh, counted, counts_and_kept
from deap_nn.weights import Shape, Vector, WeightList


class LightMember:
    """A member that is a fitness and a recipe until somebody looks at its weights; then it is an individual."""

    recipe: Recipe
    make: Any
    light_shapes: tuple[Shape, ...]
    container: type[WeightList]

    def _load(self) -> None:
        flat, shapes = self.make(self.recipe), self.light_shapes
        self.__class__ = self.container  # type: ignore[assignment]  # it becomes one
        del self.make, self.light_shapes
        self._adopt(flat, shapes)  # type: ignore[attr-defined]  # as it now is one

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The shape of each matrix, without a look at the weights."""
        return self.light_shapes

    def transient(self) -> WeightList:
        """Return an individual with the same weights, which this member does not keep: it stays light."""
        made = self.container._wrapped(self.make(self.recipe), self.light_shapes)
        vars(made).update({name: value for name, value in vars(self).items() if name not in ("make", "light_shapes")})
        return made

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return self.transient().__reduce_ex__(protocol)

    def _repr_html_(self) -> str:  # without a look at the weights
        return genome(type(self).__name__, self.light_shapes, getattr(self, "fitness", None))


def _loading(name: str) -> Callable[..., Any]:
    def method(self: Any, *arguments: Any) -> Any:
        self._load()
        return getattr(self, name)(*arguments)

    return method


def _loading_property(name: str) -> property:
    return property(lambda self: (self._load(), getattr(self, name))[1])


_METHODS = """
    __len__ __iter__ __getitem__ __setitem__ __delitem__ __contains__ __reversed__ __eq__ __ne__ __lt__ __le__ __gt__
    __ge__ __add__ __iadd__ __mul__ __imul__ __deepcopy__ __copy__ __repr__ append clear copy count
    extend index insert pop remove reverse sort
"""


@functools.lru_cache(maxsize=16)
def _light_class(container: type[WeightList]) -> type[Any]:
    methods: dict[str, Any] = {name: _loading(name) for name in _METHODS.split()}
    methods |= {"flat": _loading_property("flat")}
    methods |= {"__hash__": None, "container": container}
    # Past the metaclass of DEAP's creator, which makes classes of one base.
    made: type[Any] = type.__new__(type(container), container.__name__, (LightMember, container), methods)
    return made


def light_members(
    container: type[WeightList],
    recipes: Iterable[Recipe],
    make: Callable[[Recipe], Vector],
    shapes: tuple[Shape, ...],
) -> list[Any]:
    """Return a light member for each recipe.

    Parameters
    ----------
    container : type
        The class of the individuals that they become; its ``__init__`` gives each a fitness.
    recipes : iterable of Recipe
        How their genomes come about.
    make : callable
        Makes the genome of a recipe, shape (n,), float32.
    shapes : tuple of tuple of int
        The shapes of their matrices.
    """
    kind: Any = _light_class(container)
    extras, fitness = _extras(container)
    members = []
    for recipe in recipes:
        member = kind.__new__(kind)
        attributes = member.__dict__
        if extras:
            attributes.update(copy.deepcopy(extras))
        if fitness is not None:
            attributes["fitness"] = base.Fitness.__new__(fitness)  # without values its __init__ would set nothing
        attributes["recipe"], attributes["make"], attributes["light_shapes"] = recipe, make, shapes
        members.append(member)
    return members


@functools.lru_cache(maxsize=16)
def _extras(container: type[WeightList]) -> tuple[dict[str, Any], type[base.Fitness] | None]:
    """Return what a new individual has beside its weights; a fitness that is nothing but its class apart."""
    extras = container(())._extras()
    fitness = extras.get("fitness")
    if isinstance(fitness, base.Fitness) and not vars(fitness):
        del extras["fitness"]
        return extras, type(fitness)
    return extras, None


def mean_of(individuals: Sequence[Any]) -> Any:
    """Return an individual whose weights are the mean of those of some individuals, without a valid fitness.

    Parameters
    ----------
    individuals : sequence of WeightList
        At least one, of the same shapes.

    Raises
    ------
    ValueError
        If there is none, or the shapes differ.

    Examples
    --------
    >>> mean_of([WeightList([[0.0, 1.0]]), WeightList([[4.0, 2.0]])]).flat.tolist()
    [2.0, 1.5]
    """
    if not individuals:
        raise ValueError("individuals must not be empty")
    made = copy.deepcopy(individuals[0])
    total = np.zeros(made.flat.size)
    for individual in individuals:
        if individual.shapes != made.shapes:
            raise ValueError(f"individuals must have the same shapes, got {made.shapes} and {individual.shapes}")
        total += individual.flat
    np.divide(total, len(individuals), out=made.flat, casting="same_kind")
    if hasattr(made, "fitness"):
        del made.fitness.values
    vars(made).pop("recipe", None)
    return made


def mean_around(members: Iterable[Any], centre: Any, step: float, weigh: Weigh, size: int) -> Any:
    """Return what lies `step` times as far from a centre as the mean of some of its `size` children.

    Of all of them that is the next centre: they count as `weigh` says, the best first.
    """
    ranked = sorted(members, key=attrgetter("fitness"), reverse=True)
    if not ranked:
        raise ValueError("individuals must not be empty")
    whole = len({id(member) for member in ranked}) == len(ranked) == size
    return centre_of(ranked, centre, step, weigh if whole else None)


def centre_of(chosen: Sequence[Any], centre: Any, step: float, weigh: Weigh = None) -> Any:
    """Return what the next generation comes from: `step` times as far from a centre as the mean of the chosen.

    Parameters
    ----------
    chosen : sequence of WeightList
        Each as often as it counts; where there are weights everybody, best first.
    centre : WeightList, optional
        What they come from. Left out, they are founders, of which the one that counts most is returned.
    step : float
        1 for the mean itself.
    weigh : callable, optional
        How much each counts, see `Breeder`.
    """
    if centre is None:
        ((most, _),) = Counter(map(id, chosen)).most_common(1)
        return next(individual for individual in chosen if id(individual) == most)
    each = {id(individual): individual for individual in chosen}
    counts, kept = counts_and_kept(list(map(id, chosen)), weigh)
    total = kept * centre.flat.astype(np.float64)
    for key, count in counts.items():
        total += np.multiply(each[key].flat, count, dtype=np.float64)
    made = copy.deepcopy(centre)
    if hasattr(made, "fitness"):
        del made.fitness.values
    further(centre.flat, total / counted(counts.values(), kept), step, made.flat)
    return made
