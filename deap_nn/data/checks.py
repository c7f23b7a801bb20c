"""Doubts about samples, one line each: unscaled inputs, and classes that the validation part lacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deap_nn.data.samples import Samples

LEAST_BYTE = 127
"""Images with values from 0 to above this and at most 255 are taken for bytes, and so are whole numbers in rows."""


def unscaled_of(samples: Samples) -> Iterator[str]:
    """Yield a line if training inputs look like bytes or are large, for a model that does not scale them."""
    for array in samples.halves("train")[0]:
        numbers = array[np.isfinite(array)] if array.dtype.kind in "uif" else array[:0]
        low, high = (float(numbers.min()), float(numbers.max())) if numbers.size else (0.0, 0.0)
        if max(-low, high) > 255:
            yield f"inputs have values up to {max(-low, high):g}: standardise x, or begin with a Normalization layer"
            return
        if array[0].size < 2 or not high > LEAST_BYTE or low < 0:
            continue
        if array.ndim > 2 or np.array_equal(array, np.floor(array)):
            other = "" if array.ndim > 2 else " if these are images, else standardise x"
            yield f"inputs have values up to {high:g}, which are not scaled: divide x by 255{other}"
            return


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
