"""Keras architectures of every kind, small: each a model that is built, and eight samples of its inputs."""

from typing import Any

import numpy as np

from deap_nn.models.tensorflow import keras

layers = keras.layers
SAMPLES = 8


@keras.saving.register_keras_serializable("tests")
class Gain(layers.Layer):
    """A layer of one scalar."""

    def build(self, shape):
        self.gain = self.add_weight(shape=(), initializer="ones", name="gain")

    def call(self, x):
        return x * self.gain


def step(x):
    """An activation as users write it: a function at the top of a module."""
    return keras.ops.cast(x > 0, "float32")


def doubled(x, by=2.0):
    """What a Lambda layer calls."""
    return by * x


class Subclassed(keras.Model):
    """As users write it: no configuration, and a call without ``training``."""

    def __init__(self, units=8):
        super().__init__()
        self.hidden = layers.Dense(units, activation="tanh")
        self.norm = layers.BatchNormalization()
        self.out = layers.Dense(2)

    def call(self, x):
        return self.out(self.norm(self.hidden(x)))


class Configured(Subclassed):
    """As Keras wants it, so that a file of it can be loaded."""

    def __init__(self, units=8, **kwargs):
        super().__init__(units)
        self.units = units

    def get_config(self):
        return {"units": self.units}


class OfTwo(keras.Model):
    """Takes a dictionary and gives one."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.left, self.right, self.out = layers.Dense(4), layers.Dense(4), layers.Dense(2)

    def call(self, inputs, training=False):
        both = self.left(inputs["left"]) * self.right(inputs["right"])
        return {"sum": self.out(both), "both": both}


def _draw(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).normal(size=(SAMPLES, *shape)).astype(np.float32)


def _words(length: int) -> Any:
    return np.random.default_rng(length).integers(0, 9, (SAMPLES, length)).astype(np.int32)


def _line(inputs: Any, *parts: Any) -> tuple[Any, Any]:
    first = keras.Input(inputs.shape[1:], dtype=str(inputs.dtype))
    return keras.Sequential([first, *parts]), inputs


def _two_inputs() -> tuple[Any, Any]:
    a, b = keras.Input((4,)), keras.Input((5, 5, 1))
    joined = layers.concatenate([layers.Dense(3)(a), layers.Flatten()(layers.Conv2D(2, 3)(b))])
    return keras.Model([a, b], layers.Dense(2)(joined)), [_draw(4), _draw(5, 5, 1)]


def _two_outputs() -> tuple[Any, Any]:
    a = keras.Input((4,))
    hidden = layers.Dense(6, activation="relu")(a)
    return keras.Model(a, [layers.Dense(2)(hidden), layers.Dense(1, activation="sigmoid")(hidden)]), _draw(4)


def _dictionaries() -> tuple[Any, Any]:
    a, b = keras.Input((3,), name="a"), keras.Input((4,), name="b")
    outputs = {"x": layers.Dense(2, name="x")(a), "y": layers.Dense(3, name="y")(layers.concatenate([a, b]))}
    return keras.Model({"a": a, "b": b}, outputs), {"a": _draw(3), "b": _draw(4)}


def _shared() -> tuple[Any, Any]:
    a, b, dense = keras.Input((6,)), keras.Input((6,)), layers.Dense(5)
    return keras.Model([a, b], layers.Dense(2)(layers.subtract([dense(a), dense(b)]))), [_draw(6), _draw(6) + 1]


def _residual() -> tuple[Any, Any]:
    a = keras.Input((6, 6, 4))
    inner = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", use_bias=False)(a))
    return keras.Model(a, layers.Dense(2)(layers.GlobalMaxPooling2D()(layers.ReLU()(layers.add([a, inner]))))), _draw(
        6, 6, 4
    )


def _frozen() -> tuple[Any, Any]:
    model, inputs = _line(_draw(4), layers.Dense(5, activation="tanh"), layers.BatchNormalization(), layers.Dense(2))
    model.layers[0].trainable = model.layers[1].trainable = False
    return model, inputs


def _attention() -> tuple[Any, Any]:
    a = keras.Input((5, 8))
    hidden = layers.LayerNormalization()(a + layers.MultiHeadAttention(2, 4)(a, a))
    return keras.Model(a, layers.Dense(2)(layers.GlobalAveragePooling1D()(hidden))), _draw(5, 8)


def _adapted(layer: Any, samples: Any) -> Any:
    """A layer that has seen data, as users prepare inputs."""
    layer.adapt(samples)
    return layer


def _normalised() -> tuple[Any, Any]:
    samples = 100 * _draw(4) + 7
    return _line(samples, _adapted(layers.Normalization(), samples), layers.Dense(2))


def _looked_up() -> tuple[Any, Any]:
    samples = 3 * _words(4) + 2
    return _line(samples, _adapted(layers.IntegerLookup(), samples), layers.Embedding(11, 2), layers.Flatten())


def _in_bins() -> tuple[Any, Any]:
    bins = _adapted(layers.Discretization(num_bins=4, output_mode="one_hot"), _draw(1))
    return _line(_draw(1), bins, layers.Dense(2))


def _nested() -> tuple[Any, Any]:
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="relu")], name="inner")
    a = keras.Input((4,))
    return keras.Model(a, layers.Dense(2)(inner(a) + inner(-a))), _draw(4)


def _subclassed() -> tuple[Any, Any]:
    model, inputs = Configured(units=5), _draw(4)
    model(inputs)
    return model, inputs


def _of_two() -> tuple[Any, Any]:
    model, inputs = OfTwo(), {"left": _draw(4), "right": _draw(3)}
    model(inputs)
    return model, inputs


ARCHITECTURES = {
    "dense": lambda: _line(_draw(4), layers.Dense(5, activation="tanh"), layers.Dense(2)),
    "convolution": lambda: _line(_draw(6, 6, 1), layers.Conv2D(3, 3), layers.MaxPooling2D(), layers.Flatten()),
    "convolution-1d": lambda: _line(_draw(9, 2), layers.Conv1D(3, 3), layers.GlobalAveragePooling1D()),
    "convolution-3d": lambda: _line(_draw(4, 4, 4, 1), layers.Conv3D(2, 2), layers.Flatten(), layers.Dense(2)),
    "depthwise": lambda: _line(_draw(6, 6, 3), layers.DepthwiseConv2D(3), layers.Flatten(), layers.Dense(2)),
    "separable": lambda: _line(_draw(6, 6, 3), layers.SeparableConv2D(4, 3), layers.Flatten(), layers.Dense(2)),
    "transposed": lambda: _line(_draw(4, 4, 2), layers.Conv2DTranspose(3, 3, strides=2), layers.Conv2D(1, 1)),
    "batch-norm": lambda: _line(_draw(6), layers.Dense(4), layers.BatchNormalization(), layers.Dense(2)),
    "layer-norm": lambda: _line(_draw(6), layers.LayerNormalization(), layers.Dense(2)),
    "group-norm": lambda: _line(_draw(4, 4, 4), layers.GroupNormalization(2), layers.Flatten(), layers.Dense(2)),
    "spectral-norm": lambda: _line(_draw(6), layers.SpectralNormalization(layers.Dense(3)), layers.Dense(2)),
    "dropout": lambda: _line(
        _draw(6), layers.Dense(4), layers.Dropout(0.5), layers.GaussianNoise(1.0), layers.Dense(2)
    ),
    "prelu": lambda: _line(_draw(6), layers.Dense(4), layers.PReLU(), layers.Dense(2)),
    "embedding": lambda: _line(_words(5), layers.Embedding(9, 3), layers.Flatten(), layers.Dense(2)),
    "masked": lambda: _line(_words(5), layers.Embedding(9, 3, mask_zero=True), layers.SimpleRNN(3), layers.Dense(2)),
    "lstm": lambda: _line(_draw(6, 3), layers.LSTM(4), layers.Dense(2)),
    "gru": lambda: _line(_draw(6, 3), layers.GRU(4, return_sequences=True), layers.Dense(2)),
    "bidirectional": lambda: _line(_draw(5, 3), layers.Bidirectional(layers.LSTM(2)), layers.Dense(2)),
    "time-distributed": lambda: _line(_draw(5, 3), layers.TimeDistributed(layers.Dense(2)), layers.Flatten()),
    "einsum": lambda: _line(_draw(5, 3), layers.EinsumDense("abc,cd->abd", (None, 2), bias_axes="d")),
    "scalar": lambda: _line(_draw(4), Gain(), layers.Dense(2), Gain()),
    "own-activation": lambda: _line(_draw(4), layers.Dense(5, activation=step), layers.Dense(2)),
    "lambda": lambda: _line(_draw(4), layers.Dense(5), layers.Lambda(doubled, arguments={"by": 3.0}), layers.Dense(2)),
    "own-in-a-cell": lambda: _line(_draw(5, 3), layers.LSTM(4, activation=doubled), layers.Dense(2)),
    "attention": _attention,
    "normalised": _normalised,
    "looked-up": _looked_up,
    "in-bins": _in_bins,
    "two-inputs": _two_inputs,
    "two-outputs": _two_outputs,
    "dictionaries": _dictionaries,
    "shared": _shared,
    "residual": _residual,
    "frozen": _frozen,
    "nested": _nested,
    "subclassed": _subclassed,
    "subclassed-of-two": _of_two,
}
