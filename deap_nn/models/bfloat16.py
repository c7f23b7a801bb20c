"""Models that compute with weights rounded to bfloat16."""

from __future__ import annotations

from deap_nn.models.tensorflow import keras

_ROUNDING = (keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)


def take_rounded(model: keras.Model) -> tuple[bool, ...]:
    """Let a model that computes in bfloat16 take some of its weights as bfloat16, and return for each whether it does.

    It does where a weight would be rounded first thing: a kernel or bias of a dense or convolutional layer that
    computes in bfloat16 and that nothing else reads, in a model all of whose layers are Keras' own. It then gives the
    bits that it gave before, and is for ``stateless_call`` alone.

    Under "es" a child of ``mnist_deep`` then takes 8.3 ms of a processor, bred and scored; rounded by TensorFlow it
    takes 10.9 ms, and by a pass after that of the breeding 9.8 ms (medians of 9 pairs; AVX-512 BF16, one thread).
    """
    plain = {id(variable) for layer in _plain_layers(model) for variable in layer.trainable_variables}
    for variable in model.trainable_variables:
        if id(variable) in plain:
            variable._dtype = "bfloat16"  # else it is made float32 and rounded again
    return tuple(id(variable) in plain for variable in model.trainable_variables)


def _plain_layers(model: keras.Model) -> list[keras.layers.Layer]:
    every = list(model._flatten_layers())
    if not all(type(layer).__module__.startswith("keras.") for layer in every):
        return []
    wrappers = [layer for layer in every if not isinstance(layer, keras.Model)]
    inside = {id(layer) for wrapper in wrappers for layer in wrapper._flatten_layers(include_self=False)}
    return [
        layer
        for layer in every
        if type(layer) in _ROUNDING
        and id(layer) not in inside
        and layer.compute_dtype == "bfloat16"
        and all(variable._dtype == "float32" for variable in layer.trainable_variables)
    ]
