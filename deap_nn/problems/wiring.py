"""What scores the individuals of a toolbox: labelled data by a model of classes, or a `KerasProblem`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from deap_nn.data.dataset import Dataset
from deap_nn.data.loading import load_dataset
from deap_nn.data.registry import NAMES
from deap_nn.genome.layout import Layout
from deap_nn.problems.keras_problem import KerasProblem

if TYPE_CHECKING:
    import keras

FitnessName = Literal["error", "cross_entropy"]

USUAL_BATCH_SIZE = 64
"""Samples in a mini-batch unless it is told, or all if they are fewer."""


@dataclass(frozen=True)
class Batches:
    """How mini-batches are drawn and scored, as `make_toolbox` takes it."""

    batch_size: int | None
    validation_size: int
    seed: int
    threads: int
    device: Literal["cpu", "gpu"]
    batch_generations: int

    def size(self, samples: int) -> int:
        """Return the batch size for so many training samples."""
        if self.batch_size is not None and self.batch_size > samples:
            raise ValueError(f"batch_size must be at most the {samples} training samples, got {self.batch_size}")
        return min(USUAL_BATCH_SIZE, samples) if self.batch_size is None else self.batch_size


@dataclass(frozen=True)
class Scoring:
    """What scores, and what is registered for it; `fitness` is None where it is neither of the two.

    Parameters
    ----------
    problem : Problem or ObjectiveProblem
        What a worker needs to know.
    layout : Layout
        Of the network.
    fitness : {"error", "cross_entropy"}, optional
        What is minimised.
    registered : dict
        Callables by the name that a toolbox has for them.
    """

    problem: Any
    layout: Layout
    fitness: FitnessName | None
    registered: dict[str, Callable[..., Any]]


def of_labelled_data(
    model: str | keras.Model,
    data: str | Path | Dataset,
    fitness: FitnessName,
    precision: Literal["float32", "bfloat16"],
    batches: Batches,
) -> Scoring:
    """Return what scores a model of classes on labelled data."""
    from deap_nn.models.checks import check_alike, check_fit, gives_logits, layer_for_bytes
    from deap_nn.models.reference import layout_of, reference_of
    from deap_nn.problems.evaluate import Evaluate
    from deap_nn.problems.labelled import Problem
    from deap_nn.problems.measures import Assess, ErrorRate, ToModel, VoteErrorRate

    dataset = _dataset(data)
    size = batches.size(len(dataset.x_train))
    reference = reference_of(model)
    check_fit(reference, dataset.x_train.shape[1:], dataset.classes)
    if not isinstance(model, str):
        check_alike(reference, model, dataset.x_train)
    if dataset.x_train.dtype == np.uint8 and (layer := layer_for_bytes(reference)) is not None:
        warnings.warn(
            f"bytes are divided by 255 before the model sees them, and layer {layer} does so again", stacklevel=3
        )
    problem = Problem(
        reference,
        dataset.reference,
        fitness,
        size,
        batches.seed,
        batches.threads,
        precision,
        batches.device,
        batches.batch_generations,
        gives_logits(reference, dataset.x_train),
    )
    registered: dict[str, Callable[..., Any]] = {
        "evaluate": Evaluate(problem),
        "assess": Assess(problem, min(batches.validation_size, len(dataset.x_validation))),
        "error_rate": ErrorRate(problem),
        "vote_error_rate": VoteErrorRate(problem),
        "to_model": ToModel(problem),
    }
    return Scoring(problem, layout_of(reference), fitness, registered)


def of_keras_problem(given: KerasProblem, signs: Sequence[float], batches: Batches, *, says: bool) -> Scoring:
    """Return what scores a `KerasProblem` for a fitness of some weights; `says` tells whether a user gave them."""
    from deap_nn.problems.evaluate import Evaluate
    from deap_nn.problems.objective_scorer import AssessObjectives, ObjectiveErrorRate, ObjectiveProblem, Scores

    if len(signs) != len(given.objectives):
        raise ValueError(f"container must have a fitness of {len(given.objectives)} value(s), got {len(signs)}")
    metrics = [objective.name for objective in given.objectives if objective.kind == "metric"]
    if metrics and not says:
        raise ValueError(f"container must say whether {metrics[0]} is minimised or maximised, by its fitness' weights")
    problem = ObjectiveProblem(
        given.reference,
        given.samples.reference,
        given.objectives,
        given.from_logits,
        given.pairs,
        tuple(signs),
        batches.size(len(given.samples)),
        batches.seed,
        batches.threads,
        batches.device,
        batches.batch_generations,
    )
    registered: dict[str, Callable[..., Any]] = {
        "evaluate": Evaluate(problem),
        "assess": AssessObjectives(problem, min(batches.validation_size, given.samples.size("validation"))),
        "error_rate": ObjectiveErrorRate(problem),
        "scores": Scores(problem),
        "to_model": given.to_model,
    }
    fitness = _fitness_of(given.objectives)
    return Scoring(problem, given.layout, cast(Any, fitness), registered)


CROSS_ENTROPIES = ("sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy")
"""Keras' losses that are a cross-entropy in nats."""


def _fitness_of(objectives: Sequence[Any]) -> str | None:
    """Return what an `ErrorScaled` sigma can follow: "error" or "cross_entropy", or None."""
    if len(objectives) != 1:
        return None
    kind, name = objectives[0].kind, objectives[0].name
    if kind in ("error", "cross_entropy"):
        return str(kind)
    return "cross_entropy" if kind == "loss" and name in CROSS_ENTROPIES else None


def _dataset(data: str | Path | Dataset) -> Dataset:
    if isinstance(data, Dataset):
        return data
    if isinstance(data, str) and data in NAMES:
        return load_dataset(data)
    if isinstance(data, str | Path):
        return load_dataset("auto", data)
    raise TypeError(f"data must be a name, a path or a Dataset, got {type(data).__name__}")
