"""Layers that are centred on the mini-batch while scoring, and the network whose biases hold the means."""

import numpy as np
import pytest
from reference_loop import reference
from wirings import evolve_toolbox, logged

from deap_nn import GA, KerasProblem, make_toolbox
from deap_nn.callbacks.run_directory import RunDirectory
from deap_nn.data.minibatches import batch_indices
from deap_nn.models.layers import centrable_layers
from deap_nn.models.tensorflow import keras
from deap_nn.problems import groups
from deap_nn.problems.scorer import scorer

layers = keras.layers
SAMPLES = 160
BFLOAT16 = {"centred": True, "precision": "bfloat16"}


def table():
    x = np.random.default_rng(0).standard_normal((SAMPLES, 6)).astype(np.float32) + 3  # most of it is in each sample
    return x, (x[:, 0] > x[:, 1]).astype(int)


def images():
    x = np.random.default_rng(0).standard_normal((SAMPLES, 6, 6, 1)).astype(np.float32) + 2
    return x, (x[:, 0, 0, 0] > x[:, 5, 5, 0]).astype(int)


def dense():
    return keras.Sequential([keras.Input((6,)), layers.Dense(8, "tanh"), layers.Dense(2, "softmax")])


def convolutional():
    inputs = keras.Input((6, 6, 1))
    hidden = layers.Conv2D(3, 3, padding="same", activation="relu")(inputs)
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(hidden)))


def nested():
    inputs = keras.Input((6,))
    return keras.Model(inputs, layers.Dense(2)(keras.Sequential([keras.Input((6,)), layers.Dense(3)])(inputs)))


def problem_of(model, data, **options):
    return KerasProblem(model, *data, loss="cross_entropy", validation_split=0, **options)


@pytest.mark.parametrize(
    ("made", "data", "same"),
    [(dense, table, [True, False, True, False]), (convolutional, images, [True, True, True, False])],
)
def test_the_fitness_is_that_of_the_model_with_the_means_in_its_biases(made, data, same):
    """The mini-batch is all training samples, and so are the samples of the means: the two networks are one."""
    model, data = made(), data()
    problem = problem_of(model, data, centred=True)
    centred = make_toolbox(problem, seed=1, batch_size=SAMPLES)
    plain = make_toolbox(problem_of(model, data), seed=1, batch_size=SAMPLES)
    for individual in centred.population(n=3):
        network = scorer(centred.problem).network(individual)
        fitness = centred.evaluate(individual)[0]
        assert plain.evaluate(network)[0] == pytest.approx(fitness, rel=1e-4)
        assert plain.evaluate(individual)[0] != pytest.approx(fitness, rel=1e-3)
        assert [np.array_equal(*both) for both in zip(network, individual, strict=True)] == same
        assert centred.scores(individual, "train")[0] == pytest.approx(fitness, rel=1e-4)
        assert centred.error_rate(individual, "train") == pytest.approx(fitness, rel=1e-4)


def test_tasks_compute_the_means_of_a_large_network(monkeypatch):
    """Each of three batches is centred on itself, and the means of the batches are averaged."""
    monkeypatch.setattr(groups, "GROUPED_WEIGHTS", 0)
    x = np.random.default_rng(0).standard_normal((350, 6)).astype(np.float32) + 3
    data = x, (x[:, 0] > x[:, 1]).astype(int)
    toolbox = make_toolbox(problem_of(dense(), data, centred=True), seed=1)
    individual, tasks = toolbox.individual(), []

    def recording(function, given):
        given = list(given)
        tasks.append((type(function).__name__, len(given)))
        return map(function, given)

    found = toolbox.error_rate(individual, "train", map=recording)
    assert tasks == [("ShiftsOfBatch", 3), ("Outputs", 4)]
    kernel, bias, kernel2, bias2 = (matrix.astype(np.float64) for matrix in individual)
    shifts = []
    for batch in range(3):
        made = x[batch_indices(0, batch, 100, 350)] @ kernel
        hidden = np.tanh(made - made.mean(axis=0) + bias) @ kernel2
        shifts.append((made.mean(axis=0), hidden.mean(axis=0)))
    wanted = [kernel, bias - np.mean([a for a, _ in shifts], axis=0), kernel2]
    wanted.append(bias2 - np.mean([b for _, b in shifts], axis=0))
    network = scorer(toolbox.problem).network(individual)
    for matrix, other in zip(network, wanted, strict=True):
        np.testing.assert_allclose(matrix, other, rtol=1e-4, atol=1e-5)
    plain = make_toolbox(problem_of(dense(), data), seed=1)
    assert found == plain.error_rate(network, "train")
    assert toolbox.assess(individual, 4) == plain.assess(network, 4)
    again = scorer(toolbox.problem).genome(network)
    for matrix, other in zip(again, individual, strict=True):
        np.testing.assert_allclose(matrix, other, rtol=1e-4, atol=1e-5)


