"""From weights and a mini-batch to a fitness, with TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deap_nn.core.errors import WORST_CROSS_ENTROPY
from deap_nn.data.dataset import Split
from deap_nn.data.registry import DataReference
from deap_nn.genome.weight_list import WeightList
from deap_nn.models.outputs import answers_with_logits
from deap_nn.models.reference import ModelReference
from deap_nn.models.tensorflow import keras, tf
from deap_nn.problems.scorer import BaseScorer

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
    """A problem of labelled images: errors are counted, and bytes are divided by 255 before the network sees them."""

    def _begin(self) -> None:
        self._input_shape = tuple(self.model.input_shape[1:])
        told = self.problem.from_logits
        self._from_logits = answers_with_logits(self.model) if told is None else told
        self._counts = tf.function(partial(self._trace, self.model), autograph=False)
        self._answers = tf.function(partial(self._trace_answers, self.model), autograph=False)

    def part(self, split: Split) -> tuple[Sequence[NDArray[Any]], Sequence[NDArray[Any]]]:
        """Return the images and the labels of a part, an array of each."""
        x, y = self.samples.part(split)
        return [x], [y]

    def _tensors(self, inputs: Sequence[NDArray[Any]], targets: Sequence[NDArray[Any]]) -> Sequence[Any]:
        ((x,), (y,)) = inputs, targets
        if x.dtype != np.uint8:
            x = x.astype(np.float32, copy=False)
        shape = x.shape[1:] if None in self._input_shape else self._input_shape
        return tf.constant(x.reshape(len(x), *shape)), tf.constant(y, dtype=tf.int32)

    def _outputs(self, model: Any, weights: Sequence[Any], samples: Any) -> Any:
        if samples.dtype == tf.uint8:
            samples = tf.cast(samples, tf.float32) / 255.0
        weights = [tf.bitcast(w, tf.bfloat16) if w.dtype == tf.uint16 else w for w in weights]
        outputs, _ = model.stateless_call(weights, self._constants, samples, training=False)
        return tf.cast(outputs, tf.float32)

    def _trace(self, model: Any, weights: Sequence[Any], inputs: Any, targets: Any) -> tuple[Any, Any, Any]:
        """Return the number of samples that are misread and their mean cross-entropy, and as `BaseScorer` says."""
        outputs = self._outputs(model, weights, inputs)
        finite = tf.reduce_all(tf.math.is_finite(outputs), axis=-1)
        right = tf.equal(tf.argmax(outputs, axis=-1, output_type=tf.int32), targets) & finite
        misread = tf.size(targets) - tf.reduce_sum(tf.cast(right, tf.int32))
        entropy = keras.ops.sparse_categorical_crossentropy(targets, outputs, from_logits=self._from_logits)
        return (misread, tf.reduce_mean(entropy)), tf.reduce_all(finite), outputs

    def _trace_answers(self, model: Any, weights: Sequence[Any], samples: Any) -> Any:
        """Return the probability of each class; shape (samples, classes)."""
        outputs = self._outputs(model, weights, samples)
        return tf.nn.softmax(outputs) if self._from_logits else outputs

    def _judged(self, values: Any, finite: Any, outputs: Any, given: Sequence[Any]) -> tuple[float, ...]:
        misread, entropy = values
        return (self._finite(int(misread), float(entropy), bool(finite)),)

    def _group_judged(self, values: Any, finite: Any, outputs: Any, given: Sequence[Any]) -> list[tuple[float, ...]]:
        rows = zip(*(column.tolist() for column in (*values, finite)), strict=True)
        return [(self._finite(*row),) for row in rows]

    def _finite(self, misread: int, entropy: float, finite: bool) -> float:
        if self.problem.fitness == "error":
            return misread / float(self.problem.batch_size) if finite else 1.0
        return min(entropy, WORST_CROSS_ENTROPY) if finite and math.isfinite(entropy) else WORST_CROSS_ENTROPY

    def batch_misread(self, individual: WeightList, generation: int) -> int:
        """Return how many samples of the mini-batch of a generation are misread."""
        return int(self._called(self._counts, self.weights(individual), *self._minibatch(generation))[0][0])

    def misread(self, individual: WeightList, split: Split, start: int, stop: int) -> int:
        """Return how many of the samples `start` to `stop` of a part are misread."""
        counts = self._called(self._counts, self.weights(individual), *self._stretch(split, start, stop))
        return int(counts[0][0])

    def answers(self, individual: WeightList, split: Split, start: int, stop: int) -> NDArray[np.float32]:
        """Return the probability of each class for the samples `start` to `stop` of a part; NaN counts as none."""
        found = self._called(self._answers, self.weights(individual), self._stretch(split, start, stop)[0]).numpy()
        finite: NDArray[np.float32] = np.nan_to_num(found, nan=0.0, posinf=0.0, neginf=0.0)
        return finite

    def _stretch(self, split: Split, start: int, stop: int) -> Sequence[Any]:
        return self._tensors(*([array[start:stop] for array in half] for half in self.part(split)))


__all__ = ["FitnessName", "Problem", "Scorer"]
