"""How a run of the experiment ends: early, interrupted, or by an error."""

import importlib
import json
import re
import shlex
import shutil
import signal
import sys
from types import SimpleNamespace

import pytest
from conftest import MNIST, interrupt, start, status_of
from small_run import FILES, SETTING, in_turn

from deap_nn.breeding.slots import sweep
from deap_nn.core.logbooks import read_csv
from deap_nn.models.tensorflow import keras


@in_turn
@pytest.mark.parametrize(
    ("prefix", "number"),
    [
        ([], signal.SIGTERM),
        (["-m", "scoop", "-n", "2"], signal.SIGINT),
        pytest.param([], signal.SIGINT, marks=pytest.mark.long),
        pytest.param(["-m", "scoop", "-n", "2"], signal.SIGTERM, marks=pytest.mark.long),
    ],
)
def test_an_interrupted_run_ends_in_order(tmp_path, digits_file, prefix, number):
    sizes = ["--model", "mlp", "--population", 20, "--data", digits_file]
    process = start([sys.executable, *prefix, MNIST, *sizes], tmp_path / "run")
    output = interrupt(process, number)
    if not prefix:
        assert process.returncode == 130, output
    folder = tmp_path / "run"
    assert {path.name for path in folder.iterdir()} == FILES, output
    status = status_of(folder)
    assert status["state"] == "interrupted"
    rows = read_csv(folder / "logbook.csv")["gen"]
    assert rows == list(range(status["generations"] + 1))
    assert len(json.loads((folder / "logbook.json").read_text())) == len(rows)
    errors = read_csv(folder / "logbook.csv")["val_error"]  # on all there are, as the read-outs
    assert status["generation"] == (status["generations"] if errors[-1] < errors[0] else 0)
    assert status["generations"] > 0
    assert f"interrupted after generation {status['generations']}: {folder}" in output
    resumed = re.search(r"^resume: (.*) --resume (.*)$", output, re.M)
    assert resumed[2] == str(folder)
    assert shlex.split(resumed[1])[1:] == [*prefix[:2], str(MNIST)]
    assert shutil.which(shlex.split(resumed[1])[0])
    assert f"report: {(folder / 'report.html').as_uri()}" in output
    assert keras.models.load_model(folder / "best.keras").count_params() == 50_890


@pytest.mark.parametrize("script", [(MNIST,), (MNIST.with_name("baselines.py"), "--method", "random")])
def test_an_interrupt_before_the_toolbox_is_made_leaves_no_folder(here, monkeypatch, tmp_path, digits_file, script):
    def interrupted(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("deap_nn.algorithms.make_toolbox.make_toolbox", interrupted)
    assert here(*script, *SETTING, "--data", digits_file, "--output", "run").returncode == 130
    assert not (tmp_path / "run").exists()


def test_a_result_that_cannot_be_saved_of_an_interrupted_run_is_reported(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(MNIST.parent)
    mnist = importlib.import_module("mnist")

    def full(**settings):
        raise OSError("no space left")

    directory = SimpleNamespace(path=tmp_path, status={}, tell=full, enter=lambda phase: None)
    terminal = mnist.Terminal(quiet=True)
    candidates = SimpleNamespace(individual=[], validation_error=0.5, generation=1, kind="best member")
    warned = pytest.warns(UserWarning, match="the result is not whole: OSError: no space left")
    saving = mnist.keeping_result(directory, None, candidates, terminal)
    with warned, pytest.raises(KeyboardInterrupt) as raised, saving:
        raise KeyboardInterrupt
    assert raised.value.__notes__ == ["and then: OSError: no space left"]
    with pytest.raises(MemoryError) as raised, mnist.keeping_result(directory, None, candidates, terminal):
        raise MemoryError  # which has a line of its own: warnings are errors here
    assert raised.value.__notes__ == ["and then: OSError: no space left"]


FAILING = """
import os, runpy, sys
from deap_nn.maps import scoop as parallel
from deap_nn.problems import scorer as evaluation
parallel.prepare_worker()
def fail(*arguments): raise RuntimeError('no such\\nluck')
evaluation.Scorer.group_fitness = fail
sys.path.insert(0, os.path.dirname({path!r}))
if __name__ == '__main__': runpy.run_path({path!r}, run_name='__main__')
"""


@in_turn
@pytest.mark.parametrize("prefix", [[], ["-m", "scoop", "-n", 2]], ids=["plain", "scoop"])
def test_a_failing_evaluation_ends_the_run_with_one_line(run, warm, tmp_path, digits_file, prefix):
    script = tmp_path / "failing.py"
    script.write_text(FAILING.format(path=str(MNIST)))
    options = ["--data", digits_file, "--output", tmp_path / "run", "--no-progress"]
    answer = run(*prefix, script, *SETTING, *options) if prefix else warm(script, *SETTING, *options)
    ours = [line for line in answer.stderr.splitlines() if "launcher" not in line and "Launching" not in line]
    if prefix:
        assert ours.pop(0).startswith(
            "mnist.py: warning: the broker of python -m scoop listens on every network interface"
        )
    assert len(ours) == 1, ours
    named = r"mnist\.py: error: EvaluationError: generation 0, child \d+ to \d+: RuntimeError: no such luck"
    assert re.fullmatch(named, ours[0])
    assert answer.returncode == (0 if prefix else 1)
    status = status_of(tmp_path / "run")
    assert status["state"] == "failed"
    assert "RuntimeError" in status["error"]
    assert "Traceback" in status["traceback"]
    if prefix:  # SCOOP kills its workers: what one leaves that had only begun, the next run removes
        sweep(tmp_path)
    assert not list(tmp_path.glob("deap_nn-*"))
