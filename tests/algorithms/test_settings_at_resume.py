"""The settings that a checkpoint records: a run resumes only with the same ones; others may change."""

import contextlib
import dataclasses
import inspect
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from conftest import well
from own_callbacks import Count
from strangers import contents, only_line, replayed, resume
from wirings import LAYOUT, evolve_toolbox, result, wired

from deap_nn import (
    ES,
    GA,
    Annealed,
    Constant,
    ErrorScaled,
    Individual,
    KerasProblem,
    Layout,
    NoiseTable,
    OneFifth,
    RunDirectory,
    SelfAdaptive,
    cxScanning,
    initNormal,
    make_toolbox,
    mutGaussianAdaptive,
    recombination_weights,
    replay,
    selRankBoosted,
)
from deap_nn.algorithms.resuming import check_settings, settings_record
from deap_nn.breeding.founders import initPopulation
from deap_nn.callbacks.early_stopping import EarlyStopping
from deap_nn.callbacks.progress import ProgressBar
from deap_nn.data.loading import split_validation
from deap_nn.runs.checkpoint import CheckpointError, read_generations
from deap_nn.runs.files import read_arrays


def small(digits, **arguments):
    return make_toolbox("mlp", digits, **({"seed": 3, "batch_size": 16} | arguments))


def record_of(toolbox, *, n=4):
    """What a checkpoint of a run of the toolbox records."""
    return settings_record(toolbox, toolbox.population(n=n), seed=getattr(toolbox, "seed", 1), cxpb=1.0, mutpb=1.0)


ALGORITHM = [
    (GA(casewise=False), "case_step"),
    (GA(case_step=3.0), "case_step"),
    (ES(case_step=3.0), "case_step"),
    (ES(casewise=False), "case_step"),
    (GA(centred=False), "centred"),
    (GA(schedule="linear", final_sigma=0.02), "mutate.sigma"),
    (GA(sigma=Constant(0.1)), "mutate.sigma"),
    (GA(sigma=ErrorScaled(0.11)), "mutate.sigma"),
    (GA(fitness="error"), "fitness"),
    (GA(scale="widest"), "mutate.scale"),
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
    (ES(features_every=2), "resting"),
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
    found = [record_of(toolbox, n=8) for toolbox in (small(digits), small(digits, **arguments))]
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
    records = [record_of(small(digits, algorithm=GA(sigma=sigma))) for sigma in (one, other)]
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


def penalty(individual, factor=1.0):
    return (factor * float(np.abs(individual.flat).sum()),)


def mutation(**noise):
    return partial(mutGaussianAdaptive, sigma=ErrorScaled(0.3), **noise)


WIRED = [
    ({"mutate": mutation(noise=NoiseTable(2, LAYOUT.size))}, r"mutate.noise was \[1, \d+\] .* and is \[2"),
    (
        {"mutate": mutation(noise=np.ones(1 << 20, np.float32))},
        r"mutate.noise was \[1, .* and is '[0-9a-f]{16}",
    ),
    ({"individual": partial(initNormal, Individual, LAYOUT, noise=NoiseTable(1, 9))}, "individual.noise was None"),
    ({"individual": partial(initNormal, Individual, Layout(("a",), ((63,),)))}, "is of another run"),
    ({"evaluate": penalty}, "evaluate was 'sum_of_squares'"),
    ({"mates": 3, "mate": cxScanning}, "mate was 'cxMask'"),
    ({"select": partial(selRankBoosted, parents=5)}, "select.parents was 6"),
    ({"select": partial(wired().select, parents=5)}, "select.parents was 6"),
    ({"step": 2.5, "recombination_weights": partial(recombination_weights, parents=3)}, "mate was 'cxMask'"),
    ({"population": "another seed"}, "is of another run"),
]


@pytest.mark.parametrize(
    ("registered", "named"), WIRED, ids=lambda value: ",".join(value) if type(value) is dict else ""
)
def test_a_toolbox_wired_by_hand_is_held_to_its_settings(tmp_path, registered, named):
    evolve_toolbox(wired(), n=8, ngen=1, checkpoint=tmp_path)
    before = (tmp_path / "generations").read_bytes()
    other = wired(**{name: value for name, value in registered.items() if name != "population"})
    if "population" in registered:
        other.register("population", initPopulation, other, 2)
    with pytest.raises(CheckpointError, match=named):
        evolve_toolbox(other, n=8, ngen=2, checkpoint=tmp_path)
    assert (tmp_path / "generations").read_bytes() == before


def test_mini_batches_of_another_seed_are_refused(mlp, tmp_path):
    records = [record_of(wired(evaluate=mlp(seed=seed).evaluate.func)) for seed in (1, 2)]
    with pytest.raises(CheckpointError, match="seed_of_batches was 1"):
        check_settings(*records, tmp_path)


def test_a_model_counts_by_what_it_computes_and_not_by_keras_numbers(tmp_path):
    import keras

    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(40, 5)), rng.integers(0, 3, 40)

    def record(activation):
        model = keras.Sequential(
            [keras.Input((5,)), keras.layers.Dense(4, activation=activation), keras.layers.Dense(3)]
        )
        return record_of(make_toolbox(KerasProblem(model, x, y), seed=1))

    check_settings(record("relu"), record("relu"), tmp_path)
    with pytest.raises(CheckpointError, match="model was"):
        check_settings(record("relu"), record("tanh"), tmp_path)


