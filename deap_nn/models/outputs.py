"""The inputs and outputs of a Keras model: with other weights, as logits or probabilities, and by layer."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deap_nn.models.tensorflow import keras, tf

_ARRANGING = (
    keras.layers.Reshape,
    keras.layers.Flatten,
    keras.layers.Permute,
    keras.layers.Identity,
    keras.layers.Dropout,
)


FEW = 32
"""The number of samples on which the outputs of a model are tried."""


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
    said = re.sub(r"\x1b\[\d*m", "", str(error)).partition("\nArguments received by")[0]
    said = re.sub(r"\[[][\s\d.eE+-]{80,}", "", said)  # an array
    lines = [line.strip() for line in said.splitlines() if line.strip()] or [type(error).__name__]
    inside = lines[0].startswith("Exception encountered when calling") and len(lines) > 1
    return f"{lines[0].rstrip('.')}: {lines[1]}" if inside else " ".join(lines[:3])


def outputs_alike(model: keras.Model, again: keras.Model, inputs: Any) -> bool:
    """Return whether a rebuilt model has weights of the same shapes, and the same outputs for some samples, if any."""
    shapes = [[tuple(variable.shape) for variable in one.trainable_variables] for one in (model, again)]
    if inputs is None or shapes[0] != shapes[1]:
        return shapes[0] == shapes[1]
    found = []
    weights = [variable.value for variable in model.trainable_variables]
    for one in (model, again):
        outputs = outputs_of(one, weights, [v.value for v in one.non_trainable_variables], inputs)
        found.append([np.asarray(output) for output in keras.tree.flatten(outputs)])
    return len(found[0]) == len(found[1]) and all(map(partial(np.allclose, equal_nan=True), *found))


def is_logits(model: keras.Model, place: int, outputs: Callable[[], Any]) -> bool:
    """Return whether an output of a model is logits, not probabilities.

    The activation of the last layer shows it, also inside a nested model, or before layers that only rearrange; else
    the outputs for some samples.

    Parameters
    ----------
    model : keras.Model
        A built model.
    place : int
        The index of the output.
    outputs : callable
        Returns the output for some samples, shape (samples, ..., classes).
    """
    tensors = keras.tree.flatten(getattr(model, "outputs", None) or [])
    tensor = tensors[place] if place < len(tensors) else None
    while tensor is not None:
        layer = tensor._keras_history.operation
        if isinstance(layer, keras.Model):
            return is_logits(layer, tensor._keras_history.tensor_index, outputs)
        if not isinstance(layer, _ARRANGING):
            break
        tensor = layer.input
    else:
        layer = None
    activation = getattr(layer, "activation", None)
    if isinstance(layer, keras.layers.Softmax) or activation in (keras.activations.softmax, keras.activations.sigmoid):
        return False
    if activation is keras.activations.linear:
        return True
    values = np.asarray(outputs(), np.float64)
    if values.ndim == 1 or values.shape[-1] == 1:
        return bool(np.any((values < 0) | (values > 1)))
    return bool(np.any(values < 0) or not np.allclose(values.sum(-1), 1, atol=1e-3))


def few_of(model: keras.Model, samples: NDArray[Any]) -> NDArray[np.float32]:
    """Return a few samples in the form for a model with one input: float32, in its shape, and bytes divided by 255."""
    shape, few = tuple(model.inputs[0].shape[1:]), samples[:FEW]
    inputs = few.astype(np.float32) / np.float32(255 if samples.dtype == np.uint8 else 1)
    return inputs if None in shape else inputs.reshape(-1, *shape)


def check_fit(model: keras.Model, sample_shape: tuple[int, ...], classes: int) -> None:
    """Raise ValueError if samples do not fit a model's input, or classes do not fit its output.

    Parameters
    ----------
    model : keras.Model
        The model.
    sample_shape : tuple of int
        The shape of one sample.
    classes : int
        The number of classes of the labels.
    """
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(f"model {model.name!r} must have one input and one output")
    wanted, outputs = tuple(model.inputs[0].shape[1:]), int(model.outputs[0].shape[-1])
    if None not in wanted and np.prod(sample_shape) != np.prod(wanted):
        raise ValueError(f"model {model.name!r} takes samples of shape {wanted}, the data have {sample_shape}")
    if classes > outputs:
        raise ValueError(f"model {model.name!r} has outputs for {outputs} classes, the data have {classes}")


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
    try:
        with warnings.catch_warnings(), keras.StatelessScope():
            warnings.filterwarnings("error", "The structure of `inputs` doesn't match")
            return model(keras.tree.map_structure(tf.constant, inputs), training=False)
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
        return tuple(is_logits(model, i, partial(np.asarray, output)) for i, output in enumerate(outputs))
    flags = (given,) * len(outputs) if isinstance(given, bool) else tuple(given)
    if len(flags) != len(outputs) or not all(isinstance(flag, bool) for flag in flags):
        raise ValueError(f"from_logits must be True or False for each of {len(outputs)} outputs, got {given!r}")
    return flags
