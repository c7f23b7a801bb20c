"""What a genome is scored on: a model, data and objectives, all that a worker needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from deap_nn.data.registry import DataReference
from deap_nn.models.reference import ModelReference
from deap_nn.problems.objectives import Objective

FitnessName = Literal["error", "cross_entropy"]

CROSS_ENTROPIES = ("sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy")
"""Keras' losses that are a cross-entropy in nats."""


@dataclass(frozen=True)
class Problem:
    """What a genome is scored on: small, immutable, and all that a worker needs to know.

    Parameters
    ----------
    model : ModelReference
        The network.
    data : DataReference
        The samples.
    objectives : tuple of Objective
        The fitness values.
    batch_size : int
        Samples in a mini-batch.
    seed : int
        With the generation it decides the mini-batch.
    from_logits : tuple of bool
        Whether each output of the network is of logits, and not of probabilities.
    pairs : tuple of int
        Which target each output has.
    weights : tuple of float
        The fitness' own: negative where an objective is minimised.
    threads : int
        How many threads TensorFlow may use in a process.
    precision : {"float32", "bfloat16"}
        What the fitness is computed in; validation and test are always computed in float32.
    device : {"cpu", "gpu"}
        What it is computed on.
    batch_generations : int
        How many generations a mini-batch stays.
    images : bool
        Whether the data are a `Dataset` of images, which take the shape of the network's only input, and whose bytes
        are divided by 255 before it sees them.
    """

    model: ModelReference
    data: DataReference
    objectives: tuple[Objective, ...]
    batch_size: int
    seed: int
    from_logits: tuple[bool, ...] = (True,)
    pairs: tuple[int, ...] = (0,)
    weights: tuple[float, ...] = (-1.0,)
    threads: int = 1
    precision: Literal["float32", "bfloat16"] = "float32"
    device: Literal["cpu", "gpu"] = "cpu"
    batch_generations: int = 1
    images: bool = False

    @property
    def measure(self) -> Objective:
        """What ``error_rate`` and the log tell: the share of images that is misread, else the first objective."""
        return MISREAD if self.images else self.objectives[0]

    @property
    def fitness(self) -> FitnessName | None:
        """What an `ErrorScaled` sigma can follow: "error" or "cross_entropy", or None."""
        if len(self.objectives) != 1:
            return None
        kind, name = self.objectives[0].kind, self.objectives[0].name
        if kind == "error":
            return "error"
        return "cross_entropy" if kind == "cross_entropy" or (kind == "loss" and name in CROSS_ENTROPIES) else None

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Take the state of a pickle; those of former versions had one fitness by name, and one flag for logits."""
        state = dict(state)
        if "objectives" not in state:
            state["objectives"] = (of_classes(state.pop("fitness")),)
            state |= {"from_logits": (bool(state["from_logits"]),), "images": True}
        vars(self).update(state)


def of_classes(fitness: FitnessName) -> Objective:
    """Return the objective of a model with one output, by the name of the fitness."""
    return Objective(fitness, fitness, place=0)


MISREAD = of_classes("error")
