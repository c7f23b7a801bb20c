"""Checks of arguments, each with an error that names the argument."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from numbers import Integral, Real

import numpy as np


def did_you_mean(given: object, names: Iterable[str]) -> str:
    """Return the end of an error message: the closest of `names` to a given one, or nothing if none is close.

    Examples
    --------
    >>> did_you_mean("cxMask", ["mask", "split"])
    ': did you mean "mask"?'
    """
    known = {name.lower(): name for name in names}
    found = get_close_matches(str(given).lower(), known, n=1, cutoff=0.7)
    return f': did you mean "{known[found[0]]}"?' if found else ""


def check_choice(name: str, value: object, allowed: Sequence[str]) -> None:
    """Raise ValueError if an argument is not one of the allowed values."""
    if value not in allowed:
        near = did_you_mean(value, allowed)
        raise ValueError(f"{name} must be {' or '.join(map(repr, allowed))}, got {value!r}{near}")


def check_flag(name: str, value: object) -> bool:
    """Return an argument that is True or False, or raise TypeError."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return value


def check_generator(rng: np.random.Generator) -> None:
    """Raise TypeError unless `rng` is a ``numpy.random.Generator``."""
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng must be a numpy.random.Generator, got {type(rng).__name__}")


def check_number(value: float, name: str) -> float:
    """Return a number as a float, or raise TypeError if it is not one; NaN and infinity are numbers."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    return float(value)


def check_positive(value: float, name: str) -> float:
    """Return a number as a float; raise ValueError unless it is finite and above 0, TypeError if it is not a number."""
    if not 0 < check_number(value, name) < np.inf:
        raise ValueError(f"{name} must be finite and above 0, got {value!r}")
    return float(value)


def check_count(value: object, name: str, minimum: int = 1) -> int:
    """Return `value` as an int, or raise ValueError unless it is an integer of at least `minimum`."""
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
    """Raise ValueError unless `value` is between 0 and 1, and TypeError if it is not a number."""
    if not 0.0 <= check_number(value, name) <= 1.0:
        raise ValueError(f"{name} must be between 0 and 1, got {value!r}")