def test_sample_weights_count(tmp_path):
    import keras

    x, weights = np.random.default_rng(1).normal(size=(40, 5)), np.arange(40)
    layers = [keras.Input((5,)), keras.layers.Dense(2, name="y")]

    def record(**given):
        problem = KerasProblem(keras.Sequential(layers), x, x[:, :2], loss="mae", **given)
        return record_of(make_toolbox(problem, seed=1))

    check_settings(record(sample_weight=weights), record(sample_weight=list(weights)), tmp_path)
    for given in ({}, {"sample_weight": weights[::-1]}, {"sample_weight": np.ones(40)}):
        with pytest.raises(CheckpointError, match="data was"):
            check_settings(record(sample_weight=weights), record(**given), tmp_path)


@pytest.mark.parametrize(
    ("one", "other", "named"),
    [
        ({"factor": 0.1}, {"factor": 0.5}, "evaluate.factor was 0.1 when the run began, and is 0.5"),
        ({"factor": np.float64(2)}, {"factor": 2.0}, None),
        ({"factor": float("nan")}, {"factor": float("nan")}, None),
        ({"factor": np.array([1, "a", None], dtype=object)}, {"factor": np.array([1, "a", None], dtype=object)}, None),
    ],
    ids=["argument", "numpy", "nan", "objects"],
)
def test_arguments_of_ones_own_are_compared_and_never_crash(digits, tmp_path, one, other, named):
    toolbox, records = small(digits), []
    for arguments in (one, other):
        toolbox.register("evaluate", penalty, **arguments)
        records.append(record_of(toolbox))
    stored = json.loads(json.dumps(records[0]))
    with contextlib.nullcontext() if named is None else pytest.raises(CheckpointError, match=named):
        check_settings(stored, records[1], tmp_path)


def change(folder, **settings):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | settings))


CHANGED = [
    ({"batch_size": 32}, "batch_size was 64 when the run began, and is 32"),
    ({"crossover": "biased", "mates": 2}, "mate was 'cxScanning' when the run began, and is 'cxBiased'"),
    ({"population": 22}, "population was 20 when the run began, and is 22"),
]


@pytest.mark.parametrize(("settings", "named"), CHANGED, ids=lambda v: ",".join(v) if isinstance(v, dict) else None)
def test_a_changed_setting_ends_resume_and_replay_in_one_line(folder, digits_file, settings, named):
    change(folder, **settings)
    before = contents(folder)
    for command in (resume, replayed):
        assert named in only_line(command(folder, digits_file))
    assert contents(folder) == before
    assert not (folder.parent / "out.npz").exists()


