"""A problem: the model, data and objectives by which a worker scores genomes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from deap_nn.data.dataset import Dataset
from deap_nn.data.loading import find_dataset, load_dataset
from deap_nn.data.minibatches import Strata
from deap_nn.data.registry import NAMES, DataReference

if TYPE_CHECKING:  # functions import TensorFlow when they are called: it takes seconds
    import keras

    from deap_nn.models.reference import ModelReference
    from deap_nn.problems.objectives import FitnessName, Objective


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
    casewise : bool
        Whether the fitness is the mean of a loss for each sample, by which layers can move.
    keeps_features : bool
        Whether the outputs of the layers before the first one that moves are kept, for genomes with equal such layers.
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
    casewise: bool = False
    keeps_features: bool = False

    @property
    def measure(self) -> Objective:
        """The objective of ``error_rate`` and the log: the error rate of images, else the first objective."""
        from deap_nn.problems.objectives import of_classes

        return of_classes("error") if self.images else self.objectives[0]

    @property
    def logged(self) -> str:
        """The name of the measure, ``-auc`` if an AUC is maximised: the log has its negative, as less is better."""
        return f"{'-' if self.weights[0] > 0 else ''}{self.measure.name}"

    @property
    def centred_layers(self) -> list[str]:
        """The names of the layers that are centred."""
        from deap_nn.models.layers import centrable_layers
        from deap_nn.models.reference import model_of

        return [layer.name for layer in centrable_layers(model_of(self.model))] if self.centred else []

    @property
    def moved_layers(self) -> dict[int, str]:
        """The names of the centred layers that can move along their inputs, by the index of the kernel."""
        from deap_nn.models.layers import moved_layers
        from deap_nn.models.reference import model_of

        return {at: layer.name for at, layer in moved_layers(model_of(self.model)).items()} if self.centred else {}

    @property
    def fitness(self) -> FitnessName | None:
        """The objective that an `ErrorScaled` sigma can follow, "error" or "cross_entropy", or None."""
        from deap_nn.problems.objectives import followed

        return followed(self.objectives)


USUAL_BATCH_SIZE = 64
"""The default number of samples in a mini-batch; all of them if they are fewer."""


def checked(problem: Problem) -> Problem:
    """Return a problem; ValueError if its mini-batches cannot be drawn, centred or stratified."""
    samples, size = find_dataset(problem.data), problem.batch_size
    count = samples.size("train")
    if size > count:
        raise ValueError(f"batch_size must be at most the {count} training samples, got {size}")
    if problem.centred and size < 2:
        raise ValueError(f"centred needs a mini-batch of at least 2 samples, got {size}: one has no other mean")
    labelled = problem.objectives[0].kind in ("error", "cross_entropy")
    if problem.stratified and not (labelled and Strata.of(samples.halves("train")[1][problem.pairs[0]])):
        raise ValueError("stratified needs a target of classes, scored by 'error' or 'cross_entropy'")
    return problem


def of_labelled_data(
    model: str | keras.Model,
    data: str | Path | Dataset,
    fitness: FitnessName,
    batch_size: int | None,
    *,
    centred: bool,
    **settings: Any,
) -> Problem:
    """Return the problem of a model of classes on labelled data; `settings` are further arguments of `Problem`."""
    from deap_nn.models.layers import check_centred
    from deap_nn.models.outputs import check_fit, few_of, is_logits
    from deap_nn.models.reference import model_of, reference_of
    from deap_nn.problems.objectives import of_classes

    dataset = _dataset(data)
    reference = reference_of(model)
    network = model_of(reference)
    check_fit(network, dataset.x_train.shape[1:], dataset.classes)
    few = few_of(network, dataset.x_train)
    if not isinstance(model, str):
        reference = replace(reference, inputs=few)
    if centred:
        check_centred(network)
    return checked(
        Problem(
            reference,
            dataset.reference,
            (of_classes(fitness),),
            batch_size or min(USUAL_BATCH_SIZE, len(dataset.x_train)),
            from_logits=(is_logits(network, 0, lambda: network(few, training=False)),),
            images=True,
            centred=centred,
            casewise=True,
            **settings,
        )
    )


def _dataset(data: str | Path | Dataset) -> Dataset:
    if isinstance(data, Dataset):
        return data
    if isinstance(data, str) and (data in NAMES or (Path(data).stem == data and not Path(data).exists())):
        return load_dataset(data)  # its error for an unknown name lists the known ones
    if isinstance(data, str | Path):
        return load_dataset("auto", data)
    raise TypeError(f"data must be a name, a path or a Dataset, got {type(data).__name__}")
