"""Each option of ``experiments/mnist.py``: its effect on a run, its limits, and the runs that it resumes."""

import importlib
import json
import os
import re
import shutil
import warnings

import numpy as np
import pytest
from conftest import MNIST, made_digits, quiet, run_here, status_of, well
from strangers import only_line

from deap_nn import ES, GA, Article
from deap_nn.algorithms.algorithm import ALGORITHMS
from deap_nn.algorithms.make_toolbox import algorithm_of, toolbox_of
from deap_nn.algorithms.resuming import settings_record
from deap_nn.core.errors import InputError
from deap_nn.core.logbooks import read_csv
from deap_nn.models.tensorflow import keras
from deap_nn.runs.checkpoint import read_first, records_in
from deap_nn.runs.files import read_config

SIZES = ("--model", "mlp", "--population", 12, "--generations", 3)


@pytest.fixture
def options(monkeypatch):
    monkeypatch.syspath_prepend(MNIST.parent)
    return importlib.import_module("mnist_options")


@pytest.fixture(scope="module")
def place(tmp_path_factory, digits_file):
    """Make the files that options name, and a run without any more options."""
    folder = tmp_path_factory.mktemp("options")
    layers = [keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(10)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)  # Keras on saving
        keras.Sequential(layers).save(folder / "own.keras")
    np.savez(folder / "other.npz", **made_digits(seed=5)._asdict())
    answer = well(run_here(MNIST, *SIZES, "--data", digits_file, "--output", folder / "base", cwd=folder))
    assert answer.stdout.startswith("ga: 12 networks of 50,890 weights; mask crossover of 4, ")
    return folder


@pytest.fixture
def copy(place, tmp_path):
    """A copy of that run, to be resumed."""
    return shutil.copytree(place / "base", tmp_path / "base")


@pytest.fixture
def resumed(here, place, copy):
    """Resume the copy with some options."""

    def call(*given):
        return here(MNIST, "--resume", copy, *given, cwd=place)

    return call


def rows(folder):
    with open(folder / "logbook.csv") as file:
        return file.read().splitlines()[1:]


def config(folder):
    return read_config(folder, "--output")


@pytest.mark.parametrize(
    ("given", "algorithm"),
    [
        ("--model=mlp", GA()),
        ("--model=mlp --preset=es --step=2 --parents=0.25", ES(step=2.0, parents=0.25)),
        ("--model=mlp --preset article --mates 3", Article(mates=3)),
        ("--model=mlp --projected=no", GA(projected=False)),
        ("--model=mlp --init=normal", GA(init="normal")),
        ("--model=mlp --population=12 --parents=12", GA(parents=12)),
        ("--model=mlp --init=scaled --preset=article", Article(init="scaled")),
        ("--model=mlp --sigma=0.2 --schedule=linear", GA(sigma=0.2, schedule="linear")),
    ],
)
def test_the_algorithm_of_the_options(options, given, algorithm):
    found = options.parse_arguments(given.split())
    assert found.algorithm == algorithm.resolved("mlp", 64)
    stored = json.loads(json.dumps(options.config_of(found)))
    assert algorithm_of(stored) == found.algorithm


def test_a_network_of_ones_own_and_given_weights(options, place):
    own = ["--keras", str(place / "own.keras")]
    assert options.parse_arguments(own).algorithm == GA().resolved(None, 64)
    assert options.parse_arguments([*own, "--preset=es"]).algorithm == ES().resolved(None, 64)
    given = ["--model=mlp", "--init", str(place / "base" / "best.npz")]
    found = options.parse_arguments(given)
    assert (found.algorithm.spread, found.init_weights) == (1.0, given[-1])
    with pytest.raises(InputError, match="argument --spread: is for founders that are drawn, not for those of --init"):
        options.parse_arguments([*given, "--spread=0.5"])


