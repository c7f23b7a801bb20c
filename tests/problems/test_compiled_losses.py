"""Losses that a model is compiled with, and functions of targets: called as Keras calls them, or warned of."""

import numpy as np
import pytest
from keras_models import LABELS, X, compiled, network, two_objectives
from sklearn.metrics import f1_score

from deap_nn import KerasProblem, SelfAdaptive, evolve_model, make_toolbox
from deap_nn.models.tensorflow import keras, tf
from deap_nn.operators.adaptation import ErrorScaled

LOSSES = {
    "named": ("sparse_categorical_crossentropy", 2, "softmax", "sparse_categorical_crossentropy"),
    "from logits": (keras.losses.SparseCategoricalCrossentropy(from_logits=True), 2, None, None),
    "mse": ("mse", 1, None, "mse"),
    "a list of one": (["mse"], 1, None, "mse"),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_compiled_loss_is_that_of_the_problem(name):
    loss, outputs, activation, called = LOSSES[name]
    model = compiled(loss, outputs, activation)
    targets = LABELS if outputs == 2 else X[:, :1]
    problem = KerasProblem(model, X, targets)
    assert called is None or problem.objectives[0].name == called
    toolbox = make_toolbox(problem, seed=1, batch_size=160)
    individual = toolbox.individual()
    same = problem.to_model(individual)
    same.compile(optimizer="sgd", loss=loss)
    expected = same.evaluate(X[:160], targets[:160], verbose=0, batch_size=160)
    assert toolbox.evaluate(individual)[0] == pytest.approx(expected, rel=1e-4)
    kind = ErrorScaled if outputs == 2 else SelfAdaptive
    assert isinstance(toolbox.clock.adaptation, kind)


def lopsided(y_true, y_pred):
    """Ten times as much for what is too low, for each sample."""
    short = tf.maximum(y_true - y_pred, 0.0)
    return tf.reduce_mean(10.0 * short + tf.maximum(y_pred - y_true, 0.0), axis=-1)


@pytest.mark.parametrize("name", ["function", "list", "dict"])
def test_a_compiled_function_is_called_as_keras_calls_it(name):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(1, name="answer")(inputs))
    loss = {"function": lopsided, "list": [lopsided], "dict": {"answer": lopsided}}[name]
    model.compile(optimizer="sgd", loss=loss)
    toolbox = make_toolbox(KerasProblem(model, X, X[:, :1]), seed=1, batch_size=160)
    individual = toolbox.individual()
    predicted = toolbox.to_model(individual).predict(X[:160], verbose=0)
    assert toolbox.evaluate(individual)[0] == pytest.approx(float(np.mean(lopsided(X[:160, :1], predicted))), rel=1e-5)


def test_outputs_that_are_compiled_without_a_loss_do_not_count():
    inputs = keras.Input((4,))
    outputs = [keras.layers.Dense(2, name="a")(inputs), keras.layers.Dense(1, name="b")(inputs)]
    model = keras.Model(inputs, outputs)
    model.compile(loss=[None, "mse"])
    toolbox = make_toolbox(KerasProblem(model, X, [LABELS, X[:, :1]]), seed=1, batch_size=160)
    individual = toolbox.individual()
    predicted = toolbox.to_model(individual).predict(X[:160], verbose=0)[1]
    assert toolbox.evaluate(individual)[0] == pytest.approx(float(np.mean((predicted - X[:160, :1]) ** 2)), rel=1e-5)
    model.compile(loss=["mse", "mse"], loss_weights=[1.0, 100.0])
    with pytest.raises(ValueError, match=r"loss: the loss_weights \[1.0, 100.0\] .* are not used: give a loss"):
        KerasProblem(model, X, [X[:, :2], X[:, :1]])


def test_a_model_that_is_not_compiled_has_the_cross_entropy():
    assert KerasProblem(network(), X, LABELS).objectives[0].name == "cross_entropy"
    assert KerasProblem(compiled("mse", 1), X, X[:, :1], loss="mae").objectives[0].name == "mae"


def squared(y_true, y_pred):
    return np.mean((y_true - y_pred) ** 2)


def squared_each(y_true, y_pred):
    return (y_true - y_pred) ** 2


def tensors(y_true, y_pred):
    return keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)


def raw_tensors(y_true, y_pred):
    return tf.reduce_mean(-y_true * tf.math.log(y_pred + 1e-3), axis=-1)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras on evaluating
