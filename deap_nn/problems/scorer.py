"""The scorer: a problem prepared in a process, with its mini-batches and the traced network."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deap_nn.core.errors import WORST
from deap_nn.data import registry
from deap_nn.data.dataset import Split
from deap_nn.data.loading import find_dataset
from deap_nn.data.minibatches import Strata, batch_indices
from deap_nn.genome.layer_inputs import unpacked_inputs
from deap_nn.genome.vectors import Halves, Vector, empty_halves, split_vector
from deap_nn.genome.weight_list import WeightList
from deap_nn.models.layers import CENTRING_BATCH, CENTRING_SAMPLES, centred, fold, mean_shifts, without_shifts
from deap_nn.models.reference import ModelReference, model_of, new_model
from deap_nn.models.tensorflow import check_not_forked, configure_tensorflow, shared_tensor, tf
from deap_nn.operators.cases import Scored
from deap_nn.problems import groups
from deap_nn.problems.network import forget_networks, network_of
from deap_nn.problems.problem import Problem

Map = Callable[..., Iterable[Any]]

Shifts = dict[int, Vector]
"""The means that centred layers subtract, by the index of the bias among the weights; shape (units,) each."""

Part = Split | Literal["batch"]
"""A part of the samples, or the mini-batch of a generation."""


class Scorer:
    """A problem prepared in a process: the samples, and the network and its objectives as traced functions.

    Parameters
    ----------
    problem : Problem
        The model, data and objectives.
    """

    def __init__(self, problem: Problem) -> None:
        configure_tensorflow(problem.threads, problem.device)
        self.problem, self.samples = problem, find_dataset(problem.data)
        self.layout = problem.model.layout
        targets = self.samples.halves("train")[1][problem.pairs[0]]
        self._strata = Strata.of(targets) if problem.stratified else None
        self._own = threading.local()
        self._batch: tuple[int, Sequence[Any]] | None = None
        self._validation: tuple[int, Sequence[Any]] | None = None
        self._kept: tuple[Vector, WeightList] | None = None  # the last individual, and its network
        self._needs_outputs = not all(objective.traced for objective in problem.objectives)
        self._network = network_of(problem, self.samples, self._minibatch(0), in_groups=self.scores_groups)
        self._evaluator = self._network.evaluator
        self._features: tuple[Any, list[NDArray[Any]], Any] | None = None  # the last ones, of which inputs and weights
        self._directions: tuple[bytes, list[Any], list[int]] | None = None  # the last ones, and their layers
        self.rounded = self._network.rounded
        """Whether `rounded_fitness` takes each matrix as bfloat16; empty if it takes none so."""

    def _tensors(self, arrays: Iterable[NDArray[Any]]) -> list[Any]:
        return [tf.constant(array) for array in arrays]

    def _input_tensors(self, arrays: Iterable[NDArray[Any]]) -> list[Any]:
        """Return inputs as tensors; images get the network's input shape, and become float32 if they are not bytes."""
        if not self.problem.images:
            return self._tensors(arrays)
        (x,), shape = arrays, tuple(model_of(self.problem.model).input_shape[1:])
        x = x if x.dtype == np.uint8 else x.astype(np.float32, copy=False)
        return [tf.constant(x if None in shape else x.reshape(len(x), *shape))]

    @property
    def scores_groups(self) -> bool:
        """Whether genomes are scored in groups, and a single genome as a group of one, with the same bits."""
        return is_small(self.problem.model)

    def _minibatch(self, generation: int) -> Sequence[Any]:
        """Return the mini-batch of a generation as tensors, which are kept until the next mini-batch."""
        if self._batch is None or self._batch[0] != generation:
            inputs, targets = self.samples.halves("train")
            chosen = batch_indices(
                self.problem.seed, generation, self.problem.batch_size, len(targets[0]), self._strata
            )
            given = self._input_tensors(array[chosen] for array in inputs)
            wanted = self._tensors(array[chosen] for array in targets)
            self._batch = generation, (given, wanted)  # one assignment: no thread reads it with other tensors
        return self._batch[1]

    def read(self, individual: WeightList | ArrayLike) -> WeightList:
        """Return an individual to read the weights of, or one that wraps a vector of all weights, shape (n,).

        Raises
        ------
        ValueError, TypeError
            If the individual has other shapes than the network, or the vector has another number of weights.
        """
        if not isinstance(individual, WeightList):
            try:
                vector = np.asarray(individual)
            except ValueError as error:  # a list of matrices
                raise TypeError(self._wanted(f"or a vector of {self.layout.size} weights", individual)) from error
            return WeightList.from_flat(vector, self.layout.shapes)
        self.check(individual)
        return individual.transient()

    def fitness(self, individual: WeightList, generation: int, inputs: bytes | None = None) -> Any:
        """Return the fitness on the mini-batch of a generation, always finite; with layer inputs `Scored`."""
        self.check(individual)
        if self.scores_groups:
            return self.group_fitness(individual.flat[None], generation, inputs)[0]
        if not self.rounded:
            return self._fitness(self.layout.views(individual.flat), generation, inputs)
        from deap_nn.operators.compiled.centre import round_weights

        if not hasattr(self._own, "halves"):  # one for each thread: threads score at the same time
            self._own.halves = empty_halves(self.layout.size)
        round_weights(individual.flat, self._own.halves, self.layout.shapes, np.array(self.rounded))
        return self.rounded_fitness(individual.flat, self._own.halves, generation, inputs)

    def rounded_fitness(self, flat: Vector, halves: Halves, generation: int, inputs: bytes | None = None) -> Any:
        """Return the same fitness as `fitness`, for a genome with matrices that are rounded already.

        Parameters
        ----------
        flat : numpy.ndarray
            The genome, shape (weights,), float32; only the matrices that are not rounded are read.
        halves : numpy.ndarray
            The bfloat16 bits of the rounded matrices, each at its weight's place, shape (weights,), uint16.
        generation : int
            The generation of the mini-batch.
        inputs : bytes, optional
            As for `fitness`.
        """
        each = zip(self.rounded, self.layout.views(flat), split_vector(halves, self.layout.shapes), strict=True)
        return self._fitness([half if rounded else whole for rounded, whole, half in each], generation, inputs)

    def _fitness(self, matrices: Sequence[NDArray[Any]], generation: int, inputs: bytes | None) -> Any:
        kernel, given, known = self._prepared(generation, inputs)
        weights = [shared_tensor(matrix) for matrix in matrices]
        if count := self._network.leading:
            kept = self._features
            if kept is None or kept[0] is not given[0] or not all(map(np.array_equal, kept[1], matrices)):
                own = [matrix.copy() for matrix in matrices[:count]]
                self._features = kept = given[0], own, self._network.features(weights[:count], given[0])
            given = [kept[2]], *given[1:]
        values, finite, outputs, *more = kernel(weights, *given)
        fitness = self._fitness_of(values.numpy().tolist(), bool(finite), outputs, given[1])
        if not more:
            return fitness
        losses, products = more[0].numpy(), self._by_place((product.numpy() for product in more[1]), known)
        return Scored(fitness, losses if finite else np.full_like(losses, np.nan), products, _classes_in(outputs, 2))

    def group_fitness(self, genomes: NDArray[np.float32], generation: int, inputs: bytes | None = None) -> list[Any]:
        """Return the fitness of each genome of a group, shape (genomes, weights); with layer inputs `Scored`."""
        kernel, given, known = self._prepared(generation, inputs)
        values, finite, outputs, *more = kernel(genomes, *given)
        if not self._needs_outputs and finite.all() and (np.abs(values) <= WORST).all():  # nearly always
            fitness = list(map(tuple, values.tolist()))
        else:
            each = zip(values.tolist(), finite.tolist(), strict=True)
            outputs_of = ([array[i] for array in outputs] for i in range(len(values)))
            fitness = [self._fitness_of(*known, some, given[1]) for known, some in zip(each, outputs_of, strict=True)]
        if not more:
            return fitness
        losses, answers = np.where(finite[:, None], more[0], np.float32(np.nan)), _classes_in(outputs, 3)
        return [
            Scored(value, losses[i], self._by_place(products, known), None if answers is None else answers[i])
            for i, (value, products) in enumerate(zip(fitness, zip(*more[1], strict=True), strict=True))
        ]

    def _prepared(self, generation: int, inputs: bytes | None) -> tuple[Any, Sequence[Any], Sequence[int]]:
        """Return the kernel, the tensors that it takes besides weights, and the layers of which it has directions."""
        given, network, kept = self._minibatch(generation), self._network, self._directions
        if inputs is None:
            return network.kernel(by_cases=False), given, ()
        if kept is None or kept[0] != inputs:
            known = unpacked_inputs(inputs, self.layout.shapes)
            sizes = {place: (self.problem.batch_size, self.layout.shapes[place][0]) for place in network.moved}
            rows = [known[at].inputs if at in known else np.zeros(size, np.float32) for at, size in sizes.items()]
            self._directions = kept = inputs, self._tensors(rows), list(known)
        return network.kernel(by_cases=True), (*given, kept[1]), kept[2]

    def _by_place(
        self, products: Iterable[NDArray[np.float32]], known: Sequence[int]
    ) -> dict[int, NDArray[np.float32]]:
        """Return the products of the layers whose directions are known, by the index of the kernel."""
        return {at: product for at, product in zip(self._network.moved, products, strict=True) if at in known}

    def _fitness_of(
        self, values: Sequence[float], finite: bool, outputs: Sequence[Any], targets: Sequence[Any]
    ) -> tuple[float, ...]:
        """Return the fitness of traced values, and of the values of the user's functions of (outputs, targets)."""
        if not self._needs_outputs:
            return self._evaluator.fitness(values, finite, (), ())
        given = [[np.asarray(tensor) for tensor in tensors] for tensors in (outputs, targets)]
        return self._evaluator.fitness(values, finite, *given)

    def outputs(
        self, individual: WeightList, split: Part, start: int, stop: int, shifts: Shifts | None = None
    ) -> list[NDArray[np.float32]]:
        """Return each output for the samples `start` to `stop` of a part; shape (samples, ...).

        For "batch" the samples are the mini-batch of the generation `start`. The logits of outputs that a softmax or
        sigmoid made follow the outputs. `shifts` are the means of centred layers, if they are known (`mean_shifts`).
        """
        if split == "batch":
            inputs = self._minibatch(start)[0]
        else:
            inputs = self._input_tensors(array[start:stop] for array in self.samples.halves(split)[0])
        weights = self.weights(self.network(individual) if shifts is None else individual, shifts)
        return [output.numpy() for output in self._network.outputs(weights, inputs)]

    def network(self, individual: WeightList) -> WeightList:
        """Return the weights with which the model itself, whose layers are not centred, is the individual's network.

        If layers are centred for the fitness, the biases are less the means over ``CENTRING_SAMPLES`` training samples,
        which are the same for each seed. Otherwise it is the individual.
        """
        if not self.problem.centred:
            return individual
        self.check(individual)
        kept = self._kept
        if kept is None or not np.array_equal(kept[0], individual.flat):
            shifts = mean_shifts(self.shifts(individual, batch) for batch in range(centring_batches(self.problem)))
            self._kept = kept = individual.flat.copy(), WeightList(without_shifts(individual, shifts))
        return kept[1]

    def shifts(self, individual: WeightList, batch: int) -> Shifts:
        """Return the means that the centred layers subtract for a batch of training samples, by the bias' index."""
        return self._network.shifts_of(self.weights(individual), self._batches_for_means[batch])

    def layer_inputs(self, individual: WeightList, generation: int) -> dict[int, NDArray[np.float32]]:
        """Return the inputs of the centred layers for a generation's mini-batch, by the index of the kernel."""
        return self._network.layer_inputs(self.weights(individual), self._minibatch(generation)[0])

    def genome(self, weights: WeightList) -> WeightList:
        """Return the individual whose network, as `network` returns it, has given weights, if layers are centred."""
        inputs = list(map(self._network.inputs, self._batches_for_means))
        return WeightList(fold(centred(new_model(self.problem.model)), weights, inputs, inverse=True))

    @cached_property
    def _batches_for_means(self) -> list[list[Any]]:
        return list(map(self._input_tensors, batches_for_means(self.samples, small=self.scores_groups)))

    def objectives_of(
        self, outputs: Sequence[NDArray[np.float32]], split: Part, stop: int, *, measure: bool = False
    ) -> tuple[float, ...]:
        """Return the objectives, always finite, of the outputs for the first `stop` samples of a part.

        For "batch" the samples are the mini-batch of the generation `stop`. `outputs` has the form that the method of
        this name returns, logits included. If `measure` is true, the problem's measure is computed instead.
        """
        if split == "batch":
            targets = self._minibatch(stop)[1]
        else:
            targets = self._tensors(array[:stop] for array in self.samples.halves(split)[1])
        evaluator = self._network.measure if measure else self._evaluator
        values, finite = self._network.objectives_of(self._tensors(outputs), list(targets), measure=measure)
        outputs = outputs[: len(outputs) - len(self._network.places)]
        return evaluator.fitness(values.numpy().tolist(), bool(finite), outputs, [target.numpy() for target in targets])

    def measures(self, individual: WeightList, generation: int, size: int) -> list[float]:
        """Return the problem's traced measure on a generation's mini-batch, and on `size` validation samples if any.

        One call of TensorFlow computes both: for a small network a call takes longer than the network.
        """
        parts = [self._minibatch(generation)]
        if size:
            if (held := self._validation) is None or held[0] != size:
                first = [[array[:size] for array in half] for half in self.samples.halves("validation")]
                self._validation = held = size, (self._input_tensors(first[0]), self._tensors(first[1]))
            parts.append(held[1])
        found = self._network.measures_of(self.weights(self.network(individual)), parts)
        measure = self._network.measure
        return [measure.fitness(values.numpy().tolist(), bool(finite), (), ())[0] for values, finite in found]

    def weights(self, individual: WeightList, shifts: Shifts | None = None) -> list[Any]:
        """Return an individual's matrices as tensors that share its memory, but biases less shifts; see `check`."""
        self.check(individual)
        return [shared_tensor(matrix) for matrix in without_shifts(self.layout.views(individual.flat), shifts or {})]

    @staticmethod
    def _wanted(kind: str, individual: Any) -> str:
        makes = "Individual(matrices) or toolbox.from_vector(vector) makes one"
        return f"individual must be a WeightList {kind}, got {type(individual).__name__}: {makes}"

    def check(self, individual: WeightList) -> None:
        """Raise ValueError if an individual has other shapes than the network, TypeError if it is no individual."""
        if not isinstance(individual, WeightList):
            raise TypeError(self._wanted("of the network's shapes", individual))
        if individual.shapes != self.layout.shapes:
            raise ValueError(f"individual must have the shapes {self.layout.shapes}, got {individual.shapes}")


