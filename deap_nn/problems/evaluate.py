"""The functions that a toolbox registers as ``evaluate``: they name a problem, and travel as names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deap_nn.core.registered import scored_generation
from deap_nn.genome.vectors import Halves, Shape, Vector, empty_vector, most_together
from deap_nn.genome.weight_list import WeightList
from deap_nn.models.reference import layout_of
from deap_nn.problems import groups
from deap_nn.problems.problem import Problem
from deap_nn.problems.scorer import scorer, shared_tensor


class Pure:
    """What a callable tells of itself that changes nothing."""

    leaves_weights = True
    """An individual that is scored stays as it is."""

    may_be_done_twice = True
    """It is a pure function: what has no answer is done again."""


class OnProblem(Pure):
    """A callable that names its problem and does not hold its data: small where a map sends it with every task.

    Parameters
    ----------
    problem : Problem
        What to score on.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    def prepare(self) -> None:
        """Find the data and compile the network in this process, which a limit of time is not to count."""
        scorer(self.problem).prepare()


class Evaluate(OnProblem):
    """A toolbox's ``evaluate``: the fitness of an individual on the mini-batch of ``generation``.

    Parameters
    ----------
    problem : Problem
        What to score on.
    generation : int
        Whose mini-batch counts outside a run; the clock of the toolbox sets it. In a run it is the generation of the
        task, in worker processes and inside a user's function that calls this one too.
    """

    is_of_problem = True
    """It gives the problem's own fitness, which a decorated one need not."""

    def __init__(self, problem: Problem, generation: int = 0) -> None:
        super().__init__(problem)
        self.generation = generation

    def __call__(self, individual: WeightList | ArrayLike) -> tuple[float, ...]:
        """Return the fitness of an individual, or of a vector of all weights, as DEAP wants it: a tuple."""
        found = scorer(self.problem)
        return found.fitness(found.read(individual), self.generation)

    @property
    def generation(self) -> int:
        """Whose mini-batch counts: that of the task in which this is called, or else the one that was set last."""
        return scored_generation(vars(self)["generation"])

    @generation.setter
    def generation(self, generation: int) -> None:
        vars(self)["generation"] = generation  # by this name in pickles, and where DEAP's `register` copies it from

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The shapes of the genomes that the network takes."""
        return layout_of(self.problem.model).shapes

    @property
    def _is_itself(self) -> bool:
        """Whether a call does what is done here: who derives a class may do more."""
        return type(self).__call__ is Evaluate.__call__

    @property
    def scores_groups(self) -> bool:
        """Whether `many` is of use: the network is small."""
        return self._is_itself and layout_of(self.problem.model).size < groups.GROUPED_WEIGHTS

    @property
    def most_together(self) -> int:
        """How many individuals `together` takes at a time; 0 if it is of no use."""
        return most_together(layout_of(self.problem.model).size) if self.scores_groups else 0

    def together(self, individuals: Sequence[WeightList | ArrayLike]) -> list[tuple[float, ...]]:
        """Return the fitness of each of some individuals or vectors, in the bits that a call for each gives."""
        found = scorer(self.problem)
        genomes = empty_vector(len(individuals) * found.layout.size).reshape(len(individuals), found.layout.size)
        for genome, individual in zip(genomes, individuals, strict=True):
            genome[:] = found.read(individual).flat
        return self.many(genomes)

    @property
    def rounded(self) -> tuple[bool, ...]:
        """Whether each matrix is wanted as bfloat16: `of_rounded` takes them so."""
        return scorer(self.problem).rounded if self._is_itself else ()

    def of_rounded(self, flat: Vector, halves: Halves) -> tuple[float, ...]:
        """Return the fitness of a genome whose matrices are rounded, in the bits that a call with all of it gives."""
        return scorer(self.problem).rounded_fitness(flat, halves, self.generation)

    def many(self, genomes: NDArray[np.float32]) -> list[tuple[float, ...]]:
        """Return the fitness of each genome, shape (genomes, weights), in the bits that a call for each gives."""
        return scorer(self.problem).group_fitness(shared_tensor(genomes), self.generation)
