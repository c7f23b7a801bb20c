"""Small Keras models with their data, and scored members of them, for tests of `KerasProblem` and `evolve_model`."""

import numpy as np
import pytest
from deap import base, creator

from deap_nn import KerasProblem, WeightList, make_toolbox
from deap_nn.models.tensorflow import keras

layers = keras.layers

RNG = np.random.default_rng(1)
X = RNG.standard_normal((200, 4)).astype(np.float32)
LABELS = (X[:, 0] > 0).astype(int)


def two_objectives(weights=(-1.0, -1.0)):
    name = "Weighted" + "".join("up" if weight > 0 else "down" for weight in weights)
    if not hasattr(creator, name):
        creator.create(f"{name}Fitness", base.Fitness, weights=weights)
        creator.create(name, WeightList, fitness=getattr(creator, f"{name}Fitness"))
    return {"container": getattr(creator, name), "seed": 1}


def scored(model, x, y, *, weights=(-1.0,), batch_size=None, **words):
    """The toolbox of a problem without validation samples, a member, and the outputs of the member's model."""
    problem = KerasProblem(model, x, y, **({"validation_split": 0} | words))
    toolbox = make_toolbox(problem, batch_size=batch_size, **two_objectives(weights))
    individual = toolbox.individual()
    return toolbox, individual, toolbox.to_model(individual).predict(x, verbose=0)


def check_scores(toolbox, individual, wanted, rel=1e-4):
    """See that evaluating a member, on a mini-batch of all training samples, and scoring it on these give values."""
    assert toolbox.evaluate(individual) == pytest.approx(wanted, rel=rel)
    assert toolbox.scores(individual, "train") == pytest.approx(wanted, rel=rel)


def loss_by_keras(toolbox, individual, loss, x, y, **words):
    """The loss that Keras gives the model of a member on all samples at once."""
    model = toolbox.to_model(individual)
    model.compile(loss=loss, run_eagerly=True)
    value = model.evaluate(x, y, batch_size=len(x), verbose=0, **words)
    return value[0] if isinstance(value, list) else value


def dense(units=3, last=None, width=4):
    return keras.Sequential([keras.Input((width,)), layers.Dense(5, activation="tanh"), layers.Dense(units, last)])


def x_of(width=4, samples=40):
    return np.random.default_rng(1).normal(size=(samples, width)).astype(np.float32)


def labels(classes=3, samples=40):
    return np.random.default_rng(2).integers(0, classes, samples)


def network(outputs=2, activation=None):
    layers = [keras.Input((4,)), keras.layers.Dense(6, "tanh"), keras.layers.Dense(outputs, activation)]
    return keras.Sequential(layers)


def compiled(loss, outputs=2, activation=None):
    model = network(outputs, activation)
    model.compile(optimizer="sgd", loss=loss)
    return model
