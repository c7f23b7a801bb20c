"""The built-in networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deap_nn.core.arguments import did_you_mean
from deap_nn.models.tensorflow import keras

DENSE: dict[str, Any] = {"dtype": "float32"}
IMAGES: dict[str, Any] = {**DENSE, "data_format": "channels_last"}
"""What a user's ``keras.json`` would otherwise decide."""


def _mnist_deep() -> list[Any]:
    layers = keras.layers
    return [
        layers.Conv2D(32, 5, padding="same", activation="relu", name="conv1", **IMAGES),
        layers.MaxPooling2D(2, name="pool1", **IMAGES),
        layers.Conv2D(64, 5, padding="same", activation="relu", name="conv2", **IMAGES),
        layers.MaxPooling2D(2, name="pool2", **IMAGES),
        layers.Flatten(name="flatten", **IMAGES),
        layers.Dense(1024, activation="relu", name="fc1", **DENSE),
        layers.Dense(10, name="fc2", **DENSE),
    ]


def _lenet5() -> list[Any]:
    layers = keras.layers
    return [
        layers.Conv2D(6, 5, padding="same", activation="relu", name="conv1", **IMAGES),
        layers.MaxPooling2D(2, name="pool1", **IMAGES),
        layers.Conv2D(16, 5, activation="relu", name="conv2", **IMAGES),
        layers.MaxPooling2D(2, name="pool2", **IMAGES),
        layers.Flatten(name="flatten", **IMAGES),
        layers.Dense(120, activation="relu", name="fc1", **DENSE),
        layers.Dense(84, activation="relu", name="fc2", **DENSE),
        layers.Dense(10, name="fc3", **DENSE),
    ]


def _mlp() -> list[Any]:
    layers = keras.layers
    return [
        layers.Flatten(name="flatten", **IMAGES),
        layers.Dense(64, activation="relu", name="hidden", **DENSE),
        layers.Dense(10, name="output", **DENSE),
    ]


BUILT_IN: dict[str, Callable[[], list[Any]]] = {
    "mnist_deep": _mnist_deep,
    "lenet5": _lenet5,
    "mlp": _mlp,
}
"""The layers of the built-in models for images of 28 x 28 x 1; each model returns ten logits.

``mnist_deep`` is the network of TensorFlow's tutorial "Deep MNIST for Experts" (3,274,634 weights), without its
dropout, which has no effect in evaluation. ``lenet5`` is LeNet-5 (Y. LeCun and others, "Gradient-based learning applied
to document recognition", Proceedings of the IEEE 86 (11), 1998) in today's form, with ReLU, max pooling and logits
(61,706 weights). ``mlp`` is 784-64-10.
"""


def build_model(name: str) -> keras.Model:
    """Build a built-in model, with Keras' initial weights.

    Raises
    ------
    ValueError
        If `name` is not in ``BUILT_IN``.
    """
    if name not in BUILT_IN:
        allowed = f"a Keras model or one of {', '.join(BUILT_IN)}"
        raise ValueError(f"model must be {allowed}, got {name!r}{did_you_mean(name, BUILT_IN)}")
    return keras.Sequential([keras.Input((28, 28, 1), dtype="float32"), *BUILT_IN[name]()], name=name)
