"""Keras' losses and metrics, by name or as objects, are scored as Keras, or NumPy, has them."""

from functools import partial

import numpy as np
import pytest
from architectures import ARCHITECTURES
from keras_models import check_scores, dense, labels, loss_by_keras, scored, two_objectives, x_of
from wirings import evolve_toolbox

from deap_nn import KerasProblem, make_toolbox
from deap_nn.callbacks.early_stopping import EarlyStopping
from deap_nn.callbacks.progress import ProgressBar
from deap_nn.models.outputs import is_logits
from deap_nn.models.tensorflow import keras
from deap_nn.problems.objectives import of_classes

layers = keras.layers
BOTH = {"loss": ["error", "cross_entropy"], "weights": (-1.0, -1.0)}


@pytest.mark.parametrize("last", [None, "softmax"])
@pytest.mark.parametrize("form", ["labels", "column", "one-hot"])
def test_error_and_cross_entropy_agree_with_numpy(form, last):
    x, y = x_of(), labels()
    given = {"labels": y, "column": y[:, None], "one-hot": np.eye(3)[y]}[form]
    toolbox, individual, outputs = scored(dense(last=last), x, given, **BOTH)
    outputs = outputs.astype(np.float64)
    if last is None:
        outputs = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
    error, entropy = toolbox.scores(individual, "train")
    assert error == pytest.approx(np.mean(outputs.argmax(1) != y))
    assert entropy == pytest.approx(-np.mean(np.log(outputs[np.arange(len(y)), y])), rel=1e-4)


@pytest.mark.parametrize("last", [None, "sigmoid"])
@pytest.mark.parametrize("form", ["labels", "column", "a number for each sample"])
def test_two_classes_may_have_one_output(last, form):
    x, y, parts = x_of(), labels(2), [keras.Input((4,)), layers.Dense(1, last)]
    parts += [layers.Reshape(())] * (form == "a number for each sample")
    toolbox, individual, outputs = scored(keras.Sequential(parts), x, y[:, None] if form == "column" else y, **BOTH)
    outputs = outputs.reshape(-1).astype(np.float64)
    share = outputs if last else 1 / (1 + np.exp(-outputs))
    error, entropy = toolbox.scores(individual, "train")
    assert error == pytest.approx(np.mean((share > 0.5) != y))
    assert entropy == pytest.approx(-np.mean(np.log(np.where(y, share, 1 - share))), rel=1e-4)


def test_losses_and_functions_of_keras_and_of_ones_own():
    x, y = x_of(), x_of(2)

    def largest(outputs, targets):
        return np.abs(outputs - targets).max()

    with_arguments = [keras.losses.Huber(delta=0.1), keras.losses.CosineSimilarity(axis=0), keras.losses.Dice(axis=1)]
    given = ["mse", "mae", "huber", keras.losses.mean_squared_error, keras.losses.LogCosh()]
    given += [keras.metrics.MeanAbsoluteError(), largest, *with_arguments]
    toolbox, individual, outputs = scored(dense(2), x, y, loss=given, weights=(-1.0,) * len(given))
    away = outputs.astype(np.float64) - y
    huber = np.where(np.abs(away) < 1, away**2 / 2, np.abs(away) - 0.5)
    square, mean = (away**2).mean(), np.abs(away).mean()
    wanted = [square, mean, huber.mean(), square, np.log(np.cosh(away)).mean(), mean, np.abs(away).max()]
    wanted += [float(loss(y, outputs)) for loss in with_arguments]  # Keras' configurations of some leave them out
    assert toolbox.scores(individual, "train") == pytest.approx(wanted, rel=1e-4)
    on_half = toolbox.scores(individual, "train", size=20)
    assert on_half[6] == pytest.approx(np.abs(away[:20]).max(), rel=1e-4)


def two_heads(**names):
    a = keras.Input((4,))
    hidden = layers.Dense(5, activation="relu")(a)
    heads = {name: layers.Dense(units, name=name)(hidden) for name, units in names.items()}
    return a, heads


