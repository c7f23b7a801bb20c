"""The initial population, and the breeder of a run by recipes."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NoReturn

from deap import base

from deap_nn.breeding.breeder import Breeder, founder, self_adaptive_of, without_state
from deap_nn.breeding.genomes import LackingError
from deap_nn.breeding.keyframes import write_keyframe
from deap_nn.breeding.kinds import Founder, place_of
from deap_nn.breeding.lineage import Lineage
from deap_nn.breeding.reproduction import reproduction_of
from deap_nn.breeding.slots import free_bytes
from deap_nn.core.arguments import check_count
from deap_nn.core.registered import Registered
from deap_nn.genome.population import LightMember, Population, light_members
from deap_nn.genome.vectors import Vector
from deap_nn.genome.weight_list import WeightList
from deap_nn.operators.by_name import WITH_STRATEGY, function_of
from deap_nn.operators.selection import operator_of


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
    if first is None:
        name = getattr(operator_of(toolbox.individual), "__name__", "individual")
        raise TypeError(f"individual must return an individual, not None: end {name} with a return")
    is_light = isinstance(first, WeightList) and first._extras().keys() == type(first)(())._extras().keys()
    if not is_light or _declared(type(first)):  # `individual` or the class sets more than weights and a fitness
        return Population([first, *(founder(toolbox.individual, seed, place) for place in places[1:])])
    make = partial(_founder_weights, toolbox.individual, seed)
    return Population(light_members(type(first), [Founder(place) for place in places], make, first.shapes))


def _declared(container: type[WeightList]) -> set[str]:
    """Return the attributes that a class gives its individuals beside weights, a fitness and a strategy."""
    return container(())._extras().keys() - {"fitness", "strategy"}


def _founder_weights(individual: Callable[..., Any], seed: int, recipe: Founder) -> Vector:
    weights: Vector = founder(individual, seed, recipe.place).flat
    return weights


def _origin(member: Any) -> tuple[Any, ...] | None:
    """Return the function that makes a founder, and its seed, also after a run took it over; None for others."""
    if not isinstance(member, LightMember) or not isinstance(member.recipe, Founder):
        return None
    if getattr(member.make, "func", None) is _founder_weights:
        arguments: tuple[Any, ...] = member.make.args
        return arguments
    lineage = getattr(member.make, "__self__", None)
    found = (lineage.breeder.individual, lineage.breeder.founders_seed) if isinstance(lineage, Lineage) else None
    return None if found is None or found[0].func is _given else found


def _given() -> NoReturn:
    raise LackingError("the weights of a given founder are in the first keyframe only")


def is_warm(breeder: Breeder) -> bool:
    """Return whether the weights of generation 0 were given: they are in a keyframe and not drawn from a seed."""
    return breeder.individual.func is _given


def breeder_of(population: Sequence[Any], toolbox: base.Toolbox, *, seed: int, cxpb: float, mutpb: float) -> Breeder:
    """Return the breeder of a run, or raise ValueError if children of recipes would lack a part of their parents.

    The founders of a population of `initPopulation` are drawn from a seed, if their weights were not read. The founders
    of any other population are given, and a digest of their weights replaces the seed: see `keep_founders`. Under
    `SelfAdaptive` this includes members with a ``strategy``.
    """
    registered, self_adaptive = Registered.read(toolbox), self_adaptive_of(toolbox.mutate)
    if getattr(registered.clone, "func", registered.clone) is not copy.deepcopy:
        raise _refused("clone is not deepcopy, and children of recipes are not cloned")
    for operator in map(function_of, (registered.mate, registered.mutate)):
        if operator in WITH_STRATEGY:
            raise _refused(f"{operator.__name__} changes the strategy of each individual, and recipes have none")
    for member in population:
        if not isinstance(member, WeightList):
            others = f"got {type(member).__name__}: deap.algorithms.eaSimple evolves any other individuals"
            raise ValueError(f"population must be of WeightLists, lists of weight matrices, {others}")
    first, origin, sigmas = population[0], _origin(population[0]), tuple[float, ...]()
    if self_adaptive is not None and any(getattr(member, "strategy", None) is not None for member in population):
        sigmas = tuple(map(self_adaptive.of, population))
    container = first.container if isinstance(first, LightMember) else type(first)
    _check_alike(population, container, {"strategy"} if self_adaptive is not None else set())
    if sigmas or origin is None or any(_origin(member) != origin for member in population):
        origin = partial(_given), _digest_of(population)
    individual, founders_seed = origin
    return Breeder(
        seed,
        founders_seed,
        first.shapes,
        container,
        without_state(individual, rng=None),
        without_state(toolbox.mutate, rng=None, sigma=0.0),
        cxpb,
        mutpb,
        reproduction_of(toolbox).pinned(),
        self_adaptive=self_adaptive,
        sigmas=sigmas,
    )


def _refused(reason: str) -> ValueError:
    return ValueError(f"{reason}: deap.algorithms.eaSimple breeds whole individuals")


def _check_alike(population: Sequence[Any], container: type[WeightList], kept: set[str]) -> None:
    """Raise ValueError if members differ in class or shapes, or have attributes of their own.

    `kept` has the names of attributes that their recipes have.
    """
    if declared := _declared(container):
        raise _refused(f"individuals have an attribute {min(declared)!r}, and recipes have none")
    known = {"fitness", "recipe", "make", "light_shapes", "in_generation", *kept, *container(())._extras()}
    for member in population:
        if (member.container if isinstance(member, LightMember) else type(member)) is not container:
            raise ValueError("population must be of one class")
        if member.shapes != population[0].shapes:
            raise ValueError("population must be of the same shapes")
        others = vars(member).keys() - known - {"_flat", "_views"}
        if others:
            raise _refused(f"population has an attribute {min(others)!r}, and recipes have none")


def _digest_of(population: Sequence[Any]) -> int:
    """Return a digest of the weights of members, an integer of 63 bits."""
    digest = hashlib.blake2b(digest_size=8)
    for member in population:
        digest.update(member.transient().flat.data)
    return int.from_bytes(digest.digest(), "little") >> 1


def keep_founders(lineage: Lineage, population: Sequence[Any]) -> None:
    """Write the weights of given founders as the keyframe of generation 0.

    Raises
    ------
    ValueError
        If they take more than a quarter of the free bytes of the cache's file system.
    """
    genomes, history = lineage.genomes, lineage.ancestry.history
    taken, most = 4 * genomes.size * len(population), free_bytes(genomes.place) // 4
    if taken > most:
        raise ValueError(
            f"population: its weights take {taken / 2**20:.1f} MiB, and {genomes.place} has room for "
            f"{most / 2**20:.1f}: set TMPDIR to a folder with more"
        )
    path = genomes.cache.folder / "keyframe-0"
    write_keyframe(
        path,
        0,
        history,
        [Founder(place).id for place in range(len(population))],
        lambda key: population[place_of(key)].transient().flat,
    )
    lineage.use_keyframe(path, history)