DECIDING = {
    "--model": ("lenet5", "model"),
    "--population": (14, "population"),
    "--parents": (3, "select.parents"),
    "--crossover": ("split", "mate"),
    "--pressure": (2, "select.pressure"),
    "--boost": (9, "select.boost"),
    "--opposites": (0, "select.opposites"),
    "--spread": (1, "individual.spread"),
    "--stratified": ("no", "stratified"),
    "--mates": (2, "mates"),
    "--batch-size": (16, "batch_size"),
    "--centred": ("no", "centred"),
    "--projected": ("no", "projected"),
    "--casewise": ("no", "case_step"),
    "--case-step": (1.0, "case_step"),
    "--seed": (2, "seed"),
    "--fitness": ("error", "fitness"),
    "--preset": ("article", "select.boost"),
    "--sigma": (0.3, "mutate.sigma"),
    "--schedule": ("constant", "mutate.sigma"),
    "--final-sigma": (0.01, "mutate.sigma", "--schedule", "linear"),
    "--scale": ("widest", "mutate.scale"),
    "--step": (2, "step", "--preset", "es"),
    "--features-every": (2, "resting", "--preset", "es"),
    "--precision": ("bfloat16", "precision"),
}
"""By option: its value, the setting of the checkpoint that it changes, and other options that it needs."""


@pytest.mark.parametrize("option", DECIDING)
def test_it_is_recorded_and_decides_a_setting_of_the_toolbox(options, digits, option):
    value, named, *needed = DECIDING[option]

    def settings(*given):
        found = options.parse_arguments(list(map(str, (*SIZES, *needed, *given))))
        stored = json.loads(json.dumps(options.config_of(found)))
        toolbox = toolbox_of(stored, digits)
        population = toolbox.population(n=found.population)
        return stored, settings_record(toolbox, population, seed=found.seed, cxpb=1.0, mutpb=1.0)

    stored, decided = settings(option, value)
    assert stored[option.removeprefix("--").replace("-", "_")] == {"no": False}.get(value, value)
    assert decided.get(named) != settings()[1].get(named)


def has_other_weights(folder, place):
    with np.load(folder / "best.npz") as own, np.load(place / "base" / "best.npz") as base:
        assert any((own[name] != base[name]).any() for name in own.files)


def is_of_the_model(folder, place):
    assert keras.models.load_model(folder / "best.keras").count_params() == 7_850


def has_a_longer_logbook(folder, place):
    assert len(rows(folder)) == 6


def is_of_other_data(folder, place):
    kept = [config(run)["data"]["sha256"] for run in (folder, place / "base")]
    assert kept[0] != kept[1]


def ended_early(folder, place):
    status = status_of(folder)
    assert status["state"] == "finished"
    assert status["stopped_by"].partition(":")[0] in ("target", "patience", "max-seconds")
    assert len(rows(folder)) == status["generations"] + 1 < 60


EFFECTS = {
    "--generations": ([5], has_a_longer_logbook),
    "--keras": (["own.keras"], is_of_the_model),
    "--init": (["base/best.npz"], has_other_weights),
    "--data": (["other.npz"], is_of_other_data),
    "--dataset": (["mnist5k"], is_of_other_data),
    "--target": ([1.0, "--generations", 60], ended_early),
    "--patience": ([1, "--generations", 60], ended_early),
    "--max-seconds": ([0, "--generations", 60], ended_early),
}
"""What a run's folder shows of them."""


@pytest.mark.parametrize("option", EFFECTS)
def test_the_folder_shows_it(place, here, digits_file, tmp_path, option):
    values, effect = EFFECTS[option]
    sizes = SIZES[2:] if option == "--keras" else SIZES
    data = () if option in ("--data", "--dataset") else ("--data", digits_file)
    given = (MNIST, *sizes, *data, "--output", tmp_path / "run", "--no-progress")
    well(here(*given, option, *values, cwd=place))
    effect(tmp_path / "run", place)


@pytest.fixture
def command(digits_file):
    """A command that a test completes by the folder of the run."""
    return (MNIST, *SIZES, "--data", digits_file, "--no-progress", "--output")


def test_the_map_that_is_named_does_the_work(place, here, command, tmp_path, noted_map):
    """With the option that it takes; ``tests/maps`` starts the processes."""
    well(here(*command, tmp_path / "run", "--map", "processes", "--workers", 2, cwd=place))
    assert noted_map[0][:2] == ("processes", {"workers": 2, "address": None})
    assert rows(tmp_path / "run") == rows(place / "base")


def test_nothing_is_shown_the_folder_is_that_which_is_named_and_tensorflow_has_the_threads(warm, command, tmp_path):
    answer = warm(*command, "named", "--threads", 2)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")
    assert [path.name for path in tmp_path.iterdir()] == ["named"]
    assert read_first(tmp_path / "named" / "checkpoint").settings["threads"] == 2


def test_a_device_that_is_not_there_is_refused(warm, command, tmp_path):
    answer = warm(*command, tmp_path / "gpu", "--device", "gpu")
    assert only_line(answer) == "mnist.py: error: argument --device: TensorFlow sees no GPU"
    assert not (tmp_path / "gpu").exists()


