"""Samples of any structure for a Keras model: arrays, or lists or dictionaries of them."""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from numbers import Real
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from deap_nn.core.errors import warn_user
from deap_nn.data.dataset import PARTS, Split, own_array, read_only
from deap_nn.data.registry import DataReference, remember

Nest = Any
"""An array, or a tuple, list or dictionary of nests."""


def _is_nest(nest: Nest) -> bool:
    """Whether a value holds arrays; a list of numbers, or of lists of numbers, is an array itself."""
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
    """Return a nest with None in place of its arrays: small, and enough for `packed`."""
    return packed(nest, [None] * len(flat(nest)))


def as_arrays(nest: Nest, argument: str) -> list[NDArray[Any]]:
    """Return the arrays of a nest as numbers or strings that TensorFlow takes; float64 becomes float32.

    Raises
    ------
    ValueError
        If there is no array, one holds other values or no samples, or their lengths differ.
    """
    arrays = [_as_array(array, argument) for array in flat(nest)]
    if not arrays:
        raise ValueError(f"{argument} must hold an array")
    for array in arrays:
        if len(array) != len(arrays[0]) or not len(array):
            raise ValueError(f"{argument} must hold arrays of one length, at least 1, got {[len(a) for a in arrays]}")
    return arrays


def _as_array(given: Any, argument: str) -> NDArray[Any]:
    array = np.asarray(given)
    if array.dtype == object:
        if all(isinstance(value, str | bytes) for value in array.flat):
            # TensorFlow and pandas give strings as objects: as UTF-8 they take a quarter of the space of NumPy's str.
            texts = [value.encode() if isinstance(value, str) else value for value in array.flat]
            array = np.array(texts, bytes).reshape(array.shape)
        elif all(isinstance(value, Real | np.bool) for value in array.flat):
            with contextlib.suppress(OverflowError):  # an integer may be too large
                array = array.astype(np.float64)  # a frame of numbers and bools
    if array.dtype == object or array.dtype.kind in "mMc" or not array.ndim:
        found = f"{type(given).__name__} of {array.dtype}"
        wanted = "arrays of numbers or strings with samples along the first dimension, no iterator or tf.data"
        raise ValueError(f"{argument} must hold {wanted}, got {found}")
    return read_only(array.astype(np.float32)) if array.dtype == np.float64 else array


class Samples:
    """Inputs and targets in up to three parts, with an optional weight for each sample.

    Parameters
    ----------
    parts : mapping
        Nests of inputs and targets for "train" and optionally for "validation" and "test", and optionally as a third
        nest sample weights: an array, or one for each target. Samples lie along the first dimension of every array. If
        only some parts have weights, those of the others are 1.

    Attributes
    ----------
    inputs, targets
        Nests without their arrays.
    weighted : int
        The number of arrays of weights.

    Raises
    ------
    ValueError
        If a part is empty, its arrays are of different lengths, or its samples have other shapes than those of "train".
    """

    def __init__(self, parts: Mapping[Split, tuple[Nest, ...]]) -> None:
        self.inputs, self.targets = (outline(nest) for nest in parts["train"][:2])
        weights = {split: _weights(nests) for split, nests in parts.items()}
        given = next(filter(None, weights.values()), [])
        self.weighted = len(given)
        self._parts: dict[Split, tuple[list[NDArray[Any]], list[NDArray[Any]]]] = {}
        for split, (x, y, *_) in parts.items():
            inputs, targets = as_arrays(x, f"inputs of {split}"), as_arrays(y, f"targets of {split}")
            if len(inputs[0]) != len(targets[0]):
                raise ValueError(f"{split} has {len(inputs[0])} inputs and {len(targets[0])} targets")
            targets += weights[split] or [np.ones((len(targets[0]), *w.shape[1:]), np.float32) for w in given]
            first = self._parts.setdefault(split, (inputs, targets)) if split == "train" else self._parts["train"]
            shapes = [[array.shape[1:] for array in half] for half in (inputs, targets)]
            if shapes != [[array.shape[1:] for array in half] for half in first]:
                raise ValueError(f"{split} must have samples shaped as those of train")
            if self.weighted and not all(array.any() for array in targets[-self.weighted :]):
                raise ValueError(f"sample_weight must be above 0 for some samples of {split}")
            for half, trained in ((inputs, first[0]), (targets, first[1])):
                half[:] = [
                    own_array(_as_trained(array, like, split)) for array, like in zip(half, trained, strict=True)
                ]
            self._parts[split] = inputs, targets
        remember(self)

    def __len__(self) -> int:
        """Return the number of training samples."""
        return len(self._parts["train"][1][0])

    def halves(self, split: Split) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        """Return the arrays of inputs and of targets of a part, the latter with sample weights after them.

        Raises
        ------
        ValueError
            If there is no such part.
        """
        if split not in self._parts:
            raise ValueError(f"split must be {' or '.join(self._parts)}, got {split!r}")
        return self._parts[split]

    def size(self, split: Split) -> int:
        """Return the number of samples in a part, 0 if there is no such part."""
        return len(self._parts[split][1][0]) if split in self._parts else 0

    @cached_property
    def reference(self) -> DataReference:
        """The reference by which another process finds the same samples; it must hold them too."""
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
    """Return an array of another part in the training part's dtype; raise ValueError if that does not hold it."""
    kinds = array.dtype.kind + like.dtype.kind
    if kinds in ("SS", "UU"):
        return array  # strings may be longer than those of training
    with np.errstate(invalid="ignore"):
        made = array.astype(like.dtype, copy=False)
    if kinds != "ff" and not np.array_equal(made, array):
        raise ValueError(f"{split} has samples of {array.dtype.name}, which {like.dtype.name} of train does not hold")
    return made


