"""The environment of a process: versions, TensorFlow's variables and threads, optional packages."""

import gc
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import pytest
from conftest import MNIST, ROOT, alone, run_here, well
from strangers import only_line
from wirings import evolve_toolbox, wired

from deap_nn import make_toolbox, read_run
from deap_nn.core import environment
from deap_nn.core.environment import let_tensorflow_have, optional, without_collections
from deap_nn.maps import open_map
from deap_nn.runs.checkpoint import CheckpointError, read_generations

HERE = environment.environment()


def small(digits, **arguments):
    return make_toolbox("mlp", digits, **({"seed": 3, "batch_size": 16} | arguments))


def go(toolbox, ngen, map_=map, **arguments):
    toolbox.register("map", map_)
    return evolve_toolbox(toolbox, n=8, ngen=ngen, **arguments)


def listing(function, *iterables):
    """A map that is not known to keep the order, or to be that of one process."""
    return list(map(function, *iterables))


OTHERS = [
    ("TF_ENABLE_ONEDNN_OPTS", "0", "was None"),
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
    line = only_line(run_here(MNIST, *options, cwd=tmp_path))
    assert "TF_ENABLE_ONEDNN_OPTS was None when the run began, and is '0'; --force" in line
    assert (folder / "status.json").read_bytes() == status
    well(run_here(MNIST, *options, "--force", cwd=tmp_path))
    assert json.loads((folder / "status.json").read_text())["state"] == "finished"
    assert len(read_run(folder).logbook) == 10


def test_a_toolbox_from_a_pickle_agrees_with_itself():
    """TensorFlow's threads are limited when the first network is scored, and not before."""
    code = "import pickle, sys; from deap_nn import evolve; toolbox = pickle.load(open(sys.argv[1], 'rb')); "
    code += "print(len(evolve(toolbox.population(n=4), toolbox, 1)[1]))"
    with tempfile.NamedTemporaryFile() as file:
        toolbox = make_toolbox("mlp", "mnist5k", seed=1)
        toolbox.register("map", map)
        pickle.dump(toolbox, file)
        file.flush()
        answer = subprocess.run([sys.executable, "-c", code, file.name], capture_output=True, text=True, check=False)
    assert answer.stdout == "2\n", answer.stderr


def test_tensorflow_is_limited_unless_the_user_has_limited_it(monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    monkeypatch.delenv("TF_NUM_INTEROP_THREADS", raising=False)
    let_tensorflow_have(1)
    assert (os.environ["TF_NUM_INTRAOP_THREADS"], os.environ["TF_NUM_INTEROP_THREADS"]) == ("3", "1")


MODEL_FIRST = """
import os
import keras, numpy as np
from deap_nn import KerasProblem, evolve, make_toolbox
from deap_nn.maps.scoop import current_map

model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(3)])
model(np.zeros((1, 5)))
rng = np.random.default_rng(1)
problem = KerasProblem(model, rng.normal(size=(40, 5)), rng.integers(0, 3, 40))
if __name__ == "__main__":
    toolbox = make_toolbox(problem, seed=1)
    evolve(toolbox.population(n=8), toolbox, 2)
    import tensorflow as tf
    print(tf.config.threading.get_intra_op_parallelism_threads(), os.environ["TF_NUM_INTRAOP_THREADS"])
"""


def test_a_model_before_a_toolbox_leaves_no_unlimited_threads_under_the_launcher(tmp_path):
    (tmp_path / "script.py").write_text(MODEL_FIRST)
    answer = well(
        subprocess.run(
            [sys.executable, "-W", "error", "-m", "deap_nn.launch", "-n", "2", "script.py"],
            cwd=tmp_path,
            env=os.environ | alone(tmp_path) | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    )
    assert answer.stdout.splitlines()[-1] == "0 1"
    assert "already computes" not in answer.stderr


def test_what_is_missing_is_not_installed():
    with (
        pytest.raises(ImportError, match=r"^no_such is not installed: pip install .* '\.\[mlflow\]'$"),
        optional("mlflow"),
    ):
        import no_such  # noqa: F401  (it is not there)


def test_an_error_of_an_installed_package_is_its_own():
    with pytest.raises(ImportError, match=r"^libGL\.so\.1: cannot open shared object file$"), optional("mlflow"):
        raise ImportError("libGL.so.1: cannot open shared object file")


def test_after_an_error_the_collector_is_on_again():
    with pytest.raises(ImportError), without_collections():
        raise ImportError
    assert gc.isenabled()


@pytest.mark.parametrize("change", [gc.disable, gc.freeze])
def test_a_collector_that_a_program_has_changed_stays_as_it_is(change):
    change()
    before = gc.isenabled(), gc.get_freeze_count() > 0  # a thread may free some that are frozen
    try:
        with without_collections():
            pass
        assert (gc.isenabled(), gc.get_freeze_count() > 0) == before
    finally:
        gc.enable()
        gc.unfreeze()


PASSES = """
import gc
passes = []
gc.callbacks.append(lambda phase, info: passes.append(info["generation"]) if phase == "start" else None)
import deap_nn.models.tensorflow
import deap_nn.operators.compiled.crossing
print(passes.count(2))
"""


def test_no_full_collection_comes_while_tensorflow_and_numba_are_imported(run):
    answer = run("-c", PASSES)
    assert (answer.returncode, answer.stdout) == (0, "0\n"), answer.stderr
