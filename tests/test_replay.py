"""A member of any generation is given back from a run that keeps no weights."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
from conftest import quiet, well

from deap_nn import read_run
from deap_nn.runs.checkpoint import MAGIC, read_generations, record_of

REPLAY = ("-m", "deap_nn.replay")


def weights_of(path):
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


def test_the_network_that_was_kept_is_given_back(here, finished_run, tmp_path):
    status = json.loads((finished_run / "status.json").read_text())
    which = ["--mean"] if status["readout"] == "mean of the parents" else []
    target = "--output", tmp_path / "best.npz"
    answer = quiet(here(*REPLAY, finished_run, "--generation", status["generation"], *which, *target, "--test"))
    found, kept = weights_of(tmp_path / "best.npz"), weights_of(finished_run / "best.npz")
    assert found.keys() == kept.keys()
    assert all(np.array_equal(found[name], kept[name]) for name in kept)
    validation, test = (f"{status[part]:.4f}" for part in ("validation_error", "test_error"))
    assert f"validation error rate {validation}, test error rate {test}" in answer.stdout
    assert "differs" not in answer.stdout


def test_any_member_is_given_back(here, finished_run, tmp_path):
    answer = well(here(*REPLAY, finished_run, "--generation", 4, "--member", 17, "--output", tmp_path / "a.npz"))
    assert answer.stdout.startswith("generation 4, member 17: fitness ")
    assert "differs" not in answer.stdout


def test_the_mean_of_the_parents_is_the_one_that_was_scored(here, finished_run, tmp_path):
    scored = read_run(finished_run).readouts["mean of the parents"][-1]
    assert scored != read_run(finished_run).status["validation_error"]  # that of the network that was kept
    answer = here(*REPLAY, finished_run, "--generation", 8, "--mean", "--output", tmp_path / "mean.npz")
    assert f", validation error rate {scored:.4f}: " in answer.stdout


def test_a_fitness_that_is_not_the_logged_one_is_status_1(here, folder, tmp_path):
    *past, last = read_generations(folder / "checkpoint")
    records = [*past, replace(last, wvalues=last.wvalues - 1)]
    (folder / "checkpoint" / "generations").write_bytes(MAGIC + b"".join(map(record_of, records)))
    answer = here(*REPLAY, folder, "--generation", 8, "--output", tmp_path / "best.npz")
    assert answer.returncode == 1
    assert re.search(r": fitness 2\.\d+, which differs from the logged 3\.", answer.stdout)


def test_a_keras_model_is_written_too(warm, finished_run, tmp_path):
    well(warm(*REPLAY, finished_run, "--generation", 0, "--output", tmp_path / "first.keras"))
    import keras

    assert keras.models.load_model(tmp_path / "first.keras").count_params() == 50_890


def test_a_run_that_cannot_be_replayed_is_refused_with_the_reason(here, digits_file, finished_run, tmp_path):
    (tmp_path / "script").mkdir()
    (tmp_path / "script" / "config.json").write_text('{"versions": {}, "data": {"name": "arrays"}}')
    bare = tmp_path / "bare"
    shutil.copytree(finished_run, bare)
    shutil.rmtree(bare / "checkpoint")
    for folder, why in (
        (tmp_path / "script", "only runs of experiments/mnist.py can be replayed: other toolboxes are unknown"),
        (bare, f"{bare} has no checkpoint"),
    ):
        answer = here(*REPLAY, folder, "--generation", 0, "--output", tmp_path / "out.npz")
        assert answer.stderr.endswith(f"error: argument DIR: {why}\n")
        assert answer.returncode == 2
