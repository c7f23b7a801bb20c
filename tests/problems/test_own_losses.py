"""Losses and metrics of a user's own, functions and classes, and losses that a model is compiled with."""

import pickle
import sys
from functools import partial

import cloudpickle
import numpy as np
import pytest
from keras_models import LABELS, X, check_scores, compiled, dense, labels, loss_by_keras, network, scored, x_of
from sklearn.metrics import f1_score

from deap_nn import KerasProblem, SelfAdaptive, make_toolbox
from deap_nn.models.tensorflow import keras, tf
from deap_nn.operators.adaptation import ErrorScaled
from deap_nn.problems import network as networks
from deap_nn.problems.scorer import forget_all


def lopsided(y_true, y_pred):
    return float(np.mean(y_true) - 2 * np.mean(y_pred))


class Lopsided:
    """A callable whose outputs come first."""

    def __call__(self, y_pred, y_true):
        return lopsided(y_true, y_pred)


FUNCTIONS = [
    lopsided,
    lambda y_pred, y_true: lopsided(y_true, y_pred),
    lambda targets, outputs: lopsided(targets, outputs),
    lambda outputs, targets: lopsided(targets, outputs),
    lambda y_true, y_pred, /: lopsided(y_true, y_pred),
    lambda y_pred, /, k=1, *, y_true: k * lopsided(y_true, y_pred),
    lambda *, y_pred, y_true: lopsided(y_true, y_pred),
    Lopsided(),
    partial(lambda k, y_pred, y_true: k * lopsided(y_true, y_pred), 1),
    lambda y_true, y_pred: np.mean(y_true - 2 * y_pred, axis=-1),  # a value for each sample
]


def test_a_function_is_called_by_the_names_of_its_parameters():
    given = [*FUNCTIONS, keras.losses.mean_absolute_percentage_error, partial(keras.losses.huber, delta=0.1)]
    toolbox, individual, outputs = scored(dense(2), x_of(), x_of(2), loss=given, weights=(-1.0,) * len(given))
    wanted = [lopsided(x_of(2), outputs)] * len(FUNCTIONS)
    ends = keras.losses.MeanAbsolutePercentageError(), keras.losses.Huber(0.1)
    wanted += [float(loss(x_of(2), outputs)) for loss in ends]
    check_scores(toolbox, individual, wanted)


def test_a_second_problem_of_a_loss_compiles_nothing(monkeypatch):
    made, make = [], networks.Network
    monkeypatch.setattr(networks, "Network", lambda *given, **words: made.append(given) or make(*given, **words))

    def values(*losses):
        problems = [KerasProblem(dense(2), x_of(), x_of(2), loss=loss, validation_split=0) for loss in losses]
        return [make_toolbox(one, seed=1, batch_size=39).evaluate(np.full(37, 0.1)) for one in problems]

    first, second = values("mae", "mae")
    assert first == second
    assert len(made) == 1
    multiples = [lambda y_true, y_pred, k=k: k * lopsided(y_true, y_pred) for k in (2, 3)]
    (two,), (three,) = values(*multiples)  # a function may have a state, so each problem has its own network
    assert three == pytest.approx(1.5 * two)
    assert len(made) == 3


@pytest.mark.parametrize("weighted", [False, True])
def test_a_value_for_each_sample_may_be_an_integer_or_a_bool(weighted):
    def of_type(dtype):
        return lambda y_true, y_pred: (y_true != y_pred.argmax(axis=1)).astype(dtype)

    weights = np.linspace(0.5, 2, len(labels())).astype(np.float32) if weighted else None
    losses = [of_type(dtype) for dtype in (bool, int, np.uint8, np.float32)]
    words = {"loss": losses, "sample_weight": weights, "weights": (-1.0,) * 4}
    toolbox, individual, outputs = scored(dense(), x_of(), labels(), **words)
    wrong = outputs.argmax(axis=1) != labels()
    assert 0 < wrong.mean() < 1
    wanted = [np.mean(wrong * (1 if weights is None else weights))] * 4
    check_scores(toolbox, individual, wanted, rel=1e-6)


