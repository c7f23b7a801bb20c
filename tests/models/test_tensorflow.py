"""TensorFlow's start: no notice is shown, Keras may be imported without its extras; and tensors share memory."""

import importlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import ROOT

from deap_nn import make_toolbox
from deap_nn.core import environment
from deap_nn.core.environment import EXTRAS
from deap_nn.genome.vectors import empty_vector
from deap_nn.models.tensorflow import _without_start_up_notices, shared_tensor

NOTICES = [
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "I0000 00:00:1795937128.402759   16892 port.cc:153] oneDNN custom operations are on.",
    "I0000 00:00:1795937128.402974   16892 cudart_stub.cc:31] Could not find cuda drivers on your machine",
    "W0000 00:00:1795937128.586715   16892 cpu_feature_guard.cc:227] This TensorFlow binary is optimized",
    "E0000 00:00:1795937140.350188   16892 cuda_platform.cc:52] failed call to cuInit: UNKNOWN ERROR (303)",
    "E0000 00:00:1795937140.350188   16892 cuda_fft.cc:467] Unable to register cuFFT factory",
]
ERRORS = ["E0000 00:00:1795937140.350188   16892 cuda_dnn.cc:12] cuDNN of another version", "F0000 no memory", "mine"]


@pytest.mark.parametrize(
    ("level", "shown"), [(None, ERRORS), ("2", ERRORS), ("3", ERRORS), ("0", NOTICES + ERRORS), ("1", NOTICES + ERRORS)]
)
def test_notices_are_hidden_and_errors_are_not(monkeypatch, capfd, level, shown):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    if level is not None:
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", level)
    with _without_start_up_notices():
        os.write(2, "".join(f"{line}\n" for line in NOTICES + ERRORS).encode())
    assert capfd.readouterr().err.splitlines() == shown
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == (level or "2")


SCRIPT = """
import os

os.environ.pop("CUDA_VISIBLE_DEVICES", None)  # with it TensorFlow does not say that there is no GPU
import numpy as np
from deap_nn import evolve_model, keras, open_map

if __name__ == "__main__":
    x = np.random.default_rng(1).standard_normal((100, 3))
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with open_map("processes", workers=1) as map_:
        evolve_model(model, x, (x[:, 0] > 0).astype(int), population=4, generations=1, seed=1, map=map_)
"""


def test_a_script_as_the_pages_have_it_shows_none_and_nor_do_its_workers(run, tmp_path, monkeypatch):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    (tmp_path / "script.py").write_text(SCRIPT)
    answer = run(tmp_path / "script.py")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


FITNESS = """
from deap_nn import make_toolbox
from deap_nn.core import environment
from deap_nn.core.environment import EXTRAS
from deap_nn.genome.vectors import empty_vector
for model in ("mlp", "lenet5"):
    toolbox = make_toolbox(model, "mnist5k", seed=1)
    print(*toolbox.evaluate(toolbox.individual()))
"""


def test_a_users_keras_json_changes_no_built_in_network(tmp_path):
    settings = {"floatx": "float16", "image_data_format": "channels_first", "backend": "tensorflow"}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    answer = subprocess.run(
        [sys.executable, "-c", FITNESS],
        env=os.environ | {"KERAS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    expected = []
    for model in ("mlp", "lenet5"):
        toolbox = make_toolbox(model, "mnist5k", seed=1)
        expected.append(toolbox.evaluate(toolbox.individual())[0])
    assert [float(line) for line in answer.stdout.split()] == expected


@pytest.mark.parametrize("backend", ["torch", "numpy"])
def test_another_backend_of_keras_is_named(backend):
    code = "import deap_nn.models.tensorflow"
    answer = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"KERAS_BACKEND": backend}, capture_output=True, text=True
    )
    assert answer.returncode == 1
    assert "Error: Keras must use TensorFlow: set KERAS_BACKEND=tensorflow" in answer.stderr.splitlines()[-1]


LEFT_OUT = f"""
import importlib, sys
from deap_nn.core.environment import leave_out_extras
leave_out_extras()
import deap_nn.models.tensorflow
print(sorted(set({EXTRAS}) & set(sys.modules)))
for name in {EXTRAS}:
    importlib.import_module(name)
"""

AS_EVER = """
import deap_nn.models.tensorflow
from keras.wrappers import SKLearnClassifier
SKLearnClassifier(model=None)
"""


@pytest.mark.parametrize(("code", "printed"), [(LEFT_OUT, "[]\n"), (AS_EVER, "")], ids=["left-out", "as-ever"])
def test_keras_goes_without_its_extras_only_after_leave_out(code, printed):
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False, timeout=120
    )
    assert (answer.returncode, answer.stdout) == (0, printed), answer.stderr


def test_other_threads_find_them(tmp_path, monkeypatch):
    (tmp_path / "an_extra.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(environment, "EXTRAS", ("an_extra",))
    monkeypatch.setattr(environment, "_left_out", [True])
    with environment.extras_hidden():
        with pytest.raises(ModuleNotFoundError, match="without an_extra"):
            importlib.import_module("an_extra")
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(importlib.import_module, "an_extra").result().__name__ == "an_extra"
    del sys.modules["an_extra"]
    assert importlib.import_module("an_extra")
    del sys.modules["an_extra"]


def test_aligned_weights_are_read_where_they_are():
    weights = empty_vector(100)
    weights[:] = 1
    for array, shared in ((weights, True), (weights[1:], False)):
        tensor = shared_tensor(array)
        array[0] = 5
        assert tensor.numpy()[0] == (5 if shared else 1)
