"""Our own programs start sooner: Keras is imported without what it tries to import beside."""

import importlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import ROOT

from deap_nn.models import keras_extras
from deap_nn.models.keras_extras import EXTRAS

LEFT_OUT = f"""
import importlib, sys
from deap_nn.models import keras_extras
keras_extras.leave_out()
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
    monkeypatch.setattr(keras_extras, "EXTRAS", ("an_extra",))
    monkeypatch.setattr(keras_extras, "_left_out", [True])
    with keras_extras.extras_hidden():
        with pytest.raises(ModuleNotFoundError, match="without an_extra"):
            importlib.import_module("an_extra")
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(importlib.import_module, "an_extra").result().__name__ == "an_extra"
    del sys.modules["an_extra"]
    assert importlib.import_module("an_extra")
    del sys.modules["an_extra"]
