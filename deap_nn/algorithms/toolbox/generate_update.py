"""DEAP's ``generate`` and ``update`` of an evolution strategy around one centre."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from deap import base

from deap_nn.algorithms.toolbox.made import StrategyToolbox, check_called
from deap_nn.breeding.breeder import Breeder, project_step
from deap_nn.breeding.founders import breeder_of
from deap_nn.breeding.recipe import Recipe
from deap_nn.breeding.reproduction.around_centre import AroundCentre
from deap_nn.core.registered import Registered
from deap_nn.genome.layer_inputs import inputs_of_centre
from deap_nn.genome.members import light_members
from deap_nn.genome.population import Population
from deap_nn.genome.vectors import Vector, copied_vector, empty_vector
from deap_nn.genome.weight_list import WeightList


class GenerateUpdate:
    """The state of an evolution strategy between the calls of ``deap.algorithms.eaGenerateUpdate``.

    The populations are those of `evolve` with the same seed and sizes, generation by generation: the first call of
    `generate` gives the initial population, so ``ngen`` of DEAP's loop is one more than that of `evolve`.

    Parameters
    ----------
    toolbox : StrategyToolbox
        With ``population``, ``mutate`` and ``recombination_weights``.

    References
    ----------
    Y. Collette, N. Hansen, G. Pujol, D. Salazar Aponte and R. Le Riche, "On object-oriented programming of optimizers",
    2010 (the ask and tell interface); see `recombination_weights` for the strategy.
    """

    def __init__(self, toolbox: StrategyToolbox) -> None:
        self.toolbox = toolbox
        self._breeder: Breeder | None = None
        self._centre: Vector | None = None
        self._sigma: float | None = None
        self._run = 0

    def generate(self) -> Population:
        """Return the next population: its members are bred when their weights are read, and not kept by `evaluate`.

        Raises
        ------
        ValueError
            If `make_toolbox` was not given ``population`` and ``generations``.
        """
        toolbox = self.toolbox
        members, _ = toolbox.planned_sizes()
        if self._centre is None or toolbox.clock.runs != self._run:  # a new run, or `evolve` in between
            self._centre = None
            toolbox.clock.reset()
            self._run = toolbox.clock.runs
            return Population(toolbox.population(n=members))
        breeder = self._breeder = self._breeder_now()
        generation, self._sigma = toolbox.clock.generation, toolbox.clock.sigma
        recipes = [Recipe(generation, place, (0,), self._sigma) for place in range(members)]
        make = partial(_bred, breeder, self._centre)
        return Population(light_members(breeder.container, recipes, make, breeder.shapes))

    def update(self, population: Sequence[Any]) -> None:
        """Move the centre by the evaluated population, and begin the next generation.

        Parameters
        ----------
        population : sequence
            The population that `generate` returned, also if its individuals were changed or replaced.

        Raises
        ------
        ValueError
            If it has another size, or an individual has no valid fitness.
        """
        toolbox, (members, _) = self.toolbox, self.toolbox.planned_sizes()
        if len(population) != members:
            raise ValueError(f"population must have the {members} members that generate gives, got {len(population)}")
        if not all(individual.fitness.valid for individual in population):
            raise ValueError("population must have a valid fitness in all its members")
        shapes = {individual.shapes for individual in population}
        if shapes != {toolbox.layout.shapes}:
            raise ValueError(f"population must have the shapes {toolbox.layout.shapes}, got {shapes.pop()}")
        check_called(toolbox, members)
        strategy, generation = AroundCentre.of(toolbox), toolbox.clock.generation
        inputs = self._layer_inputs(generation)
        chosen = sorted(population, key=_worth, reverse=True)
        toolbox.clock.advance(population)
        if self._centre is None:
            (centre, *_) = strategy.sources(chosen, ())
            self._centre = copied_vector(centre.transient().flat)
        else:
            self._centre = self._next_centre(chosen, generation, inputs)

    def _layer_inputs(self, generation: int) -> bytes:
        """Return the layer inputs onto which the step from the centre is projected; empty without any."""
        layer_inputs = Registered.read(self.toolbox).layer_inputs
        if layer_inputs is None or self._centre is None:
            return b""
        centre = WeightList.from_flat(self._centre, self.toolbox.layout.shapes)
        return inputs_of_centre(layer_inputs, centre, generation, self.toolbox.map)

    def _next_centre(self, chosen: Sequence[Any], generation: int, inputs: bytes) -> Vector:
        """Return the centre of the next generation, from recipes if no member's weights were changed."""
        before = self._centre
        if before is None:
            raise ValueError("update needs the population that generate returned")
        breeder = self._breeder = self._breeder or self._breeder_now()
        recipes = [self._recipe_of(individual, generation) for individual in chosen]
        recombined = breeder.reproduction.centre(
            Recipe(generation, 0, (0,), self._sigma), [recipe.place for recipe in recipes if recipe is not None]
        )
        if recombined is not None and None not in recipes:
            return _bred(breeder, before, recombined._replace(inputs=inputs))
        around = breeder.container._wrapped(before, breeder.shapes)
        (centre, *_) = breeder.reproduction.sources(chosen, [around])
        moved = copied_vector(centre.flat)
        project_step(moved, before, breeder.shapes, inputs)
        return moved

    def _recipe_of(self, individual: Any, generation: int) -> Recipe | None:
        """Return the recipe of a member of this generation, or None if the recipe does not give its weights."""
        recipe = getattr(individual, "recipe", None)
        if not isinstance(recipe, Recipe) or recipe.generation != generation or not isinstance(individual, WeightList):
            return None
        if getattr(individual, "make", None) is not None:  # weights that were never read cannot have been changed
            return recipe
        if self._breeder is None or self._centre is None or individual.shapes != self._breeder.shapes:
            return None
        bred = _bred(self._breeder, self._centre, recipe)
        return recipe if bred.tobytes() == individual.flat.tobytes() else None

    def _breeder_now(self) -> Breeder:
        """Return the breeder of this generation's children, made from the functions that are registered now."""
        toolbox = self.toolbox
        breeder = breeder_of(toolbox.population(n=1), toolbox, seed=toolbox.seed, cxpb=1.0, mutpb=1.0)
        if isinstance(breeder, str):
            raise ValueError(f"generate: {breeder}")
        check_called(toolbox, self.toolbox.planned_sizes()[0])
        return breeder


