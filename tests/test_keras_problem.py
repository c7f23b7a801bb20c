"""Any Keras model goes in, is scored as it predicts, and comes out."""

import gc
import pickle
import random
import subprocess
import sys
import weakref
from collections import OrderedDict, namedtuple

import numpy as np
import pytest
from architectures import ARCHITECTURES, Subclassed
from conftest import ROOT
from deap import base, creator, tools

from deap_nn import (
    Constant,
    ErrorScaled,
    Individual,
    KerasProblem,
    WeightList,
    datasets,
    evolve,
    make_toolbox,
    preset,
)
from deap_nn.answers import answers_with_logits
from deap_nn.callbacks import EarlyStopping, ProgressBar
from deap_nn.datafiles import DataError
from deap_nn.datasets import find_dataset
from deap_nn.evaluation import batch_indices
from deap_nn.models import keras, load_model, reference_of, tf
from deap_nn.own_parts import by_name, own_parts
from deap_nn.samples import Samples, as_arrays, flat, outline, packed, split_samples
from deap_nn.scorers import scorer

layers = keras.layers


def targets_of(model, inputs):
    """Targets in the structure and the shapes of the model's answers."""
    rng = np.random.default_rng(3)
    return keras.tree.map_structure(lambda answer: rng.normal(size=answer.shape).astype(np.float32), model(inputs))


def custom_objects(model):
    return by_name(own_parts((model, *model._flatten_layers())))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras on saving
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_is_scored_as_it_predicts_and_comes_out(name, tmp_path):
    model, inputs = ARCHITECTURES[name]()
    before = [variable.numpy().copy() for variable in model.variables]
    y = targets_of(model, inputs)
    drawn = random.getstate()
    problem = KerasProblem(model, inputs, y, loss="mse", validation_split=0)
    toolbox = make_toolbox(problem, seed=1)
    assert len(set(problem.layout.names)) == len(problem.layout.names) == len(model.trainable_variables)
    individual = toolbox.individual()
    evolved = problem.to_model(individual)
    for matrix, variable in zip(individual, evolved.trainable_variables, strict=True):
        assert np.array_equal(matrix, variable.numpy())
    for variable, other in zip(evolved.non_trainable_variables, model.non_trainable_variables, strict=True):
        assert "seed_generator" in variable.path or np.array_equal(variable.numpy(), other.numpy())
    predicted = keras.tree.flatten(evolved.predict(inputs, verbose=0))
    wanted = sum(np.mean((p - t) ** 2) for p, t in zip(predicted, flat(y), strict=True))
    assert toolbox.scores(individual, "train")[0] == pytest.approx(wanted, rel=1e-4)
    assert toolbox.evaluate(individual)[0] == pytest.approx(wanted, rel=1e-4)  # the mini-batch is all there is
    assert random.getstate() == drawn
    assert all(np.array_equal(a, v.numpy()) for a, v in zip(before, model.variables, strict=True))
    evolved.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", custom_objects=custom_objects(evolved))
    again = keras.tree.flatten(loaded(inputs))
    assert all(np.allclose(p, a, atol=1e-6) for p, a in zip(predicted, again, strict=True))
    evolved.save_weights(tmp_path / "model.weights.h5")
    model_again = problem.to_model(toolbox.individual())
    model_again.load_weights(tmp_path / "model.weights.h5")
    for variable, other in zip(model_again.weights, evolved.weights, strict=True):
        assert np.array_equal(variable.numpy(), other.numpy())
    again = keras.tree.flatten(model_again.predict(inputs, verbose=0))
    assert all(map(np.array_equal, predicted, again))


@pytest.mark.parametrize("name", ["dense", "lstm", "convolution", "batch-norm", "attention", "embedding"])
def test_a_group_changes_no_bit(name):
    model, inputs = ARCHITECTURES[name]()
    y = targets_of(model, inputs)
    toolbox = make_toolbox(
        KerasProblem(model, inputs, y, loss=["mae", lambda o, t: float(o.max())]), **two_objectives()
    )
    population = toolbox.population(n=5)
    together = toolbox.evaluate.func.many(np.stack([individual.flat for individual in population]))
    assert together == [toolbox.evaluate(individual) for individual in population]
    assert len(set(together)) == 5


def two_objectives(weights=(-1.0, -1.0)):
    name = "Weighted" + "".join("up" if weight > 0 else "down" for weight in weights)
    if not hasattr(creator, name):
        creator.create(f"{name}Fitness", base.Fitness, weights=weights)
        creator.create(name, WeightList, fitness=getattr(creator, f"{name}Fitness"))
    return {"container": getattr(creator, name), "seed": 1}


def dense(units=3, last=None, width=4):
    return keras.Sequential([keras.Input((width,)), layers.Dense(5, activation="tanh"), layers.Dense(units, last)])


def x_of(width=4, samples=40):
    return np.random.default_rng(1).normal(size=(samples, width)).astype(np.float32)


def labels(classes=3, samples=40):
    return np.random.default_rng(2).integers(0, classes, samples)


@pytest.mark.parametrize("last", [None, "softmax"])
@pytest.mark.parametrize("form", ["labels", "column", "one-hot"])
def test_error_and_cross_entropy_agree_with_numpy(form, last):
    x, y = x_of(), labels()
    given = {"labels": y, "column": y[:, None], "one-hot": np.eye(3)[y]}[form]
    problem = KerasProblem(dense(last=last), x, given, loss=["error", "cross_entropy"], validation_split=0)
    toolbox = make_toolbox(problem, **two_objectives())
    individual = toolbox.individual()
    answers = problem.to_model(individual).predict(x, verbose=0).astype(np.float64)
    if last is None:
        answers = np.exp(answers) / np.exp(answers).sum(1, keepdims=True)
    error, entropy = toolbox.scores(individual, "train")
    assert error == pytest.approx(np.mean(answers.argmax(1) != y))
    assert entropy == pytest.approx(-np.mean(np.log(answers[np.arange(len(y)), y])), rel=1e-4)


