"""Sample weights, class weights and the validation part are those of Keras."""

import numpy as np
import pytest
from keras_models import check_scores, dense, labels, loss_by_keras, scored, x_of

from deap_nn import KerasProblem, evolve_model, make_toolbox
from deap_nn.models.tensorflow import keras

layers = keras.layers
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras on evaluating


def weights_of(samples=40):
    return np.random.default_rng(5).random(samples) * 3


def squares(y_true, y_pred):
    return keras.ops.mean((y_true - y_pred) ** 2, axis=-1)


def mean_square(outputs, targets, sample_weight):
    return float(np.mean(sample_weight * np.mean((outputs - targets) ** 2, axis=-1)))


def weighted_squares(y_true, y_pred, sample_weight):
    return sample_weight * np.mean((y_true - y_pred) ** 2, axis=-1)


LOSSES = {
    "cross-entropy": ("cross_entropy", "sparse_categorical_crossentropy", labels()),
    "cross-entropy of rows": ("cross_entropy", "categorical_crossentropy", np.eye(3)[labels()]),
    "of a name": ("mae", "mae", x_of(3)),
    "Keras'": (keras.losses.Huber(0.1), keras.losses.Huber(0.1), x_of(3)),
    "without a mean": (keras.losses.MeanSquaredError(reduction=None), "mse", x_of(3)),
    "a value for each sample": (squares, squares, x_of(3)),
    "weighted values": (weighted_squares, "mse", x_of(3)),
    "a number": (mean_square, "mse", x_of(3)),
    "compiled": (None, squares, x_of(3)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_weighted_as_keras_weights_it(name):
    loss, usual, y = LOSSES[name]
    model, x, weights = dense(3, "softmax"), x_of(), weights_of()
    model.compile(loss=usual)
    words = {"loss": loss, "sample_weight": list(weights), "validation_split": 0.2}
    toolbox, individual, _ = scored(model, x, y, **words)
    wanted = [
        loss_by_keras(toolbox, individual, usual, x[part], y[part], sample_weight=weights[part])
        for part in (slice(32), slice(32, None))
    ]
    check_scores(toolbox, individual, wanted[:1], rel=1e-5)
    assert toolbox.evaluate.func.many(individual.flat[None].copy()) == [toolbox.evaluate(individual)]
    assert toolbox.error_rate(individual, "validation") == pytest.approx(wanted[1], rel=1e-5)


@pytest.mark.parametrize(("units", "last"), [(3, "softmax"), (1, "sigmoid")])
@pytest.mark.parametrize("column", [False, True])
def test_errors_and_metrics_are_shares_of_the_weights(units, last, column):
    x, y, weights = x_of(), labels(max(units, 2)), weights_of()
    metric = keras.metrics.SparseCategoricalAccuracy() if units > 1 else keras.metrics.BinaryAccuracy()
    given = {"sample_weight": weights[:, None] if column else weights, "validation_split": 0}
    words = {"loss": ["error", metric], "weights": (-1.0, 1.0)}
    toolbox, individual, outputs = scored(dense(units, last), x, y[:, None], **words, **given)
    misread = (outputs.argmax(1) if units > 1 else outputs[:, 0] > 0.5) != y
    share = weights[misread].sum() / weights.sum()
    assert share != pytest.approx(misread.mean(), rel=0.01)
    check_scores(toolbox, individual, (share, 1 - share), rel=1e-5)


@pytest.mark.parametrize("form", ["labels", "one-hot"])
def test_classes_have_weights_in_training_and_the_split_is_keras_own(form):
    x, y = x_of(samples=41), labels(samples=41)
    y = y if form == "labels" else np.eye(3)[y]
    loss = "sparse_categorical_crossentropy" if form == "labels" else "categorical_crossentropy"
    model, weights = dense(3, "softmax"), {0: 0.5, np.int64(2): 4}
    problem = KerasProblem(model, x, y, class_weight=weights, validation_split=0.3)
    toolbox = make_toolbox(problem, seed=1)
    individual = toolbox.individual()
    evolved = toolbox.to_model(individual)
    evolved.compile(keras.optimizers.SGD(0.0), loss, run_eagerly=True)
    given = {"class_weight": weights, "validation_split": 0.3, "batch_size": 41, "shuffle": False, "verbose": 0}
    history = evolved.fit(x, y, **given).history
    assert problem.samples.size("validation") == 13
    assert toolbox.evaluate(individual)[0] == pytest.approx(history["loss"][0], rel=1e-5)
    assert toolbox.error_rate(individual, "validation") == pytest.approx(history["val_loss"][0], rel=1e-5)


def test_outputs_may_have_weights_of_their_own():
    a = keras.Input((4,))
    model = keras.Model(a, {"which": layers.Dense(3, "softmax")(a), "much": layers.Dense(1)(a)})
    x, y = x_of(), {"which": labels(), "much": x_of(1)}
    loss = {"which": "sparse_categorical_crossentropy", "much": "mse"}
    for weights in (weights_of(), {"much": weights_of(), "which": weights_of()[::-1]}):
        toolbox, individual, _ = scored(model, x, y, loss=loss, sample_weight=weights)
        each = weights if isinstance(weights, dict) else {"which": weights, "much": weights}
        wanted = loss_by_keras(toolbox, individual, loss, x, y, sample_weight=each)
        check_scores(toolbox, individual, [wanted], rel=1e-5)


def test_parts_without_weights_count_as_they_are():
    x, y, weights = x_of(), labels(), weights_of()
    given = {"loss": "cross_entropy", "validation_split": 0, "validation_data": (x, y, weights), "test_data": (x, y)}
    toolbox = make_toolbox(KerasProblem(dense(), x, y, **given), seed=1)
    individual = toolbox.individual()
    whole = make_toolbox(KerasProblem(dense(), x, y, validation_split=0), seed=1)
    weighted = make_toolbox(KerasProblem(dense(), (x, y, weights), validation_split=0), seed=1)
    usual = whole.error_rate(individual, "train")
    assert toolbox.error_rate(individual, "train") == toolbox.error_rate(individual, "test")
    assert toolbox.error_rate(individual, "train") == pytest.approx(usual, rel=1e-6)
    assert toolbox.error_rate(individual, "validation") == weighted.error_rate(individual, "train") != usual


def test_helpers_pass_weights_on():
    model, x, y, weights = dense(), x_of(), labels(), weights_of()
    problem = KerasProblem(model, x, y, sample_weight=weights)
    assert make_toolbox(model, (x, y, weights), seed=1).problem.data == problem.samples.reference
    result = evolve_model(model, x, y, population=4, generations=1, seed=1, sample_weight=weights)
    assert result.problem.samples.reference == problem.samples.reference
    by_class = evolve_model(model, (x, y), population=4, generations=1, seed=1, class_weight={1: 2.0})
    assert by_class.problem.samples.reference != problem.samples.reference
    with pytest.raises(ValueError, match=r"data must be \(x, y\) or \(x, y, sample_weight\), got a tuple of 4"):
        make_toolbox(model, (x, y, weights, weights), seed=1)


FINITE = "^sample_weight and class_weight must be of finite numbers, at least 0$"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"sample_weight": np.ones(39)},
            ValueError,
            "^sample_weight must have a weight for each of 40 samples, got 39$",
        ),
        ({"sample_weight": [np.nan] * 40}, ValueError, FINITE),
        ({"sample_weight": [1.0] * 39 + [-1.0]}, ValueError, FINITE),
        ({"sample_weight": [np.ones(40)] * 2}, ValueError, "^sample_weight must be an array, or arrays in the struct"),
        ({"sample_weight": np.ones((40, 2))}, ValueError, "^loss does not fit outputs of shape"),
        (
            {"sample_weight": np.ones(40), "class_weight": {0: 1}},
            ValueError,
            "^sample_weight and class_weight cannot be combined",
        ),
        ({"class_weight": {"cat": 2.0}}, UserWarning, "^class_weight has a weight for 'cat', a class that no"),
        ({"class_weight": {0: 1}, "y": np.zeros((40, 2, 2))}, ValueError, "^class_weight needs one output and classes"),
        (
            {"loss": lambda outputs, targets: 0.0},
            ValueError,
            "^<lambda> needs a parameter sample_weight, as the samples have weights$",
        ),
        (
            {"validation_data": (x_of(),)},
            ValueError,
            r"^validation_data must be a pair .*, or \(x, y, sample_weight\)$",
        ),
    ],
)
def test_bad_weights_are_named(change, error, message):
    given = {"loss": "cross_entropy", "y": labels()} | change
    if not change.keys() & {"sample_weight", "class_weight"}:
        given["sample_weight"] = np.ones(40)
    with pytest.raises(error, match=message):
        KerasProblem(dense(), x_of(), given.pop("y"), **given)


def test_a_number_of_all_samples_cannot_be_weighted():
    with pytest.raises(ValueError, match="<lambda> returns one number: it needs a parameter sample_weight"):
        KerasProblem(dense(), x_of(), x_of(3), loss=lambda y_true, y_pred: 0.0, sample_weight=weights_of())


def test_a_problem_has_its_sample_weights_once():
    given = (x_of(), labels(), np.ones(40))
    with pytest.raises(ValueError, match=r"^sample_weight is given twice: with x and y, and as an argument$"):
        KerasProblem(dense(), given, sample_weight=np.ones(40))


def test_a_class_without_samples_is_warned_of_and_one_without_a_weight_counts_once():
    said = "^class_weight has a weight for 7, a class that no training sample has$"
    with pytest.warns(UserWarning, match=said) as one:
        problem = KerasProblem(dense(), x_of(), labels(), loss="cross_entropy", class_weight={1: 2.0, 7: 3.0})
    assert [warning.filename for warning in one] == [__file__]
    *_, target, weights = problem.samples.halves("train")[1]
    assert {1.0, 2.0} == set(weights.tolist()) == {*np.where(target.reshape(-1) == 1, 2.0, 1.0).tolist()}