def _worth(individual: Any) -> tuple[float, ...]:
    """Return the weighted fitness values; NaN is the worst value, as in `evolve`."""
    return tuple(-math.inf if math.isnan(value) else value for value in individual.fitness.wvalues)


def _bred(breeder: Breeder, centre: Vector, recipe: Recipe) -> Vector:
    """Return the weights of a child of a centre."""
    out = empty_vector(centre.size)
    breeder.breed(recipe, [centre], out)
    return out


def check_named(toolbox: base.Toolbox) -> None:
    """Raise ValueError if a strategy has another ``generate`` or ``update`` registered: `evolve` calls neither."""
    if not isinstance(toolbox, StrategyToolbox):
        return
    found = Registered.read(toolbox)
    for name, registered in (("generate", found.generate), ("update", found.update)):
        if not isinstance(getattr(getattr(registered, "func", None), "__self__", None), GenerateUpdate):
            raise ValueError(f"{name} is not called by evolve: deap.algorithms.eaGenerateUpdate calls it")


def register_strategy(toolbox: StrategyToolbox) -> None:
    """Register ``generate`` and ``update`` of an evolution strategy."""
    strategy = GenerateUpdate(toolbox)
    toolbox.register("generate", strategy.generate)
    toolbox.register("update", strategy.update)


__all__ = ["GenerateUpdate", "check_named", "register_strategy"]
