"""From weights and a mini-batch to a fitness, with TensorFlow."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deap_nn.core.errors import WORST_CROSS_ENTROPY
from deap_nn.data.dataset import Split
from deap_nn.data.loading import find_dataset
from deap_nn.data.registry import DataReference
from deap_nn.genome.vectors import Halves, Vector, empty_halves, split_vector
from deap_nn.genome.weight_list import WeightList
from deap_nn.models.bfloat16 import take_rounded
from deap_nn.models.outputs import answers_with_logits
from deap_nn.models.reference import ModelReference, layout_of, model_of
from deap_nn.models.tensorflow import configure_tensorflow, keras, tf
from deap_nn.problems.groups import GroupKernel, is_vectorised
from deap_nn.problems.scorer import BaseScorer, batch_indices, shared_tensor

FitnessName = Literal["error", "cross_entropy"]

CHUNK = 100
"""How many samples of a validation or test part are scored by one task, where the network is large."""


@dataclass(frozen=True)
class Problem:
    """What a genome is scored on: small, immutable, and all that a worker needs to know.

    Parameters
    ----------
    model : ModelReference
        The network.
    data : DataReference
        The samples.
    fitness : {"error", "cross_entropy"}
        The share of the batch that is misread, or the mean cross-entropy in nats; both are minimised.
    batch_size : int
        Samples in a mini-batch.
    seed : int
        With the generation it decides the mini-batch.
    threads : int
        How many threads TensorFlow may use in a process.
    precision : {"float32", "bfloat16"}
        What the fitness is computed in; validation and test are always computed in float32.
    device : {"cpu", "gpu"}
        What it is computed on.
    batch_generations : int
        How many generations a mini-batch stays.
    from_logits : bool, optional
        Whether the model answers with logits and not with probabilities; if left out, its last layer tells.
    """

    model: ModelReference
    data: DataReference
    fitness: FitnessName
    batch_size: int
    seed: int
    threads: int = 1
    precision: Literal["float32", "bfloat16"] = "float32"
    device: Literal["cpu", "gpu"] = "cpu"
    batch_generations: int = 1
    from_logits: bool | None = None

    def make_scorer(self) -> Scorer:
        """Return what scores on it."""
        return Scorer(self)


class Scorer(BaseScorer):
    """A problem made ready in this process: the data, and the network as one traced function.

    Parameters
    ----------
    problem : Problem
        What to score on.
    """

    def __init__(self, problem: Problem) -> None:
        configure_tensorflow(problem.threads, problem.device)
        self.problem = problem
        self.dataset = find_dataset(problem.data)
        self.layout = layout_of(problem.model)
        model = model_of(problem.model)
        self._input_shape = tuple(model.input_shape[1:])
        told = problem.from_logits
        self._from_logits = answers_with_logits(model) if told is None else told
        self._constants = [tf.constant(variable.numpy()) for variable in model.non_trainable_variables]
        quick = model if problem.precision == "float32" else model_of(problem.model, precision=problem.precision)
        self._own = threading.local()
        self._kernel = tf.function(partial(self._trace, model), autograph=False)
        self._answers = tf.function(partial(self._trace_answers, model), autograph=False)
        self._batch: tuple[int, tuple[Any, Any]] | None = None
        self._is_ready = False
        given = self._minibatch(0)
        # Called as they are: finding which trace fits would take a tenth of a group's time.
        if self.scores_groups:
            trace = partial(self._trace_member, quick)
            self._group_kernel = GroupKernel(trace, self.layout, given, at_once=is_vectorised(quick))
        else:
            if quick is not model:
                flags = take_rounded(quick)
                self.rounded = flags if any(flags) else ()
            types = [tf.uint16 if rounded else tf.float32 for rounded in self.rounded or [False] * len(self.layout)]
            weights = [tf.TensorSpec(shape, kind) for shape, kind in zip(self.layout.shapes, types, strict=True)]
            specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in given]
            single = tf.function(partial(self._trace, quick), autograph=False)
            self._batch_kernel = single.get_concrete_function(weights, *specs)

    def prepare(self) -> None:
        """Score something once, so that all is compiled."""
        if not self._is_ready:
            size = self.layout.size
            if self.scores_groups:
                self.group_fitness(tf.zeros((1, size)), 0)
            else:
                self._fitness(self._matrices(np.zeros(size, np.float32), np.zeros(size, np.uint16)), 0)
            self._is_ready = True

    def _trace(self, model: Any, weights: Sequence[Any], samples: Any, labels: Any) -> tuple[Any, Any, Any]:
        """Return how many samples are misread, their mean cross-entropy, and whether all answers are finite."""
        return self._trace_member(model, weights, samples, labels)[:3]

    def _trace_member(self, model: Any, weights: Sequence[Any], samples: Any, labels: Any) -> tuple[Any, Any, Any, Any]:
        """Return what ``_trace`` does, and the answers."""
        if samples.dtype == tf.uint8:
            samples = tf.cast(samples, tf.float32) / 255.0
        weights = [tf.bitcast(w, tf.bfloat16) if w.dtype == tf.uint16 else w for w in weights]
        outputs, _ = model.stateless_call(weights, self._constants, samples, training=False)
        outputs = tf.cast(outputs, tf.float32)
        finite = tf.reduce_all(tf.math.is_finite(outputs), axis=-1)
        right = tf.equal(tf.argmax(outputs, axis=-1, output_type=tf.int32), labels) & finite
        misread = tf.size(labels) - tf.reduce_sum(tf.cast(right, tf.int32))
        entropy = keras.ops.sparse_categorical_crossentropy(labels, outputs, from_logits=self._from_logits)
        return misread, tf.reduce_mean(entropy), tf.reduce_all(finite), outputs

    def _trace_answers(self, model: Any, weights: Sequence[Any], samples: Any) -> Any:
        """Return the probability of each class; shape (samples, classes)."""
        if samples.dtype == tf.uint8:
            samples = tf.cast(samples, tf.float32) / 255.0
        outputs, _ = model.stateless_call(list(weights), self._constants, samples, training=False)
        outputs = tf.cast(outputs, tf.float32)
        return tf.nn.softmax(outputs) if self._from_logits else outputs

    def _tensors(self, x: NDArray[Any], y: NDArray[Any]) -> tuple[Any, Any]:
        if x.dtype != np.uint8:
            x = x.astype(np.float32, copy=False)
        return tf.constant(x.reshape(len(x), *self._sample_shape(x))), tf.constant(y, dtype=tf.int32)

    def _sample_shape(self, x: NDArray[Any]) -> tuple[int, ...]:
        return x.shape[1:] if None in self._input_shape else self._input_shape

    def _minibatch(self, generation: int) -> tuple[Any, Any]:
        number = generation // self.problem.batch_generations
        if self._batch is None or self._batch[0] != number:
            x, y = self.dataset.part("train")
            chosen = batch_indices(self.problem.seed, number, self.problem.batch_size, len(x))
            self._batch = number, self._tensors(x[chosen], y[chosen])
        return self._batch[1]

    def fitness(self, individual: WeightList, generation: int) -> tuple[float, ...]:
        """Return the fitness on the mini-batch of a generation, always finite."""
        if self.scores_groups:
            self.check(individual)
            return self.group_fitness(shared_tensor(individual.flat[None]), generation)[0]
        self.check(individual)
        if not self.rounded:
            return self._fitness(self.layout.views(individual.flat), generation)
        from deap_nn.operators.compiled.bfloat16 import round_weights

        if not hasattr(self._own, "halves"):  # of this thread: others score at the same time
            self._own.halves = empty_halves(self.layout.size)
        round_weights(individual.flat, self._own.halves, self.layout.shapes, np.array(self.rounded))
        return self.rounded_fitness(individual.flat, self._own.halves, generation)

    def rounded_fitness(self, flat: Vector, halves: Halves, generation: int) -> tuple[float, ...]:
        """Return what `fitness` does, of a genome whose matrices are rounded already."""
        return self._fitness(self._matrices(flat, halves), generation)

    def _matrices(self, flat: Vector, halves: Halves) -> list[NDArray[Any]]:
        both = zip(self.layout.views(flat), split_vector(halves, self.layout.shapes), strict=True)
        flags = self.rounded or (False,) * len(self.layout)
        return [half if rounded else whole for rounded, (whole, half) in zip(flags, both, strict=True)]

    def _fitness(self, matrices: Sequence[NDArray[Any]], generation: int) -> tuple[float, ...]:
        tensors = [shared_tensor(matrix) for matrix in matrices]
        misread, entropy, finite = self._batch_kernel(tensors, *self._minibatch(generation))
        return (self._finite_fitness(int(misread), float(entropy), bool(finite)),)

    def group_fitness(self, genomes: Any, generation: int) -> list[tuple[float, ...]]:
        """Return the fitness of each genome of a group; shape (genomes, weights), float32."""
        columns = self._group_kernel(genomes, *self._minibatch(generation))[:3]
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [(self._finite_fitness(*row),) for row in rows]

    def _finite_fitness(self, misread: int, entropy: float, finite: bool) -> float:
        if self.problem.fitness == "error":
            return misread / self.problem.batch_size if finite else 1.0
        return min(entropy, WORST_CROSS_ENTROPY) if finite and math.isfinite(entropy) else WORST_CROSS_ENTROPY

    def batch_misread(self, individual: WeightList, generation: int) -> int:
        """Return how many samples of the mini-batch of a generation are misread."""
        return int(self._kernel(self.weights(individual), *self._minibatch(generation))[0])

    def misread(self, individual: WeightList, split: Split, start: int, stop: int) -> int:
        """Return how many of the samples `start` to `stop` of a part are misread."""
        x, y = self.dataset.part(split)
        return int(self._kernel(self.weights(individual), *self._tensors(x[start:stop], y[start:stop]))[0])

    def answers(self, individual: WeightList, split: Split, start: int, stop: int) -> NDArray[np.float32]:
        """Return the probability of each class for the samples `start` to `stop` of a part; NaN counts as none."""
        x, y = self.dataset.part(split)
        found = self._answers(self.weights(individual), self._tensors(x[start:stop], y[start:stop])[0]).numpy()
        finite: NDArray[np.float32] = np.nan_to_num(found, nan=0.0, posinf=0.0, neginf=0.0)
        return finite


__all__ = ["FitnessName", "Problem", "Scorer"]