def test_a_run_resumes(place, copy, resumed):
    answer = well(resumed("--generations", 4))
    assert rows(copy)[:4] == rows(place / "base")
    assert len(rows(copy)) == 5
    former = f"{status_of(place / 'base')['test_error']:.4g} at generation 3"
    assert f"\ntest error before the resume: {former}; compare validation errors\n" in answer.stdout
    assert resumed("--generations", 5, "--no-progress").returncode == 0
    both = status_of(copy)["tested_before"]
    assert list(both) == ["3", "4"]
    assert both["3"] == status_of(place / "base")["test_error"]
    assert resumed("--generations", 9, "--target", 1, "--no-progress").returncode == 0  # stops where it had ended
    told = status_of(copy)
    assert (told["generations"], told["tested_before"]) == (5, both)
    (copy / "status.json").write_text(json.dumps(told | {"tested_before": {"3": "\x1b[2J", "4": 0.5}}))
    answer = resumed("--generations", 10)
    assert (answer.returncode, list(status_of(copy)["tested_before"])) == (0, ["4", "5"])  # numbers alone


def test_a_run_resumes_with_other_data_by_force(copy, resumed):
    given = ("--generations", 4, "--data", "other.npz", "--no-progress")
    answer = resumed(*given)
    assert answer.returncode == 2
    assert "argument --resume: the data differ from the run's: --force resumes it with these" in answer.stderr
    assert len(rows(copy)) == 4
    well(resumed(*given, "--force"))
    assert len(rows(copy)) == 5


@pytest.mark.parametrize(
    "given", [["--boost", 3], ["--batch-size=16"], ["--preset", "ga"], ["--init", "normal"], ["--output", "other"]]
)
def test_a_resume_refuses_what_the_run_keeps(copy, resumed, given):
    option = given[0].partition("=")[0]
    said = f"mnist.py: error: argument {option}: not with --resume: the run keeps its own"
    assert only_line(resumed("--generations", 4, *given)) == said
    assert len(rows(copy)) == 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"boost": ...}, "has no boost"),
        ({"preset": ...}, "has no preset"),
        ({"preset": "mask"}, "preset must be ga, es or article, got 'mask'"),
        ({"boost": "x"}, "boost must be a number from 0.001 to 1e+09, got 'x'"),
        ({"schedule": "constant", "final_sigma": 0.1}, "final_sigma needs a schedule that is linear, geometric, one"),
    ],
    ids=str,
)
def test_settings_that_are_damaged_end_a_resume_in_one_line(copy, resumed, change, said):
    changed = {name: value for name, value in (config(copy) | change).items() if value is not ...}
    (copy / "config.json").write_text(json.dumps(changed))
    line = only_line(resumed("--generations", 4))
    assert line.startswith(f"mnist.py: error: argument --resume: config.json: {said}")
    assert len(rows(copy)) == 4


@pytest.mark.parametrize(
    "given",
    [
        "--crossover units --scale none --schedule one-fifth --init normal",
        "--crossover average --mates 3 --opposites 0.3 --schedule self-adaptive --final-sigma 0.02",
        "--preset es --step 3 --parents 4",
    ],
)
def test_settings_are_kept_by_a_resume_and_a_replay(here, tmp_path, digits_file, given):
    whole, run = tmp_path / "whole", tmp_path / "run"
    arguments = [MNIST, *SIZES, *given.split(), "--data", digits_file, "--no-progress", "--generations", 6]
    assert here(*arguments, "--output", whole).returncode == 0
    shutil.copytree(whole, run)
    records = run / "checkpoint" / "generations"
    *_, end = (end for end, generation in records_in(records) if generation.number < 4)
    os.truncate(records, end)  # as if it had been killed after generation 3
    for name in ("status.json", "logbook.csv", "best.npz"):
        (run / name).unlink()
    quiet(here(MNIST, "--resume", run, "--no-progress"))
    for name in ("logbook.csv", "best.npz"):
        assert (whole / name).read_bytes() == (run / name).read_bytes()
    assert "differs" not in replayed(here, tmp_path, 6)


def replayed(here, folder, generation):
    """What is printed where the best member of the run in a folder is replayed."""
    output = folder / "member.npz"
    command = "-m", "deap_nn.replay", folder / "run", "--generation", generation, "--output", output
    return quiet(here(*command)).stdout


