"""DEAP logbooks as pandas DataFrames and as Parquet."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from deap import tools

from deap_nn.core.files import writing
from deap_nn.core.logbooks import columns_of, rows_of
from deap_nn.core.optional import optional

if TYPE_CHECKING:
    import pandas as pd


def to_dataframe(logbook: tools.Logbook) -> pd.DataFrame:
    """Return a logbook as a pandas DataFrame, a row per record.

    Parameters
    ----------
    logbook : deap.tools.Logbook
        Its chapters become columns named ``chapter.column``, as in `to_csv`; a value that a record lacks is NaN.

    Returns
    -------
    pandas.DataFrame
        In the logbook's order, with the index 0, 1, ... To get columns of several levels, split their names:
        ``frame.columns = frame.columns.str.split(".", expand=True)``.

    Raises
    ------
    ImportError
        If pandas is not installed: ``pip install -c constraints.txt -e '.[pandas]'``.

    Examples
    --------
    >>> logbook = tools.Logbook()
    >>> logbook.record(gen=0, fitness={"min": 0.5})
    >>> logbook.record(gen=1, fitness={"min": 0.25})
    >>> to_dataframe(logbook)
       gen  fitness.min
    0    0         0.50
    1    1         0.25
    """
    with optional("pandas"):
        import pandas as pd
    rows = rows_of(logbook)
    return pd.DataFrame(rows, columns=columns_of(logbook, rows))


def to_parquet(logbook: tools.Logbook, path: str | os.PathLike[str]) -> None:
    """Write a logbook as Parquet, with the columns of `to_dataframe`.

    Parameters
    ----------
    logbook : deap.tools.Logbook
        All values of a column must have one type; arrays become lists.
    path : path-like
        Replaced whole.

    Raises
    ------
    ImportError
        If pandas or pyarrow is not installed: ``pip install -c constraints.txt -e '.[parquet]'``.
    """
    with optional("parquet"):
        import pyarrow  # noqa: F401  (pandas imports it)
    frame = to_dataframe(logbook)
    with writing(path) as file:
        frame.to_parquet(file, engine="pyarrow", index=False)
