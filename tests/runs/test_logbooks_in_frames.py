"""Logbooks go into frames, as their CSV has them; a package that is missing is named."""

import sys

import pandas as pd
import pytest
from deap import tools
from own_callbacks import chapters
from wirings import members, plain_toolbox

from deap_nn import evolve, to_csv, to_dataframe, to_parquet
from deap_nn.callbacks import MLflowLogger, TensorBoardLogger


@pytest.fixture
def logbook():
    return evolve(members(), plain_toolbox(), 3, seed=1, stats=chapters())[1]


def test_a_frame_is_what_the_csv_says(logbook, tmp_path):
    frame = to_dataframe(logbook)
    assert list(frame) == [
        "gen",
        "nevals",
        "min",
        "avg",
        "std",
        "max",
        "sigma",
        "best_pairs",
        "fitness.largest",
        "size.largest",
    ]
    assert frame["gen"].tolist() == [0, 1, 2, 3]
    assert [str(frame[name].dtype) for name in ("gen", "min", "fitness.largest", "size.largest")] == [
        "int64",
        "float64",
        "float64",
        "int64",
    ]
    to_csv(logbook, tmp_path / "log.csv")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "log.csv"), frame)
    levels = frame.copy()
    levels.columns = levels.columns.str.split(".", expand=True)
    assert levels["fitness"]["largest"].tolist() == frame["fitness.largest"].tolist()


def test_what_a_record_lacks_is_nan_and_an_empty_logbook_an_empty_frame():
    book = tools.Logbook()
    book.record(gen=0)
    book.record(gen=1, part={"a": 3})
    assert to_dataframe(book)["part.a"].fillna(-1).tolist() == [-1, 3]
    assert to_dataframe(tools.Logbook()).empty


@pytest.mark.parametrize(
    ("module", "extra", "use"),
    [
        ("pandas", "pandas", lambda logbook, path: to_dataframe(logbook)),
        ("pyarrow", "parquet", to_parquet),
        ("tensorboard", "tensorboard", lambda logbook, path: TensorBoardLogger(path)),
        ("mlflow", "mlflow", lambda logbook, path: MLflowLogger()),
    ],
)
def test_a_missing_extra_is_one_line(logbook, tmp_path, monkeypatch, module, extra, use):
    monkeypatch.setitem(sys.modules, module, None)
    said = rf"^{module} is not installed: pip install -c constraints.txt -e '\.\[{extra}\]'$"
    with pytest.raises(ImportError, match=said):
        use(logbook, tmp_path / "log.parquet")
    assert not list(tmp_path.iterdir())
