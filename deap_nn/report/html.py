"""A run as one page: ``report.html``, which loads nothing from elsewhere."""

from __future__ import annotations

import base64
import html
import json
import math
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from deap_nn.core.errors import InputError
from deap_nn.core.files import finite, write_text, writing
from deap_nn.core.logbooks import measure_of
from deap_nn.runs.files import (
    ANSWERS_FILE,
    FILTERS_FILE,
    MEMBERS_FILE,
    PREDICTIONS_FILE,
    Columns,
    read_arrays,
    read_columns,
    read_json,
)

MOST_POINTS = 1500
"""The largest number of points in a curve."""

MOST_TRACED = 100
"""The largest number of generations of traced weights that are shown."""

MOST_PICTURES, MOST_UNITS = 8, 12
"""The largest numbers of generations and of hidden units whose pictures are shown."""

PATCH_STEP = 6
"""The distance of an image's patches that are shown to a unit that sees less than the image, in pixels."""

MOST_CLASSES = 40
"""The largest number of classes of a confusion matrix that is shown."""


MEASURED = ("train_error", "val_error", "best member", "mean of the parents")
"""The columns of the logbook and of ``readouts.csv`` that have the measure."""


def is_maximised(config: Mapping[str, Any]) -> bool:
    """Return whether the largest fitness of a run is the best, by its settings."""
    weights = config.get("fitness_weights")
    return isinstance(weights, list) and bool(weights) and weights[0] > 0


def read_logbook(path: Path) -> Columns:
    """Return the columns of a ``logbook.csv`` with at least one row, or raise `InputError`."""
    columns = read_columns(path, "gen", "min", "avg")
    if not columns["gen"]:
        raise InputError(f"{path}: has no row")
    return columns


def read_trace(path: Path) -> tuple[NDArray[np.float32], list[str]]:
    """Return the traced weights of a ``trace.npz``, shape (generations, weights), and the matrix name of each."""
    arrays = read_arrays(path, "weights", "matrices")
    return arrays["weights"], arrays["matrices"].tolist()


def describe_run(folder: Path) -> dict[str, Any]:
    """Return the content of a run's report, ready for JSON, without the parts that the run lacks.

    Parameters
    ----------
    folder : Path
        The run's folder: ``config.json`` and ``logbook.csv`` with a row must be there.

    Raises
    ------
    InputError
        If a file is damaged, or one of those two is missing: it names the file.
    """
    described = describe_curves(folder)
    parts = {
        "weights": ("trace.npz", _weights),
        "filters": (FILTERS_FILE, _filters),
        "answers": (PREDICTIONS_FILE, _predictions),
        "members": (MEMBERS_FILE, _members),
    }
    for name, (file, describe) in parts.items():
        if (folder / file).exists() and (found := describe(folder / file)) is not None:
            described[name] = found
    if "confusion" in described.get("answers", {}) and (folder / ANSWERS_FILE).exists():
        described["answers"]["before"] = _answers_before(folder / ANSWERS_FILE, described["answers"])
    return described


def describe_curves(folder: Path, points: int = MOST_POINTS) -> dict[str, Any]:
    """Return a run's settings, status and curves of at most `points` points, ready for JSON; see `describe_run`."""
    config = {"fitness": "fitness"} | read_json(folder / "config.json")
    measure, sign = measure_of(str(config.get("measure", "error")))
    described: dict[str, Any] = {
        "name": folder.resolve().name,
        "config": config,
        "fitness": measure_of(str(config["fitness"]))[0],
        "measure": measure,
        "status": read_json(folder / "status.json") if (folder / "status.json").exists() else {},
        "logbook": _thinned(read_logbook(folder / "logbook.csv"), points, sign),
    }
    if (path := folder / "timing.csv").exists():
        timing = read_columns(path, "gen", "seconds")
        seconds = np.cumsum(timing["seconds"]).round(3).tolist()
        described["timing"] = _thinned(timing, points)
        described["seconds"] = [seconds[i] for i in _kept(len(seconds), points)]
    if (path := folder / "readouts.csv").exists():
        described["readouts"] = _thinned(read_columns(path, "gen"), points, sign)
    return described


def _thinned(columns: Columns, most: int, sign: int = 1) -> dict[str, list[float | None]]:
    """Return at most `most` rows and the last, with NaN as None; numbers keep six digits, enough to draw them.

    The measure gets a sign, by which it is the user's: of one that is maximised the log has the negative.
    """
    rows = min((len(values) for values in columns.values()), default=0)
    return {
        name: [_rounded(values[i] * (sign if name in MEASURED else 1)) for i in _kept(rows, most)]
        for name, values in columns.items()
    }


def _kept(rows: int, most: int) -> list[int]:
    """Return the places of at most `most` rows, evenly spaced, and of the last row."""
    every = max(1, math.ceil(rows / most))
    return [i for i in range(rows) if i % every == 0 or i == rows - 1]


def _rounded(value: float) -> float | None:
    if not math.isfinite(value):
        return None
    return value if float(value).is_integer() else float(f"{value:.6g}")


