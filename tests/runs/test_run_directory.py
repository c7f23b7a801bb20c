"""A script keeps its run in a folder, and the folder says how the run ended."""

import contextlib
import errno
import io
import sys
from functools import partial

import numpy as np
import pytest
from deap import base, tools
from own_callbacks import Failing, Stop
from wirings import Doubled, evolve_toolbox, members, plain_toolbox

from deap_nn import (
    Annealed,
    Callback,
    CallbackError,
    KerasProblem,
    evolve,
    evolve_model,
    initNormal,
    initPopulation,
    make_toolbox,
    read_run,
    read_runs,
)
from deap_nn.callbacks import traces
from deap_nn.callbacks.early_stopping import EarlyStopping
from deap_nn.callbacks.progress import ProgressBar
from deap_nn.callbacks.run_directory import RunDirectory
from deap_nn.core.logbooks import read_csv
from deap_nn.genome.vectors import Layout
from deap_nn.genome.weight_list import Individual
from deap_nn.models.tensorflow import keras
from deap_nn.report import __main__, figures
from deap_nn.report.html import describe_run


def test_a_script_keeps_its_runs_in_few_lines(tmp_path, digits, mlp):
    for seed in (1, 2):
        toolbox = mlp(seed=seed)
        with RunDirectory(tmp_path / "runs" / str(seed), settings={"seed": seed, "batch": 64}) as directory:
            population, _ = evolve_toolbox(toolbox, n=5, ngen=2, seed=seed, callbacks=[directory])
        best = min(population, key=lambda individual: individual.fitness.values)
        run = read_run(directory.path)
        assert run.state == "finished"
        assert run.config["data"]["sha256"] == digits.reference.sha256  # there may be others of the same arrays
        assert (run.config["population"], run.config["generations"], run.config["batch"]) == (5, 2, 64)
        assert run.config["fitness"] == "cross_entropy"
        assert "</html>" in (directory.path / "report.html").read_text()
        network = toolbox.to_model(best).get_weights()
        assert all(np.array_equal(a, b) for a, b in zip(network, run.weights.values(), strict=True))
        assert np.shape(run.trace.weights) == (3, 100)
        loaded = keras.models.load_model(directory.path / "best.keras")
        assert all(np.array_equal(a, b) for a, b in zip(network, loaded.get_weights(), strict=True))
    results = read_runs(tmp_path / "runs").results()
    assert results["seed"].tolist() == [1, 2]
    assert results["state"].tolist() == ["finished"] * 2


class Gain(base.Fitness):
    weights = (2.0,)


class Gaining(Individual):
    def __init__(self, matrices=()):
        super().__init__(matrices)
        self.fitness = Gain()


@pytest.mark.parametrize(
    ("loss", "options", "own", "fitness", "measure"),
    [
        ("mse", {}, False, "mse", "mse"),
        (keras.metrics.R2Score(name="r2"), {"container": Gaining}, False, "r2", "-r2"),
        ("mse", {}, True, "fitness", "mse"),
    ],
)
def test_a_run_tells_what_its_errors_are(tmp_path, loss, options, own, fitness, measure):
    x = np.random.default_rng(1).random((40, 3), np.float32)
    problem = KerasProblem(keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]), x, x[:, :1], loss=loss)
    toolbox = make_toolbox(problem, seed=1, **options)
    if own:
        toolbox.register("evaluate", Doubled(toolbox.evaluate))
    evolve_toolbox(toolbox, n=4, ngen=1, callbacks=[RunDirectory(tmp_path / "run")])
    config = read_run(tmp_path / "run").config
    assert (config["fitness"], config["measure"], config["data"]["train"]) == (fitness, measure, 32)
    assert ("batch_size" in config) is not own