FACTOR = 1


def multiplied(value):
    return FACTOR * value


def by_factor(y_true, y_pred):
    return FACTOR * np.mean(np.abs(y_true - y_pred))


def by_helper(y_true, y_pred):
    return multiplied(np.mean(np.abs(y_true - y_pred)))


@pytest.mark.parametrize("loss", [by_factor, by_helper])
def test_a_worker_scores_with_the_variables_that_a_later_problem_was_made_with(loss, monkeypatch):
    """Cloudpickle sends a script's function with its variables, and a worker keeps the networks of earlier problems."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    values = []
    try:
        for factor in (1, 5):
            monkeypatch.setitem(globals(), "FACTOR", factor)
            problem = KerasProblem(dense(2), x_of(), x_of(2), loss=loss, validation_split=0)
            evaluate = make_toolbox(problem, seed=1, batch_size=39).evaluate
            sent = pickle.loads(cloudpickle.dumps(evaluate.func))
            values += sent(np.full(37, 0.1))
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    assert values[1] == pytest.approx(5 * values[0])


@pytest.mark.parametrize(
    "loss",
    [
        lambda y_true, y_pred: 1 - f1_score(y_true, y_pred[:, 0] > 0.5),
        lambda y_true, y_pred: np.mean(np.abs(y_true - y_pred.ravel())),
        lambda y_true, y_pred: {2: np.mean(y_pred)}[y_pred.ndim],
    ],
)
def test_a_function_for_flat_labels_gets_them_as_they_are(loss):
    toolbox, individual, outputs = scored(network(1, "sigmoid"), X, LABELS, loss=loss, batch_size=200)
    assert toolbox.evaluate(individual)[0] == pytest.approx(loss(LABELS, outputs), rel=1e-5)


def test_a_function_that_broadcasts_a_column_is_warned_of():
    with pytest.warns(UserWarning, match=r"broadcasts targets \(n,\) and outputs \(n, 1\) to \(n, n\): give y"):
        KerasProblem(network(1), X, LABELS, loss=lambda y_true, y_pred: np.std(y_true - y_pred))


def test_the_error_of_a_loss_comes_before_the_run():
    with pytest.raises(ValueError, match=r"^loss does not fit .*: .* mix of binary and continuous targets"):
        KerasProblem(network(1, "sigmoid"), X, LABELS, loss=lambda y_true, y_pred: 1 - f1_score(y_true, y_pred))


def test_a_function_is_tried_on_classes_from_all_over_the_samples():
    def strict(y_true, y_pred):
        if len(np.unique(y_true)) < 4:
            raise ValueError("a class is missing")
        return 0.0

    KerasProblem(network(4), X, np.repeat(np.arange(4), 50), loss=strict, validation_split=0)


def test_f1_of_keras_is_a_number_of_one_output():
    words = {"loss": keras.metrics.F1Score(threshold=0.5), "weights": (1.0,), "batch_size": 200}
    toolbox, individual, outputs = scored(network(1, "sigmoid"), X, LABELS[:, None], **words)
    assert toolbox.evaluate(individual)[0] == pytest.approx(f1_score(LABELS, outputs[:, 0] > 0.5), rel=1e-5)


class CountsPositives(keras.metrics.Metric):
    """As Keras' documentation has it: its result is a variable of its own."""

    def __init__(self, name="positives", **kwargs):
        super().__init__(name=name, **kwargs)
        self.count = self.add_weight(shape=(), initializer="zeros", name="count")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.count.assign_add(keras.ops.sum(keras.ops.cast(y_pred > 0, "float32")))

    def result(self):
        return self.count


class Named(CountsPositives):
    def __init__(self, name="named", **kwargs):
        super().__init__(name=name, **kwargs)

    def result(self):
        return {"count": self.count}


