"""Folders of runs, and pickles, that were made before the presets had their present names.

They were made by the commit 588466b: ``experiments/mnist.py --dataset mnist5k --keras tiny.keras --preset NAME
--population 8 --generations 4 --batch-size 16 --validation-size 100 --seed 3 --voters 0``, pictures and reports left
out, for the presets that were called default, mask and article. The folder ga was made likewise later, by the first
commit whose checkpoints have the format 4 and the version 2 of the settings, and the folder opposites, with ``--preset
ga --opposites 0.5 --parents 4``, by the last one whose checkpoints have the format 5 (b8811fb).
"""

import contextlib
import json
import shutil
from importlib.metadata import version

import numpy as np
import pytest
from conftest import MNIST, ROOT
from deap_nn.algorithms.toolbox.from_settings import toolbox_of

from deap_nn import evolve, load_dataset, make_toolbox, read_run
from deap_nn.algorithms.algorithm import ALGORITHMS
from deap_nn.core.logbooks import read_csv
from deap_nn.runs.generations import read_first

BEFORE = ROOT / "tests" / "runs_before"
PRESETS = ("default", "mask", "article", "ga")
FOLDERS = (*PRESETS, "opposites")


@pytest.fixture(params=FOLDERS)
def folder(request, tmp_path):
    """Copy a run: who resumes it changes it."""
    return shutil.copytree(BEFORE / request.param, tmp_path / request.param)


def test_it_is_resumed(here, folder):
    before = (folder / "logbook.csv").read_text()
    versions = json.loads((folder / "config.json").read_text())["versions"]
    same = all(version(name) == versions[name] for name in ("deap", "keras", "numpy", "tensorflow"))
    answer = here(MNIST, "--resume", folder, "--generations", 6, *([] if same else ["--force"]))
    assert answer.returncode == 0, answer.stderr
    after = (folder / "logbook.csv").read_text()
    assert after.startswith(before)  # the same columns, of which there are more now
    assert list(read_csv(folder / "logbook.csv")["gen"]) == list(range(7))
    assert json.loads((folder / "status.json").read_text())["state"] == "finished"
    algorithm = f"genetic algorithm ({'ga' if folder.name == 'opposites' else folder.name})"
    algorithm = "evolution strategy (es)" if folder.name == "default" else algorithm
    assert answer.stdout.startswith(f"{algorithm}: ")
    assert (folder / "report.html").exists()


def test_the_latest_holds_its_settings_and_is_held_to_them(here, tmp_path):
    folder = shutil.copytree(BEFORE / "ga", tmp_path / "ga")
    assert (folder / "checkpoint" / "generations").read_bytes().startswith(b"deap_nn checkpoint 4\n")
    assert read_first(folder / "checkpoint").settings["version"] == 2
    answer = here(MNIST, "--resume", folder, "--generations", 5, "--force", "--no-progress")
    assert answer.returncode == 0, answer.stderr
    assert "not compared" not in answer.stderr
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"boost": 3.0}))
    answer = here(MNIST, "--resume", folder, "--generations", 6, "--force", "--no-progress")
    assert answer.returncode == 2
    assert "select.boost was 2.0 when the run began, and is 3.0" in answer.stderr


def test_its_networks_are_given_back_bit_by_bit(here, folder, tmp_path):
    status = json.loads((folder / "status.json").read_text())
    mean = ["--mean"] if status["readout"] == "mean of the parents" else []
    target = ("--output", tmp_path / "again.npz")
    answer = here("-m", "deap_nn.replay", folder, "--generation", status["generation"], *mean, *target)
    assert answer.returncode == 0, answer.stderr
    with np.load(folder / "best.npz") as kept, np.load(tmp_path / "again.npz") as found:
        assert kept.files == found.files
        assert all(kept[name].tobytes() == found[name].tobytes() for name in kept.files)


def test_it_has_a_report(here, folder):
    answer = here("-m", "deap_nn.report", folder)
    assert answer.returncode == 0, answer.stderr
    assert (folder / "report.html").stat().st_size > 50_000
    assert (folder / "fitness.png").exists()
    run = read_run(folder)
    assert (run.status["generations"], len(run.logbook)) == (4, 5)