def test_a_metric_that_is_maximised_is_shown_as_it_is(tmp_path):
    x, screen = np.random.default_rng(1).random((40, 3), np.float32), io.StringIO()
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    settings = {"loss": keras.metrics.R2Score(name="r2"), "container": Gaining, "population": 4, "seed": 1}
    callbacks = [ProgressBar(screen), EarlyStopping(target=1e9), RunDirectory(tmp_path / "run")]
    result = evolve_model(model, x, x[:, :1], **settings, callbacks=callbacks)
    r2 = result.evaluate(x[32:], x[32:, :1])["r2"]
    assert repr(result).endswith(f", validation r2 {r2:.4g}>")
    assert f" (val r2 {r2:.3f}), sigma" in screen.getvalue()
    run = describe_run(tmp_path / "run")
    assert run["status"]["stopped_by"] == f"target: validation r2 {r2:.4f} reached -1e+09"
    assert (run["measure"], run["logbook"]["val_error"]) == ("r2", [pytest.approx(r2, rel=1e-5)])


@pytest.fixture
def drawn(monkeypatch):
    """The figures that would be saved."""
    saved = []
    monkeypatch.setattr(figures, "save_figure", lambda figure, path: saved.append(figure))
    return saved


@pytest.mark.parametrize(
    ("fitness", "measure", "labels"),
    [
        ("cross_entropy", "error", ["validation error rate", "cross-entropy (nats)"]),
        ("auc", "-auc", ["validation auc", "auc"]),
    ],
)
def test_the_axes_say_what_is_drawn(drawn, tmp_path, fitness, measure, labels):
    columns = {"gen": [0, 1], "avg": [5.0, 4.0], "min": [3.0, 2.0], "val_error": [4.0, 3.0]}
    options = {"fitness": fitness, "measure": measure, "kept": (1, 3.0), "classes": 10}
    figures.draw_fitness(columns, tmp_path / "fitness.png", **options)
    assert [axes.get_ylabel() for axes in drawn[0].axes] == labels
    lines = {line.get_label(): list(line.get_ydata()) for line in drawn[0].axes[0].get_lines()}
    sign = -1 if measure == "-auc" else 1
    expected = {"best member": [4 * sign, 3 * sign], "its median of ten generations": [4 * sign, 3.5 * sign]}
    chance = {"chance": [0.9, 0.9]} if measure == "error" else {}
    assert lines == {**expected, **chance, f"kept: {3 * sign}": [3 * sign]}


def test_the_best_is_the_most_where_that_is_wanted(drawn, tmp_path):
    columns = {"gen": [0, 1], "avg": [-5.0, -4.0], "min": [-9.0, -8.0], "max": [-3.0, -2.0]}
    figures.draw_fitness(columns, tmp_path / "fitness.png", maximised=True)
    lines = {line.get_label(): list(line.get_ydata()) for line in drawn[0].axes[0].get_lines()}
    assert lines == {"average": [-5.0, -4.0], "best": [-3.0, -2.0]}
    assert drawn[0].axes[0].get_yscale() == "linear"


def negated(individual):
    return (-float((individual.flat**2).sum()),)


def test_the_report_of_a_run_that_maximises(tmp_path, monkeypatch, capsys):
    layout = Layout(("kernel",), ((3, 3),))
    toolbox = plain_toolbox(evaluate=negated, individual=partial(initNormal, Gaining, layout))
    toolbox.register("population", initPopulation, toolbox, 1)
    folder = tmp_path / "run"
    with RunDirectory(folder, settings={"weights": [-0.3]}) as directory:
        members, _ = evolve_toolbox(toolbox, n=6, ngen=3, callbacks=[directory])
    run = describe_run(folder)
    assert run["config"]["fitness_weights"] == [2.0]
    assert run["config"]["weights"] == [-0.3]
    assert run["logbook"]["max"][-1] == pytest.approx(max(negated(member)[0] for member in members))
    seen = {}
    monkeypatch.setattr("deap_nn.report.figures.draw_fitness", lambda columns, path, **options: seen.update(options))
    monkeypatch.setattr(sys, "argv", ["report", str(folder)])
    assert __main__.main() == 0
    assert seen["maximised"]


