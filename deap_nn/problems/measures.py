"""Measurements of labelled data on whole splits, as tasks of a map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from deap_nn.data.dataset import Split
from deap_nn.data.loading import find_dataset
from deap_nn.genome.weight_list import WeightList
from deap_nn.models.reference import trained_model
from deap_nn.models.tensorflow import keras
from deap_nn.problems.evaluate import OnProblem, size_of_part, stretches
from deap_nn.problems.labelled import CHUNK, Problem, Scorer
from deap_nn.problems.scorer import Map, scorer

Task = tuple[WeightList, str, int, int]
"""An individual, a part ("batch" for the mini-batch of a generation) and the samples or generation meant."""


class CountMisread(OnProblem):
    """A task of a map: how many samples of a stretch an individual misreads."""

    has_limit = False
    """A limit of time is for the fitness."""

    def __call__(self, task: Task) -> int:
        """Return the count for an individual, a part, and the first sample and the one after the last."""
        individual, split, start, stop = task
        scoring: Scorer = scorer(self.problem)
        if split == "batch":
            return scoring.batch_misread(individual, start)
        return scoring.misread(individual, cast(Split, split), start, stop)


class ErrorRate(OnProblem):
    """A toolbox's ``error_rate``: the share of a part that is misread, its stretches scored through a map."""

    def __call__(self, individual: WeightList, split: Split, *, size: int | None = None, map: Map = map) -> float:
        """Return the error rate on all of a part, or on its first `size` samples, at least 1; 0 to 1."""
        if split not in ("train", "validation", "test"):
            raise ValueError(f"split must be 'train', 'validation' or 'test', got {split!r}")
        size = size_of_part(len(find_dataset(self.problem.data).part(split)[1]), size)
        return sum(map(CountMisread(self.problem), stretches(self.problem, individual, split, size, CHUNK))) / size


class Answers(OnProblem):
    """A task of a map: what an individual answers to a stretch of samples."""

    has_limit = False
    """A limit of time is for the fitness."""

    def __call__(self, task: Task) -> NDArray[np.float32]:
        """Return the probability of each class, for an individual, a part, the first sample and the one after the last.

        Shape (samples, classes).
        """
        individual, split, start, stop = task
        scoring: Scorer = scorer(self.problem)
        return scoring.answers(individual, cast(Split, split), start, stop)


class VoteErrorRate(OnProblem):
    """A toolbox's ``vote_error_rate``: the share of a part that several individuals together misread.

    The answer is the class to which they give the highest mean probability.

    References
    ----------
    L. K. Hansen and P. Salamon, "Neural network ensembles", IEEE Transactions on Pattern Analysis and Machine
    Intelligence 12, 1990.
    """

    def __call__(self, individuals: Sequence[WeightList], split: Split, *, map: Map = map) -> float:
        """Return the error rate on all of a part, 0 to 1."""
        if split not in ("train", "validation", "test"):
            raise ValueError(f"split must be 'train', 'validation' or 'test', got {split!r}")
        if not individuals:
            raise ValueError("individuals must not be empty")
        labels = find_dataset(self.problem.data).part(split)[1]
        parts = [stretches(self.problem, individual, split, len(labels), CHUNK) for individual in individuals]
        answers = iter(map(Answers(self.problem), [task for part in parts for task in part]))
        total: Any = 0.0
        for part in parts:
            total = total + np.concatenate([next(answers) for _ in part]).astype(np.float64)
        return float(np.mean(np.argmax(total, axis=1) != labels))


class ToModel(OnProblem):
    """A toolbox's ``to_model``: the Keras model with an individual's weights."""

    def __call__(self, individual: WeightList) -> keras.Model:
        """Return a new model that answers as was scored."""
        return trained_model(self.problem.model, individual)


class Assess(OnProblem):
    """A toolbox's ``assess``: what the logbook says about the best member of a generation.

    Parameters
    ----------
    problem : Problem
        What to score on.
    validation_size : int
        How many validation samples count.
    """

    def __init__(self, problem: Problem, validation_size: int) -> None:
        super().__init__(problem)
        self.validation_size = validation_size

    def __call__(self, individual: WeightList, generation: int, *, map: Map = map) -> dict[str, float]:
        """Return the error on the generation's mini-batch and on the first validation samples."""
        tasks: Sequence[Task] = [
            (individual, "batch", generation, generation),
            *stretches(self.problem, individual, "validation", self.validation_size, CHUNK),
        ]
        on_batch, *counts = map(CountMisread(self.problem), tasks)
        return {"train_error": on_batch / self.problem.batch_size, "val_error": sum(counts) / self.validation_size}
