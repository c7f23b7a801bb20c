"""Doubts about samples of a Keras model, each in a line: gaps, bytes that are not scaled, classes that a part lacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deap_nn.data.samples import PARTS, Samples

LEAST_BYTE = 127
"""Images of values from 0 to more than this and at most 255, and whole numbers in rows, are taken for bytes."""


def gaps_of(samples: Samples) -> Iterator[str]:
    """Yield how many samples have NaN or infinity: a mini-batch that has one says nothing of any network."""
    for split in PARTS:
        parts = zip(("inputs", "targets"), samples.halves(split), strict=True) if samples.size(split) else ()
        for half, arrays in parts:
            floats = [array for array in arrays if array.dtype.kind == "f"]
            gaps = [~np.isfinite(array).reshape(len(array), -1).all(axis=1) for array in floats]
            if count := int(np.any(gaps, axis=0).sum()) if gaps else 0:
                yield f"{count} of the {len(arrays[0])} {half} of {split} have NaN or infinity"


def bytes_of(samples: Samples) -> Iterator[str]:
    """Yield that training inputs look like bytes, for a model that does not scale them."""
    for array in samples.halves("train")[0]:
        if array.dtype.kind not in "uif" or array[0].size < 2 or not LEAST_BYTE < array.max() <= 255 or array.min() < 0:
            continue
        if array.ndim > 2 or np.array_equal(array, np.floor(array)):
            yield f"inputs have values up to {array.max():g}, which are not scaled: divide x by 255"
            return


def lost_classes(samples: Samples, outputs: Sequence[Any], pairs: Sequence[int]) -> Iterator[str]:
    """Yield which classes the training samples have and the last samples, which are for validation, lack.

    Parameters
    ----------
    samples : Samples
        Of both parts.
    outputs : sequence of numpy.ndarray
        Some outputs of the model; shape (samples, ...).
    pairs : sequence of int
        Which target each output has.
    """
    train, last = (samples.halves(split)[1] for split in ("train", "validation"))
    for output, place in zip(outputs, pairs, strict=True):
        width = output.shape[-1] if output.ndim > 1 else 1
        rest = _classes(train[place], width)
        if rest is None or (found := _classes(last[place], width)) is None:
            continue
        if lost := sorted(set(rest.tolist()) - set(found.tolist())):
            named = f"class {lost[0]}" if len(lost) == 1 else f"the classes {', '.join(map(str, lost[:5]))}"
            more = f" and {len(lost) - 5} others" if len(lost) > 5 else ""
            count = f"the last {len(last[place])} of {len(last[place]) + len(train[place])} samples"
            yield f"{count} are for validation and have none of {named}{more}: shuffle x and y, or give validation_data"


def _classes(target: NDArray[Any], width: int) -> NDArray[np.int64] | None:
    """Return the classes that a target names for an output of some width, or None if it is of other numbers."""
    if target.dtype.kind not in "biuf":
        return None
    if width > 1 and target.ndim == 2 and target.shape[1] == width:
        is_one_hot = np.all((target == 0) | (target == 1)) and np.all(target.sum(axis=1) == 1)
        return np.unique(target.argmax(axis=1)) if is_one_hot else None
    if target.ndim > 2 or (target.ndim == 2 and target.shape[1] != 1):
        return None
    values = np.unique(target)
    allowed = values[(values >= 0) & (values < max(width, 2)) & (values == np.floor(values))]
    return allowed.astype(np.int64) if len(allowed) == len(values) else None
