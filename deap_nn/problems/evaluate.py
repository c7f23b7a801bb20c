"""The functions that a toolbox registers to score individuals; a map computes the outputs of slices as tasks.

They hold a problem's references, not its data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deap_nn.core.registered import Evaluation, scored_generation
from deap_nn.data.dataset import Split
from deap_nn.data.loading import find_dataset
from deap_nn.genome.layer_inputs import packed_inputs
from deap_nn.genome.vectors import Halves, Matrix, Shape, Vector, empty_vector, most_together
from deap_nn.genome.weight_list import WeightList
from deap_nn.models.layers import check_projected, mean_shifts
from deap_nn.models.reference import model_of, trained_model
from deap_nn.models.tensorflow import keras
from deap_nn.operators.adaptation import Count
from deap_nn.operators.cases import BLOCK, in_blocks
from deap_nn.problems.problem import Problem
from deap_nn.problems.scorer import Map, Part, Shifts, centring_batches, is_small, scorer

CHUNK = 100
"""The number of samples of a part that one task scores, if the network is large."""

GROUPED_CHUNK = 1000
"""The number of samples of a part that one task scores, if the network is small."""

Task = tuple[WeightList, Part, int, int, Shifts | None]
"""An individual, a part, the first sample and the one after the last; or "batch" and the generation, twice. Then the
means that centred layers subtract, if they are known."""


class OnProblem(Evaluation):
    """A callable that refers to its problem's data: a map that sends it with every task sends little.

    Parameters
    ----------
    problem : Problem
        The problem that scores individuals.
    """

    problem: Problem
    leaves_weights = may_be_done_twice = True

    def __init__(self, problem: Problem) -> None:
        self.problem = problem


class Evaluate(OnProblem):
    """A toolbox's ``evaluate``: the fitness of an individual on the mini-batch of ``generation``.

    Parameters
    ----------
    problem : Problem
        The problem that scores individuals.
    """

    is_of_problem = True
    inputs: bytes | None = None
    """The packed inputs of layers that move by cases, in `ByCases`."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.count = Count()

    def __call__(self, individual: WeightList | ArrayLike) -> Any:
        """Return the fitness of an individual, or of a vector of all weights, as a tuple."""
        found = scorer(self.problem)
        return found.fitness(found.read(individual), self.generation, self.inputs)

    @property
    def generation(self) -> int:
        """The generation of the mini-batch, in a task that of the task; setting it leaves the toolbox's clock."""
        return scored_generation(self.count.generation)

    @generation.setter
    def generation(self, generation: int) -> None:
        self.count = Count()
        self.count.generation = generation

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The shapes of the genomes that the network takes."""
        return self.problem.model.layout.shapes

    @property
    def _is_itself(self) -> bool:
        """Whether the call is this class' own; a derived class may compute another fitness, which no shortcut knows."""
        return type(self).__call__ is Evaluate.__call__

    def by_cases(self, inputs: bytes) -> ByCases | None:
        """Return the evaluation that also returns what a step by cases needs, if it knows the loss of each sample."""
        return ByCases(self, inputs) if self._is_itself and self.problem.casewise else None

    @property
    def scores_groups(self) -> bool:  # type: ignore[override]  # it follows from the problem
        """Whether `many` is useful: it is for small networks."""
        return self._is_itself and is_small(self.problem.model)

    @property
    def most_together(self) -> int:
        """The number of individuals for one call of `together`; 0 if it is not useful."""
        return most_together(self.problem.model.layout.size) if self.scores_groups else 0

    def together(self, individuals: Sequence[WeightList | ArrayLike]) -> Any:
        """Return the fitness of individuals or vectors, with the bits of a call for each; or of one individual."""
        if isinstance(individuals, WeightList):
            return self(individuals)
        found = scorer(self.problem)
        genomes = empty_vector(len(individuals) * found.layout.size).reshape(len(individuals), found.layout.size)
        for genome, individual in zip(genomes, individuals, strict=True):
            genome[:] = found.read(individual).flat
        return self.many(genomes)

    @property
    def rounded(self) -> tuple[bool, ...]:  # type: ignore[override]  # likewise
        """Whether `of_rounded` takes each matrix as bfloat16; empty if it takes none so."""
        return scorer(self.problem).rounded if self._is_itself else ()

    def of_rounded(self, flat: Vector, halves: Halves) -> Any:
        """Return the fitness of a genome with rounded matrices, with the bits of a call with the whole genome."""
        return scorer(self.problem).rounded_fitness(flat, halves, self.generation, self.inputs)

    def many(self, genomes: NDArray[np.float32]) -> list[Any]:
        """Return the fitness of each genome, shape (genomes, weights), with the bits of a call for each."""
        return scorer(self.problem).group_fitness(genomes, self.generation, self.inputs)


