"""What `make_toolbox` refuses or warns of, and how it names it: arguments, models, a fitness that is not its own."""

import contextlib
import functools

import numpy as np
import pytest
from keras_models import two_objectives

from deap_nn import Dataset, SelfAdaptive, WeightList, evolve, make_toolbox
from deap_nn.models.tensorflow import keras


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"seed": -1}, ValueError, "seed"),
        ({"fitness": "accuracy"}, ValueError, "fitness must be"),
        ({"init": "zeros"}, ValueError, "init must be"),
        ({"batch_size": 0}, ValueError, "batch_size must be an integer of at least 1"),
        ({"batch_size": 321}, ValueError, "batch_size must be at most the 320 training samples"),
        ({"batch_generations": 0}, ValueError, "batch_generations must be an integer of at least 1"),
        ({"validation_size": 2.5}, ValueError, "validation_size"),
        ({"threads": True}, ValueError, "threads"),
        ({"data": 5}, TypeError, "data must be"),
        ({"model": "resnet"}, ValueError, "model must be"),
        ({"indpb": 7}, ValueError, "indpb"),
        ({"mutation_indpb": -0.1}, ValueError, "mutation_indpb"),
        ({"bounds": (1, -1)}, ValueError, r"bounds must be two finite numbers, the lower one first, got \(1, -1\)"),
        ({"bounds": 1}, ValueError, "bounds must be two finite numbers, the lower one first, got 1"),
        ({"bounds": (-1, "1")}, TypeError, "bounds must be a number, got '1'"),
        ({"preset": "es", "bounds": (-1, 1)}, ValueError, "bounds needs preset='ga': 'es' has children of one centre"),
        ({"pressure": 9}, ValueError, "pressure"),
        ({"boost": -1}, ValueError, "boost"),
        ({"boosted": -3}, ValueError, "boosted"),
        ({"opposites": 0.7}, ValueError, "opposites must be a share of the parents"),
        ({"spread": 1.5}, ValueError, "spread must be between 0 and 1, got 1.5"),
        ({"spread": 0.5, "init": "normal"}, ValueError, "spread below 1 is for founders of init='scaled', got 0.5"),
        ({"preset": "es", "spread": 0.5}, ValueError, "spread needs preset='ga': 'es' has children of one centre"),
        ({"tournsize": 3, "opposites": 0.5}, ValueError, "opposites is not for tournsize"),
        ({"preset": "es", "opposites": 0.5}, ValueError, "opposites needs preset='ga': 'es' has children of one"),
        ({"parents": 0}, ValueError, "parents"),
        ({"tournsize": 0}, ValueError, "tournsize must be an integer of at least 1"),
        ({"preset": "es", "tournsize": 3}, ValueError, "tournsize needs preset='ga': 'es' has children of one centre"),
        ({"tournsize": 3, "boost": 2}, ValueError, "boost is not for tournsize, which draws from all, got 2"),
        ({"tournsize": 3, "parents": 5}, ValueError, "parents is not for tournsize, which draws from all, got 5"),
        ({"preset": "best"}, ValueError, "preset must be 'ga' or 'es' or 'article', got 'best'"),
        ({"preset": "es", "crossover": "mask"}, ValueError, "crossover needs preset='ga': 'es' has"),
        ({"preset": "es", "mates": 2}, ValueError, "mates needs preset='ga'"),
        ({"preset": "es", "boost": 2.0}, ValueError, "boost needs preset='ga'"),
        ({"step": 2.0}, ValueError, "step needs preset='es': 'ga' has no centre, got 2.0"),
        (
            {"sampling": "mirrored", "preset": "article"},
            ValueError,
            "sampling needs preset='es': 'article' has no centre",
        ),
        ({"population": 0}, ValueError, "population must be an integer of at least 1"),
        ({"generations": -1}, ValueError, "generations must be an integer of at least 0"),
        ({"parents": "0.02"}, ValueError, "parents must be an integer"),
        ({"parents": 1.5}, ValueError, "parents must be an integer of at least 1, or a share above 0 and up to 1"),
        (
            {"data": (1, 2, 3, 4), "model": keras.Sequential()},
            ValueError,
            r"data must be \(x, y\) or \(x, y, sample_weight\)",
        ),
        ({"data": (1, 2)}, TypeError, r"data of \(x, y\) need a Keras model"),
        ({"crossover": "two-point"}, ValueError, "crossover must be 'mask' or 'biased' or 'split'"),
        ({"crossover": "cxMask"}, ValueError, r"got 'cxMask': did you mean \"mask\"\?"),
        ({"data": "mnist6k"}, ValueError, r"data set 'mnist6k', known are auto, .*: did you mean \"mnist5k\"\?"),
        ({"data": "nothing/mnist6k"}, ValueError, "nothing/mnist6k: no such file or folder"),
        ({"preset": "GA"}, ValueError, r"got 'GA': did you mean \"ga\"\?"),
        ({"model": "LeNet-5"}, ValueError, r"lenet5, mlp, got 'LeNet-5': did you mean \"lenet5\"\?"),
        ({"fitness": "crossentropy"}, ValueError, r"got 'crossentropy': did you mean \"cross_entropy\"\?"),
        ({"crossover": "units", "mates": 3}, ValueError, "mates must be 2 if crossover is 'units'"),
        ({"crossover": "split", "indpb": 0.5}, ValueError, "indpb needs two mates and the crossover mask or biased"),
        ({"mates": 4, "indpb": 0.5}, ValueError, "indpb needs two mates"),
        ({"crossover": "biased", "mates": 4}, ValueError, "mates must be 2 if crossover is 'biased'"),
        ({"crossover": "biased", "indpb": 7}, ValueError, "indpb must be between 0 and 1"),
        (
            {"preset": "es", "sigma": SelfAdaptive(0.1, 0.01)},
            ValueError,
            "SelfAdaptive is not for an evolution strategy",
        ),
        ({"crossover": "none", "indpb": 0.1}, ValueError, "indpb must be 0 if crossover is 'none'"),
        ({"indpb": 0.3, "mates": "x"}, ValueError, "mates must be an integer"),
        ({"mutated_matrices": "some"}, ValueError, "mutated_matrices must be 'all' or 'one'"),
        ({"scale": "fan_out"}, ValueError, "scale must be 'fan_in' or 'widest' or 'fixed' or 'own'"),
        ({"sigma": -1}, ValueError, "sigma"),
        ({"scale": [1.0]}, ValueError, "scale"),
        ({"container": list}, TypeError, "container"),
        ({"container": WeightList}, TypeError, "container must make a WeightList with a fitness"),
        ({"data": Dataset(*[np.zeros((70, 3)), np.arange(70) % 5] * 3)}, ValueError, "takes samples of shape"),
        (
            {"data": Dataset(*[np.zeros((70, 784)), np.arange(70)] * 3)},
            ValueError,
            "has outputs for 10 classes, the data have 70",
        ),
    ],
)
def test_bad_arguments_are_named(digits, keywords, error, message):
    arguments = {"model": "mlp", "data": digits, "seed": 1} | keywords
    with pytest.raises(error, match=message):
        make_toolbox(arguments.pop("model"), arguments.pop("data"), **arguments)


