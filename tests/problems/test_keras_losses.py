"""Every loss, metric and function of a user's own is scored as Keras, or NumPy, has it."""

import pickle
from functools import partial

import numpy as np
import pytest
from architectures import ARCHITECTURES
from keras_models import dense, labels, two_objectives, x_of

from deap_nn import KerasProblem, evolve, make_toolbox
from deap_nn.callbacks.early_stopping import EarlyStopping
from deap_nn.callbacks.progress import ProgressBar
from deap_nn.models.outputs import is_logits
from deap_nn.models.tensorflow import keras
from deap_nn.problems.scorer import forget_all

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
    """Gets its factor after it is made."""

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
    x, y = x_of(), x_of(2)
    given = [CountsPositives(), Known(), Known(5.0), Later(), wrapped(squared, k=3.0)]
    problem = KerasProblem(dense(2), x, y, loss=given, validation_split=0)
    toolbox = make_toolbox(problem, **two_objectives((-1.0,) * 5))
    individual = toolbox.individual()
    outputs = problem.to_model(individual).predict(x, verbose=0).astype(np.float64)
    square = np.mean((outputs - y) ** 2)
    wanted = [(outputs > 0).sum(), 2 * square, 5 * square, 2 * square, 3 * square]
    assert wanted[0] > 0
    assert toolbox.scores(individual, "train") == pytest.approx(wanted, rel=1e-4)
    assert toolbox.evaluate(individual) == pytest.approx(wanted, rel=1e-4)  # the mini-batch is all there is
    evaluate = pickle.loads(pickle.dumps(toolbox.evaluate.func))
    forget_all()
    assert evaluate(individual) == toolbox.evaluate(individual)


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


def test_early_stopping_and_the_bar_know_what_is_maximised(capsys):
    problem = KerasProblem(dense(1, "sigmoid"), x_of(), labels(2), loss=keras.metrics.AUC(), validation_split=0)
    toolbox = make_toolbox(problem, **two_objectives((1.0,)))
    stopping = EarlyStopping(target=-0.01)
    _, logbook = evolve(toolbox.population(n=8), toolbox, 5, seed=1, callbacks=[stopping, ProgressBar()])
    assert len(logbook) == 1  # the best of the first is beyond that already
    assert f"best fitness {logbook[0]['max']:.4g}" in capsys.readouterr().err


def accuracy(y_true, y_pred):
    return float(np.mean(y_true == y_pred.argmax(axis=1)))


def f1_score(y_true, y_pred):
    return 0.5


@pytest.mark.parametrize("loss", [accuracy, f1_score])
def test_a_function_with_the_name_of_a_score_is_warned_of(loss):
    with pytest.warns(UserWarning, match=f"^{loss.__name__} is minimised: if more is better, let it return 1 - "):
        KerasProblem(dense(2, "softmax"), x_of(), labels(2), loss=loss)


@pytest.mark.parametrize("name", ["f1", "inaccuracy", "one_minus_accuracy", "error"])
def test_one_with_another_name_is_not(name):
    def loss(y_true, y_pred):
        return 1 - accuracy(y_true, y_pred)

    loss.__name__ = name
    toolbox = make_toolbox(KerasProblem(dense(2, "softmax"), x_of(), labels(2), loss=loss), seed=1)
    assert 0 < toolbox.evaluate(toolbox.individual())[0] < 1


@pytest.mark.parametrize("loss", [keras.metrics.AUC(), partial(keras.metrics.binary_accuracy, threshold=0.4)])
def test_what_may_be_maximised_needs_a_container_that_says_so(loss):
    problem = KerasProblem(dense(1, "sigmoid"), x_of(), labels(2)[:, None], loss=loss)
    message = r"container must say whether (auc\w*|partial) is minimised or maximised.*weights=\(1.0,\).* maximise it$"
    with pytest.raises(ValueError, match=message):
        make_toolbox(problem, seed=1)
    toolbox = make_toolbox(problem, **two_objectives((1.0,)))
    assert 0 < toolbox.evaluate(toolbox.individual())[0] <= 1


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_a_loss_that_the_container_maximises_is_warned_of(loss):
    problem = KerasProblem(dense(1, "sigmoid"), x_of(), labels(2), loss=loss)
    with pytest.warns(UserWarning, match=r"container has a fitness that maximises .*, a loss: take weights=\(-1.0,\)$"):
        make_toolbox(problem, **two_objectives((1.0,)))


