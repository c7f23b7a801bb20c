"""References of models: their digest, the model that a process holds, and the model that a task brings."""

import gc
import pickle
import random
import sys
import weakref
from types import ModuleType

import numpy as np
import pytest
from architectures import ARCHITECTURES, Subclassed
from conftest import ROOT
from keras_models import dense, x_of
from wirings import evolve_toolbox

from deap_nn import Individual, KerasProblem, evolve, make_toolbox, open_map
from deap_nn.data.dataset import DataError
from deap_nn.data.loading import find_dataset
from deap_nn.models.built_in import build_model
from deap_nn.models.reference import load_model, model_of, new_model, reference_of
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


def sent(reference):
    """The reference as a task brings it."""
    return pickle.loads(pickle.dumps(reference))


def test_a_process_has_the_model_itself_and_a_worker_one_of_the_same_weight_shapes():
    model = build_model("mlp")
    reference = reference_of(model)
    assert model_of(reference) is model
    again = sent(reference)
    assert again == reference
    assert again.layout == reference.layout == reference_of("mlp").layout
    assert model_of(again) is model_of(again) is not model
    assert not any(variable.numpy().any() for variable in model_of(again).trainable_variables)  # they are not sent
    assert new_model(again) is not new_model(again)
    assert new_model(reference, precision="bfloat16").layers[1].compute_dtype == "bfloat16"
    assert model_of(sent(reference_of("mlp"))).count_params() == 50_890


def wired(swapped):
    """A model in which only the names of its layers tell which one is subtracted."""
    inputs = keras.Input((3,))
    one = layers.Dense(3)(inputs)
    other = layers.Dense(3)(one)
    return keras.Model(inputs, layers.subtract([other, one] if swapped else [one, other]))


def test_a_copy_of_a_model_draws_no_random_numbers_of_the_script():
    problem = KerasProblem(dense(2), x_of(), x_of(2), loss="mse")
    before = random.getstate()
    copy = pickle.loads(pickle.dumps(problem.reference))
    assert random.getstate() == before
    forget_all()
    model_of(copy)
    assert random.getstate() == before


def test_the_numbers_that_keras_adds_to_names_do_not_matter():
    models = [dense(2), dense(2), wired(False), wired(False), wired(True), dense(2, "relu"), dense(2, "tanh")]
    references = [reference_of(model) for model in models]
    assert references[0].layout != references[1].layout  # by the names
    assert references[0] == references[1]
    assert references[2] == references[3]
    assert len(set(references)) == 5
    normed = [keras.Sequential([keras.Input((4,)), layers.BatchNormalization(), layers.Dense(2)]) for _ in range(2)]
    assert reference_of(normed[0]) == reference_of(normed[1])
    normed[1].layers[0].moving_mean.assign(np.ones(4))
    assert reference_of(normed[0]) != reference_of(normed[1])


def test_a_model_with_user_code_has_a_key_of_its_own_and_the_digest_of_its_equals():
    made = [reference_of(ARCHITECTURES["scalar"]()[0]) for _ in range(2)]
    assert made[0] != made[1]
    assert made[0].digest == made[1].digest
    assert sent(made[0]) == made[0]


def test_another_process_finds_the_same_digest(warm, tmp_path):
    names = ["attention", "residual", "scalar", "subclassed", "batch-norm", "normalised"]
    code = (
        f"import sys\nsys.path[:0] = {[str(ROOT), str(ROOT / 'tests')]}\n"
        "from architectures import ARCHITECTURES\nfrom deap_nn.models.reference import reference_of\n"
        f"print([reference_of(ARCHITECTURES[name]()[0]).digest for name in {names}])"
    )
    (tmp_path / "code.py").write_text(code)
    answer = warm("code.py")
    assert answer.stdout.strip() == str([reference_of(ARCHITECTURES[name]()[0]).digest for name in names])


class Factor(keras.Model):
    """A model whose configuration does not tell what it multiplies with."""

    def __init__(self, factor=1.0, **keywords):
        super().__init__(**keywords)
        self.factor = factor
        self.out = layers.Dense(2)

    def call(self, x):
        return self.factor * self.out(x)


def test_a_model_that_comes_out_of_its_configuration_with_other_outputs_is_scored_in_this_process():
    model = Factor(3.0)
    model(x_of())
    problem = KerasProblem(model, x_of(), x_of(2), loss=lambda outputs, targets: float(np.abs(outputs).max()))
    toolbox = make_toolbox(problem, seed=1, batch_size=32)
    individual = toolbox.individual()
    kernel, bias = individual
    assert toolbox.scores(individual, "train")[0] == pytest.approx(
        3 * np.abs(x_of()[:32] @ kernel + bias).max(), rel=1e-4
    )
    with pytest.raises(
        ValueError, match=r"cannot be built again \(it has other weights or outputs then\): layer 'factor"
    ):
        pickle.dumps(problem.reference)


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
    problems[1].release()
    with pytest.raises(DataError, match="made of arrays that this process does not hold"):
        find_dataset(problems[1].samples.reference)
    kept = weakref.ref(problems[0].samples)
    forget_all()
    problems.clear()
    gc.collect()
    assert kept() is None


def test_a_model_with_user_code_is_dropped_with_its_problem():
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