def test_a_model_for_bytes_is_warned_of(digits):
    layers = [keras.Input((28, 28)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(10)]
    model = keras.Sequential(layers)
    said = "bytes are divided by 255 before the model gets them, and layer rescaling.* scales them again: remove it"
    with pytest.warns(UserWarning, match=said):
        make_toolbox(model, digits, seed=1)
    make_toolbox(keras.Sequential([layers[0], keras.layers.Rescaling(2.0, -1.0), *layers[2:]]), digits, seed=1)
    parts = [getattr(digits, f"{axis}_{part}") for part in ("train", "validation", "test") for axis in "xy"]
    floats = Dataset(*[part.astype(np.float32) if part.ndim > 1 else part for part in parts])
    make_toolbox(model, floats, seed=1)


def several(number, evaluate):
    """Decorate as one does: with the attributes of what is decorated."""
    return functools.wraps(evaluate)(lambda individual: evaluate(individual) * number)


@pytest.mark.parametrize("weights", [(1.0,), (-1.0, -1.0)])
def test_a_fitness_that_is_not_what_evaluate_gives_is_refused(digits, weights):
    warned = pytest.warns(
        UserWarning, match="container has a fitness that is maximised, but evaluate returns the cross_entropy: register"
    )
    with warned if weights == (1.0,) else contextlib.nullcontext():
        toolbox = make_toolbox("mlp", digits, **two_objectives(weights))
    with pytest.raises(ValueError, match=r"^population must have a fitness of one value that is minimised, as cross_"):
        evolve(toolbox.population(n=4), toolbox, 1, seed=1)
    toolbox.decorate("evaluate", functools.partial(several, len(weights)))
    warned = pytest.warns(UserWarning, match="^ErrorScaled needs an error that is minimised")
    with warned if weights == (1.0,) else contextlib.nullcontext():
        assert len(evolve(toolbox.population(n=4), toolbox, 1, seed=1, breeding="plain")[1]) == 2
