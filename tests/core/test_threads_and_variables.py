"""TensorFlow's threads and variables in real processes: the launcher's, one with a pickle, one with a model first."""

import os
import pickle
import subprocess
import sys
import tempfile

from conftest import ROOT, alone

from deap_nn import make_toolbox
from deap_nn.core.environment import let_tensorflow_have


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


OTHER_WORKER = """
import os, time
if __name__ != "__main__":
    os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX2"
from wirings import sum_of_squares, wired
from limits import evolve
from deap_nn.maps.scoop import current_map

def process(number):
    time.sleep(0.05)
    return os.getpid()

def slow(individual):
    time.sleep(0.05)
    return sum_of_squares(individual)

if __name__ == "__main__":
    toolbox = wired(evaluate=slow, map=current_map())
    while len(set(toolbox.map(process, range(8)))) < 2:  # until the worker has begun
        pass
    print(len(evolve(toolbox.population(n=8), toolbox, 1, seed=1, group_size=1)[1]))
"""


def test_a_worker_of_the_launcher_with_another_variable_is_named(tmp_path):
    (tmp_path / "script.py").write_text(OTHER_WORKER)
    answer = subprocess.run(
        [sys.executable, "-m", "deap_nn.launch", "-n", "2", "script.py"],
        cwd=tmp_path,
        env=os.environ | alone(tmp_path) | {"PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (answer.returncode, answer.stdout) == (0, "2\n"), answer.stderr
    assert answer.stderr.count("may compute other last bits: ONEDNN_MAX_CPU_ISA is 'AVX2' there and None here") == 1


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
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-m", "deap_nn.launch", "-n", "2", "script.py"],
        cwd=tmp_path,
        env=os.environ | alone(tmp_path) | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines()[-1] == "0 1"
    assert "already computes" not in answer.stderr
