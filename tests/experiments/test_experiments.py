"""The real commands, run as a user runs them."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import MNIST, ROOT, XOR, alone, interrupt, not_for_ever, status_of, well
from small_run import FILES, SETTING, in_turn
from strangers import only_line

from deap_nn import NoiseTable
from deap_nn.core.logbooks import read_csv
from deap_nn.data.loading import load_dataset
from deap_nn.models.built_in import build_model
from deap_nn.models.reference import reference_of
from deap_nn.models.tensorflow import keras
from deap_nn.runs.files import read_config


@pytest.fixture(scope="module")
def finished(tmp_path_factory, digits_file):
    """A finished run, under plain Python."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    command = [sys.executable, MNIST, *SETTING, "--data", digits_file, "--output", folder]
    answer = well(subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False))
    return folder, answer


SHOWN = ["gen 0/3", "gen 1/3", "gen 2/3", "scoring the candidates"]
SHOWN += ["gen 3/3", "scoring the training digits", "scoring the test digits", "saving the result", "drawing"]
"""The beginning of each line of a run's progress where there is no terminal."""


def test_a_run_ends_with_its_test_error_and_the_address_of_its_report(finished):
    folder, answer = finished
    *_, error, report = answer.stdout.splitlines()
    status = status_of(folder)
    network = f"kept network: {status['readout']}, generation {status['generation']}"
    assert error == f"test error {status['test_error']:.4g} (chance 0.90), {network}"
    assert re.search(r": (mean of the parents|best member), generation [0-3]$", error)
    assert report == f"report: {(folder / 'report.html').as_uri()}"