def test_an_objective_may_be_of_some_outputs():
    a, heads = two_heads(c=3, r=1, s=1)
    model = keras.Model(a, list(heads.values()))
    x, y = x_of(), [labels(), x_of(1), x_of(1) + 1]
    given = [
        {"c": "error"},
        {"r": "mse"},
        {"s": "mae", "c": "cross_entropy"},
        {"c": keras.metrics.SparseCategoricalAccuracy()},
        {"c": keras.metrics.sparse_categorical_accuracy},
        {"s": lambda outputs, targets: float(np.abs(outputs - targets).max())},
    ]
    toolbox, individual, outputs = scored(model, x, y, loss=given, weights=(-1.0, -1.0, -1.0, 1.0, 1.0, -1.0))
    c, r, s = (output.astype(np.float64) for output in outputs)
    entropy = np.mean(np.log(np.exp(c).sum(1)) - c[np.arange(40), y[0]])
    error = np.mean(c.argmax(1) != y[0])
    away = np.abs(s - y[2])
    wanted = [error, np.mean((r - y[1]) ** 2), away.mean() + entropy, 1 - error, 1 - error, away.max()]
    check_scores(toolbox, individual, wanted)
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


@pytest.mark.parametrize("form", ["list", "dictionary"])
def test_targets_by_name_go_to_their_outputs(form):
    a, heads = two_heads(z=1, a=1)  # whose order by name is another
    model = keras.Model(a, list(heads.values()) if form == "list" else {"second": heads["z"], "first": heads["a"]})
    x, large, small = x_of(), 100 + x_of(1), x_of(1)
    y = {"z": large, "a": small} if form == "list" else {"second": large, "first": small}
    toolbox, individual, predicted = scored(model, x, y, loss="mse", batch_size=40)
    z, first = predicted if form == "list" else (predicted["second"], predicted["first"])
    wanted = np.mean((z - large) ** 2) + np.mean((first - small) ** 2)
    other = np.mean((z - small) ** 2) + np.mean((first - large) ** 2)
    assert abs(wanted - other) > 1e-3 * wanted
    check_scores(toolbox, individual, [wanted])
    with pytest.raises(ValueError, match="y must name the outputs"):
        KerasProblem(model, x, {"z": large, "other": small}, loss="mse")


def test_masked_steps_are_scored_alike_by_all():
    _, inputs = ARCHITECTURES["masked"]()
    parts = [layers.Embedding(9, 3, mask_zero=True), layers.LSTM(3, return_sequences=True), layers.Dense(4)]
    steps = keras.Sequential([keras.Input((5,), dtype="int32"), *parts])
    y = np.random.default_rng(1).integers(0, 4, (8, 5))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert (inputs == 0).any()
    toolbox, individual, _ = scored(steps, inputs, y, loss=loss)
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
    assert is_logits(model, 0, lambda: pytest.fail("the layers tell")) is wanted
    classes = np.zeros((len(x_of()), *model.output_shape[1:-1]), int)
    message = KerasProblem(model, x_of(), classes, loss="error", from_logits=not wanted)
    assert message.from_logits == (not wanted,)


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
    ("value", "finite", "weight", "wanted"),
    [(1e200, True, -1, 1e100), (-1e200, True, -1, -1e100), (2.0, False, -1, 1e100), (np.nan, True, 1, -1e100)],
)
def test_values_are_finite_with_their_sign_and_the_worst_without_one(value, finite, weight, wanted):
    assert of_classes("cross_entropy").checked(value, finite, weight) == wanted


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras on evaluating
@pytest.mark.parametrize(
    ("more", "losses"),
    [
        ("targets", ["hinge", "huber"]),
        ("none", ["hinge"]),
        ("outputs", ["hinge", "categorical_hinge", "poisson", "kl_divergence", "dice", "mean_squared_error"]),
        ("outputs", ["binary_crossentropy", "binary_focal_crossentropy"]),
    ],
)
def test_a_named_loss_sees_targets_as_keras_does(more, losses):
    x = np.random.default_rng(0).standard_normal((60, 3)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.float32)
    given = [keras.Input((3,)), layers.Dense(1, "sigmoid")]
    model = keras.Sequential([*given, layers.Reshape(())] if more == "targets" else given)
    y = y if more == "outputs" else y[:, None]
    toolbox, individual, _ = scored(model, x, y, loss=losses, batch_size=60, weights=(-1.0,) * len(losses))
    wanted = [loss_by_keras(toolbox, individual, loss, x, y) for loss in losses]
    assert toolbox.evaluate(individual) == pytest.approx(wanted, rel=1e-5, abs=1e-6)


