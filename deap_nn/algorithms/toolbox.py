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
from deap_nn.core.notebook import shown
from deap_nn.core.registered import Evaluation, Registered, evaluation_of, words_of
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
        self.members, self.generations, self.drawn = members, generations, 0
        self.case_step = algorithm.case_step if algorithm.casewise else None
        self.clock = Clock(self)
        self.clock.generations = generations

    def register(self, alias: str, function: Callable[..., Any], *args: Any, **kargs: Any) -> None:
        """Register a function, as DEAP does; a ``select`` advances the generation before it selects."""
        if alias == "select" and operator_of(function) is not tools.selRandom:
            if isinstance(function, Adapting):
                self.clock.others, function = function.clock.others, function.operator
            function = Adapting(function, self.clock)
        if alias == "evaluate" and isinstance(evaluation := operator_of(function), Evaluation):
            evaluation.count = self.clock.count  # in DEAP's loops it scores the clock's mini-batch
        check_takes_matrices(alias, function)
        if alias == "mutate":
            _name_fitness(kargs.get("sigma"), evaluation_of(operator_of(self.evaluate)).problem)
        super().register(alias, function, *args, **kargs)

    def __getattr__(self, name: str) -> Any:
        """Raise AttributeError; for a function that another algorithm's loop calls, it names the loop that runs."""
        loops = {"mate": "eaGenerateUpdate", "select": "eaGenerateUpdate", "generate": "eaSimple", "update": "eaSimple"}
        hint = f": DEAP's loop for {self.algorithm.name!r} is {loops[name]}" if name in loops else ""
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}", name=name, obj=self)

    def __repr__(self) -> str:
        parts: dict[str, object] = {} if self.members is None else {"population": self.members}
        parts |= {"weights": self.layout.size, "batch": self.problem.batch_size, "generation": self.clock.generation}
        with contextlib.suppress(ValueError):  # an `Annealed` without a length raises after generation 0
            parts["sigma"] = self.clock.sigma
        if evaluation_of(operator_of(self.evaluate)).is_of_problem:
            parts["fitness"] = ", ".join(objective.name for objective in self.problem.objectives)
        else:
            parts["evaluate"] = name_of(self.evaluate)
        for alias in ("mate", "mutate", "select", "recombination_weights"):
            if hasattr(self, alias):
                parts[alias] = name_of(getattr(self, alias))
        return (
            f"<toolbox {self.algorithm.name!r}: {', '.join(f'{name} {shown(part)}' for name, part in parts.items())}>"
        )

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


OF_NUMBERS = (tools.mutFlipBit, tools.mutPolynomialBounded, tools.cxSimulatedBinaryBounded)
"""Operators that compare an element with a number: they raise an error if it is a matrix."""


def check_takes_matrices(alias: str, function: Any) -> None:
    """Raise TypeError if the function to register is one of DEAP's for elements that are numbers."""
    if alias in ("mate", "mutate") and operator_of(function) in OF_NUMBERS:
        name = operator_of(function).__name__
        raise TypeError(f"{alias}: {name} is for numbers: register elementwise({name})")


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
    check_takes_matrices("mate", registered.mate)
    check_takes_matrices("mutate", registered.mutate)
    if weights is not None:
        weights_of(weights, members)
        if select is not None:
            raise ValueError("select is not called if a toolbox has a step: all members count by rank")
    elif operator_of(select) in TAKING_THE_BEST:
        name = operator_of(select).__name__
        raise ValueError(f"select: {name} would take all members: register one that draws, such as selTournament")


