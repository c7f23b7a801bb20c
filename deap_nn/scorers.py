"""What scorers of all kinds of problems share: groups, mini-batches, and the tasks that name a problem."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from deap_nn.clock import scored_generation
from deap_nn.datasets import DataReference, Split
from deap_nn.models import ModelReference, keras, layout_of, tf
from deap_nn.seeding import Purpose, stream
from deap_nn.weights import ALIGNMENT, MOST_TOGETHER, TOGETHER_BYTES, Halves, Layout, Vector, WeightList

Map = Callable[..., Iterable[Any]]

GROUPED_WEIGHTS = 1_000_000
"""Networks of fewer weights are scored many at a time."""

GROUPED_CHUNK = 1000
"""How many samples of a part are scored by one task, where the network is small."""

VECTORISED = {
    *("InputLayer", "Dense", "Flatten", "Reshape", "Activation", "Dropout", "ReLU", "LeakyReLU", "Softmax", "Identity"),
    *("BatchNormalization", "Rescaling", "Normalization", "Concatenate", "Add", "Multiply", "Sequential", "Functional"),
}
"""The layers of models that are computed for a group of genomes at once; any other goes through it one by one."""


def is_vectorised(model: keras.Model) -> bool:
    """Return whether a group of genomes goes through a model at once."""
    return {type(layer).__name__ for layer in model._flatten_layers()} <= VECTORISED


TRIED = 32
"""How many genomes show whether groups can be computed at once."""


class GroupKernel:
    """The traced function that scores a group of genomes, each in the bits that it has alone.

    Where the network allows it all genomes are computed at once, in groups of such sizes as were seen to change no bit:
    a library's kernels are not the same for all sizes of matrices. If there is one that does, as for a network of few
    units, a loop goes through them, with the operations that a single one has.

    Parameters
    ----------
    trace : callable
        Returns tensors, in any structure, for the matrices of a network and what is given.
    layout : Layout
        Of the network.
    given : sequence
        A mini-batch, tensors in any structure.
    at_once : bool
        Whether the network allows that all are computed at once.
    """

    def __init__(self, trace: Callable[..., Any], layout: Layout, given: Sequence[Any], *, at_once: bool) -> None:
        self._trace, self._layout = trace, layout
        self._sizes: list[int] = []
        if at_once:
            self._kernel = self._traced(tf.vectorized_map, given)
            most = max(1, min(MOST_TOGETHER, TOGETHER_BYTES // (4 * layout.size)))
            powers = (1 << i for i in range(most.bit_length()))
            self._sizes = sorted({1, *powers, most, most // 2 * 2, most // 4 * 4} - {0}, reverse=True)
        if not at_once or not self._changes_no_bit(given):
            self._sizes = []
            self._kernel = self._traced(_in_a_loop, given)

    def __call__(self, genomes: Any, *given: Any) -> Any:
        """Return what was traced, as arrays with an axis more, for genomes of shape (genomes, weights), and a batch."""
        answers, start = [], 0
        while start < len(genomes):
            left = len(genomes) - start
            size = next(size for size in self._sizes if size <= left) if self._sizes else left
            some = genomes if size == len(genomes) else genomes[start : start + size]
            answers.append(tf.nest.map_structure(lambda tensor: tensor.numpy(), self._kernel(some, *given)))
            start += size
        return answers[0] if len(answers) == 1 else tf.nest.map_structure(lambda *a: np.concatenate(a), *answers)

    def _traced(self, over: Callable[..., Any], given: Sequence[Any]) -> Any:
        """Return the function of genomes and a batch that goes over the former in some way."""

        def trace(flats: Any, *given: Any) -> Any:
            def one(flat: Any) -> Any:
                parts = tf.split(flat, self._layout.sizes)
                shaped = zip(parts, self._layout.shapes, strict=True)
                return self._trace([tf.reshape(part, shape) for part, shape in shaped], *given)

            return over(one, flats)

        specs = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), list(given))
        genomes = tf.TensorSpec((None, self._layout.size))
        return tf.function(trace, autograph=False).get_concrete_function(genomes, *specs)

    def _changes_no_bit(self, given: Sequence[Any]) -> bool:
        """Return whether random genomes answer alike alone and in groups of each size, wherever in them."""
        genomes = stream(0, Purpose.OPERATORS, 0).standard_normal((TRIED, self._layout.size), dtype=np.float32)
        genomes *= np.geomspace(0.05, 0.5, TRIED, dtype=np.float32)[:, None]  # small and large answers
        tried = genomes[: max(self._sizes)]

        def answers(genomes: NDArray[np.float32], size: int) -> list[NDArray[Any]]:
            groups = [tf.constant(genomes[start : start + size]) for start in range(0, len(genomes), size)]
            columns = zip(*(tf.nest.flatten(self._kernel(group, *given)) for group in groups), strict=True)
            return [np.concatenate([tensor.numpy() for tensor in column]) for column in columns]

        alone = answers(tried, 1)
        for size in self._sizes:
            order = np.arange(-(-len(tried) // size) * size) % len(tried)
            pairs = zip(answers(tried[order], size), alone, strict=True)
            if any(together.tobytes() != single[order].tobytes() for together, single in pairs):
                return False
        return True


def _in_a_loop(trace: Callable[[Any], Any], flats: Any) -> Any:
    once = tf.function(trace, autograph=False).get_concrete_function(tf.TensorSpec((flats.shape[-1],)))
    signature = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), once.structured_outputs)
    return tf.map_fn(trace, flats, fn_output_signature=signature)


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
def scorer(problem: Any) -> Any:
    """Return the scorer of a problem, made once in a process."""
    return problem.make_scorer()


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

    def __init__(self, problem: Any, generation: int = 0) -> None:
        super().__init__(problem)
        self.generation = generation

    def __call__(self, individual: WeightList) -> tuple[float, ...]:
        """Return the fitness as DEAP wants it, a tuple."""
        found: tuple[float, ...] = scorer(self.problem).fitness(individual, self._scored)
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