class Scaled(keras.losses.Loss):
    """Its configuration does not tell by how much."""

    def __init__(self, k=2.0, **kwargs):
        super().__init__(**kwargs)
        self.k = k

    def call(self, y_true, y_pred):
        return self.k * keras.ops.mean((y_true - y_pred) ** 2, axis=-1)


class Strict(Scaled):
    """Does not take what Keras' configuration has."""

    def __init__(self, k=2.0):
        super().__init__(k)


class Later(keras.losses.Loss):
    """Gets its factor after it is made."""

    k = 2.0
    call = Scaled.call

    def set(self, k):
        self.k = k
        return self


class Known(Scaled):
    """As Keras wants it, but for the dtype, which its own losses do not tell of either."""

    def __init__(self, k=2.0, name="known", reduction="sum_over_batch_size", dtype=None):
        super().__init__(k, name=name, reduction=reduction, dtype=dtype)

    def get_config(self):
        return super().get_config() | {"k": self.k}


def squared(y_true, y_pred, k=1.0):
    return k * (y_true - y_pred) ** 2


def wrapped(function, **arguments):
    return keras.metrics.MeanMetricWrapper(function, **arguments)


def test_losses_and_metrics_of_ones_own_are_scored_as_they_are():
    given = [CountsPositives(), Known(), Known(5.0), Later(), wrapped(squared, k=3.0)]
    toolbox, individual, outputs = scored(dense(2), x_of(), x_of(2), loss=given, weights=(-1.0,) * 5)
    square = np.mean((outputs.astype(np.float64) - x_of(2)) ** 2)
    wanted = [(outputs > 0).sum(), 2 * square, 5 * square, 2 * square, 3 * square]
    assert wanted[0] > 0
    check_scores(toolbox, individual, wanted)
    evaluate = pickle.loads(pickle.dumps(toolbox.evaluate.func))
    forget_all()
    assert evaluate(individual) == toolbox.evaluate(individual)


@pytest.mark.parametrize(
    ("loss", "error", "said"),
    [
        (Scaled(5.0), TypeError, r"loss Scaled cannot be built again: give it a get_config\(\) that returns k$"),
        (Strict(5.0), TypeError, r"loss Strict cannot .* get_config\(\) with the arguments of __init__, and define.*"),
        (Known(dtype="float64"), TypeError, r"loss Known cannot be built .* get_config\(\) that returns dtype$"),
        (Later().set(3.0), TypeError, r"loss Later cannot be built .* get_config\(\) that returns k$"),
        (wrapped(lambda t, p: t - p), TypeError, "loss MeanMetricWrapper cannot .* at the top of a module$"),
        (Named(), ValueError, "loss does not fit .*: named must give a single number, got several by name"),
        (keras.metrics.F1Score(), ValueError, r".*f1_score must give a single number, got an array of shape \(2"),
    ],
)
def test_a_loss_or_metric_that_cannot_be_sent_or_gives_no_number_is_named(loss, error, said):
    with pytest.raises(error, match=f"^{said}"):
        KerasProblem(dense(2), x_of(), x_of(2), loss=loss)


COMPILED = {
    "named": ("sparse_categorical_crossentropy", 2, "softmax", "sparse_categorical_crossentropy"),
    "from logits": (keras.losses.SparseCategoricalCrossentropy(from_logits=True), 2, None, None),
    "a list of one": (["mse"], 1, None, "mse"),
}


@pytest.mark.parametrize("name", COMPILED)
def test_a_compiled_loss_is_that_of_the_problem(name):
    loss, units, activation, called = COMPILED[name]
    targets = LABELS if units == 2 else X[:, :1]
    toolbox, individual, _ = scored(compiled(loss, units, activation), X, targets, batch_size=200)
    assert called is None or toolbox.problem.objectives[0].name == called
    expected = loss_by_keras(toolbox, individual, loss, X, targets)
    assert toolbox.evaluate(individual)[0] == pytest.approx(expected, rel=1e-4)
    assert isinstance(toolbox.clock.adaptation, ErrorScaled if units == 2 else SelfAdaptive)


