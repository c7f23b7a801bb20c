"""Layers of a rebuilt model that compute otherwise: centred on a mini-batch, or with weights rounded to bfloat16."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from deap_nn.genome.vectors import Matrix
from deap_nn.models.outputs import outputs_of
from deap_nn.models.tensorflow import keras

_ROUNDING = (keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)

CENTRING_SAMPLES = 1000
"""The number of training samples whose means are subtracted from the biases of a network that was scored centred."""

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
    if len(outputs.shape) > 2:
        return keras.ops.mean(outputs, axis=tuple(range(len(outputs.shape) - 1))) - layer.bias
    total, samples = outputs, outputs.shape[0]
    # Halves are added in place of a sum by the library, whose order for a group of networks is another one.
    while (count := total.shape[0]) > 1:
        half = count // 2
        rest = total[2 * half :]
        total = total[:half] + total[half : 2 * half]
        if count % 2:
            total = keras.ops.concatenate([total, rest])
    return total[0] / samples - layer.bias


def centring(layers: Sequence[keras.layers.Layer]) -> contextlib.AbstractContextManager[None]:
    """Let layers subtract from their outputs the mean over the samples, in calls and traces of the body.

    With inputs x, a layer computes ``W x + b - mean(W x)`` before its activation. The mean is over the samples of the
    call, and over their positions if there are any, for each unit. So noise in W, of which most acts on all samples
    alike, no longer shifts the units' outputs. It is the shift of batch normalisation without the scale.

    References
    ----------
    N. N. Schraudolph, "Centering neural network gradient factors", in "Neural Networks: Tricks of the Trade", 1998.
    """
    return _before_activation(layers, lambda layer, outputs: outputs - _shift(layer, outputs))


def with_means(model: keras.Model, weights: Sequence[Matrix], inputs: Any, *, centred: bool = True) -> list[Matrix]:
    """Return the weights with which a model has the outputs for `inputs` that it has with centred layers.

    The mean that a centred layer subtracts is subtracted from its bias. The kernels are returned as they are.

    Parameters
    ----------
    model : keras.Model
        The network; it does not change.
    weights : sequence of numpy.ndarray
        A matrix for each trainable weight.
    inputs : nest of tensors
        Samples as the model takes them.
    centred : bool
        False for the inverse: weights of the model as it is, for which the centred layers have the same outputs.
    """
    shifts: dict[int, Any] = {}

    def shifted(layer: keras.layers.Layer, outputs: Any) -> Any:
        shifts[id(layer.bias)] = shift = _shift(layer, outputs)
        return outputs - shift if centred else outputs

    with _before_activation(centred_layers(model), shifted):
        outputs_of(model, weights, [variable.value for variable in model.non_trainable_variables], inputs)
    found = []
    for variable, matrix in zip(model.trainable_variables, weights, strict=True):
        shift = shifts.get(id(variable))
        found.append(matrix if shift is None else matrix - np.asarray(shift) if centred else matrix + np.asarray(shift))
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
