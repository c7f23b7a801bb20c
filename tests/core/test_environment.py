"""What decides the last bits beside the settings: versions, TensorFlow's variables and threads, the processor."""

import json
import shutil

import numpy as np
import pytest
from conftest import MNIST, run_here
from wirings import wired

from deap_nn import evolve, make_toolbox, read_run
from deap_nn.breeding import task as genome_tasks
from deap_nn.core import environment
from deap_nn.maps import open_map
from deap_nn.runs.checkpoint import CheckpointError, read_generations

HERE = environment.environment()


def small(digits, **arguments):
    return make_toolbox("mlp", digits, **({"seed": 3, "batch_size": 16} | arguments))


def go(toolbox, ngen, map_=map, **arguments):
    toolbox.register("map", map_)
    return evolve(toolbox.population(n=8), toolbox, ngen, **arguments)


def listing(function, *iterables):
    """A map that is not known to keep the order, or to be that of one process."""
    return list(map(function, *iterables))


OTHERS = [
    ("TF_ENABLE_ONEDNN_OPTS", "0", "was None"),
    ("ONEDNN_MAX_CPU_ISA", "AVX2", "was None"),
    ("DNNL_MAX_CPU_ISA", "AVX2", "was None"),
    ("XLA_FLAGS", "--x", "was None"),
    ("numpy", "0.1", "was '.*'"),
    ("deap-nn", "0.0.1", "was '.*'"),
    ("processor", "another", "was '.*'"),
]


@pytest.mark.parametrize(("name", "value", "was"), OTHERS)
def test_a_run_is_not_resumed_in_another_environment_unless_forced(digits, tmp_path, monkeypatch, name, value, was):
    _, expected = go(small(digits), 2)
    go(small(digits), 1, checkpoint=tmp_path)
    assert read_generations(tmp_path)[0].settings.items() >= HERE.items()
    other = HERE | {name: value}
    monkeypatch.setattr("deap_nn.algorithms.resuming.environment", lambda: other)
    before = (tmp_path / "generations").read_bytes()
    with pytest.raises(CheckpointError, match=f"{name} {was} when the run began, and is '{value}'; --force, or force="):
        go(small(digits), 2, checkpoint=tmp_path)
    assert (tmp_path / "generations").read_bytes() == before
    _, logbook = go(small(digits), 2, checkpoint=tmp_path, force=True)
    assert logbook == expected


def test_another_number_of_threads_is_another_environment(digits, tmp_path):
    go(small(digits), 1, checkpoint=tmp_path)
    with pytest.raises(CheckpointError, match="threads was 1 when the run began, and is 2; --force"):
        go(small(digits, threads=2), 2, checkpoint=tmp_path)


def test_a_worker_in_another_environment_is_named_once(digits, monkeypatch):
    _, expected = go(small(digits), 2)
    monkeypatch.setattr(genome_tasks, "environment", lambda: HERE | {"processor": "another"})
    monkeypatch.setattr(genome_tasks, "environment_digest", lambda: b"another")
    with pytest.warns(UserWarning, match="may compute other last bits: processor is 'another' there and ") as warned:
        _, logbook = go(small(digits), 2, listing)
    assert len(warned) == 1
    assert logbook == expected


def test_a_real_process_with_another_variable_is_named(monkeypatch):
    """It is started with the variable, as one of a cluster may be; this process is without."""
    with open_map("processes", workers=1) as map_:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
        assert list(map_(abs, [-1])) == [1]  # now there is one
        monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
        with pytest.warns(UserWarning, match="TF_ENABLE_ONEDNN_OPTS is '0' there and None here") as warned:
            _, logbook = go(wired(), 2, map_, seed=1)
    assert len(warned) == 1
    assert len(logbook) == 3


class OfTheirOwn:
    """An evaluation with an attribute that ours have too."""

    problem = "xor"

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, individual):
        return (self.factor * float(np.abs(individual.flat).sum()),)


def test_an_evaluation_of_ones_own_may_have_any_attribute(digits, tmp_path):
    for ngen in (1, 2):
        toolbox = small(digits)
        toolbox.register("evaluate", OfTheirOwn(2.0))
        del toolbox.assess
        go(toolbox, ngen, listing, checkpoint=tmp_path)


def test_the_experiment_refuses_other_variables_in_one_line(finished_run, digits_file, tmp_path, monkeypatch):
    folder = shutil.copytree(finished_run, tmp_path / "run")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    options = ["--resume", folder, "--generations", 9, "--data", digits_file, "--no-progress"]
    status = (folder / "status.json").read_bytes()
    answer = run_here(MNIST, *options, cwd=tmp_path)
    assert answer.returncode == 2
    (line,) = answer.stderr.splitlines()
    assert "TF_ENABLE_ONEDNN_OPTS was None when the run began, and is '0'; --force" in line
    assert (folder / "status.json").read_bytes() == status
    answer = run_here(MNIST, *options, "--force", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert json.loads((folder / "status.json").read_text())["state"] == "finished"
    assert len(read_run(folder).logbook) == 10
