"""Loggers: the rows of a CSV file, the filters that TensorBoard draws, and packages that are missing."""

import os
import sys

import numpy as np
import pytest
from conftest import MNIST
from deap import tools
from own_callbacks import chapters
from wirings import members, plain_toolbox

from deap_nn import Callback, CallbackError, Checkpoint, evolve, make_toolbox, to_csv
from deap_nn.callbacks.csv_logger import CSVLogger
from deap_nn.callbacks.mlflow_logger import MLflowLogger
from deap_nn.callbacks.tensorboard_logger import TensorBoardLogger, filter_sheet
from deap_nn.core.logbooks import read_csv, rows_of


def test_chapters_may_have_names_of_the_logbooks_own_columns(tmp_path):
    statistics = tools.MultiStatistics(
        fitness=tools.Statistics(lambda i: i.fitness.values[0]), length=tools.Statistics(lambda i: float(len(i) + 7))
    )
    for name, function in (("avg", np.mean), ("min", np.min), ("max", np.max), ("std", np.std)):
        statistics.register(name, function)
    logger = CSVLogger(tmp_path / "log.csv")
    population, logbook = evolve(members(), plain_toolbox(), 3, seed=1, stats=statistics, callbacks=[logger])
    lengths, last = logbook.chapters["length"], statistics.compile(population)
    assert lengths.select("avg") == [len(population[0]) + 7.0] * 4
    assert logbook.chapters["fitness"].select("avg") == logbook.select("avg")
    assert lengths.select("gen") == [0, 1, 2, 3]
    rows = rows_of(logbook)
    assert {name: rows[-1][f"length.{name}"] for name in last["length"]} == last["length"]
    assert {name: rows[-1][f"fitness.{name}"] for name in last["fitness"]} == last["fitness"]
    assert set(read_csv(tmp_path / "log.csv")) == set(rows[-1])
    assert "length" in str(logbook)


def test_a_csv_logger_writes_what_to_csv_does(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("of another run\n")
    sizes = []

    class Look(Callback):
        def on_generation(self, evolution):
            lines = path.read_text().split("\n")
            sizes.append((len(lines), lines[-1]))

    logger = CSVLogger(path)
    _, logbook = evolve(members(), plain_toolbox(), 3, seed=1, stats=chapters(), callbacks=[logger, Look()])
    assert sizes == [(3, ""), (4, ""), (5, ""), (6, "")]
    to_csv(logbook, tmp_path / "whole.csv")
    assert path.read_text() == (tmp_path / "whole.csv").read_text()
    assert path.read_text().startswith("gen,nevals,min,avg,std,max,sigma,best_pairs,fitness.largest,size.largest\n")
    evolve(members(), plain_toolbox(), 1, seed=1, callbacks=[logger])
    assert path.read_text().count("\n") == 3


@pytest.mark.parametrize("last", [0, 2])
def test_a_resumed_run_leaves_the_csv_of_an_unbroken_one(digits, tmp_path, last):
    def run(name, *callbacks):
        toolbox = make_toolbox("mlp", digits, seed=1)
        logger, checkpoint = CSVLogger(tmp_path / f"{name}.csv"), Checkpoint(tmp_path / name)
        try:
            evolve(
                toolbox.population(n=4),
                toolbox,
                4,
                seed=1,
                stats=chapters("largest", "avg"),
                callbacks=[*callbacks, logger],
                checkpoint=checkpoint,
            )
        finally:
            checkpoint.close()

    class Stop(Callback):
        def on_generation(self, evolution):
            if evolution.generation == last:
                raise KeyboardInterrupt

    run("unbroken", Callback())
    with pytest.raises(KeyboardInterrupt):
        run("broken", Stop())
    path = tmp_path / "broken.csv"
    assert path.read_text().count("\n") == last + 2
    path.write_text(path.read_text()[:-3])  # torn
    run("broken", Callback())
    assert path.read_bytes() == (tmp_path / "unbroken.csv").read_bytes()


def test_a_csv_logger_follows_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "log.csv").write_text("old")
    (tmp_path / "log.csv").symlink_to(tmp_path / "disk" / "log.csv")
    _, logbook = evolve(members(), plain_toolbox(), 2, seed=1, callbacks=[CSVLogger(tmp_path / "log.csv")])
    assert (tmp_path / "log.csv").is_symlink()
    to_csv(logbook, tmp_path / "whole.csv")
    assert (tmp_path / "disk" / "log.csv").read_text() == (tmp_path / "whole.csv").read_text()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_csv_logger_replaces_no_pipe_and_no_folder(tmp_path, make):
    make(tmp_path / "log.csv")
    with pytest.raises(ValueError, match=r"log.csv must be a regular file, which is replaced and grows row by row$"):
        CSVLogger(tmp_path / "log.csv")
    assert not (tmp_path / "log.csv").is_file()


