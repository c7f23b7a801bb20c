"""Standardisation of samples: columns with mean 0 and standard deviation 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FURTHEST = 1e18
"""The largest distance of a sample from the mean, in standard deviations: a float32 can hold its square."""


def mean_and_scale(x: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean and the standard deviation of each column, 1 for a constant one; each of shape (columns,)."""
    means, scales = np.empty(x.shape[1]), np.empty(x.shape[1])
    for place, column in enumerate(x.T):
        most = np.abs(column).max() or 1.0
        part = column / most  # a float could not hold the squares of large values, or their sum
        part -= (first := part[0])
        mean = part.mean()  # of differences: the mean of large values that differ little would be rounded
        means[place], scales[place] = most * (first + mean), most * part.std()
        if (column == column[0]).all() or not scales[place]:  # or its differences vanish
            means[place], scales[place] = column[0], 1.0
    return means, scales


def standardised(x: NDArray[Any], mean: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return columns minus their mean, divided by their scale and clipped at ``FURTHEST``."""
    found = np.empty(x.shape, np.float32)
    for place, column in enumerate(x.T):  # one column at a time takes little memory
        found[:, place] = np.clip((column - mean[place]) / scale[place], -FURTHEST, FURTHEST)
    return found
