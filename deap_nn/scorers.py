"""What scorers of all kinds of problems share: groups, mini-batches, and the tasks that name a problem."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from deap_nn.clock import scored_generation
from deap_nn.datasets import DataReference, Split
from deap_nn.models import ModelReference, layout_of, tf
from deap_nn.seeding import Purpose, stream
from deap_nn.weights import ALIGNMENT, Halves, Layout, Vector, WeightList

Map = Callable[..., Iterable[Any]]

GROUPED_WEIGHTS = 1_000_000
"""Networks of fewer weights are scored many at a time."""

GROUPED_CHUNK = 1000
"""How many samples of a part are scored by one task, where the network is small."""


def batch_indices(seed: int, number: int, batch_size: int, samples: int) -> NDArray[np.intp]:
    """Return which samples make a mini-batch, by its number, from 0; shape (batch_size,).

    The mini-batches walk through the whole training part again and again, each pass (epoch) in a new order.

    Examples
    --------
    >>> epoch = np.concatenate([batch_indices(1, number, 2, 6) for number in range(3)])
    >>> sorted(epoch.tolist())
    [0, 1, 2, 3, 4, 5]
    """
    places = np.arange(number * batch_size, (number + 1) * batch_size)
    epochs, within = np.divmod(places, samples)
    return np.array([_epoch_order(seed, int(epoch), samples)[i] for epoch, i in zip(epochs, within, strict=True)])


@lru_cache(maxsize=4)
def _epoch_order(seed: int, epoch: int, samples: int) -> NDArray[np.intp]:
    return stream(seed, Purpose.EPOCH, epoch).permutation(samples)


def shared_tensor(array: NDArray[Any]) -> Any:
    """Return a tensor of the array's own memory where TensorFlow can read it as it is, and otherwise a copy."""
    if array.ctypes.data % ALIGNMENT or not (array.flags.writeable and array.flags.c_contiguous):
        return tf.convert_to_tensor(array)
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


class BaseScorer:
    """A problem made ready in a process: what each kind of scorer has."""

    layout: Layout

    rounded: tuple[bool, ...] = ()
    """Whether each matrix is wanted as bfloat16 for the fitness, where `rounded_fitness` takes them so."""

    @property
    def scores_groups(self) -> bool:
        """Whether genomes are scored many at a time, and a single one as a group of one, in the same bits."""
        return self.layout.size < GROUPED_WEIGHTS

    def prepare(self) -> None:
        """Score something once, so that all is compiled."""
        raise NotImplementedError

    def fitness(self, individual: WeightList, generation: int) -> tuple[float, ...]:
        """Return the fitness on the mini-batch of a generation, always finite."""
        raise NotImplementedError

    def rounded_fitness(self, flat: Vector, halves: Halves, generation: int) -> tuple[float, ...]:
        """Return what `fitness` does, of a genome whose matrices are rounded already.

        Parameters
        ----------
        flat : numpy.ndarray
            The genome, in which the matrices that are not rounded count, shape (weights,), float32.
        halves : numpy.ndarray
            The bits of the others, each at its weight's place, shape (weights,), uint16.
        generation : int
            Whose mini-batch.
        """
        raise NotImplementedError

    def group_fitness(self, genomes: Any, generation: int) -> list[tuple[float, ...]]:
        """Return the fitness of each genome of a group; shape (genomes, weights), float32."""
        raise NotImplementedError

    def weights(self, individual: WeightList) -> list[Any]:
        """Return an individual's matrices as tensors of its own memory, or raise ValueError for other shapes."""
        self.check(individual)
        return [shared_tensor(matrix) for matrix in self.layout.views(individual.flat)]

    def check(self, individual: WeightList) -> None:
        """Raise ValueError where an individual has other shapes than the network."""
        if individual.shapes != self.layout.shapes:
            raise ValueError(f"individual must have the shapes {self.layout.shapes}, got {individual.shapes}")


class AnyProblem(Protocol):
    """What a genome is scored on: small, immutable, and all that a worker needs to know."""

    @property
    def model(self) -> ModelReference:
        """The network."""

    @property
    def data(self) -> DataReference:
        """The samples."""

    def make_scorer(self) -> BaseScorer:
        """Return what scores on it."""


@lru_cache(maxsize=4)
def _scorer(problem: Any) -> Any:
    return problem.make_scorer()


_processes: list[int] = []
"""The process in which a scorer was made: TensorFlow does not survive a fork, and a child would wait for ever."""


def scorer(problem: Any) -> Any:
    """Return the scorer of a problem, made once in a process.

    Raises
    ------
    RuntimeError
        If this process was forked from one that has scored, as by ``multiprocessing.Pool()`` on Linux.
    """
    if _processes and _processes[0] != os.getpid():
        raise RuntimeError(
            "TensorFlow does not compute in a process that was forked after it has computed: take "
            "deap_nn.open_map('processes'), or multiprocessing.get_context('spawn').Pool()"
        )
    if not _processes:
        _processes.append(os.getpid())
    return _scorer(problem)


scorer.cache_clear = _scorer.cache_clear  # type: ignore[attr-defined]


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
    step = GROUPED_CHUNK if layout_of(problem.model).size < GROUPED_WEIGHTS else chunk
    return [(individual, split, start, min(start + step, size)) for start in range(0, size, step)]


def size_of_part(samples: int, size: int | None) -> int:
    """Return how many samples of a part count: all, or so many of the first, at least 1."""
    if size is not None and size < 1:
        raise ValueError(f"size must be at least 1, got {size!r}")
    return samples if size is None else min(size, samples)
