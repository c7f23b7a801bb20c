"""Each option of ``experiments/mnist.py`` has an effect under the default preset, or names what gives it one."""

import contextlib
import csv
import importlib
import json
import shutil

import numpy as np
import pytest
from conftest import MNIST, ROOT, made_digits, run_here

import deap_nn
from deap_nn.models.tensorflow import keras
from deap_nn.runs.generations import read_first

SIZES = ("--model", "mlp", "--population", 12, "--generations", 3)


@pytest.fixture(scope="module")
def place(tmp_path_factory, digits_file):
    """Make the files that options name, and a run without any more options."""
    folder = tmp_path_factory.mktemp("options")
    shutil.copy(ROOT / "tests" / "runs_before" / "mask" / "model.keras", folder / "own.keras")
    np.savez(folder / "other.npz", **made_digits(seed=5)._asdict())
    answer = run_here(MNIST, *SIZES, "--data", digits_file, "--output", folder / "base", cwd=folder)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("genetic algorithm (ga): four parents crossed by a random mask")
    return folder


def test_a_network_of_ones_own_has_the_former_values(monkeypatch, place):
    monkeypatch.syspath_prepend(MNIST.parent)
    options = importlib.import_module("mnist_options")
    found = {}
    for model in ("--model=mlp", f"--keras={place / 'own.keras'}"):
        for preset in ("ga", "es"):
            arguments = [model, "--population=40", f"--preset={preset}"]
            chosen = options.complete(options.make_parser().parse_args(arguments))
            names = ("centred", "stratified", "opposites", "spread", "parents")
            found[model[:7], preset] = [getattr(chosen, name) for name in names]
    assert found == {
        ("--model", "ga"): [True, True, 0.5, 0.5, 20],
        ("--model", "es"): [True, True, None, None, 20],
        ("--keras", "ga"): [False, False, 0.0, 1.0, 10],
        ("--keras", "es"): [False, False, None, None, 20],
    }


def rows(folder):
    with open(folder / "logbook.csv", newline="") as file:
        return list(csv.DictReader(file))


def status(folder):
    return json.loads((folder / "status.json").read_text())


NUMBERS = {
    "--population": [14],
    "--parents": [3],
    "--crossover": ["split"],
    "--pressure": [2],
    "--boost": [9],
    "--opposites": [0],
    "--spread": [1],
    "--stratified": [False],
    "--tournsize": [3],
    "--mates": [2],
    "--indpb": [0.2],
    "--batch-size": [16],
    "--batch-generations": [3],
    "--centred": [False],
    "--projected": [False],
    "--seed": [2],
    "--fitness": ["error"],
    "--preset": ["article"],
    "--sigma": [0.3],
    "--schedule": ["constant"],
    "--scale": ["widest"],
    "--mutation-indpb": [0.5],
    "--mutated-matrices": ["one"],
    "--validation-size": [10],
    "--precision": ["bfloat16"],
}
"""They change the numbers of ``logbook.csv``."""

REFUSED = {
    "--step": ([2], "--step: needs --preset es"),
    "--sampling": (["mirrored"], "--sampling: needs --preset es"),
    "--final-sigma": ([0.01], "--final-sigma: needs --schedule linear or geometric or one-fifth or self-adaptive"),
    "--schedule-generations": ([9], "--schedule-generations: needs --schedule linear or geometric"),
    "--workers": ([2], "--workers: needs --map processes, dask or ray\n"),
    "--scheduler": (["tcp://127.0.0.1:1"], "--scheduler: needs --map dask or ray\n"),
}
"""They need another option, which the message names."""

PASSED_ON = {
    "--group-size": ([3], {"group_size": 3}),
    "--cache-size": ([500], {"cache_size": 500 * 2**20}),
    "--keyframes": ([7], {"keyframe_seconds": 7.0}),
    "--keyframe-space": ([9], {"keyframe_bytes": 9 * 2**20}),
}
"""`evolve` is called with them, whose own tests show what they do."""


@pytest.mark.parametrize("option", NUMBERS)
def test_it_changes_the_numbers(place, here, digits_file, option):
    values = NUMBERS[option]
    answer = here(MNIST, *SIZES, "--data", digits_file, "--output", "run", "--no-progress", option, *values, cwd=place)
    folder = (place / "run").rename(place / option)
    assert answer.returncode == 0, answer.stderr
    assert rows(folder) != rows(place / "base")
    name = option.removeprefix("--").replace("-", "_")
    assert json.loads((folder / "config.json").read_text())[name] == values[0]


