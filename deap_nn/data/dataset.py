"""Labelled images, split for training, validation and test."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from deap_nn.data.registry import DataReference, remember

Array = NDArray[Any]
Split = Literal["train", "validation", "test"]
PARTS: tuple[Split, ...] = get_args(Split)


class DataError(ValueError):
    """Data that is missing, damaged or of the wrong form; the message names the file."""


def own_array(array: Array) -> Array:
    """Return an array that cannot be written to: a copy, unless it is one already, as a memory map to read is."""
    return read_only(array.copy()) if array.flags.writeable else array


def read_only(array: Array) -> Array:
    """Return an array that can no longer be written to."""
    array.flags.writeable = False
    return array


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled samples in three parts: training, validation and test.

    Parameters
    ----------
    x_train, x_validation, x_test : numpy.ndarray
        Samples along the first dimension. Bytes are taken for pixels and divided by 255 when they are scored.
    y_train, y_validation, y_test : numpy.ndarray
        The class of each sample, integers from 0; shape (samples,).
    name : str
        The name of the data set.
    path : str
        The file or folder that it was read from, if any.
    note : str
        One line that says where the data came from.

    Raises
    ------
    DataError
        If a part is empty, counts or shapes differ, only some parts are bytes, or a label is not an integer from 0.
    """

    x_train: Array
    y_train: Array
    x_validation: Array
    y_validation: Array
    x_test: Array
    y_test: Array
    name: str = "arrays"
    path: str = ""
    note: str = ""
    inputs: ClassVar[None] = None
    targets: ClassVar[None] = None
    """Outlines of the inputs and targets, as in `Samples`: a single array each."""
    weighted: ClassVar[int] = 0
    """Samples have no weights."""

    def __post_init__(self) -> None:
        for part in PARTS:
            x, y = (own_array(np.asarray(getattr(self, f"{half}_{part}"))) for half in "xy")
            object.__setattr__(self, f"x_{part}", x)
            object.__setattr__(self, f"y_{part}", y)
            if len(x) != len(y) or y.ndim != 1:
                raise DataError(f"{self.name}: {part} has {len(x)} samples and labels of shape {y.shape}")
            if not len(x):
                raise DataError(f"{self.name}: {part} has no samples")
            if x.shape[1:] != self.x_train.shape[1:]:
                raise DataError(f"{self.name}: {part} has samples of shape {x.shape[1:]}, not {self.x_train.shape[1:]}")
            if (x.dtype == np.uint8) != (self.x_train.dtype == np.uint8):  # only bytes are divided by 255
                raise DataError(f"{self.name}: {part} has samples of type {x.dtype}, not {self.x_train.dtype}")
            if not np.issubdtype(y.dtype, np.integer) or y.min() < 0:
                raise DataError(f"{self.name}: {part} has labels that are not integers from 0")
        remember(self)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(getattr(self, f'y_{part}'))} {part}" for part in PARTS)
        return f"<Dataset {self.name}: {sizes}, each of shape {self.x_train.shape[1:]}, {self.classes} classes>"

    def part(self, split: Split) -> tuple[Array, Array]:
        """Return the samples and labels of a part.

        Raises
        ------
        ValueError
            If `split` is none of the three.
        """
        if split not in PARTS:
            raise ValueError(f"split must be 'train', 'validation' or 'test', got {split!r}")
        return getattr(self, f"x_{split}"), getattr(self, f"y_{split}")

    def halves(self, split: Split) -> tuple[list[Array], list[Array]]:
        """Return the arrays of inputs and of targets of a part: one of each."""
        x, y = self.part(split)
        return [x], [y]

    def size(self, split: Split) -> int:
        """Return the number of samples in a part."""
        return len(self.part(split)[1])

    @property
    def classes(self) -> int:
        """The number of classes: the largest label plus one."""
        return 1 + int(max(self.y_train.max(), self.y_validation.max(), self.y_test.max()))

    @cached_property
    def reference(self) -> DataReference:
        """The reference by which another process finds the same data."""
        digest = hashlib.sha256()
        for split in PARTS:
            for array in self.part(split):
                digest.update(f"{array.dtype.str}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return DataReference(self.name, self.path, digest.hexdigest())

    def describe(self) -> dict[str, Any]:
        """Return name, source, sizes of the parts and digest, ready for JSON."""
        return {
            "name": self.name,
            "path": self.path,
            **{split: self.size(split) for split in PARTS},
            "sha256": self.reference.sha256,
        }
