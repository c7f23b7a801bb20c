"""Losses that are a user's own functions: how they are called, and what they are called with in a worker."""

import pickle
import sys
from functools import partial

import cloudpickle
import numpy as np
import pytest
from keras_models import dense, labels, x_of

from deap_nn import KerasProblem, make_toolbox
from deap_nn.models.tensorflow import keras
from deap_nn.problems import network


def lopsided(y_true, y_pred):
    return float(np.mean(y_true) - 2 * np.mean(y_pred))


class Lopsided:
    """A callable whose outputs come first."""

    def __call__(self, y_pred, y_true):
        return lopsided(y_true, y_pred)


FUNCTIONS = {
    "y_true, y_pred": (lopsided, lopsided),
    "y_pred, y_true": (lambda y_pred, y_true: lopsided(y_true, y_pred), lopsided),
    "targets, outputs": (lambda targets, outputs: lopsided(targets, outputs), lopsided),
    "outputs, targets": (lambda outputs, targets: lopsided(targets, outputs), lopsided),
    "positional": (lambda y_true, y_pred, /: lopsided(y_true, y_pred), lopsided),
    "outputs first, positional": (lambda y_pred, /, k=1, *, y_true: k * lopsided(y_true, y_pred), lopsided),
    "keywords": (lambda *, y_pred, y_true: lopsided(y_true, y_pred), lopsided),
    "a callable": (Lopsided(), lopsided),
    "a partial call": (partial(lambda k, y_pred, y_true: k * lopsided(y_true, y_pred), 1), lopsided),
    "Keras' function": (keras.losses.mean_absolute_percentage_error, keras.losses.MeanAbsolutePercentageError()),
    "Keras' function in part": (partial(keras.losses.huber, delta=0.1), keras.losses.Huber(0.1)),
    "a value for each sample": (lambda y_true, y_pred: np.mean(y_true - 2 * y_pred, axis=-1), lopsided),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_called_by_the_names_of_its_parameters(name):
    given, wanted = FUNCTIONS[name]
    problem = KerasProblem(dense(2), x_of(), x_of(2), loss=given, validation_split=0)
    toolbox = make_toolbox(problem, seed=1, batch_size=40)
    individual = toolbox.individual()
    value = float(wanted(x_of(2), problem.to_model(individual).predict(x_of(), verbose=0)))
    assert toolbox.evaluate(individual)[0] == pytest.approx(value, rel=1e-4)
    assert toolbox.scores(individual, "train")[0] == pytest.approx(value, rel=1e-4)


def test_a_second_problem_of_a_loss_compiles_nothing(monkeypatch):
    made, make = [], network.Network
    monkeypatch.setattr(network, "Network", lambda *given, **words: made.append(given) or make(*given, **words))

    def values(*losses):
        problems = [KerasProblem(dense(2), x_of(), x_of(2), loss=loss, validation_split=0) for loss in losses]
        return [make_toolbox(one, seed=1, batch_size=39).evaluate(np.full(37, 0.1)) for one in problems]

    first, second = values("mae", "mae")
    assert first == second
    assert len(made) == 1
    scaled = [lambda y_true, y_pred, k=k: k * lopsided(y_true, y_pred) for k in (2, 3)]
    (two,), (three,) = values(*scaled)  # a function may have a state, so each problem has its own network
    assert three == pytest.approx(1.5 * two)
    assert len(made) == 3


@pytest.mark.parametrize("dtype", [bool, int, np.uint8, np.float32])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_value_for_each_sample_may_be_an_integer_or_a_bool(dtype, weighted):
    def is_wrong(y_true, y_pred):
        return (y_true != y_pred.argmax(axis=1)).astype(dtype)

    weights = np.linspace(0.5, 2, len(labels())).astype(np.float32) if weighted else None
    words = {"validation_split": 0, "sample_weight": weights}
    problem = KerasProblem(dense(), x_of(), labels(), loss=is_wrong, **words)
    toolbox = make_toolbox(problem, seed=1, batch_size=40)
    individual = toolbox.individual()
    wrong = problem.to_model(individual).predict(x_of(), verbose=0).argmax(axis=1) != labels()
    assert 0 < wrong.mean() < 1
    wanted = np.mean(wrong * (1 if weights is None else weights))
    assert toolbox.evaluate(individual)[0] == pytest.approx(wanted, rel=1e-6)
    assert toolbox.scores(individual, "train")[0] == pytest.approx(wanted, rel=1e-6)


FACTOR = 1


def by_factor(y_true, y_pred):
    return FACTOR * np.mean(np.abs(y_true - y_pred))


def by_another(y_true, y_pred):
    return by_factor(y_true, y_pred)


@pytest.mark.parametrize("loss", [by_factor, by_another])
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


def by_helper(y_true, y_pred):
    return scaled(np.mean(np.abs(y_true - y_pred)))


def scaled(value):
    return value


def test_a_worker_scores_with_the_functions_that_a_later_problem_was_made_with(monkeypatch):
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    values = []
    try:
        for helper in (scaled, lambda value: 100 * value):
            helper.__module__ = __name__
            monkeypatch.setitem(globals(), "scaled", helper)
            problem = KerasProblem(dense(2), x_of(), x_of(2), loss=by_helper, validation_split=0)
            evaluate = make_toolbox(problem, seed=1, batch_size=39).evaluate
            values += pickle.loads(cloudpickle.dumps(evaluate.func))(np.full(37, 0.1))
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    assert values[1] == pytest.approx(100 * values[0])


def test_a_function_of_other_names_is_called_as_before_and_warned_of_once():
    def values():
        problem = KerasProblem(dense(2), x_of(), x_of(2), loss=lambda o, t: lopsided(t, o), validation_split=0)
        toolbox = make_toolbox(problem, seed=1, batch_size=40)
        individual = toolbox.individual()
        predicted = toolbox.to_model(individual).predict(x_of(), verbose=0)
        return toolbox.evaluate(individual)[0], lopsided(x_of(2), predicted)

    message = r"^<lambda> is called with \(outputs, targets\): name its parameters \(y_true, y_pred\) or"
    with pytest.warns(UserWarning, match=message) as found:
        value, wanted = values()
    assert [warning.filename for warning in found] == [__file__]
    assert value == pytest.approx(wanted, rel=1e-4)


def first_column(y_true, y_pred):
    return keras.ops.mean(keras.ops.square(y_true[:, 0] - y_pred[:, 0]))


def by_rows(y_true, y_pred):
    return keras.ops.mean(keras.ops.abs(y_true - y_pred), axis=-1)


@pytest.mark.parametrize("loss", [first_column, by_rows])
@pytest.mark.parametrize("form", ["lists", "dictionaries", "targets by name"])
@pytest.mark.parametrize("weighted", ["", "one for all", "each its own"])
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
    of_problem = targets if form == "targets by name" else y
    toolbox = make_toolbox(KerasProblem(model, x, of_problem, validation_split=0, **given), seed=1)
    individual = toolbox.individual()
    evolved = toolbox.to_model(individual)
    evolved.compile(loss=loss, run_eagerly=True)
    wanted = evolved.evaluate(x, y, sample_weight=weights, batch_size=len(x), verbose=0)
    wanted = wanted[0] if isinstance(wanted, list) else wanted
    assert toolbox.evaluate(individual)[0] == pytest.approx(wanted, rel=1e-5)


def test_a_problem_has_its_sample_weights_once():
    given = (x_of(), labels(), np.ones(40))
    with pytest.raises(ValueError, match=r"^sample_weight is given twice: with x and y, and as an argument$"):
        KerasProblem(dense(), given, sample_weight=np.ones(40))


def test_a_released_problem_makes_no_toolbox():
    problem = KerasProblem(dense(), x_of(), labels())
    problem.release()
    with pytest.raises(ValueError, match=r"^the KerasProblem is released: make another one$"):
        make_toolbox(problem, seed=1)
