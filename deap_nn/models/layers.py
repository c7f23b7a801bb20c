"""Layers of a scored model that compute otherwise: centred on a mini-batch, or with weights rounded to bfloat16."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from deap_nn.core.seeding import global_state_kept
from deap_nn.genome.vectors import Matrix, Vector
from deap_nn.models.outputs import outputs_of
from deap_nn.models.tensorflow import keras

CENTRING_SAMPLES = 1000
"""The number of training samples whose means are subtracted from the biases of a network that was scored centred."""

CENTRING_BATCH = 100
"""The number of samples over which a large network is centred for its means, which are averaged over such batches.

A task computes a batch. The error was that of one batch of 1,000 in each network tried: with ``mnist_deep`` on 5,000
validation digits 0.0536 and 0.0536, 0.1922 and 0.1920, 0.5120 and 0.5122."""


@keras.saving.register_keras_serializable("deap_nn")
class CentredDense(keras.layers.Dense):  # type: ignore[misc]  # Keras is not typed
    """A dense layer that subtracts from its outputs their mean over the samples of the call.

    With inputs x, it computes ``W x + b - mean(W x)`` before its activation. The mean is over the samples, and over
    their positions if there are any, for each unit. So noise in W, of which most acts on all samples alike, no longer
    shifts the units' outputs. It is the shift of batch normalisation without the scale.

    References
    ----------
    N. N. Schraudolph, "Centering neural network gradient factors", in "Neural Networks: Tricks of the Trade", 1998.
    """

    seen: tuple[Any, Any]
    """The inputs of the last call, and the mean over samples and positions of the outputs without the bias."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the outputs for inputs of shape (samples, ..., inputs)."""
        outputs = keras.ops.add(keras.ops.matmul(inputs, self.kernel), self.bias)
        shift = _mean(_not_rounded(outputs)) - _not_rounded(self.bias)
        object.__setattr__(self, "seen", (inputs, shift))  # without Keras' tracking of attributes
        return self.activation(keras.ops.cast(_not_rounded(outputs) - shift, outputs.dtype))


def _mean(outputs: Any) -> Any:
    """Return the mean over samples and positions; shape (units,)."""
    if len(outputs.shape) > 2:
        return keras.ops.mean(outputs, axis=tuple(range(len(outputs.shape) - 1)))
    total, samples = outputs, outputs.shape[0]
    # Halves are added in place of a sum by the library, whose order for a group of networks is another one.
    while (count := total.shape[0]) > 1:
        half = count // 2
        rest = total[2 * half :]
        total = total[:half] + total[half : 2 * half]
        if count % 2:
            total = keras.ops.concatenate([total, rest])
    return total[0] / samples


def _not_rounded(tensor: Any) -> Any:
    """Return a tensor as float32 if it has fewer bits."""
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    return keras.ops.cast(tensor, "float32") if dtype in ("bfloat16", "float16") else tensor