@pytest.mark.parametrize("last", [None, "sigmoid"])
@pytest.mark.parametrize("column", [False, True])
def test_two_classes_may_have_one_output(last, column):
    x, y = x_of(), labels(2)
    given = y[:, None] if column else y
    problem = KerasProblem(dense(1, last), x, given, loss=["error", "cross_entropy"], validation_split=0)
    toolbox = make_toolbox(problem, **two_objectives())
    individual = toolbox.individual()
    answers = problem.to_model(individual).predict(x, verbose=0)[:, 0].astype(np.float64)
    share = answers if last else 1 / (1 + np.exp(-answers))
    error, entropy = toolbox.scores(individual, "train")
    assert error == pytest.approx(np.mean((share > 0.5) != y))
    assert entropy == pytest.approx(-np.mean(np.log(np.where(y, share, 1 - share))), rel=1e-4)


def test_losses_and_functions_of_keras_and_of_ones_own():
    x, y = x_of(), x_of(2)

    def largest(outputs, targets):
        return np.abs(outputs - targets).max()

    given = ["mse", "mae", "huber", keras.losses.LogCosh(), keras.metrics.MeanAbsoluteError(), largest]
    problem = KerasProblem(dense(2), x, y, loss=given, validation_split=0)
    toolbox = make_toolbox(problem, **two_objectives((-1.0,) * 6))
    individual = toolbox.individual()
    away = problem.to_model(individual).predict(x, verbose=0).astype(np.float64) - y
    huber = np.where(np.abs(away) < 1, away**2 / 2, np.abs(away) - 0.5)
    mean = np.abs(away).mean()
    wanted = [(away**2).mean(), mean, huber.mean(), np.log(np.cosh(away)).mean(), mean, np.abs(away).max()]
    assert toolbox.scores(individual, "train") == pytest.approx(wanted, rel=1e-4)
    on_half = toolbox.scores(individual, "train", size=20)
    assert on_half[5] == pytest.approx(np.abs(away[:20]).max(), rel=1e-4)


def test_a_loss_for_each_output_by_its_name():
    a = keras.Input((4,))
    hidden = layers.Dense(5, activation="relu")(a)
    model = keras.Model(a, [layers.Dense(3, name="which")(hidden), layers.Dense(1, name="much")(hidden)])
    x, which, much = x_of(), labels(), x_of(1)
    problem = KerasProblem(model, x, [which, much], loss={"which": "error", "much": "mse"}, validation_split=0)
    toolbox = make_toolbox(problem, seed=1)
    individual = toolbox.individual()
    first, second = problem.to_model(individual).predict(x, verbose=0)
    wanted = np.mean(first.argmax(1) != which) + np.mean((second - much) ** 2)
    assert toolbox.scores(individual, "train")[0] == pytest.approx(wanted, rel=1e-4)


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


class Hidden(Scaled):
    """Nothing of it tells."""

    def __init__(self, k=2.0, **kwargs):
        super().__init__(**kwargs)
        self.scale = [k]

    def call(self, y_true, y_pred):
        return self.scale[0] * super().call(y_true, y_pred)


class Strict(Scaled):
    """Does not take what Keras' configuration has."""

    def __init__(self, k=2.0):
        super().__init__(k)


class Later(keras.losses.Loss):
    """Is told by how much once it is there."""

    k = 2.0

    def set(self, k):
        self.k = k
        return self

    def call(self, y_true, y_pred):
        return self.k * keras.ops.mean((y_true - y_pred) ** 2, axis=-1)


class Listed(keras.losses.Loss):
    """Keeps its argument in a list, and tells another."""

    def __init__(self, k=2.0, **keywords):
        super().__init__(**keywords)
        self.k = [k]

    def call(self, y_true, y_pred):
        return self.k[0] * keras.ops.mean((y_true - y_pred) ** 2, axis=-1)

    def get_config(self):
        return super().get_config() | {"k": 2.0}


class Told(Scaled):
    """As Keras wants it, but for the dtype, which its own losses do not tell of either."""

    def __init__(self, k=2.0, name="told", reduction="sum_over_batch_size", dtype=None):
        super().__init__(k, name=name, reduction=reduction, dtype=dtype)

    def get_config(self):
        return super().get_config() | {"k": self.k}


def squared(y_true, y_pred, k=1.0):
    return k * (y_true - y_pred) ** 2


def wrapped(function, **arguments):
    return keras.metrics.MeanMetricWrapper(function, **arguments)


def test_losses_and_metrics_of_ones_own_are_scored_as_they_are():
    x, y = x_of(), x_of(2)
    given = [CountsPositives(), Told(), Told(5.0), Later(), wrapped(squared, k=3.0)]
    problem = KerasProblem(dense(2), x, y, loss=given, validation_split=0)
    toolbox = make_toolbox(problem, **two_objectives((-1.0,) * 5))
    individual = toolbox.individual()
    answers = problem.to_model(individual).predict(x, verbose=0).astype(np.float64)
    square = np.mean((answers - y) ** 2)
    wanted = [(answers > 0).sum(), 2 * square, 5 * square, 2 * square, 3 * square]
    assert wanted[0] > 0
    assert toolbox.scores(individual, "train") == pytest.approx(wanted, rel=1e-4)
    assert toolbox.evaluate(individual) == pytest.approx(wanted, rel=1e-4)  # the mini-batch is all there is
    evaluate = pickle.loads(pickle.dumps(toolbox.evaluate.func))
    scorer.cache_clear()
    assert evaluate(individual) == toolbox.evaluate(individual)


def test_accuracies_of_keras_are_metrics():
    x, y = x_of(), np.eye(3)[labels()]
    problem = KerasProblem(dense(last="softmax"), x, y, loss=keras.metrics.categorical_accuracy, validation_split=0)
    with pytest.raises(ValueError, match="container must say whether categorical_accuracy is minimised or maximised"):
        make_toolbox(problem, seed=1)
    toolbox = make_toolbox(problem, **two_objectives((1.0,)))
    individual = toolbox.individual()
    answers = problem.to_model(individual).predict(x, verbose=0)
    assert toolbox.scores(individual, "train")[0] == pytest.approx(np.mean(answers.argmax(1) == labels()))


