"""Logbooks in Parquet."""

import pandas as pd
import pyarrow.parquet
from own_callbacks import chapters
from wirings import members, plain_toolbox

from deap_nn import evolve, to_dataframe, to_parquet


def test_parquet_is_the_frame(tmp_path):
    _, logbook = evolve(members(), plain_toolbox(), 3, seed=1, stats=chapters())
    path = tmp_path / "log.parquet"
    path.write_text("of another run")
    to_parquet(logbook, path)
    pd.testing.assert_frame_equal(pd.read_parquet(path), to_dataframe(logbook), check_exact=True)
    assert pyarrow.parquet.read_schema(path).names == list(to_dataframe(logbook))
    assert [each.name for each in tmp_path.iterdir()] == ["log.parquet"]
