"""The base of all scorers: a problem made ready in a process, and its mini-batches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from deap_nn.core.seeding import Purpose, stream
from deap_nn.data.registry import DataReference
from deap_nn.genome.layout import Layout
from deap_nn.genome.vectors import ALIGNMENT, Halves, Vector
from deap_nn.genome.weight_list import WeightList
from deap_nn.models.reference import ModelReference
from deap_nn.models.tensorflow import tf
from deap_nn.problems import groups

Map = Callable[..., Iterable[Any]]


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
        return self.layout.size < groups.GROUPED_WEIGHTS

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


scorer.cache_clear = _scorer.cache_clear  # type: ignore[attr-defined]  # a function has attributes
