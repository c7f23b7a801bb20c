"""DEAP logbooks as CSV, JSON, pandas DataFrames and Parquet."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from deap import tools

from deap_nn.core.environment import optional
from deap_nn.core.files import finite, json_text, plain, writing

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]

_INTEGER = re.compile(r"-?\d+", re.ASCII)

SHARED = "gen"
"""The column of a record that `record` copies into each chapter."""


def measure_of(name: str) -> tuple[str, int]:
    """Return the name of a measure as text, and -1 if the log has its negative, as for ``-auc``, else 1."""
    text = name.removeprefix("-").replace("_", " ")
    return {"error": "error rate", "cross entropy": "cross-entropy"}.get(text, text), 1 - 2 * name.startswith("-")


def record(logbook: tools.Logbook, row: Mapping[str, Any]) -> None:
    """Add a record to a logbook; mappings in it become entries of chapters.

    ``Logbook.record`` copies every other value of the record into each chapter, over the chapter's own value of the
    same name. Here a chapter's entry has its own values and ``gen``.
    """
    beside = {name: value for name, value in row.items() if not isinstance(value, Mapping)}
    logbook.record(**beside)
    for name, value in row.items():
        if isinstance(value, Mapping):
            record(logbook.chapters[name], {SHARED: row[SHARED], **value} if SHARED in row else value)


def rows_of(logbook: tools.Logbook) -> list[Row]:
    """Return the records of a logbook as flat rows, a chapter's columns named ``chapter.column``.

    Values that DEAP or `record` has copied from a record into a chapter are left out. A record without an entry in a
    chapter lacks the chapter's columns.
    """
    rows = [dict(record) for record in logbook]
    for name, chapter in logbook.chapters.items():
        unplaced = iter(rows_of(chapter))
        entry = next(unplaced, None)
        for row, record in zip(rows, logbook, strict=True):
            own = None if entry is None else _own(entry, plain(record))
            if own is not None:
                row.update({f"{name}.{key}": value for key, value in own.items()})
                entry = next(unplaced, None)
    return [{key: plain(value) for key, value in row.items()} for row in rows]


def last_record(logbook: tools.Logbook) -> Row:
    """Return the last record of a logbook, its chapters' entries nested as ``Logbook.record`` takes them."""
    beside = plain(dict(logbook[-1]))
    record: Row = dict(beside)
    for name, chapter in logbook.chapters.items():
        own = _own(last_record(chapter), beside) if len(chapter) else None
        if own is not None:
            record[name] = own
    return record


def _own(entry: Mapping[str, Any], record: Mapping[str, Any]) -> Row | None:
    """Return the values of a chapter's entry that are not copies of the record's, or None if it is not the record's."""
    # DEAP copies the whole record into a chapter's entry, `record` only ``gen``.
    repeated = record.keys() if record.keys() <= entry.keys() else {SHARED}
    if not all(key in entry and key in record and _same(entry[key], record[key]) for key in repeated):
        return None
    return {key: value for key, value in entry.items() if key not in repeated}


def flattened(record: Row) -> Row:
    """Return a record of nested rows as one row, with columns ``chapter.column``."""
    row: Row = {}
    for name, value in record.items():
        if isinstance(value, dict):
            row.update({f"{name}.{key}": inner for key, inner in flattened(value).items()})
        else:
            row[name] = value
    return row


def _same(a: Any, b: Any) -> bool:
    """Whether two plain values are equal; NaN equals NaN."""
    return json.dumps(finite(plain(a)), default=str) == json.dumps(finite(b), default=str)


def as_number(name: str, value: Any) -> Any:
    """Return a user's statistic that replaces a column of `evolve` as a number; ValueError if it is none."""
    if np.size(value) != 1 or not np.issubdtype(np.asarray(value).dtype, np.number):
        raise ValueError(f"stats: column {name!r} must be a number, or have another name, got {reprlib.repr(value)}")
    return np.asarray(value).item()


def columns_of(logbook: tools.Logbook, rows: Sequence[Row]) -> list[str]:
    """Return the column names of the rows that `rows_of` makes of a logbook, those of its header first."""
    present = list(dict.fromkeys(key for row in rows for key in row))
    wished = [name for name in (logbook.header or []) if name in present]
    return wished + [name for name in present if name not in wished]


def format_row(values: Sequence[Any]) -> str:
    """Return a line of CSV with its line end; floats in full precision."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(["" if value is None else value for value in values])
    return text.getvalue()


def parse_rows(text: str) -> list[dict[str, str]]:
    """Return the rows of a CSV text; each row must have all columns."""
    head, *rows = csv.reader(io.StringIO(text))
    return [dict(zip(head, row, strict=True)) for row in rows]


def to_csv(logbook: tools.Logbook, path: str | os.PathLike[str]) -> None:
    r"""Write a logbook as CSV, a row per record.

    Parameters
    ----------
    logbook : deap.tools.Logbook
        Its chapters become columns named ``chapter.column``; NumPy numbers are written as numbers.
    path : path-like
        Replaced whole.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> logbook = tools.Logbook()
    >>> logbook.record(gen=0, fitness={"min": np.float64(0.5)})
    >>> path = pathlib.Path(tempfile.mkdtemp(), "logbook.csv")
    >>> to_csv(logbook, path)
    >>> path.read_text()
    'gen,fitness.min\n0,0.5\n'
    """
    rows = rows_of(logbook)
    columns = columns_of(logbook, rows)
    lines = [format_row(columns)] if columns else []
    lines += [format_row([row.get(name) for name in columns]) for row in rows]
    with writing(path) as file:
        file.write_text("".join(lines), encoding="utf-8")


def to_json(logbook: tools.Logbook, path: str | os.PathLike[str]) -> None:
    """Write a logbook as JSON: a list with an object per record.

    Parameters
    ----------
    logbook : deap.tools.Logbook
        Its chapters become keys ``chapter.column``; NumPy numbers are written as numbers, NaN and infinity as null.
    path : path-like
        Replaced whole.
    """
    with writing(path) as file:
        write_rows(logbook, file)


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


def write_rows(logbook: tools.Logbook, path: Path) -> None:
    """Write a logbook into a file as `to_json` does."""
    # One row at a time: as objects the rows of a long run take some hundred megabytes.
    rows: Iterable[Row] = rows_of(logbook) if logbook.chapters else map(dict, logbook)
    with open(path, "w", encoding="utf-8") as file:
        file.write("[")
        for number, row in enumerate(rows):
            file.write(",\n" if number else "\n")
            file.write(json_text(row))
        file.write("\n]\n")


def read_csv(path: str | os.PathLike[str]) -> dict[str, list[float]]:
    """Read a CSV file of numbers, by column; an empty field is NaN and a torn last row is left out.

    Fields that are written as integers become int, all others float.

    Parameters
    ----------
    path : path-like
        A file with a header line.

    Raises
    ------
    ValueError
        If the file has no header line, or a field is not a number.
    OSError
        If it cannot be read.
    """
    text = Path(path).read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    reader = csv.DictReader(io.StringIO(whole), strict=True)
    if not reader.fieldnames:
        raise ValueError(f"{path}: has no header line")
    columns: dict[str, list[float]] = {name: [] for name in reader.fieldnames}
    for row in reader:
        for name in columns:
            field = row[name] or "nan"
            try:
                columns[name].append(int(field) if _INTEGER.fullmatch(field) else float(field))
            except ValueError:
                raise ValueError(f"{path}: line {reader.line_num}: {name} is not a number: {row[name]!r}") from None
    return columns