def test_an_objective_may_be_of_some_outputs():
    a, heads = two_heads(c=3, r=1, s=1)
    model = keras.Model(a, list(heads.values()))
    x, y = x_of(), [labels(), x_of(1), x_of(1) + 1]
    given = [
        {"c": "error"},
        {"r": "mse"},
        {"s": "mae", "c": "cross_entropy"},
        {"c": keras.metrics.SparseCategoricalAccuracy()},
        {"s": lambda outputs, targets: float(np.abs(outputs - targets).max())},
    ]
    problem = KerasProblem(model, x, y, loss=given, validation_split=0)
    toolbox = make_toolbox(problem, **two_objectives((-1.0, -1.0, -1.0, 1.0, -1.0)))
    individual = toolbox.individual()
    c, r, s = (answer.astype(np.float64) for answer in problem.to_model(individual).predict(x, verbose=0))
    entropy = np.mean(np.log(np.exp(c).sum(1)) - c[np.arange(40), y[0]])
    error = np.mean(c.argmax(1) != y[0])
    away = np.abs(s - y[2])
    wanted = [error, np.mean((r - y[1]) ** 2), away.mean() + entropy, 1 - error, away.max()]
    assert toolbox.scores(individual, "train") == pytest.approx(wanted, rel=1e-4)
    assert toolbox.evaluate(individual) == pytest.approx(wanted, rel=1e-4)
    for loss, message in [
        ({"c": "error", "q": "mse"}, "loss must name some of the outputs c, r, s, got c, q"),
        ({"r": "error"}, "error of one output needs targets of 0 and 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            KerasProblem(model, x, y, loss=loss)
    for other in (keras.metrics.MeanSquaredError(), lambda outputs, targets: 0.0):
        with pytest.raises(
            TypeError, match="loss must be a name or a Keras loss for each output where it names several"
        ):
            KerasProblem(model, x, y, loss={"c": "error", "r": other})


def two_heads(**names):
    a = keras.Input((4,))
    hidden = layers.Dense(5, activation="relu")(a)
    heads = {name: layers.Dense(units, name=name)(hidden) for name, units in names.items()}
    return a, heads


@pytest.mark.parametrize("form", ["list", "dictionary"])
def test_targets_by_name_go_to_their_outputs(form):
    a, heads = two_heads(z=1, a=1)  # whose order by name is another
    model = keras.Model(a, list(heads.values()) if form == "list" else {"second": heads["z"], "first": heads["a"]})
    x, large, small = x_of(), 100 + x_of(1), x_of(1)
    y = {"z": large, "a": small} if form == "list" else {"second": large, "first": small}
    problem = KerasProblem(model, x, y, loss="mse", validation_split=0)
    toolbox = make_toolbox(problem, seed=1, batch_size=40)
    individual = toolbox.individual()
    predicted = problem.to_model(individual).predict(x, verbose=0)
    z, first = predicted if form == "list" else (predicted["second"], predicted["first"])
    wanted = np.mean((z - large) ** 2) + np.mean((first - small) ** 2)
    other = np.mean((z - small) ** 2) + np.mean((first - large) ** 2)
    assert abs(wanted - other) > 1e-3 * wanted
    assert toolbox.scores(individual, "train")[0] == pytest.approx(wanted, rel=1e-4)
    assert toolbox.evaluate(individual)[0] == pytest.approx(wanted, rel=1e-4)
    with pytest.raises(ValueError, match="y must name the outputs"):
        KerasProblem(model, x, {"z": large, "other": small}, loss="mse")


def test_an_output_of_a_number_a_sample_is_read_as_one():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1, activation="sigmoid"), layers.Reshape(())])
    x, y = x_of(), labels(2)
    toolbox = make_toolbox(
        KerasProblem(model, x, y, loss=["error", "cross_entropy"], validation_split=0), **two_objectives()
    )
    individual = toolbox.individual()
    share = toolbox.to_model(individual).predict(x, verbose=0).astype(np.float64)
    assert share.shape == (40,)
    error, entropy = toolbox.scores(individual, "train")
    assert error == pytest.approx(np.mean((share > 0.5) != y))
    assert entropy == pytest.approx(-np.mean(np.log(np.where(y, share, 1 - share))), rel=1e-4)


def test_masked_steps_are_scored_alike_by_all():
    _, inputs = ARCHITECTURES["masked"]()
    parts = [layers.Embedding(9, 3, mask_zero=True), layers.LSTM(3, return_sequences=True), layers.Dense(4)]
    steps = keras.Sequential([keras.Input((5,), dtype="int32"), *parts])
    y = np.random.default_rng(1).integers(0, 4, (8, 5))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert (inputs == 0).any()
    toolbox = make_toolbox(KerasProblem(steps, inputs, y, loss=loss, validation_split=0), seed=1)
    individual = toolbox.individual()
    assert toolbox.evaluate(individual)[0] == pytest.approx(toolbox.scores(individual, "train")[0], rel=1e-5)


@pytest.mark.parametrize(
    ("ends", "wanted"),
    [
        (lambda: [layers.Dense(2)], True),
        (lambda: [layers.Dense(2, activation="softmax")], False),
        (lambda: [layers.Dense(2), layers.Softmax()], False),
        (lambda: [layers.Dense(4, activation="softmax"), layers.Reshape((2, 2))], False),
        (lambda: [layers.Dense(1, activation="sigmoid"), layers.Reshape(())], False),
        (lambda: [keras.Sequential([keras.Input((3,)), layers.Dense(2, activation="softmax")])], False),
        (lambda: [keras.Sequential([keras.Input((3,)), layers.Dense(2)])], True),
    ],
)
def test_logits_and_probabilities_are_told_apart(ends, wanted):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), *ends()])
    assert answers_with_logits(model) is wanted
    classes = np.zeros((len(x_of()), *model.output_shape[1:-1]), int)
    told = KerasProblem(model, x_of(), classes, loss="error", from_logits=not wanted)
    assert told.from_logits == (not wanted,)


class Furthest:
    """A function of one's own that pickles anew with each task."""

    def __call__(self, outputs, targets):
        return float(np.abs(outputs - targets).max())


furthest = Furthest()


def test_a_copy_of_a_problem_is_the_same_problem():
    toolbox = make_toolbox(KerasProblem(dense(2), x_of(), x_of(2), loss=furthest), seed=1)
    evaluate = toolbox.evaluate.func
    copy = pickle.loads(pickle.dumps(evaluate))
    assert copy.problem == evaluate.problem
    assert scorer(copy.problem) is scorer(evaluate.problem)
    other = make_toolbox(KerasProblem(dense(2), x_of(), x_of(2), loss=Furthest()), seed=1).evaluate.func
    assert other.problem != evaluate.problem