def test_a_mean_of_bfloat16_is_not_rounded():
    """The first layer answers 1 and 1 + 1/128, which bfloat16 has; it has no number for their mean."""
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1, "relu"), layers.Dense(1)])
    x = np.array([[1], [1 + 1 / 128]] * 20, np.float32)
    problem = KerasProblem(model, x, x, loss=lambda y_true, y_pred: abs(y_pred).max(), validation_split=0, **BFLOAT16)
    toolbox = make_toolbox(problem, seed=1, batch_size=40)
    individual = toolbox.individual()
    individual[:] = [np.ones_like(matrix) * (i % 2 == 0) for i, matrix in enumerate(individual)]
    assert toolbox.evaluate(individual) == (1 / 512,)


def test_the_models_that_come_out_predict_alike():
    x, y = table()
    problem = problem_of(dense(), (x, y), centred=True)
    toolbox = make_toolbox(problem, seed=1, batch_size=40)
    (individual,) = toolbox.population(n=1)
    made = [toolbox.to_model(individual), problem.to_model(individual), problem.assign(individual, dense())]
    predictions = [np.asarray(model(x)) for model in made]
    entropy = -np.log(predictions[0][np.arange(SAMPLES), y]).mean()
    assert entropy == pytest.approx(toolbox.error_rate(individual, "train"), rel=1e-4)
    assert all(np.allclose(predictions[0], other, atol=1e-5) for other in predictions[1:])


def test_it_starts_from_the_network_of_given_weights():
    """The first member of `init` is the given network, not one whose biases have the means a second time."""
    x, y = table()
    first = dense()
    toolbox = make_toolbox(problem_of(first, (x, y), centred=True), seed=1, init=first)
    member = toolbox.population(n=2)[0]
    assert np.allclose(toolbox.to_model(member)(x), first(x), atol=1e-5)


def test_a_group_of_any_size_has_the_bits_of_single_networks():
    wide = keras.Sequential([keras.Input((6,)), layers.Dense(64, "relu"), layers.Dense(10, "softmax")])
    toolbox = make_toolbox(problem_of(wide, table(), centred=True), seed=1, batch_size=33)
    members = toolbox.population(n=25)
    assert toolbox.evaluate_many(members) == [toolbox.evaluate(member) for member in members]
    kernel = scorer(toolbox.problem)._network.kernel(by_cases=False)
    assert max(kernel._sizes) > 1  # no loop: a group is computed at once


def test_the_plain_loop_gives_the_same_bytes_and_the_files_of_a_run_hold_the_model_itself(tmp_path):
    toolbox = make_toolbox("mlp", "mnist5k", GA(centred=True), seed=1)
    with RunDirectory(tmp_path / "run") as directory:
        population, logbook = evolve_toolbox(toolbox, ngen=2, callbacks=[directory])
    assert logged(population, logbook) == reference(toolbox, n=12, ngen=2)
    assert toolbox.problem.centred_layers == ["hidden", "output"]
    with np.load(tmp_path / "run" / "best.npz") as best:
        model = keras.models.load_model(tmp_path / "run" / "best.keras")
        assert [best[name].tobytes() for name in best] == [np.asarray(v).tobytes() for v in model.trainable_variables]


def shared_twice():
    inputs, dense = keras.Input((6,)), layers.Dense(6)
    return keras.Model(inputs, layers.Dense(2, use_bias=False)(dense(dense(inputs))))


def frozen():
    model = dense()
    model.layers[0].trainable = False
    return model


@pytest.mark.parametrize(
    ("made", "count"), [(dense, 2), (convolutional, 1), (nested, 2), (shared_twice, 0), (frozen, 1)]
)
def test_layers_with_a_bias_that_are_called_once_are_centred(made, count):
    assert len(centrable_layers(made())) == count


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(2)

    def call(self, inputs):
        return self.dense(inputs)


def test_a_model_without_such_layers_is_refused():
    x, y = table()
    model = Subclassed()
    model(x[:1])
    for one in (model, shared_twice()):
        with pytest.raises(ValueError, match=r"centred needs a sequential or functional model .* with a Dense"):
            problem_of(one, (x, y), centred=True)
    with pytest.raises(
        ValueError, match=r"centred is not for a KerasProblem, .*: KerasProblem\(\.\.\., centred=True\)"
    ):
        make_toolbox(problem_of(dense(), (x, y)), algorithm=GA(centred=True), seed=1)


def test_bad_values_are_named():
    x, y = table()
    with pytest.raises(TypeError, match="centred must be True or False, got 'no'"):
        problem_of(dense(), (x, y), centred="no")
    with pytest.raises(ValueError, match="centred needs a mini-batch of at least 2 samples, got 1"):
        make_toolbox(problem_of(dense(), (x, y), centred=True), seed=1, batch_size=1)
