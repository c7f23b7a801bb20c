"""Files of labelled images, IDX or ``.npz``: reading and checking, with errors that name the file."""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deap_nn.core.files import UNREADABLE, arrays_in

Array = NDArray[Any]

IDX_STEMS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_NPZ_KEYS = ("x_train", "y_train", "x_test", "y_test")


class DataError(ValueError):
    """Data that is missing, damaged or of the wrong form; the message names the file."""


class RawArrays(NamedTuple):
    """Images and labels in the form of MNIST's files."""

    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array


def _checked_arrays(arrays: Mapping[str, Array], where: str, names: Mapping[str, str]) -> RawArrays:
    """Check images and labels of MNIST's kind; `names` has the file or key of each."""

    def name(key: str) -> str:
        return names.get(key, key)

    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if x.dtype != np.uint8 or x.ndim != 3 or x.shape[1:] != (28, 28):
            found = f"{x.dtype} of shape {x.shape}"
            raise DataError(f"{where}: {name(f'x_{part}')} must hold bytes of shape (n, 28, 28), got {found}")
        if not np.issubdtype(y.dtype, np.integer) or y.ndim != 1:
            found = f"{y.dtype} of shape {y.shape}"
            raise DataError(f"{where}: {name(f'y_{part}')} must hold integers of shape (n,), got {found}")
        if len(x) != len(y):
            raise DataError(
                f"{where}: {len(x)} images in {name(f'x_{part}')} but {len(y)} labels in {name(f'y_{part}')}"
            )
        if not len(y):
            raise DataError(f"{where}: {name(f'x_{part}')} holds no images")
        if y.min() < 0 or y.max() > 9:
            raise DataError(f"{where}: {name(f'y_{part}')} has the label {y[(y < 0) | (y > 9)][0]}, allowed are 0 to 9")
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
    return _checked_arrays(arrays, str(path), {})


def read_idx_folder(folder: Path) -> RawArrays:
    """Read a folder with the four files of MNIST's kind, each gzipped or not.

    Raises
    ------
    DataError
        If a file is missing, cannot be read, or is of the wrong type, shape or values.
    """
    arrays: dict[str, Array] = {}
    names: dict[str, str] = {}
    for key, stem in zip(_NPZ_KEYS, IDX_STEMS, strict=True):
        path = next((p for p in (folder / stem, folder / f"{stem}.gz") if p.is_file()), None)
        if path is None:
            raise DataError(f"{folder}: has no {stem} or {stem}.gz")
        names[key] = path.name
        arrays[key] = read_idx(path)
    return _checked_arrays(arrays, str(folder), names)


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
    except (OSError, EOFError, MemoryError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({_one_line(error)})") from error
    magic = content[:4]
    if len(magic) < 4 or magic[:3] != b"\0\0\x08" or not 1 <= magic[3] <= 3:
        raise DataError(f"{path}: wrong magic number {magic.hex() or '(empty file)'}, not an IDX file of bytes")
    begin = 4 + 4 * magic[3]
    if len(content) < begin:
        raise DataError(f"{path}: ends within its header")
    shape = struct.unpack_from(f">{magic[3]}I", content, 4)
    count, size = math.prod(shape), len(content) - begin
    if size > count:
        raise DataError(f"{path}: is longer than its header says")
    if size < count:
        raise DataError(f"{path}: truncated, it ends after {size} of {count} bytes")
    return np.frombuffer(content, np.uint8, offset=begin).reshape(shape)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