def test_a_script_resumes_its_run(tmp_path, mlp):
    def go(ngen, **given):
        toolbox = mlp()
        with RunDirectory(tmp_path / "run", **given) as directory:
            members = toolbox.population(n=5)
            checkpoint = tmp_path / "run" / "checkpoint"
            members, _ = evolve(members, toolbox, ngen, seed=1, callbacks=[directory], checkpoint=checkpoint)
        return toolbox.to_model(min(members, key=lambda individual: individual.fitness.values)).get_weights()

    go(1, settings={"sigma": Annealed(0.5, 0.1, 3), "place": tmp_path, "seed": 1})
    config = read_run(tmp_path / "run").config
    assert (config["sigma"], config["place"]) == ("Annealed(0.5, 0.1, 3)", repr(tmp_path))
    with pytest.raises(ValueError, match="settings are not for a resumed run"):
        go(3, again=True, settings={"seed": 2})
    best = go(3, again=True)
    run = read_run(tmp_path / "run")
    assert run.config == config
    assert (run.state, run.status["generations"]) == ("finished", 3)
    assert all(np.array_equal(a, b) for a, b in zip(best, run.weights.values(), strict=True))


@pytest.mark.parametrize(
    ("ends", "state", "generation"), [(Failing("on_generation"), "failed", 0), (Stop(1), "interrupted", 1)]
)
def test_what_is_caught_in_the_body_did_not_finish_all_the_same(tmp_path, ends, state, generation):
    with RunDirectory(tmp_path / "run") as directory, contextlib.suppress(CallbackError, KeyboardInterrupt):
        evolve(members(), plain_toolbox(), 3, seed=1, callbacks=[directory, ends])
    status = read_run(tmp_path / "run").status
    assert (status["state"], status["generations"]) == (state, generation)
    assert status["seconds"] > 0
    assert [matrix.shape for matrix in read_run(tmp_path / "run").weights.values()] == list(members()[0].shapes)


@pytest.mark.parametrize(
    ("more", "state"),
    [(Callback(), "finished"), (Failing("on_generation"), "failed"), (Stop(0), "interrupted")],
)
def test_a_run_directory_among_the_callbacks_alone_ends_with_the_run(tmp_path, mlp, more, state):
    toolbox = mlp()
    directory = RunDirectory(tmp_path / "run")
    with contextlib.suppress(CallbackError, KeyboardInterrupt):
        evolve_toolbox(toolbox, n=4, ngen=2, callbacks=[directory, more])
    run = read_run(tmp_path / "run")
    assert run.state == run.status["state"] == state
    assert [matrix.shape for matrix in run.weights.values()] == list(toolbox.layout.shapes)
    assert (tmp_path / "run" / "best.keras").exists()
    assert f'"state":"{state}"' in (tmp_path / "run" / "report.html").read_text()
    assert ("error" in run.status) == (state == "failed")


def test_a_run_whose_statistics_cannot_be_written_says_why(tmp_path, mlp):
    toolbox = mlp()
    directory, statistics = RunDirectory(tmp_path / "run"), tools.Statistics(lambda member: member.fitness.values)
    statistics.register("spread", lambda values: {values[0][0]})
    with pytest.raises(CallbackError, match=r"RunDirectory.on_generation: TypeError: Object of type set"):
        evolve_toolbox(toolbox, n=4, ngen=2, stats=statistics, callbacks=[directory])
    run = read_run(tmp_path / "run")
    assert run.state == "failed"
    assert run.status["error"].startswith("CallbackError: RunDirectory.on_generation: TypeError: Object of type set")
    assert [matrix.shape for matrix in run.weights.values()] == list(toolbox.layout.shapes)


