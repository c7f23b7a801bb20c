"""Mini-batches: whole epochs, in random order, and with all classes in proportion."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deap_nn import GA, KerasProblem, make_toolbox
from deap_nn.data.minibatches import Strata, batch_indices
from deap_nn.models.tensorflow import keras
from deap_nn.problems.scorer import scorer


@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=60).map(np.array), seed=st.integers(0, 99))
def test_a_stratified_epoch_has_all_samples_and_each_class_spread_out(labels, seed):
    order = batch_indices(seed, 0, len(labels), len(labels), Strata.of(labels))
    assert sorted(order.tolist()) == list(range(len(labels)))
    for size in range(1, len(labels) + 1):
        for start in range(0, len(labels) - size + 1, size):
            drawn = labels[order[start : start + size]]
            for label in np.unique(labels):
                share = (labels == label).mean()
                # At both ends of a stretch each class is ahead or behind by less than one sample.
                assert abs((drawn == label).sum() - share * size) < 2 + 2 * len(np.unique(labels)) * share


@pytest.mark.parametrize("strata", [None, Strata.of(np.arange(100) % 4)])
def test_epochs_and_seeds_have_their_own_order(strata):
    walk = np.concatenate([batch_indices(5, number, 30, 100, strata) for number in range(10)])
    epochs = [*walk.reshape(3, 100).tolist(), batch_indices(6, 0, 100, 100, strata).tolist()]
    assert all(sorted(epoch) == list(range(100)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) == 4


@pytest.mark.parametrize(
    ("targets", "codes"),
    [
        (np.array([3, 1, 3]), [1, 0, 1]),
        (np.array([[3], [1], [3]]), [1, 0, 1]),
        (np.array([True, False, True]), [1, 0, 1]),
        (np.array([1.0, 0.0, 1.0], np.float32), [1, 0, 1]),
        (np.array([[0, 1], [1, 0], [0, 1]]), [1, 0, 1]),
        (np.array([0.5, 0.1, 0.7]), None),
        (np.array([[0.5, 0.5], [1, 0]]), None),
        (np.array([[1, 1], [1, 0]]), None),
        (np.zeros((3, 2, 2)), None),
    ],
)
def test_classes_are_labels_or_one_hot(targets, codes):
    strata = Strata.of(targets)
    assert (None if strata is None else strata.codes.tolist()) == codes


def problem_of(y, loss, units):
    x = np.random.default_rng(0).normal(size=(len(y), 3)).astype(np.float32)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(units)])
    return KerasProblem(model, x, y, loss=loss, validation_split=0)


@pytest.mark.parametrize("stratified", [True, False])
def test_a_problem_of_classes_is_scored_on_stratified_batches(stratified):
    labels = np.repeat([0, 1], 20)
    toolbox = make_toolbox(problem_of(labels, "error", 2), algorithm=GA(stratified=stratified), seed=1, batch_size=4)
    counts = {int(scorer(toolbox.problem)._minibatch(generation)[1][0].numpy().sum()) for generation in range(50)}
    assert (counts <= {1, 2, 3}) == stratified


def test_other_problems_are_not_stratified():
    y = np.linspace(0, 1, 40)[:, None].astype(np.float32)
    for target, loss in ((y, "mse"), (np.repeat([0, 1], 20)[:, None], "mse")):
        with pytest.raises(ValueError, match="stratified needs a target of classes, scored by 'error' or"):
            make_toolbox(problem_of(target, loss, 1), algorithm=GA(stratified=True), seed=1)
        assert not make_toolbox(problem_of(target, loss, 1), seed=1).problem.stratified
