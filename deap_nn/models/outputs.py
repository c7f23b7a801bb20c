"""The outputs of a Keras model: with other weights, as logits or probabilities, and by layer."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from deap_nn.models.tensorflow import keras, tf

_ARRANGING = (
    keras.layers.Reshape,
    keras.layers.Flatten,
    keras.layers.Permute,
    keras.layers.Identity,
    keras.layers.Dropout,
)


def outputs_of(model: keras.Model, weights: Sequence[Any], state: Sequence[Any], inputs: Any) -> Any:
    """Return a model's outputs in inference with other weights and state; the model does not change."""
    said = {"training": False} if "training" in inspect.signature(model.call).parameters else {}
    outputs, _ = model.stateless_call(list(weights), list(state), inputs, **said)
    return outputs


def as_float32(output: Any) -> Any:
    """Return an output as float32, without Keras' mask, but with the logits by which Keras computes cross-entropies."""
    # `identity` makes a tensor without the attributes that Keras has set.
    converted = tf.identity(tf.cast(tf.convert_to_tensor(output), tf.float32))
    if hasattr(output, "_keras_logits"):
        converted._keras_logits = tf.cast(output._keras_logits, tf.float32)
    return converted


def with_logits(outputs: Sequence[Any]) -> list[Any]:
    """Return outputs, then the logits of each output that a softmax or sigmoid made."""
    return [*outputs, *(output._keras_logits for output in outputs if hasattr(output, "_keras_logits"))]


def reason_of(error: Exception) -> str:
    """Return the reason of an error of Keras or TensorFlow in one line, with the layer that raised it, if any."""
    lines = [re.sub(r"\x1b\[\d*m", "", line).strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line] or [type(error).__name__]
    inside = lines[0].startswith("Exception encountered when calling") and len(lines) > 1
    return f"{lines[0].rstrip('.')}: {lines[1]}" if inside else lines[0]


def outputs_alike(model: keras.Model, again: keras.Model, inputs: Any) -> bool:
    """Return whether a rebuilt model has the same outputs for some samples with the same weights."""
    found = []
    weights = [variable.value for variable in model.trainable_variables]
    for one in (model, again):
        outputs = outputs_of(one, weights, [v.value for v in one.non_trainable_variables], inputs)
        found.append([np.asarray(output) for output in keras.tree.flatten(outputs)])
    return len(found[0]) == len(found[1]) and all(map(partial(np.allclose, equal_nan=True), *found))


def layers_give_logits(model: keras.Model, place: int = 0) -> bool | None:
    """Return whether an output of a model is logits, or None if its layers do not show it.

    The activation of the last layer shows it, also inside a nested model, or before layers that only rearrange. The
    parameters are as in `is_logits`.
    """
    tensors = keras.tree.flatten(getattr(model, "outputs", None) or [])
    tensor = tensors[place] if place < len(tensors) else None
    while tensor is not None:
        layer = tensor._keras_history.operation
        if isinstance(layer, keras.Model):
            return layers_give_logits(layer, tensor._keras_history.tensor_index)
        if not isinstance(layer, _ARRANGING):
            break
        tensor = layer.input
    else:
        layer = None
    activation = getattr(layer, "activation", None)
    if isinstance(layer, keras.layers.Softmax) or activation in (keras.activations.softmax, keras.activations.sigmoid):
        return False
    return True if activation is keras.activations.linear else None


def is_logits(model: keras.Model, place: int = 0, output: Any = None) -> bool:
    """Return whether an output of a model is logits, not probabilities.

    The layers of the model show it, or else its outputs for some samples.

    Parameters
    ----------
    model : keras.Model
        A built model.
    place : int
        The index of the output.
    output : array_like or callable, optional
        The output for some samples, or a function that returns it; shape (samples, ..., classes). Without it, an output
        that layers do not show is taken for logits.
    """
    shown = layers_give_logits(model, place)
    if shown is not None:
        return shown
    if output is None:
        return True
    values = np.asarray(output() if callable(output) else output, np.float64)
    if values.ndim == 1 or values.shape[-1] == 1:
        return bool(np.any((values < 0) | (values > 1)))
    return bool(np.any(values < 0) or not np.allclose(values.sum(-1), 1, atol=1e-3))


def output_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yield the output layers of a model, back to the nearest layers with weights, in nested models too."""
    for tensor in keras.tree.flatten(getattr(model, "outputs", None) or []):
        layer = tensor._keras_history.operation
        yield layer
        while isinstance(layer, (*_ARRANGING, keras.layers.Softmax, keras.layers.Activation)):
            layer = layer.input._keras_history.operation
            yield layer
        if isinstance(layer, keras.Model):
            yield from output_layers(layer)


def tried_outputs(model: keras.Model, inputs: Any) -> Any:
    """Return the model's outputs for some inputs; ValueError, in one line, if it does not take them."""
    weights, state = ([v.value for v in some] for some in (model.trainable_variables, model.non_trainable_variables))
    try:
        return outputs_of(model, weights, state, inputs)
    except Exception as error:
        raise ValueError(f"model {model.name!r} does not take x: {reason_of(error)}") from error


def output_names(model: keras.Model, structure: Any, count: int) -> list[str]:
    """Return the names of a model's outputs: its own, or the keys of the dictionary that it returns, or numbers."""
    if isinstance(structure, Mapping) and len(structure) == count:
        return sorted(structure)
    names = list(getattr(model, "output_names", None) or ())
    return names if len(names) == count else [f"output_{i}" for i in range(count)]


def logit_flags(given: bool | Sequence[bool] | None, model: keras.Model, outputs: Sequence[Any]) -> tuple[bool, ...]:
    """Return for each output whether it is logits: as given, or as `is_logits` finds; check the argument."""
    if given is None:
        return tuple(is_logits(model, i, output) for i, output in enumerate(outputs))
    flags = (given,) * len(outputs) if isinstance(given, bool) else tuple(given)
    if len(flags) != len(outputs) or not all(isinstance(flag, bool) for flag in flags):
        raise ValueError(f"from_logits must be True or False for each of {len(outputs)} outputs, got {given!r}")
    return flags


class _KeptWeights(keras.StatelessScope):  # type: ignore[misc]  # Keras is not typed
    """A scope in which no variable of a model changes, and layers read the original values of the kept variables."""

    def __init__(self, kept: Iterable[Any]) -> None:
        super().__init__()
        self._kept = {id(variable) for variable in kept}

    def add_update(self, update: tuple[Any, Any]) -> None:
        if id(update[0]) not in self._kept:
            super().add_update(update)


def recalibrate(model: keras.Model, batches: Iterable[Any]) -> None:
    """Set the statistics of BatchNormalization layers to the mean over mini-batches; change nothing else."""
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    statistics = [variable for layer in layers for variable in (layer.moving_mean, layer.moving_variance)]
    changing = {id(variable) for variable in statistics}
    before = [layer.momentum for layer in layers]
    scope = _KeptWeights(variable for variable in model.weights if id(variable) not in changing)
    try:
        with scope:
            for number, inputs in enumerate(batches, 1):
                for layer in layers:  # Keras' moving average then is the plain mean of all mini-batches so far
                    layer.momentum = 1.0 - 1.0 / number
                model(inputs, training=True)
    finally:
        for layer, momentum in zip(layers, before, strict=True):
            layer.momentum = momentum
    for variable in statistics:
        if (value := scope.get_current_value(variable)) is not None:  # a frozen layer keeps its statistics
            variable.assign(value)