def test_a_model_that_is_not_compiled_has_the_cross_entropy():
    assert KerasProblem(network(), X, LABELS).objectives[0].name == "cross_entropy"
    assert KerasProblem(compiled("mse", 1), X, X[:, :1], loss="mae").objectives[0].name == "mae"


def test_outputs_that_are_compiled_without_a_loss_do_not_count():
    inputs = keras.Input((4,))
    outputs = [keras.layers.Dense(2, name="a")(inputs), keras.layers.Dense(1, name="b")(inputs)]
    model = keras.Model(inputs, outputs)
    model.compile(loss=[None, "mse"])
    toolbox, individual, (_, predicted) = scored(model, X, [LABELS, X[:, :1]], batch_size=200)
    assert toolbox.evaluate(individual)[0] == pytest.approx(float(np.mean((predicted - X[:, :1]) ** 2)), rel=1e-5)
    model.compile(loss=["mse", "mse"], loss_weights=[1.0, 100.0])
    with pytest.raises(ValueError, match=r"loss: the loss_weights \[1.0, 100.0\] .* are not used: give a loss"):
        KerasProblem(model, X, [X[:, :2], X[:, :1]])


def tensors(y_true, y_pred):
    return keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)


def raw_tensors(y_true, y_pred):
    return tf.reduce_mean(-y_true * tf.math.log(y_pred + 1e-3), axis=-1)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras on evaluating
@pytest.mark.parametrize(
    ("loss", "targets"),
    [(tensors, LABELS), (raw_tensors, LABELS[:, None]), (raw_tensors, LABELS > 0), (tensors, LABELS.astype("float32"))],
)
def test_a_compiled_function_sees_targets_as_keras_has_them(loss, targets):
    toolbox, individual, _ = scored(compiled(loss, 1, "sigmoid"), X, targets, batch_size=200)
    expected = loss_by_keras(toolbox, individual, loss, X, targets)
    assert toolbox.evaluate(individual)[0] == pytest.approx(expected, rel=1e-5)


def first_column(y_true, y_pred):
    return keras.ops.mean(keras.ops.square(y_true[:, 0] - y_pred[:, 0]))


def by_rows(y_true, y_pred):
    return keras.ops.mean(keras.ops.abs(y_true - y_pred), axis=-1)


@pytest.mark.parametrize(
    ("loss", "form", "weighted"),
    [
        (first_column, "lists", "one for all"),
        ([by_rows, by_rows], "lists", "each its own"),
        ({"wide": by_rows, "a": first_column}, "dictionaries", "each its own"),
        (by_rows, "targets by name", "each its own"),
        (by_rows, "dictionaries", ""),
    ],
)
def test_a_compiled_function_is_called_for_each_output(loss, form, weighted):
    inputs = keras.Input((4,))
    heads = {"wide": keras.layers.Dense(3, name="wide")(inputs), "a": keras.layers.Dense(2, name="a")(inputs)}
    model = keras.Model(inputs, heads if form == "dictionaries" else list(heads.values()))
    x, targets = x_of(), {"wide": x_of(3), "a": x_of(2)}
    y = targets if form == "dictionaries" else list(targets.values())
    rng = np.random.default_rng(3)
    own = {name: rng.random(len(x)) for name in targets}
    each = {"": None, "one for all": dict.fromkeys(targets, own["a"]), "each its own": own}[weighted]
    weights = each if each is None or form == "dictionaries" else list(each.values())
    model.compile(loss=loss, run_eagerly=True)
    given = {"sample_weight": own["a"] if weighted == "one for all" else each if form == "targets by name" else weights}
    toolbox, individual, _ = scored(model, x, targets if form == "targets by name" else y, **given)
    wanted = loss_by_keras(toolbox, individual, loss, x, y, sample_weight=weights)
    assert toolbox.evaluate(individual)[0] == pytest.approx(wanted, rel=1e-5)
