"""The calls of callbacks: in order, to the end, and the one that fails is named."""

import errno
import re

import limits
import numpy as np
import pytest
from deap import tools
from own_callbacks import Failing, Screen, Stop
from wirings import members, plain_toolbox, wired

from deap_nn import Callback, CallbackError, evolve, make_toolbox
from deap_nn.callbacks import progress
from deap_nn.callbacks.progress import ProgressBar
from deap_nn.callbacks.run_directory import RunDirectory
from deap_nn.core.errors import EvaluationError
from deap_nn.core.logbooks import read_csv


def test_a_callback_interrupted_at_the_end_leaves_the_end_to_the_others():
    failing, after = Failing("on_end", error=KeyboardInterrupt()), Failing()
    with pytest.raises(KeyboardInterrupt):
        evolve(members(), plain_toolbox(), 1, seed=1, callbacks=[failing, after])
    assert after.called[-1] == "on_end"
    assert after.ended_by is failing.error


@pytest.mark.parametrize("method", ["on_start", "on_generation", "on_end"])
def test_a_callback_that_raises_is_named_and_on_end_of_the_others_is_called(method):
    before, failing, after = Failing(), Failing(method), Failing()
    with pytest.raises(CallbackError) as raised:
        evolve(members(), plain_toolbox(), 1, seed=1, callbacks=[before, failing, after])
    assert str(raised.value) == f"Failing.{method}: ZeroDivisionError: of course"
    assert (raised.value.callback, raised.value.method) == (failing, method)
    assert raised.value.__cause__ is failing.error
    assert before.called[-1] == "on_end"
    assert failing.called[-1] == "on_end"
    assert after.called[-1:] == ([] if method == "on_start" else ["on_end"])  # it never knew of the start
    if method != "on_end":
        assert before.ended_by is raised.value


def test_a_plain_function_is_called_after_each_generation_in_its_turn():
    called = []

    def noted(evolution):
        called.append((evolution.generation, evolution.row["min"]))

    class Last(Callback):
        def on_generation(self, evolution):
            assert len(called) == evolution.generation + 1

    _, logbook = evolve(members(), plain_toolbox(), 2, seed=1, callbacks=[noted, Last()])
    evolve(members(), plain_toolbox(), 0, seed=1, callbacks=lambda run: called.append((run.generation, None)))
    assert called.pop() == (0, None)
    assert called == list(zip(*logbook.select("gen", "min"), strict=True))
    seen = []
    callbacks = [lambda run: setattr(run, "stop", "enough"), lambda run: seen.append(run.last)]
    assert len(evolve(members(), plain_toolbox(), 9, seed=1, callbacks=callbacks)[1]) == 1
    assert seen == [True]


@pytest.mark.parametrize("given", [[3], 3, [Callback], Callback, ["on_start"]])
def test_another_object_than_a_callback_or_a_function_is_named(given):
    said = (
        r"^callbacks must be of deap_nn.callbacks, such as EarlyStopping\(patience=9\), or functions of the evolution, "
    )
    with pytest.raises(TypeError, match=said):
        evolve(members(), plain_toolbox(), 1, seed=1, callbacks=given)


@pytest.mark.parametrize("method", ["state", "restore", "members"])
def test_so_is_one_that_fails_at_a_checkpoint(tmp_path, method):
    def run(callback, generations):
        toolbox, words = wired(), {"checkpoint": tmp_path / "checkpoint", "keyframe_weights": 0}
        limits.evolve(toolbox.population(n=4), toolbox, generations, seed=1, callbacks=[callback], **words)

    if method == "restore":
        run(Failing(), 1)
    with pytest.raises(CallbackError, match=rf"^Failing\.{method}: ZeroDivisionError: of course$"):
        run(Failing(method), 2)


def test_what_fails_at_the_end_too_is_a_note():
    both = Failing("on_generation", "on_end")
    with pytest.raises(CallbackError, match="on_generation") as raised:
        evolve(members(), plain_toolbox(), 1, seed=1, callbacks=[both])
    assert raised.value.__notes__ == ["and then: CallbackError: Failing.on_end: ZeroDivisionError: of course"]


@pytest.mark.parametrize(
    "error",
    [
        EvaluationError("child 3"),
        MemoryError(),
        OSError(errno.ENOMEM, "none"),
        type("ResourceExhaustedError", (Exception,), {})(),  # TensorFlow's, of a GPU
        KeyboardInterrupt(),
    ],
)
def test_what_has_a_name_of_its_own_keeps_its_type(error):
    with pytest.raises(type(error)) as raised:
        evolve(members(), plain_toolbox(), 1, seed=1, callbacks=[Failing("on_generation", error=error)])
    assert raised.value is error