@pytest.mark.parametrize("name", PRESETS)
def test_a_run_by_a_former_name_is_the_same(here, tmp_path, name):
    """Members are bred from the same streams, with the same arguments."""
    options = ["--preset", name, "--population", 8, "--generations", 4, "--batch-size", 16, "--validation-size", 100]
    options += ["--seed", 3, "--ensemble", 0]
    folder = BEFORE / name
    network = ("--dataset", "mnist5k", "--keras", folder / "model.keras")
    answer = here(MNIST, *options, *network, "--output", tmp_path / "now")
    assert answer.returncode == 0, answer.stderr
    now, before = read_run(tmp_path / "now"), read_run(folder)
    assert now.config["preset"] == {"default": "es"}.get(name, name)
    # The folders were made on an EPYC, and a Xeon gave their bits too: these two have AVX-512.
    exact = all("avx512f" in run.config["versions"]["processor"].split() for run in (now, before))
    for column in before.logbook.header if exact else ("min", "avg", "sigma"):
        found, expected = now.logbook.select(column), before.logbook.select(column)
        assert found == (expected if exact else pytest.approx(expected, rel=1e-4)), column
    with np.load(folder / "best.npz") as kept, np.load(tmp_path / "now" / "best.npz") as best:
        assert kept.files == best.files
        for matrix in kept.files if exact else ():
            assert kept[matrix].tobytes() == best[matrix].tobytes()
    decide = ("step", "parents", "sigma", "final_sigma", "schedule", "scale", "fitness", "init", "sampling", "boost")
    for setting in (*decide, "pressure", "mates", "crossover", "indpb"):
        assert now.config[setting] == before.config[setting], setting


def test_es_has_the_bytes_of_its_former_name(digits):
    found = []
    for name in ("default", "es"):
        warned = pytest.warns(DeprecationWarning, match="preset 'default' is now called 'es'")
        with warned if name == "default" else contextlib.nullcontext():
            toolbox = make_toolbox("mlp", digits, ALGORITHMS[name](), seed=3, batch_size=16)
        population, logbook = evolve(toolbox.population(n=8), toolbox, 2)
        best = min(population, key=lambda member: member.fitness.values)
        found.append((list(logbook), best.flat.tobytes(), [member.flat.tobytes() for member in population]))
    assert len(found[0][0]) == 3
    assert found[0] == found[1]


def test_former_names_in_a_config_do_not_warn(folder):
    config = json.loads((folder / "config.json").read_text()) | {"keras": None, "model": "mlp"}
    made = toolbox_of(config, load_dataset("mnist5k"))  # a warning is an error here
    assert made.algorithm == {"default": "es", "opposites": "ga"}.get(folder.name, folder.name)
    assert hasattr(made, "mate") is (folder.name != "default")


def test_another_version_of_this_package_warns(here, tmp_path):
    folder = shutil.copytree(BEFORE / "mask", tmp_path / "mask")
    config = json.loads((folder / "config.json").read_text())
    config["versions"]["deap-nn"] = "0.0.1"
    (folder / "config.json").write_text(json.dumps(config))
    answer = here(MNIST, "--resume", folder, "--generations", 5, "--force", "--no-progress")
    assert answer.returncode == 0, answer.stderr
    assert "warning: the run was made with deap-nn 0.0.1, this is " in answer.stderr


def test_a_crossover_that_an_evolution_strategy_does_not_have_is_refused(here, tmp_path):
    folder = shutil.copytree(BEFORE / "default", tmp_path / "default")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"crossover": "mask"}))
    answer = here(MNIST, "--resume", folder, "--generations", 5, "--no-progress")
    assert answer.returncode == 2
    assert "config.json: argument --crossover: mask needs --preset ga or article" in answer.stderr


@pytest.mark.parametrize("left", ["nothing", "an empty file"])
def test_a_run_without_its_checkpoint_says_what_helps(here, tmp_path, left):
    folder = shutil.copytree(BEFORE / "mask", tmp_path / "mask")
    if left == "nothing":
        shutil.rmtree(folder / "checkpoint")
    else:
        (folder / "checkpoint" / "generations").write_bytes(b"")
    before = (folder / "logbook.csv").read_bytes()
    answer = here(MNIST, "--resume", folder, "--generations", 6, "--force", "--no-progress")
    assert answer.returncode == 2
    assert f"argument --resume: {folder} has no checkpoint, which a resume needs: put" in answer.stderr
    assert "or start a new run with the settings of" in answer.stderr
    assert (folder / "logbook.csv").read_bytes() == before
    assert (folder / "checkpoint").exists() is (left != "nothing")