def test_a_column_that_comes_later_is_named(tmp_path):
    toolbox, columns = plain_toolbox(), {}
    toolbox.register("assess", lambda *_, **__: dict(columns))

    class Add(Callback):
        def on_generation(self, evolution):
            columns["late"] = 1.0

    with pytest.raises(CallbackError, match=r"CSVLogger.on_generation: .*has no column late"):
        evolve(members(), toolbox, 3, seed=1, callbacks=[CSVLogger(tmp_path / "log.csv"), Add()])
    assert (tmp_path / "log.csv").read_text().count("\n") == 2


@pytest.mark.parametrize(
    ("logger", "module"), [(TensorBoardLogger, "tensorboard"), (MLflowLogger, "mlflow")], ids=["TensorBoard", "MLflow"]
)
def test_a_logger_whose_package_is_missing_says_so_in_one_line(tmp_path, monkeypatch, logger, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        ImportError, match=rf"^{module} is not installed: pip install -c constraints.txt -e '\.\[{module}\]'$"
    ):
        logger(str(tmp_path))


def test_so_does_the_experiment_before_it_makes_a_folder(run, tmp_path):
    arguments = ["mnist.py", "--output", str(tmp_path / "run"), "--tensorboard", str(tmp_path / "log")]
    code = f"import runpy, sys; sys.modules['tensorboard'] = None; sys.argv = {arguments}"
    code += f"; sys.path.insert(0, {str(MNIST.parent)!r})"
    answer = run("-c", f"{code}; runpy.run_path({str(MNIST)!r}, run_name='__main__')")
    assert answer.returncode == 2
    missing = "tensorboard is not installed: pip install -c constraints.txt -e '.[tensorboard]'"
    assert answer.stderr == f"mnist.py: error: argument --tensorboard: {missing}\n"
    assert not list(tmp_path.iterdir())


def test_filters_are_drawn_side_by_side():
    kernel = np.zeros((2, 2, 3, 5), np.float32)
    kernel[0, 0, 1, 3], kernel[1, 1, 2, 4] = 2.0, -1.0
    sheet = filter_sheet(kernel)
    assert sheet.shape == (7, 10, 3)  # two lines of three, the last place empty
    assert sheet[4, 1, 1] == 1.0
    assert sheet[5, 5, 2] == 0.25
    assert (sheet[::3] == 0).all()
    assert (sheet[:, ::3] == 0).all()
    assert (sheet[1:3, 1:3] == 0.5).all()
    assert (sheet[4:6, 7:9] == 0).all()
    assert filter_sheet(np.zeros((16, 100), np.float32)).shape == (41, 41, 1)  # 64 of them


@pytest.mark.parametrize("shape", [(9, 5), (17, 5), (3, 3, 2, 4), (5,), (2, 2, 2, 1, 3)])
def test_what_reads_no_images_has_no_filters(shape):
    assert filter_sheet(np.ones(shape, np.float32)) is None
