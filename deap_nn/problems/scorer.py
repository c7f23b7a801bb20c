"""The scorer: a problem made ready in a process, with its mini-batches and the traced network."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from deap_nn.core.seeding import Purpose, stream
from deap_nn.data.loading import find_dataset
from deap_nn.data.registry import DataReference
from deap_nn.genome.vectors import ALIGNMENT, Halves, Vector, empty_halves, split_vector
from deap_nn.genome.weight_list import WeightList
from deap_nn.models.bfloat16 import take_rounded
from deap_nn.models.reference import ModelReference, layout_of, model_of
from deap_nn.models.tensorflow import check_not_forked, configure_tensorflow, tf
from deap_nn.problems import groups
from deap_nn.problems.groups import GroupKernel, is_vectorised
from deap_nn.process.signals import holding_signals

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
    # DLPack hands the memory over without a copy. TensorFlow wants it aligned, and NumPy exports no read-only memory.
    if array.ctypes.data % ALIGNMENT or not (array.flags.writeable and array.flags.c_contiguous):
        return tf.convert_to_tensor(array)
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


class BaseScorer:
    """A problem made ready in a process: the samples, and the network as one traced function.

    A kind of problem says how samples become tensors (`_tensors`), what is traced (`_trace`), and which fitness that
    is (`_judged`).

    Parameters
    ----------
    problem : Problem or ObjectiveProblem
        What to score on.
    """

    rounded: tuple[bool, ...] = ()
    """Whether each matrix is wanted as bfloat16 for the fitness, where `rounded_fitness` takes them so."""

    def __init__(self, problem: Any) -> None:
        configure_tensorflow(problem.threads, problem.device)
        self.problem, self.samples = problem, find_dataset(problem.data)
        self.layout = layout_of(problem.model)
        self.model = model_of(problem.model)
        self._constants = [tf.constant(variable.numpy()) for variable in self.model.non_trainable_variables]
        self._own = threading.local()
        self._batch: tuple[int, Sequence[Any]] | None = None
        self._is_ready = False
        self._begin()
        precision: Any = getattr(problem, "precision", "float32")
        quick = self.model if precision == "float32" else model_of(problem.model, precision=precision)
        given = self._minibatch(0)
        trace = partial(self._trace, quick)
        # The traced functions are called as they are: finding which one fits would take a tenth of a group's time.
        if self.scores_groups:
            self._kernel = GroupKernel(trace, self.layout, given, at_once=is_vectorised(quick))
            return
        if quick is not self.model:
            flags = take_rounded(quick)
            self.rounded = flags if any(flags) else ()
        types = [tf.uint16 if rounded else tf.float32 for rounded in self.rounded or [False] * len(self.layout)]
        weights = [tf.TensorSpec(shape, kind) for shape, kind in zip(self.layout.shapes, types, strict=True)]
        specs = tf.nest.map_structure(lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype), list(given))
        self._kernel = tf.function(trace, autograph=False).get_concrete_function(weights, *specs)

    def _begin(self) -> None:
        """Make what a kind of problem needs before anything is traced."""

    def _tensors(self, inputs: Sequence[NDArray[Any]], targets: Sequence[NDArray[Any]]) -> Sequence[Any]:
        """Return samples as `_trace` takes them: inputs and targets, each a tensor or a list of them."""
        raise NotImplementedError

    def _trace(self, model: Any, weights: Sequence[Any], inputs: Any, targets: Any) -> tuple[Any, Any, Any]:
        """Return the values of the fitness, whether all outputs are finite, and the outputs."""
        raise NotImplementedError

    def _judged(self, values: Any, finite: Any, outputs: Any, given: Sequence[Any]) -> tuple[float, ...]:
        """Return the fitness that traced values are, always finite."""
        raise NotImplementedError

    def _group_judged(self, values: Any, finite: Any, outputs: Any, given: Sequence[Any]) -> list[tuple[float, ...]]:
        """Return the fitness of each genome of a group, whose values are arrays with an axis more."""
        raise NotImplementedError

    @property
    def scores_groups(self) -> bool:
        """Whether genomes are scored many at a time, and a single one as a group of one, in the same bits."""
        return self.layout.size < groups.GROUPED_WEIGHTS

    def prepare(self) -> None:
        """Score something once, so that all is compiled."""
        if not self._is_ready:
            size = self.layout.size
            if self.scores_groups:
                self.group_fitness(tf.zeros((1, size)), 0)
            else:
                self._fitness(self._matrices(np.zeros(size, np.float32), np.zeros(size, np.uint16)), 0)
            self._is_ready = True

    def _minibatch(self, generation: int) -> Sequence[Any]:
        """Return the mini-batch of a generation as tensors, which stay until the next one."""
        number = generation // self.problem.batch_generations
        if self._batch is None or self._batch[0] != number:
            inputs, targets = self.part("train")
            chosen = batch_indices(self.problem.seed, number, self.problem.batch_size, len(targets[0]))
            self._batch = number, self._tensors([a[chosen] for a in inputs], [a[chosen] for a in targets])
        return self._batch[1]

    def part(self, split: Any) -> tuple[Sequence[NDArray[Any]], Sequence[NDArray[Any]]]:
        """Return the arrays of inputs and of targets of a part."""
        inputs, targets = self.samples.part(split)
        return inputs, targets

    def fitness(self, individual: WeightList, generation: int) -> tuple[float, ...]:
        """Return the fitness on the mini-batch of a generation, always finite."""
        self.check(individual)
        if self.scores_groups:
            return self.group_fitness(shared_tensor(individual.flat[None]), generation)[0]
        if not self.rounded:
            return self._fitness(self.layout.views(individual.flat), generation)
        from deap_nn.operators.compiled.bfloat16 import round_weights

        if not hasattr(self._own, "halves"):  # of this thread: others score at the same time
            self._own.halves = empty_halves(self.layout.size)
        round_weights(individual.flat, self._own.halves, self.layout.shapes, np.array(self.rounded))
        return self.rounded_fitness(individual.flat, self._own.halves, generation)

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
        return self._fitness(self._matrices(flat, halves), generation)

    def _matrices(self, flat: Vector, halves: Halves) -> list[NDArray[Any]]:
        both = zip(self.layout.views(flat), split_vector(halves, self.layout.shapes), strict=True)
        flags = self.rounded or (False,) * len(self.layout)
        return [half if rounded else whole for rounded, (whole, half) in zip(flags, both, strict=True)]

    def _fitness(self, matrices: Sequence[NDArray[Any]], generation: int) -> tuple[float, ...]:
        given = self._minibatch(generation)
        values, finite, outputs = self._kernel([shared_tensor(matrix) for matrix in matrices], *given)
        return self._judged(values, finite, outputs, given)

    def group_fitness(self, genomes: Any, generation: int) -> list[tuple[float, ...]]:
        """Return the fitness of each genome of a group; shape (genomes, weights), float32."""
        given = self._minibatch(generation)
        values, finite, outputs = self._kernel(genomes, *given)
        return self._group_judged(values, finite, outputs, given)

    @staticmethod
    def _called(function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function that TensorFlow may have to trace.

        A signal waits until it is done. Under SCOOP the KeyboardInterrupt is thrown into another greenlet, and a trace
        that was left in the middle would leave the whole thread in its graph: nothing could be saved.
        """
        with holding_signals():
            return function(*arguments)

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


def scorer(problem: Any) -> Any:
    """Return the scorer of a problem, made once in a process.

    Raises
    ------
    RuntimeError
        If this process was forked after TensorFlow has computed, as by ``multiprocessing.Pool()`` on Linux.
    """
    check_not_forked()
    return _scorer(problem)


scorer.cache_clear = _scorer.cache_clear  # type: ignore[attr-defined]  # a function has attributes
