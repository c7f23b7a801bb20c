"""Any Keras model goes in, is scored as it predicts, and comes out."""

import pickle
import random

import numpy as np
import pytest
from architectures import ARCHITECTURES
from keras_models import check_scores, dense, labels, two_objectives, x_of
from reference_loop import reference
from wirings import evolve_toolbox, logged

from deap_nn import GA, Constant, KerasProblem, make_toolbox
from deap_nn.algorithms.algorithm import ALGORITHMS
from deap_nn.core.errors import EvaluationError
from deap_nn.data.samples import flat
from deap_nn.models.tensorflow import keras
from deap_nn.problems.scorer import forget_all

layers = keras.layers


def targets_of(model, inputs):
    """Targets in the structure and the shapes of the model's outputs."""
    rng = np.random.default_rng(3)
    return keras.tree.map_structure(lambda answer: rng.normal(size=answer.shape).astype(np.float32), model(inputs))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras on saving
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_is_scored_as_it_predicts_and_comes_out(name):
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
    check_scores(toolbox, individual, [wanted])
    sent = pickle.loads(pickle.dumps(toolbox.evaluate.func))
    forget_all()
    value = sent(individual)  # as a worker does
    forget_all()
    assert value == toolbox.evaluate(individual)
    assert random.getstate() == drawn
    assert all(np.array_equal(a, v.numpy()) for a, v in zip(before, model.variables, strict=True))


@pytest.mark.parametrize("name", ["dense", "lstm", "convolution", "batch-norm", "attention", "embedding"])
def test_a_group_changes_no_bit(name):
    model, inputs = ARCHITECTURES[name]()
    y = targets_of(model, inputs)
    toolbox = make_toolbox(
        KerasProblem(model, inputs, y, loss=["mae", lambda outputs, targets: float(outputs.max())]), **two_objectives()
    )
    population = toolbox.population(n=5)
    together = toolbox.evaluate.func.many(np.stack([individual.flat for individual in population]))
    assert together == [toolbox.evaluate(individual) for individual in population]
    assert len(set(together)) == 5


def test_the_plain_loop_gives_the_same_and_needs_no_validation_samples():
    problem = KerasProblem(dense(2), x_of(), x_of(2), loss="mae", validation_split=0)
    toolbox = make_toolbox(problem, algorithm=GA(sigma=Constant(0.1)), seed=1, batch_size=8)
    population, logbook = evolve_toolbox(toolbox, n=10, ngen=3)
    assert "val_error" not in logbook[0]
    assert logged(population, logbook) == reference(toolbox, n=10, ngen=3)


def test_a_toolbox_says_what_does_not_go_with_a_problem():
    problem = KerasProblem(dense(2), x_of(), x_of(2), loss="mse")
    for given in ({"data": "mnist5k"}, {"precision": "bfloat16"}):
        with pytest.raises(ValueError, match="data and precision are not for a KerasProblem"):
            make_toolbox(problem, seed=1, **given)
    with pytest.raises(ValueError, match="batch_size must be at most the 32 training samples, got 33"):
        make_toolbox(problem, seed=1, batch_size=33)
    toolbox = make_toolbox(problem, **two_objectives())
    with pytest.raises(EvaluationError, match=r"generation 0, child 0: evaluate must return a tuple of 2 number\(s\)"):
        evolve_toolbox(toolbox, n=4, ngen=1)
    with pytest.raises(
        TypeError, match=r"data must be a name, a path, a Dataset or \(x, y\): only a KerasProblem has its own"
    ):
        make_toolbox("mlp", seed=1)
    frozen = dense(2)
    frozen.trainable = False
    with pytest.raises(ValueError, match="has no trainable weights"):
        KerasProblem(frozen, x_of(), x_of(2), loss="mse")
    toolbox = make_toolbox(problem, seed=1)
    with pytest.raises(ValueError, match="split must be train or validation, got 'test'"):
        toolbox.error_rate(toolbox.individual(), "test")

    def broken(outputs, targets):
        return outputs

    with pytest.raises(ValueError, match=r"^loss does not fit .*: broken must return a number, got ndarray$"):
        KerasProblem(dense(2), x_of(), x_of(2), loss=broken)


def test_an_evaluate_of_ones_own_has_as_many_values_as_the_container():
    toolbox = make_toolbox(KerasProblem(dense(2), x_of(), x_of(2), loss="mse"), **two_objectives())
    toolbox.register("evaluate", lambda one: (float(np.abs(one.flat).sum()), float(np.square(one.flat).sum())))
    population, logbook = evolve_toolbox(toolbox, n=6, ngen=2)
    assert all(one.fitness.values == toolbox.evaluate(one) for one in population)
    assert logbook[-1]["val_error"] == toolbox.error_rate(min(population, key=toolbox.evaluate), "validation") > 0


def test_samples_that_a_model_bounds_may_be_infinite():
    x = x_of()
    x[3, 1] = np.inf
    assert KerasProblem(dense(), x, labels(), loss="error").casewise


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_function_is_not_tried_on_outputs_that_are_not_finite(value):
    """As in a run: a function of scikit-learn, which refuses them, is taken with such a first model too."""

    def strict(outputs, targets):
        if not np.isfinite(outputs).all():
            raise ValueError("Input contains NaN")
        return float(np.mean((outputs - targets) ** 2))

    model = dense(2)
    for layer in model.layers:
        layer.kernel.assign(np.full_like(layer.kernel, value))
    toolbox = make_toolbox(KerasProblem(model, x_of(), x_of(2), loss=strict), seed=1)
    assert toolbox.evaluate(toolbox.individual())[0] < 1e9


