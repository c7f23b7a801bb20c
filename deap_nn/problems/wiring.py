"""The scoring functions of a toolbox, for labelled images and a model of classes, or for a `KerasProblem`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from deap_nn.core.errors import warn_user
from deap_nn.data.dataset import Dataset
from deap_nn.data.loading import load_dataset
from deap_nn.data.minibatches import Strata
from deap_nn.data.registry import NAMES
from deap_nn.genome.vectors import Layout, Matrix
from deap_nn.genome.weight_list import WeightList
from deap_nn.problems.keras_problem import KerasProblem

if TYPE_CHECKING:  # functions import TensorFlow when they are called: it takes seconds
    import keras

    from deap_nn.problems.problem import FitnessName, Problem

USUAL_BATCH_SIZE = 64
"""The default number of samples in a mini-batch; all of them if they are fewer."""


@dataclass(frozen=True)
class Batches:
    """How mini-batches are drawn and scored, as `make_toolbox` takes it."""

    batch_size: int | None
    validation_size: int
    seed: int
    threads: int
    device: Literal["cpu", "gpu"]
    centred: bool
    stratified: bool | Literal["classes"]
    projected: bool

    def size(self, samples: int, *, centred: bool) -> int:
        """Return the batch size for a number of training samples."""
        if self.batch_size is not None and self.batch_size > samples:
            raise ValueError(f"batch_size must be at most the {samples} training samples, got {self.batch_size}")
        size = min(USUAL_BATCH_SIZE, samples) if self.batch_size is None else self.batch_size
        if centred and size < 2:
            raise ValueError(f"centred needs a mini-batch of at least 2 samples, got {size}: one has no other mean")
        return size

    def of_classes(self, targets: NDArray[Any], *, labelled: bool) -> bool:
        """Return whether mini-batches are stratified by a target, if it has `labelled` samples: "classes" if it can be.

        Raises
        ------
        ValueError
            If they are to be, and the target has no classes.
        """
        if not self.stratified:
            return False
        found = labelled and Strata.of(targets) is not None
        if not found and self.stratified != "classes":
            raise ValueError("stratified needs a target of classes, scored by 'error' or 'cross_entropy'")
        return found


@dataclass(frozen=True)
class Scoring:
    """A problem and the functions that a toolbox registers for it.

    Parameters
    ----------
    problem : Problem
        The model, data and objectives, as a worker gets them.
    layout : Layout
        The layout of the network's weights.
    registered : dict
        The functions by the names under which a toolbox registers them.
    """

    problem: Problem
    layout: Layout
    registered: dict[str, Callable[..., Any]]

    def genome(self, weights: Sequence[Matrix]) -> Sequence[Matrix]:
        """Return the weights of an individual whose network has the given weights."""
        if not self.problem.centred:
            return weights
        from deap_nn.problems.scorer import scorer

        return list(scorer(self.problem).genome(WeightList(weights)))


def _scoring(
    problem: Problem, validation_size: int, more: dict[str, Callable[..., Any]], *, projected: bool
) -> Scoring:
    from deap_nn.models.checks import check_projected
    from deap_nn.problems.evaluate import Evaluate
    from deap_nn.problems.measures import Assess, ErrorRate, LayerInputs, ToModel

    registered: dict[str, Callable[..., Any]] = {
        "evaluate": Evaluate(problem),
        "assess": Assess(problem, validation_size),
        "error_rate": ErrorRate(problem),
        "to_model": ToModel(problem),
    }
    if projected:
        check_projected(problem.model, problem.batch_size, centred=problem.centred)
        registered["layer_inputs"] = LayerInputs(problem)
    return Scoring(problem, problem.model.layout, registered | more)


def of_labelled_data(
    model: str | keras.Model,
    data: str | Path | Dataset,
    fitness: FitnessName,
    precision: Literal["float32", "bfloat16"],
    batches: Batches,
) -> Scoring:
    """Return the scoring of a model of classes on labelled data."""
    from deap_nn.models.checks import (
        check_centred,
        check_fit,
        few_of,
        gives_logits,
        layer_for_bytes,
    )
    from deap_nn.models.reference import model_of, reference_of
    from deap_nn.problems.problem import Problem, of_classes

    dataset = _dataset(data)
    size = batches.size(len(dataset.x_train), centred=batches.centred)
    reference = reference_of(model)
    check_fit(reference, dataset.x_train.shape[1:], dataset.classes)
    if not isinstance(model, str):
        reference = replace(reference, inputs=few_of(model, dataset.x_train))
    if batches.centred:
        check_centred(reference)
    if dataset.x_train.dtype == np.uint8 and (layer := layer_for_bytes(model_of(reference))) is not None:
        warnings.warn(
            f"bytes are divided by 255 before the model gets them, and layer {layer} scales them again: remove it",
            stacklevel=3,
        )
    problem = Problem(
        reference,
        dataset.reference,
        (of_classes(fitness),),
        size,
        batches.seed,
        from_logits=(gives_logits(reference, dataset.x_train),),
        precision=precision,
        images=True,
        centred=batches.centred,
        stratified=batches.of_classes(dataset.y_train, labelled=True),
        threads=batches.threads,
        device=batches.device,
    )
    validation_size = min(batches.validation_size, len(dataset.x_validation))
    return _scoring(problem, validation_size, {}, projected=batches.projected)


def of_keras_problem(given: KerasProblem, signs: Sequence[float], batches: Batches, *, says: bool) -> Scoring:
    """Return the scoring of a `KerasProblem` for the weights of a fitness; `says`: whether a user gave the weights."""
    from deap_nn.problems.measures import Scores
    from deap_nn.problems.problem import Problem

    if not given.parts:
        raise ValueError("the KerasProblem is released: make another one")
    if len(signs) != len(given.objectives):
        raise ValueError(f"container must have a fitness of {len(given.objectives)} value(s), got {len(signs)}")
    scores = [objective for objective in given.objectives if objective.is_score]
    if scores and not says:
        raise ValueError(
            f"container must say whether {scores[0].name} is minimised or maximised: creator.create("
            '"Best", base.Fitness, weights=(1.0,)) if more is better, weights=(-1.0,) if less is; then creator.create('
            '"Network", WeightList, fitness=creator.Best) and container=creator.Network'
        )
    for objective, sign in zip(given.objectives, signs, strict=True):
        if sign > 0 and objective.kind in ("error", "cross_entropy", "loss", "sum"):
            said = f"container has a fitness that maximises {objective.name}, a loss: take weights=(-1.0,)"
            warn_user(said, about=given.samples.reference.sha256)
    labelled = given.objectives[0].kind in ("error", "cross_entropy")
    problem = Problem(
        given.reference,
        given.samples.reference,
        given.objectives,
        batches.size(len(given.samples), centred=given.centred),
        batches.seed,
        given.from_logits,
        given.pairs,
        tuple(signs),
        precision=given.precision,
        centred=given.centred,
        stratified=batches.of_classes(given.samples.halves("train")[1][given.pairs[0]], labelled=labelled),
        threads=batches.threads,
        device=batches.device,
    )
    validation_size = min(batches.validation_size, given.samples.size("validation"))
    return _scoring(problem, validation_size, {"scores": Scores(problem)}, projected=batches.projected)


def _dataset(data: str | Path | Dataset) -> Dataset:
    if isinstance(data, Dataset):
        return data
    if isinstance(data, str) and (data in NAMES or (Path(data).stem == data and not Path(data).exists())):
        return load_dataset(data)  # its error for an unknown name lists the known ones
    if isinstance(data, str | Path):
        return load_dataset("auto", data)
    raise TypeError(f"data must be a name, a path or a Dataset, got {type(data).__name__}")