def _weights(nests: Sequence[Nest]) -> list[NDArray[np.float32]]:
    """Return the sample weights that follow inputs and targets, if any: one array, or one for each target."""
    if len(nests) < 3:
        return []
    y, given = nests[1:]
    arrays, targets = as_arrays(given, "sample_weight"), flat(y)
    named = [sorted(nest) if isinstance(nest, Mapping) else None for nest in (y, given)]
    if len(arrays) > 1 and (len(arrays) != len(targets) or named[0] != named[1]):
        raise ValueError("sample_weight must be an array, or arrays in the structure of y")
    if len(arrays[0]) != (count := len(targets[0])):
        raise ValueError(f"sample_weight must have a weight for each of {count} samples, got {len(arrays[0])}")
    if not all(array.dtype.kind in "biuf" and np.all((array >= 0) & np.isfinite(array)) for array in arrays):
        raise ValueError("sample_weight and class_weight must be of finite numbers, at least 0")
    return [array.astype(np.float32, copy=False) for array in arrays]


def weighted_only(
    samples: NDArray[Any], targets: NDArray[Any], weights: NDArray[Any] | None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]:
    """Return the samples with a weight, their targets, and the weights with a mean of 1: only their ratios count.

    Sigma follows the error, and so must not depend on the unit of the weights.
    """
    if weights is None:
        return samples, targets, None
    if (weights < 0).any():
        raise ValueError(f"sample_weight and class_weight must be at least 0, got {weights.min():g}")
    kept = weights > 0
    if kept.sum() < 2:
        raise ValueError("sample_weight must be above 0 for at least 2 samples")
    return samples[kept], targets[kept], weights[kept] / weights[kept].mean()


def _weights_of_classes(y: Nest, class_weight: Any) -> NDArray[np.float32]:
    """Return the weight of each sample's class, 1 for a class without one; shape (samples,)."""
    target, *others = as_arrays(y, "y")
    if others or target.dtype.kind not in "biuf" or target.ndim > 2:
        raise ValueError("class_weight needs one output and classes as targets: give sample_weight for others")
    classes = target.argmax(axis=1) if target.ndim == 2 and target.shape[1] > 1 else target.reshape(-1).round()
    if class_weight == "balanced":
        found, counts = np.unique(classes, return_counts=True)
        class_weight = dict(zip(found.tolist(), (len(classes) / (len(found) * counts)).tolist(), strict=True))
    if not isinstance(class_weight, Mapping):
        raise ValueError(f"class_weight must map classes to weights or be 'balanced', got {class_weight!r}")
    if absent := class_weight.keys() - set(classes.tolist()):
        warn_user(f"class_weight has a weight for {absent.pop()!r}, a class that no training sample has")
    return np.array([class_weight.get(int(one), 1.0) for one in classes], np.float32)


def split_samples(
    x: Nest,
    y: Nest,
    *,
    validation_split: float,
    validation_data: Any = None,
    test_data: Any = None,
    sample_weight: Nest = None,
    class_weight: Mapping[int, float] | Literal["balanced"] | None = None,
) -> Samples:
    """Make `Samples` of training data; the last of them become the validation part, unless that is given.

    As in Keras, `sample_weight` is split too, and `class_weight` applies to the training part only.
    """
    if sample_weight is not None and class_weight is not None:
        raise ValueError("sample_weight and class_weight cannot be combined: multiply them into sample_weight")
    whole = (x, y) if sample_weight is None else (x, y, sample_weight)
    inputs, targets = as_arrays(x, "x"), as_arrays(y, "y")
    if len(inputs[0]) != len(targets[0]):
        raise ValueError(f"x and y must be of one length, got {len(inputs[0])} and {len(targets[0])}")
    weights = _weights(whole)
    parts: dict[Split, tuple[Nest, ...]] = {"train": whole}
    if validation_data is not None:
        parts["validation"] = _nests(validation_data, "validation_data")
    elif validation_split:
        cut = math.floor(len(targets[0]) * (1.0 - validation_split))
        if not cut:
            raise ValueError(f"validation_split leaves none of {len(targets[0])} samples to train on")
        for split, place in (("train", slice(cut)), ("validation", slice(cut, None))):
            held = zip(whole, (inputs, targets, weights), strict=False)
            parts[cast(Split, split)] = tuple(packed(nest, [a[place] for a in arrays]) for nest, arrays in held)
    if class_weight is not None:
        x, y = parts["train"]
        parts["train"] = x, y, _weights_of_classes(y, class_weight)
    if test_data is not None:
        parts["test"] = _nests(test_data, "test_data")
    return Samples(parts)


def _nests(data: Any, argument: str) -> tuple[Nest, ...]:
    if not isinstance(data, list | tuple) or len(data) not in (2, 3):
        raise ValueError(f"{argument} must be a pair of inputs and targets, or (x, y, sample_weight)")
    return tuple(data)
