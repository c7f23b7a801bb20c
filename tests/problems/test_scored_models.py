"""The way of a model into the scoring and back loses nothing: its layers, its state, its outputs, its inputs."""

import numpy as np
import pytest

from deap_nn import GA, Dataset, KerasProblem, make_toolbox
from deap_nn.data.minibatches import batch_indices
from deap_nn.models.built_in import BUILT_IN
from deap_nn.models.reference import new_model, reference_of, trained_model
from deap_nn.models.tensorflow import keras, tf
from deap_nn.problems.evaluate import class_probabilities
from deap_nn.problems.scorer import forget_all


@pytest.mark.parametrize("name", BUILT_IN)
def test_bfloat16_does_not_round_the_answers(name):
    model = new_model(reference_of(name), precision="bfloat16")
    outputs = np.asarray(model(np.random.default_rng(0).random((4, *model.input_shape[1:]), np.float32)))
    assert outputs.dtype == np.float32
    assert (outputs != tf.cast(tf.cast(outputs, tf.bfloat16), tf.float32).numpy()).any()
    assert {layer.compute_dtype for layer in model.layers[1:-1] if layer.weights} == {"bfloat16"}


def test_bfloat16_does_not_round_the_answers_of_models_inside():
    dense = [keras.layers.Dense(8, "relu"), keras.layers.Dense(8, "relu")]
    inner = keras.Sequential([keras.Input((5,)), dense[0], keras.layers.Dense(3, name="last")])
    nested = keras.Sequential([keras.Input((5,)), inner, keras.layers.Softmax(), keras.layers.Reshape((3,))])
    model = new_model(reference_of(nested), precision="bfloat16")
    computed = {layer.name: layer.compute_dtype for layer in model._flatten_layers() if layer.weights}
    assert computed["last"] == "float32"
    assert computed[dense[0].name] == "bfloat16"
    assert np.asarray(model(np.ones((2, 5), np.float32))).dtype == np.float32


def test_built_in_networks_are_those_of_their_sources():
    layout = reference_of("mnist_deep").layout
    assert layout.size == 3_274_634
    assert layout.names[:4] == ("conv1/kernel", "conv1/bias", "conv2/kernel", "conv2/bias")
    assert layout.shapes[::2] == ((5, 5, 1, 32), (5, 5, 32, 64), (3136, 1024), (1024, 10))
    assert reference_of("mlp").layout.shapes == ((784, 64), (64,), (64, 10), (10,))
    assert reference_of("lenet5").layout.size == 61_706
    for name in BUILT_IN:
        *hidden, outputs = (layer for layer in new_model(reference_of(name)).layers if layer.weights)
        assert {layer.activation.__name__ for layer in hidden} == {"relu"}
        assert outputs.activation.__name__ == "linear"


@pytest.mark.parametrize("last", ["logits", "softmax", "softmax layer"])
def test_a_users_keras_model_with_state_goes_in_and_comes_out(digits, last):
    layers = keras.layers
    parts = [keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(8), layers.BatchNormalization()]
    parts += [layers.Dropout(0.5), layers.Dense(10, "softmax" if last == "softmax" else None)]
    parts += [layers.Softmax()] * (last == "softmax layer")
    model = keras.Sequential(parts, name="mine")
    model.layers[2].moving_mean.assign(np.linspace(-1, 1, 8))
    state = [variable.numpy().copy() for variable in model.non_trainable_variables]
    toolbox = make_toolbox(model, digits, seed=1, batch_size=50)
    individual = toolbox.individual()
    assert [np.shape(m) for m in individual] == [tuple(v.shape) for v in model.trainable_variables]
    (fitness,) = toolbox.evaluate(individual)
    assert all(np.array_equal(a, b) for a, b in zip(state, model.non_trainable_variables, strict=True))

    result = trained_model(toolbox.problem.model, individual)
    chosen = batch_indices(1, 0, 50, len(digits.x_train))
    outputs = result.predict(digits.x_train[chosen].reshape(-1, 28, 28, 1) / 255.0, verbose=0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=last == "logits")
    assert fitness == pytest.approx(float(loss(digits.y_train[chosen], outputs)), rel=1e-4)
    assert np.array_equal(result.layers[2].moving_mean, np.linspace(-1, 1, 8, dtype=np.float32))


