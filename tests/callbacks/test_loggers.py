"""Loggers: chapters in a CSV file, the filters that TensorBoard draws, and packages that are missing."""

import sys

import numpy as np
import pytest
from deap import tools
from wirings import members, plain_toolbox

from deap_nn import RunDirectory, evolve
from deap_nn.callbacks.loggers import MLflowLogger, TensorBoardLogger, filter_sheet
from deap_nn.core.logbooks import read_csv, rows_of


def test_chapters_may_have_names_of_the_logbooks_own_columns(tmp_path):
    statistics = tools.MultiStatistics(
        fitness=tools.Statistics(lambda i: i.fitness.values[0]), length=tools.Statistics(lambda i: float(len(i) + 7))
    )
    for name, function in (("avg", np.mean), ("min", np.min), ("max", np.max), ("std", np.std)):
        statistics.register(name, function)
    directory = RunDirectory(tmp_path / "run")
    population, logbook = evolve(members(), plain_toolbox(), 3, seed=1, stats=statistics, callbacks=[directory])
    lengths, last = logbook.chapters["length"], statistics.compile(population)
    assert lengths.select("avg") == [len(population[0]) + 7.0] * 4
    assert logbook.chapters["fitness"].select("avg") == logbook.select("avg")
    assert lengths.select("gen") == [0, 1, 2, 3]
    rows = rows_of(logbook)
    assert {name: rows[-1][f"length.{name}"] for name in last["length"]} == last["length"]
    assert {name: rows[-1][f"fitness.{name}"] for name in last["fitness"]} == last["fitness"]
    assert set(read_csv(tmp_path / "run" / "logbook.csv")) == set(rows[-1])
    assert "length" in str(logbook)


@pytest.mark.parametrize(
    ("logger", "module"), [(TensorBoardLogger, "tensorboard"), (MLflowLogger, "mlflow")], ids=["TensorBoard", "MLflow"]
)
def test_a_logger_whose_package_is_missing_says_so_in_one_line(tmp_path, monkeypatch, logger, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        ImportError, match=rf"^{module} is not installed: pip install -c constraints.txt -e '\.\[{module}\]'$"
    ):
        logger(str(tmp_path))


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