@pytest.mark.parametrize("targets", [LABELS, LABELS[:, None], LABELS > 0, LABELS.astype(np.float32)])
@pytest.mark.parametrize("loss", [tensors, raw_tensors])
def test_a_compiled_function_sees_targets_as_keras_has_them(loss, targets):
    model = compiled(loss, 1, "sigmoid")
    toolbox = make_toolbox(KerasProblem(model, X, targets), seed=1, batch_size=160)
    individual = toolbox.individual()
    same = toolbox.to_model(individual)
    same.compile(loss=loss)
    expected = same.evaluate(X[:160], targets[:160], verbose=0, batch_size=160)
    assert toolbox.evaluate(individual)[0] == pytest.approx(expected, rel=1e-5)


def test_a_compiled_function_evaluates_integer_labels():
    result = evolve_model(compiled(raw_tensors, 1, "sigmoid"), X, LABELS, population=4, generations=1, seed=1)
    predicted = result.model.predict(X, verbose=0)
    wanted = np.mean(-LABELS[:, None] * np.log(predicted + 1e-3))
    assert result.evaluate(X, LABELS)["raw_tensors"] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("loss", [squared, squared_each, tensors])
def test_a_function_that_makes_a_matrix_of_flat_labels_is_warned_of(loss):
    shapes = r"targets \(n,\) and outputs \(n, 1\)"
    message = rf"^{loss.__name__} gets {shapes}: y_true - y_pred is an \(n, n\) array: give y\[:, None\]$"
    with pytest.warns(UserWarning, match=message) as found:
        evolve_model(network(1, "sigmoid"), X, LABELS, population=4, generations=1, seed=1, loss=loss)
    assert len(found) == 1
    KerasProblem(network(1, "sigmoid"), X, LABELS[:, None], loss=loss)


@pytest.mark.parametrize(
    "loss",
    [
        lambda y_true, y_pred: 1 - f1_score(y_true, y_pred[:, 0] > 0.5),
        lambda y_true, y_pred: 1 - f1_score(y_true, y_pred > 0.5),
        lambda y_true, y_pred: np.mean(y_true != (y_pred[:, 0] > 0.5)),
        lambda y_true, y_pred: np.mean(np.abs(y_true - y_pred.ravel())),
    ],
)
def test_a_function_for_flat_labels_gets_them_as_they_are(loss):
    toolbox = make_toolbox(KerasProblem(network(1, "sigmoid"), X, LABELS, loss=loss), seed=1, batch_size=160)
    individual = toolbox.individual()
    predicted = toolbox.to_model(individual).predict(X[:160], verbose=0)
    assert toolbox.evaluate(individual)[0] == pytest.approx(loss(LABELS[:160], predicted), rel=1e-5)


def test_labels_in_a_column_for_flat_outputs_are_warned_of_too():
    layers = [keras.Input((4,)), keras.layers.Dense(1), keras.layers.Reshape(())]
    with pytest.warns(UserWarning, match=r"targets \(n, 1\) and outputs \(n,\): .* give y\[:, 0\]$"):
        KerasProblem(keras.Sequential(layers), X, LABELS[:, None], loss=squared)


def test_the_error_of_a_loss_comes_before_the_run():
    with pytest.raises(ValueError, match=r"^loss does not fit .*: .* mix of binary and continuous targets"):
        KerasProblem(network(1, "sigmoid"), X, LABELS, loss=lambda y_true, y_pred: 1 - f1_score(y_true, y_pred))


@pytest.mark.parametrize(
    ("loss", "targets", "said"),
    [
        ("f1", LABELS, "^loss must be 'error'"),
        (f1_score, LABELS, "^loss does not fit .* mix of binary and continuous targets$"),
        (keras.metrics.F1Score(threshold=0.5), LABELS, "^loss does not fit "),
        (keras.metrics.F1Score(threshold=0.5), LABELS[:, None], "^container must say whether f1_score is minimised or"),
    ],
)
def test_f1_that_is_no_loss_is_refused(loss, targets, said):
    with pytest.raises(ValueError, match=said):
        evolve_model(network(1, "sigmoid"), X, targets, population=4, generations=1, seed=1, loss=loss)


def test_f1_of_keras_is_a_number_of_one_output():
    problem = KerasProblem(network(1, "sigmoid"), X, LABELS[:, None], loss=keras.metrics.F1Score(threshold=0.5))
    toolbox = make_toolbox(problem, batch_size=160, **two_objectives((1.0,)))
    individual = toolbox.individual()
    predicted = toolbox.to_model(individual).predict(X[:160], verbose=0)
    assert toolbox.evaluate(individual)[0] == pytest.approx(f1_score(LABELS[:160], predicted[:, 0] > 0.5), rel=1e-5)
