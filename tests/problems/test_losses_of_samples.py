"""The losses of single samples, and the layers that move by them."""

import numpy as np
import pytest
from deap import base, creator

from deap_nn import ES, GA, KerasProblem, WeightList, make_toolbox
from deap_nn.core.registered import at
from deap_nn.genome.layer_inputs import unpacked_inputs
from deap_nn.models.tensorflow import keras
from deap_nn.operators.describe import describe_algorithm
from deap_nn.problems.network import Network
from deap_nn.problems.scorer import forget_all, scorer

SAMPLES = 60
CENTRED = GA(centred=True, projected=True)


def data(inputs=(8,), classes=3):
    rng = np.random.default_rng(0)
    return rng.standard_normal((SAMPLES, *inputs)).astype(np.float32), np.arange(SAMPLES) % classes


def toolbox_of(model, x, y, loss, algorithm=CENTRED, batch_size=12, **words):
    problem = KerasProblem(model, x, y, loss=loss, centred=True, validation_split=0, **words)
    return make_toolbox(problem, algorithm=algorithm, seed=1, batch_size=batch_size)


def small(units=3, **words):
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((8,)), layers.Dense(5, "tanh", name="a"), layers.Dense(units, name="b", **words)]
    )


def scored(toolbox, individual, generation=2):
    inputs = toolbox.layer_inputs(individual, generation)
    return at(toolbox.evaluate.func.by_cases(inputs), generation)(individual), unpacked_inputs(
        inputs, individual.shapes
    )


def squared(y_true, y_pred):
    return keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)


def largest(y_true, y_pred):
    return keras.ops.max(keras.ops.abs(y_true - y_pred))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "loss",
    ["error", "cross_entropy", "sparse_categorical_crossentropy", "mse", keras.losses.Huber(0.5), squared],
)
def test_the_fitness_is_the_mean_of_the_losses_and_products_are_those_of_the_kernels(in_groups, weighted, loss):
    x, y = data()
    of_classes = isinstance(loss, str) and loss != "mse"
    model = small(activation="softmax") if loss == "sparse_categorical_crossentropy" else small()
    if loss is squared:
        model.compile(loss=squared)
    words = {"sample_weight": np.linspace(0.5, 2, SAMPLES)} if weighted else {}
    y = y if of_classes else np.eye(3, dtype=np.float32)[y]
    toolbox = toolbox_of(model, x, y, None if loss is squared else loss, **words)
    (individual,) = toolbox.population(n=1)
    found, layers = scored(toolbox, individual)
    toolbox.evaluate.func.generation = 2
    assert found.values == toolbox.evaluate(individual)
    assert found.losses.shape == (12,)
    if not (weighted and loss == "error"):  # an error rate is divided by the weights
        assert found.losses.mean() == pytest.approx(found.values[0], rel=1e-5)
    assert list(found.products) == [0, 2]
    for place, product in found.products.items():
        np.testing.assert_allclose(product, layers[place].inputs @ individual[place], atol=1e-5)


def test_several_outputs_are_added():
    inputs = keras.Input((8,))
    hidden = keras.layers.Dense(5, "tanh")(inputs)
    model = keras.Model(inputs, [keras.layers.Dense(3, name="one")(hidden), keras.layers.Dense(1, name="two")(hidden)])
    x, y = data()
    toolbox = toolbox_of(model, x, [y, x[:, :1]], {"one": "cross_entropy", "two": "mse"})
    (individual,) = toolbox.population(n=1)
    found, _ = scored(toolbox, individual)
    assert found.losses.mean() == pytest.approx(found.values[0], rel=1e-5)
    assert len(found.products) == 3


def maximised():
    if not hasattr(creator, "MaximisedByCases"):
        creator.create("MaximisedByCases", base.Fitness, weights=(1.0,))
        creator.create("NetworkByCases", WeightList, fitness=creator.MaximisedByCases)
    return creator.NetworkByCases


def test_a_loss_of_one_number_and_a_metric_have_no_cases():
    x, y = data()
    model = small()
    model.compile(loss=largest)
    scores = {"metric": keras.metrics.F1Score("macro"), "own": lambda outputs, targets: 0.5}
    problems = [KerasProblem(model, x, np.eye(3, dtype=np.float32)[y], centred=True)]
    problems += [KerasProblem(small(), x, np.eye(3)[y], loss=loss, centred=True) for loss in scores.values()]
    problems.append(KerasProblem(small(), x, x[:, :3], loss=["mse", "mae"], centred=True))
    assert not any(problem.casewise for problem in problems)
    toolbox = make_toolbox(problems[0], algorithm=CENTRED, seed=1, batch_size=12)
    assert toolbox.evaluate.func.by_cases(b"") is None
    assert ", the step by rank along the inputs of a and b, " in describe_algorithm(toolbox)
    with pytest.raises(
        ValueError, match="casewise needs projected steps, and a fitness that is a mean over the samples"
    ):
        make_toolbox(problems[1], algorithm=ES(projected=True, casewise=True), container=maximised(), seed=1)