def test_a_named_loss_of_steps_sees_targets_as_keras_does():
    x = np.random.default_rng(0).standard_normal((60, 5, 1)).astype(np.float32)
    model = keras.Sequential([keras.Input((5, 1)), layers.Dense(1)])
    made = [scored(model, x, y, loss="hinge", batch_size=60) for y in (np.sign(x), np.sign(x[:, :, 0]))]
    values = [toolbox.evaluate(individual)[0] for toolbox, individual, _ in made]
    assert values[0] == pytest.approx(values[1], rel=1e-6)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras on evaluating
@pytest.mark.parametrize(
    ("last", "usual", "losses"),
    [
        ("softmax", "sparse_categorical_crossentropy", [keras.losses.SparseCategoricalCrossentropy()]),
        ("sigmoid", "binary_crossentropy", [keras.losses.BinaryCrossentropy(label_smoothing=0.1)]),
    ],
)
def test_saturated_probabilities_have_the_loss_that_keras_gives_them(last, usual, losses):
    units = 3 if last == "softmax" else 1
    x, y, losses = x_of(), labels(max(units, 2)), ["cross_entropy", usual, *losses]
    words = {"loss": losses, "weights": (-1.0,) * 3, "validation_split": 0.2}
    toolbox, individual, _ = scored(dense(units, last), x, y, batch_size=32, **words)
    individual.flat[:] *= 200
    on_train, on_validation = (
        [loss_by_keras(toolbox, individual, loss, x[part], y[part]) for loss in (usual, *losses[1:])]
        for part in (slice(32), slice(32, None))
    )
    assert min(on_train) > 17  # no logarithm of a probability that was clipped is as large
    check_scores(toolbox, individual, on_train, rel=1e-5)
    assert toolbox.evaluate.func.many(individual.flat[None].copy()) == [toolbox.evaluate(individual)]
    assert toolbox.scores(individual, "validation") == pytest.approx(on_validation, rel=1e-5)
    assert toolbox.error_rate(individual, "validation") == pytest.approx(on_validation[0], rel=1e-5)


METRICS = [keras.metrics.AUC(), keras.metrics.binary_accuracy, partial(keras.metrics.binary_accuracy, threshold=0.4)]


@pytest.mark.parametrize("loss", METRICS)
def test_what_may_be_maximised_needs_a_container_that_says_so(loss):
    problem = KerasProblem(dense(1, "sigmoid"), x_of(), labels(2)[:, None], loss=loss)
    message = (
        r"container must say whether (auc\w*|binary_accuracy|partial) is minimised or maximised: .*"
        r"weights=\(1.0,\)\) if more is better, weights=\(-1.0,\) if less is; .* container=creator.Network$"
    )
    with pytest.raises(ValueError, match=message):
        make_toolbox(problem, seed=1)
    toolbox = make_toolbox(problem, **two_objectives((1.0,)))
    assert 0 < toolbox.evaluate(toolbox.individual())[0] <= 1
    problem = KerasProblem(dense(1, "sigmoid"), x_of(), labels(2)[:, None], loss=["mse", loss])
    with pytest.raises(ValueError, match=r"^container must have a fitness with 2 weights, one for each objective$"):
        make_toolbox(problem, seed=1)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_a_loss_that_the_container_maximises_is_warned_of(loss):
    problem = KerasProblem(dense(1, "sigmoid"), x_of(), labels(2), loss=loss)
    with pytest.warns(UserWarning, match=r"container has a fitness that maximises .*, a loss: take weights=\(-1.0,\)$"):
        make_toolbox(problem, **two_objectives((1.0,)))


def test_a_maximised_objective_is_reported_with_the_other_sign(capsys):
    problem = KerasProblem(dense(1, "sigmoid"), x_of(), labels(2), loss=keras.metrics.AUC())
    toolbox = make_toolbox(problem, **two_objectives((1.0,)))
    individual = toolbox.individual()
    value = toolbox.scores(individual, "validation")[0]
    assert 0 < value <= 1
    assert toolbox.error_rate(individual, "validation") == -value
    _, logbook = evolve_toolbox(toolbox)
    assert all(-1 <= error <= 0 for error in logbook.select("val_error"))
    assert np.mean(logbook.select("avg")[-2:]) > logbook.select("avg")[0]  # what is maximised grows
    callbacks = [EarlyStopping(target=-0.01), ProgressBar()]
    _, logbook = evolve_toolbox(toolbox, n=8, ngen=5, callbacks=callbacks)
    assert len(logbook) == 1  # the best of the first is beyond that already
    assert f"best {logbook[0]['max']:.4g}" in capsys.readouterr().err