def _classes_in(outputs: Sequence[Any], axes: int) -> NDArray[np.uint8] | None:
    """Return the class that each sample's output predicts; None if there are other outputs than those of classes."""
    shape = outputs[0].shape
    if len(outputs) > 1 or len(shape) != axes or not 1 < shape[-1] <= 256:
        return None
    return np.asarray(np.argmax(outputs[0], axis=-1), np.uint8)


def is_small(model: ModelReference) -> bool:
    """Return whether the networks of a model are scored in groups."""
    return model.layout.size < groups.GROUPED_WEIGHTS


def _centring(samples: Any, *, small: bool) -> tuple[int, int]:
    """Return the number of samples in a batch of the means, and the number of batches."""
    count = samples.size("train")
    most = min(CENTRING_SAMPLES if small else CENTRING_BATCH, count)
    return most, min(CENTRING_SAMPLES, count) // most


def centring_batches(problem: Problem) -> int:
    """Return the number of batches of training samples over which the means of centred layers are averaged."""
    return _centring(find_dataset(problem.data), small=is_small(problem.model))[1]


def batches_for_means(samples: Any, *, small: bool) -> list[list[NDArray[Any]]]:
    """Return the inputs of all batches of the means, for a network that is small or not: the same in each run."""
    size, count = _centring(samples, small=small)
    inputs, total = samples.halves("train")[0], samples.size("train")
    return [[array[batch_indices(0, batch, size, total)] for array in inputs] for batch in range(count)]


@lru_cache(maxsize=4)
def _scorer(problem: Problem) -> Scorer:
    return Scorer(problem)


def scorer(problem: Problem) -> Scorer:
    """Return the scorer of a problem; a process keeps the last 4.

    Raises
    ------
    RuntimeError
        If this process was forked after TensorFlow had computed, as ``multiprocessing.Pool()`` does on Linux.
    """
    check_not_forked()
    return _scorer(problem)


def forget(model: ModelReference) -> None:
    """Drop all scorers, which hold samples, and for a model with user code the compiled networks, which hold it.

    Otherwise networks stay: a second problem of the same shapes compiles nothing.
    """
    _scorer.cache_clear()
    if model.key:
        forget_networks()


def release_parts(parts: list[Any]) -> None:
    """Release the samples and the model of a `KerasProblem` by its ``parts``, once: another one may hold the same."""
    if parts:
        samples, model = parts
        parts.clear()
        registry.forget(samples)
        forget(model)


def forget_all() -> None:
    """Drop all scorers and all compiled networks."""
    _scorer.cache_clear()
    forget_networks()