def test_a_model_and_weights_of_ones_own_are_kept_by_a_resume_and_a_replay(place, here, tmp_path):
    weights = np.full((784, 10), 0.01), np.zeros(10)
    np.savez(tmp_path / "first.npz", **dict(zip(("dense/kernel", "dense/bias"), weights, strict=True)))
    files = [shutil.copy(place / "own.keras", tmp_path / "mine.keras"), tmp_path / "first.npz"]
    given = ["--keras", files[0], "--init", files[1], "--data", place / "other.npz", *SIZES[2:], "--no-progress"]
    quiet(here(MNIST, *given, "--output", tmp_path / "run"))
    for file in files:
        (tmp_path / file).unlink()
    assert here(MNIST, "--resume", tmp_path / "run", "--generations", 5, "--no-progress").returncode == 0
    assert len(rows(tmp_path / "run")) == 6
    assert "differs" not in replayed(here, tmp_path, 5)


def test_the_schedule_runs_over_the_generations_first_requested(here, digits_file, tmp_path):
    sigmas = "--schedule", "geometric", "--sigma", 0.4, "--final-sigma", 0.1, "--generations", 4, "--no-progress"
    well(here(MNIST, *SIZES, "--data", digits_file, *sigmas, "--output", tmp_path / "run"))
    well(here(MNIST, "--resume", tmp_path / "run", "--generations", 6, "--no-progress"))
    found = read_csv(tmp_path / "run" / "logbook.csv")["sigma"]
    assert np.allclose([found[0], found[2], *found[4:]], [0.4, 0.2, 0.1, 0.1, 0.1])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("--preset=es", "children of one centre, geometric sigma, hidden and output move by each sample's loss"),
        ("--crossover=none --projected=no --boost=3", "no crossover, sigma follows the error, the best boosted 3 x"),
        (
            "--preset=es --schedule=constant --casewise=no",
            "constant sigma, hidden and output move by each child's rank",
        ),
    ],
)
def test_the_first_line_has_the_words_of_each_preset(options, digits, given, said):
    chosen = options.parse_arguments(["--model=mlp", *given.split()])
    toolbox = toolbox_of(options.config_of(chosen), digits)
    assert importlib.import_module("mnist").summary(chosen, toolbox).endswith(said)


def test_the_cnn_runs_on_mlxtends_digits_as_the_article_has_it(warm, tmp_path):
    given = ["--preset", "article", "--population", 4, "--generations", 1, "--output", tmp_path / "run"]
    answer = well(warm(MNIST, *given))
    first, second, *_ = answer.stdout.splitlines()
    networks = "4 networks of 3,274,634 weights; mask crossover of 2"
    assert first == f"article: {networks}, sigma follows the error, the best boosted 100 x"
    assert second.startswith("data: mnist5k, as mnist.npz could not be downloaded: ")
    stored = config(tmp_path / "run")
    assert (stored["fitness"], stored["init"], stored["parents"]) == ("error", "normal", 1.0)
    with np.load(tmp_path / "run" / "best.npz") as weights:
        assert sum(weights[name].size for name in weights.files) == 3_274_634


@pytest.mark.parametrize("preset", ALGORITHMS)
def test_help_has_each_option_of_the_algorithm_with_its_default(here, options, preset):
    answer = here(MNIST, "--help", "--preset", preset)
    assert answer.returncode == 0
    known = [action.option_strings[-1] for action in options.make_parser(preset)._actions]
    assert all(re.search(rf"{option}\s", answer.stdout) for option in known)
    text = " ".join(answer.stdout.split())
    assert "None" not in text
    assert ("--step" in known, "--boost" in known) == ((True, False) if preset == "es" else (False, True))
    sigma = {"ga": "first sigma of mutation [0.128]", "es": "first sigma of mutation [0.4]"}
    assert sigma.get(preset, "first sigma of mutation [0.1]") in text
    assert "members of the population [100]" in text
    examples = [line.split()[2] for line in answer.stdout.splitlines() if MNIST.name in line and "python -m" in line]
    assert examples == ["deap_nn.launch"] * 3 + ["scoop"]


def test_no_option_is_forgotten(options):
    known = {action.option_strings[-1] for name in ALGORITHMS for action in options.make_parser(name)._actions}
    of_the_process = "--map --workers --scheduler --threads --no-progress --output --device --resume --force --help"
    assert known == {*DECIDING, *EFFECTS, *of_the_process.split()}