def test_so_does_one_whose_end_alone_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(RunDirectory, "_write_statistics", lambda *_: 1 / 0)
    directory = RunDirectory(tmp_path / "run")
    directory._next_statistics = 9
    with pytest.raises(CallbackError, match=r"RunDirectory.on_end: ZeroDivisionError"):
        evolve(members(), plain_toolbox(), 2, seed=1, callbacks=[directory])
    assert read_run(tmp_path / "run").status["error"] == "ZeroDivisionError: division by zero"


def test_a_best_that_cannot_be_written_is_a_failed_run_and_does_not_hide_what_ended_it(tmp_path, monkeypatch):
    def full(self, weights):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RunDirectory, "write_weights", full)
    with pytest.raises(OSError, match="No space left"), RunDirectory(tmp_path / "whole") as directory:
        evolve(members(), plain_toolbox(), 1, seed=1, callbacks=[directory])
    callbacks = [RunDirectory(tmp_path / "failing"), Failing("on_generation")]
    with (
        pytest.warns(UserWarning, match=r"best.npz is not written: .*No space left"),
        pytest.raises(CallbackError, match="ZeroDivisionError"),
    ):
        evolve(members(), plain_toolbox(), 2, seed=1, callbacks=callbacks)
    assert [run.state for run in read_runs(tmp_path)] == ["failed", "failed"]


def test_a_folder_is_for_one_run(tmp_path):
    with RunDirectory(tmp_path / "none"):
        pass
    assert read_run(tmp_path / "none").status["error"] == "no run had this RunDirectory among its callbacks"
    with RunDirectory(tmp_path / "two") as directory:
        evolve(members(), plain_toolbox(), 1, seed=1, callbacks=[directory])
        with pytest.raises(CallbackError, match="has a run already: make a RunDirectory for each"):
            evolve(members(), plain_toolbox(), 1, seed=2, callbacks=[directory])
    assert read_run(tmp_path / "two").state == "finished"


def test_what_cannot_be_built_again_is_kept_as_weights(tmp_path):
    class Odd(keras.Model):
        def __init__(self, out):
            super().__init__()
            self.out = out

        def call(self, x):
            return self.out(x)

    x = np.ones((20, 2), np.float32)
    model = Odd(keras.layers.Dense(1))
    model(x)
    toolbox = make_toolbox(KerasProblem(model, x, x[:, :1], loss="mse"), seed=1)
    said = r"best\.keras is not written: model 'odd.*' cannot be built again"
    with pytest.warns(UserWarning, match=said), RunDirectory(tmp_path / "run") as directory:
        evolve_toolbox(toolbox, n=4, ngen=1, callbacks=[directory])
    assert read_run(tmp_path / "run").state == "finished"
    assert (tmp_path / "run" / "best.npz").exists()
    assert not (tmp_path / "run" / "best.keras").exists()


def test_a_row_that_cannot_be_written_whole_is_not_written_twice(mlp, tmp_path, monkeypatch):
    toolbox = mlp()
    directory = RunDirectory(tmp_path / "run")
    directory.trace_weights(toolbox.layout, 1)
    timings, append = [], traces.append_text

    def full_once(path, text):
        timings.extend([path] if path.name == "timing.csv" else [])
        if len(timings) == 2:
            timings.append(path)
            raise OSError(errno.ENOSPC, "No space left on device")
        append(path, text)

    monkeypatch.setattr(traces, "append_text", full_once)
    with pytest.raises(CallbackError, match=r"RunDirectory.on_generation: OSError: .*No space left"):
        evolve_toolbox(toolbox, n=4, ngen=9, callbacks=[directory])
    directory.close("failed")
    for name in ("logbook.csv", "timing.csv"):
        assert read_csv(directory.path / name)["gen"] == [0, 1, 2]  # the last one when there was room again, at the end
    with np.load(directory.path / "trace.npz") as trace:
        assert len(trace["weights"]) == 3
