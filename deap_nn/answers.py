"""What a Keras model answers: with weights from elsewhere, as logits or probabilities, and by which of its layers."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from deap_nn.tensorflow_setup import keras

_ARRANGING = (
    keras.layers.Reshape,
    keras.layers.Flatten,
    keras.layers.Permute,
    keras.layers.Identity,
    keras.layers.Dropout,
)


def answers_of(model: keras.Model, weights: Sequence[Any], state: Sequence[Any], inputs: Any) -> Any:
    """Return a model's outputs with other weights and state, as in inference; the model stays as it is."""
    said = {"training": False} if "training" in inspect.signature(model.call).parameters else {}
    outputs, _ = model.stateless_call(list(weights), list(state), inputs, **said)
    return outputs


def answers_with_logits(model: keras.Model, place: int = 0, output: Any = None) -> bool:
    """Return whether an output of a model is of logits, and not of probabilities.

    The activation of the layer that makes it tells, that of a model inside, or one before layers that only arrange;
    where none does, the answers to some samples.

    Parameters
    ----------
    model : keras.Model
        A built one.
    place : int
        Which of its outputs.
    output : array_like, optional
        What it answers to some samples; shape (samples, ..., classes).
    """
    tensors = keras.tree.flatten(getattr(model, "outputs", None) or [])
    tensor = tensors[place] if place < len(tensors) else None
    while tensor is not None:
        layer = tensor._keras_history.operation
        if isinstance(layer, keras.Model):
            return answers_with_logits(layer, tensor._keras_history.tensor_index, output)
        if not isinstance(layer, _ARRANGING):
            break
        tensor = layer.input
    else:
        layer = None
    activation = getattr(layer, "activation", None)
    if isinstance(layer, keras.layers.Softmax) or activation in (keras.activations.softmax, keras.activations.sigmoid):
        return False
    if output is None or activation is keras.activations.linear:
        return True
    values = np.asarray(output, np.float64)
    if values.ndim == 1 or values.shape[-1] == 1:
        return bool(np.any((values < 0) | (values > 1)))
    return bool(np.any(values < 0) or not np.allclose(values.sum(-1), 1, atol=1e-3))


def answering_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yield the layers whose answers are a model's, back to the first ones that have weights, in models inside too."""
    for tensor in keras.tree.flatten(getattr(model, "outputs", None) or []):
        layer = tensor._keras_history.operation
        yield layer
        while isinstance(layer, (*_ARRANGING, keras.layers.Softmax, keras.layers.Activation)):
            layer = layer.input._keras_history.operation
            yield layer
        if isinstance(layer, keras.Model):
            yield from answering_layers(layer)
