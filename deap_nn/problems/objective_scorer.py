"""Score any Keras model on samples of any structure, by objectives: what a toolbox of a `KerasProblem` registers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deap_nn.data.dataset import Split
from deap_nn.data.loading import find_dataset
from deap_nn.data.registry import DataReference
from deap_nn.data.samples import packed
from deap_nn.genome.weight_list import WeightList
from deap_nn.models.outputs import answers_of
from deap_nn.models.reference import ModelReference
from deap_nn.models.tensorflow import keras, tf
from deap_nn.problems.evaluate import OnProblem, size_of_part, stretches
from deap_nn.problems.judge import Judge
from deap_nn.problems.objectives import Objective
from deap_nn.problems.scorer import BaseScorer, Map, scorer

CHUNK = 256
"""How many samples of a part are answered by one task, where the network is large."""

Part = Split | Literal["batch"]
"""A part of the samples, or the mini-batch of a generation."""

Task = tuple[WeightList, Part, int, int]
"""An individual, a part and the samples meant; or a generation, twice."""


@dataclass(frozen=True)
class ObjectiveProblem:
    """What a genome is scored on, by objectives: small, immutable, and all that a worker needs to know.

    Parameters
    ----------
    model : ModelReference
        The network.
    data : DataReference
        The samples.
    objectives : tuple of Objective
        What to compute.
    from_logits : tuple of bool
        Whether each output of the network answers with logits.
    pairs : tuple of int
        Which target each output has.
    weights : tuple of float
        The fitness' own: negative where an objective is minimised.
    batch_size, seed, threads, device, batch_generations
        As of `Problem`.
    """

    model: ModelReference
    data: DataReference
    objectives: tuple[Objective, ...]
    from_logits: tuple[bool, ...]
    pairs: tuple[int, ...]
    weights: tuple[float, ...]
    batch_size: int
    seed: int
    threads: int = 1
    device: str = "cpu"
    batch_generations: int = 1

    def make_scorer(self) -> ObjectiveScorer:
        """Return what scores on it."""
        return ObjectiveScorer(self)


class ObjectiveScorer(BaseScorer):
    """A problem of a Keras model and samples of any structure, judged by objectives."""

    def _begin(self) -> None:
        problem = self.problem
        self._dtypes = [variable.dtype for variable in self.model.trainable_variables]
        self._structure: Any = None
        pack = self._as_outputs, self._as_targets
        self._judge = Judge(problem.objectives, problem.from_logits, problem.weights, problem.pairs, pack)
        self._needs_answers = not all(objective.traced for objective in problem.objectives)
        self._answers: Any = None

    def _as_outputs(self, outputs: Sequence[Any]) -> Any:
        return keras.tree.pack_sequence_as(self._structure, list(outputs))

    def _as_targets(self, targets: Sequence[Any]) -> Any:
        return packed(self.samples.targets, targets)

    def _tensors(self, inputs: Sequence[NDArray[Any]], targets: Sequence[NDArray[Any]]) -> Sequence[Any]:
        return [tf.constant(array) for array in inputs], [tf.constant(array) for array in targets]

    def _outputs(self, model: Any, weights: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
        cast = [w if d == "float32" else tf.cast(w, d) for w, d in zip(weights, self._dtypes, strict=True)]
        outputs = answers_of(model, cast, self._constants, packed(self.samples.inputs, inputs))
        if self._structure is None:
            self._structure = keras.tree.map_structure(lambda _: 0, outputs)
        flat = [tf.convert_to_tensor(output) for output in keras.tree.flatten(outputs)]
        return [tf.identity(tf.cast(output, tf.float32)) for output in flat]  # without Keras' mask

    def _trace(self, model: Any, weights: Sequence[Any], inputs: Any, targets: Any) -> tuple[Any, Any, Any]:
        outputs = self._outputs(model, weights, inputs)
        values, finite = self._judge.traced(outputs, targets)
        return values, finite, outputs

    def _group_judged(self, values: Any, finite: Any, outputs: Any, given: Sequence[Any]) -> list[tuple[float, ...]]:
        each = zip(values, finite, strict=True)
        return [self._judged(v, f, [a[i] for a in outputs], given) for i, (v, f) in enumerate(each)]

    def _judged(self, values: Any, finite: Any, outputs: Any, given: Sequence[Any]) -> tuple[float, ...]:
        needed = [np.asarray(output) for output in outputs] if self._needs_answers else []
        return self._judge.fitness(np.asarray(values).tolist(), bool(finite), needed, [t.numpy() for t in given[1]])

    def answers(self, individual: WeightList, split: Part, start: int, stop: int) -> list[NDArray[np.float32]]:
        """Return each output for the samples `start` to `stop` of a part, or a generation's; shape (samples, ...)."""
        if split == "batch":
            inputs = self._minibatch(start)[0]
        else:
            inputs = [tf.constant(array[start:stop]) for array in self.part(split)[0]]
        weights = self.weights(individual)
        if self._answers is None:
            specs = [tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in inputs]
            shapes = [tf.TensorSpec(shape) for shape in self.layout.shapes]
            outputs = tf.function(partial(self._outputs, self.model), autograph=False)
            self._answers = self._called(outputs.get_concrete_function, shapes, specs)
        return [output.numpy() for output in self._answers(weights, inputs)]

    def judge(self, outputs: Sequence[NDArray[np.float32]], split: Part, stop: int) -> tuple[float, ...]:
        """Return the values of answers to a part up to the sample `stop`, or to a generation's, always finite."""
        if split == "batch":
            targets = self._minibatch(stop)[1]
        else:
            targets = [tf.constant(array[:stop]) for array in self.part(split)[1]]
        values, finite = self._judge.traced([tf.constant(output) for output in outputs], targets)
        return self._judged(values, finite, outputs, ([], targets))