def test_a_network_with_outputs_that_are_not_finite_has_no_losses(in_groups):
    x, y = data()
    toolbox = toolbox_of(small(), x, y, "error")
    members = toolbox.population(n=5)
    members[-1][0][:] = np.nan
    by_cases = at(toolbox.evaluate.func.by_cases(toolbox.layer_inputs(members[0], 1)), 1)
    flats = np.stack([member.flat for member in members])
    for found in (list(map(by_cases, members)), *([by_cases.many(flats)] if in_groups else [])):
        assert [bool(np.isfinite(one.losses).all()) for one in found] == [True] * 4 + [False]


def test_an_evaluation_of_ones_own_and_a_loss_that_is_maximised_move_layers_by_rank():
    x, y = data()
    toolbox = toolbox_of(small(), x, y, "error")
    toolbox.register("evaluate", lambda individual: (0.5,))
    assert ", the step by rank along the inputs of a and b, " in describe_algorithm(toolbox)
    problem = KerasProblem(small(), x, np.eye(3, dtype=np.float32)[y], loss="mse", centred=True)
    with pytest.warns(UserWarning, match="a fitness that maximises mse, a loss"):
        toolbox = make_toolbox(problem, algorithm=CENTRED, container=maximised(), seed=1, batch_size=12)
    assert toolbox.evaluate.func.by_cases(b"") is None


def sequential(*layers, shape=(6, 4)):
    return keras.Sequential([keras.Input(shape), *layers, keras.layers.Dense(3, name="last")])


def shared():
    inputs, dense = keras.Input((8,)), keras.layers.Dense(8, name="twice")
    return keras.Model(inputs, keras.layers.Dense(3, name="last")(dense(dense(inputs))))


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: sequential(keras.layers.Dense(5, name="first"), shape=(8,)), ["first", "last"]),
        (lambda: sequential(keras.layers.LSTM(5)), ["last"]),
        (lambda: sequential(keras.layers.Dense(5, name="positions"), keras.layers.Flatten()), ["last"]),
        (lambda: sequential(keras.layers.Dense(5, use_bias=False), shape=(8,)), ["last"]),
        (lambda: sequential(keras.layers.Conv1D(3, 2), keras.layers.Flatten()), ["last"]),
        (lambda: sequential(small(units=7), shape=(8,)), ["a", "b", "last"]),
        (shared, ["last"]),
    ],
)
def test_dense_layers_with_one_row_for_each_sample_move(make, names):
    model = make()
    x, y = data(model.input_shape[1:])
    toolbox = toolbox_of(model, x, y, "cross_entropy")
    assert [*toolbox.problem.moved_layers.values()] == names
    assert f", a step of 30.0 by cases along the inputs of {' and '.join(names)}, " in describe_algorithm(toolbox)
    (individual,) = toolbox.population(n=1)
    found, layers = scored(toolbox, individual)
    assert len(found.products) == len(layers) == len(names)


def convolutional():
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(3, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(5, "tanh"),
            layers.Dense(3),
        ]
    )


def alone(problem, individual, generation):
    """The loss of the whole centred model."""
    network, (inputs, targets) = scorer(problem)._network, scorer(problem)._minibatch(generation)
    state = [variable.value for variable in network._quick.non_trainable_variables]
    outputs = network._quick.stateless_call(list(individual), state, network.inputs(inputs))[0]
    return (float(keras.ops.mean(keras.losses.sparse_categorical_crossentropy(targets[0], outputs, from_logits=True))),)


def test_children_with_the_same_first_layers_share_what_these_compute(monkeypatch):
    monkeypatch.setattr("deap_nn.problems.groups.GROUPED_WEIGHTS", 0)
    forget_all()
    problem = convolutional(), *data((6, 6, 1)), "cross_entropy"
    toolbox = toolbox_of(*problem, ES(features_every=2))
    (first,), calls, features = toolbox.population(n=1), [], Network.features
    monkeypatch.setattr(Network, "features", lambda *given: calls.append(1) or features(*given))
    twin, other = WeightList(first), WeightList(first)
    twin[4][:] += 0.3  # a kernel of a dense layer
    other[0][:] += 0.3
    steps = (first, 2, 1), (twin, 2, 1), (first, 2, 1), (other, 2, 2), (first, 2, 3), (first, 3, 4), (twin, 3, 4)
    for individual, generation, computed in steps:
        toolbox.evaluate.func.generation = generation
        found = toolbox.evaluate(individual)
        assert len(calls) == computed
        assert found == pytest.approx(alone(toolbox.problem, individual, generation), rel=1e-6)
    toolbox_of(*problem).evaluate(first)
    assert len(calls) == 4  # the children of a genetic algorithm differ in all layers