def centrable_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers of a model that can be centred.

    These are the dense layers with a bias that evolves, each called once, of sequential and functional models, and of
    such models in these. A layer that is called twice would need two biases. Convolutional layers are left as they are:
    to centre them too costs a sixth of the CNN's forward pass, and its error was the same.
    """
    if type(model).__name__ not in ("Sequential", "Functional"):
        return []
    graph = getattr(model, "_functional", model)
    calls = Counter(id(node.operation) for nodes in graph._nodes_by_depth.values() for node in nodes)
    found: list[keras.layers.Layer] = []
    for layer in model.layers:
        if calls[id(layer)] != 1:
            continue
        if isinstance(layer, keras.Model):
            found += centrable_layers(layer)
        elif type(layer) is keras.layers.Dense and layer.use_bias and layer.bias.trainable:
            found.append(layer)
    return found


def check_centred(model: keras.Model) -> None:
    """Raise ValueError if no layer of a model can be centred."""
    if not centrable_layers(model):
        raise ValueError(
            "centred needs a sequential or functional model that can be built again, with a Dense layer that is "
            "called once and has a bias that evolves"
        )


def moved_layers(model: keras.Model) -> dict[int, keras.layers.Layer]:
    """Return the layers that move along their inputs, by the index of the kernel among the trainable weights.

    Of the layers that are centred, or can be (`centrable_layers`), these have a kernel that evolves, and one row of
    inputs for each sample.
    """
    places = _places(model)
    layers = _centred_layers(model) or centrable_layers(model)
    # A kernel with LoRA is a tensor.
    return {places[id(one.kernel)]: one for one in layers if id(one.kernel) in places and len(one.input.shape) == 2}


def split_before(model: keras.Model, layer: keras.layers.Layer) -> tuple[keras.Model, keras.Model] | None:
    """Return a sequential model as two, the layers before one of them and the rest; None if these have no weights."""
    if not isinstance(model, keras.Sequential) or layer not in model.layers:
        return None
    first, rest = keras.Model(model.inputs, layer.input), keras.Model(layer.input, model.outputs)
    return (first, rest) if first.trainable_variables else None


def check_projected(model: keras.Model, *, centred: bool) -> None:
    """Raise ValueError if no step can be projected: no layers are centred, or none has one row for each sample."""
    if not centred:
        raise ValueError("projected needs centred layers: centred=True, or KerasProblem(..., centred=True)")
    if not moved_layers(model):
        raise ValueError("projected needs a Dense layer with inputs of shape (samples, inputs)")


@global_state_kept()
def centred(model: keras.Model) -> keras.Model:
    """Return a clone of a model with centred layers; it shares all other layers with the model."""
    chosen = {id(layer) for layer in centrable_layers(model)}

    def cloned(layer: keras.layers.Layer) -> keras.layers.Layer:
        return CentredDense.from_config(layer.get_config()) if id(layer) in chosen else layer

    return keras.models.clone_model(model, clone_function=cloned, recursive=True)


def _centred_layers(model: keras.Model) -> list[CentredDense]:
    return [layer for layer in model._flatten_layers() if isinstance(layer, CentredDense)]


def _places(model: keras.Model) -> dict[int, int]:
    return {id(variable): place for place, variable in enumerate(model.trainable_variables)}


def shifts_of(model: keras.Model, call: Callable[[], Any]) -> dict[int, Any]:
    """Return the mean that each centred layer subtracts in a call of the model, by the index of its trainable bias."""
    call()
    places = _places(model)
    return {places[id(layer.bias)]: layer.seen[1] for layer in _centred_layers(model)}


def inputs_of(model: keras.Model, call: Callable[[], Any], samples: int) -> dict[int, Any]:
    """Return the inputs of centred layers in a call of the model, shape (samples, inputs), by the index of the kernel.

    These are the `moved_layers`; layers that a model calls with another number of rows than samples are left out.
    """
    call()
    found = {place: layer.seen[0] for place, layer in moved_layers(model).items()}
    return {place: _not_rounded(seen) for place, seen in found.items() if seen.shape[0] == samples}


def mean_shifts(found: Iterable[Mapping[int, Any]]) -> dict[int, Vector]:
    """Return the means over batches of what `shifts_of` returned for each, summed in float64 in their order."""
    each = list(found)
    stacked = {place: np.stack([shifts[place] for shifts in each]) for place in each[0]}
    return {place: shifts.mean(axis=0, dtype=np.float64).astype(np.float32) for place, shifts in stacked.items()}


def without_shifts(weights: Sequence[Matrix], shifts: Mapping[int, Vector]) -> list[Matrix]:
    """Return weights whose biases are less the given shifts; the other matrices are returned as they are."""
    return [matrix - shifts[place] if place in shifts else matrix for place, matrix in enumerate(weights)]


def fold(
    model: keras.Model, weights: Sequence[Matrix], batches: Sequence[Any], *, inverse: bool = False
) -> list[Matrix]:
    """Return the weights with which a model without centred layers has the outputs of one with them.

    From the bias of each centred layer the mean is subtracted that the layer subtracts, averaged over batches of
    samples. The kernels are returned as they are.

    Parameters
    ----------
    model : keras.Model
        The network with centred layers; it does not change.
    weights : sequence of numpy.ndarray
        A matrix for each trainable weight.
    batches : sequence of nests of tensors
        Batches of the same number of samples, as the model takes them.
    inverse : bool
        True for weights of the model without centred layers, to get those with which centred layers have its outputs.
    """
    state = [variable.value for variable in model.non_trainable_variables]

    def shifts(given: Sequence[Matrix]) -> dict[int, Vector]:
        calls = (partial(outputs_of, model, given, state, inputs) for inputs in batches)
        return mean_shifts({k: np.asarray(v) for k, v in shifts_of(model, call).items()} for call in calls)

    if not inverse:
        return without_shifts(weights, shifts(weights))
    found = list(weights)
    for _ in _centred_layers(model):  # each layer's mean depends on the biases of the layers before it
        found = without_shifts(weights, {place: -shift for place, shift in shifts(found).items()})
    return found


_ROUNDING = (CentredDense, keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)


def take_rounded(model: keras.Model) -> tuple[bool, ...]:
    """Let a model that computes in bfloat16 take some weights as bfloat16; return for each weight whether it does.

    These are weights that the model would round before anything else: the kernels and biases of dense and convolutional
    layers that compute in bfloat16, outside wrapper layers, if all layers of the model are Keras' own. The outputs keep
    their bits. The model can then only be called by ``stateless_call``.

    With "es", breeding and scoring a child of ``mnist_deep`` then takes 8.3 ms of processor time. It takes 10.9 ms if
    TensorFlow rounds, and 9.8 ms if a second pass rounds after breeding (medians of 9 pairs; AVX-512 BF16, one thread).
    """
    plain = {id(variable) for layer in _plain_layers(model) for variable in layer.trainable_variables}
    for variable in model.trainable_variables:
        if id(variable) in plain:
            variable._dtype = "bfloat16"  # otherwise Keras casts the given weight to float32, and rounds it again
    return tuple(id(variable) in plain for variable in model.trainable_variables)


def _plain_layers(model: keras.Model) -> list[keras.layers.Layer]:
    every = list(model._flatten_layers())
    if not all(type(layer) is CentredDense or type(layer).__module__.startswith("keras.") for layer in every):
        return []
    wrappers = [layer for layer in every if not isinstance(layer, keras.Model)]
    # A wrapper, such as SpectralNormalization, reads the weights of its inner layer itself.
    inside = {id(layer) for wrapper in wrappers for layer in wrapper._flatten_layers(include_self=False)}
    return [
        layer
        for layer in every
        if type(layer) in _ROUNDING
        and id(layer) not in inside
        and layer.compute_dtype == "bfloat16"
        and all(variable._dtype == "float32" for variable in layer.trainable_variables)
    ]