def test_other_dtypes_beside_the_training_samples_are_cast():
    whole = np.arange(20).reshape(5, 4), np.zeros((5, 2), np.int64)
    problem = KerasProblem(dense(2), x_of(), x_of(2), loss="mse", validation_data=whole, test_data=whole)
    toolbox = make_toolbox(problem, seed=1)
    individual = toolbox.individual()
    predicted = problem.to_model(individual).predict(whole[0].astype(np.float32), verbose=0)
    assert toolbox.error_rate(individual, "test") == pytest.approx(np.mean(predicted**2), rel=1e-4)
    assert toolbox.error_rate(individual, "validation") == pytest.approx(np.mean(predicted**2), rel=1e-4)


def test_keras_functions_are_losses_and_not_functions_of_ones_own():
    problem = KerasProblem(dense(2), x_of(), x_of(2), loss=keras.losses.mean_squared_error, validation_split=0)
    toolbox = make_toolbox(problem, seed=1)
    individual = toolbox.individual()
    predicted = problem.to_model(individual).predict(x_of(), verbose=0)
    assert toolbox.scores(individual, "train")[0] == pytest.approx(np.mean((predicted - x_of(2)) ** 2), rel=1e-4)


def test_early_stopping_and_the_bar_know_what_is_maximised(capsys):
    problem = KerasProblem(dense(1, "sigmoid"), x_of(), labels(2), loss=keras.metrics.AUC(), validation_split=0)
    toolbox = make_toolbox(problem, **two_objectives((1.0,)))
    stopping = EarlyStopping(target=-0.01)
    _, logbook = evolve(toolbox.population(n=8), toolbox, 5, seed=1, callbacks=[stopping, ProgressBar()])
    assert len(logbook) == 1  # the best of the first is beyond that already
    assert f"best {logbook[0]['max']:.4f}" in capsys.readouterr().err


def test_what_is_maximised_is_told_with_the_other_sign():
    problem = KerasProblem(dense(1, "sigmoid"), x_of(), labels(2), loss=keras.metrics.AUC())
    with pytest.raises(ValueError, match="container must say whether auc"):
        make_toolbox(problem, seed=1)
    toolbox = make_toolbox(problem, **two_objectives((1.0,)))
    individual = toolbox.individual()
    value = toolbox.scores(individual, "validation")[0]
    assert 0 < value <= 1
    assert toolbox.error_rate(individual, "validation") == -value
    _, logbook = evolve(toolbox.population(n=12), toolbox, 6, seed=1)
    assert all(-1 <= error <= 0 for error in logbook.select("val_error"))
    assert np.mean(logbook.select("avg")[-2:]) > logbook.select("avg")[0]  # what is maximised grows


@pytest.mark.parametrize(("loss", "worst"), [("error", 1.0), ("cross_entropy", 1e9), ("mse", 1e100)])
def test_answers_that_are_not_finite_are_the_worst(loss, worst):
    y = labels() if loss != "mse" else x_of(3)
    toolbox = make_toolbox(KerasProblem(dense(), x_of(), y, loss=loss), seed=1)
    individual = toolbox.individual()
    individual[-1][0] = np.nan
    assert toolbox.evaluate(individual) == (worst,)
    toolbox = make_toolbox(KerasProblem(dense(), x_of(), y, loss=lambda o, t: 5.0), **two_objectives((1.0,)))
    assert toolbox.evaluate(individual) == (-1e100,)


def test_a_network_learns_a_curve_and_early_answers_do_not():
    x = np.linspace(-3, 3, 200, dtype=np.float32)[:, None]
    x = np.random.default_rng(1).permutation(x)
    model = keras.Sequential([keras.Input((1,)), layers.Dense(16, activation="tanh"), layers.Dense(1)])
    problem = KerasProblem(model, x, np.sin(x), loss="mse")
    toolbox = make_toolbox(problem, seed=1)
    population, logbook = evolve(toolbox.population(n=60), toolbox, 60, seed=1)
    best = tools.selBest(population, 1)[0]
    assert toolbox.error_rate(best, "validation") < 0.05 < logbook[0]["val_error"]
    predicted = problem.to_model(best).predict(x, verbose=0)
    assert np.mean((predicted - np.sin(x)) ** 2) < 0.05


def test_recipes_and_weights_give_the_same_and_need_no_validation_samples():
    problem = KerasProblem(dense(2), x_of(), x_of(2), loss="mae", validation_split=0)
    found = []
    for breeding in ("recipes", "plain"):
        toolbox = make_toolbox(problem, seed=1, batch_size=8, sigma=Constant(0.1))
        population, logbook = evolve(toolbox.population(n=10), toolbox, 3, seed=1, breeding=breeding)
        assert "val_error" not in logbook[0]
        found.append((logbook, [individual.flat.tobytes() for individual in population]))
    assert found[0] == found[1]


