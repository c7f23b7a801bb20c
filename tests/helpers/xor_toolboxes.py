"""Toolboxes of a network of 17 weights for XOR, as fixtures of classes of tests of scoring and of generations."""

import functools
import random

import numpy as np
import pytest

from deap_nn import KerasProblem, make_toolbox
from deap_nn.core.seeding import global_state_kept
from deap_nn.models.tensorflow import keras

X = np.float32([[0, 0], [0, 1], [1, 0], [1, 1]] * 10)
Y = (X[:, :1] != X[:, 1:]).astype(np.float32)


@functools.cache
def xor():
    layers = [keras.Input((2,)), keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(1, activation="sigmoid")]
    return KerasProblem(keras.Sequential(layers), X, Y, loss="mse", validation_split=0)


class OnXor:
    """The fixtures of a class of tests that derives from this one."""

    @pytest.fixture
    def problem(self):
        return xor()

    @pytest.fixture
    def toolbox(self, problem):
        """A made toolbox whose mini-batch is a part of the data."""
        return make_toolbox(problem, seed=1, batch_size=8)

    @pytest.fixture(autouse=True)
    def seeded(self):
        with global_state_kept():
            random.seed(1)
            np.random.seed(1)  # noqa: NPY002  (DEAP's strategies draw from it)
            yield