def _packed(array: NDArray[Any]) -> str:
    """Return the bytes of an array, little-endian, in base 64."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")


def _weights(path: Path) -> dict[str, Any] | None:
    weights, matrices = read_trace(path)
    if not weights.size:
        return None
    kept = _kept(len(weights), MOST_TRACED)
    found = np.nan_to_num(weights[kept]).astype("<f4")
    return {"generations": kept, "matrices": matrices, "values": _packed(found)}


def _filters(path: Path) -> dict[str, Any] | None:
    """Return what the first layer's units look for, by generation; nothing of an older file."""
    arrays = read_arrays(path, "generations", "filters", "matrix")
    if "images" not in arrays:
        return None
    kept = _kept(len(arrays["generations"]), MOST_PICTURES)
    filters = sought_by(arrays["filters"][kept].astype(np.float32), arrays["images"])
    # Scaled by a quantile: a few outliers as the scale would leave all other weights grey.
    largest = float(np.quantile(np.abs(filters), 0.995)) or 1.0
    levels = np.clip(np.round(filters / largest * 127), -127, 127).astype(np.int8)
    return {
        "generations": arrays["generations"][kept].tolist(),
        "shape": list(filters.shape[1:]),
        "matrix": str(arrays["matrix"]),
        "largest": _rounded(largest),
        "levels": _packed(levels),
    }


def sought_by(filters: NDArray[np.float32], images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return a picture of what each unit prefers in the samples, of the units that changed most.

    Parameters
    ----------
    filters : numpy.ndarray
        The weights of each unit by generation, shape (generations, units, height, width).
    images : numpy.ndarray
        Samples, bytes, at least as high and as wide.

    Returns
    -------
    numpy.ndarray
        For each unit the mean of the tenth of the images' patches that excite it most, less that of the tenth that
        excites it least, shape (generations, at most ``MOST_UNITS``, height, width), float32.
    """
    size = filters.shape[2:]
    patches = sliding_window_view(images, size, (1, 2))[:, ::PATCH_STEP, ::PATCH_STEP]
    x = patches.reshape(-1, math.prod(size)).astype(np.float32) / 255
    order = np.argsort(x @ filters.reshape(-1, x.shape[1]).T, axis=0)
    tenth = max(1, len(x) // 10)
    sought = np.stack([x[column[-tenth:]].mean(axis=0) - x[column[:tenth]].mean(axis=0) for column in order.T])
    found = sought.reshape(filters.shape).astype(np.float32)
    changed = np.square(found[-1] - found[0]).sum(axis=(1, 2))
    return found[:, np.argsort(-changed)[:MOST_UNITS]]


def _predictions(path: Path) -> dict[str, Any]:
    if "grid" in (arrays := read_arrays(path)):
        return {name: array.astype(float).round(5).tolist() for name, array in arrays.items()}
    arrays = read_arrays(path, "confusion", "samples", "labels", "answers", "probabilities")
    confusion = arrays["confusion"]
    found: dict[str, Any] = {"samples": int(confusion.sum()), "misread": int(confusion.sum() - confusion.trace())}
    if len(confusion) <= MOST_CLASSES:
        found["confusion"] = confusion.tolist()
    if "images" in arrays and len(arrays["images"]):
        found["digits"] = {
            "shape": list(arrays["images"].shape[1:]),
            "images": _packed(arrays["images"].astype(np.uint8)),
            **{name: arrays[name].tolist() for name in ("samples", "labels", "answers")},
            "probabilities": arrays["probabilities"].round(4).tolist(),
        }
    return found


def _members(path: Path) -> dict[str, Any]:
    arrays = read_arrays(path, "generations", "rows", "members", "shape")
    rows = arrays.pop("rows")
    return {"size": rows.shape, "rows": _packed(rows), **{name: array.tolist() for name, array in arrays.items()}}


def _answers_before(path: Path, last: Mapping[str, Any]) -> dict[str, Any]:
    """Return the confusion matrix of each generation that is kept, and the answers to the samples that are shown."""
    arrays = read_arrays(path, "generations", "answers", "labels")
    confusion = np.zeros((len(arrays["answers"]), len(last["confusion"]), len(last["confusion"])), np.int64)
    for matrix, answers in zip(confusion, arrays["answers"], strict=True):
        np.add.at(matrix, (arrays["labels"], answers), 1)
    shown = arrays["answers"][:, last["digits"]["samples"]] if "digits" in last else arrays["answers"][:, :0]
    found = {"confusion": confusion, "answers": shown, "generations": arrays["generations"]}
    return {name: array.tolist() for name, array in found.items()}


REPORT_FILE = "report.html"

SCRIPTS = ("base.js", "charts.js", "inside.js", "sections.js", "compare.js", "main.js")
"""The files of the page's script, in this order."""

COMPARED_POINTS = 400
"""The largest number of points in a curve of a comparison."""


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

    parts = {
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
        Run directories.
    path : path-like
        The page; replaced whole.

    Raises
    ------
    InputError
        If a file of a run is missing or damaged, or the page cannot be written.
    """
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
