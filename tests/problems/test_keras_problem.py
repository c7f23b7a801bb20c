"""Any Keras model goes in, is scored as it predicts, and comes out."""

import pickle
import random

import numpy as np
import pytest
from architectures import ARCHITECTURES
from deap import base, creator, tools
from keras_models import dense, labels, two_objectives, x_of
from reference_loop import reference
from wirings import logged

from deap_nn import GA, Constant, ErrorScaled, Individual, KerasProblem, WeightList, evolve, evolve_model, make_toolbox
from deap_nn.algorithms.algorithm import ALGORITHMS
from deap_nn.data.samples import flat
from deap_nn.models.custom_objects import custom_objects_of
from deap_nn.models.tensorflow import keras
from deap_nn.problems.scorer import forget_all

layers = keras.layers


def targets_of(model, inputs):
    """Targets in the structure and the shapes of the model's outputs."""
    rng = np.random.default_rng(3)
    return keras.tree.map_structure(lambda answer: rng.normal(size=answer.shape).astype(np.float32), model(inputs))


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
    sent = pickle.loads(pickle.dumps(toolbox.evaluate.func))
    forget_all()
    value = sent(individual)  # as a worker does
    forget_all()
    assert value == toolbox.evaluate(individual)
    assert random.getstate() == drawn
    assert all(np.array_equal(a, v.numpy()) for a, v in zip(before, model.variables, strict=True))
    evolved.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(
        tmp_path / "model.keras", custom_objects=custom_objects_of([evolved, *evolved._flatten_layers()])
    )
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
        KerasProblem(model, inputs, y, loss=["mae", lambda outputs, targets: float(outputs.max())]), **two_objectives()
    )
    population = toolbox.population(n=5)
    together = toolbox.evaluate.func.many(np.stack([individual.flat for individual in population]))
    assert together == [toolbox.evaluate(individual) for individual in population]
    assert len(set(together)) == 5


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


def test_the_plain_loop_gives_the_same_and_needs_no_validation_samples():
    problem = KerasProblem(dense(2), x_of(), x_of(2), loss="mae", validation_split=0)
    toolbox = make_toolbox(problem, algorithm=GA(sigma=Constant(0.1)), seed=1, batch_size=8)
    population, logbook = evolve(toolbox.population(n=10), toolbox, 3, seed=1)
    assert "val_error" not in logbook[0]
    assert logged(population, logbook) == reference(toolbox, n=10, ngen=3)


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


def test_a_toolbox_says_what_does_not_go_with_a_problem():
    problem = KerasProblem(dense(2), x_of(), x_of(2), loss="mse")
    for given in ({"data": "mnist5k"}, {"precision": "bfloat16"}):
        with pytest.raises(ValueError, match="data and precision are not for a KerasProblem"):
            make_toolbox(problem, seed=1, **given)
    with pytest.raises(ValueError, match="batch_size must be at most the 32 training samples, got 33"):
        make_toolbox(problem, seed=1, batch_size=33)
    with pytest.raises(ValueError, match=r"container must have a fitness of 1 value\(s\), got 2"):
        make_toolbox(problem, **two_objectives())
    with pytest.raises(ValueError, match="ErrorScaled needs a fitness that is an error or a cross-entropy"):
        make_toolbox(problem, algorithm=GA(sigma=ErrorScaled(0.1)), seed=1)
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


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_function_is_not_tried_on_outputs_that_are_not_finite(value):
    """As in a run: a function of scikit-learn, which refuses them, is taken with such a first model too."""

    def strict(outputs, targets):
        if not np.isfinite(outputs).all():
            raise ValueError("Input contains NaN")
        return float(np.mean((outputs - targets) ** 2))

    model = dense(2)
    model.set_weights([np.full_like(matrix, value) for matrix in model.get_weights()])
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
    result = evolve_model(model, x, y, population=4, generations=1, seed=1, precision="bfloat16")
    assert result.toolbox.problem.precision == "bfloat16"


@pytest.mark.parametrize("name", ["ga", "es", "article"])
def test_presets_are_for_problems_too(name):
    loss = "error" if name == "article" else "cross_entropy"
    toolbox = make_toolbox(
        KerasProblem(dense(3), x_of(), labels(), loss=loss), algorithm=ALGORITHMS[name](), seed=1, batch_size=20
    )
    assert len(evolve(toolbox.population(n=6), toolbox, 2)[1]) == 3
    assert toolbox.algorithm.fitness == loss
    other = {"error": "cross_entropy", "cross_entropy": "error"}[loss]
    with pytest.raises(ValueError, match=f"fitness is not for a KerasProblem, which has its own loss, got '{other}'"):
        make_toolbox(
            KerasProblem(dense(3), x_of(), labels(), loss=loss), algorithm=ALGORITHMS[name](fitness=other), seed=1
        )


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