class AnswerObjectives(OnProblem):
    """A task of a map: what an individual answers to a stretch of samples."""

    has_limit = False
    """A limit of time is for the fitness."""

    def __call__(self, task: Task) -> list[NDArray[np.float32]]:
        """Return each output, for an individual, a part, the first sample and the one after the last."""
        found: list[NDArray[np.float32]] = scorer(self.problem).answers(*task)
        return found


class Scores(OnProblem):
    """A toolbox's ``scores``: the objectives on all samples of a part, answered through a map, judged together."""

    def __call__(
        self, individual: WeightList, split: Split, *, size: int | None = None, map: Map = map
    ) -> tuple[float, ...]:
        """Return the value of each objective on a part, or on its first `size` samples, at least 1."""
        size = size_of_part(len(find_dataset(self.problem.data).part(split)[1][0]), size)
        tasks = stretches(self.problem, individual, split, size, CHUNK)
        return self.judged(list(map(AnswerObjectives(self.problem), tasks)), split, size)

    def judged(self, answers: Iterable[Any], split: Part, stop: int) -> tuple[float, ...]:
        """Return the values of what was answered, stretch by stretch."""
        outputs = [np.concatenate(stretches) for stretches in zip(*answers, strict=True)]
        values: tuple[float, ...] = scorer(self.problem).judge(outputs, split, stop)
        return values


class ObjectiveErrorRate(Scores):
    """A toolbox's ``error_rate`` where fitness is of any kind: the first objective, less is better.

    One that is maximised is told with the opposite sign.
    """

    def __call__(self, *arguments: Any, **keywords: Any) -> float:  # type: ignore[override]  # the first alone
        """Return the first objective on a part, or on its first `size` samples."""
        return self.told(super().__call__(*arguments, **keywords))

    def told(self, values: Sequence[float]) -> float:
        """Return the first of some values, less is better."""
        return -values[0] if self.problem.weights[0] > 0 else values[0]


class AssessObjectives(OnProblem):
    """A toolbox's ``assess``: the best member's first objective, as ``error_rate`` tells it.

    Parameters
    ----------
    problem : ObjectiveProblem
        What to score on.
    validation_size : int
        How many validation samples count; 0 where there are none.
    """

    def __init__(self, problem: ObjectiveProblem, validation_size: int) -> None:
        super().__init__(problem)
        self.validation_size = validation_size

    def __call__(self, individual: WeightList, generation: int, *, map: Map = map) -> dict[str, float]:
        """Return the value on the generation's mini-batch, and on the first validation samples if there are any."""
        answer, rate = AnswerObjectives(self.problem), ObjectiveErrorRate(self.problem)
        tasks: list[Task] = [(individual, "batch", generation, generation)]
        if self.validation_size:
            tasks += stretches(self.problem, individual, "validation", self.validation_size, CHUNK)
        on_batch, *answers = map(answer, tasks)
        row = {"train_error": rate.told(rate.judged([on_batch], "batch", generation))}
        if answers:
            row["val_error"] = rate.told(rate.judged(answers, "validation", tasks[-1][-1]))
        return row


def class_probabilities(
    problem: ObjectiveProblem, individual: WeightList, size: int | None = None
) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Return classes of validation samples, and how probable each is to a network; None where it answers with none.

    Parameters
    ----------
    problem : ObjectiveProblem
        Its first objective must be "error" or "cross_entropy" of the only output, an answer for each sample.
    individual : WeightList
        The network.
    size : int, optional
        How many of the samples, the first ones, at least 1; all if left out.

    Returns
    -------
    tuple of (numpy.ndarray, numpy.ndarray) or None
        Shapes (samples,) and (samples, classes).
    """
    from scipy.special import expit, softmax

    targets = find_dataset(problem.data).part("validation")[1]
    if len(problem.pairs) != 1 or problem.objectives[0].kind not in ("error", "cross_entropy"):
        return None
    labels = np.asarray(targets[0][:size])
    tasks = stretches(problem, individual, "validation", len(labels), CHUNK)
    (outputs,) = (np.concatenate(each) for each in zip(*map(AnswerObjectives(problem), tasks), strict=True))
    answers = outputs.astype(np.float64).reshape(len(outputs), -1)
    if outputs.ndim > 2 or not np.isfinite(answers).all():
        return None
    if answers.shape[1] == 1:
        shares = expit(answers) if problem.from_logits[0] else answers
        return labels.reshape(-1).astype(np.int64), np.hstack([1 - shares, shares])
    classes = labels.argmax(axis=1) if labels.ndim == 2 and labels.shape[1] > 1 else labels.reshape(-1)
    return classes.astype(np.int64), softmax(answers, axis=1) if problem.from_logits[0] else answers
