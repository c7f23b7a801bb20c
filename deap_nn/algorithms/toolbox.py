"""The toolboxes that `make_toolbox` returns: DEAP's, with a clock."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from deap import base, tools
from numpy.typing import ArrayLike

from deap_nn.algorithms.algorithm import ES, GA, usual_step
from deap_nn.breeding.breeder import Breeder
from deap_nn.breeding.founders import breeder_of
from deap_nn.breeding.kinds import Child
from deap_nn.breeding.reproduction import reproduction_of
from deap_nn.core import notebook
from deap_nn.core.registered import Registered, evaluation_of, words_of
from deap_nn.genome.layer_inputs import inputs_of_centre
from deap_nn.genome.population import Population, light_members
from deap_nn.genome.vectors import Layout, Vector, copied_vector, empty_vector
from deap_nn.genome.weight_list import Individual, WeightList
from deap_nn.operators.adaptation import Adapting, Clock, ErrorScaled, SelfAdaptive
from deap_nn.operators.crossover import extrapolate
from deap_nn.operators.describe import name_of
from deap_nn.operators.ranking import counted, counts_and_kept, weights_of
from deap_nn.operators.selection import operator_of


class MadeToolbox(base.Toolbox):  # type: ignore[misc]  # DEAP has no types
    """A DEAP toolbox in which any function registered as ``select`` begins the next generation.

    Parameters
    ----------
    layout : Layout
        The shapes and names of the weight matrices.
    seed : int
        The seed of the toolbox, and of a run by `evolve`.
    algorithm : GA or ES
        The resolved algorithm.
    container : callable
        Makes an individual of an iterable of matrices.
    members, generations : int, optional
        The size of the population and the number of generations, if they were given.

    Attributes
    ----------
    clock : Clock
        The present generation.
    """

    is_made = True

    def __init__(
        self,
        layout: Layout,
        *,
        seed: int,
        algorithm: GA | ES,
        container: Callable[[Iterable[ArrayLike]], Any] = Individual,
        members: int | None = None,
        generations: int | None = None,
    ) -> None:
        super().__init__()
        self.container, self.layout, self.seed, self.algorithm = container, layout, seed, algorithm
        self.members, self.generations = members, generations
        self.clock = Clock(self)
        self.clock.generations = generations

    def register(self, alias: str, function: Callable[..., Any], *args: Any, **kargs: Any) -> None:
        """Register a function, as DEAP does; a ``select`` advances the generation before it selects."""
        if alias == "select" and operator_of(function) is not tools.selRandom:
            if isinstance(function, Adapting):
                self.clock.others, function = function.clock.others, function.operator
            function = Adapting(function, self.clock)
        if alias == "mutate" and hasattr(self, "evaluate"):
            name_fitness(kargs.get("sigma"), evaluation_of(operator_of(self.evaluate)).problem)
        super().register(alias, function, *args, **kargs)

    def _parts(self) -> dict[str, object]:
        """Return the sizes, the present generation and the operators, by name."""
        registered, parts = Registered.read(self), dict[str, object]()
        if registered.members is not None:
            parts["population"] = registered.members
        parts["weights"] = self.layout.size
        if registered.problem is not None:
            parts["batch"] = registered.problem.batch_size
        parts["generation"] = self.clock.generation
        with contextlib.suppress(ValueError):  # an `Annealed` without a length raises after generation 0
            parts["sigma"] = self.clock.sigma
        if evaluation_of(operator_of(registered.evaluate)).is_of_problem:
            parts["fitness"] = ", ".join(objective.name for objective in registered.problem.objectives)
        else:
            parts["evaluate"] = name_of(registered.evaluate)
        for alias in ("mate", "mutate", "select", "recombination_weights"):
            if getattr(registered, alias) is not None:
                parts[alias] = name_of(getattr(registered, alias))
        return parts

    def __repr__(self) -> str:
        parts = [f"{name} {notebook.shown(value)}" for name, value in self._parts().items()]
        return f"<toolbox {self.algorithm.name!r}: {', '.join(parts)}>"

    def _repr_html_(self) -> str:
        return notebook.paragraph("toolbox", strong=self.algorithm.name) + notebook.table(self._parts().items())

    def next_generation(self, population: Sequence[Any]) -> None:
        """Begin the next generation after the evaluated `population`: for loops that never call ``select``.

        The adaptation of sigma is updated with the population, and evaluations use the next mini-batch.
        """
        self.clock.advance(population)

    def from_vector(self, vector: ArrayLike) -> Any:
        """Return an individual without a valid fitness, with a copy of a vector as its weights.

        Parameters
        ----------
        vector : array_like
            All weights, shape (``layout.size``,), such as ``numpy.asarray(individual)``.

        Raises
        ------
        ValueError
            If it has another shape.
        """
        return self.container(self.layout.unpack(vector))

    def evaluate_many(self, individuals: Iterable[Any]) -> list[Any]:
        """Return the fitness of individuals or vectors, in their order, by ``map`` and ``evaluate``.

        The map sends small networks in groups; the results have the same bits as single calls.
        """
        return list(self.map(self.evaluate, individuals))

    def plan(self, members: int, generations: int) -> None:
        """Note the size of a run by `evolve`: an evolution strategy needs it for its step."""


TAKING_THE_BEST = (tools.selBest, tools.selWorst, tools.selNSGA2, tools.selNSGA3, tools.selSPEA2)
"""Selections of the best from a larger set, such as parents and children together: from a population they take all."""


def check_called(toolbox: base.Toolbox, members: int) -> None:
    """Raise ValueError with the name of a registered function that the loop of the toolbox's algorithm would not call.

    Parameters
    ----------
    toolbox : deap.base.Toolbox
        Any toolbox. With a ``step``, or another strategy that shares parents, it breeds children of one centre.
    members : int
        The size of the population.
    """
    registered, reproduction = Registered.read(toolbox), reproduction_of(toolbox)
    around_centre, weights, select = reproduction.shares_parents, reproduction.weights, registered.select
    if around_centre and isinstance(words_of(toolbox.mutate).get("sigma"), SelfAdaptive):
        raise ValueError("mutate: SelfAdaptive is not for an evolution strategy: its members share one sigma")
    if around_centre and words_of(toolbox.mutate).get("bounds") is not None:
        raise ValueError("mutate: bounds are not for an evolution strategy: they would move its centre")
    if around_centre and registered.mate is not None:
        raise ValueError("mate is not called if a toolbox has a step: children come from one centre")
    if weights is not None:
        weights_of(weights, members)
        if select is not None:
            raise ValueError("select is not called if a toolbox has a step: all members count by rank")
    elif operator_of(select) in TAKING_THE_BEST:
        name = operator_of(select).__name__
        raise ValueError(f"select: {name} would take all members: register one that draws, such as selTournament")


def name_fitness(sigma: Any, problem: Any) -> None:
    """Set the kind of fitness of an `ErrorScaled` sigma to the problem's, if it has none and there is a problem.

    Raises
    ------
    ValueError
        If the problem's fitness is neither an error nor a cross-entropy.
    """
    if not isinstance(sigma, ErrorScaled) or sigma.fitness is not None or problem is None:
        return
    if problem.fitness is None:
        raise ValueError(
            "ErrorScaled needs a fitness that is an error or a cross-entropy: take Annealed or SelfAdaptive, "
            "or give ErrorScaled(fitness='error') or 'cross_entropy'"
        )
    sigma.fitness = problem.fitness


class StrategyToolbox(MadeToolbox):
    """The toolbox of an evolution strategy around one centre: ``generate`` and ``update``, no ``mate``.

    Parameters
    ----------
    layout, seed, algorithm, container, members, generations
        As for `MadeToolbox`.
    step : float, optional
        As for `ES`; `usual_step` if left out.
    """

    def __init__(self, *arguments: Any, step: float | None, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._step = step
        self._planned: tuple[int, int] | None = None

    @property
    def step(self) -> float | Literal["usual"]:
        """The step of the centre; "usual" while the size of the run is not known."""
        if self._step is not None:
            return self._step
        if self._planned is None and (self.members is None or self.generations is None):
            return "usual"
        members, generations = self._planned or self.planned_sizes()
        size = members, max(1, generations), max(1, self.layout.vectors.count(False))
        return usual_step(*size, projected="layer_inputs" in vars(self))

    @step.setter
    def step(self, value: float | None) -> None:
        self._step = value

    def plan(self, members: int, generations: int) -> None:
        """Note the size of a run by `evolve`; a number of generations from `make_toolbox` replaces the run's.

        Raises
        ------
        ValueError
            If the toolbox was made for another size of the population.
        """
        if self.members is not None and self.members != members:
            raise ValueError(f"population must have the {self.members} members of make_toolbox, got {members}")
        self._planned = members, generations if self.generations is None else self.generations

    def planned_sizes(self) -> tuple[int, int]:
        """Return the arguments ``population`` and ``generations`` of `make_toolbox`.

        Raises
        ------
        ValueError
            If one of them is missing.
        """
        if self.members is None or self.generations is None:
            raise ValueError("generate needs the size of the run: make_toolbox(..., ES(), population=N, generations=G)")
        return self.members, self.generations


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
