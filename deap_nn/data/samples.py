"""Samples of any structure for a Keras model: arrays, or lists or dictionaries of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from deap_nn.data.dataset import Split
from deap_nn.data.registry import DataReference, remember

Nest = Any
"""An array, or a tuple, list or dictionary of nests."""

PARTS: tuple[Split, ...] = ("train", "validation", "test")


def _is_nest(nest: Nest) -> bool:
    """Whether a list holds arrays and not numbers, or lists of them, which are an array themselves."""
    if isinstance(nest, Mapping):
        return True
    inner = nest if isinstance(nest, list | tuple) else ()
    return any(part is None or getattr(part, "shape", ()) != () or _is_nest(part) for part in inner)


def flat(nest: Nest) -> list[NDArray[Any]]:
    """Return the arrays of a nest, those of a dictionary in the order of their names."""
    if isinstance(nest, Mapping):
        return [array for name in sorted(nest) for array in flat(nest[name])]
    if _is_nest(nest):
        return [array for part in nest for array in flat(part)]
    return [nest]


def packed(template: Nest, arrays: Sequence[Any]) -> Nest:
    """Return a nest like `template` with other arrays, in the order of `flat`."""

    def pack(part: Nest) -> Nest:
        if isinstance(part, Mapping):
            made = {name: pack(part[name]) for name in sorted(part)}
            return {name: made[name] for name in part}
        if _is_nest(part):
            inner = [pack(one) for one in part]
            return part._make(inner) if hasattr(part, "_make") else type(part)(inner)  # a named tuple, or a plain one
        return next(rest)

    rest = iter(arrays)
    return pack(template)


def outline(nest: Nest) -> Nest:
    """Return a nest with nothing where it had its arrays: small, and enough for `packed`."""
    return packed(nest, [None] * len(flat(nest)))


def as_arrays(nest: Nest, argument: str) -> list[NDArray[Any]]:
    """Return the arrays of a nest as numbers or strings that TensorFlow takes; float64 becomes float32.

    Raises
    ------
    ValueError
        If there is none, one is of something else or has no samples, or they are of different lengths.
    """
    arrays = [_as_array(array, argument) for array in flat(nest)]
    if not arrays:
        raise ValueError(f"{argument} must hold an array")
    for array in arrays:
        if len(array) != len(arrays[0]) or not len(array):
            raise ValueError(f"{argument} must be of arrays of one length, at least 1, got {[len(a) for a in arrays]}")
    return arrays


def _as_array(given: Any, argument: str) -> NDArray[Any]:
    try:
        array = np.asarray(given)
    except ValueError as error:  # of lists whose lengths differ
        raise ValueError(f"{argument} must be of arrays, got a {type(given).__name__} of parts that differ") from error
    if array.dtype == object and all(isinstance(value, str | bytes) for value in array.flat):
        # As TensorFlow and pandas give strings: in UTF-8 they take a quarter of the room.
        texts = [value.encode() if isinstance(value, str) else value for value in array.flat]
        array = np.array(texts, bytes).reshape(array.shape) if texts else array
    if array.dtype == object or not array.ndim:
        kinds = sorted({type(value).__name__ for value in array.flat}) if array.ndim else []
        what = f"{type(given).__name__}{' of ' + ', '.join(kinds) if kinds else ''}"
        raise ValueError(
            f"{argument} must be of arrays of numbers or of strings whose first dimension counts samples, got {what}"
        )
    return array.astype(np.float32) if array.dtype == np.float64 else array


class Samples:
    """Inputs and targets in up to three parts.

    Parameters
    ----------
    parts : mapping
        A pair of nests, inputs and targets, for "train" and maybe for "validation" and "test". Every array counts
        samples by its first dimension.

    Raises
    ------
    ValueError
        If a part is empty, its arrays are of different lengths, or it is shaped unlike "train".
    """

    def __init__(self, parts: Mapping[Split, tuple[Nest, Nest]]) -> None:
        self.inputs, self.targets = (outline(nest) for nest in parts["train"])
        self._parts: dict[Split, tuple[list[NDArray[Any]], list[NDArray[Any]]]] = {}
        for split, (x, y) in parts.items():
            inputs, targets = as_arrays(x, f"inputs of {split}"), as_arrays(y, f"targets of {split}")
            if len(inputs[0]) != len(targets[0]):
                raise ValueError(f"{split} has {len(inputs[0])} inputs and {len(targets[0])} targets")
            first = self._parts.setdefault(split, (inputs, targets)) if split == "train" else self._parts["train"]
            shapes = [[array.shape[1:] for array in half] for half in (inputs, targets)]
            if shapes != [[array.shape[1:] for array in half] for half in first]:
                raise ValueError(f"{split} must have samples shaped as those of train")
            for half, trained in ((inputs, first[0]), (targets, first[1])):
                half[:] = [_as_trained(array, like, split) for array, like in zip(half, trained, strict=True)]
            self._parts[split] = inputs, targets
        remember(self)

    def __len__(self) -> int:
        """Return how many training samples there are."""
        return len(self._parts["train"][1][0])

    def halves(self, split: Split) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        """Return the arrays of inputs and of targets of a part.

        Raises
        ------
        ValueError
            If there is no such part.
        """
        if split not in self._parts:
            if split in PARTS:
                raise ValueError(f"there are no {split} samples, only those of {' and '.join(self._parts)}")
            raise ValueError(f"split must be one of {', '.join(PARTS)}, got {split!r}")
        return self._parts[split]

    def size(self, split: Split) -> int:
        """Return how many samples a part has, 0 if there is none."""
        return len(self._parts[split][1][0]) if split in self._parts else 0

    @cached_property
    def reference(self) -> DataReference:
        """What another process needs to find the same samples, which has to hold them too."""
        digest = hashlib.sha256(repr((self.inputs, self.targets)).encode())
        for split in PARTS:
            for array in [array for half in self._parts.get(split, ()) for array in half]:
                digest.update(f"{split}{array.dtype.str}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).tobytes())
        return DataReference("arrays", "", digest.hexdigest())

    def describe(self) -> dict[str, Any]:
        """Return name, sizes of the parts and digest, ready for JSON."""
        return {"name": "arrays", **{split: self.size(split) for split in PARTS}, "sha256": self.reference.sha256}


def _as_trained(array: NDArray[Any], like: NDArray[Any], split: Split) -> NDArray[Any]:
    """Return an array of another part in the type that the training part has, or say that it does not hold it."""
    if array.dtype == like.dtype or (array.dtype.kind in "SU" and array.dtype.kind == like.dtype.kind):
        return array  # strings may be longer than those of training
    with np.errstate(invalid="ignore"):
        made = array.astype(like.dtype)
    if made.dtype.kind in "SU" or not (array.dtype.kind == made.dtype.kind == "f" or np.array_equal(made, array)):
        raise ValueError(f"{split} has samples of {array.dtype.name}, which {like.dtype.name} of train does not hold")
    return made


def split_samples(
    x: Nest, y: Nest, *, validation_split: float, validation_data: Any = None, test_data: Any = None
) -> Samples:
    """Make `Samples` of training data of which the last become the validation part, unless that is given."""
    inputs, targets = as_arrays(x, "x"), as_arrays(y, "y")
    if len(inputs[0]) != len(targets[0]):
        raise ValueError(f"x and y must be of one length, got {len(inputs[0])} and {len(targets[0])}")
    parts: dict[Split, tuple[Nest, Nest]] = {"train": (x, y)}
    if validation_data is not None:
        parts["validation"] = _pair(validation_data, "validation_data")
    elif validation_split:
        cut = len(targets[0]) - max(1, round(validation_split * len(targets[0])))
        if not cut:
            raise ValueError(f"validation_split leaves none of {len(targets[0])} samples to train on")
        for split, place in (("train", slice(cut)), ("validation", slice(cut, None))):
            halves = [packed(nest, [a[place] for a in arrays]) for nest, arrays in ((x, inputs), (y, targets))]
            parts[cast(Split, split)] = halves[0], halves[1]
    if test_data is not None:
        parts["test"] = _pair(test_data, "test_data")
    return Samples(parts)


def _pair(data: Any, argument: str) -> tuple[Nest, Nest]:
    if not isinstance(data, list | tuple) or len(data) != 2:
        raise ValueError(f"{argument} must be a pair of inputs and targets")
    return data[0], data[1]