@pytest.mark.parametrize("probabilities", [True, False])
def test_outputs_show_logits_if_layers_do_not(digits, tmp_path, probabilities):
    layers, last = keras.layers, "softmax" if probabilities else None
    inputs = keras.Input((28, 28))
    flat = layers.Flatten()(inputs)
    outputs = layers.Average()([layers.Dense(10, last)(flat), layers.Dense(10, last)(flat)])
    model = keras.Model(inputs, outputs)
    toolbox = make_toolbox(model, digits, seed=1, batch_size=50)
    individual = toolbox.individual()
    evolved = toolbox.to_model(individual)
    chosen = batch_indices(1, 0, 50, len(digits.x_train))
    outputs = evolved.predict(digits.x_train[chosen] / 255.0, verbose=0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=not probabilities)
    assert toolbox.evaluate(individual)[0] == pytest.approx(float(loss(digits.y_train[chosen], outputs)), rel=1e-4)
    classes, computed = class_probabilities(toolbox.problem, individual)
    assert np.array_equal(classes, digits.y_validation)
    expected = np.asarray(evolved(digits.x_validation / 255.0), np.float64)
    expected = expected if probabilities else np.exp(expected) / np.exp(expected).sum(1, keepdims=True)
    assert np.asarray(computed) == pytest.approx(expected, rel=1e-4)


def test_bad_models_raise():
    with pytest.raises(ValueError, match="one of mnist_deep, lenet5, mlp, got 'cnn'"):
        reference_of("cnn")
    with pytest.raises(TypeError, match="model must be a Keras model"):
        reference_of(3)
    with pytest.raises(ValueError, match="must be built"):
        reference_of(keras.Sequential([keras.layers.Dense(2)], name="unbuilt"))
    with pytest.raises(ValueError, match="weights must have the shapes"):
        trained_model(reference_of("mlp"), [np.zeros(3)])


@pytest.mark.parametrize("length", [5, None])
def test_float_samples_of_any_shape_are_scored_as_they_are(length):
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((30, 5, 4)), rng.integers(0, 2, 30)
    layers = [keras.Input((length, 4)), keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(2)]
    data, algorithm = Dataset(x, y, x, y, x, y), GA(fitness="error")
    toolbox = make_toolbox(keras.Sequential(layers), data, algorithm, seed=1, batch_size=30)
    individual = toolbox.individual()
    kernel, bias = individual
    logits = x.astype(np.float32).mean(axis=1) @ kernel + bias
    error = (logits.argmax(axis=1) != y).mean()
    assert toolbox.evaluate(individual) == (error,)
    assert toolbox.error_rate(individual, "test") == error


def test_inputs_by_the_names_of_layers_are_those_of_the_models_own():
    """Names in the form of Keras' own, which are no part of what a compiled network is known by, in another order."""
    names = "input_layer", "input_layer_1"
    x = {name: np.random.default_rng(place).normal(size=(40, 3)) for place, name in enumerate(names)}

    def fitness(*names):
        inputs = {name: keras.Input((3,), name=name) for name in names}
        outputs = keras.layers.Dense(2)(keras.layers.Concatenate()([inputs[name] for name in names]))
        problem = KerasProblem(keras.Model(inputs, outputs), x, np.arange(40) % 2)
        toolbox = make_toolbox(problem, seed=1)
        return toolbox.evaluate(toolbox.individual())

    forget_all()
    first, second = fitness(*names), fitness(*names[::-1])
    forget_all()
    assert second == fitness(*names[::-1]) != first
