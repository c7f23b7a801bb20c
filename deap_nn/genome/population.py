"""A population: its list, its light members, which are recipes until their weights are read, and their mean."""

from __future__ import annotations

import copy
import functools
import heapq
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, SupportsIndex

import numpy as np
from deap import base

from deap_nn.core.notebook import paragraph, table
from deap_nn.genome.vectors import Shape, Vector
from deap_nn.genome.weight_list import WeightList

SHOWN = 10
"""The number of best members that a notebook shows."""


class Population(list[Any]):
    """A list of individuals, also for every DEAP loop; a notebook shows its size and its best members.

    Examples
    --------
    >>> from deap_nn import make_toolbox
    >>> population = make_toolbox("mlp", "mnist5k", seed=1).population(n=3)
    >>> isinstance(population, list), population._repr_html_()
    (True, '<p><strong>Population</strong> 3 members, 0 scored</p>')
    """

    def _repr_html_(self) -> str:
        scored = [(place, member) for place, member in enumerate(self) if member.fitness.valid]
        text = paragraph(f"{len(self):,} members, {len(scored):,} scored", strong=type(self).__name__)
        if not scored:
            return text
        best = heapq.nlargest(SHOWN, scored, key=lambda entry: entry[1].fitness)
        rows = [(rank, place, tuple(member.fitness.values)) for rank, (place, member) in enumerate(best, start=1)]
        return text + table(rows, ("rank", "place", "fitness"))


def mean_of(individuals: Sequence[Any]) -> Any:
    """Return an individual with the mean weights of some individuals, and without a valid fitness.

    Parameters
    ----------
    individuals : sequence of WeightList
        At least one, of the same shapes.

    Raises
    ------
    ValueError
        If there is no individual, or the shapes differ.

    Examples
    --------
    >>> from deap_nn import WeightList
    >>> mean_of([WeightList([[0.0, 1.0]]), WeightList([[4.0, 2.0]])]).flat.tolist()
    [2.0, 1.5]
    """
    if not individuals:
        raise ValueError("individuals must not be empty")
    made = copy.deepcopy(individuals[0])
    # Summed in float64, in the order of the members, as `Genomes` does it by recipes: the bits are the same.
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


class LightMember:
    """A member that is a fitness and a recipe until its weights are read; then it becomes an individual."""

    recipe: Any
    make: Any
    light_shapes: tuple[Shape, ...]
    container: type[WeightList]

    def _load(self) -> None:
        # The object itself changes its class: populations, halls of fame and callbacks hold references to it, and a
        # proxy in its place would be another type in every isinstance, pickle and `copy` of DEAP.
        make, shapes = vars(self).get("make"), vars(self).get("light_shapes")
        flat = None if make is None else make(self.recipe)
        with _adopting:
            if isinstance(self, LightMember):  # no other thread was faster
                self._adopt(flat, shapes)  # type: ignore[attr-defined]  # it is a container too
                self.__class__ = self.container  # type: ignore[assignment]  # it becomes one
                del self.make, self.light_shapes

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The shape of each matrix; the member stays light."""
        return self.light_shapes

    def transient(self) -> WeightList:
        """Return a new individual with the same weights; the member stays light."""
        made = self.container._wrapped(self.make(self.recipe), self.light_shapes)
        vars(made).update({name: value for name, value in vars(self).items() if name not in ("make", "light_shapes")})
        return made

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return self.transient().__reduce_ex__(protocol)


_adopting = threading.RLock()


def _loading(name: str) -> Callable[..., Any]:
    def method(self: Any, *arguments: Any) -> Any:
        self._load()
        return getattr(self, name)(*arguments)

    return method


# Python looks up special methods on the class and calls no __getattr__ for them, so each is listed.
_METHODS = """
    __len__ __iter__ __getitem__ __setitem__ __delitem__ __contains__ __reversed__ __eq__ __ne__ __lt__ __le__ __gt__
    __ge__ __add__ __iadd__ __mul__ __imul__ __deepcopy__ __copy__ __repr__ append clear copy count
    extend index insert pop remove reverse sort
"""


@functools.lru_cache(maxsize=16)
def _light_class(container: type[WeightList]) -> type[Any]:
    methods: dict[str, Any] = {name: _loading(name) for name in _METHODS.split()}
    # After _load the object has the class of an individual, so `self.flat` is that class' property.
    methods |= {"flat": property(lambda self: (self._load(), self.flat)[1]), "__hash__": None, "container": container}
    # `type.__new__` bypasses the metaclass of DEAP's creator, which makes only classes of one base.
    made: type[Any] = type.__new__(type(container), container.__name__, (LightMember, container), methods)
    return made


def light_members(
    container: type[WeightList],
    recipes: Iterable[Any],
    make: Callable[[Any], Vector],
    shapes: tuple[Shape, ...],
) -> list[Any]:
    """Return a light member for each recipe.

    Parameters
    ----------
    container : type
        The class of the individuals that they become; its ``__init__`` gives each a fitness.
    recipes : iterable
        The recipe of each member's genome.
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
            attributes["fitness"] = base.Fitness.__new__(fitness)  # skips __init__, which sets nothing without values
        attributes["recipe"], attributes["make"], attributes["light_shapes"] = recipe, make, shapes
        members.append(member)
    return members


def load(members: Iterable[Any]) -> None:
    """Make the weights of light members, which become individuals."""
    for member in members:
        if isinstance(member, LightMember):
            member._load()


@functools.lru_cache(maxsize=16)
def _extras(container: type[WeightList]) -> tuple[dict[str, Any], type[base.Fitness] | None]:
    """Return a new individual's attributes beside its weights, and separately the class of a fitness without values."""
    extras = container(())._extras()
    fitness = extras.get("fitness")
    if isinstance(fitness, base.Fitness) and not vars(fitness):
        del extras["fitness"]
        return extras, type(fitness)
    return extras, None
