"""Columns of samples with mean 0 and standard deviation 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FURTHEST = 1e18
"""Samples are no more standard deviations from their mean."""


def mean_and_scale(x: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of each column, 1 where it is constant; each of shape (columns,)."""
    means, scales = np.empty(x.shape[1]), np.empty(x.shape[1])
    for place, column in enumerate(x.T):
        most = np.abs(column).max() or 1.0
        part = column / most  # the squares of some, or their sum, are more than a float holds
        part -= (first := part[0])
        mean = part.mean()  # of what is small: that of large numbers that differ little would be rounded
        means[place], scales[place] = most * (first + mean), most * part.std()
        if (column == column[0]).all() or not scales[place]:  # or it differs by less than is left of it
            means[place], scales[place] = column[0], 1.0
    return means, scales


def standardised(x: NDArray[Any], mean: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return columns with their mean taken away and by their scale, none beyond what a float32 can be squared of."""
    found = np.empty(x.shape, np.float32)
    for place, column in enumerate(x.T):  # for little memory
        found[:, place] = np.clip((column - mean[place]) / scale[place], -FURTHEST, FURTHEST)
    return found
