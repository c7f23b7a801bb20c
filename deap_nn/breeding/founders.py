"""The initial population, and the breeder of a run by recipes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from deap import base

from deap_nn.breeding.breeder import Breeder, founder
from deap_nn.breeding.lineage import Lineage
from deap_nn.breeding.recipe import POOL_PLACE, Recipe
from deap_nn.breeding.reproduction import reproduction_of
from deap_nn.breeding.variation import strength_of, without_state
from deap_nn.core.arguments import check_count
from deap_nn.core.registered import Registered
from deap_nn.genome.members import LightMember, light_members
from deap_nn.genome.population import Population
from deap_nn.genome.vectors import Vector
from deap_nn.genome.weight_list import WeightList
from deap_nn.operators.by_name import WITH_STRATEGY, function_of


def initPopulation(toolbox: base.Toolbox, seed: int, n: int | None = None, *, start: int = 0) -> Population:
    """Make `n` individuals, each from its own random stream: member `i` does not depend on `n`.

    Weights are made when they are first read, so a large population takes no memory before.

    Parameters
    ----------
    toolbox : deap.base.Toolbox
        With ``individual`` registered.
    seed : int
        The run's seed.
    n : int, optional
        The number of individuals; if left out, the ``population`` of `make_toolbox`.
    start : int
        The place of the first individual. Islands get different members if each starts at the end of another.

    Raises
    ------
    ValueError
        If `n` or `start` is no integer of at least 0, or `n` is left out and `make_toolbox` got no ``population``.
    """
    if n is None:
        n = Registered.read(toolbox).members
        if n is None:
            raise ValueError("n must be given: make_toolbox got no population")
    start = check_count(start, "start", 0)
    places = range(start, start + check_count(n, "n", 0))
    if not places:
        return Population()
    first = founder(toolbox.individual, seed, start)
    if not isinstance(first, WeightList):
        return Population([first, *(founder(toolbox.individual, seed, place) for place in places[1:])])
    make = partial(_founder_weights, toolbox.individual, seed)
    return Population(light_members(type(first), [Recipe(0, place) for place in places], make, first.shapes))


def _founder_weights(individual: Callable[..., Any], seed: int, recipe: Recipe) -> Vector:
    weights: Vector = founder(individual, seed, recipe.place).flat
    return weights


def _origin(member: LightMember) -> tuple[Any, ...] | None:
    """Return the function that makes a founder, and its seed, also after a run took it over; None for others."""
    if getattr(member.make, "func", None) is _founder_weights:
        arguments: tuple[Any, ...] = member.make.args
        return arguments
    lineage = getattr(member.make, "__self__", None)
    return (lineage.breeder.individual, lineage.breeder.founders_seed) if isinstance(lineage, Lineage) else None


def breeder_of(
    population: Sequence[Any], toolbox: base.Toolbox, *, seed: int, cxpb: float, mutpb: float
) -> Breeder | str:
    """Return the breeder of a run by recipes, or the reason why there can be no recipes.

    Recipes need a population of `initPopulation` with weights that were not read since: any other is not a function of
    a seed.
    """
    registered = Registered.read(toolbox)
    if getattr(registered.clone, "func", registered.clone) is not copy.deepcopy:
        return "clone is not deepcopy, and children of recipes are not cloned"
    for operator in map(function_of, (registered.mate, registered.mutate)):
        if operator in WITH_STRATEGY:
            return f"{operator.__name__} changes the strategy of each individual, and recipes have none"
    fresh = "the population must be fresh from toolbox.population"
    for member in population:
        if not isinstance(member, WeightList):
            return f"{fresh}, of WeightLists, got {type(member).__name__}"
    if not all(isinstance(member, LightMember) for member in population):
        return f"{fresh}, and its members' weights must not have been read"
    if any(member.recipe.generation or member.recipe.place >= POOL_PLACE for member in population):
        return f"{fresh}, not one that has been evolved"
    origins = [_origin(member) for member in population]
    if origins[0] is None or any(origin != origins[0] for origin in origins):
        return f"{fresh}, with all members from one toolbox"
    individual, founders_seed = origins[0]
    shapes, container = population[0].light_shapes, population[0].container
    return Breeder(
        seed,
        founders_seed,
        shapes,
        container,
        without_state(individual, rng=None),
        without_state(toolbox.mutate, rng=None, sigma=0.0),
        cxpb,
        mutpb,
        reproduction_of(toolbox).pinned(),
        strength=strength_of(toolbox.mutate),
        elites=registered.elites,
    )
