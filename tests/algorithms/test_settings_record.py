"""What a checkpoint records of a made toolbox: all that decides a run's numbers, by the names of its version."""

import dataclasses
import inspect
import json

import numpy as np
import pytest
from small_toolbox import small

from deap_nn import ES, GA, Annealed, Constant, ErrorScaled, OneFifth, SelfAdaptive, make_toolbox
from deap_nn.algorithms.resuming import check_settings, settings_record
from deap_nn.runs.checkpoint import CheckpointError

ALGORITHM = [
    (GA(centred=False), "centred"),
    (GA(sigma=0.1), "mutate.sigma"),
    (GA(schedule="constant"), "mutate.sigma"),
    (GA(schedule="linear", final_sigma=0.02), "mutate.sigma"),
    (GA(sigma=Constant(0.1)), "mutate.sigma"),
    (GA(sigma=ErrorScaled(0.11)), "mutate.sigma"),
    (GA(sigma=OneFifth(0.1, 0.01)), "mutate.sigma"),
    (GA(sigma=SelfAdaptive(0.1, 0.01)), "mutate.sigma"),
    (GA(sigma=Annealed(0.1, 0.01, 9)), "mutate.sigma"),
    (GA(fitness="error"), "fitness"),
    (GA(scale="widest"), "mutate.scale"),
    (GA(scale="none"), "mutate.scale"),
    (GA(scale="fan_in"), "mutate.scale"),
    (GA(pressure=1.6), "select.pressure"),
    (GA(boost=3.0), "select.boost"),
    (GA(opposites=0.0), "select.opposites"),
    (GA(spread=1.0), "individual.spread"),
    (GA(stratified=False), "stratified"),
    (GA(parents=0.25), "select.parents"),
    (GA(mates=3), "mates"),
    (GA(crossover="split"), "mate"),
    (GA(init="normal"), "individual"),
    (GA(projected=False, sigma=0.128, scale="fixed"), "projected"),
    (ES(), "mutate.sigma"),
    (ES(step=2.0), "step"),
    (ES(parents=2), "recombination_weights.parents"),
]

ARGUMENTS = [
    ({"batch_size": 17}, "batch_size"),
    ({"threads": 2}, "threads"),
    ({"bounds": (-1, 1)}, "individual.bounds"),
    ({"validation_size": 40}, "validation_size"),
    ({"precision": "bfloat16"}, "precision"),
    ({"init": "normal"}, "individual"),
    ({"seed": 4}, "seed"),
    ({"init": [np.zeros(shape) for shape in ((784, 64), (64,), (64, 10), (10,))]}, "individual.weights"),
]
ARGUMENTS += [({"algorithm": algorithm}, named) for algorithm, named in ALGORITHM]


@pytest.mark.parametrize(("arguments", "named"), ARGUMENTS, ids=str)
def test_each_argument_that_decides_a_number_is_recorded(digits, tmp_path, arguments, named):
    found = []
    for toolbox in (small(digits), small(digits, **arguments)):
        population = toolbox.population(n=8)
        found.append(settings_record(toolbox, population, seed=toolbox.seed, cxpb=1.0, mutpb=1.0))
    assert json.loads(json.dumps(found)) == found
    with pytest.raises(CheckpointError, match=r"other settings: [a-z_.]+ was "):
        check_settings(*found, tmp_path)
    differing = {name for name in found[0].keys() | found[1].keys() if found[0].get(name) != found[1].get(name)}
    assert any(name == named or name.startswith(f"{named}.") for name in differing)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (OneFifth(0.1, 0.01), OneFifth(0.1, 0.02)),
        (SelfAdaptive(0.1, 0.01), SelfAdaptive(0.1, 0.02)),
        (Annealed(0.1, 0.01, 9), Annealed(0.1, 0.02, 9)),
        (Annealed(0.1, 0.01, 9), Annealed(0.1, 0.01, 8)),
        (Annealed(0.1, 0.01, 9), Annealed(0.1, 0.01, 9, shape="linear")),
    ],
    ids=repr,
)
def test_each_number_of_an_adaptation_is_recorded(digits, tmp_path, one, other):
    records = []
    for sigma in (one, other):
        toolbox = small(digits, algorithm=GA(sigma=sigma))
        records.append(settings_record(toolbox, toolbox.population(n=4), seed=3, cxpb=1.0, mutpb=1.0))
    with pytest.raises(CheckpointError, match=r"mutate.sigma was "):
        check_settings(*records, tmp_path)


def test_each_argument_of_a_toolbox_is_recorded_or_decides_no_number():
    elsewhere = {"model", "data", "population", "generations"}  # of the record, or of none
    elsewhere |= {"container", "device"}  # the weights of its fitness; and where there is a GPU
    walked = {name for arguments, _ in ARGUMENTS for name in arguments}
    assert inspect.signature(make_toolbox).parameters.keys() == elsewhere | walked


@pytest.mark.parametrize("kind", [GA, ES])
def test_each_setting_of_an_algorithm_is_recorded(kind):
    changed = {
        field.name
        for algorithm, _ in ALGORITHM
        for field in dataclasses.fields(algorithm)
        if getattr(algorithm, field.name) != field.default
    }
    assert {field.name for field in dataclasses.fields(kind)} <= changed
