"""Small networks are scored in groups, each in the bits that it has alone."""

import numpy as np
import pytest
from keras_models import two_objectives
from wirings import evolve_toolbox

from deap_nn import GA, KerasProblem, make_toolbox, open_map
from deap_nn.genome.vectors import Layout
from deap_nn.models.tensorflow import keras, tf
from deap_nn.problems.groups import GroupKernel

NETWORKS = {
    "no hidden layer": [(2, None)],
    "ten classes": [(10, None)],
    "narrow": [(8, "tanh"), (2, None)],
    "one logit": [(5, "relu"), (1, None)],
    "two hidden layers": [(32, "tanh"), (16, "relu"), (8, None)],
    "wide": [(64, "relu"), (10, None)],
}
LAYOUT = Layout(("weights",), ((3, 2),))


def samples(count=400):
    x = np.random.default_rng(0).standard_normal((count, 4)).astype(np.float32)
    return x, (x[:, 0] * x[:, 1] > 0).astype(int)


def problem_of(name):
    dense = [keras.layers.Dense(units, activation) for units, activation in NETWORKS[name]]
    return KerasProblem(keras.Sequential([keras.Input((4,)), *dense]), *samples(), loss="cross_entropy")


@pytest.mark.parametrize("batch_size", [16, 200])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_group_of_any_size_scores_as_each_alone(name, batch_size):
    toolbox = make_toolbox(problem_of(name), seed=1, batch_size=batch_size)
    members = toolbox.population(n=60)
    genomes = np.stack([member.flat for member in members])
    alone = [toolbox.evaluate(member) for member in members]
    for together in (2, 3, 7, 60):
        groups = [genomes[start : start + together].copy() for start in range(0, 60, together)]
        assert [values for group in groups for values in toolbox.evaluate.func.many(group)] == alone


def narrow(data):
    dense = [keras.layers.Dense(3, "tanh"), keras.layers.Dense(10)]
    model = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), *dense])
    return make_toolbox(model, data, seed=1, batch_size=16)


def weighted_entropy(y_true, y_pred, sample_weight):
    return float(np.mean(-sample_weight * np.log(y_pred[np.arange(len(y_true)), y_true] + 1e-9)))


def weighted(data):
    """A softmax that saturates, and classes of different weights."""
    dense = [keras.layers.Rescaling(100.0), keras.layers.Dense(2, "softmax")]
    model, losses = keras.Sequential([keras.Input((4,)), *dense]), ["cross_entropy", weighted_entropy]
    problem = KerasProblem(model, *samples(), loss=losses, class_weight={0: 3.0, 1: 0.2})
    return make_toolbox(problem, algorithm=GA(sigma=0.3, schedule="constant"), batch_size=16, **two_objectives())


def log_of(wiring, data, map_=None, **settings):
    toolbox = wiring(data)
    if map_ is not None:
        toolbox.register("map", map_)
    population, logbook = evolve_toolbox(toolbox, n=7, ngen=10, **settings)
    return logbook, [(member.flat.tolist(), member.fitness.values) for member in population]


def test_a_narrow_network_has_the_same_run_in_any_groups_and_processes(digits_file):
    serial = {wiring: log_of(wiring, digits_file) for wiring in (narrow, weighted)}
    for wiring, log in serial.items():
        assert log_of(wiring, digits_file, group_size=3) == log
    with open_map("processes", workers=2) as map_:
        assert {wiring: log_of(wiring, digits_file, map_) for wiring in serial} == serial


def doubled(weights, factor):
    return weights[0] * factor, [tf.reduce_sum(weights[0])]


def counting_kernel(monkeypatch, sizes, alters=lambda genomes: genomes):
    """What `GroupKernel` makes of `doubled`, where the sizes of groups that are computed at once are noted."""

    def noting(trace, genomes):
        tf.py_function(lambda count: sizes.append(int(count)), [tf.shape(genomes)[0]], [])
        return vectorized(trace, alters(genomes))

    vectorized = tf.vectorized_map
    monkeypatch.setattr(tf, "vectorized_map", noting)
    return GroupKernel(doubled, LAYOUT, [tf.constant(2.0)], at_once=True)


def check_doubled(kernel, count):
    genomes = np.arange(6 * count, dtype=np.float32).reshape(count, 6)
    products, (sums,) = kernel(genomes, tf.constant(2.0))
    assert np.array_equal(products, genomes.reshape(count, 3, 2) * 2)
    assert np.array_equal(sums, genomes.sum(axis=1))


def test_genomes_are_computed_at_once_in_groups_of_sizes_that_were_tried(monkeypatch):
    sizes = []
    kernel = counting_kernel(monkeypatch, sizes)
    tried = set(sizes)
    assert tried == {1, 2, 4, 8, 16, 32, 64, 128, 256}
    sizes.clear()
    check_doubled(kernel, 300)
    assert sizes == [256, 44, 44]  # 44 is tried before it is used
    sizes.clear()
    check_doubled(kernel, 44)
    assert sizes == [44]


def altering(size):
    """What changes a bit of the last of so many genomes, as a library does that has a kernel for so many rows."""

    def altered(genomes):
        last = tf.one_hot(size - 1, tf.shape(genomes)[0], dtype=tf.float32)[:, None]
        return genomes * tf.where(tf.shape(genomes)[0] == size, 1 + 1e-6 * last, 1.0)

    return altered


def test_another_size_that_changes_a_bit_is_split(monkeypatch):
    sizes = []
    kernel = counting_kernel(monkeypatch, sizes, altering(44))
    for expected in ([256, 44, 32, 12, 12, 12, 12], [256, 32, 12]):  # 44 and 12 are tried once
        sizes.clear()
        check_doubled(kernel, 300)
        assert sizes == expected


@pytest.mark.parametrize("size", [1, 2, 32, 256])
def test_where_a_size_changes_a_bit_a_loop_goes_through_the_genomes(monkeypatch, size):
    sizes = []
    kernel = counting_kernel(monkeypatch, sizes, altering(size))
    assert size in sizes
    sizes.clear()
    check_doubled(kernel, 300)
    assert sizes == []
