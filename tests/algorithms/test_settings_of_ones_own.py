"""The settings of toolboxes wired by hand, of models, losses and functions of a user's own: recorded and compared."""

import json
from functools import partial

import numpy as np
import pytest
from small_toolbox import small
from wirings import LAYOUT, wired

from deap_nn import (
    GA,
    ErrorScaled,
    Individual,
    KerasProblem,
    Layout,
    NoiseTable,
    cxScanning,
    evolve,
    initNormal,
    make_toolbox,
    mutGaussianAdaptive,
    recombination_weights,
    selRankBoosted,
)
from deap_nn.algorithms.resuming import check_settings, settings_record
from deap_nn.breeding.founders import initPopulation
from deap_nn.runs.checkpoint import CheckpointError


def penalty(individual, factor=1.0):
    return (factor * float(np.abs(individual.flat).sum()),)


def mutation(**noise):
    return partial(mutGaussianAdaptive, sigma=ErrorScaled(0.3), **noise)


WIRED = [
    ({"mutate": mutation(noise=NoiseTable(2, LAYOUT.size))}, r"mutate.noise was \[1, \d+\] .* and is \[2"),
    ({"mutate": mutation(noise=NoiseTable(1, 1 << 20))}, r"mutate.noise was \[1, .* and is \[1, 4194304\]"),
    (
        {"mutate": mutation(noise=np.ones(1 << 20, np.float32))},
        r"mutate.noise was \[1, .* and is '[0-9a-f]{16}",
    ),
    ({"mutate": mutation()}, r"mutate.noise was \[1, .* and is None"),
    ({"individual": partial(initNormal, Individual, LAYOUT, noise=NoiseTable(1, 9))}, "individual.noise was None"),
    ({"individual": partial(initNormal, Individual, LAYOUT, sigma=0.5)}, "individual.sigma was None"),
    ({"individual": partial(initNormal, Individual, Layout(("a",), ((63,),)))}, "is of another run"),
    ({"evaluate": penalty}, "evaluate was 'sum_of_squares'"),
    ({"mates": 3, "mate": cxScanning}, "mate was 'cxMask'"),
    ({"select": partial(selRankBoosted, parents=5)}, "select.parents was 6"),
    ({"step": 2.0}, "mate was 'cxMask'"),
    ({"population": "another seed"}, "is of another run"),
]


@pytest.mark.parametrize(
    ("registered", "named"), WIRED, ids=lambda value: ",".join(value) if type(value) is dict else ""
)
def test_a_toolbox_wired_by_hand_is_held_to_its_settings(tmp_path, registered, named):
    toolbox = wired()
    evolve(toolbox.population(n=8), toolbox, 1, seed=1, checkpoint=tmp_path)
    before = (tmp_path / "generations").read_bytes()
    other = wired(**{name: value for name, value in registered.items() if name != "population"})
    if "population" in registered:
        other.register("population", initPopulation, other, 2)
    with pytest.raises(CheckpointError, match=named):
        evolve(other.population(n=8), other, 2, seed=1, checkpoint=tmp_path)
    assert (tmp_path / "generations").read_bytes() == before


def test_the_weights_by_rank_are_a_setting(tmp_path):
    around = {"step": 2.5, "recombination_weights": recombination_weights}
    toolbox = wired(**around)
    evolve(toolbox.population(n=8), toolbox, 1, seed=1, checkpoint=tmp_path)
    other = wired(**around | {"recombination_weights": partial(recombination_weights, parents=3)})
    with pytest.raises(CheckpointError, match=r"recombination_weights.parents was None when the run began, and is 3"):
        evolve(other.population(n=8), other, 2, seed=1, checkpoint=tmp_path)