class ByCases(Evaluate):
    """An evaluation that returns a `Scored` for an individual, and a `Counted` for each of those of a task.

    A `Scored` has the losses of samples and the products of layers beside the fitness.

    Parameters
    ----------
    evaluate : Evaluate
        The toolbox's evaluation.
    inputs : bytes
        The packed inputs of the layers that move by cases; empty in a generation from which none moves.
    """

    block = BLOCK

    def __init__(self, evaluate: Evaluate, inputs: bytes) -> None:
        super().__init__(evaluate.problem)
        self.inputs = inputs

    def gathered(self, answers: list[Any]) -> list[Any]:
        """Return the answers of a task with the sums over blocks in place of the products."""
        return in_blocks(answers) if self.inputs else [one.values for one in answers]


def mapped_shifts(problem: Problem, individual: WeightList, map: Map) -> Shifts | None:
    """Return the means that centred layers subtract, of which a map computes the batches; None without such layers.

    None also for a small network, of which each process computes all batches in one call.
    """
    if not problem.centred or is_small(problem.model):
        return None
    batches = range(centring_batches(problem))
    return mean_shifts(list(map(ShiftsOfBatch(problem), [(individual, batch) for batch in batches])))


def stretches(
    problem: Problem, individual: WeightList, split: Part, size: int, shifts: Shifts | None = None
) -> list[Task]:
    """Return the tasks that together score the first `size` samples of a part."""
    step = GROUPED_CHUNK if is_small(problem.model) else CHUNK
    return [(individual, split, start, min(start + step, size), shifts) for start in range(0, size, step)]


def size_of_part(data: Any, split: Split, size: int | None) -> int:
    """Return the number of samples of a part that count: all, or the first `size`, at least 1."""
    if size is not None and size < 1:
        raise ValueError(f"size must be at least 1, got {size!r}")
    samples: int = data.size(split)
    return samples if size is None else min(size, samples)


def in_one_call(problem: Problem, size: int) -> bool:
    """Return whether one call of TensorFlow computes the measure on a mini-batch and on `size` validation samples."""
    return size <= GROUPED_CHUNK and problem.measure.traced and is_small(problem.model)


class Outputs(OnProblem):
    """A task of a map: the outputs of an individual for a slice of the samples."""

    def __call__(self, task: Task) -> list[NDArray[np.float32]]:
        """Return the outputs for a `Task`, an array for each; shape (samples, ...)."""
        return scorer(self.problem).outputs(*task)


class ShiftsOfBatch(OnProblem):
    """A task of a map: the means that an individual's centred layers subtract for a batch of training samples."""

    def __call__(self, task: tuple[WeightList, int]) -> Shifts:
        """Return the means for an individual and the number of a batch, as `Scorer.shifts` does."""
        return scorer(self.problem).shifts(*task)


class InputsOnBatch(OnProblem):
    """A task of a map: the packed inputs of an individual's centred layers for the mini-batch of a generation."""

    def __call__(self, task: tuple[WeightList, int]) -> bytes:
        """Return the inputs for an individual and a generation, by `packed_inputs`."""
        return packed_inputs(scorer(self.problem).layer_inputs(*task))


class LayerInputs(OnProblem):
    """A toolbox's ``layer_inputs``: the step of the centre, or of the parents' mean, is projected onto them."""

    def __call__(self, individual: WeightList, generation: int, *, map: Map = map) -> bytes:
        """Return the packed inputs of an individual's layers for the mini-batch of a generation."""
        packed: bytes
        (packed,) = map(InputsOnBatch(self.problem), [(individual, generation)])
        return packed


class Scores(OnProblem):
    """A toolbox's ``scores``: the objectives on all samples of a part. A map computes the outputs."""

    measure = False
    """Whether to compute the problem's measure in place of its objectives."""

    def __call__(
        self, individual: WeightList, split: Split, *, size: int | None = None, map: Map = map
    ) -> tuple[float, ...]:
        """Return the value of each objective on a part, or on its first `size` samples, at least 1."""
        size = size_of_part(find_dataset(self.problem.data), split, size)
        tasks = stretches(self.problem, individual, split, size, mapped_shifts(self.problem, individual, map))
        return self.objectives_of(list(map(Outputs(self.problem), tasks)), split, size)

    def objectives_of(self, outputs: Iterable[Any], split: Part, stop: int) -> tuple[float, ...]:
        """Return the values of outputs, which are given slice by slice; `stop` as `Scorer.objectives_of` takes it."""
        return scorer(self.problem).objectives_of(joined(outputs), split, stop, measure=self.measure)


class ErrorRate(Scores):
    """A toolbox's ``error_rate``: the error rate of images, or of other problems the first objective; less is better.

    An objective that is maximised has the opposite sign here.
    """

    measure = True

    def __call__(  # type: ignore[override]  # one value
        self, individual: WeightList, split: Split, *, size: int | None = None, map: Map = map
    ) -> float:
        """Return the measure on a part, or on its first `size` samples."""
        return self.minimised(super().__call__(individual, split, size=size, map=map))

    def minimised(self, values: Sequence[float]) -> float:
        """Return the first value, with the sign by which less is better."""
        return -values[0] if self.problem.weights[0] > 0 else values[0]


