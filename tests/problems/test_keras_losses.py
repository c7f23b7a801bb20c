"""Losses, metrics and a user's own functions are scored as Keras, or NumPy, has them."""

import numpy as np
import pytest
from architectures import ARCHITECTURES
from keras_models import dense, labels, two_objectives, x_of

from deap_nn import KerasProblem, make_toolbox
from deap_nn.models.outputs import is_logits
from deap_nn.models.tensorflow import keras

layers = keras.layers


@pytest.mark.parametrize("last", [None, "softmax"])
@pytest.mark.parametrize("form", ["labels", "column", "one-hot"])
def test_error_and_cross_entropy_agree_with_numpy(form, last):
    x, y = x_of(), labels()
    given = {"labels": y, "column": y[:, None], "one-hot": np.eye(3)[y]}[form]
    problem = KerasProblem(dense(last=last), x, given, loss=["error", "cross_entropy"], validation_split=0)
    toolbox = make_toolbox(problem, **two_objectives())
    individual = toolbox.individual()
    outputs = problem.to_model(individual).predict(x, verbose=0).astype(np.float64)
    if last is None:
        outputs = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
    error, entropy = toolbox.scores(individual, "train")
    assert error == pytest.approx(np.mean(outputs.argmax(1) != y))
    assert entropy == pytest.approx(-np.mean(np.log(outputs[np.arange(len(y)), y])), rel=1e-4)


@pytest.mark.parametrize("last", [None, "sigmoid"])
@pytest.mark.parametrize("column", [False, True])
def test_two_classes_may_have_one_output(last, column):
    x, y = x_of(), labels(2)
    given = y[:, None] if column else y
    problem = KerasProblem(dense(1, last), x, given, loss=["error", "cross_entropy"], validation_split=0)
    toolbox = make_toolbox(problem, **two_objectives())
    individual = toolbox.individual()
    outputs = problem.to_model(individual).predict(x, verbose=0)[:, 0].astype(np.float64)
    share = outputs if last else 1 / (1 + np.exp(-outputs))
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


def test_accuracies_of_keras_are_metrics():
    x, y = x_of(), np.eye(3)[labels()]
    problem = KerasProblem(dense(last="softmax"), x, y, loss=keras.metrics.categorical_accuracy, validation_split=0)
    with pytest.raises(ValueError, match="container must say whether categorical_accuracy is minimised or maximised"):
        make_toolbox(problem, seed=1)
    toolbox = make_toolbox(problem, **two_objectives((1.0,)))
    individual = toolbox.individual()
    outputs = problem.to_model(individual).predict(x, verbose=0)
    assert toolbox.scores(individual, "train")[0] == pytest.approx(np.mean(outputs.argmax(1) == labels()))


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
            TypeError, match="loss must be a name or a Keras loss for each output if it names several outputs"
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
def test_logits_and_probabilities_are_distinguished(ends, wanted):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), *ends()])
    assert is_logits(model) is wanted
    assert is_logits(model, output=lambda: pytest.fail("the layers tell")) is wanted
    classes = np.zeros((len(x_of()), *model.output_shape[1:-1]), int)
    message = KerasProblem(model, x_of(), classes, loss="error", from_logits=not wanted)
    assert message.from_logits == (not wanted,)


def test_keras_functions_are_losses_and_not_functions_of_ones_own():
    problem = KerasProblem(dense(2), x_of(), x_of(2), loss=keras.losses.mean_squared_error, validation_split=0)
    toolbox = make_toolbox(problem, seed=1)
    individual = toolbox.individual()
    predicted = problem.to_model(individual).predict(x_of(), verbose=0)
    assert toolbox.scores(individual, "train")[0] == pytest.approx(np.mean((predicted - x_of(2)) ** 2), rel=1e-4)


@pytest.mark.parametrize(("loss", "worst"), [("error", 1.0), ("cross_entropy", 1e100), ("mse", 1e100)])
def test_answers_that_are_not_finite_are_the_worst(loss, worst):
    y = labels() if loss != "mse" else x_of(3)
    toolbox = make_toolbox(KerasProblem(dense(), x_of(), y, loss=loss), seed=1)
    individual = toolbox.individual()
    individual[-1][0] = np.nan
    assert toolbox.evaluate(individual) == (worst,)
    problem = KerasProblem(dense(), x_of(), y, loss=lambda outputs, targets: 5.0)
    toolbox = make_toolbox(problem, **two_objectives((1.0,)))
    assert toolbox.evaluate(individual) == (-1e100,)


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
    outputs = problem.to_model(member).predict(x, verbose=0)
    assert toolbox.evaluate(member)[0] == pytest.approx(float(loss(y, outputs)), rel=1e-5)


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


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras on evaluating
@pytest.mark.parametrize(
    ("last", "loss"),
    [
        *(("softmax", "cross_entropy"), ("softmax", "sparse_categorical_crossentropy")),
        *(("softmax", keras.losses.SparseCategoricalCrossentropy()), ("sigmoid", "cross_entropy")),
        *(("sigmoid", "binary_crossentropy"), ("sigmoid", keras.losses.BinaryCrossentropy(label_smoothing=0.1))),
    ],
)
def test_saturated_probabilities_have_the_loss_that_keras_gives_them(last, loss):
    x, y = x_of(), labels(3 if last == "softmax" else 2)
    problem = KerasProblem(dense(3 if last == "softmax" else 1, last), x, y, loss=loss)
    toolbox = make_toolbox(problem, seed=1, batch_size=32)
    individual = toolbox.individual()
    individual.flat[:] *= 200
    evolved = toolbox.to_model(individual)
    usual = {"softmax": "sparse_categorical_crossentropy", "sigmoid": "binary_crossentropy"}[last]
    evolved.compile(loss=usual if loss == "cross_entropy" else loss, run_eagerly=True)
    wanted = [evolved.evaluate(x[part], y[part], batch_size=32, verbose=0) for part in (slice(32), slice(32, None))]
    assert wanted[0] > 17  # no logarithm of a probability that was clipped is as large
    assert toolbox.evaluate(individual)[0] == pytest.approx(wanted[0], rel=1e-5)
    assert toolbox.evaluate.func.many(individual.flat[None].copy()) == [toolbox.evaluate(individual)]
    assert toolbox.scores(individual, "train")[0] == pytest.approx(wanted[0], rel=1e-5)
    assert toolbox.error_rate(individual, "validation") == pytest.approx(wanted[1], rel=1e-5)