def test_a_maximised_objective_is_reported_with_the_other_sign():
    problem = KerasProblem(dense(1, "sigmoid"), x_of(), labels(2), loss=keras.metrics.AUC())
    toolbox = make_toolbox(problem, **two_objectives((1.0,)))
    individual = toolbox.individual()
    value = toolbox.scores(individual, "validation")[0]
    assert 0 < value <= 1
    assert toolbox.error_rate(individual, "validation") == -value
    _, logbook = evolve(toolbox.population(n=12), toolbox, 6, seed=1)
    assert all(-1 <= error <= 0 for error in logbook.select("val_error"))
    assert np.mean(logbook.select("avg")[-2:]) > logbook.select("avg")[0]  # what is maximised grows


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
    ("change", "error", "message"),
    [
        (
            {"loss": "nonsense"},
            ValueError,
            "loss must be 'error', 'cross_entropy', 'mse', 'mae', the name of a Keras",
        ),
        ({"loss": "accuracy"}, ValueError, 'loss is minimised: take "error", which is 1 - accuracy, in place'),
        ({"loss": "accuracy_score"}, ValueError, 'loss is minimised: take "error", which is 1 - accuracy, in place'),
        ({"loss": "balanced_accuracy"}, ValueError, "loss is minimised: take a function .* returns 1 - balanced_acc"),
        ({"loss": "roc_auc_score"}, ValueError, "loss is minimised: take a function of .* returns 1 - roc_auc_score"),
        (
            {"loss": "F1_score"},
            ValueError,
            r"loss is minimised: take def f1\(y_true, y_pred\): return 1 - f1_score\(y_true, y_pred\[:, 0\] > 0.5\)",
        ),
        ({"loss": "mean_square_error"}, ValueError, r'did you mean "mean_squared_error"\?'),
        ({"loss": 3}, TypeError, "loss must be a name, a Keras loss or metric, or a function, got int"),
        ({"loss": []}, ValueError, "loss must name at least one objective"),
        ({"loss": {"other": "mse"}}, ValueError, "loss must name some of the outputs .*, got other"),
        ({"loss": {}}, ValueError, "loss must name some of the outputs .*, got none"),
        ({"y": x_of(2, 39)}, ValueError, "x and y must be of one length, got 40 and 39"),
        ({"x": np.zeros((40, 5), np.float32)}, ValueError, "model 'sequential.*' does not take x: "),
        ({"y": x_of(7), "loss": "mse"}, ValueError, "loss does not fit outputs of shape"),
        ({"y": [x_of(2), x_of(2)]}, ValueError, "the model has 1 outputs, and there are 2 targets"),
        (
            {"y": labels(3) + 1, "loss": "error"},
            ValueError,
            "error: labels must be integers from 0 to 1 for 2 outputs, got 1 to 3",
        ),
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
            r"^loss Scaled cannot be built again: give it a get_config\(\) that returns k$",
        ),
        (
            {"loss": Hidden(5.0)},
            TypeError,
            r"^loss Hidden cannot be built again: give it a get_config\(\) that returns k, scale$",
        ),
        (
            {"loss": Strict(5.0)},
            TypeError,
            r"^loss Strict cannot .* get_config\(\) with the arguments of __init__, and define.*",
        ),
        (
            {"loss": Known(dtype="float64")},
            TypeError,
            r"^loss Known cannot be built .* get_config\(\) that returns dtype$",
        ),
        ({"loss": Listed(5.0)}, TypeError, r"^loss Listed cannot be built .* get_config\(\) that returns k$"),
        ({"loss": Later().set(3.0)}, TypeError, r"^loss Later cannot be built .* get_config\(\) that returns k$"),
        ({"loss": wrapped(lambda t, p: t - p)}, TypeError, "^loss MeanMetricWrapper cannot .* at the top of a module$"),
        ({"from_logits": [True, False]}, ValueError, "from_logits must be True or False for each of 1 outputs"),
        (
            {"from_logits": True},
            ValueError,
            "from_logits is for 'error' and 'cross_entropy': set it in a Keras loss or metric",
        ),
        (
            {"loss": "error", "y": np.array(["a", "b"] * 20)},
            ValueError,
            "labels must be integers from 0 to 1 for 2 outputs, got strings such as 'a'",
        ),
        ({"validation_split": 1.0}, ValueError, "validation_split must be at least 0 and below 1, got 1.0"),
        ({"validation_split": 0.999}, ValueError, "validation_split leaves none of 40 samples to train on"),
        ({"validation_data": x_of()}, ValueError, "validation_data must be a pair"),
        ({"test_data": (x_of(5), x_of(2))}, ValueError, "test must have samples shaped as those of train"),
        (
            {"x": np.array([object()] * 40)},
            ValueError,
            "x must hold arrays of numbers or .*, got ndarray of object$",
        ),
        ({"x": (row for row in x_of())}, ValueError, "x must hold arrays of numbers or strings .*, got generator$"),
        ({"x": [[1.0, 2.0], [3.0]]}, ValueError, "x must hold arrays, got a list of parts that differ$"),
        ({"x": np.array([1, None, "a"] * 20)[:40]}, ValueError, "x must hold .*, got ndarray of NoneType, int, str$"),
        ({"y": None}, ValueError, "y must hold arrays of numbers or strings .*, got NoneType$"),
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
