"""Layers of a rebuilt model that compute otherwise: centred on a mini-batch, or with weights rounded to bfloat16."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from deap_nn.genome.vectors import Matrix, Vector
from deap_nn.models.outputs import outputs_of
from deap_nn.models.tensorflow import keras

_ROUNDING = (keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)

CENTRING_SAMPLES = 1000
"""The number of training samples whose means are subtracted from the biases of a network that was scored centred."""

CENTRING_BATCH = 100
"""The number of samples over which a large network is centred for its means, which are averaged over such batches.

A task computes a batch. The error was that of one batch of 1,000 in each network tried: with ``mnist_deep`` on 5,000
validation digits 0.0536 and 0.0536, 0.1922 and 0.1920, 0.5120 and 0.5122."""

_hooked = threading.RLock()  # two threads would replace the same activations, and restore each other's


def centred_layers(model: keras.Model) -> list[keras.layers.Layer]:
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
            found += centred_layers(layer)
        elif type(layer) is keras.layers.Dense and layer.use_bias and layer.bias.trainable:
            found.append(layer)
    return found


@contextlib.contextmanager
def _before_activation(
    layers: Sequence[keras.layers.Layer], change: Callable[[keras.layers.Layer, Any], Any]
) -> Iterator[None]:
    """Let `change` replace the outputs of layers before their activation, in calls and traces of the body."""

    def changed(layer: keras.layers.Layer, activation: Callable[[Any], Any], outputs: Any) -> Any:
        return activation(change(layer, outputs))

    with _hooked:
        before = [layer.activation for layer in layers]
        # `vars` sets the attribute without Keras' tracking. A Dense layer adds the bias, then calls the activation.
        for layer, activation in zip(layers, before, strict=True):
            vars(layer)["activation"] = partial(changed, layer, activation)
        try:
            yield
        finally:
            for layer, activation in zip(layers, before, strict=True):
                vars(layer)["activation"] = activation


def _shift(layer: keras.layers.Layer, outputs: Any) -> Any:
    """Return the mean over samples and positions of a layer's outputs, without the bias; shape (units,)."""
    outputs, bias = _not_rounded(outputs), _not_rounded(layer.bias)
    if len(outputs.shape) > 2:
        return keras.ops.mean(outputs, axis=tuple(range(len(outputs.shape) - 1))) - bias
    total, samples = outputs, outputs.shape[0]
    # Halves are added in place of a sum by the library, whose order for a group of networks is another one.
    while (count := total.shape[0]) > 1:
        half = count // 2
        rest = total[2 * half :]
        total = total[:half] + total[half : 2 * half]
        if count % 2:
            total = keras.ops.concatenate([total, rest])
    return total[0] / samples - bias


def _not_rounded(tensor: Any) -> Any:
    """Return a tensor as float32 if it has fewer bits."""
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    return keras.ops.cast(tensor, "float32") if dtype in ("bfloat16", "float16") else tensor


def _without(outputs: Any, shift: Any) -> Any:
    return keras.ops.cast(_not_rounded(outputs) - shift, outputs.dtype)


def centring(layers: Sequence[keras.layers.Layer]) -> contextlib.AbstractContextManager[None]:
    """Let layers subtract from their outputs the mean over the samples, in calls and traces of the body.

    With inputs x, a layer computes ``W x + b - mean(W x)`` before its activation. The mean is over the samples of the
    call, and over their positions if there are any, for each unit. So noise in W, of which most acts on all samples
    alike, no longer shifts the units' outputs. It is the shift of batch normalisation without the scale.

    References
    ----------
    N. N. Schraudolph, "Centering neural network gradient factors", in "Neural Networks: Tricks of the Trade", 1998.
    """
    return _before_activation(layers, lambda layer, outputs: _without(outputs, _shift(layer, outputs)))


def shifts_of(model: keras.Model, call: Callable[[], Any]) -> dict[int, Any]:
    """Return the mean that each centred layer subtracts in a call of the model, by the index of its trainable bias."""
    places = {id(variable): place for place, variable in enumerate(model.trainable_variables)}
    shifts: dict[int, Any] = {}

    def shifted(layer: keras.layers.Layer, outputs: Any) -> Any:
        shifts[places[id(layer.bias)]] = shift = _shift(layer, outputs)
        return _without(outputs, shift)

    with _before_activation(centred_layers(model), shifted):
        call()
    return shifts


def inputs_of(
    model: keras.Model, layers: Sequence[keras.layers.Layer], call: Callable[[], Any], samples: int
) -> dict[int, Any]:
    """Return the inputs of dense layers in a call of the model, shape (samples, inputs), by the index of the kernel.

    Layers are left out whose kernel does not evolve, that are called for several positions of a sample, or that have no
    more inputs than there are `samples`.
    """
    places = {id(variable): place for place, variable in enumerate(model.trainable_variables)}
    found: dict[int, Any] = {}

    def noting(layer: keras.layers.Layer, inputs: Any, *rest: Any, **words: Any) -> Any:
        place = places.get(id(layer.kernel))
        if place is not None and tuple(inputs.shape[:-1]) == (samples,) and samples < inputs.shape[-1]:
            found[place] = _not_rounded(inputs)
        return type(layer).call(layer, inputs, *rest, **words)

    with _hooked:
        for layer in layers:  # `vars` sets the attribute without Keras' tracking
            vars(layer)["call"] = partial(noting, layer)
        try:
            call()
        finally:
            for layer in layers:
                del vars(layer)["call"]
    return found


def mean_shifts(found: Iterable[Mapping[int, Any]]) -> dict[int, Vector]:
    """Return the means over batches of what `shifts_of` returned for each, summed in float64 in their order."""
    each = list(found)
    stacked = {place: np.stack([shifts[place] for shifts in each]) for place in each[0]}
    return {place: shifts.mean(axis=0, dtype=np.float64).astype(np.float32) for place, shifts in stacked.items()}


def without_shifts(weights: Sequence[Matrix], shifts: Mapping[int, Vector]) -> list[Matrix]:
    """Return weights whose biases are less the given shifts; the other matrices are returned as they are."""
    return [matrix - shifts[place] if place in shifts else matrix for place, matrix in enumerate(weights)]


def with_means(
    model: keras.Model, weights: Sequence[Matrix], batches: Sequence[Any], *, centred: bool = True
) -> list[Matrix]:
    """Return the weights with which a model has the outputs that it has with centred layers.

    From the bias of each centred layer the mean is subtracted that the layer subtracts, averaged over batches of
    samples. The kernels are returned as they are.

    Parameters
    ----------
    model : keras.Model
        The network; it does not change.
    weights : sequence of numpy.ndarray
        A matrix for each trainable weight.
    batches : sequence of nests of tensors
        Batches of the same number of samples, as the model takes them.
    centred : bool
        False for the inverse: weights of the model as it is, for which the centred layers have the same outputs.
    """
    state = [variable.value for variable in model.non_trainable_variables]

    def shifts(given: Sequence[Matrix]) -> dict[int, Vector]:
        calls = (partial(outputs_of, model, given, state, inputs) for inputs in batches)
        return mean_shifts({k: np.asarray(v) for k, v in shifts_of(model, call).items()} for call in calls)

    if centred:
        return without_shifts(weights, shifts(weights))
    found = list(weights)
    for _ in centred_layers(model):  # each layer's mean depends on the biases of the layers before it
        found = without_shifts(weights, {place: -shift for place, shift in shifts(found).items()})
    return found


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
    if not all(type(layer).__module__.startswith("keras.") for layer in every):
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