def _name_fitness(sigma: Any, problem: Any) -> None:
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

    ``deap.algorithms.eaGenerateUpdate`` calls both. The populations are those of `evolve` with the same seed and sizes,
    generation by generation: the first call of ``generate`` gives the initial population, so ``ngen`` of DEAP's loop is
    one more than that of `evolve`.

    Parameters
    ----------
    layout, seed, algorithm, container, members, generations
        As for `MadeToolbox`.
    step : float, optional
        As for `ES`; `usual_step` if left out.

    References
    ----------
    Y. Collette, N. Hansen, G. Pujol, D. Salazar Aponte and R. Le Riche, "On object-oriented programming of optimizers",
    2010 (the ask and tell interface); see `recombination_weights` for the strategy.
    """

    def __init__(self, *arguments: Any, step: float | None, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._step = step
        self._planned: tuple[int, int] | None = None
        self._centre: Vector | None = None
        self._run = 0
        self.register("generate", self.next_population)
        self.register("update", self.move_centre)

    @property
    def step(self) -> float | Literal["usual"]:
        """The step of the centre; "usual" while the size of the run is not known."""
        if self._step is not None:
            return self._step
        if self._planned is None and (self.members is None or self.generations is None):
            return "usual"
        members, generations = self._planned or self._sizes()
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
            If the toolbox was made for another size of the population, or another ``generate`` or ``update`` is
            registered, neither of which `evolve` calls.
        """
        if self.members is not None and self.members != members:
            raise ValueError(f"population must have the {self.members} members of make_toolbox, got {members}")
        for name, own in (("generate", self.next_population), ("update", self.move_centre)):
            if getattr(getattr(self, name), "func", None) != own:
                raise ValueError(f"{name} is not called by evolve: deap.algorithms.eaGenerateUpdate calls it")
        self._planned = members, generations if self.generations is None else self.generations

    def _sizes(self) -> tuple[int, int]:
        """Return the arguments ``population`` and ``generations`` of `make_toolbox`, or raise ValueError."""
        if self.members is None or self.generations is None:
            raise ValueError("generate needs the size of the run: make_toolbox(..., ES(), population=N, generations=G)")
        return self.members, self.generations

    def next_population(self) -> Population:
        """Return the next population: its members are bred when their weights are read, and not kept by `evaluate`.

        Raises
        ------
        ValueError
            If `make_toolbox` was not given ``population`` and ``generations``.
        """
        members, _ = self._sizes()
        if self._centre is None or self.clock.runs != self._run:  # a new run, or `evolve` in between
            self._centre = None
            self.clock.reset()
            self._run = self.clock.runs
            return Population(self.population(n=members, start=0))
        breeder = breeder_of(self.population(n=1, start=0), self, seed=self.seed, cxpb=1.0, mutpb=1.0)
        check_called(self, members)
        recipes = [Child(self.clock.generation, place, (0,), self.clock.sigma) for place in range(members)]
        make = partial(_bred, breeder, self._centre)
        return Population(light_members(breeder.container, recipes, make, breeder.shapes))

    def move_centre(self, population: Sequence[Any]) -> None:
        """Move the centre by the evaluated population, and begin the next generation.

        Parameters
        ----------
        population : sequence
            The population that ``generate`` returned, also if its individuals were changed or replaced.

        Raises
        ------
        ValueError
            If it has another size, or an individual has no valid fitness.
        """
        members, _ = self._sizes()
        if len(population) != members:
            raise ValueError(f"population must have the {members} members that generate gives, got {len(population)}")
        if not all(individual.fitness.valid for individual in population):
            raise ValueError("population must have a valid fitness in all its members")
        check_called(self, members)
        ranked, before = sorted(population, key=_worth, reverse=True), self._centre
        if before is None:
            self._centre = copied_vector(ranked[0].transient().flat)
        else:
            counts, kept = counts_and_kept(range(members), self.recombination_weights)
            total, moved = kept * before.astype(np.float64), empty_vector(before.size)
            for place, count in counts.items():
                total += np.multiply(ranked[place].transient().flat, count, dtype=np.float64)
            extrapolate(before, total / counted(counts.values(), kept), float(self.step), moved)
            self._project(moved, before)
            self._centre = moved
        self.clock.advance(population)

    def _project(self, moved: Vector, before: Vector) -> None:
        """Project the step from a centre onto the layer inputs of the mini-batch, if there are any."""
        if (layer_inputs := getattr(self, "layer_inputs", None)) is None:
            return
        from deap_nn.operators.compiled.projection import project

        centre = WeightList.from_flat(before, self.layout.shapes)
        inputs = inputs_of_centre(layer_inputs, centre, self.clock.generation, self.map, by_cases=False)
        project(moved, before, centre.shapes, inputs)


def _worth(individual: Any) -> tuple[float, ...]:
    """Return the weighted fitness values; NaN is the worst value, as in `evolve`."""
    return tuple(-math.inf if math.isnan(value) else value for value in individual.fitness.wvalues)


def _bred(breeder: Breeder, centre: Vector, child: Child) -> Vector:
    """Return the weights of a child of a centre."""
    out = empty_vector(centre.size)
    child.breed(breeder, [centre], out)
    return out
