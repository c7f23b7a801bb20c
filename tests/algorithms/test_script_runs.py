"""What the folder of a script's own run tells, and what is left of it in memory."""

import gc
import json
import time
import weakref

import keras
import numpy as np
import pytest
from deap import tools
from wirings import evolve_toolbox, members, plain_toolbox, wired

from deap_nn import Callback, CallbackError, KerasProblem, RunDirectory, evolve, make_toolbox, read_run
from deap_nn.breeding.lineage import Lineage
from deap_nn.callbacks.early_stopping import EarlyStopping
from deap_nn.callbacks.predictions import write_predictions
from deap_nn.report.html import describe_run


def kept(folder, toolbox, ngen=3, *, n=8, settings=None, checkpoint=True, **keywords):
    with RunDirectory(folder, settings=settings) as directory:
        place = folder / "checkpoint" if checkpoint else None
        evolve_toolbox(toolbox, n=n, ngen=ngen, callbacks=[directory], checkpoint=place, **keywords)
    return describe_run(folder)


def test_a_folder_knows_its_run(tmp_path, digits, mlp):
    toolbox = mlp(batch_size=32)
    settings = {"n": np.int64(5), "seed": 7}
    config = kept(tmp_path / "run", toolbox, settings=settings, mutpb=0.5)["config"]
    assert (config["seed"], config["cxpb"], config["mutpb"], config["batch_size"]) == (7, 1.0, 0.5, 32)
    assert config["n"] == 5
    assert config["data"]["sha256"] == digits.reference.sha256
    assert config["select"].startswith("selRankBoosted(pressure=1.5, boost=2.0")
    assert config["mutate"].startswith("mutGaussianAdaptive(sigma=ErrorScaled(0.128, fitness='cross_entropy')")


@pytest.mark.parametrize("name", ["data", "fitness_weights", "versions"])
def test_a_setting_that_the_run_writes_itself_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=f"settings must not name '{name}': config.json has"):
        RunDirectory(tmp_path / "run", settings={name: "mine"})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("last", "loss", "targets"),
    [
        ([keras.layers.Dense(3, activation="softmax")], "error", lambda y: np.eye(3)[y % 3]),
        ([keras.layers.Dense(1, activation="sigmoid")], "cross_entropy", lambda y: (y % 2)[:, None]),
    ],
)
def test_answers_of_a_keras_problem_add_up_to_its_error(tmp_path, last, loss, targets):
    rng = np.random.default_rng(1)
    x, y = rng.random((60, 4, 4), np.float32), rng.integers(0, 6, 60)
    model = keras.Sequential([keras.Input((4, 4)), keras.layers.Flatten(), *last])
    toolbox = make_toolbox(KerasProblem(model, x, targets(y), loss=loss), seed=1)
    assert kept(tmp_path / "run", toolbox).keys() >= {"filters", "answers"}
    network = toolbox.individual()
    write_predictions(tmp_path / "answers.npz", toolbox, network)
    with np.load(tmp_path / "answers.npz") as found:
        error = 1 - np.trace(found["confusion"]) / found["confusion"].sum()
        assert found["confusion"].sum() == 12
        assert found["images"].shape[1:] == (4, 4)
    wrong = make_toolbox(KerasProblem(model, x, targets(y), loss="error"), seed=1)
    assert error == pytest.approx(wrong.scores(network, "validation")[0], abs=1e-6)


def test_what_has_no_classes_has_no_answers(tmp_path):
    x = np.random.default_rng(1).random((40, 4), np.float32)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    for name, more in (("regression", {"loss": "mse"}), ("unvalidated", {"loss": "error", "validation_split": 0})):
        toolbox = make_toolbox(KerasProblem(model, x, (x[:, 0] > 0.5).astype(int), **more), seed=1)
        assert not kept(tmp_path / name, toolbox).keys() & {"answers", "filters"}


class Assessed:
    """An ``assess`` that tells something in some generations only."""

    def __init__(self, reason):
        self.reason = reason

    def __call__(self, best, generation, map=map):
        return self.reason(generation)