@pytest.mark.parametrize("option", REFUSED)
def test_it_names_the_option_that_it_needs(place, here, digits_file, option):
    values, said = REFUSED[option]
    answer = here(MNIST, *SIZES, "--data", digits_file, "--output", "refused", option, *values, cwd=place)
    assert answer.returncode == 2
    assert f"error: argument {said}" in answer.stderr
    assert not (place / "refused").exists()


@pytest.mark.parametrize("option", [*PASSED_ON, "--cache"])
def test_the_loop_is_called_with_it(place, here, digits_file, tmp_path, monkeypatch, option):
    values, expected = PASSED_ON.get(option, ([tmp_path], {"cache": tmp_path}))
    called, evolve = {}, deap_nn.evolve

    def noting(*arguments, **keywords):
        called.update(keywords)
        return evolve(*arguments, **keywords)

    monkeypatch.setattr(deap_nn, "evolve", noting)
    answer = here(MNIST, *SIZES, "--data", digits_file, "--output", tmp_path / "run", option, *values, cwd=place)
    assert answer.returncode == 0, answer.stderr
    assert {name: called[name] for name in expected} == expected
    assert rows(tmp_path / "run") == rows(place / "base")


def ends_early(folder, place):
    assert len(rows(folder)) < len(rows(place / "base"))


def ends_before_its_time(folder, place):
    assert 1 < len(rows(folder)) < 1 + 60


def has_other_weights(folder, place):
    with np.load(folder / "best.npz") as own, np.load(place / "base" / "best.npz") as base:
        assert own.files != base.files or any((own[name] != base[name]).any() for name in own.files)


def is_of_the_model(folder, place):
    assert keras.models.load_model(folder / "best.keras").count_params() == 7_850


def has_no_checkpoint(folder, place):
    assert not (folder / "checkpoint").exists()
    assert rows(folder) == rows(place / "base")


def has_no_vote(folder, place):
    assert "vote_test_error" in status(place / "base")
    assert "vote_test_error" not in status(folder)


def is_scored_on_training_digits(folder, place):
    assert "training" in (folder / "readouts.csv").read_text().splitlines()[0]


def has_a_longer_logbook(folder, place):
    assert len(rows(folder)) == 6


def is_of_other_data(folder, place):
    kept = [json.loads((run / "config.json").read_text())["data"]["sha256"] for run in (folder, place / "base")]
    assert kept[0] != kept[1]


EFFECTS = {
    "--generations": ([5], has_a_longer_logbook),
    "--model": (["lenet5"], has_other_weights),
    "--keras": (["own.keras"], is_of_the_model),
    "--init": (["base/best.npz"], has_other_weights),
    "--data": (["other.npz"], is_of_other_data),
    "--dataset": (["mnist5k"], is_of_other_data),
    "--training-size": ([50], is_scored_on_training_digits),
    "--ensemble": ([0], has_no_vote),
    "--target": ([1.0], ends_early),
    "--patience": ([1, "--generations", 60], ends_before_its_time),
    "--max-seconds": ([0], ends_early),
    "--breeding": (["plain"], has_no_checkpoint),
}
"""What a run's folder shows of them."""


@pytest.mark.parametrize("option", EFFECTS)
def test_the_folder_shows_it(place, here, digits_file, tmp_path, option):
    values, effect = EFFECTS[option]
    sizes = SIZES[2:] if option in ("--model", "--keras") else SIZES
    data = () if option in ("--data", "--dataset") else ("--data", digits_file)
    given = (MNIST, *sizes, *data, "--output", tmp_path / "run", "--no-progress")
    answer = here(*given, option, *values, cwd=place)
    assert answer.returncode == 0, answer.stderr
    effect(tmp_path / "run", place)


OF_THE_PROCESS = set()
"""Options of the process or the folder, each with a test of its own below."""


def walked(*options):
    OF_THE_PROCESS.update(options)
    return lambda test: test


@pytest.fixture
def command(digits_file):
    """A command that a test completes by the folder of the run."""
    return (MNIST, *SIZES, "--data", digits_file, "--no-progress", "--output")