def test_each_generation_has_a_mini_batch_of_its_own():
    seen = []

    def note(outputs, targets):
        seen.append(targets[:, 0].tolist())
        return 0.0

    y = np.arange(40, dtype=np.float32)[:, None]
    problem = KerasProblem(dense(1), x_of(), y, loss=note, validation_split=0)
    toolbox = make_toolbox(problem, seed=3, batch_size=8, batch_generations=2)
    individual = toolbox.individual()
    evaluate = toolbox.evaluate.func
    for generation in range(6):
        evaluate.generation = generation
        evaluate(individual)
        assert seen[-1] == batch_indices(3, generation // 2, 8, 40).tolist()
    assert seen[0] == seen[1] != seen[2]


class Factor(keras.Model):
    """A model whose configuration does not tell what it multiplies with."""

    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = factor
        self.out = layers.Dense(2)

    def call(self, x):
        return self.factor * self.out(x)


def test_a_model_that_comes_out_of_its_configuration_with_other_answers_is_held():
    model = Factor(3.0)
    model(x_of())
    problem = KerasProblem(model, x_of(), x_of(2), loss=lambda outputs, targets: float(np.abs(outputs).max()))
    toolbox = make_toolbox(problem, seed=1, batch_size=32)
    individual = toolbox.individual()
    kernel, bias = individual
    assert toolbox.scores(individual, "train")[0] == pytest.approx(
        3 * np.abs(x_of()[:32] @ kernel + bias).max(), rel=1e-4
    )


def test_model_and_data_are_let_go_of_when_told():
    problems, x = [], x_of() + 0.5  # nobody else has these
    for factor in (2.0, 3.0):
        model = Factor(factor)
        model(x)
        problems.append(KerasProblem(model, x, x[:, :2], loss=lambda outputs, targets: float(np.abs(outputs).max())))
    evaluates = [make_toolbox(problem, seed=1, batch_size=32).evaluate for problem in problems]  # and no toolbox
    individual = Individual([np.ones((4, 2)), np.zeros(2)])
    values = [evaluate(individual)[0] for evaluate in evaluates]
    assert values[1] == pytest.approx(1.5 * values[0])
    scorer.cache_clear()
    problems[0].release()
    assert evaluates[1](individual) == (values[1],)
    with pytest.raises(TypeError, match="cannot be built in another process"):
        evaluates[0](individual)
    problems[1].release()
    with pytest.raises(DataError, match="made of arrays that this process does not hold"):
        find_dataset(problems[1].samples.reference)
    kept = weakref.ref(problems[0].samples)
    scorer.cache_clear()
    problems.clear()
    gc.collect()
    assert kept() is None


def test_recalibration_makes_the_statistics_those_of_the_data():
    model = keras.Sequential([keras.Input((4,)), layers.BatchNormalization(), layers.Dense(2)])
    x = 3 * x_of() + 5
    problem = KerasProblem(model, x, x_of(2), loss="mse", validation_split=0)
    evolved = problem.to_model(make_toolbox(problem, seed=1).individual())
    norm = evolved.layers[0]
    assert np.array_equal(norm.moving_mean.numpy(), np.zeros(4))
    assert problem.recalibrate(evolved, batch_size=20) is evolved
    assert norm.momentum == model.layers[0].momentum
    assert norm.moving_mean.numpy() == pytest.approx(x.mean(0), rel=1e-4)
    assert norm.moving_variance.numpy() == pytest.approx((x[:20].var(0) + x[20:].var(0)) / 2, rel=1e-3)
    assert np.array_equal(model.layers[0].moving_mean.numpy(), np.zeros(4))
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        problem.recalibrate(evolved, batch_size=0)


def test_recalibration_changes_nothing_but_the_statistics():
    norms = [layers.BatchNormalization(), layers.BatchNormalization(trainable=False)]
    parts = [layers.SpectralNormalization(layers.Dense(5)), *norms, layers.Dropout(0.5), layers.Dense(2)]
    model = keras.Sequential([keras.Input((4,)), *parts])
    problem = KerasProblem(model, x_of(), x_of(2), loss="mse", validation_split=0)
    evolved = problem.to_model(make_toolbox(problem, seed=1).individual())
    before = [variable.numpy().copy() for variable in evolved.variables]
    problem.recalibrate(evolved, batch_size=20)
    norm = evolved.layers[1]
    changed = [v for v, kept in zip(evolved.variables, before, strict=True) if not np.array_equal(kept, v.numpy())]
    assert [id(variable) for variable in changed] == [id(norm.moving_mean), id(norm.moving_variance)]
    kernel, bias = evolved.layers[0].layer.get_weights()
    assert norm.moving_mean.numpy() == pytest.approx((x_of() @ kernel + bias).mean(0), rel=1e-4)


def test_a_model_that_cannot_be_built_again_is_scored_in_this_process():
    model = Subclassed(5)  # Keras does not note arguments without names
    model(x_of())
    problem = KerasProblem(model, x_of(), x_of(2), loss="mse", validation_split=0)
    toolbox = make_toolbox(problem, seed=1)
    individual = toolbox.individual()
    before = [variable.numpy().copy() for variable in model.variables]
    value = toolbox.scores(individual, "train")[0]
    assert all(np.array_equal(a, v.numpy()) for a, v in zip(before, model.variables, strict=True))
    with pytest.raises(TypeError, match=r"cannot be built again: assign the weights.*register_keras_serializable$"):
        problem.to_model(individual)
    other = Subclassed(5)
    other(x_of())
    predicted = problem.assign(individual, other).predict(x_of(), verbose=0)
    assert value == pytest.approx(np.mean((predicted - x_of(2)) ** 2), rel=1e-4)
    reference = pickle.dumps(problem.reference)
    code = f"import pickle\nfrom deap_nn.models import model_of\nmodel_of(pickle.loads({reference!r}))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert f"TypeError: model {model.name!r} cannot be built in another process" in answer.stderr


@pytest.mark.parametrize("name", ["subclassed-without-configuration", "own-activation", "lambda"])
def test_a_model_of_ones_own_parts_is_built_again_in_another_process(tmp_path, name):
    if name in ARCHITECTURES:
        model, x = ARCHITECTURES[name]()
    else:
        model, x = Subclassed(), x_of()
        model(x)
    problem = KerasProblem(model, x, x_of(2, len(x)), loss="mse")
    (tmp_path / "reference").write_bytes(pickle.dumps(problem.reference))
    code = (
        f"import pickle\nfrom deap_nn.models import layout_of, model_of\n"
        f"reference = pickle.load(open({str(tmp_path / 'reference')!r}, 'rb'))\n"
        "print([tuple(v.shape) for v in model_of(reference).trainable_variables], layout_of(reference).names)"
    )
    path = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PATH": ""}
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=path, check=True)
    shapes = [tuple(variable.shape) for variable in model.trainable_variables]
    assert answer.stdout.strip() == f"{shapes} {problem.layout.names}"


def focal(y_true, y_pred):
    """A loss that no file can bring."""
    return keras.ops.mean(keras.ops.square(y_true - y_pred) ** 2)


class Own(keras.losses.Loss):
    """One of a user's own."""

    def call(self, y_true, y_pred):
        return keras.ops.mean(y_true - y_pred)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras on saving
