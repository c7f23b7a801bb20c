"""DEAP's ``generate`` and ``update`` of an evolution strategy around one centre."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from deap import base

from deap_nn.algorithms.toolbox.made import StrategyToolbox, check_called
from deap_nn.breeding.breeder import Breeder
from deap_nn.breeding.founders import breeder_of
from deap_nn.breeding.kinds import Child
from deap_nn.core.registered import Registered
from deap_nn.genome.layer_inputs import inputs_of_centre
from deap_nn.genome.population import Population, light_members
from deap_nn.genome.vectors import Vector, copied_vector, empty_vector
from deap_nn.genome.weight_list import WeightList
from deap_nn.operators.crossover import extrapolate
from deap_nn.operators.ranking import counted, counts_and_kept


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
        self._centre: Vector | None = None
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
        breeder = self._breeder_now()
        generation, sigma = toolbox.clock.generation, toolbox.clock.sigma
        recipes = [Child(generation, place, (0,), sigma) for place in range(members)]
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
        ranked, before = sorted(population, key=_worth, reverse=True), self._centre
        if before is None:
            self._centre = copied_vector(ranked[0].transient().flat)
        else:
            self._centre = self._moved(ranked, before, self._layer_inputs(before, toolbox.clock.generation))
        toolbox.clock.advance(population)

    def _layer_inputs(self, centre: Vector, generation: int) -> bytes:
        """Return the layer inputs onto which the step from the centre is projected; empty without any."""
        layer_inputs = Registered.read(self.toolbox).layer_inputs
        if layer_inputs is None:
            return b""
        individual = WeightList.from_flat(centre, self.toolbox.layout.shapes)
        return inputs_of_centre(layer_inputs, individual, generation, self.toolbox.map)

    def _moved(self, ranked: Sequence[Any], before: Vector, inputs: bytes) -> Vector:
        """Return the next centre, given the members, best first."""
        toolbox = self.toolbox
        counts, kept = counts_and_kept(range(len(ranked)), toolbox.recombination_weights)
        total, moved = kept * before.astype(np.float64), empty_vector(before.size)
        for place, count in counts.items():
            total += np.multiply(ranked[place].transient().flat, count, dtype=np.float64)
        extrapolate(before, total / counted(counts.values(), kept), float(toolbox.step), moved)
        if inputs:
            from deap_nn.operators.compiled.projection import project

            project(moved, before, toolbox.layout.shapes, inputs)
        return moved

    def _breeder_now(self) -> Breeder:
        """Return the breeder of this generation's children, made from the functions that are registered now."""
        toolbox = self.toolbox
        breeder = breeder_of(toolbox.population(n=1), toolbox, seed=toolbox.seed, cxpb=1.0, mutpb=1.0)
        check_called(toolbox, toolbox.planned_sizes()[0])
        return breeder


def _worth(individual: Any) -> tuple[float, ...]:
    """Return the weighted fitness values; NaN is the worst value, as in `evolve`."""
    return tuple(-math.inf if math.isnan(value) else value for value in individual.fitness.wvalues)


def _bred(breeder: Breeder, centre: Vector, child: Child) -> Vector:
    """Return the weights of a child of a centre."""
    out = empty_vector(centre.size)
    child.breed(breeder, [centre], out)
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