def test_a_replay_that_differs_from_the_log_ends_with_status_1(folder, digits_file, monkeypatch, capsys):
    records = read_generations(folder / "checkpoint")
    records[2] = dataclasses.replace(records[2], wvalues=records[2].wvalues - 0.5)
    monkeypatch.setattr(replay, "read_generations", lambda path: records)
    options = ["--generation", "2", "--output", str(folder / "out.npz"), "--data", str(digits_file)]
    monkeypatch.setattr("sys.argv", ["replay.py", str(folder), *options])
    assert replay.main() == 1
    assert ", which differs from the logged " in capsys.readouterr().out
    assert read_arrays(folder / "out.npz").keys() == read_arrays(folder / "best.npz").keys()


def test_what_does_not_decide_a_number_may_change(folder, digits_file):
    whole = shutil.copytree(folder, folder.parent / "whole")
    changed = {"workers": 9, "patience": 90, "max_seconds": 1e6, "output": "elsewhere"}
    change(folder, **changed, data={**json.loads((folder / "config.json").read_text())["data"], "path": "elsewhere"})
    for place in (folder, whole):
        well(resume(place, digits_file))
    for name in ("logbook.csv", "readouts.csv", "best.npz"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name


def test_other_data_are_a_difference_unless_forced(digits, tmp_path):
    from conftest import made_digits

    evolve_toolbox(small(digits), n=8, ngen=1, checkpoint=tmp_path)
    others = split_validation(made_digits(seed=5), name="others")
    other = small(others)
    with pytest.raises(CheckpointError, match="data was"):
        evolve_toolbox(other, n=8, ngen=2, checkpoint=tmp_path)
    evolve_toolbox(other, n=8, ngen=2, checkpoint=tmp_path, force=True)


GENERATIONS = 8
BELOW = 0.0
"""A target that no member reaches: the sum of the squares of the weights."""


@pytest.fixture(scope="module")
def whole():
    """The result of a run that was never broken."""
    return result(wired(), ngen=GENERATIONS)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"target": 1e9}, {"target": None, "patience": 50}),
        ({"target": BELOW}, {"patience": 50}),
        ({"patience": 1}, {"patience": 50}),
        ({"max_seconds": 0.0}, {"target": BELOW}),
    ],
    ids=str,
)
def test_what_stops_a_run(tmp_path, whole, before, after):
    def run(*callbacks):
        return result(wired(), ngen=GENERATIONS, checkpoint=tmp_path, callbacks=callbacks)

    stopped = len(run(EarlyStopping(**before))[1]) - 1
    assert (stopped == GENERATIONS) == (before == {"target": BELOW})
    assert run(EarlyStopping(**after)) == whole
    assert run() == whole  # and no such callback at all


@pytest.mark.parametrize("broken_at", [0, 3])
@pytest.mark.parametrize(
    "changed",
    [
        {"group_size": 3},
        {"cache": "cache", "cache_size": 50 << 20},
        {"keyframe_weights": 0.0},
        {"keyframe_weights": None, "keyframe_bytes": 0},
        {"map": "threads"},
        {"callbacks": "some"},
        {"verbose": True},
    ],
    ids=str,
)
def test_how_a_run_is_computed_and_reported(tmp_path, whole, changed, broken_at):
    (tmp_path / "cache").mkdir()
    kept, again = tmp_path / "run" / "checkpoint", wired()
    options = {name: value for name, value in changed.items() if name != "map"}
    if "cache" in changed:
        options["cache"] = tmp_path / "cache"
    with RunDirectory(tmp_path / "run") as directory, ThreadPoolExecutor(2) as threads:
        if "callbacks" in changed:
            options["callbacks"] = [Count(), ProgressBar(), directory]
        if "map" in changed:
            again.register("map", partial(threads.map))
        evolve_toolbox(wired(), ngen=broken_at, checkpoint=kept, callbacks=[directory])
        directory.close("interrupted")
        if "callbacks" in changed:
            options["callbacks"] = [ProgressBar()]
        found = result(again, ngen=GENERATIONS, checkpoint=kept, **options)
    assert found == whole