@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
@pytest.mark.parametrize("loss", [focal, lambda t, p: focal(t, p), Own(), "mse"])
def test_how_a_model_was_compiled_is_in_nobodys_way(loss, tmp_path):
    model = dense(2)
    model.compile("adam", loss)
    model.fit(x_of(), x_of(2), epochs=1, verbose=0)
    problem = KerasProblem(model, x_of(), x_of(2), loss="mse", validation_split=0)
    toolbox = make_toolbox(problem, seed=1)
    individual = toolbox.individual()
    evolved = problem.to_model(individual)
    assert toolbox.evaluate(individual)[0] == pytest.approx(np.mean((evolved(x_of()) - x_of(2)) ** 2), rel=1e-4)
    assert evolved.compiled == (loss == "mse")
    assert reference_of(model).config
    model.save(tmp_path / "own.keras")
    assert np.array_equal(load_model(tmp_path / "own.keras")(x_of()), model(x_of()))


def relu(x):
    """Has the name of Keras' own, and differs for large numbers alone."""
    return keras.ops.minimum(keras.ops.relu(x), 100.0)


def local():
    def relu(x):
        return keras.ops.minimum(keras.ops.relu(x), 100.0)

    return relu


@pytest.mark.parametrize("activation", [lambda x: 2 * x, relu, local()], ids=["lambda", "name of Keras' own", "local"])
def test_functions_that_cannot_be_found_or_told_apart_are_for_this_process_alone(activation):
    parts = [layers.Dense(3, activation="relu"), layers.Activation(activation), layers.Dense(2)]
    model = keras.Sequential([keras.Input((4,)), *parts])
    problem = KerasProblem(model, x_of(), x_of(2), loss="mse")
    assert problem.reference.held
    toolbox = make_toolbox(problem, seed=1)
    toolbox.evaluate(toolbox.individual())
    with pytest.raises(TypeError, match=r"cannot be built again: .*define functions of its own by def"):
        problem.to_model(toolbox.individual())
    with pytest.raises(TypeError, match=r"cannot be built again from|with other weights or functions"):
        reference_of(model)


def test_a_lambda_whose_source_is_not_there_is_for_this_process_alone():
    activation = eval("lambda x: 2 * x")
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, activation=activation)])
    assert KerasProblem(model, x_of(), x_of(2), loss="mse").reference.held


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"loss": "nonsense"},
            ValueError,
            "loss must be 'error', 'cross_entropy', 'mse', 'mae', the name of a Keras",
        ),
        ({"loss": 3}, TypeError, "loss must be a name, a Keras loss or metric, or a function, got int"),
        ({"loss": []}, ValueError, "loss must name at least one objective"),
        ({"loss": {"other": "mse"}}, ValueError, "loss must name some of the outputs .*, got other"),
        ({"loss": {}}, ValueError, "loss must name some of the outputs .*, got none"),
        ({"y": x_of(2, 39)}, ValueError, "x and y must be of one length, got 40 and 39"),
        ({"x": np.zeros((40, 5), np.float32)}, ValueError, "model 'sequential.*' does not take x: "),
        ({"y": x_of(7), "loss": "mse"}, ValueError, "loss does not fit outputs of shape"),
        ({"y": [x_of(2), x_of(2)]}, ValueError, "the model has 1 outputs, and there are 2 targets"),
        ({"y": labels(3) + 1, "loss": "error"}, ValueError, "error needs the classes 0 to 1 as targets"),
        ({"y": np.ones((40, 2)), "loss": "cross_entropy"}, ValueError, "cross_entropy needs rows of one class each"),
        ({"y": labels(), "loss": keras.metrics.F1Score()}, ValueError, "loss does not fit outputs of shape"),
        (
            {"loss": keras.metrics.F1Score()},
            ValueError,
            r"f1_score must give a single number, got an array of shape \(2",
        ),
        ({"loss": Named()}, ValueError, "named must give a single number, got several by name"),
        (
            {"loss": Scaled(5.0)},
            TypeError,
            r"^loss Scaled cannot be built again: give it a get_config\(\) that tells k$",
        ),
        (
            {"loss": Hidden(5.0)},
            TypeError,
            r"^loss Hidden cannot be built again: give it a get_config\(\) that tells k, scale$",
        ),
        (
            {"loss": Strict(5.0)},
            TypeError,
            r"^loss Strict cannot .* get_config\(\) of what __init__ takes, and define.*",
        ),
        ({"loss": Told(dtype="float64")}, TypeError, r"^loss Told cannot be built .* get_config\(\) that tells dtype$"),
        ({"loss": Listed(5.0)}, TypeError, r"^loss Listed cannot be built .* get_config\(\) that tells k$"),
        ({"loss": Later().set(3.0)}, TypeError, r"^loss Later cannot be built .* get_config\(\) that tells k$"),
        ({"loss": wrapped(lambda t, p: t - p)}, TypeError, "^loss MeanMetricWrapper cannot .* at the top of a module$"),
        ({"from_logits": [True, False]}, ValueError, "from_logits must be True or False for each of 1 outputs"),
        (
            {"from_logits": True},
            ValueError,
            "from_logits is for 'error' and 'cross_entropy': Keras' losses and metrics",
        ),
        ({"loss": "error", "y": np.array(["a", "b"] * 20)}, ValueError, "error needs numbers as targets, got str32"),
        ({"validation_split": 1.0}, ValueError, "validation_split must be at least 0 and below 1, got 1.0"),
        ({"validation_split": 0.999}, ValueError, "validation_split leaves none of 40 samples to train on"),
        ({"validation_data": x_of()}, ValueError, "validation_data must be a pair"),
        ({"test_data": (x_of(5), x_of(2))}, ValueError, "test must have samples shaped as those of train"),
        (
            {"x": np.array([object()] * 40)},
            ValueError,
            "x must be of arrays of numbers or .*, got ndarray of object$",
        ),
        ({"x": (row for row in x_of())}, ValueError, "x must be of arrays of numbers or of strings .*, got generator$"),
        ({"x": [[1.0, 2.0], [3.0]]}, ValueError, "x must be of arrays, got a list of parts that differ$"),
        ({"x": np.array([1, None, "a"] * 20)[:40]}, ValueError, "x must be of .*, got ndarray of NoneType, int, str$"),
        ({"y": None}, ValueError, "y must be of arrays of numbers or of strings .*, got NoneType$"),
    ],
)
def test_bad_arguments_are_named(change, error, message):
    given = {"x": x_of(), "y": x_of(2), "loss": "mse"} | change
    with pytest.raises(error, match=message):
        KerasProblem(dense(2), given.pop("x"), given.pop("y"), **given)


