"""Checks of arguments, each with an error that names the argument."""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np


def check_generator(rng: np.random.Generator) -> None:
    """Raise TypeError where `rng` is no ``numpy.random.Generator``."""
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng must be a numpy.random.Generator, got {type(rng).__name__}")


def check_number(value: float, name: str) -> float:
    """Return a number as a float, or raise TypeError where it is none; NaN and infinity are numbers."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    return float(value)


def check_positive(value: float, name: str) -> float:
    """Return a number as a float, or raise ValueError where it is not above 0, or infinite, and TypeError for none."""
    if not 0 < check_number(value, name) < np.inf:
        raise ValueError(f"{name} must be finite and above 0, got {value!r}")
    return float(value)


def check_count(value: object, name: str, minimum: int = 1) -> int:
    """Return an integer of at least `minimum`, or raise ValueError naming it."""
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < minimum:
        raise ValueError(f"{name} must be an integer of at least {minimum}, got {value!r}")
    return int(value)


def check_bounds(bounds: tuple[float, float]) -> tuple[float, float]:
    """Return two finite numbers as floats, or raise ValueError unless the first is below the second."""
    low, high = (check_number(bound, "bounds") for bound in bounds) if np.shape(bounds) == (2,) else (np.nan, np.nan)
    if not -np.inf < low < high < np.inf:
        raise ValueError(f"bounds must be two finite numbers, the lower one first, got {bounds!r}")
    return low, high


def check_probability(value: float, name: str) -> None:
    """Raise ValueError where `value` is not between 0 and 1, and TypeError where it is no number."""
    if not 0.0 <= check_number(value, name) <= 1.0:
        raise ValueError(f"{name} must be between 0 and 1, got {value!r}")
