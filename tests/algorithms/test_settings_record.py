"""A checkpoint holds what decides a run's numbers: with another setting no run goes on, and none is replayed."""

import dataclasses
import inspect
import json
import shutil
from functools import partial

import numpy as np
import pytest
from conftest import MNIST, run_here
from deap import tools
from wirings import LAYOUT, wired

from deap_nn import (
    Annealed,
    Checkpoint,
    Constant,
    ErrorScaled,
    Individual,
    KerasProblem,
    Layout,
    NoiseTable,
    OneFifth,
    RunDirectory,
    SelfAdaptive,
    cxMean,
    cxScanning,
    evolve,
    initNormal,
    make_toolbox,
    mutGaussianAdaptive,
    recombination_weights,
    replay,
    selLogRank,
    selRankBoosted,
)
from deap_nn.algorithms.settings_record import check_settings, settings_record
from deap_nn.breeding.founders import initPopulation
from deap_nn.data.image_files import RawArrays
from deap_nn.data.loading import split_validation
from deap_nn.runs.generations import CheckpointError, read_generations
from deap_nn.runs.reading import read_arrays


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def change(folder, **settings):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | settings))


CHANGED = [
    ({"batch_size": 32}, "batch_size was 64 when the run began, and is 32"),
    ({"sigma": 0.2}, "mutate.sigma was"),
    ({"schedule": "constant"}, "mutate.sigma was"),
    ({"fitness": "error"}, "fitness was 'cross_entropy' when the run began, and is 'error'"),
    ({"scale": "widest"}, "mutate.scale was"),
    ({"crossover": "biased", "mates": 2}, "mate was 'cxScanning' when the run began, and is 'cxBiased'"),
    ({"parents": 11}, "select.parents was 10 when the run began, and is 11"),
    ({"population": 22}, "population was 20 when the run began, and is 22"),
]


