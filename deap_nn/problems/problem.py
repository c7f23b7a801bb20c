"""A problem: the model, data and objectives by which a worker scores genomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from deap_nn.data.registry import DataReference
from deap_nn.models.reference import ModelReference
from deap_nn.problems.objectives import Objective

FitnessName = Literal["error", "cross_entropy"]

CROSS_ENTROPIES = ("sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy")
"""Keras' losses that are a cross-entropy in nats."""


@dataclass(frozen=True)
class Problem:
    """The model, data and objectives by which genomes are scored: small, immutable, and complete for a worker.

    Parameters
    ----------
    model : ModelReference
        The network.
    data : DataReference
        The samples.
    objectives : tuple of Objective
        The fitness values.
    batch_size : int
        The number of samples in a mini-batch.
    seed : int
        The seed of the mini-batches.
    from_logits : tuple of bool
        Whether each output of the network is logits, not probabilities.
    pairs : tuple of int
        The index of the target of each output.
    weights : tuple of float
        The weights of the fitness: negative for an objective that is minimised.
    threads : int
        The number of threads that TensorFlow may use in a process.
    precision : {"float32", "bfloat16"}
        The arithmetic of the fitness; validation and test are always computed in float32.
    device : {"cpu", "gpu"}
        The device that computes the fitness.
    images : bool
        Whether the data are a `Dataset` of images. Images are reshaped to the network's only input, and bytes are
        divided by 255.
    centred : bool
        Whether the fitness is that of the network with centred layers, as `KerasProblem` takes it.
    stratified : bool
        Whether each mini-batch has each class of the first output's target in proportion.
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
    images: bool = False
    centred: bool = False
    stratified: bool = False

    @property
    def measure(self) -> Objective:
        """The objective of ``error_rate`` and the log: the error rate of images, else the first objective."""
        return MISREAD if self.images else self.objectives[0]

    @property
    def centred_layers(self) -> list[str]:
        """The names of the layers that are centred."""
        from deap_nn.models.layers import centrable_layers
        from deap_nn.models.reference import model_of

        return [layer.name for layer in centrable_layers(model_of(self.model))] if self.centred else []

    @property
    def fitness(self) -> FitnessName | None:
        """The objective that an `ErrorScaled` sigma can follow, "error" or "cross_entropy", or None."""
        return followed(self.objectives)


def followed(objectives: Sequence[Objective]) -> FitnessName | None:
    """Return the objective that an `ErrorScaled` sigma can follow, if it is the only one; else None."""
    if len(objectives) != 1:
        return None
    kind, name = objectives[0].kind, objectives[0].name
    if kind == "error":
        return "error"
    return "cross_entropy" if kind == "cross_entropy" or (kind == "loss" and name in CROSS_ENTROPIES) else None


def of_classes(fitness: FitnessName) -> Objective:
    """Return the objective of a fitness by its name, for a model with one output."""
    return Objective(fitness, fitness, place=0)


MISREAD = of_classes("error")
"""The error rate of a model with one output."""
