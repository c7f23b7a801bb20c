"""Centred layers: their outputs, their place in a clone of a model, and the biases that hold their means."""

import numpy as np
import pytest

from deap_nn.models.layers import CentredDense, centred, fold
from deap_nn.models.tensorflow import keras

layers = keras.layers
X = np.random.default_rng(1).normal(size=(12, 6)).astype(np.float32) + 2


def branched():
    """A model with a nested model, a layer that is called twice, and two branches."""
    inputs, twice = keras.Input((6,)), layers.Dense(4)
    inner = keras.Sequential([keras.Input((6,)), layers.Dense(4, "tanh"), layers.BatchNormalization()])
    one, other = inner(inputs), layers.Dense(4, "relu", name="other")(inputs)
    return keras.Model(inputs, layers.Dense(2)(layers.Concatenate()([twice(twice(other)), one])))


@pytest.mark.parametrize("shape", [(12, 6), (4, 3, 6)])
def test_a_centred_layer_subtracts_the_mean_over_samples_and_positions_and_keeps_the_bias(shape):
    x = X.reshape(-1)[: np.prod(shape)].reshape(shape)
    layer = CentredDense(5, activation="tanh", bias_initializer="random_normal")
    outputs = np.asarray(layer(x))
    kernel, bias = layer.get_weights()
    made = x.astype(np.float64) @ kernel
    mean = made.reshape(-1, 5).mean(axis=0)
    assert outputs == pytest.approx(np.tanh(made - mean + bias), abs=1e-5)
    assert np.asarray(layer.seen[1]) == pytest.approx(mean, abs=1e-5)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is CentredDense
    assert again.activation is keras.activations.tanh


def test_a_clone_has_the_weights_of_the_model_in_their_order_and_shares_the_other_layers():
    model = branched()
    clone = centred(model)
    assert [v.path for v in clone.trainable_variables] == [v.path for v in model.trainable_variables]
    assert sum(isinstance(layer, CentredDense) for layer in clone._flatten_layers()) == 3
    assert not any(isinstance(layer, CentredDense) for layer in model._flatten_layers())
    norms = [[one for one in m._flatten_layers() if isinstance(one, layers.BatchNormalization)] for m in (model, clone)]
    assert norms[0] == norms[1]


def test_folded_means_give_the_model_the_outputs_of_its_clone_and_come_out_again():
    model = branched()
    clone = centred(model)
    weights = [np.asarray(variable) for variable in model.trainable_variables]
    for variable, matrix in zip(clone.trainable_variables, weights, strict=True):
        variable.assign(matrix)
    wanted = np.asarray(clone(X))
    folded = fold(clone, weights, [X])
    assert not np.allclose(np.asarray(model(X)), wanted, atol=1e-3)
    for variable, matrix in zip(model.trainable_variables, folded, strict=True):
        variable.assign(matrix)
    assert np.asarray(model(X)) == pytest.approx(wanted, abs=1e-5)
    for matrix, other in zip(fold(clone, folded, [X], inverse=True), weights, strict=True):
        assert matrix == pytest.approx(other, abs=1e-5)