def test_a_problem_may_be_scored_in_bfloat16():
    model, x, y = dense(3), x_of(), labels()
    members = make_toolbox(KerasProblem(model, x, y), seed=1).population(n=3)
    ways = {
        "float32": make_toolbox(KerasProblem(model, x, y), seed=1),
        "bfloat16": make_toolbox(KerasProblem(model, x, y, precision="bfloat16"), seed=1),
        "of samples": make_toolbox(model, (x, y), seed=1, precision="bfloat16"),
    }
    found = {way: [toolbox.evaluate(member)[0] for member in members] for way, toolbox in ways.items()}
    assert found["bfloat16"] == found["of samples"] != found["float32"]
    assert found["bfloat16"] == pytest.approx(found["float32"], rel=0.05)
    rates = {way: [toolbox.error_rate(member, "train") for member in members] for way, toolbox in ways.items()}
    assert rates["bfloat16"] == rates["float32"]
    with pytest.raises(ValueError, match="precision must be 'float32' or 'bfloat16', got 'half'"):
        KerasProblem(model, x, y, precision="half")


@pytest.mark.parametrize("name", ["ga", "es", "article"])
def test_presets_are_for_problems_too(name):
    loss = "error" if name == "article" else "cross_entropy"
    problem = KerasProblem(dense(3), x_of(), labels(), loss=loss)
    toolbox = make_toolbox(problem, algorithm=ALGORITHMS[name](), seed=1, batch_size=20)
    assert len(evolve_toolbox(toolbox, n=6, ngen=2)[1]) == 3
    assert toolbox.algorithm.fitness == loss
    other = {"error": "cross_entropy", "cross_entropy": "error"}[loss]
    with pytest.raises(ValueError, match=f"fitness is not for a KerasProblem, which has its own loss, got '{other}'"):
        make_toolbox(problem, algorithm=ALGORITHMS[name](fitness=other), seed=1)


def broadcast(y_true, y_pred):
    return y_true[:, :1] - y_pred[:, 0]


def with_nan(array, place):
    return np.where(np.arange(len(array))[:, None] == place % len(array), np.nan, array)


def test_targets_that_a_loss_leaves_out_may_be_nan():
    def known(y_true, y_pred):
        return np.nanmean(np.abs(y_true - y_pred))

    assert KerasProblem(dense(2), x_of(), with_nan(x_of(2), 3), loss=known).objectives[0].name == "known"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"loss": "nonsense"},
            ValueError,
            r"loss must be 'error' \(1 - accuracy\), 'cross_entropy', 'mse', 'mae', a Keras loss or its name",
        ),
        ({"loss": "mean_square_error"}, ValueError, r'did you mean "mean_squared_error"\?'),
        ({"loss": 3}, TypeError, "loss must be a name, a Keras loss or metric, or a function, got int"),
        ({"loss": []}, ValueError, "loss must name at least one objective"),
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
            {"x": (row for row in x_of())},
            ValueError,
            r"x must hold arrays of .*, no iterator or tf\.data, got generator of object$",
        ),
        ({"x": [[1.0, 2.0], [3.0]]}, ValueError, "inhomogeneous shape"),
        ({"x": np.array([1, None, "a"] * 20)[:40]}, ValueError, "x must hold .*, got ndarray of object$"),
        ({"y": None}, ValueError, r"y must hold the targets, or x be a tuple \(x, y\) of arrays, got ndarray$"),
        ({"x": x_of()[:, 0]}, ValueError, r"shape for input with .* Expected shape \(None, 4\), .* shape \(32,\)$"),
        ({"x": x_of().astype(str)}, ValueError, "does not take x: .* Cast string to float is not supported"),
        ({"loss": broadcast}, ValueError, r"broadcast may return a value for each output, got shape \(32, 32\)$"),
        ({"x": with_nan(x_of(), -1)}, ValueError, "x and y must be finite, sample 7 of validation is not$"),
        ({"y": with_nan(x_of(2), 3)}, ValueError, "x and y must be finite, sample 3 of train is not$"),
    ],
)
def test_bad_arguments_are_named(change, error, message):
    given = {"x": x_of(), "y": x_of(2), "loss": "mse"} | change
    with pytest.raises(error, match=message):
        KerasProblem(dense(2), given.pop("x"), given.pop("y"), **given)


@pytest.mark.parametrize("form", [list, dict])
def test_the_names_of_inputs_that_a_model_does_not_take_are_said(form):
    inputs = [keras.Input((3,), name=name) for name in "ab"]
    outputs = keras.layers.Dense(2)(keras.layers.Concatenate()(inputs))
    model = keras.Model(inputs if form is list else dict(zip("ab", inputs, strict=True)), outputs)
    x = np.zeros((40, 3), np.float32)
    with pytest.raises(ValueError, match=r"does not take x: Missing data .* \['a', 'c'\]\. .*: \['a', 'b'\]"):
        KerasProblem(model, {"a": x, "c": x}, labels())
    with pytest.raises(ValueError, match=r"does not take x: .* expected shape=\(None, 3\), found shape=\(32, 2\)$"):
        KerasProblem(model, {"a": x[:, :2], "b": np.zeros((40, 4), np.float32)}, labels())


def test_a_function_of_other_names_is_warned_of_before_it_fails():
    def swapped(outputs_first, labels_second):
        return float(labels_second[0, 0])

    with (
        pytest.warns(UserWarning, match=r"^swapped is called with \(outputs, targets\)"),
        pytest.raises(ValueError, match=r"^loss does not fit"),
    ):
        KerasProblem(dense(2), x_of(), labels(), loss=swapped)


def test_a_released_problem_makes_no_toolbox():
    problem = KerasProblem(dense(), x_of(), labels())
    problem.release()
    with pytest.raises(ValueError, match=r"^the KerasProblem is released: make another one$"):
        make_toolbox(problem, seed=1)