def test_a_run_directory_holds_what_the_contract_says(finished, digits_file):
    folder, answer = finished
    assert {path.name for path in folder.iterdir()} == FILES
    assert "Traceback" not in answer.stderr
    assert [line.split(":")[0] for line in answer.stderr.splitlines()] == SHOWN  # and nothing from the libraries
    with open(folder / "logbook.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = ["gen", "nevals", "min", "avg", "std", "max", "train_error", "val_error", "sigma", "best_pairs"]
    assert list(rows[0]) == columns
    assert [row["gen"] for row in rows] == ["0", "1", "2", "3"]
    written = [{name: float(value) for name, value in row.items()} for row in rows]
    assert json.loads((folder / "logbook.json").read_text()) == written
    timing = read_csv(folder / "timing.csv")
    assert timing["gen"] == [0, 1, 2, 3]
    assert all(seconds > 0 for seconds in timing["seconds"])
    status = status_of(folder)
    assert status["state"] == "finished"
    assert (status["generations"], status["evaluations"]) == (3, 48)
    assert status["readout"] in ("best member", "mean of the parents")
    assert set(read_csv(folder / "readouts.csv")) == {"gen", "best member", "mean of the parents"}
    assert 0 <= status["validation_error"] <= 1
    assert status["generation"] in (0, 3)
    config = json.loads((folder / "config.json").read_text())
    assert config["seed"] == 5
    assert config["data"]["sha256"] == load_dataset("mnist", digits_file).reference.sha256
    assert (config["data"]["train"], config["data"]["validation"], config["data"]["test"]) == (320, 80, 100)
    assert {"python", "deap", "numpy", "tensorflow", "keras", "scoop", "deap-nn"} <= set(config["versions"])
    settings = "parents fitness sigma batch_size pressure boost init scale cxpb mutpb adaptation"
    assert set(settings.split()) <= set(config)
    assert config["validation_size"] == 80
    assert config["noise_sha256"] == NoiseTable(5, 50_890).sha256()
    assert (config["preset"], config["mates"]) == ("ga", 4)
    assert config["algorithm"].startswith(
        "genetic algorithm (ga): 4 parents crossed by cxScanning(), mutGaussianAdaptive("
    )


def test_the_trace_follows_100_weights_of_the_best(finished):
    folder, _ = finished
    with np.load(folder / "trace.npz", allow_pickle=False) as trace:
        weights, places, matrices = trace["weights"], trace["places"], trace["matrices"]
    assert weights.shape == (4, 100)
    assert len(set(places.tolist())) == 100
    assert set(matrices.tolist()) == {"hidden/kernel", "hidden/bias", "output/kernel", "output/bias"}
    layout = reference_of("mlp").layout
    for place, name in zip(places, matrices, strict=True):
        first = layout.offsets[layout.names.index(name)]
        assert first <= place < first + layout.sizes[layout.names.index(name)]
    assert (weights[0] != weights[3]).any()


def test_the_saved_model_and_the_saved_weights_score_the_errors(finished, digits_file):
    folder, _ = finished
    data = load_dataset("mnist", digits_file)

    def errors(model):
        for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
            answers = model.predict(x.reshape(-1, 28, 28, 1) / 255.0, verbose=0).argmax(axis=1)
            yield (answers != y).mean()

    told = [status_of(folder)[name] for name in ("training_error", "test_error")]
    assert list(errors(keras.models.load_model(folder / "best.keras"))) == told
    fresh = build_model("mlp")
    with np.load(folder / "best.npz", allow_pickle=False) as weights:
        assert weights.files == list(reference_of("mlp").layout.names)
        fresh.set_weights([weights[name] for name in weights.files])
    assert list(errors(fresh)) == told


@in_turn
def test_the_one_command_names_its_main_settings_in_its_first_line(tmp_path):
    """``python -m scoop experiments/mnist.py`` as it stands; it is ended as soon as it has said so."""
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    with open(tmp_path / "stderr", "w+") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "scoop", "experiments/mnist.py"],
            cwd=tmp_path,
            env=os.environ | alone(tmp_path),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
        try:
            with not_for_ever():
                first = next(line for line in process.stdout if not line.startswith("Launching"))
                data, watch = next(process.stdout), next(process.stdout)
                while not list(tmp_path.glob("runs/*/config.json")):
                    time.sleep(0.05)
        finally:
            interrupt(process, signal.SIGINT)
        errors.seek(0)
        assert "Traceback" not in errors.read()
    assert first == (
        "ga: 100 networks of 3,274,634 weights; mask crossover of 4, sigma follows the error, the best boosted 2 x, "
        "fc1 and fc2 move by each sample's loss\n"
    )
    algorithm = (
        "genetic algorithm (ga): 4 parents crossed by cxScanning(), mutGaussianAdaptive(sigma=ErrorScaled(0.128, "
        "fitness='cross_entropy')), selRankBoosted(pressure=1.5, boost=2.0, opposites=0.5, parents=0.5, fewest=10), "
        "founders by initScaled(spread=0.5), a step of 30.0 by cases along the inputs of fc1 and fc2, centred layers, "
        "stratified mini-batches"
    )
    (folder,) = (tmp_path / "runs").iterdir()
    assert data == "data: mnist5k, as mnist.npz could not be downloaded: Connection refused\n"
    assert watch == f"watch: {folder.as_uri()}/report.html, after the first generation\n"
    assert status_of(folder)["state"] == "interrupted"
    config = read_config(folder, "--output")
    assert (config["model"], config["population"], config["generations"]) == ("mnist_deep", 100, 300)
    assert config["algorithm"] == algorithm


@in_turn
@pytest.mark.parametrize("workers", [2, *(pytest.param(workers, marks=pytest.mark.long) for workers in (1, 3))])
def test_scoop_workers_change_no_byte(finished, run, tmp_path, digits_file, workers):
    folder, _ = finished
    options = ["--data", digits_file, "--output", tmp_path / "run"]
    answer = run("-m", "scoop", "-n", workers, MNIST, *SETTING, *options, stderr=subprocess.STDOUT)
    lines = [line for line in answer.stdout.splitlines() if "launcher" not in line and "Launching" not in line]
    assert not [line for line in lines if "WARNING" in line or "ERROR" in line]  # SCOOP keeps track of every task
    for setting in ("ga: 12 networks", "mask crossover of 4", "sigma follows the error", "the best boosted 2 x"):
        assert setting in lines[0]
    assert lines[2].startswith("mnist.py: warning: the broker of python -m scoop listens on every network interface")
    assert answer.stdout.count("the broker of python -m scoop") == 1
    assert answer.returncode == 0
    assert status_of(tmp_path / "run")["state"] == "finished", answer.stdout
    assert json.loads((tmp_path / "run" / "config.json").read_text())["workers"] == workers
    for name in ("logbook.csv", "best.npz"):
        assert (tmp_path / "run" / name).read_bytes() == (folder / name).read_bytes()
    assert {path.name for path in (tmp_path / "run").iterdir()} == FILES


