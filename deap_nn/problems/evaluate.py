"""The functions that a toolbox registers as ``evaluate``: they name a problem, and travel as names."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deap_nn.core.registered import scored_generation
from deap_nn.data.dataset import Split
from deap_nn.genome.vectors import Halves, Vector
from deap_nn.genome.weight_list import WeightList
from deap_nn.models.reference import layout_of
from deap_nn.problems import groups
from deap_nn.problems.scorer import AnyProblem, scorer, shared_tensor

GROUPED_CHUNK = 1000
"""How many samples of a part are scored by one task, where the network is small."""


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
    problem : Problem or ObjectiveProblem
        What to score on.
    """

    def __init__(self, problem: Any) -> None:
        self.problem = problem

    def prepare(self) -> None:
        """Find the data and compile the network in this process, which a limit of time is not to count."""
        scorer(self.problem).prepare()


class Evaluate(OnProblem):
    """A toolbox's ``evaluate``: the fitness of an individual on the mini-batch of ``generation``.

    Parameters
    ----------
    problem : Problem or ObjectiveProblem
        What to score on.
    generation : int
        Whose mini-batch; the toolbox moves it on. `evolve` tells it to whoever is called while it scores, such as a
        user's function that calls this one, in worker processes too.
    """

    is_of_problem = True
    """It gives the problem's own fitness, which a decorated one need not."""

    def __init__(self, problem: Any, generation: int = 0) -> None:
        super().__init__(problem)
        self.generation = generation

    def __call__(self, individual: WeightList) -> tuple[float, ...]:
        """Return the fitness as DEAP wants it, a tuple."""
        read = individual.transient() if isinstance(individual, WeightList) else individual
        found: tuple[float, ...] = scorer(self.problem).fitness(read, self._scored)
        return found

    @property
    def _is_itself(self) -> bool:
        """Whether a call does what is done here: who derives a class may do more."""
        return type(self).__call__ is Evaluate.__call__

    @property
    def scores_groups(self) -> bool:
        """Whether `many` is of use: the network is small."""
        return self._is_itself and bool(scorer(self.problem).scores_groups)

    @property
    def rounded(self) -> tuple[bool, ...]:
        """Whether each matrix is wanted as bfloat16: `of_rounded` takes them so."""
        found: tuple[bool, ...] = scorer(self.problem).rounded if self._is_itself else ()
        return found

    def of_rounded(self, flat: Vector, halves: Halves) -> tuple[float, ...]:
        """Return the fitness of a genome whose matrices are rounded, in the bits that a call with all of it gives."""
        found: tuple[float, ...] = scorer(self.problem).rounded_fitness(flat, halves, self._scored)
        return found

    def many(self, genomes: NDArray[np.float32]) -> list[tuple[float, ...]]:
        """Return the fitness of each genome, shape (genomes, weights), in the bits that a call for each gives."""
        found: list[tuple[float, ...]] = scorer(self.problem).group_fitness(shared_tensor(genomes), self._scored)
        return found

    @property
    def _scored(self) -> int:
        """The generation whose mini-batch counts: that of the run in which this is called, if it is in one."""
        return scored_generation(self.generation)


def stretches(
    problem: AnyProblem, individual: WeightList, split: Split, size: int, chunk: int
) -> list[tuple[WeightList, Split, int, int]]:
    """Return the tasks that together score the first `size` samples of a part: individual, part, start and stop.

    Parameters
    ----------
    problem : Problem or ObjectiveProblem
        What to score on.
    individual : WeightList
        What is scored.
    split : {"train", "validation", "test"}
        The part.
    size : int
        How many samples.
    chunk : int
        Samples of a task; ``GROUPED_CHUNK`` where the network is small.
    """
    step = GROUPED_CHUNK if layout_of(problem.model).size < groups.GROUPED_WEIGHTS else chunk
    return [(individual, split, start, min(start + step, size)) for start in range(0, size, step)]


def size_of_part(samples: int, size: int | None) -> int:
    """Return how many samples of a part count: all, or so many of the first, at least 1."""
    if size is not None and size < 1:
        raise ValueError(f"size must be at least 1, got {size!r}")
    return samples if size is None else min(size, samples)
