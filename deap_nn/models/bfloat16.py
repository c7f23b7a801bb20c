"""Models that compute with weights rounded to bfloat16."""

from __future__ import annotations

from deap_nn.models.tensorflow import keras

_ROUNDING = (keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)


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