def test_without_output_each_run_goes_to_a_fresh_folder(here, tmp_path, digits_file):
    for _ in range(2):
        arguments = ["--model", "mlp", "--population", 4, "--generations", 0, "--data", digits_file]
        assert here(MNIST, *arguments).returncode == 0
    folders = list((tmp_path / "runs").iterdir())
    assert len(folders) == 2
    assert all(status_of(folder)["state"] == "finished" for folder in folders)


def test_runs_that_lead_nowhere_are_reported_in_a_line(here, tmp_path, digits_file):
    (tmp_path / "runs").symlink_to(tmp_path / "gone")
    answer = here(MNIST, "--model", "mlp", "--population", 4, "--generations", 0, "--data", digits_file)
    assert re.search(r"argument --output: runs/.* cannot be made, .*/runs is not a folder", only_line(answer))


def test_a_run_that_is_resumed_may_have_another_end_and_map(finished, here, warm, tmp_path, digits_file):
    """It is given with `--resume`: it lets a run that was stopped go on to the bytes of a whole run, or ends it."""
    folder, resume = tmp_path / "run", (MNIST, "--resume", tmp_path / "run", "--no-progress")
    options = (*SETTING, "--data", digits_file, "--max-seconds", 0, "--output", folder)
    assert re.search(
        r"\nstopped early: max-seconds: \d s have passed\ntest error 0", well(here(MNIST, *options)).stdout
    )
    said = f"argument --resume: the run in {folder} is finished; another --max-seconds continues it"
    answer = here(*resume)
    assert (answer.returncode, answer.stderr) == (2, f"mnist.py: error: {said}\n")
    assert warm(*resume, "--max-seconds", 1e6, "--map", "processes", "--workers", 1).returncode == 0
    assert "stopped_by" not in status_of(folder)
    assert (folder / "logbook.csv").read_bytes() == (finished[0] / "logbook.csv").read_bytes()
    assert here(*resume, "--max-seconds", 0, "--generations", 50).returncode == 0
    status = status_of(folder)
    assert (status["state"], status["stopped_by"].partition(":")[0]) == ("finished", "max-seconds")
    assert status["generations"] < 50


def test_the_report_draws_the_pictures_again(finished, here, tmp_path):
    folder, _ = finished
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("logbook.csv", "trace.npz", "config.json", "status.json", "answers.npz"):
        (copy / name).write_bytes((folder / name).read_bytes())
    answer = well(here("-m", "deap_nn.report", copy))
    assert answer.stdout.split() == [str(copy / name) for name in ("fitness.png", "weights.png", "report.html")]
    for name in ("fitness.png", "weights.png"):
        assert (copy / name).read_bytes() == (folder / name).read_bytes()


@in_turn
def test_xor_is_solved_and_drawn(run, here, tmp_path):
    answer = well(here(XOR, "--seed", 3, "--output", tmp_path / "xor", "--no-progress"))
    said, *paths = answer.stdout.splitlines()
    assert said.startswith("XOR solved in")
    assert paths == sorted(map(str, (tmp_path / "xor").iterdir()))
    assert status_of(tmp_path / "xor")["solved"] is True
    assert (tmp_path / "xor" / "report.html").stat().st_size > 5000
    under_scoop = run("-m", "scoop", "-n", 2, XOR, "--seed", 3, "--output", tmp_path / "scoop")
    assert "XOR solved in" in under_scoop.stdout
    for name in ("logbook.csv", "best.npz"):
        assert (tmp_path / "scoop" / name).read_bytes() == (tmp_path / "xor" / name).read_bytes()


def test_xor_that_is_not_solved_exits_1(here, tmp_path):
    answer = here(XOR, "--population", 2, "--generations", 2, "--output", tmp_path / "xor")
    assert answer.returncode == 1
    assert "not solved within 2 generations" in answer.stdout
    assert status_of(tmp_path / "xor")["solved"] is False


def test_the_pictures_of_real_runs_are_shown():
    pictures = list((ROOT / "docs").glob("*.png"))
    pages = "".join(page.read_text() for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    assert pictures
    for picture in pictures:
        assert picture.stat().st_size < 200_000
        assert picture.name in pages
