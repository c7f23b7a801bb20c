"""What is maximised: a container has to say so, and the reports have it with the other sign."""

from functools import partial

import numpy as np
import pytest
from keras_models import dense, labels, two_objectives, x_of

from deap_nn import KerasProblem, evolve, make_toolbox
from deap_nn.callbacks.early_stopping import EarlyStopping
from deap_nn.callbacks.progress import ProgressBar
from deap_nn.models.tensorflow import keras


def test_early_stopping_and_the_bar_know_what_is_maximised(capsys):
    problem = KerasProblem(dense(1, "sigmoid"), x_of(), labels(2), loss=keras.metrics.AUC(), validation_split=0)
    toolbox = make_toolbox(problem, **two_objectives((1.0,)))
    stopping = EarlyStopping(target=-0.01)
    _, logbook = evolve(toolbox.population(n=8), toolbox, 5, seed=1, callbacks=[stopping, ProgressBar()])
    assert len(logbook) == 1  # the best of the first is beyond that already
    assert f"best fitness {logbook[0]['max']:.4g}" in capsys.readouterr().err


@pytest.mark.parametrize("loss", [keras.metrics.AUC(), partial(keras.metrics.binary_accuracy, threshold=0.4)])
def test_what_may_be_maximised_needs_a_container_that_says_so(loss):
    problem = KerasProblem(dense(1, "sigmoid"), x_of(), labels(2)[:, None], loss=loss)
    message = (
        r"container must say whether (auc\w*|partial) is minimised or maximised: .*"
        r"weights=\(1.0,\)\) if more is better, weights=\(-1.0,\) if less is; .* container=creator.Network$"
    )
    with pytest.raises(ValueError, match=message):
        make_toolbox(problem, seed=1)
    toolbox = make_toolbox(problem, **two_objectives((1.0,)))
    assert 0 < toolbox.evaluate(toolbox.individual())[0] <= 1


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_a_loss_that_the_container_maximises_is_warned_of(loss):
    problem = KerasProblem(dense(1, "sigmoid"), x_of(), labels(2), loss=loss)
    with pytest.warns(UserWarning, match=r"container has a fitness that maximises .*, a loss: take weights=\(-1.0,\)$"):
        make_toolbox(problem, **two_objectives((1.0,)))


def test_a_maximised_objective_is_reported_with_the_other_sign():
    problem = KerasProblem(dense(1, "sigmoid"), x_of(), labels(2), loss=keras.metrics.AUC())
    toolbox = make_toolbox(problem, **two_objectives((1.0,)))
    individual = toolbox.individual()
    value = toolbox.scores(individual, "validation")[0]
    assert 0 < value <= 1
    assert toolbox.error_rate(individual, "validation") == -value
    _, logbook = evolve(toolbox.population(n=12), toolbox, 6, seed=1)
    assert all(-1 <= error <= 0 for error in logbook.select("val_error"))
    assert np.mean(logbook.select("avg")[-2:]) > logbook.select("avg")[0]  # what is maximised grows
