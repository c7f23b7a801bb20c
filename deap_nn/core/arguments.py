"""Arguments and options: checks, each with an error that names the argument, in Python and on the command line."""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any, TypeGuard, get_type_hints

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
    if not is_whole(value) or value < minimum:
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


@dataclass(frozen=True)
class Option:
    """The help and the allowed values of a field of a dataclass, given as ``Annotated[type, Option(...)]``.

    Parameters
    ----------
    help : str
        The meaning, in a few words, for ``--help``.
    allowed : str
        The allowed values, as the end of "must be ...".
    read : callable
        Returns the value of a text, or raises ValueError.
    holds : callable
        Returns whether a value is allowed.
    metavar : str
        The value in ``--help``; empty for a flag, which takes none.
    group : str
        The group in ``--help``.
    names : tuple of str
        The allowed names, of which an error suggests the nearest.
    option : str
        The name on the command line; by default that of the field.
    """

    help: str
    allowed: str
    read: Callable[[str], Any]
    holds: Callable[[Any], bool]
    metavar: str
    group: str = "algorithm"
    names: tuple[str, ...] = ()
    option: str = ""

    def check(self, name: str, value: object) -> None:
        """Raise ValueError, with the name of the setting, if a value is not allowed."""
        if not self.holds(value):
            raise ValueError(f"{name} must be {self.allowed}, got {value!r}{did_you_mean(value, self.names)}")

    def parse(self, text: str) -> Any:
        """Return the value of a text: an argparse type."""
        try:
            value = self.read(text)
        except ValueError:
            value = None
        if value is None or not self.holds(value):
            raise argparse.ArgumentTypeError(f"must be {self.allowed}, got {text!r}{did_you_mean(text, self.names)}")
        return value


def whole(help: str, low: int, high: float = math.inf, **words: Any) -> Option:
    """Return the option of an integer from `low` to `high`."""
    allowed = f"an integer of at least {low}" if high == math.inf else f"an integer from {low} to {high}"
    return Option(help, allowed, int, lambda value: is_whole(value) and low <= value <= high, "N", **words)


def real(help: str, low: float, high: float = math.inf, metavar: str = "X", **words: Any) -> Option:
    """Return the option of a finite number from `low` to `high`."""
    allowed = f"a number of at least {low:g}" if high == math.inf else f"a number from {low:g} to {high:g}"
    return Option(help, allowed, float, lambda value: is_finite(value) and low <= value <= high, metavar, **words)


def one_of(help: str, *names: str, **words: Any) -> Option:
    """Return the option of one of some names."""
    *first, last = names
    allowed = f"{', '.join(first)} or {last}"
    return Option(help, allowed, str, lambda value: value in names, f"{{{','.join(names)}}}", names=names, **words)


def yes_or_no(help: str, **words: Any) -> Option:
    """Return the option of a truth value, "yes" or "no" on the command line."""
    texts = {"yes": True, "no": False}
    return Option(help, "yes or no", texts.get, lambda value: isinstance(value, bool), "{yes,no}", **words)


def text(help: str, metavar: str, **words: Any) -> Option:
    """Return the option of any text, such as a path."""
    return Option(help, "a text", str, lambda value: isinstance(value, str), metavar, **words)


def flag(help: str, **words: Any) -> Option:
    """Return the option of a flag, which is given or not."""
    return Option(help, "True or False", bool, lambda value: isinstance(value, bool), "", **words)


def is_whole(value: object) -> TypeGuard[int]:
    """Return whether a value is an integer, and no truth value."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_finite(value: object) -> bool:
    """Return whether a value is a finite real number, and no truth value."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def options_of(kind: type) -> Mapping[str, Option]:
    """Return the options of a dataclass' fields, by name; fields without one are left out."""
    hints = get_type_hints(kind, include_extras=True)
    found = {field.name: getattr(hints[field.name], "__metadata__", ()) for field in dataclasses.fields(kind)}
    return {
        name: dataclasses.replace(metadata[0], option=metadata[0].option or f"--{name.replace('_', '-')}")
        for name, metadata in found.items()
        if metadata
    }


def check_fields(settings: Any) -> None:
    """Raise ValueError if a field has a value that its option does not allow; None is, if it is the default."""
    options = options_of(type(settings))
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if field.name in options and not (value is None and field.default is None):
            options[field.name].check(field.name, value)


def add_options(parser: Any, kind: type, defaults: Mapping[str, Any], *, only: Collection[str] = ()) -> None:
    """Add the options of a dataclass to a `Parser`; a setting that is not given is left out of the namespace.

    Parameters
    ----------
    parser : deap_nn.process.cli.Parser
        The parser.
    kind : type
        The dataclass.
    defaults : mapping
        The defaults that ``--help`` shows, unless the help of a setting names its own.
    only : collection of str
        The names of the settings to add; all if it is empty.
    """
    for name, option in options_of(kind).items():
        if only and name not in only:
            continue
        value = defaults.get(name)
        shown = ("no", "yes")[value] if isinstance(value, bool) else value
        told = option.help if shown is None or "[" in option.help or not option.metavar else f"{option.help} [{shown}]"
        words = {"type": option.parse, "metavar": option.metavar} if option.metavar else {"action": "store_true"}
        add = parser.groups[option.group].add_argument
        add(option.option, dest=name, default=argparse.SUPPRESS, help=told, **words)