@pytest.mark.parametrize(("settings", "named"), CHANGED, ids=lambda v: ",".join(v) if isinstance(v, dict) else None)
def test_a_changed_setting_ends_resume_and_replay_in_one_line(folder, digits_file, settings, named):
    change(folder, **settings)
    before = contents(folder)
    resumed = run_here(
        MNIST, "--resume", folder, "--generations", 9, "--no-progress", "--data", digits_file, cwd=folder.parent
    )
    out = folder.parent / "out.npz"
    replayed = run_here(
        replay.__file__, folder, "--generation", 2, "--output", out, "--data", digits_file, cwd=folder.parent
    )
    for answer in (resumed, replayed):
        assert answer.returncode == 2, answer.stderr
        (line,) = answer.stderr.splitlines()
        assert named in line
    assert contents(folder) == before
    assert not out.exists()


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
    changed = {"keyframes": 1.5, "timeout": 50.0, "group_size": 3, "voters": 2, "workers": 9, "target": 1e-9}
    changed |= {"patience": 90, "max_seconds": 1e6, "cache_size": 500, "output": "elsewhere", "keyframe_space": 0}
    change(folder, **changed, data={**json.loads((folder / "config.json").read_text())["data"], "path": "elsewhere"})
    for place in (folder, whole):
        options = ["--generations", 9, "--no-progress", "--data", digits_file]
        answer = run_here(MNIST, "--resume", place, *options, cwd=folder.parent)
        assert answer.returncode == 0, answer.stderr
    for name in ("logbook.csv", "readouts.csv", "best.npz"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name


def small(digits, **arguments):
    return make_toolbox("mlp", digits, **({"seed": 3, "batch_size": 16} | arguments))


def penalty(individual, factor=1.0):
    return (factor * float(np.abs(individual.flat).sum()),)


def mutation(**noise):
    return partial(mutGaussianAdaptive, sigma=ErrorScaled(0.3), **noise)


def penalised(evaluate, individual):
    return (evaluate(individual)[0] + 1.0,)


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
    ({"elites": 1}, "elites"),
    ({"elites": 1, "elite_batches": 3}, "elite_batches"),
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
        toolbox = small(digits, sigma=sigma)
        records.append(settings_record(toolbox, toolbox.population(n=4), seed=3, cxpb=1.0, mutpb=1.0))
    with pytest.raises(CheckpointError, match=r"mutate.sigma was "):
        check_settings(*records, tmp_path)


WIRED = [
    ({"mutate": mutation(noise=NoiseTable(2, LAYOUT.size))}, r"mutate.noise was 'of the seed' .* and is {'seed': 2"),
    ({"mutate": mutation(noise=NoiseTable(1, 1 << 20))}, r"mutate.noise was 'of the seed' .* 'size': 4194304"),
    (
        {"mutate": mutation(noise=np.ones(1 << 20, np.float32))},
        r"mutate.noise was 'of the seed' .* and is '[0-9a-f]{16}",
    ),
    ({"mutate": mutation()}, r"mutate.noise was 'of the seed' .* and is None"),
    ({"individual": partial(initNormal, Individual, LAYOUT, noise=NoiseTable(1, 9))}, "individual.noise was None"),
    ({"individual": partial(initNormal, Individual, LAYOUT, sigma=0.5)}, "individual.sigma was None"),
    ({"individual": partial(initNormal, Individual, Layout(("a",), ((63,),)))}, "is of another run"),
    ({"evaluate": penalty}, "evaluate was 'sum_of_squares'"),
    ({"mates": 3, "mate": cxScanning}, "mate was 'cxMask'"),
    ({"elites": 1}, "elites was 0"),
    ({"elites": 1, "elite_batches": 2}, "elite_batches was 1"),
    ({"select": partial(selRankBoosted, parents=5)}, "select.parents was 6"),
    ({"step": 2.0, "mate": cxMean}, "mate was 'cxMask'"),
    (
        {"step": 2.0, "mate": cxMean, "select": selLogRank, "recombination_weights": recombination_weights},
        "mate was 'cxMask'",
    ),
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


@pytest.mark.parametrize("weights", [None, partial(recombination_weights, parents=3)], ids=["all", "three"])
def test_the_weights_by_rank_are_a_setting(tmp_path, weights):
    around = {"mate": cxMean, "select": selLogRank, "step": 2.5, "recombination_weights": recombination_weights}
    toolbox = wired(**around)
    evolve(toolbox.population(n=8), toolbox, 1, seed=1, checkpoint=tmp_path)
    changed = {"recombination_weights": weights} if weights else {"select": partial(selLogRank, parents=3)}
    other = wired(**around | changed)
    with pytest.raises(CheckpointError, match=r"(weigh|select).parents was None when the run began, and is 3"):
        evolve(other.population(n=8), other, 2, seed=1, checkpoint=tmp_path)


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
    assert not {"cxpb", "elites", "precision", "mutate.indpb", "select.boosted", "individual.bounds"} & record.keys()
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
    toolbox = make_toolbox("mlp", dataset, seed=3, preset=preset, batch_size=16)
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


def test_the_number_of_generations_is_no_setting(digits, tmp_path):
    toolbox = small(digits, sigma=Annealed(0.1, 0.01))
    evolve(toolbox.population(n=8), toolbox, 2, checkpoint=tmp_path)
    again = small(digits, sigma=Annealed(0.1, 0.01))
    _, logbook = evolve(again.population(n=8), again, 4, checkpoint=tmp_path)
    assert logbook.select("gen") == [0, 1, 2, 3, 4]


def test_a_script_is_held_to_its_settings_too(digits, tmp_path):
    toolbox = small(digits)
    evolve(toolbox.population(n=8), toolbox, 1, checkpoint=tmp_path)
    other = small(digits)
    other.register("select", tools.selTournament, tournsize=3)
    with pytest.raises(CheckpointError, match="select was 'selRankBoosted' when the run began, and is 'selTournament'"):
        evolve(other.population(n=8), other, 2, checkpoint=tmp_path)
    wrapped = small(digits)
    wrapped.register("evaluate", penalised, wrapped.evaluate)
    with pytest.raises(CheckpointError, match="evaluate was None when the run began, and is 'penalised'"):
        evolve(wrapped.population(n=8), wrapped, 2, checkpoint=tmp_path)


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
    assert record(outputs_first)["objectives"] == [
        "function outputs_first None outputs_first"
    ]  # as it was before names counted
    assert record(targets_first)["objectives"] == ["function targets_first None targets_first (y_true, y_pred)"]


def test_other_data_are_a_difference_unless_forced(digits, tmp_path):
    from conftest import made_digits

    toolbox = small(digits)
    evolve(toolbox.population(n=8), toolbox, 1, checkpoint=tmp_path)
    others = split_validation(made_digits(seed=5), name="others")
    other = small(others)
    with pytest.raises(CheckpointError, match="data was"):
        evolve(other.population(n=8), other, 2, checkpoint=tmp_path)
    with Checkpoint(tmp_path, force=True) as checkpoint:
        evolve(other.population(n=8), other, 2, checkpoint=checkpoint)


def test_a_checkpoint_without_settings_resumes_with_one_warning(digits, tmp_path, monkeypatch):
    toolbox = small(digits)
    with monkeypatch.context() as patch:
        patch.setattr("deap_nn.algorithms.resuming._settings_of", lambda evolution: None)
        evolve(toolbox.population(n=8), toolbox, 1, checkpoint=tmp_path / "checkpoint")
    assert b'"settings"' not in (tmp_path / "checkpoint" / "generations").read_bytes()
    other = small(digits, seed=4)
    ignored = pytest.warns(UserWarning, match="are not compared")
    with ignored, pytest.raises(CheckpointError, match="is of another run: seed, cxpb, mutpb"):
        evolve(other.population(n=8), other, 2, checkpoint=tmp_path / "checkpoint")
    again = small(digits)
    with pytest.warns(UserWarning, match="does not hold the run's settings") as warned:
        evolve(again.population(n=8), again, 2, checkpoint=tmp_path / "checkpoint")
    assert len(warned) == 1


def test_a_refused_run_leaves_its_folder_as_it_was(digits, tmp_path):
    toolbox = small(digits)
    with RunDirectory(tmp_path / "run") as directory:
        kept = tmp_path / "run" / "checkpoint"
        evolve(toolbox.population(n=8), toolbox, 1, checkpoint=kept, callbacks=[directory])
    before = contents(tmp_path / "run")
    other = small(digits, boost=5.0)
    with pytest.raises(CheckpointError), RunDirectory(tmp_path / "run", again=True) as directory:
        evolve(other.population(n=8), other, 2, checkpoint=kept, callbacks=[directory])
    assert contents(tmp_path / "run") == before


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
    toolbox = small(digits, **({"sigma": arguments.pop("sigma")} if "sigma" in arguments else {}))
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
