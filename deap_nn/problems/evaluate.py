"""The functions that a toolbox registers as ``evaluate``: they hold a problem's references, not its data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deap_nn.core.registered import Evaluation, scored_generation
from deap_nn.genome.vectors import Halves, Shape, Vector, empty_vector, most_together
from deap_nn.genome.weight_list import WeightList
from deap_nn.operators.adaptation import Count
from deap_nn.problems import groups
from deap_nn.problems.problem import Problem
from deap_nn.problems.scorer import scorer


class OnProblem(Evaluation):
    """A callable that refers to its problem's data: a map that sends it with every task sends little.

    Parameters
    ----------
    problem : Problem
        The problem that scores individuals.
    """

    problem: Problem
    leaves_weights = may_be_done_twice = True

    def __init__(self, problem: Problem) -> None:
        self.problem = problem


class Evaluate(OnProblem):
    """A toolbox's ``evaluate``: the fitness of an individual on the mini-batch of ``generation``.

    Parameters
    ----------
    problem : Problem
        The problem that scores individuals.
    """

    is_of_problem = True

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.count = Count()

    def __call__(self, individual: WeightList | ArrayLike) -> tuple[float, ...]:
        """Return the fitness of an individual, or of a vector of all weights, as a tuple."""
        found = scorer(self.problem)
        return found.fitness(found.read(individual), self.generation)

    @property
    def generation(self) -> int:
        """The generation of the mini-batch, in a task that of the task; setting it leaves the toolbox's clock."""
        return scored_generation(self.count.generation)

    @generation.setter
    def generation(self, generation: int) -> None:
        self.count = Count()
        self.count.generation = generation

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The shapes of the genomes that the network takes."""
        return self.problem.model.layout.shapes

    @property
    def _is_itself(self) -> bool:
        """Whether the call is this class' own; a derived class may compute another fitness, which no shortcut knows."""
        return type(self).__call__ is Evaluate.__call__

    @property
    def scores_groups(self) -> bool:  # type: ignore[override]  # it follows from the problem
        """Whether `many` is useful: it is for small networks."""
        return self._is_itself and self.problem.model.layout.size < groups.GROUPED_WEIGHTS

    @property
    def most_together(self) -> int:
        """The number of individuals for one call of `together`; 0 if it is not useful."""
        return most_together(self.problem.model.layout.size) if self.scores_groups else 0

    def together(self, individuals: Sequence[WeightList | ArrayLike]) -> list[tuple[float, ...]]:
        """Return the fitness of several individuals or vectors, with the bits of a call for each."""
        found = scorer(self.problem)
        genomes = empty_vector(len(individuals) * found.layout.size).reshape(len(individuals), found.layout.size)
        for genome, individual in zip(genomes, individuals, strict=True):
            genome[:] = found.read(individual).flat
        return self.many(genomes)

    @property
    def rounded(self) -> tuple[bool, ...]:  # type: ignore[override]  # likewise
        """Whether `of_rounded` takes each matrix as bfloat16; empty if it takes none so."""
        return scorer(self.problem).rounded if self._is_itself else ()

    def of_rounded(self, flat: Vector, halves: Halves) -> tuple[float, ...]:
        """Return the fitness of a genome with rounded matrices, with the bits of a call with the whole genome."""
        return scorer(self.problem).rounded_fitness(flat, halves, self.generation)

    def many(self, genomes: NDArray[np.float32]) -> list[tuple[float, ...]]:
        """Return the fitness of each genome, shape (genomes, weights), with the bits of a call for each."""
        return scorer(self.problem).group_fitness(genomes, self.generation)