class Measures(OnProblem):
    """A task of a map: the measure of an individual on a mini-batch and on validation samples, by `Scorer.measures`."""

    def __call__(self, task: tuple[WeightList, int, int]) -> list[float]:
        """Return the measure on the mini-batch of a generation, and on the given number of validation samples."""
        return scorer(self.problem).measures(*task)


class Assess(OnProblem):
    """A toolbox's ``assess``: the logbook's columns about the best member of a generation.

    Parameters
    ----------
    problem : Problem
        The problem that scores it.
    validation_size : int
        The number of validation samples that count; 0 if there are none.
    """

    def __init__(self, problem: Problem, validation_size: int) -> None:
        super().__init__(problem)
        self.validation_size = validation_size

    def __call__(self, individual: WeightList, generation: int, *, map: Map = map) -> dict[str, float]:
        """Return the measure on the generation's mini-batch, and on the first validation samples if there are any."""
        rate = ErrorRate(self.problem)
        if in_one_call(self.problem, self.validation_size):
            (found,) = map(Measures(self.problem), [(individual, generation, self.validation_size)])
            return dict(zip(("train_error", "val_error"), (rate.minimised([value]) for value in found), strict=False))
        shifts = mapped_shifts(self.problem, individual, map)
        tasks: list[Task] = [(individual, "batch", generation, generation, shifts)]
        tasks += stretches(self.problem, individual, "validation", self.validation_size, shifts)
        on_batch, *outputs = map(Outputs(self.problem), tasks)
        row = {"train_error": rate.minimised(rate.objectives_of([on_batch], "batch", generation))}
        if outputs:
            row["val_error"] = rate.minimised(rate.objectives_of(outputs, "validation", self.validation_size))
        return row


class ToModel(OnProblem):
    """A toolbox's ``to_model``: the Keras model with an individual's weights."""

    def __call__(self, individual: WeightList) -> keras.Model:
        """Return a new model; its predictions are the outputs that were scored."""
        return trained_model(self.problem.model, network_weights(self.problem, individual))


def functions_of(problem: Problem, validation_size: int, *, projected: bool) -> dict[str, Callable[..., Any]]:
    """Return the functions that score individuals, by the names under which a toolbox registers them."""
    found: dict[str, Callable[..., Any]] = {
        "evaluate": Evaluate(problem),
        "assess": Assess(problem, min(validation_size, find_dataset(problem.data).size("validation"))),
        "error_rate": ErrorRate(problem),
        "to_model": ToModel(problem),
    }
    if not problem.images:
        found["scores"] = Scores(problem)
    if projected:
        check_projected(model_of(problem.model), centred=problem.centred)
        found["layer_inputs"] = LayerInputs(problem)
    return found


def network_weights(problem: Problem | None, individual: WeightList) -> WeightList:
    """Return the weights with which the model itself has an individual's outputs: other biases, if it is centred."""
    return individual if problem is None or not problem.centred else scorer(problem).network(individual)


def genome_of(problem: Problem, weights: Sequence[Matrix]) -> Sequence[Matrix]:
    """Return the weights of the individual whose network has the given weights."""
    return list(scorer(problem).genome(WeightList(weights))) if problem.centred else weights


def joined(outputs: Iterable[Any]) -> list[NDArray[np.float32]]:
    """Return each output for all samples, from the outputs of one slice after another."""
    return [np.concatenate(stretches) for stretches in zip(*outputs, strict=True)]


def _probabilities(problem: Problem, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probability of each class from a problem's only output; shape (samples, classes)."""
    from scipy.special import expit, softmax

    is_logits, values = problem.from_logits[0], outputs.reshape(len(outputs), -1)
    if values.shape[1] == 1:
        shares = expit(values) if is_logits else values
        return np.hstack([1 - shares, shares])
    found: NDArray[np.float64] = softmax(values, axis=1) if is_logits else values
    return found


def class_probabilities(
    problem: Problem, individual: WeightList, size: int | None = None
) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Return the classes of validation samples and the probabilities that a network predicts, or None.

    Parameters
    ----------
    problem : Problem
        Its first objective must be "error" or "cross_entropy" of the only output, one prediction a sample.
    individual : WeightList
        The network.
    size : int, optional
        The number of samples, the first ones, at least 1; all if left out.

    Returns
    -------
    tuple of (numpy.ndarray, numpy.ndarray) or None
        Shapes (samples,) and (samples, classes). None for another objective or output, or if an output is not finite.
    """
    if len(problem.pairs) != 1 or problem.objectives[0].kind not in ("error", "cross_entropy"):
        return None
    labels = np.asarray(find_dataset(problem.data).halves("validation")[1][0][:size])
    outputs = joined(map(Outputs(problem), stretches(problem, individual, "validation", len(labels))))[0]
    if outputs.ndim > 2 or not np.isfinite(outputs).all():
        return None
    classes = labels.argmax(axis=1) if labels.ndim == 2 and labels.shape[1] > 1 else labels.reshape(-1)
    return classes.astype(np.int64), _probabilities(problem, outputs.astype(np.float64))
