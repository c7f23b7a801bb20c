"""Losses and metrics that are a user's own classes are scored as they are, and a loss that does not fit is named."""

import pickle

import numpy as np
import pytest
from keras_models import dense, labels, two_objectives, x_of

from deap_nn import KerasProblem, make_toolbox
from deap_nn.models.tensorflow import keras
from deap_nn.problems.scorer import forget_all


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


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"loss": "nonsense"},
            ValueError,
            r"loss must be 'error' \(1 - accuracy\), 'cross_entropy', 'mse', 'mae', a Keras loss or its name",
        ),
        (
            {"loss": "accuracy"},
            ValueError,
            r"loss must be 'error' \(1 - accuracy\), .* or a metric itself, got 'accuracy'",
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
            r"^loss Hidden cannot be built again: give it a get_config\(\) that returns scale$",
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
        (
            {"x": (row for row in x_of())},
            ValueError,
            "x must hold arrays of .*, got generator of object$",
        ),
        ({"x": [[1.0, 2.0], [3.0]]}, ValueError, "inhomogeneous shape"),
        ({"x": np.array([1, None, "a"] * 20)[:40]}, ValueError, "x must hold .*, got ndarray of object$"),
        ({"y": None}, ValueError, "y must hold arrays of numbers or strings .*, got NoneType of object$"),
    ],
)
def test_bad_arguments_are_named(change, error, message):
    given = {"x": x_of(), "y": x_of(2), "loss": "mse"} | change
    with pytest.raises(error, match=message):
        KerasProblem(dense(2), given.pop("x"), given.pop("y"), **given)