def test_a_model_counts_by_what_it_computes_and_not_by_keras_numbers(tmp_path):
    import keras

    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(40, 5)), rng.integers(0, 3, 40)

    def record(activation):
        model = keras.Sequential(
            [keras.Input((5,)), keras.layers.Dense(4, activation=activation), keras.layers.Dense(3)]
        )
        toolbox = make_toolbox(KerasProblem(model, x, y), seed=1)
        return settings_record(toolbox, toolbox.population(n=4), seed=1, cxpb=1.0, mutpb=1.0)

    check_settings(record("relu"), record("relu"), tmp_path)
    with pytest.raises(CheckpointError, match="model was"):
        check_settings(record("relu"), record("tanh"), tmp_path)


def targets_first(y_true, y_pred):
    return float(np.mean(np.abs(y_true - y_pred)))


def outputs_first(outputs, targets):
    return targets_first(targets, outputs)


def test_sample_weights_and_the_call_of_a_function_count(tmp_path):
    import keras

    x, weights = np.random.default_rng(1).normal(size=(40, 5)), np.arange(40)
    layers = [keras.Input((5,)), keras.layers.Dense(2, name="y")]

    def record(loss="mae", **given):
        toolbox = make_toolbox(KerasProblem(keras.Sequential(layers), x, x[:, :2], loss=loss, **given), seed=1)
        return settings_record(toolbox, toolbox.population(n=4), seed=1, cxpb=1.0, mutpb=1.0)

    check_settings(record(sample_weight=weights), record(sample_weight=list(weights)), tmp_path)
    for given in ({}, {"sample_weight": weights[::-1]}, {"sample_weight": np.ones(40)}):
        with pytest.raises(CheckpointError, match="data was"):
            check_settings(record(sample_weight=weights), record(**given), tmp_path)
    assert record(outputs_first)["objectives"] == ["function outputs_first None outputs_first (outputs, targets)"]
    assert record(targets_first)["objectives"] == ["function targets_first None targets_first (y_true, y_pred)"]


class Own:
    """An adaptation of a user's."""

    def __init__(self, rate):
        self.rate, self.sigma, self._seen = rate, rate, 0

    def update(self, individuals, generation):
        self._seen += 1

    def reset(self):
        self._seen = 0

    def state(self):
        return {}

    def restore(self, state):
        pass


def hand_wired(digits, **arguments):
    toolbox = small(digits, **({"algorithm": GA(sigma=arguments.pop("sigma"))} if "sigma" in arguments else {}))
    toolbox.register("evaluate", penalty, **({"factor": 2.0} | arguments))
    return toolbox


@pytest.mark.parametrize(
    ("one", "other", "named"),
    [
        ({"factor": 0.1}, {"factor": 0.5}, "evaluate.factor was 0.1 when the run began, and is 0.5"),
        ({"sigma": Own(0.1)}, {"sigma": Own(0.3)}, "mutate.sigma was"),
        ({"factor": np.float64(2)}, {"factor": 2.0}, None),
        ({"factor": 2}, {"factor": 2.0}, None),
        ({"factor": float("nan")}, {"factor": float("nan")}, None),
        ({"factor": np.array([1, "a", None], dtype=object)}, {"factor": np.array([1, "a", None], dtype=object)}, None),
        ({"factor": np.bytes_(b"x")}, {"factor": b"x"}, None),
        ({"factor": np.complex64(1j)}, {"factor": 1j}, None),
    ],
    ids=["argument", "adaptation", "numpy", "integer", "nan", "objects", "bytes", "complex"],
)
def test_arguments_of_ones_own_are_compared_and_never_crash(digits, tmp_path, one, other, named):
    records = []
    for arguments in (one, other):
        toolbox = hand_wired(digits, **arguments)
        records.append(settings_record(toolbox, toolbox.population(n=4), seed=3, cxpb=1.0, mutpb=1.0))
    stored = json.loads(json.dumps(records[0]))
    if named is None:
        check_settings(stored, records[1], tmp_path)
    else:
        with pytest.raises(CheckpointError, match=named):
            check_settings(stored, records[1], tmp_path)
