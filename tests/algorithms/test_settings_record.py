"""What a checkpoint records of a made toolbox: all that decides a run's numbers, by the names of its version."""

import inspect
import json

import numpy as np
import pytest
from small_toolbox import small
from wirings import wired

from deap_nn import GA, Annealed, Constant, ErrorScaled, OneFifth, SelfAdaptive, evolve, make_toolbox
from deap_nn.algorithms.algorithm import ALGORITHMS
from deap_nn.algorithms.settings_record import check_settings, settings_record
from deap_nn.data.image_files import RawArrays
from deap_nn.data.loading import split_validation
from deap_nn.runs.generations import CheckpointError, read_generations

ARGUMENTS = [
    ({"batch_size": 17}, "batch_size"),
    ({"batch_generations": 2}, "batch_generations"),
    ({"centred": False}, "centred"),
    ({"sigma": Constant(0.1)}, "mutate.sigma"),
    ({"sigma": ErrorScaled(0.11)}, "mutate.sigma"),
    ({"fitness": "error"}, "fitness"),
    ({"scale": "widest"}, "mutate.scale"),
    ({"scale": None}, "mutate.scale"),
    ({"scale": "fan_in"}, "mutate.scale"),
    ({"mutation_indpb": 0.5}, "mutate.indpb"),
    ({"mutated_matrices": "one"}, "mutate.matrices"),
    ({"bounds": (-1, 1)}, "individual.bounds"),
    ({"pressure": 1.6}, "select.pressure"),
    ({"boost": 3.0}, "select.boost"),
    ({"boosted": 2}, "select.boosted"),
    ({"opposites": 0.5}, "select.in_loops"),
    ({"opposites": 0.0}, "select.opposites"),
    ({"spread": 1.0}, "individual.spread"),
    ({"stratified": False}, "stratified"),
    ({"parents": 0.25}, "select"),
    ({"mates": 3}, "mates"),
    ({"mates": 2, "indpb": 0.3}, "mate"),
    ({"crossover": "split"}, "mate"),
    ({"tournsize": 4}, "select"),
    ({"validation_size": 40}, "validation_size"),
    ({"precision": "bfloat16"}, "precision"),
    ({"init": "normal"}, "individual"),
    ({"seed": 4}, "seed"),
    ({"preset": "es", "step": 2.0}, "step"),
    ({"preset": "es"}, "mutate.sigma"),
    ({"preset": "es", "parents": 2}, "weigh.parents"),
    ({"preset": "es", "sampling": "mirrored"}, "select"),
    ({"projected": False, "sigma": ErrorScaled(0.128), "scale": "fixed"}, "projected"),
    ({"init": [np.zeros(shape) for shape in ((784, 64), (64,), (64, 10), (10,))]}, "individual.weights"),
    ({"sigma": OneFifth(0.1, 0.01)}, "mutate.sigma"),
    ({"sigma": SelfAdaptive(0.1, 0.01)}, "mutate.sigma"),
    ({"sigma": Annealed(0.1, 0.01, 9)}, "mutate.sigma"),
]


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


def test_a_record_of_the_first_version_is_compared_without_noise(tmp_path):
    toolbox = wired()
    record = settings_record(toolbox, toolbox.population(n=8), seed=1, cxpb=1.0, mutpb=1.0)
    first = {name: value for name, value in record.items() if not name.endswith(".noise")} | {"version": 1}
    assert first.keys() != record.keys()
    check_settings(first, record, tmp_path)
    with pytest.raises(CheckpointError, match="mate was 'cxBiased'"):
        check_settings(first | {"mate": "cxBiased"}, record, tmp_path)
    for version in (0, 3, "2", [2], None):
        with pytest.warns(UserWarning, match="does not hold the run's settings: they are not compared"):
            check_settings(record | {"version": version, "mate": "x"}, record, tmp_path)


def test_a_setting_at_its_neutral_value_is_left_out(digits):
    toolbox = small(digits)
    record = settings_record(toolbox, toolbox.population(n=8), seed=3, cxpb=1.0, mutpb=1.0)
    assert not {"cxpb", "precision", "mutate.indpb", "select.boosted", "individual.bounds"} & record.keys()
    assert record["version"] == 2


COMMON = {
    "version": 2,
    "seed": 3,
    "population": 8,
    "fitness_weights": [-1.0],
    "model": "mlp",
    "data": "63efe971f11dccf4",
    "batch_size": 16,
    "validation_size": 12,
    "individual.noise": "of the seed",
    "mutate": "mutGaussianAdaptive",
    "mutate.noise": "of the seed",
}
SCALED = {"individual": "initScaled", "fitness": "cross_entropy"}
SCALED |= {"centred": True, "stratified": True, "projected": True}

LITERAL = {
    "ga": COMMON
    | SCALED
    | {
        "mate": "cxScanning",
        "mates": 4,
        "mutate.scale": [0.0625] * 4,
        "mutate.sigma": "ErrorScaled(0.128, fitness='cross_entropy')",
    }
    | {"select": "selRankBoosted", "select.boost": 2.0, "select.fewest": 10, "select.parents": 0.5}
    | {"select.pressure": 1.5, "select.opposites": 0.5, "select.in_loops": False}
    | {"individual.spread": 0.5},
    "es": COMMON
    | SCALED
    | {"mutate.scale": [0.050507627227610534] * 4, "mutate.sigma": "Annealed(0.4, 0.1)", "step": 15.491933384829668}
    | {"weigh": "recombination_weights", "weigh.parents": 0.5},
    "article": COMMON
    | {"individual": "initNormal", "fitness": "error", "mate": "cxMask", "mate.indpb": 0.5}
    | {"mutate.sigma": "ErrorScaled(0.1, fitness='error')", "select": "selRankBoosted", "select.boost": 100.0}
    | {"select.parents": 1.0, "select.pressure": 2.0},
}
"""The records as they lie on disks: another name, or another form of a value, needs another version."""


@pytest.mark.parametrize("preset", LITERAL)
def test_the_names_of_a_record_are_those_of_its_version(tmp_path, preset):
    labels = np.arange(80, dtype=np.uint8) % 10
    images = np.repeat(20 * labels, 784).reshape(80, 28, 28)
    dataset = split_validation(RawArrays(images[:60], labels[:60], images[60:], labels[60:]), name="made")
    toolbox = make_toolbox("mlp", dataset, ALGORITHMS[preset](), seed=3, batch_size=16)
    evolve(toolbox.population(n=8), toolbox, 5, checkpoint=tmp_path)
    kept = read_generations(tmp_path)[0].settings
    assert kept == LITERAL[preset]
    assert json.dumps(kept) == json.dumps(
        {name: LITERAL[preset][name] for name in ["version", *sorted(kept.keys() - {"version"})]}
    )


def test_each_argument_of_a_toolbox_is_recorded_or_decides_no_number():
    elsewhere = {"model", "data", "population", "generations", "threads"}  # of the record, of none, of its environment
    elsewhere |= {"container", "device"}  # the weights of its fitness; and where there is a GPU
    walked = {name for arguments, _ in ARGUMENTS for name in arguments}
    assert inspect.signature(make_toolbox).parameters.keys() == elsewhere | walked