@pytest.mark.parametrize(
    "loss",
    [keras.losses.Huber(delta=0.1), keras.losses.CosineSimilarity(axis=0), keras.losses.Dice(axis=1)],
    ids=["huber", "cosine", "dice"],
)
def test_keras_own_losses_are_scored_with_the_arguments_that_they_were_given(loss):
    """Keras' configurations of some leave them out."""
    x, y = x_of(), x_of(2)
    problem = KerasProblem(dense(2), x, y, loss=loss, validation_split=0)
    toolbox = make_toolbox(problem, seed=1, batch_size=40)
    member = toolbox.individual()
    answers = problem.to_model(member).predict(x, verbose=0)
    assert toolbox.evaluate(member)[0] == pytest.approx(float(loss(y, answers)), rel=1e-5)


def test_a_toolbox_says_what_does_not_go_with_a_problem():
    problem = KerasProblem(dense(2), x_of(), x_of(2), loss="mse")
    for given in ({"data": "mnist5k"}, {"fitness": "error"}, {"precision": "bfloat16"}):
        with pytest.raises(ValueError, match="data, fitness and precision are not for a KerasProblem"):
            make_toolbox(problem, seed=1, **given)
    with pytest.raises(ValueError, match="batch_size must be at most the 32 training samples, got 33"):
        make_toolbox(problem, seed=1, batch_size=33)
    with pytest.raises(ValueError, match=r"container must have a fitness of 1 value\(s\), got 2"):
        make_toolbox(problem, **two_objectives())
    with pytest.raises(ValueError, match="ErrorScaled must say what the fitness is"):
        make_toolbox(problem, seed=1, sigma=ErrorScaled(0.1))
    with pytest.raises(TypeError, match="data must be a name, a path or a Dataset where the model is no KerasProblem"):
        make_toolbox("mlp", seed=1)
    frozen = dense(2)
    frozen.trainable = False
    with pytest.raises(ValueError, match="has no trainable weights"):
        KerasProblem(frozen, x_of(), x_of(2), loss="mse")
    toolbox = make_toolbox(problem, seed=1)
    with pytest.raises(ValueError, match="there are no test samples, only those of train and validation"):
        toolbox.error_rate(toolbox.individual(), "test")

    def broken(outputs, targets):
        return outputs

    toolbox = make_toolbox(KerasProblem(dense(2), x_of(), x_of(2), loss=broken), seed=1)
    individual = toolbox.individual()
    with pytest.raises(TypeError, match="broken must return a number, got ndarray"):
        toolbox.evaluate(individual)


@pytest.mark.parametrize("name", ["default", "mask", "article"])
def test_presets_are_for_problems_too(name):
    loss = "error" if name == "article" else "cross_entropy"
    settings = preset(name, population=6, generations=2, matrices=2)
    toolbox = make_toolbox(KerasProblem(dense(3), x_of(), labels(), loss=loss), seed=1, batch_size=20, **settings)
    assert len(evolve(toolbox.population(n=6), toolbox, 2, seed=1)[1]) == 3
    if name == "article":  # which names its fitness
        with pytest.raises(ValueError, match="data, fitness and precision are not for a KerasProblem"):
            make_toolbox(KerasProblem(dense(3), x_of(), labels()), seed=1, **settings)


def test_nests_are_packed_as_they_were():
    nest = {"b": [np.zeros(3), np.ones(3)], "a": (np.arange(3),)}
    assert [array.tolist() for array in flat(nest)] == [[0, 1, 2], [0, 0, 0], [1, 1, 1]]
    assert outline(nest) == {"b": [None, None], "a": (None,)}
    again = packed(outline(nest), [1, 2, 3])
    assert again == {"b": [2, 3], "a": (1,)}
    assert list(again) == ["b", "a"]
    pair = namedtuple("pair", "left right")
    assert packed(pair(np.zeros(3), np.ones(3)), [1, 2]) == pair(1, 2)
    mixed = OrderedDict(b=np.zeros(1), a=np.ones(1))  # by name, as all dictionaries
    assert [array.tolist() for array in flat(mixed)] == [[1], [0]]
    assert as_arrays([[0.0, 1.0], [1.0, 0.0]], "x")[0].dtype == np.float32  # a table of numbers is one array
    samples = Samples({"train": ([[0, 1], [1, 1]], [0, 1])})
    assert len(samples) == 2
    assert samples.reference.sha256 != Samples({"train": ([[0, 1], [1, 0]], [0, 1])}).reference.sha256


def test_individuals_of_creator_and_deaps_own_loop():
    from deap import algorithms

    if not hasattr(creator, "KerasFitness"):
        creator.create("KerasFitness", base.Fitness, weights=(-1.0,))
        creator.create("KerasIndividual", WeightList, fitness=creator.KerasFitness)
    problem = KerasProblem(dense(), x_of(), labels(), loss="cross_entropy")
    toolbox = make_toolbox(problem, seed=1, container=creator.KerasIndividual)
    population, _ = algorithms.eaSimple(toolbox.population(n=10), toolbox, 0.9, 0.9, 3, verbose=False)
    assert isinstance(population[0], creator.KerasIndividual)
    assert not isinstance(population[0], Individual)
    assert 0 <= toolbox.error_rate(population[0], "validation") < 5


@pytest.mark.parametrize(
    ("train", "other", "said"),
    [
        (np.arange(40), np.array([2.5] * 4), "validation has samples of float32, which int64 of train does not hold"),
        (np.arange(40, dtype=np.uint8), np.array([300] * 4), "validation has samples of int64, which uint8 of train"),
        (np.array(["a"] * 40), np.arange(4), "validation has samples of int64, which str32 of train does not hold"),
        (np.arange(40), np.array([7] * 4, np.uint8), None),
        (np.arange(40) / 2, np.arange(4), None),
        (np.arange(40, dtype=np.float16), np.array([0.1] * 4), None),
        (np.array(["good", "bad"] * 20), np.array(["excellent", "awful"] * 2), None),
    ],
)
def test_samples_of_another_type_are_held_whole_or_refused(train, other, said):
    y = np.zeros(40)
    given = {"validation_split": 0, "validation_data": (other, y[:4])}
    if said is not None:
        with pytest.raises(ValueError, match=said):
            split_samples(train, y, **given)
        return
    (held,), _ = split_samples(train, y, **given).part("validation")
    assert held.tolist() == other.astype(held.dtype).tolist()
    assert held.dtype.kind == train.dtype.kind
    if held.dtype.kind == "U":
        assert held.tolist() == other.tolist()


