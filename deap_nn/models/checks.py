"""Checks whether a model fits labelled data."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deap_nn.models.layers import centrable_layers
from deap_nn.models.outputs import is_logits
from deap_nn.models.reference import ModelReference, model_of
from deap_nn.models.tensorflow import keras

LEAST_SCALE = 0.1
"""A layer that scales by a smaller factor is for bytes, not for pixels of 0 to 1."""

FEW = 32
"""The number of samples on which the outputs of a model are tried."""


def layer_for_bytes(model: keras.Model) -> str | None:
    """Return the name of a layer that scales bytes, such as ``Rescaling(1 / 255)``, or None."""
    scaling = (layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Rescaling))
    return next((layer.name for layer in scaling if np.max(layer.scale) < LEAST_SCALE), None)


def check_centred(reference: ModelReference) -> None:
    """Raise ValueError if no layer of a model can be centred."""
    if not centrable_layers(model_of(reference)):
        raise ValueError(
            "centred needs a sequential or functional model that can be built again, with a Dense layer that is "
            "called once and has a bias that evolves"
        )


def check_projected(reference: ModelReference, samples: int, *, centred: bool) -> None:
    """Raise ValueError if no step can be projected: no layers are centred, or none has more inputs than `samples`."""
    if not centred:
        raise ValueError("projected needs centred layers: centred=True, or KerasProblem(..., centred=True)")
    layers = centrable_layers(model_of(reference))
    wide = (layer for layer in layers if len(layer.input.shape) == 2 and layer.kernel.shape[0] > samples)
    if not any(getattr(layer.kernel, "trainable", False) for layer in wide):  # a kernel with LoRA is a tensor
        raise ValueError(f"projected needs a Dense layer with more inputs than a mini-batch has samples, {samples}")


def gives_logits(reference: ModelReference, samples: NDArray[Any]) -> bool:
    """Return whether the outputs of a model of classes are logits, by its layers, or by its outputs for a few samples.

    Parameters
    ----------
    reference : ModelReference
        The reference of the model, which has one input and one output.
    samples : numpy.ndarray
        The samples of a data set, bytes or numbers; the first dimension counts samples.
    """
    model = model_of(reference)
    return is_logits(model, output=lambda: model(few_of(model, samples), training=False))


def few_of(model: keras.Model, samples: NDArray[Any]) -> NDArray[np.float32]:
    """Return a few samples in the form for a model with one input: float32, in its shape, and bytes divided by 255."""
    shape, few = tuple(model.inputs[0].shape[1:]), samples[:FEW]
    inputs = few.astype(np.float32) / np.float32(255 if samples.dtype == np.uint8 else 1)
    return inputs if None in shape else inputs.reshape(-1, *shape)


def check_fit(reference: ModelReference, sample_shape: tuple[int, ...], classes: int) -> None:
    """Raise ValueError if samples do not fit a model's input, or classes do not fit its output.

    Parameters
    ----------
    reference : ModelReference
        The model.
    sample_shape : tuple of int
        The shape of one sample.
    classes : int
        The number of classes of the labels.
    """
    model = model_of(reference)
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(f"model {reference.name!r} must have one input and one output")
    wanted, outputs = tuple(model.inputs[0].shape[1:]), int(model.outputs[0].shape[-1])
    fits = None in wanted if None in wanted else np.prod(sample_shape) == np.prod(wanted)
    if not fits:
        raise ValueError(f"model {reference.name!r} takes samples of shape {wanted}, the data have {sample_shape}")
    if classes > outputs:
        raise ValueError(f"model {reference.name!r} has outputs for {outputs} classes, the data have {classes}")