def test_a_run_that_cannot_resume_leaves_its_files_as_they_are(digits, tmp_path):
    def run(callback, directory):
        toolbox, callbacks = make_toolbox("mlp", digits, seed=1), [callback, directory]
        with directory:
            evolve(toolbox.population(n=4), toolbox, 3, callbacks=callbacks, checkpoint=tmp_path / "checkpoint")

    def content():
        paths = [path for path in (tmp_path / "run").iterdir() if path.is_file()]
        return {path.name: path.read_bytes() for path in paths}

    run(Failing(), RunDirectory(tmp_path / "run"))
    before = content()
    assert {"best.npz", "best.keras", "answers.npz", "status.json"} <= before.keys()
    with pytest.raises(CallbackError, match=r"Failing\.restore"):
        run(Failing("restore"), RunDirectory(tmp_path / "run", again=True))
    assert content() == before
    toolbox = make_toolbox("mlp", digits, seed=1)
    refused = pytest.raises(CallbackError, match="has a run that this one does not resume")
    with refused, RunDirectory(tmp_path / "run", again=True) as directory:
        evolve(toolbox.population(n=4), toolbox, 3, seed=1, callbacks=[directory])  # without its checkpoint
    assert content() == before


def test_an_interrupted_resume_leaves_the_result_of_the_former_end(digits, tmp_path):
    def run(generations, *more):
        toolbox = make_toolbox("mlp", digits, seed=1)
        with RunDirectory(tmp_path / "run", again=generations > 1) as directory:
            callbacks, checkpoint = [directory, *more], tmp_path / "checkpoint"
            evolve(toolbox.population(n=4), toolbox, generations, callbacks=callbacks, checkpoint=checkpoint)

    run(1)
    result = {name: (tmp_path / "run" / name).read_bytes() for name in ("best.npz", "best.keras", "answers.npz")}
    with pytest.raises(KeyboardInterrupt):
        run(5, Stop(3))
    assert {name: (tmp_path / "run" / name).read_bytes() for name in result} == result
    run(5)
    assert (tmp_path / "run" / "best.npz").read_bytes() != result["best.npz"]


@pytest.mark.parametrize(
    ("state", "said"),
    [(None, "'NoneType'"), ({"a": {1}}, "not JSON serializable")],
)
def test_a_state_that_cannot_be_kept_is_named_and_leaves_the_checkpoint_readable(tmp_path, state, said):
    class Keeps(Callback):
        def state(self):
            return state if len(kept) > 1 else {"rate": np.float32(0.5)}

        def on_generation(self, evolution):
            kept.append(evolution.generation)

    kept, toolbox = [], wired()
    with pytest.raises(CallbackError, match=rf"^Keeps\.state: TypeError: .*{re.escape(said)}"):
        evolve(toolbox.population(n=4), toolbox, 4, seed=1, callbacks=[Keeps()], checkpoint=tmp_path)
    _, resumed = evolve(wired().population(n=4), wired(), 4, seed=1, checkpoint=tmp_path)
    assert resumed.select("gen") == list(range(5))


def test_a_run_that_was_once_resumed_with_another_statistic_can_be_resumed(tmp_path):
    def run(generations, stats=None):
        toolbox = wired()
        words = {"stats": stats, "checkpoint": tmp_path / "checkpoint"}
        callbacks = [RunDirectory(tmp_path / "run", again=generations > 1)]
        return evolve(toolbox.population(n=4), toolbox, generations, seed=1, callbacks=callbacks, **words)[1]

    run(1)
    median = tools.Statistics(lambda individual: individual.fitness.values[0])
    median.register("median", np.median)
    with pytest.raises(CallbackError, match="has no column median"):
        run(3, median)
    logbook = run(3)
    assert logbook.select("gen") == [0, 1, 2, 3]
    columns = read_csv(tmp_path / "run" / "logbook.csv")
    assert columns["min"] == pytest.approx(logbook.select("min"))
    assert np.isnan(columns["median"]).tolist() == [True, True, False, True]
    assert list(columns)[-1] == "median"


def test_evolve_shows_a_bar_in_a_notebook_if_it_is_verbose(monkeypatch):
    screen = Screen(terminal=False)
    monkeypatch.setattr(progress.sys, "stderr", screen)

    def said(**keywords):
        screen.text = ""
        evolve(members(), plain_toolbox(), 1, seed=1, **keywords)
        return screen.text

    assert said(verbose=True) == ""
    assert said(callbacks=[ProgressBar()]).count("\n") == 2
    monkeypatch.setattr("deap_nn.algorithms.evolving.in_notebook", lambda: True)
    assert said() == ""
    assert said(verbose=True).count("\n") == 2


def test_a_bar_in_a_notebook_needs_no_terminal(monkeypatch):
    screen = Screen(terminal=False)
    monkeypatch.setattr(progress.sys, "stderr", screen)
    monkeypatch.setattr(progress, "in_notebook", lambda: True)
    evolve(members(), plain_toolbox(), 1, seed=1, callbacks=[ProgressBar()])
    assert "gen 1/1 |" in screen.text
    assert "\r" in screen.text