def test_longer_strings_are_scored():
    words, y = np.array(["good", "bad"] * 20)[:, None], np.array([0, 1] * 20)
    lookup = layers.TextVectorization(vocabulary=["good", "bad", "excellent"], output_sequence_length=1)
    inputs = keras.Input((1,), dtype="string")
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(layers.Embedding(5, 2)(lookup(inputs)))))
    validation = np.array(["excellent", "bad"] * 5)[:, None], np.array([0, 1] * 5)
    problem = KerasProblem(model, words, y, validation_data=validation)
    toolbox = make_toolbox(problem, seed=1)
    individual = toolbox.individual()
    labels = problem.to_model(individual)
    expected = np.mean(labels(tf.constant(validation[0])).numpy().argmax(axis=1) != validation[1])
    error = make_toolbox(KerasProblem(model, words, y, loss="error", validation_data=validation), seed=1)
    assert error.scores(individual, "validation")[0] == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras on saving
@pytest.mark.parametrize("mode", ["int", "multi_hot", "tf_idf"])
@pytest.mark.parametrize("form", [str, object, bytes])
def test_vocabularies_that_were_adapted_come_along(mode, form, tmp_path):
    words, y = np.array([["good day"], ["bad day"], ["good"], ["bad"]] * 10), np.array([0, 1, 0, 1] * 10)
    words = tf.constant(words) if form is bytes else words.astype(form)
    lookup = layers.TextVectorization(output_mode=mode, output_sequence_length=2 if mode == "int" else None)
    lookup.adapt(words)
    inside = [layers.Embedding(5, 2), layers.Flatten()] if mode == "int" else []
    model = keras.Sequential([keras.Input((1,), dtype="string"), lookup, *inside, layers.Dense(2)])
    problem = KerasProblem(model, words, y, loss="cross_entropy", validation_split=0)
    toolbox = make_toolbox(problem, seed=1, batch_size=40)
    assert not problem.reference.held
    evolved = problem.to_model(toolbox.individual())
    inputs = tf.constant(words)
    expected = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(y, evolved(inputs))
    individual = [variable.numpy() for variable in evolved.trainable_variables]
    assert toolbox.evaluate(problem_individual(toolbox, individual))[0] == pytest.approx(float(expected), rel=1e-4)
    evolved.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert np.allclose(loaded(inputs), evolved(inputs), atol=1e-6)
    for variable, matrix in zip(model.trainable_variables, individual, strict=True):
        variable.assign(matrix)
    assert np.allclose(model(inputs), evolved(inputs), atol=1e-6)


def problem_individual(toolbox, matrices):
    individual = toolbox.individual()
    for place, matrix in zip(individual, matrices, strict=True):
        place[...] = matrix
    return individual


def test_what_could_not_be_made_holds_no_samples():
    x, y = x_of() + 7, x_of(2)
    with pytest.raises(ValueError, match="loss must be"):
        KerasProblem(dense(2), x, y, loss="no such loss")
    problem = KerasProblem(dense(2), x, y, loss="mse")
    problem.release()
    assert problem.samples.reference.sha256 not in datasets.made_of_arrays()


def test_problem_and_data_say_what_they_are(digits):
    assert repr(KerasProblem(dense(2), x_of(), x_of(2), loss="mse")).startswith("<KerasProblem: 37 weights, 32 samples")
    assert repr(digits).startswith("<Dataset ")
    assert len(repr(digits)) < 200


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras on evaluating
@pytest.mark.parametrize(
    ("loss", "more"),
    [
        *(("hinge", "targets"), ("hinge", "none"), ("hinge", "outputs"), ("categorical_hinge", "outputs")),
        *(("poisson", "outputs"), ("kl_divergence", "outputs"), ("dice", "outputs"), ("mse", "outputs")),
        *(("binary_crossentropy", "outputs"), ("binary_focal_crossentropy", "outputs"), ("huber", "targets")),
    ],
)
def test_a_named_loss_sees_targets_as_keras_does(loss, more):
    x = np.random.default_rng(0).standard_normal((60, 3)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.float32)
    given = [keras.Input((3,)), layers.Dense(1, "sigmoid")]
    model = keras.Sequential([*given, layers.Reshape(())] if more == "targets" else given)
    y = y if more == "outputs" else y[:, None]
    toolbox = make_toolbox(KerasProblem(model, x, y, loss=loss, validation_split=0), seed=1, batch_size=60)
    individual = toolbox.individual()
    evolved = toolbox.to_model(individual)
    evolved.compile(loss={"mse": "mean_squared_error", "mae": "mean_absolute_error"}.get(loss, loss))
    wanted = evolved.evaluate(x, y, batch_size=60, verbose=0)
    assert toolbox.evaluate(individual)[0] == pytest.approx(wanted, rel=1e-5, abs=1e-6)


def test_a_named_loss_of_steps_sees_targets_as_keras_does():
    x = np.random.default_rng(0).standard_normal((60, 5, 1)).astype(np.float32)
    model = keras.Sequential([keras.Input((5, 1)), layers.Dense(1)])
    scores = [
        make_toolbox(KerasProblem(model, x, y, loss="hinge", validation_split=0), seed=1, batch_size=60)
        for y in (np.sign(x), np.sign(x[:, :, 0]))
    ]
    values = [toolbox.evaluate(toolbox.individual())[0] for toolbox in scores]
    assert values[0] == pytest.approx(values[1], rel=1e-6)


@pytest.mark.parametrize("half", ["inputs", "targets"])
def test_gaps_in_the_samples_are_warned_of(half):
    x, y = np.ones((50, 3), np.float32), np.ones((50, 1), np.float32)
    (x if half == "inputs" else y)[[3, 7], 0] = np.nan, np.inf
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    with pytest.warns(UserWarning, match=rf"^2 of the 40 {half} of train have NaN or infinity$") as found:
        KerasProblem(model, x, y, loss="mse")
    assert [warning.filename for warning in found] == [__file__]
