"""Doubts about samples, one line each: gaps, unscaled bytes, classes that a part lacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deap_nn.data.dataset import Dataset
from deap_nn.data.samples import PARTS, Samples

LEAST_BYTE = 127
"""Images with values from 0 to above this and at most 255 are taken for bytes, and so are whole numbers in rows."""


def doubts_of(data: Dataset, *, scaled: bool) -> Iterator[str]:
    """Yield the doubts about labelled data; `scaled`: whether the model scales them. Bytes are scaled before."""
    yield from gaps_of(data)
    if not scaled and data.x_train.dtype != np.uint8:
        yield from unscaled_of(data)
    if lost := sorted(set(np.unique(data.y_train).tolist()) - set(np.unique(data.y_validation).tolist())):
        yield f"validation has {len(data.y_validation)} samples and none of {_listed(lost)}: shuffle the data"


def gaps_of(samples: Samples | Dataset) -> Iterator[str]:
    """Yield the number of samples with NaN or infinity: a fitness on a mini-batch with one means nothing."""
    for split in PARTS:
        parts = zip(("inputs", "targets"), samples.halves(split), strict=True) if samples.size(split) else ()
        for half, arrays in parts:
            floats = [array for array in arrays if array.dtype.kind == "f"]
            gaps = [~np.isfinite(array).reshape(len(array), -1).all(axis=1) for array in floats]
            if count := int(np.any(gaps, axis=0).sum()) if gaps else 0:
                yield f"{count} of the {len(arrays[0])} {half} of {split} have NaN or infinity"


def unscaled_of(samples: Samples | Dataset) -> Iterator[str]:
    """Yield a line if inputs look like bytes or are large, for a model that does not scale them.

    Those of other parts do so only beside training inputs that do not.
    """
    for place, array in enumerate(samples.halves("train")[0]):
        low, high = _range_of(array)
        if max(-low, high) > 255:
            yield f"inputs have values up to {max(-low, high):g}: standardise x, or begin with a Normalization layer"
            return
        for split in ("validation", "test") if high <= 1 and array.ndim > 2 else ():
            most = _range_of(samples.halves(split)[0][place])[1] if samples.size(split) else 0.0
            if most > LEAST_BYTE:
                yield f"inputs of {split} have values up to {most:g}, of training up to {high:g}: scale them alike"
                return
        if array[0].size < 2 or not high > LEAST_BYTE or low < 0:
            continue
        if array.ndim > 2 or np.array_equal(array, np.floor(array)):
            other = "" if array.ndim > 2 else " if these are images, else standardise x"
            yield f"inputs have values up to {high:g}, which are not scaled: divide x by 255{other}"
            return


def _range_of(array: NDArray[Any]) -> tuple[float, float]:
    """Return the lowest and the highest finite number of an array; 0 and 0 without any."""
    numbers = array[np.isfinite(array)] if array.dtype.kind in "uif" else array[:0]
    return (float(numbers.min()), float(numbers.max())) if numbers.size else (0.0, 0.0)


def _listed(lost: Sequence[int]) -> str:
    named = f"class {lost[0]}" if len(lost) == 1 else f"the classes {', '.join(map(str, lost[:5]))}"
    return named + (f" and {len(lost) - 5} others" if len(lost) > 5 else "")


def lost_classes(samples: Samples, outputs: Sequence[Any], pairs: Sequence[int]) -> Iterator[str]:
    """Yield the classes that are in the training samples and not in the last samples, which are for validation.

    Parameters
    ----------
    samples : Samples
        Samples with a training and a validation part.
    outputs : sequence of numpy.ndarray
        Some outputs of the model; shape (samples, ...).
    pairs : sequence of int
        The place of each output's target.
    """
    train, last = (samples.halves(split)[1] for split in ("train", "validation"))
    for output, place in zip(outputs, pairs, strict=True):
        width = output.shape[-1] if output.ndim > 1 else 1
        rest = _classes(train[place], width)
        if rest is None or (found := _classes(last[place], width)) is None:
            continue
        if lost := sorted(set(rest.tolist()) - set(found.tolist())):
            advice = "shuffle x and y, or give validation_data"
            count = f"the last {len(last[place])} of {len(last[place]) + len(train[place])} samples"
            yield f"{count} are for validation and have none of {_listed(lost)}: {advice}"


def _classes(target: NDArray[Any], width: int) -> NDArray[np.int64] | None:
    """Return the classes in a target of an output with `width` units, or None if it has other numbers."""
    if target.dtype.kind not in "biuf":
        return None
    if width > 1 and target.ndim == 2 and target.shape[1] == width:
        is_one_hot = np.all((target == 0) | (target == 1)) and np.all(target.sum(axis=1) == 1)
        return np.unique(target.argmax(axis=1)) if is_one_hot else None
    if target.ndim > 2 or (target.ndim == 2 and target.shape[1] != 1):
        return None
    values = np.unique(target)
    if width == 1 and np.isin(values, (-1, 1)).all():  # as a hinge loss has them
        return values.astype(np.int64)
    allowed = values[(values >= 0) & (values < max(width, 2)) & (values == np.floor(values))]
    return allowed.astype(np.int64) if len(allowed) == len(values) else None