@walked("--map")
def test_the_map_that_is_named_does_the_work(place, here, command, tmp_path, monkeypatch):
    """With the option that it takes; ``tests/maps`` starts the processes."""
    asked, done = [], []

    @contextlib.contextmanager
    def opened(name, **given):
        def counting(function, *iterables):
            found = list(map(function, *iterables))
            done.append(len(found))
            return found

        asked.append((name, given))
        yield counting

    monkeypatch.setattr("deap_nn.maps.options.open_map", opened)
    answer = here(*command, tmp_path / "run", "--map", "processes", "--workers", 2, cwd=place)
    assert answer.returncode == 0, answer.stderr
    assert asked == [("processes", {"workers": 2, "address": None})]
    assert sum(done) > 0
    assert rows(tmp_path / "run") == rows(place / "base")


@walked("--threads")
def test_tensorflow_has_the_threads(place, warm, command, tmp_path):
    answer = warm(*command, tmp_path / "run", "--threads", 2)
    assert answer.returncode == 0, answer.stderr
    threads = [read_first(run / "checkpoint").settings.get("threads") for run in (place / "base", tmp_path / "run")]
    assert threads == [None, 2]


@walked("--no-progress", "--output")
def test_nothing_is_shown_and_the_folder_is_the_one_that_is_named(warm, command, tmp_path):
    answer = warm(*command, "named")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")
    assert [path.name for path in tmp_path.iterdir()] == ["named"]


@walked("--device")
def test_a_device_that_is_not_there_is_refused(warm, command, tmp_path):
    answer = warm(*command, tmp_path / "gpu", "--device", "gpu")
    assert answer.returncode == 2
    assert answer.stderr == "mnist.py: error: argument --device: TensorFlow sees no GPU\n"
    assert not (tmp_path / "gpu").exists()


@walked("--resume")
def test_a_run_resumes(place, here, tmp_path):
    copy = shutil.copytree(place / "base", tmp_path / "base")
    answer = here(MNIST, "--resume", copy, "--generations", 4, cwd=place)
    assert answer.returncode == 0, answer.stderr
    assert rows(copy)[:4] == rows(place / "base")
    assert len(rows(copy)) == 5
    former = f"{status(place / 'base')['test_error']:.4g} at generation 3"
    assert f"\ntest error before the resume: {former}; compare validation errors\n" in answer.stdout
    assert here(MNIST, "--resume", copy, "--generations", 5, "--no-progress", cwd=place).returncode == 0
    both = status(copy)["tested_before"]
    assert list(both) == ["3", "4"]
    assert both["3"] == status(place / "base")["test_error"]
    again = "--resume", copy, "--generations", 9, "--target", 1, "--no-progress"
    assert here(MNIST, *again, cwd=place).returncode == 0  # stops where it had ended
    assert (status(copy)["generations"], status(copy)["tested_before"]) == (5, both)
    told = json.loads((copy / "status.json").read_text())
    (copy / "status.json").write_text(json.dumps(told | {"tested_before": {"3": "\x1b[2J", "4": 0.5}}))
    answer = here(MNIST, "--resume", copy, "--generations", 10, cwd=place)
    assert (answer.returncode, list(status(copy)["tested_before"])) == (0, ["4", "5"])  # numbers alone


@walked("--force")
def test_a_run_resumes_with_other_data(place, here, tmp_path):
    copy = shutil.copytree(place / "base", tmp_path / "base")
    command = (MNIST, "--resume", copy, "--generations", 4, "--data", "other.npz", "--no-progress")
    answer = here(*command, cwd=place)
    assert answer.returncode == 2
    assert "argument --resume: the data differ from the run's: --force resumes it with these" in answer.stderr
    assert len(rows(copy)) == 4
    answer = here(*command, "--force", cwd=place)
    assert answer.returncode == 0, answer.stderr
    assert len(rows(copy)) == 5


def parser_of(monkeypatch):
    monkeypatch.syspath_prepend(MNIST.parent)
    return importlib.import_module("mnist_options").make_parser()


@walked("--help")
def test_help_has_every_option(here, monkeypatch):
    answer = here(MNIST, "--help")
    assert answer.returncode == 0
    for action in parser_of(monkeypatch)._actions:
        assert action.option_strings[-1] in answer.stdout


def test_no_option_is_forgotten(monkeypatch):
    known = [action.option_strings[-1] for action in parser_of(monkeypatch)._actions]
    assert sorted(known) == sorted([*NUMBERS, *REFUSED, *PASSED_ON, *EFFECTS, *OF_THE_PROCESS, "--cache"])
