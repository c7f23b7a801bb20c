"""A member of any generation is given back from a run that keeps no weights."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import MNIST

REPLAY = ("-m", "deap_nn.replay")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, digits_file):
    folder = tmp_path_factory.mktemp("finished") / "run"
    options = ["--model", "mlp", "--population", 20, "--generations", 8, "--seed", 3, "--no-progress"]
    command = [sys.executable, MNIST, *options, "--data", digits_file, "--output", folder]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    return folder


def weights_of(path):
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


def test_the_network_that_was_kept_is_given_back(run, finished, tmp_path):
    status = json.loads((finished / "status.json").read_text())
    answer = run(*REPLAY, finished, "--generation", status["generation"], "--output", tmp_path / "best.npz", "--test")
    assert (answer.returncode, answer.stderr) == (0, "")
    found, kept = weights_of(tmp_path / "best.npz"), weights_of(finished / "best.npz")
    assert found.keys() == kept.keys()
    assert all(np.array_equal(found[name], kept[name]) for name in kept)
    assert f"validation error {status['validation_error']:.4f}, test error {status['test_error']:.4f}" in answer.stdout
    assert "differs" not in answer.stdout


def test_any_member_is_given_back_and_what_differs_is_said(run, finished, tmp_path):
    answer = run(*REPLAY, finished, "--generation", 4, "--member", 17, "--output", tmp_path / "a.npz")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("generation 4, member 17: fitness ")
    assert "differs" not in answer.stdout
    folder = tmp_path / "edited"
    shutil.copytree(finished, folder)
    config = json.loads((folder / "config.json").read_text())
    config["batch_size"] = 32  # another score of the same weights
    (folder / "config.json").write_text(json.dumps(config))
    answer = run(*REPLAY, folder, "--generation", 4, "--member", 17, "--output", tmp_path / "b.npz")
    assert "which differs from the logged" in answer.stdout
    assert all(
        np.array_equal(one, other)
        for one, other in zip(
            weights_of(tmp_path / "a.npz").values(), weights_of(tmp_path / "b.npz").values(), strict=True
        )
    )


def test_a_keras_model_is_written_too(run, finished, tmp_path):
    answer = run(*REPLAY, finished, "--generation", 0, "--output", tmp_path / "first.keras")
    assert answer.returncode == 0, answer.stderr
    import keras

    assert keras.models.load_model(tmp_path / "first.keras").count_params() == 50_890


def edited(name, change):
    def act(folder):
        path = folder / name
        if callable(change):
            change(path)
        else:
            config = json.loads(path.read_text())
            config.update(change)
            path.write_text(json.dumps(config))

    return act


def keep(folder):
    pass


BAD = {
    "a later generation": (keep, ["--generation", "9"], "argument --generation: the run has the generations 0 to 8"),
    "no generation": (keep, ["--generation", "-1"], "argument --generation: must be an integer"),
    "no such member": (
        keep,
        ["--generation", "1", "--member", "20"],
        "argument --member: the generation has the members",
    ),
    "another kind of file": (keep, ["--generation", "1", "--output", "x.txt"], "argument --output: must end in"),
    "no folder to write to": (keep, ["--generation", "1", "--output", "no/x.npz"], "argument --output: "),
    "other data": (keep, ["--generation", "1", "--data", "mnist5k.npz"], "argument --data: "),
    "no config": (edited("config.json", lambda path: path.unlink()), ["--generation", "1"], "argument DIR: "),
    "no checkpoint": (edited("checkpoint", shutil.rmtree), ["--generation", "1"], "argument DIR: "),
    "a model of no kind": (
        edited("config.json", {"model": "../../x"}),
        ["--generation", "1"],
        "argument DIR: config.json",
    ),
    "a seed of no kind": (edited("config.json", {"seed": "1"}), ["--generation", "1"], "argument DIR: config.json"),
    "a size of no kind": (
        edited("config.json", {"batch_size": -4}),
        ["--generation", "1"],
        "argument DIR: config.json",
    ),
    "settings that are none": (
        edited("config.json", {"sigma": [1]}),
        ["--generation", "1"],
        "argument DIR: config.json",
    ),
}


@pytest.mark.parametrize(("damage", "options", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line(run, finished, tmp_path, damage, options, message):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    damage(folder)
    output = [] if "--output" in options else ["--output", tmp_path / "out.npz"]
    answer = run(*REPLAY, folder, *options, *output)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert len(answer.stderr.splitlines()) == 1
    assert answer.stderr.startswith(f"replay.py: error: {message}")
    assert not (tmp_path / "out.npz").exists()