def test_a_row_that_lacks_a_column_leaves_its_place_empty(tmp_path):
    toolbox = plain_toolbox()
    toolbox.register("assess", Assessed(lambda generation: {} if generation % 2 else {"val_error": 0.5}))
    with RunDirectory(tmp_path / "run") as directory:
        evolve(members(), toolbox, 3, seed=1, callbacks=[directory])
    run = read_run(tmp_path / "run")
    assert np.array_equal(run.logbook.select("val_error"), [0.5, np.nan, 0.5, np.nan], equal_nan=True)
    assert np.isfinite(run.logbook.select("max")).all()


def test_a_column_that_comes_late_is_named(tmp_path):
    toolbox = plain_toolbox()
    toolbox.register("assess", Assessed(lambda generation: {"val_error": 0.5} if generation else {}))
    said = "RunDirectory.on_generation: ValueError: logbook.csv has no column val_error: all columns must be there in"
    with pytest.raises(CallbackError, match=said), RunDirectory(tmp_path / "run") as directory:
        evolve(members(), toolbox, 3, seed=1, callbacks=[directory])


@pytest.mark.parametrize("again", [False, True])
def test_statistics_that_are_no_numbers_are_in_the_logbooks_json_alone(tmp_path, again):
    statistics = tools.Statistics(lambda individual: individual.fitness.values)
    statistics.register("mean", np.mean, axis=0)
    statistics.register("text", lambda values: "a,b")
    statistics.register("median", np.median)
    keywords = {"stats": statistics, "checkpoint": tmp_path / "run" / "checkpoint"}
    for more, ngen in [({}, 2), *([({"again": True}, 4)] if again else [])]:
        with RunDirectory(tmp_path / "run", **more) as directory:
            _, logbook = evolve_toolbox(wired(), n=6, ngen=ngen, callbacks=[directory], **keywords)
    run = read_run(tmp_path / "run")
    assert run.logbook.select("median") == logbook.select("median")
    assert not {"mean", "text"} & set(run.logbook.header)
    assert json.loads((tmp_path / "run" / "logbook.json").read_text())[-1]["text"] == "a,b"
    assert (tmp_path / "run" / "report.html").exists()


def test_the_reason_of_a_stop_is_kept_with_either_order_of_callbacks(tmp_path):
    for place in (0, 1):
        with RunDirectory(tmp_path / f"{place}") as directory:
            callbacks = [EarlyStopping(max_seconds=0)]
            callbacks.insert(place, directory)
            evolve(members(), plain_toolbox(), 3, seed=1, callbacks=callbacks)
        assert read_run(tmp_path / f"{place}").status["stopped_by"].startswith("max-seconds")


def test_the_seconds_of_a_run_that_went_on_are_those_of_all_of_it(tmp_path):
    class Slow(Callback):
        def on_generation(self, evolution):
            time.sleep(0.3)

    for ngen, again in ((2, False), (3, True)):
        with RunDirectory(tmp_path / "run", again=again) as directory:
            callbacks = [directory, Slow()] if not again else [directory]
            evolve_toolbox(wired(), n=4, ngen=ngen, callbacks=callbacks, checkpoint=tmp_path / "kept")
    assert 0.6 <= read_run(tmp_path / "run").status["seconds"] < 30


def test_nothing_of_a_run_is_held_once_its_folder_is_closed(tmp_path):
    alive = []

    class Watch(Callback):
        def on_generation(self, evolution):
            alive.append(weakref.ref(evolution))
            alive.append(weakref.ref(evolution.map.__self__))

    toolbox = wired()
    with RunDirectory(tmp_path / "run") as directory:
        evolve_toolbox(toolbox, n=4, ngen=1, callbacks=[directory, Watch()])
    assert isinstance(alive[1](), Lineage | None)
    gc.collect()
    assert [one() for one in alive] == [None] * 4
    with pytest.raises(CallbackError, match="has a run already"):
        evolve_toolbox(toolbox, n=4, ngen=1, callbacks=[directory])
