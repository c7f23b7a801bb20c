"""A run as one page: ``report.html``, which loads nothing from elsewhere."""

from __future__ import annotations

import html
import json
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from deap_nn.core.errors import InputError
from deap_nn.core.files import finite, write_text, writing
from deap_nn.report.describe import describe_curves, describe_run

REPORT_FILE = "report.html"

RELOADED_SECONDS = 5
"""The time after which the page of a run in progress reloads itself."""

SCRIPTS = ("base.js", "charts.js", "inside.js", "sections.js", "compare.js", "main.js")
"""The files of the page's script, in this order."""

COMPARED_POINTS, MOST_COMPARED = 400, 60
"""The largest number of points in a curve of a comparison, and the largest number of runs in it."""


def to_json_text(value: Any) -> str:
    r"""Return a value as JSON that may stand in a page's script element; NaN and infinity as null.

    Examples
    --------
    >>> print(to_json_text({"name": "</script>"}))
    {"name":"\u003c/script\u003e"}
    """
    text = json.dumps(finite(value), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def make_page(data: Mapping[str, Any], title: str) -> str:
    """Return a whole page.

    Parameters
    ----------
    data : mapping
        The data that the page's script draws, ready for JSON: a run, as `describe_run` returns it, or
        ``{"runs": [...]}`` for a comparison. The page of a run in progress reloads itself.
    title : str
        The page's title, any text.
    """
    folder = resources.files("deap_nn.report") / "page"

    def read(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8")

    running = data.get("status", {}).get("state") == "running"
    parts = {
        "RELOAD": f'<meta http-equiv="refresh" content="{RELOADED_SECONDS}">' if running else "",
        "TITLE": html.escape(title),
        "STYLE": read("page.css"),
        "SCRIPT": "\n".join(map(read, SCRIPTS)),
        "DATA": to_json_text(data),
    }
    # In one pass: data may contain text in double braces, which must stay.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], read("page.html"))


def write_report(folder: str | os.PathLike[str]) -> Path:
    """Write ``report.html`` of a run directory, from only its files, and return the page's path.

    Parameters
    ----------
    folder : path-like
        A run's folder with ``config.json`` and ``logbook.csv``; the page shows its other files too.

    Raises
    ------
    InputError
        If a file is missing or damaged, naming it.
    """
    run, path = describe_run(Path(folder)), Path(folder, REPORT_FILE)
    write_text(path, make_page(run, f"{run['name']}: a run of deap_nn"))
    return path


def try_report(folder: Path, *, quiet: bool) -> None:
    """Write a run's page; a failure is a warning, or nothing if `quiet`: it must not cost the run."""
    try:
        write_report(folder)
    except Exception as failure:  # any error
        if not quiet:
            text = failure if isinstance(failure, OSError | ValueError) else f"{type(failure).__name__}: {failure}"
            warnings.warn(f"{folder / REPORT_FILE} is not written: {text}", stacklevel=4)


def write_comparison(folders: Sequence[str | os.PathLike[str]], path: str | os.PathLike[str]) -> Path:
    """Write a page that compares runs, from only their files, and return its path.

    Parameters
    ----------
    folders : sequence of path-like
        Run directories, at most ``MOST_COMPARED``.
    path : path-like
        The page; replaced whole.

    Raises
    ------
    InputError
        If there are too many runs, a file of a run is missing or damaged, or the page cannot be written.
    """
    if len(folders) > MOST_COMPARED:
        raise InputError(f"argument DIR: at most {MOST_COMPARED} runs are compared, got {len(folders)}")
    runs = [describe_curves(Path(folder), COMPARED_POINTS) for folder in folders]
    names = [run["name"] for run in runs]
    for run, folder in zip(runs, folders, strict=True):
        if names.count(run["name"]) > 1:
            run["name"] = os.fspath(folder)
    try:
        with writing(path) as file:
            file.write_text(make_page({"runs": runs}, f"{len(runs)} runs of deap_nn"), encoding="utf-8")
    except OSError as error:
        raise InputError(f"argument --output: {path} cannot be written ({error.strerror})") from error
    return Path(path)
