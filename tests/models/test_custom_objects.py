"""Models with parts of a user's own: built again elsewhere, or held by this process."""

import gc
import pickle
import weakref

import numpy as np
import pytest
from architectures import ARCHITECTURES, Subclassed
from conftest import ROOT
from keras_models import dense, x_of

from deap_nn import Individual, KerasProblem, make_toolbox
from deap_nn.data.image_files import DataError
from deap_nn.data.loading import find_dataset
from deap_nn.models.custom_objects import are_of_keras
from deap_nn.models.reference import LARGEST_SPARE, load_model, model_of, reference_of, release
from deap_nn.models.tensorflow import keras
from deap_nn.problems.scorer import forget_all, scorer

layers = keras.layers


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


def doubled(x):
    return 2 * x


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


def test_the_model_that_was_built_to_be_compared_is_given_to_one_caller_alone():
    reference = reference_of(dense(2))
    again = pickle.loads(pickle.dumps(reference))
    other = reference_of(dense(3))
    models = [model_of(one) for one in (other, other, again, reference, reference)]
    assert len(set(map(id, models))) == 5
    assert [model.output_shape for model in models] == [(None, 3)] * 2 + [(None, 2)] * 3
    assert model_of(reference_of(dense(2)), precision="bfloat16").layers[0].compute_dtype == "bfloat16"


@keras.saving.register_keras_serializable("tests")
class Noting(layers.Layer):
    """A layer that changes when it is called."""

    calls = 0

    def call(self, x):
        self.calls += 1
        return x


def test_a_model_with_a_layer_of_ones_own_comes_as_new():
    problem = KerasProblem(
        keras.Sequential([keras.Input((4,)), Noting(), layers.Dense(1)]), x_of(), x_of(1), loss="mse"
    )
    counts = [model_of(problem.reference).layers[0].calls for _ in range(2)]
    assert counts[0] == counts[1]
    parts = [
        layers.Dense(2, activation=keras.saving.register_keras_serializable("tests")(doubled)),
        layers.Lambda(doubled),
    ]
    assert not any(are_of_keras([part]) for part in parts)
    assert are_of_keras(dense(2).layers)


def test_only_a_small_model_is_kept_for_the_next_caller_until_its_release():
    def left(units):
        reference = reference_of(dense(units))
        models = [one for one in gc.get_objects() if isinstance(one, keras.Sequential) and one.name == reference.name]
        return reference, [weakref.ref(model) for model in models]

    gc.collect()
    kept = []
    for units in (2, LARGEST_SPARE // 5 + 1):
        reference, models = left(units)
        gc.collect()
        kept.append(sum(model() is not None for model in models))
        release(reference)
        gc.collect()
        assert not any(model() is not None for model in models)
    assert kept == [1, 0]


def test_model_and_data_are_released_on_request():
    problems, x = [], x_of() + 0.5  # nobody else has these
    for factor in (2.0, 3.0):
        model = Factor(factor)
        model(x)
        problems.append(KerasProblem(model, x, x[:, :2], loss=lambda outputs, targets: float(np.abs(outputs).max())))
    evaluates = [make_toolbox(problem, seed=1, batch_size=32).evaluate for problem in problems]  # and no toolbox
    individual = Individual([np.ones((4, 2)), np.zeros(2)])
    values = [evaluate(individual)[0] for evaluate in evaluates]
    assert values[1] == pytest.approx(1.5 * values[0])
    forget_all()
    problems[0].release()
    assert evaluates[1](individual) == (values[1],)
    with pytest.raises(TypeError, match="cannot be built in another process"):
        evaluates[0](individual)
    problems[1].release()
    with pytest.raises(DataError, match="made of arrays that this process does not hold"):
        find_dataset(problems[1].samples.reference)
    kept = weakref.ref(problems[0].samples)
    forget_all()
    problems.clear()
    gc.collect()
    assert kept() is None


def test_a_held_model_is_let_go_of_by_the_last_problem_that_has_it():
    model = Factor(2.0)
    model(x_of())
    problems = [KerasProblem(model, x_of(), x_of(2), loss=loss) for loss in ("mse", "mae")]
    with pytest.raises(ValueError, match="loss must be 'error'"):
        KerasProblem(model, x_of(), x_of(2), loss="no such loss")
    evaluates = [make_toolbox(problem, seed=1, batch_size=16).evaluate for problem in problems]
    individual, known = Individual([np.ones((4, 2)), np.zeros(2)]), weakref.ref(model)
    [evaluate(individual) for evaluate in evaluates]
    value = evaluates[1](individual)
    problems[0].release()
    assert evaluates[1](individual) == value
    problems[1].release()
    del model, problems, evaluates
    gc.collect()
    assert known() is None


def test_a_model_that_cannot_be_built_again_is_scored_in_this_process(warm, tmp_path):
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
    with pytest.raises(ValueError, match="precision='bfloat16' needs a model that can be built again"):
        KerasProblem(model, x_of(), x_of(2), loss="mse", precision="bfloat16")
    other = Subclassed(5)
    other(x_of())
    predicted = problem.assign(individual, other).predict(x_of(), verbose=0)
    assert value == pytest.approx(np.mean((predicted - x_of(2)) ** 2), rel=1e-4)
    reference = pickle.dumps(problem.reference)
    code = f"import pickle\nfrom deap_nn.models.reference import model_of\nmodel_of(pickle.loads({reference!r}))"
    (tmp_path / "code.py").write_text(code)
    assert f"TypeError: model {model.name!r} cannot be built in another process" in warm("code.py").stderr


@pytest.mark.parametrize("name", ["subclassed-without-configuration", "own-activation", "lambda"])
def test_a_model_with_custom_objects_is_built_again_in_another_process(warm, tmp_path, name):
    if name in ARCHITECTURES:
        model, x = ARCHITECTURES[name]()
    else:
        model, x = Subclassed(), x_of()
        model(x)
    problem = KerasProblem(model, x, x_of(2, len(x)), loss="mse")
    (tmp_path / "reference").write_bytes(pickle.dumps(problem.reference))
    code = (
        f"import pickle\nfrom deap_nn.models.reference import layout_of, model_of\n"
        f"reference = pickle.load(open({str(tmp_path / 'reference')!r}, 'rb'))\n"
        "print([tuple(v.shape) for v in model_of(reference).trainable_variables], layout_of(reference).names)"
    )
    (tmp_path / "code.py").write_text(f"import sys\nsys.path[:0] = {[str(ROOT), str(ROOT / 'tests')]}\n{code}")
    answer = warm("code.py")
    assert answer.returncode == 0, answer.stderr
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
def test_how_a_model_was_compiled_does_not_matter(loss, tmp_path):
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
def test_functions_that_cannot_be_found_or_distinguished_are_only_for_this_process(activation):
    parts = [layers.Dense(3, activation="relu"), layers.Activation(activation), layers.Dense(2)]
    model = keras.Sequential([keras.Input((4,)), *parts])
    problem = KerasProblem(model, x_of(), x_of(2), loss="mse")
    assert problem.reference.held
    toolbox = make_toolbox(problem, seed=1)
    toolbox.evaluate(toolbox.individual())
    with pytest.raises(TypeError, match=r"cannot be built again: .*define your own functions by def"):
        problem.to_model(toolbox.individual())
    with pytest.raises(TypeError, match=r"cannot be built again from|has other weights or functions"):
        reference_of(model)


def test_a_lambda_whose_source_is_not_there_is_only_for_this_process():
    activation = eval("lambda x: 2 * x")
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, activation=activation)])
    assert KerasProblem(model, x_of(), x_of(2), loss="mse").reference.held