def test_a_model_that_cannot_be_built_again_is_scored_in_this_process():
    model = Subclassed(5)  # it has no get_config
    model(x_of())
    problem = KerasProblem(model, x_of(), x_of(2), loss="mse", validation_split=0)
    toolbox = make_toolbox(problem, seed=1)
    individual = toolbox.individual()
    before = [variable.numpy().copy() for variable in model.variables]
    value = toolbox.scores(individual, "train")[0]
    assert all(np.array_equal(a, v.numpy()) for a, v in zip(before, model.variables, strict=True))
    lines = (
        rf"^model '{model.name}' cannot be built again \(.*\): layer '{model.name}' \(Subclassed\) needs "
        r"@keras.saving.register_keras_serializable\(\) above its class and functions, .* get_config\(\) with all "
        "arguments of its __init__; else take the serial map, and assign the weights to a model that you make$"
    )
    for call in (pickle.dumps, new_model):
        with pytest.raises(ValueError, match=lines):
            call(problem.reference)
    with pytest.raises(ValueError, match=lines):
        problem.to_model(individual)
    with pytest.raises(ValueError, match=lines):
        KerasProblem(model, x_of(), x_of(2), loss="mse", precision="bfloat16")
    other = Subclassed(5)
    other(x_of())
    predicted = problem.assign(individual, other).predict(x_of(), verbose=0)
    assert value == pytest.approx(np.mean((predicted - x_of(2)) ** 2), rel=1e-4)


CUSTOM = ["scalar", "own-activation", "lambda", "own-in-a-cell", "subclassed", "subclassed-of-two", "looked-up"]


def test_models_with_user_code_have_the_same_fitness_in_other_processes():
    with open_map("processes", workers=1) as map_:
        for name in CUSTOM:
            model, x = ARCHITECTURES[name]()
            y = keras.tree.map_structure(np.asarray, model(x))
            toolbox = make_toolbox(KerasProblem(model, x, y, loss="mse", validation_split=0), seed=1)
            runs = [evolve_toolbox(toolbox, n=4, ngen=1)]
            toolbox.register("map", map_)
            runs.append(evolve(toolbox.population(n=4, start=0), toolbox, 1, seed=1))
            assert runs[0][1] == runs[1][1], name


CELL = """
import numpy as np
from deap_nn import keras

@keras.saving.register_keras_serializable("cell")
class Halved(keras.layers.Layer):
    def call(self, x):
        return halve(x)

def halve(x):
    return x / 2

model = keras.Sequential([keras.Input((4,)), Halved(), keras.layers.Dense(2, activation=halve)])
"""


def test_classes_and_functions_of_a_notebook_come_along(warm, tmp_path, monkeypatch):
    main = ModuleType("__main__")  # no file, as under a kernel
    monkeypatch.setitem(sys.modules, "__main__", main)
    exec(CELL, vars(main))
    reference = reference_of(main.model, x_of())
    (tmp_path / "reference").write_bytes(pickle.dumps(reference))
    (tmp_path / "code.py").write_text(
        f"import pickle, numpy as np\nfrom deap_nn.models.reference import trained_model\n"
        f"reference = pickle.load(open({str(tmp_path / 'reference')!r}, 'rb'))\n"
        "weights = [np.full(shape, 0.5, np.float32) for shape in reference.layout.shapes]\n"
        "print(trained_model(reference, weights)(np.ones((1, 4))).numpy().tolist())"
    )
    answer = warm("code.py")
    assert answer.stdout.strip() == "[[0.75, 0.75]]", answer.stderr


class Own(keras.losses.Loss):
    """One of a user's own."""

    def call(self, y_true, y_pred):
        return keras.ops.mean(y_true - y_pred)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras on saving
@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
@pytest.mark.parametrize("loss", [lambda t, p: keras.ops.mean(keras.ops.square(t - p)), Own()])
def test_how_a_model_was_compiled_does_not_matter(loss, tmp_path):
    model = dense(2)
    plain = reference_of(model)
    model.compile("adam", loss)
    model.fit(x_of(), x_of(2), epochs=1, verbose=0)
    problem = KerasProblem(model, x_of(), x_of(2), loss="mse", validation_split=0)
    assert problem.reference == plain
    with pytest.warns(UserWarning, match="^model is fitted"):
        toolbox = make_toolbox(problem, seed=1)
    individual = toolbox.individual()
    evolved = problem.to_model(individual)
    assert toolbox.evaluate(individual)[0] == pytest.approx(np.mean((evolved(x_of()) - x_of(2)) ** 2), rel=1e-4)
    assert not evolved.compiled
    model.save(tmp_path / "own.keras")
    assert np.array_equal(load_model(tmp_path / "own.keras")(x_of()), model(x_of()))


def relu(x):
    """Has the name of Keras' own, and differs for large numbers alone."""
    return keras.ops.minimum(keras.ops.relu(x), 100.0)


def local():
    def relu(x):
        return keras.ops.minimum(keras.ops.relu(x), 100.0)

    return relu


FOUND_NOWHERE = {
    "lambda": lambda x: 2 * x,
    "lambda without source": eval("lambda x: 2 * x"),
    "name of Keras' own": relu,
    "local": local(),
}


@pytest.mark.parametrize("activation", FOUND_NOWHERE.values(), ids=FOUND_NOWHERE)
def test_functions_that_cannot_be_found_or_distinguished_are_only_for_this_process(activation):
    parts = [layers.Dense(3, activation="relu"), layers.Activation(activation, name="mine"), layers.Dense(2)]
    model = keras.Sequential([keras.Input((4,)), *parts])
    problem = KerasProblem(model, x_of(), x_of(2), loss="mse")
    toolbox = make_toolbox(problem, seed=1)
    toolbox.evaluate(toolbox.individual())
    with pytest.raises(
        ValueError, match=r"layer 'mine' \(Activation\) needs @keras.saving.register_keras_serializable"
    ):
        pickle.dumps(problem.reference)
